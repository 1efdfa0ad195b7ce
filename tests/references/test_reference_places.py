"""References at places everybody knows, and at the places that break things: poles, date line, open sea."""

from __future__ import annotations

import numpy as np
import pytest

from whyhere.concepts import load_bank
from whyhere.references import (
    LAYERS,
    Reference,
    country_sets,
    koppen_classes,
    reference_for,
    references,
)

SAHARA = (24.0, 5.0)
TOKYO = (35.68, 139.76)
MANAUS = (-3.1, -60.0)
KATHMANDU = (27.7, 85.3)
PARIS = (48.86, 2.35)
RIYADH = (24.7, 46.7)
HONOLULU = (21.3, -157.85)
YAKUTSK = (62.0, 129.7)
KANSAS = (38.5, -98.5)
MID_ATLANTIC = (35.0, -40.0)
ULAANBAATAR = (47.9, 106.9)
INTERIOR_GREENLAND = (72.0, -40.0)


def at(concept: str, place: tuple[float, float]) -> float:
    reference = reference_for(concept)
    assert reference is not None
    return float(reference.present(reference.values([place[0]], [place[1]]))[0])


@pytest.mark.parametrize(
    ("place", "expected"),
    [(SAHARA, "BWh"), (MANAUS, "Af"), (PARIS, "Cfb"), (TOKYO, "Cfa"), (YAKUTSK, "Dfd"), (RIYADH, "BWh")],
)
def test_known_climates(place, expected):
    # Manaus lies on the line between Af and Am, Yakutsk on that between Dfc and Dfd.
    near = {"Af": {"Af", "Am"}, "Dfd": {"Dfd", "Dfc"}}.get(expected, {expected})
    assert str(koppen_classes(*np.array(place)[:, None])[0]) in near


@pytest.mark.parametrize(
    ("layer", "place", "low", "high"),
    [
        ("elevation_m", KATHMANDU, 1000, 3000),
        ("top_m", (27.99, 86.93), 6000, 8850),  # means of 5 minutes are lower than Everest
        ("relief_m", KANSAS, 0, 250),
        ("coast_km", TOKYO, 0, 15),
        ("coast_km", ULAANBAATAR, 1100, 1400),
        ("coast_km", HONOLULU, 0, 15),
        ("landmass_km2", HONOLULU, 1000, 2500),  # Oahu: 1,545 km2
        ("landmass_km2", (64.1, -21.9), 90_000, 110_000),  # Iceland: 103,000 km2
        ("landmass_km2", KANSAS, 18e6, 42e6),  # the Americas, with or without the south
        ("people", TOKYO, 20e6, 50e6),
        ("people", INTERIOR_GREENLAND, 0, 0),
        ("volcano_km", (35.36, 138.73), 0, 10),
        ("forest", MANAUS, 0.5, 1.0),
        ("evergreen_broadleaf", (-4.0, -66.0), 0.95, 1.0),
        ("bare", SAHARA, 0.98, 1.0),
        ("cropland", KANSAS, 0.3, 1.0),
        ("ice", INTERIOR_GREENLAND, 0.98, 1.0),
        ("lakes", (47.5, -88.8), 0.3, 1.0),  # in Lake Superior
        ("lakes", KANSAS, 0.0, 0.05),
    ],
)
def test_known_numbers(layer, place, low, high):
    assert low <= LAYERS[layer].values(*np.array(place)[:, None])[0] <= high


@pytest.mark.parametrize(
    ("concept", "there", "not_there"),
    [
        ("desert", SAHARA, PARIS),
        ("tropical-climate", MANAUS, YAKUTSK),
        ("snow-cover", YAKUTSK, RIYADH),
        ("mountain", (46.5, 8.0), KANSAS),
        ("plain", KANSAS, (46.5, 8.0)),
        ("beach", HONOLULU, ULAANBAATAR),
        ("island", HONOLULU, PARIS),
        ("skyscraper", TOKYO, SAHARA),
        ("mosque", RIYADH, PARIS),
        ("church", PARIS, RIYADH),
        ("buddhist-temple", TOKYO, PARIS),
        ("japanese-script", TOKYO, PARIS),
        ("cyrillic-script", YAKUTSK, PARIS),
        ("latin-script", PARIS, TOKYO),
        ("baseball-field", KANSAS, PARIS),
        ("kilt", (57.1, -4.5), (51.5, -0.1)),
        ("glacier", INTERIOR_GREENLAND, MANAUS),
        ("rainforest", (-4.0, -66.0), SAHARA),
        ("rice-paddy", (14.8, 100.4), ULAANBAATAR),  # central Thailand
        ("hill", (36.0, -93.5), (46.5, 8.0)),  # Ozarks
    ],
)
def test_known_presence(concept, there, not_there):
    assert at(concept, there) == 1.0
    assert at(concept, not_there) == 0.0


def test_countries_where_nothing_is_certain_are_left_out():
    assert np.isnan(at("mosque", (9.1, 7.4)))  # Nigeria: about half
    assert np.isnan(at("eucalyptus", (-33.9, 18.4)))  # South Africa: planted


@pytest.mark.parametrize("reference", references(), ids=lambda reference: reference.concept_id)
class TestEveryReference:
    def test_belongs_to_a_concept_of_the_bank(self, reference: Reference):
        assert reference.concept_id in {concept.id for concept in load_bank().concepts}

    def test_is_the_one_that_the_bank_names(self, reference: Reference):
        (concept,) = (c for c in load_bank().concepts if c.id == reference.concept_id)
        assert concept.reference == reference.name

    def test_says_where_it_comes_from(self, reference: Reference):
        assert reference.source
        assert reference.licence
        assert reference.name
        assert reference.name not in country_sets()
        assert set(reference.to_dict()) >= {"concept_id", "source", "licence", "threshold", "directness"}

    def test_many_positions_at_once_equal_one_at_a_time(self, reference: Reference):
        places = [SAHARA, TOKYO, MANAUS, KATHMANDU, MID_ATLANTIC, INTERIOR_GREENLAND, (-77.8, 166.7)]
        lat, lon = np.array(places).T
        together = reference.values(lat, lon)
        one_by_one = [reference.values([y], [x])[0] for y, x in places]
        np.testing.assert_array_equal(together, one_by_one)

    def test_values_are_what_the_kind_says(self, reference: Reference):
        lat, lon = np.random.default_rng(0).uniform([-60, -180], [75, 180], (500, 2)).T
        values = reference.values(lat, lon)
        known = values[np.isfinite(values)]
        assert values.dtype == np.float64
        assert len(known)
        if reference.kind == "binary":
            assert set(known) <= {0.0, 1.0}
            assert (reference.threshold, reference.unit) == (0.5, "")
        else:
            assert reference.unit
        present = reference.present(values)
        np.testing.assert_array_equal(np.isnan(present), np.isnan(values))
        assert set(present[np.isfinite(present)]) <= {0.0, 1.0}

    def test_the_date_line_is_an_ordinary_place(self, reference: Reference):
        lat = np.array([-16.8, 66.0, 0.0])
        east, west = reference.values(lat, np.full(3, 180.0)), reference.values(lat, np.full(3, -180.0))
        np.testing.assert_array_equal(east, west)
        turned = reference.values(lat, np.full(3, 540.0))
        np.testing.assert_array_equal(east, turned)

    def test_the_poles_have_no_longitude_that_breaks(self, reference: Reference):
        values = reference.values([90.0, -90.0, 90.0, -90.0], [0.0, 0.0, 179.9, -179.9])
        assert values.shape == (4,)


AT_SEA_TOO = {"latitude_deg", "from_equator_deg", "people"}


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in AT_SEA_TOO])
def test_nothing_is_known_on_the_open_sea(name):
    lat, lon = np.array([MID_ATLANTIC, (-45.0, -120.0), (0.0, -140.0)]).T
    assert np.isnan(LAYERS[name].values(lat, lon)).all()


def test_countries_are_not_known_on_the_open_sea():
    assert np.isnan(at("mosque", MID_ATLANTIC))
    assert np.isnan(at("latin-script", MID_ATLANTIC))


@pytest.mark.parametrize(("lat", "lon"), [([91.0], [0.0]), ([np.nan], [0.0]), ([0.0], [np.inf])])
def test_impossible_positions_are_refused(lat, lon):
    with pytest.raises(ValueError, match=r"latitude|finite"):
        references()[0].values(lat, lon)


def test_a_concept_without_a_reference_has_none():
    assert reference_for("graffiti-on-the-moon") is None
    assert reference_for("cave") is None


def test_no_concept_has_two_references():
    ids = [reference.concept_id for reference in references()]
    assert len(set(ids)) == len(ids)


def test_distances_fall_and_shares_rise():
    beach, forest = reference_for("beach"), reference_for("forest")
    assert beach.described == "distance to the coast, at most 50 km"
    assert forest.described == "share of forest, at least 50 %"
    assert reference_for("skyscraper").described == "people within 50 km, at least 1,000,000"
    assert reference_for("desert").described == "Köppen class BW"
    assert not beach.higher_means_more
    assert forest.higher_means_more
    np.testing.assert_array_equal(beach.present(np.array([0.0, 50.0, 51.0, np.nan])), [1, 1, 0, np.nan])
    np.testing.assert_array_equal(forest.present(np.array([0.0, 0.5, 0.49, np.nan])), [0, 1, 0, np.nan])
