"""Each test of the scorecard on worlds with a known verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from faithful_world import ColourTower, K, lookup, lookup_shifted, remainder_only, world
from msgspec import structs

from whyhere.concepts import ConceptLabel
from whyhere.evaluation.faithfulness import NeedsTraining, Outcome, Settings, Table, evidence, run_tests

FEW = Settings(draws=5, resamples=300, stability_photos=12, region_photos=6)


@pytest.fixture(scope="module")
def study():
    return world()


@pytest.fixture(scope="module")
def lines(study):
    found = run_tests(study, FEW, only=(1, 2, 4, 5, 6, 7), lookup=lookup)
    return {line.number: line for line in found}


def test_a_faithful_alignment_passes(lines):
    assert {number: line.verdict for number, line in lines.items() if number != 7} == dict.fromkeys(
        (1, 2, 4, 5, 6), "passes"
    )


def test_shuffled_names_fail_the_lines_that_names_matter_for(study):
    found = {line.number: line for line in run_tests(study, FEW, only=(1, 2, 4), lookup=lookup_shifted)}
    assert found[2].verdict == "fails"
    assert found[4].verdict == "fails"
    assert found[1].verdict == "passes"  # names carry no accuracy: that is why line 1 alone proves nothing


def test_shuffled_names_are_also_the_control_inside_the_lines(lines):
    figure = lines[2].figure("removing a concept, by its own name")
    assert figure.difference.low > 0
    assert abs(figure.control.value) < figure.value.value / 3
    median = lines[4].figure("median AUROC over concepts")
    assert median.value.value > 0.9
    assert median.control.high < 0.75


def test_an_alignment_that_decides_by_its_remainder_fails(study):
    blind = remainder_only(study)
    found = {line.number: line for line in run_tests(blind, FEW, only=(1, 5), lookup=lookup)}
    assert found[1].verdict == "fails"
    assert found[5].verdict == "fails"
    whole = found[1].figure("whole score, within 2500 km").value.value
    assert whole > found[1].figure("all concepts, within 2500 km").value.value + 20


def test_more_concepts_locate_no_worse_in_a_world_of_two_concepts_a_photo(lines):
    curve = lines[1].table("curve")
    points = curve.column("GeoScore")
    assert curve.column("concepts kept") == [1, 5, 10, 20, "all"]
    assert points[0] < points[1]
    assert points[2] == pytest.approx(points[4], rel=0.05)


def test_without_a_remainder_concepts_make_the_whole_score():
    line = run_tests(world(noise=0.0, photos=20), FEW, only=(5,))[0]
    share = line.figure("part of the variance of scores over places that named concepts make")
    # The sparse code's penalty shrinks the coefficients a little; what it leaves over is the remainder.
    assert share.value.value == pytest.approx(100, abs=5)


def test_the_code_tells_the_place_and_dealt_out_places_do_not(lines):
    figure = lines[5].figure("probe: place from concepts (z_img)")
    assert figure.value.low > 0.5
    assert figure.control.high < 0.2


def test_a_fragile_tower_fails_stability(study):
    rows = np.array(study.features)
    line = run_tests(replace(study, embed=ColourTower(rows, fragile=True)), FEW, only=(6,))[0]
    assert line.verdict != "passes"
    assert line.figure("overlap of the top 10 concepts").difference.low <= 0
    steady = run_tests(study, FEW, only=(6,))[0]
    assert steady.figure("overlap of the top 10 concepts").value.value == pytest.approx(100)
    assert steady.figure("shift of the answer, median").value.value == 0


def test_heads_of_other_folds_are_a_change_too(study):
    other = replace(study.alignments[0], penalty=0.02)
    folds = np.arange(len(study.photos)) % 2
    line = run_tests(
        replace(study, alignments=(*study.alignments, other), rankings=study.rankings * 2, fold_of=folds),
        FEW,
        only=(6,),
    )[0]
    assert "head trained on other photos" in line.table("changes").column("change")


def test_overconfident_probabilities_fail(study):
    wild = replace(study, fold_of=study.fold_of, rankings=(replace(study.rankings[0], temperature=1e-4),))
    line = run_tests(wild, FEW, only=(7,))[0]
    assert line.verdict == "fails"
    small = line.figure("50 % region: area, median").value.value
    modest = run_tests(study, FEW, only=(7,))[0].figure("50 % region: area, median").value.value
    assert small < modest


def test_regions_of_answers_to_other_photos_hold_nothing_more(study):
    dealt = replace(study, features=study.features[7:] + study.features[:7])
    held = run_tests(dealt, FEW, only=(7,))[0].figure("50 % region: holds the truth")
    assert held.difference.low < 20
    own = run_tests(study, FEW, only=(7,))[0].figure("50 % region: holds the truth")
    assert own.difference.low > 40


@dataclass(frozen=True)
class Areas:
    deletion_area: float
    random_deletion_area: float
    insertion_area: float
    random_insertion_area: float


def regions(better: float):
    def test(image, alignment, ids, seed):
        rng = np.random.default_rng(seed)
        return [Areas(0.3, 0.3 + better + 0.01 * rng.normal(), 0.5 + better, 0.5) for _ in ids]

    return test


@pytest.mark.parametrize(("better", "verdict"), [(0.1, "passes"), (-0.1, "fails")])
def test_image_regions_must_beat_random_ones(study, better, verdict):
    line = run_tests(study, FEW, only=(3,), region_test=regions(better))[0]
    assert line.verdict == verdict
    figure = line.figure("insertion: concept's region beyond random regions")
    assert figure.value.value == pytest.approx(better)


def test_lines_that_cannot_be_run_say_why(study):
    line = run_tests(replace(study, embed=None, files=()), FEW, only=(3, 6))
    assert [one.verdict for one in line] == ["not run", "not run"]
    nothing = run_tests(study, FEW, only=(2, 4), lookup=lambda concept_id: None)
    assert [one.verdict for one in nothing] == ["not run", "not run"]
    assert "Only 0 concepts" in nothing[0].reason


def test_the_seed_decides_everything():
    small = world(photos=12, count=500)
    few = replace(FEW, draws=2, stability_photos=6, support=2)
    first = [line.to_dict() for line in run_tests(small, few, lookup=lookup, region_test=regions(0.1))]
    again = [line.to_dict() for line in run_tests(small, few, lookup=lookup, region_test=regions(0.1))]
    other = run_tests(small, replace(few, seed=1), only=(1,))[0].to_dict()
    for line in (*first, *again, other):
        line["seconds"] = 0
    assert first == again
    assert other != first[0]


def test_random_banks_that_need_training_come_from_the_study(study):
    class Foreign:
        """An alignment of another kind: nothing but the algebra that all share."""

        def __init__(self, inner):
            self._inner = inner
            self.concept_ids = inner.concept_ids

        def __getattr__(self, name):
            algebra = {"basis", "location_mean", "norms", "factors", "place_codes", "place_rests"}
            if name in {"encode_image", "scores", "contributions", "location_concepts", "grounded", *algebra}:
                return getattr(self._inner, name)
            raise AttributeError(name)

    own = Foreign(study.alignments[0])
    blind = Foreign(remainder_only(study).alignments[0])
    without = run_tests(replace(study, alignments=(own,), release=own), FEW, only=(1,))[0]
    assert without.verdict == "undecided"
    assert any("--held-out DIR/random" in note for note in without.notes)
    trained = replace(study, alignments=(own,), release=own, random_sets=((blind,), (blind,)))
    line = run_tests(trained, FEW, only=(1,))[0]
    assert line.verdict == "passes"
    same = run_tests(study, FEW, only=(1,))[0]
    assert line.table("curve").column("median km") == same.table("curve").column("median km")


def test_every_concept_with_a_reference_has_its_row(lines):
    table = lines[4].table("concepts")
    assert len(table.rows) == K
    assert min(table.column("AUROC")) > 0.75
    assert set(lines[2].table("concepts").column("concept")) <= {f"Concept {j}" for j in range(K)}
    assert all(value > 0 for value in lines[2].table("concepts").column("effect of removing"))


def test_needs_training_is_a_usage_error():
    assert NeedsTraining.exit_code == 2


def row_table(columns, *rows) -> Outcome:
    return Outcome(2, "", "", "passes", "", tables=(Table("concepts", "", columns, rows),))


def test_evidence_joins_what_intervention_and_maps_say():
    labels = [ConceptLabel(f"id-{name}", name, "landform", "", "text") for name in "abcdef"]
    moved = row_table(
        ("concept", "photos", "difference", "low", "high"),
        *(
            ("a", 9, 0.2, 0.1, 0.3),
            ("b", 9, 0.2, 0.1, 0.3),
            ("c", 9, 0.1, -0.1, 0.3),
            ("d", 9, -0.2, -0.3, -0.1),
        ),
    )
    maps = row_table(
        ("concept", "AUROC", "low", "high"),
        *(("a", 0.8, 0.7, 0.9), ("b", 0.3, 0.2, 0.4), ("c", 0.8, 0.7, 0.9), ("e", 0.8, 0.7, 0.9)),
    )
    table, summary = evidence(labels, [moved, structs.replace(maps, number=4)])
    said = dict(zip(table.column("id"), table.column("evidence"), strict=True))
    assert said == {
        "id-a": "confirmed",
        "id-b": "contradicted",
        "id-c": "undecided",
        "id-d": "contradicted",
        "id-e": "confirmed",
        "id-f": "untested",
    }
    assert summary.rows[0] == ("confirmed", 2, "a, e")
    assert evidence(labels, []) == ()
