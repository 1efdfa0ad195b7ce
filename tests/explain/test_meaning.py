"""Where a release has a concept, in words: on a made Earth of few cells whose countries are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.explain import concept_meanings
from whyhere.gallery import PlaceUnits
from whyhere.ranking import CellIndex, UnitIndex

# Cells that lie far apart, two of them in one country; the units are what this Earth says they are.
PLACES = {
    "Norway": (60.0, 10.0), "Alaska": (65.0, -150.0), "Texas": (31.0, -99.0), "Peru": (-10.0, -75.0),
    "Japan": (36.0, 138.0), "Kenya": (0.5, 37.0), "India": (20.0, 77.0), "Fiji": (-17.8, 178.0),
    "Iceland": (65.0, -18.5), "Italy": (43.0, 12.0), "Chile": (-30.0, -70.0), "Mali": (17.0, -2.0),
}  # fmt: skip
CODES = ("NO", "US", "US", "PE", "JP", "KE", "IN", "FJ", "IS", "IT", "CL", "ML")
NAMES = list(PLACES)


@pytest.fixture(scope="module")
def earth():
    lat, lon = (np.array([place[row] for place in PLACES.values()]) for row in (0, 1))
    cells = CellIndex.build(lat, lon, resolution=2)
    units = tuple((code, name if code == "US" else None) for code, name in zip(CODES, NAMES, strict=True))
    return cells, UnitIndex.build(PlaceUnits(units, np.arange(len(NAMES))), cells)


def meaning(earth, **values):
    cells, index = earth
    column = np.zeros((len(NAMES), 1), np.float32)
    for name, value in values.items():
        column[cells.cell_of_point[NAMES.index(name)]] = value
    return concept_meanings(column, cells, index)[0]


def test_few_names_that_hold_half_of_it_are_where_it_mostly_is(earth):
    assert meaning(earth, Norway=1.0) == "mostly Norway"
    assert meaning(earth, Norway=1.0, Peru=0.8) in ("mostly Norway and Peru", "mostly Norway")
    assert meaning(earth, Japan=-1.0) == "in many places"


def test_of_the_largest_countries_the_states_are_named(earth):
    assert meaning(earth, Alaska=1.0) == "mostly Alaska"
    assert meaning(earth, India=1.0) == "mostly India"  # no unit is known


def test_a_concept_without_a_map_means_nothing(earth):
    assert meaning(earth) == ""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), min_size=len(NAMES), max_size=len(NAMES)))
def test_neither_the_unit_nor_the_level_of_a_map_counts(earth, values):
    column = np.array(values, np.float32)[:, None]
    column = np.round(column, 2)
    cells, index = earth
    told = concept_meanings(column, cells, index)
    moved = concept_meanings((column * np.float32(2.0) + np.float32(1.0)).astype(np.float32), cells, index)
    assert told[0].split(" ")[0] == moved[0].split(" ")[0]
    assert told[0] == "" or told[0].startswith(("mostly ", "most in ", "in many places"))
