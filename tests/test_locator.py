"""The locator joins the stages: any input, any order, any batch, one answer per photo."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from whyhere import Locator, PhotoError, UsageError
from whyhere._parts import Parts
from whyhere.alignment import LinearAlignment
from whyhere.concepts import ConceptLabel
from whyhere.encoders import TowerOutput
from whyhere.gallery import Gallery
from whyhere.images import PreprocessSpec
from whyhere.prediction import ReleaseCard
from whyhere.ranking import RankingConfig
from whyhere.report import prediction_schema

DIM, CONCEPTS, PLACES = 32, 7, 400


class MeanColourTower:
    """A tower whose embedding is a fixed random projection of coarse colours: depends on one photo alone."""

    image_size = 224
    dim = DIM

    def __init__(self) -> None:
        self.batches: list[int] = []
        self._projection = np.random.default_rng(0).normal(size=(3 * 49, DIM)).astype(np.float32)

    def embed_only(self, pixels):
        self.batches.append(len(pixels))
        coarse = pixels.reshape(len(pixels), 3, 7, 32, 7, 32).mean(axis=(3, 5)).reshape(len(pixels), -1)
        return np.stack([row @ self._projection for row in coarse])

    def embed(self, pixels):
        return TowerOutput(self.embed_only(pixels), np.zeros((len(pixels), 1, 1), np.float32))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture
def locator() -> Locator:
    rng = np.random.default_rng(1)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, PLACES))), rng.uniform(-180, 180, PLACES)
    embeddings = unit(rng.normal(size=(PLACES, 512))).astype(np.float32)
    labels = tuple(ConceptLabel(f"c{j}", f"Concept {j}", "water", "A test.", "text") for j in range(CONCEPTS))
    alignment = LinearAlignment(
        concept_ids=tuple(label.id for label in labels),
        head=rng.normal(size=(512, DIM)).astype(np.float32),
        feature_mean=np.zeros(DIM, np.float32),
        location_mean=embeddings.mean(axis=0),
        directions=unit(rng.normal(size=(CONCEPTS, DIM))).T.astype(np.float32),
        scale=1.0,
        penalty=0.02,
    )
    return Locator(
        Parts(
            tower=MeanColourTower(),
            preprocessing=PreprocessSpec(views=7),
            gallery=Gallery(lat=lat, lon=lon, embeddings=embeddings, fingerprint="test"),
            alignment=alignment,
            ranking=RankingConfig(temperature=0.05, cell_resolution=3, radius_km=500.0, abstain_below=0.0),
            concepts=labels,
            card=ReleaseCard("tiny", "1.0", "A test.", "None.", (), ()),
        )
    )


def photo_bytes(seed: int, size=(300, 240)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def plain(prediction):
    return {key: value for key, value in prediction.to_dict().items() if key != "photo"}


def test_every_kind_of_input_gives_the_same_answer(locator, tmp_path):
    data = photo_bytes(1)
    path = tmp_path / "a photo.png"
    path.write_bytes(data)
    image = Image.open(io.BytesIO(data))
    sources = [data, io.BytesIO(data), path, str(path), image, np.asarray(image)]
    answers = [plain(locator.locate(source)) for source in sources]
    assert all(answer == answers[0] for answer in answers)


def test_contributions_and_remainder_add_up_to_the_score(locator):
    for seed in range(5):
        for answer in locator.locate(photo_bytes(seed)).answers:
            total = sum(concept.contribution for concept in answer.concepts) + answer.remainder
            assert total == pytest.approx(answer.score, abs=1e-5)
            values = [concept.contribution for concept in answer.concepts]
            assert values == sorted(values, reverse=True)
            assert len(values) == CONCEPTS


def test_an_answer_does_not_depend_on_the_other_photos(locator):
    photos = [photo_bytes(seed) for seed in range(11)]
    alone = [plain(locator.locate(photo)) for photo in photos]
    together = [plain(prediction) for prediction in locator.locate_many(photos)]
    backwards = [plain(prediction) for prediction in locator.locate_many(photos[::-1])][::-1]
    assert together == alone
    assert backwards == alone


def test_locate_many_is_lazy(locator):
    asked: list[int] = []

    def photos():
        for seed in range(100):
            asked.append(seed)
            yield photo_bytes(seed, size=(64, 64))

    predictions = locator.locate_many(photos())
    assert asked == []
    next(predictions)
    assert len(asked) < 10


def test_a_bad_photo_does_not_stop_the_others(locator):
    photos = [photo_bytes(0), b"not a photo", photo_bytes(1)]
    errors: list[PhotoError] = []
    assert len(list(locator.locate_many(photos, on_error=errors.append))) == 2
    assert len(errors) == 1
    with pytest.raises(PhotoError):
        list(locator.locate_many(photos))
    assert [isinstance(one, PhotoError) for one in locator.locate_each(photos)] == [False, True, False]


def test_json_follows_the_schema_and_survives_a_round_trip(locator):
    prediction = locator.locate(photo_bytes(3), name="x.jpg")
    data = json.loads(json.dumps(prediction.to_dict(), allow_nan=False))
    jsonschema.validate(data, prediction_schema())
    assert data["photo"] == "x.jpg"
    assert data["release"] == "tiny 1.0"


def test_region_restricts_answers_across_the_antimeridian(locator):
    for answer in locator.locate(photo_bytes(4), region="-40,150,20,-120", top=20).answers:
        assert -40 <= answer.lat <= 20
        assert answer.lon >= 150 or answer.lon <= -120
    inside = locator.locate(photo_bytes(4), region="-40,150,20,-120", top=1000, radius_km=1)
    assert sum(cell.probability for cell in inside.surface) == pytest.approx(1.0, abs=0.011)


@pytest.mark.parametrize(
    "options", [{"top": 0}, {"radius_km": 0.0}, {"radius_km": float("nan")}, {"region": "nowhere-land"}]
)
def test_senseless_arguments_are_refused_before_any_photo_is_read(locator, options):
    with pytest.raises(UsageError):
        locator.locate("does-not-exist.jpg", **options)
    with pytest.raises(UsageError):
        locator.locate_many(["does-not-exist.jpg"], **options)


def test_a_region_without_places_says_so(locator):
    with pytest.raises(UsageError, match="none of the 400 places"):
        locator.locate(photo_bytes(1), region="0.0,0.0,0.0001,0.0001")


def test_exif_position_is_shown_and_never_used(locator, tmp_path):
    image = Image.open(io.BytesIO(photo_bytes(9)))
    exif = Image.Exif()
    exif[0x8825] = {1: "S", 2: (17.0, 48.0, 0.0), 3: "E", 4: (179.0, 30.0, 0.0)}
    image.save(tmp_path / "with.png", exif=exif)
    image.save(tmp_path / "without.png")
    a, b = locator.locate(tmp_path / "with.png"), locator.locate(tmp_path / "without.png")
    assert b.exif_gps is None
    assert a.exif_gps is not None
    assert (a.exif_gps.lat, a.exif_gps.lon) == pytest.approx((-17.8, 179.5))
    assert a.answers == b.answers


def test_abstains_when_the_best_place_is_less_probable_than_the_rule_asks(locator):
    import dataclasses

    prediction = locator.locate(photo_bytes(2))
    best = prediction.answers[0].probability
    for threshold, abstained in ((best * 0.99, False), (best * 1.01, True)):
        ranking = dataclasses.replace(locator._parts.ranking, abstain_below=threshold)
        strict = Locator(dataclasses.replace(locator._parts, ranking=ranking))
        again = strict.locate(photo_bytes(2))
        assert again.abstained is abstained
        assert again.answers == prediction.answers


def test_a_region_does_not_make_a_place_stand_out(locator):
    import dataclasses

    free = locator.locate(photo_bytes(2))
    best = free.answers[0]
    box = f"{best.lat - 0.01},{best.lon - 0.01},{best.lat + 0.01},{best.lon + 0.01}"
    ranking = dataclasses.replace(locator._parts.ranking, abstain_below=best.probability * 1.5)
    inside = Locator(dataclasses.replace(locator._parts, ranking=ranking)).locate(photo_bytes(2), region=box)
    assert inside.answers[0].probability == pytest.approx(1.0)
    assert inside.abstained
    assert not locator.locate(photo_bytes(2), region=box).abstained


def test_one_photo_is_not_many(locator):
    with pytest.raises(UsageError, match="several photos"):
        locator.locate_many("photo.jpg")


def test_thumbnails_are_made_only_when_asked_for(locator, tmp_path: Path):
    assert locator.locate(photo_bytes(1)).thumbnail is None
    thumbnail = locator.locate(photo_bytes(1), with_thumbnail=True).thumbnail
    assert Image.open(io.BytesIO(thumbnail)).format == "JPEG"
