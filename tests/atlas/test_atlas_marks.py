"""Concepts that no open map confirms: marked alike everywhere, folded away where people look first."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace
from tiny_atlas import make_atlas

from whyhere.atlas import (
    compare_page,
    compare_table,
    map_page,
    map_table,
    place_page,
    place_table,
)
from whyhere.prediction import UNCONFIRMED

UNTESTED = ("forest", "coast")


@pytest.fixture(scope="module")
def atlas():
    plain = make_atlas()
    evidence = dict.fromkeys(UNTESTED, "untested")
    labels = tuple(replace(label, evidence=evidence.get(label.id, "confirmed")) for label in plain.concepts)
    return dataclasses.replace(plain, concepts=labels)


def text_of(table):
    return "".join(table)


def test_a_place_folds_and_marks_them(atlas):
    found = atlas.place(48.85, 2.35)
    first = {concept.id for concept in (*found.highest(7), *found.lowest(7))}
    assert first.isdisjoint(UNTESTED)
    assert {concept.id for concept in found.unconfirmed(7)} == set(UNTESTED)
    assert {concept.id for concept in found.concepts} >= set(UNTESTED)
    assert all(name not in place.shared for place in found.similar for name in UNTESTED)
    text = text_of(place_table(found, limit=5))
    assert "forest*" in text
    assert UNCONFIRMED in text
    page = place_page(found)
    assert "forest*" in page
    assert "A star *" in page
    assert "forest" not in found.plot().svg


def test_a_comparison_folds_and_marks_them(atlas):
    found = atlas.compare("-60,-180,0,180", "0,-180,80,180")
    first = {concept.id for concept in (*found.more_in_a(7), *found.more_in_b(7))}
    assert first.isdisjoint(UNTESTED)
    assert {concept.id for concept in found.unconfirmed(7)} == set(UNTESTED)
    text = text_of(compare_table(found, limit=5))
    assert "coast* (more in box" in text
    assert UNCONFIRMED in text
    assert "A star *" in compare_page(found, limit=5)
    assert "coast" not in found.plot(limit=7).svg


def test_the_map_of_one_is_marked_and_its_picture_explains_the_mark(atlas):
    for concept, marked in (("forest", True), ("desert", False)):
        found = atlas.map(concept)
        assert found.to_dict()["evidence"] == ("untested" if marked else "confirmed")
        text = text_of(map_table(found))
        for shown in (text, map_page(found), found.plot().svg):
            assert (f"{concept}*" in shown) is marked
        assert ("no open map confirms" in found.plot().svg) is marked


def test_a_release_that_nobody_tested_has_no_marks():
    found = make_atlas().place(48.85, 2.35)
    assert found.unconfirmed(7) == ()
    assert "*" not in text_of(place_table(found, limit=5))
