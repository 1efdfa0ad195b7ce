"""The data behind the references against independent ones: the rasters they were cut from, and each other."""

from __future__ import annotations

import csv
import io
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyhere.evaluation.probing import (
    MissingPackageError,
    coast_km,
    elevations_m,
    koppen_classes,
    land_points,
)
from whyhere.geo import countries, country_codes, great_circle_km
from whyhere.references import LAYERS, country_sets, reference_for, references
from whyhere.references import koppen_classes as packed_classes

SHARE_STEP, HEIGHT_STEP_M = 1 / 50, 35.0  # of the packed rasters


def rows(name):
    """Read a table of the references' data."""
    text = (resources.files("whyhere.references") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def land():
    return land_points(3000, seed=5)


def test_climate_agrees_with_the_fine_map(land):
    try:
        fine, known = koppen_classes(*land)
    except MissingPackageError as error:
        pytest.skip(str(error))
    coarse = packed_classes(*land)
    assert (coarse[known] == fine[known]).mean() > 0.85  # a class covers most of its quarter degree


def test_elevation_agrees_with_the_fine_raster(land):
    try:
        fine, known = elevations_m(*land)
    except MissingPackageError as error:
        pytest.skip(str(error))
    coarse = LAYERS["elevation_m"].values(*land)
    known &= np.isfinite(coarse)
    assert np.corrcoef(coarse[known], fine[known])[0, 1] > 0.97
    assert np.median(np.abs(coarse[known] - fine[known])) < 60


def test_highest_mean_and_relief_belong_together(land):
    mean, top, relief = (LAYERS[n].values(*land) for n in ("elevation_m", "top_m", "relief_m"))
    known = np.isfinite(mean)
    step = HEIGHT_STEP_M
    assert (top[known] >= mean[known] - step).all()
    assert (relief[known] >= top[known] - mean[known] - step).all()


def test_shares_of_land_cover_are_shares(land):
    apart = ("evergreen_broadleaf", "shrubland", "grassland", "wetland", "cropland", "ice", "bare")
    total = np.sum([LAYERS[name].values(*land) for name in apart], axis=0)
    assert np.nanmax(total) <= 1.0 + len(apart) * SHARE_STEP / 2
    forest, needles = (LAYERS[name].values(*land) for name in ("forest", "needleleaf"))
    assert np.nanmin(forest - needles) >= -1.01 * SHARE_STEP


def test_distance_to_the_coast_agrees_with_the_outlines(land):
    packed, exact = LAYERS["coast_km"].values(*land), coast_km(*land)
    near = exact < 300
    assert np.percentile(np.abs(packed - exact)[near], 99) < 15
    assert ((packed <= 50) == (exact <= 50)).mean() > 0.99


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_distance_to_a_volcano_is_the_least_of_all(lat, lon):
    table = rows("volcanoes.csv")
    km = great_circle_km(lat, lon, [float(row["lat"]) for row in table], [float(row["lon"]) for row in table])
    found = LAYERS["volcano_km"].values(np.array([lat]), np.array([lon]))[0]
    if np.isfinite(found):
        assert found == pytest.approx(km.min(), abs=0.3)  # arccos rounds at small angles


@given(st.floats(-90, 90), st.floats(-1000, 1000))
def test_distance_to_the_coast_has_no_jumps(lat, lon):
    here = np.array([lat, min(lat + 0.001, 90.0)]), np.array([lon, lon + 0.001])
    near = LAYERS["coast_km"].values(*here)
    if np.isfinite(near).all():
        assert abs(near[1] - near[0]) < 2.0


def test_volcanoes_are_where_their_countries_are():
    table = {row["name"]: (float(row["lat"]), float(row["lon"])) for row in rows("volcanoes.csv")}
    assert len(table) == 297
    expected = {
        "Fuji": "JP",
        "Etna": "IT",
        "Cotopaxi": "EC",
        "Erebus": "AQ",
        "Kilimanjaro": "TZ",
        "Hekla": "IS",
    }
    lat, lon = np.array([table[name] for name in expected]).T
    assert country_codes(lat, lon) == list(expected.values())
    lat, lon = np.array(list(table.values())).T
    assert sum(code is None for code in country_codes(lat, lon)) <= 3  # Krakatau and two more off shore


@pytest.mark.parametrize("name", sorted(country_sets()))
def test_sets_hold_countries_that_exist_and_no_country_twice(name):
    chosen = country_sets()[name]
    assert chosen.codes
    assert chosen.codes | chosen.unknown <= set(countries())
    assert not chosen.codes & chosen.unknown
    assert chosen.meaning
    assert chosen.source


def test_scripts_do_not_contradict_each_other():
    sets = country_sets()
    assert not sets["arabic-letters"].codes & sets["cyrillic-letters"].codes
    for other in (
        "arabic-letters",
        "cyrillic-letters",
        "indic-scripts",
        "greek-letters",
        "thailand",
        "korea",
    ):
        assert sets[other].codes <= sets["other-scripts"].codes | {"IN"}  # English beside Hindi
    assert not sets["muslim"].codes & sets["christian"].codes
    assert sets["orthodox"].codes <= sets["christian"].codes
    assert sets["arab"].codes <= sets["muslim"].codes


def test_countries_are_those_of_the_outlines(land):
    lat, lon = land[0][:300], land[1][:300]
    codes = np.array([code or "" for code in country_codes(lat, lon)])
    writes = country_sets()["arabic-letters"]
    expected = np.where(np.isin(codes, ["", *writes.unknown]), np.nan, np.isin(codes, list(writes.codes)))
    np.testing.assert_array_equal(reference_for("arabic-script").values(lat, lon), expected)


def test_states_are_the_contiguous_ones_and_the_capital():
    table = {row["state"]: float(row["forest_percent"]) for row in rows("us_forest.csv")}
    assert len(table) == 51
    assert min(table.values()) == table["North Dakota"]
    assert max(table.values()) == table["Maine"]


def test_every_layer_and_set_is_used_or_the_data_are_too_large():
    conditions = [c for reference in references() for c in reference.conditions]
    assert {c.layer for c in conditions} - {""} == set(LAYERS)
    assert {c.countries or c.outside for c in conditions} - {""} == set(country_sets())
