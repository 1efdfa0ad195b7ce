"""Explanations of a small world and of the real release: they add up, and they say what the scores say."""

from __future__ import annotations

import dataclasses
import io
import json

import jsonschema
import msgspec
import numpy as np
import pytest
from explain_world import LABELS, code_of, small_locator
from PIL import Image

from whyhere import Locator, MissingFileError, UsageError
from whyhere.geo import great_circle_km
from whyhere.report import explanation_schema


@pytest.fixture(params=["linear", "caam"])
def locator(request) -> Locator:
    return small_locator(request.param)


def photo_bytes(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((300, 240), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def row_of(locator, place):
    gallery = locator.parts.gallery
    (row,) = np.flatnonzero((gallery.lat == place.lat) & (gallery.lon == place.lon))
    return row


def check_sums(locator, code, explanation):
    """Everything that must add up, against the scores of the release itself."""
    scores = locator.parts.alignment.scores(code, locator.parts.gallery.embeddings)
    places = [explanation.here] + ([explanation.contrast.there] if explanation.contrast else [])
    for place in places:
        assert sum(g.contribution for g in place.groups) + place.remainder == pytest.approx(
            scores[row_of(locator, place)], abs=1e-5
        )
        assert place.score == pytest.approx(scores[row_of(locator, place)], abs=1e-5)
        for group in place.groups:
            assert sum(c.contribution for c in group.concepts) == pytest.approx(group.contribution, abs=1e-9)
        landmarks = {landmark.id for landmark in locator.parts.landmarks}
        named = sorted(c.id for c in place.concepts if c.id not in landmarks)
        assert named == sorted(locator.parts.alignment.concept_ids)
    if explanation.contrast:
        found = explanation.contrast
        here, there = (scores[row_of(locator, place)] for place in places)
        total = sum(group.contribution for group in found.groups) + found.remainder
        assert total == pytest.approx(float(here) - float(there), abs=1e-5)
        assert found.score == pytest.approx(float(here) - float(there), abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_everything_adds_up_to_the_scores(locator, seed):
    code = code_of(locator, seed)
    explanation = locator.explain(code, versus=2, without=["water"])
    check_sums(locator, code, explanation)
    found = explanation.intervention
    parts = sum(group.contribution for group in found.here.groups) + found.here.remainder
    assert parts == pytest.approx(found.here.score, abs=1e-5)


def test_the_first_answer_is_explained_with_its_own_numbers(locator):
    explanation = locator.explain(photo_bytes(1), name="a.jpg")
    prediction = locator.locate(photo_bytes(1), name="a.jpg")
    best = prediction.answers[0]
    assert explanation.prediction == prediction
    assert (explanation.here.lat, explanation.here.lon, explanation.here.rank) == (best.lat, best.lon, 1)
    assert explanation.here.probability == best.probability
    assert explanation.here.score == best.score
    assert [c.contribution for c in explanation.here.concepts] == [c.contribution for c in best.concepts]
    assert explanation.contrast is None
    assert explanation.intervention is None


def test_a_photo_and_its_code_are_explained_alike(locator):
    photo = photo_bytes(2)
    code = locator.encode(photo)
    features = locator.features(photo)
    assert np.array_equal(code.z_img, locator.parts.alignment.encode_image(features).z_img)
    assert locator.explain(code, name="x", without=["thing-1"]) == locator.explain(
        photo, name="x", without=["thing-1"]
    )
    assert locator.answer_code(code, name="x") == locator.locate(photo, name="x")


def test_probabilities_of_a_code_are_those_behind_its_answers(locator):
    code = code_of(locator, 3)
    probabilities = locator.probabilities(code)
    assert probabilities.shape == locator.cells.cells.shape
    assert probabilities.sum() == pytest.approx(1.0)
    surface = locator.answer_code(code).surface
    assert surface[0].probability == probabilities.max()


def test_versus_is_antisymmetric_to_the_last_bit(locator):
    code = code_of(locator, 4)
    forth = locator.explain(code, at=1, versus=3)
    back = locator.explain(code, at=3, versus=1)
    assert forth.contrast.score == -back.contrast.score
    assert forth.contrast.remainder == -back.contrast.remainder
    assert {g.name: g.contribution for g in forth.contrast.groups} == {
        g.name: -g.contribution for g in back.contrast.groups
    }
    there = {c.id: -c.difference for g in back.contrast.groups for c in g.concepts}
    assert {c.id: c.difference for g in forth.contrast.groups for c in g.concepts} == there
    assert msgspec.structs.replace(forth.contrast.there, how="", asked="") == msgspec.structs.replace(
        back.here, how="", asked=""
    )


def test_changes_that_change_nothing_give_the_same_answers_to_the_last_bit(locator):
    code = code_of(locator, 5)
    plain = locator.explain(code)
    own = {concept.id: concept.strength for concept in plain.here.concepts}
    for options in ({"set_": own}, {"only": sorted({label.group for label in LABELS})}):
        found = locator.explain(code, **options).intervention
        assert found.after == plain.prediction
        assert found.here == plain.here
        assert found.changes == ()
        assert (found.shift_km, found.total_variation) == (0.0, 0.0)
        assert found.probability_before == found.probability_after


def test_a_change_is_measured_as_two_separate_runs_would(locator):
    code = code_of(locator, 6)
    explanation = locator.explain(code, without=["thing-0", "thing-4", "thing-7"])
    found = explanation.intervention
    z = code.z_img.copy()
    z[[0, 4, 7]] = 0
    changed = dataclasses.replace(code, z_img=z)
    before, after = locator.answer_code(code), locator.answer_code(changed)
    assert explanation.prediction == before
    assert found.after == after
    p, q = locator.probabilities(code), locator.probabilities(changed)
    assert found.total_variation == pytest.approx(np.abs(p - q).sum() / 2)
    assert found.total_variation > 0
    a, b = before.answers[0], after.answers[0]
    assert found.shift_km == pytest.approx(great_circle_km(a.lat, a.lon, b.lat, b.lon))
    # The best answer's own probability, up to what a denser neighbour has counted already.
    assert found.probability_before >= a.probability - 1e-12
    check_sums(locator, changed, msgspec.structs.replace(explanation, here=found.here))


def test_the_area_of_a_single_place_is_that_of_its_answer(locator):
    code = code_of(locator, 7)
    far = locator.explain(code, radius_km=1.0, without=["thing-0"])
    assert far.intervention.probability_before == far.prediction.answers[0].probability


@pytest.mark.parametrize("everything", [[label.id for label in LABELS], ["water", "landform", "animals"]])
def test_nothing_left_to_answer_from_is_refused(locator, everything):
    with pytest.raises(UsageError, match="nothing is left to answer from"):
        locator.explain(code_of(locator, 8), without=everything, remainder=False)
    locator.explain(code_of(locator, 8), without=everything)


def test_places_are_chosen_as_asked(locator):
    code = code_of(locator, 9)
    gallery = locator.parts.gallery
    scores = locator.parts.alignment.scores(code, gallery.embeddings)
    near = locator.explain(code, at=(gallery.lat[17] + 0.01, gallery.lon[17])).here
    assert row_of(locator, near) == 17
    assert near.how == "nearest"
    assert near.asked_km == pytest.approx(1.112, abs=0.01)
    inside = np.flatnonzero((gallery.lat > 0) & (gallery.lon > 0))
    best = locator.explain(code, at="0,0,90,180").here
    assert row_of(locator, best) == inside[scores[inside].argmax()]
    assert (best.how, best.asked_km) == ("best in", None)
    third = locator.explain(code, at=3)
    assert third.here.rank == 3
    assert third.here.probability == third.prediction.answers[2].probability


def test_with_a_region_only_places_in_it_are_explained(locator):
    code, box = code_of(locator, 9), "0,0,90,180"
    gallery = locator.parts.gallery
    scores = locator.parts.alignment.scores(code, gallery.embeddings)
    inside = np.flatnonzero((gallery.lat >= 0) & (gallery.lon >= 0))
    explanation = locator.explain(code, region=box, at=(-10, -20), versus="-90,-180,45,180")
    assert explanation.prediction == locator.answer_code(code, region=box)
    near = inside[great_circle_km(-10, -20, gallery.lat[inside], gallery.lon[inside]).argmin()]
    assert row_of(locator, explanation.here) == near
    both = inside[gallery.lat[inside] <= 45]
    assert row_of(locator, explanation.contrast.there) == both[scores[both].argmax()]
    assert explanation.prediction.assumptions.region is not None
    jsonschema.validate(explanation.to_dict(), explanation_schema())
    with pytest.raises(
        UsageError, match=f"none of the {len(inside)} places that can be answered .* restricted"
    ):
        locator.explain(code, region=box, at="-90,-180,-1,-1")


def test_every_part_of_an_explanation_is_plain_values(locator):
    found = locator.explain(code_of(locator, 3), versus=2, without=["thing-1"])
    data = found.to_dict()
    parts = (
        (found.contrast, data["versus"]),
        (found.contrast.groups[0].concepts[0], data["versus"]["difference"]["groups"][0]["concepts"][0]),
        (found.intervention, data["intervention"]),
        (found.intervention.changes[0], data["intervention"]["changes"][0]),
    )
    for part, expected in parts:
        assert json.loads(json.dumps(part.to_dict(), allow_nan=False)) == json.loads(json.dumps(expected))
    assert data["here"] == json.loads(json.dumps(found.here.taken_apart(), allow_nan=False))
    assert (data["here"]["score"], data["here"]["place"]["name"]) == (found.here.score, found.here.place.name)


def test_what_cannot_be_explained_is_refused(locator):
    code = code_of(locator, 10)
    with pytest.raises(UsageError, match="the very one that is explained"):
        locator.explain(code, versus=1)
    with pytest.raises(UsageError, match="there is no answer 6, only 5; ask for more: --top 6"):
        locator.explain(code, at=6)
    assert locator.explain(code, at=6, top=6).here.rank == 6
    for options in ({"without": ["no-such-thing"]}, {"at": "91,0"}, {"versus": "Xqzzyville"}, {"top": 0}):
        with pytest.raises(UsageError):
            locator.explain("does-not-exist.jpg", **options)


def test_json_follows_the_schema(locator):
    code = code_of(locator, 11)
    for options in ({}, {"versus": "0,0"}, {"set_": {"thing-2": 2.0}, "only": ["water"], "remainder": False}):
        data = json.loads(json.dumps(locator.explain(code, **options).to_dict(), allow_nan=False))
        jsonschema.validate(data, explanation_schema())
        assert "surface" not in json.dumps(data)


def test_plots_are_well_formed_and_hold_the_numbers(locator, tmp_path):
    from lxml import etree

    for options in ({}, {"versus": 2}):
        explanation = locator.explain(code_of(locator, 12), **options)
        picture = explanation.plot()
        root = etree.fromstring(picture.save(tmp_path / "why.svg").read_bytes())
        texts = {element.text for element in root.iter("{*}text")}
        shown = explanation.contrast or explanation.here
        assert f"{shown.score:+.4f}" in texts
        assert f"{shown.remainder:+.4f}" in texts
        strengths = {part.id: part.strength for part in explanation.here.concepts}
        active = {group.name for group in shown.groups if any(strengths[c.id] for c in group.concepts)}
        assert active
        assert active <= texts
        assert picture._repr_svg_() == picture.svg
    with pytest.raises(UsageError, match=r"\.svg, \.png"):
        picture.save(tmp_path / "why.xyz")
    assert picture.save(tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")


def test_an_explanation_shows_and_saves_itself(locator, tmp_path):
    from lxml import html

    for options in ({}, {"versus": 2}, {"without": [locator.parts.concepts[0].id]}):
        found = locator.explain(code_of(locator, 12), name="a <photo>.jpg", **options)
        lines = repr(found).splitlines()
        assert len(lines) == 3
        assert "a <photo>.jpg" in lines[0]
        assert ("rather than" in lines[2]) == ("versus" in options)
        shown = html.fragment_fromstring(found._repr_html_())
        assert "a <photo>.jpg" in shown.text_content()
        assert len(shown.findall(".//svg")) == 1
        assert json.loads(found.save(tmp_path / "a.json").read_text()) == json.loads(
            json.dumps(found.to_dict())
        )
        for suffix in (".html", ".txt", ".svg", ".png"):
            assert found.save(tmp_path / f"a{suffix}").stat().st_size > 500


def test_regions_need_a_photo_and_a_tower_that_can_be_traced(locator):
    with pytest.raises(UsageError, match="give the photo instead of its code"):
        locator.explain(code_of(locator, 1), regions=1)
    with pytest.raises(MissingFileError, match="only by releases"):
        locator.explain("does-not-exist.jpg", regions=1)


@pytest.mark.weights
def test_the_real_release_shows_regions_of_what_speaks_most(base_release):
    locator = Locator.from_release("base")
    shown = 0
    for seed in range(4):
        plain = locator.explain(photo_bytes(seed))
        explanation = locator.explain(photo_bytes(seed), regions=2)
        shown_by_photo = [part for part in plain.here.concepts if part.group != "landmark"]
        seen = [part.id for part in shown_by_photo if part.contribution > 0 and part.strength > 0]
        assert [picture.concept_id for picture in explanation.regions] == seen[:2]
        assert msgspec.structs.replace(explanation, regions=()) == plain
        for picture in explanation.regions:
            assert Image.open(io.BytesIO(picture.png)).format == "PNG"
            shown += 1
    assert shown
    assert locator.tracing_tower() is locator.tracing_tower()


@pytest.mark.weights
def test_explanations_of_the_real_release_add_up(base_release):
    locator = Locator.from_release("base")
    group = locator.parts.concepts[0].group
    for seed in range(3):
        code = locator.encode(photo_bytes(seed))
        for options in (
            {"versus": "Suva"},
            {"at": "Japan", "versus": "64.1,-21.9"},
            {"at": 2, "without": [group]},
            {"set_": {locator.parts.concepts[5].name: 1.0}},
        ):
            explanation = locator.explain(code, **options)
            check_sums(locator, code, explanation)
            jsonschema.validate(explanation.to_dict(), explanation_schema())


class TestHints:
    @pytest.fixture
    def hinted(self, monkeypatch):
        """A small world in which every hint means one direction of the image embeddings."""
        from whyhere import _predict
        from whyhere._hints import Hint
        from whyhere.concepts import TextDirection

        vector = np.ones(32, np.float32) / np.float32(32**0.5)
        monkeypatch.setattr(
            _predict, "read_hint", lambda text: Hint(text, (), TextDirection(vector, (text,), ()), ())
        )
        return small_locator(tower_name="clip-vit-b16")

    def test_a_hint_moves_probability_towards_what_fits_it_and_no_further_than_it_may(self, hinted):
        from whyhere.ranking import HINT_STRENGTH

        code = code_of(hinted, 1)
        plain, nudged = hinted.probabilities(code), hinted.probabilities(code, hint="beach")
        assert nudged.sum() == pytest.approx(1.0)
        odds = nudged / plain
        assert 2 < odds.max() / odds.min() <= HINT_STRENGTH * (1 + 1e-9)
        explanation = hinted.explain(code, hint="beach", without=["thing-0"])
        assert explanation.to_dict()["assumptions"]["hint"]["text"] == "beach"
        assert explanation.prediction == hinted.answer_code(code, hint="beach")
        photos = [photo_bytes(1), photo_bytes(2)]
        alone = [hinted.locate(photo, hint="beach") for photo in photos]
        assert list(hinted.locate_many(photos, hint="beach")) == alone
        assert alone[0] != hinted.locate(photos[0])

    def test_a_hint_does_not_make_a_place_stand_out(self, hinted):
        code = code_of(hinted, 1)
        best = hinted.answer_code(code, hint="beach").answers[0]
        unhinted = {a.lat: a.probability for a in hinted.answer_code(code, top=400, radius_km=1.0).answers}
        assert unhinted[best.lat] < best.probability
        middle = (unhinted[best.lat] + best.probability) / 2
        ranking = dataclasses.replace(hinted.parts.ranking, abstain_below=middle, radius_km=1.0)
        strict = Locator(dataclasses.replace(hinted.parts, ranking=ranking))
        assert strict.answer_code(code, hint="beach").answers[0].probability > middle
        assert strict.answer_code(code, hint="beach").abstained

    @pytest.mark.parametrize("name", ["", "clip-vit-b32"])
    def test_releases_of_another_image_tower_take_no_hints(self, hinted, name):
        # The direction would fit: only the name of the tower says that it means something else.
        other = small_locator(tower_name=name)
        with pytest.raises(UsageError, match=r"takes no words as hints.*clip-vit-b16"):
            other.explain(code_of(other, 1), hint="beach")

    def test_a_hint_of_unknown_words_is_refused(self, hinted, monkeypatch):
        monkeypatch.undo()
        with pytest.raises(UsageError):
            small_locator().hint_words("xqzzy")
        assert small_locator().hint_words("beach xqzzy").unknown == ("xqzzy",)
