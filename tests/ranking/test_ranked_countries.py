"""Probability by country: it adds up, follows the cells, and keeps to a region."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.gallery import PlaceUnits
from whyhere.ranking import CellIndex, UnitIndex, country_shares

UNITS = (("NO", "Oslo"), ("NO", "Troms"), ("NO", None), ("SE", "Scania"), (None, None))
RNG = np.random.default_rng(7)
COUNT = 400
CELLS = CellIndex.build(RNG.uniform(-60, 70, COUNT), RNG.uniform(-20, 20, COUNT), resolution=1)
PLACES = PlaceUnits(UNITS, RNG.integers(0, len(UNITS), COUNT).astype(np.intp))


def probabilities(seed: int) -> np.ndarray:
    weights = np.random.default_rng(seed).gamma(0.3, size=len(CELLS.cells)) + 1e-9
    return weights / weights.sum()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_countries_units_and_what_is_not_listed_add_up(seed):
    mass = probabilities(seed)
    found = country_shares(mass, UnitIndex.build(PLACES, CELLS))
    values = [country.probability for country in found]
    assert values == sorted(values, reverse=True)
    assert sum(values) == pytest.approx(1.0, abs=0.02)  # three countries: less than 0.5 % each is unlisted
    assert sum(values) <= 1 + 1e-12
    for country in found:
        units = [unit.probability for unit in country.units]
        assert units == sorted(units, reverse=True)
        assert sum(units) <= country.probability + 1e-12
    # A place of a cell stands for an equal part of it: the same sum, place by place.
    per_place = mass[CELLS.cell_of_point] / np.bincount(CELLS.cell_of_point)[CELLS.cell_of_point]
    for country in found:
        mine = [row for row, (code, _) in enumerate(UNITS) if code == country.code]
        assert country.probability == pytest.approx(per_place[np.isin(PLACES.of_place, mine)].sum())
        for unit in country.units:
            row = UNITS.index((country.code, unit.name))
            assert unit.probability == pytest.approx(per_place[PLACES.of_place == row].sum())


def test_the_sea_is_called_so_and_places_without_a_unit_count_for_their_country():
    found = {
        country.code: country for country in country_shares(probabilities(1), UnitIndex.build(PLACES, CELLS))
    }
    assert found[None].name == "open sea"
    assert found[None].units == ()
    assert found["NO"].name == "Norway"
    assert {unit.name for unit in found["NO"].units} == {"Oslo", "Troms"}
    assert sum(unit.probability for unit in found["NO"].units) < found["NO"].probability


def test_only_the_places_of_a_region_count():
    allowed = np.isin(PLACES.of_place, [0, 1])  # the two known units of Norway
    inside = np.bincount(CELLS.cell_of_point, allowed, len(CELLS.cells)) > 0
    mass = np.where(inside, probabilities(3), 0.0)
    (only,) = country_shares(mass / mass.sum(), UnitIndex.build(PLACES, CELLS, allowed=allowed))
    assert only.code == "NO"
    assert only.probability == pytest.approx(1.0)
    assert sum(unit.probability for unit in only.units) == pytest.approx(1.0)
