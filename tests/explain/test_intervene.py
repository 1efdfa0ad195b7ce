"""Interventions change what they name and nothing else, and refuse what they do not know."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest
from explain_world import GROUPS, LABELS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whyhere import UsageError
from whyhere.alignment import ImageCode
from whyhere.concepts import ConceptLabel, load_bank
from whyhere.explain import intervene, strengths
from whyhere.stats import total_variation

CODES = st.builds(
    ImageCode,
    z_img=arrays(np.float32, len(LABELS), elements=st.floats(-2, 2, width=32)).filter(np.any),
    residual=arrays(np.float32, 4, elements=st.floats(-1, 1, width=32)),
)
NAMES = st.sampled_from([label.id for label in LABELS])


def a_code(*values: float) -> ImageCode:
    z = np.zeros(len(LABELS), np.float32)
    z[: len(values)] = values
    return ImageCode(z, np.ones(4, np.float32))


@given(CODES)
def test_asking_for_nothing_changes_nothing(code):
    done = intervene(code, LABELS)
    assert done.code is code
    assert done.changes == ()
    assert not done.remainder_removed


@given(CODES, st.lists(NAMES, unique=True))
def test_without_zeroes_the_named_concepts_and_no_other(code, names):
    done = intervene(code, LABELS, without=names)
    for column, label in enumerate(LABELS):
        expected = 0.0 if label.id in names else code.z_img[column]
        assert done.code.z_img[column] == expected
    assert np.array_equal(done.code.residual, code.residual)
    shown = {label.id for column, label in enumerate(LABELS) if code.z_img[column]}
    assert {change.id for change in done.changes} == shown & set(names)
    assert all(change.after == 0.0 for change in done.changes)


@given(CODES, st.lists(st.sampled_from(GROUPS), min_size=1, unique=True), st.booleans())
def test_only_keeps_the_named_groups(code, groups, remainder):
    done = intervene(code, LABELS, only=groups, remainder=remainder)
    kept = np.array([label.group in groups for label in LABELS])
    assert np.array_equal(done.code.z_img, np.where(kept, code.z_img, 0))
    assert np.array_equal(done.code.residual, code.residual if remainder else np.zeros(4))
    assert done.remainder_removed is not remainder


@given(CODES, NAMES)
def test_setting_a_concept_to_its_own_strength_keeps_every_bit(code, name):
    column = [label.id for label in LABELS].index(name)
    done = intervene(code, LABELS, set_={name: float(strengths(code)[column])})
    assert done.code is code
    assert done.untouched == (LABELS[column].name,)


def test_strengths_are_shares_of_the_strongest_concept():
    code = a_code(0.5, -2.0, 1.0)
    assert strengths(code)[:4].tolist() == [0.25, -1.0, 0.5, 0.0]
    done = intervene(code, LABELS, set_={"Thing 0": 1.0, "thing_3": 0.5})
    assert done.code.z_img[:4].tolist() == [2.0, -2.0, 1.0, 1.0]
    assert [(c.id, c.before, c.after) for c in done.changes] == [
        ("thing-0", 0.25, 1.0),
        ("thing-3", 0.0, 0.5),
    ]
    assert not strengths(a_code()).any()


def test_setting_comes_after_keeping_and_removing():
    done = intervene(a_code(1, 1, 1), LABELS, only=["landform"], without=["thing-1"], set_={"thing-0": 0.5})
    assert done.code.z_img[:3].tolist() == [0.5, 0.0, 0.0]


def test_a_group_can_be_removed_by_name():
    done = intervene(a_code(1, 1, 1, 1), LABELS, without=["WATER"])
    assert done.code.z_img[:4].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert done.untouched == ()


def test_synonyms_of_the_bank_are_known_where_the_release_has_the_concept():
    bank = load_bank()
    concept = next(concept for concept in bank if concept.synonyms)
    labels = (ConceptLabel(concept.id, concept.name, "water", "A test.", "text"), *LABELS[1:])
    for options in ({"without": [concept.synonyms[0].upper()]}, {"set_": {concept.synonyms[0]: 0.0}}):
        assert [c.id for c in intervene(a_code(1, 1), labels, **options).changes] == [concept.id]
    with pytest.raises(UsageError, match="no concept or group of this release"):
        intervene(a_code(1), LABELS, without=[concept.synonyms[0]])


def test_a_group_wins_over_a_synonym_and_a_name_over_both():
    bank = load_bank()
    concept = next(concept for concept in bank if concept.synonyms)
    called, other = concept.synonyms[0], LABELS[0]
    grouped = (
        ConceptLabel(concept.id, concept.name, "water", "A test.", "text"),
        *(msgspec.structs.replace(label, group=called) for label in LABELS[1:]),
    )
    assert {c.id for c in intervene(a_code(1, 1, 1), grouped, without=[called]).changes} == {
        "thing-1", "thing-2",
    }  # fmt: skip
    named = (grouped[0], msgspec.structs.replace(other, name=called), *grouped[2:])
    assert [c.id for c in intervene(a_code(1, 1), named, without=[called]).changes] == [other.id]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"without": ["thing 99"]}, "no concept or group of this release is called 'thing 99'"),
        ({"without": ["thing"]}, "did you mean thing-0"),
        ({"only": ["thing-1"]}, "no group of concepts is called 'thing-1'; groups: animals, landform, water"),
        ({"set_": {"water": 1.0}}, "no concept of this release is called 'water'"),
        ({"set_": {"thing-1": float("nan")}}, "finite"),
        ({"set_": {"thing-1": 1.0}, "without": ["Thing 1"]}, "named twice"),
        ({"set_": {"thing-1": 1.0, "Thing 1": 0.5}}, "named twice"),
        ({"without": "thing-1"}, "into a list"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(options, words):
    with pytest.raises(UsageError, match=words):
        intervene(a_code(1), LABELS, **options)


def test_a_photo_that_shows_nothing_has_no_unit_of_strength():
    with pytest.raises(UsageError, match="shows no concept"):
        intervene(a_code(), LABELS, set_={"thing-1": 1.0})


def test_the_code_that_was_given_is_never_written_to():
    code = a_code(1, 2)
    before = dataclasses.replace(code, z_img=code.z_img.copy())
    intervene(code, LABELS, without=["thing-0"], remainder=False)
    assert np.array_equal(code.z_img, before.z_img)
    assert code.residual.all()


@given(arrays(np.float64, 9, elements=st.floats(0.01, 1)), arrays(np.float64, 9, elements=st.floats(0.01, 1)))
def test_total_variation_is_the_largest_difference_of_any_area(p, q):
    p, q = p / p.sum(), q / q.sum()
    subsets = (np.arange(2**9)[:, None] >> np.arange(9)) & 1
    assert total_variation(p, q) == pytest.approx(np.abs(subsets @ (p - q)).max(), abs=1e-12)
