"""How the concepts of a score are sorted for people: nothing lost, nothing told twice, absences folded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from whyhere.prediction import ConceptContribution
from whyhere.reasons import ABSENCES, DECIDING_SHARE, REMAINDER, decides, reasons_of, shared


def concept(id, contribution, *, strength=1.0, evidence="confirmed"):
    return ConceptContribution(id, id, "any", contribution, strength, evidence)


def ids(parts):
    return [part.id for part in parts]


CONCEPTS = st.lists(
    st.builds(
        concept,
        st.uuids().map(str),
        st.floats(-1, 1).map(lambda value: round(value, 3)),
        strength=st.sampled_from([-1.0, -0.1, 0.0, 0.3, 1.0]),
        evidence=st.sampled_from(["", "confirmed", "untested", "contradicted"]),
    ),
    max_size=12,
)


@given(CONCEPTS, st.floats(-1, 1))
def test_every_concept_that_speaks_is_in_one_list_and_each_list_falls(parts, remainder):
    found = reasons_of(parts, remainder=remainder)
    lists = (found.speaking, found.against, found.absent, found.unconfirmed)
    told = [part for part_list in lists for part in part_list]
    assert sorted(ids(told)) == sorted(part.id for part in parts if part.contribution)
    for part_list in lists:
        sizes = [abs(part.contribution) for part in part_list]
        assert sizes == sorted(sizes, reverse=True)
    assert all(part.contribution > 0 for part in found.speaking)
    assert all(part.contribution < 0 for part in found.against)
    assert all(part.unconfirmed for part in found.unconfirmed)
    for part in (*found.speaking, *found.against):
        assert not part.unconfirmed
        assert part.strength >= 0 or decides(part, parts)


@given(CONCEPTS, st.floats(-1, 1))
def test_a_code_without_absences_has_none_folded(parts, remainder):
    shown = [replace(part, strength=abs(part.strength)) for part in parts]
    found = reasons_of(shown, remainder=remainder)
    assert found.absent == ()
    assert ABSENCES not in found.rests_on


def test_an_absence_is_told_where_it_decides():
    for share, told in ((DECIDING_SHARE + 0.01, True), (DECIDING_SHARE - 0.01, False)):
        parts = [concept("snow", share, strength=-0.5), concept("palm", 1 - share), concept("fog", -5.0)]
        found = reasons_of(parts, remainder=0.0)
        assert ("snow" in ids(found.speaking)) is told
        assert ("snow" in ids(found.absent)) is not told


@pytest.mark.parametrize(
    ("absent", "shown", "remainder", "expected"),
    [
        (0.4, 0.6, 0.0, ()),
        (0.6, 0.4, 0.0, (ABSENCES,)),
        (0.1, 0.9, 1.5, (REMAINDER,)),
        (0.6, 0.4, 1.5, (ABSENCES, REMAINDER)),
        (0.4, 0.6, 0.9, ()),
        (0.4, 0.6, -3.0, ()),
    ],
)
def test_what_a_score_rests_on(absent, shown, remainder, expected):
    parts = [concept("snow", absent, strength=-1.0), concept("palm", shown)]
    assert reasons_of(parts, remainder=remainder).rests_on == expected


def test_what_speaks_for_every_place_is_shared():
    here = reasons_of([concept("palm", 0.9), concept("coast", 0.5), concept("fog", 0.4)], remainder=0.0)
    there = reasons_of([concept("coast", 0.3), concept("reef", 0.2), concept("palm", 0.1)], remainder=0.0)
    assert shared([here, there], limit=2) == {"coast"}
    assert shared([here, there], limit=3) == {"coast", "palm"}
    assert shared([here, there], limit=0) == shared([here], limit=3) == frozenset()
