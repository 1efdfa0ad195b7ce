"""Predictions of any system: the schema, what is forgiven, what is reported, and which photo is meant."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whyhere.errors import MissingFileError, UsageError
from whyhere.evaluation import (
    Guess,
    SystemPrediction,
    predictions_schema,
    read_predictions,
    system_prediction,
)
from whyhere.geo import PlaceName
from whyhere.prediction import Answer, Prediction
from whyhere.report import stream
from whyhere.tables import NameIndex, PhotoFolder


def read(tmp_path: Path, *lines: object):
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path = tmp_path / "some-model.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return read_predictions(path)


def test_a_language_model_s_line(tmp_path):
    found = read(
        tmp_path,
        {
            "photo": "a.jpg",
            "lat": "48.85",
            "lon": 2.35,
            "confidence": 4,
            "country": "France",
            "city": "Paris",
            "reasoning": "Haussmann façades.",
            "seconds": 2.5,
            "tokens": 812,
        },
    )
    (prediction,) = found.predictions
    assert prediction == SystemPrediction(
        "a.jpg",
        (Guess(48.85, 2.35, confidence=4.0, country="France", city="Paris"),),
        seconds=2.5,
        reasoning="Haussmann façades.",
    )
    assert found.name == "some-model"
    assert not found.problems


def test_several_answers_and_the_system_s_name(tmp_path):
    answers = [{"lat": 1, "lon": 2, "probability": 0.5, "radius_km": 25}, {"lat": 3, "lon": 183}]
    found = read(tmp_path, {"photo": 7, "system": "guesser 2", "abstained": True, "answers": answers})
    (prediction,) = found.predictions
    assert found.name == "guesser 2"
    assert (prediction.photo, prediction.abstained) == ("7", True)
    assert prediction.guesses[0] == Guess(1.0, 2.0, probability=0.5, radius_km=25.0)
    assert (prediction.guesses[1].lat, prediction.guesses[1].lon) == (3.0, -177.0)


@pytest.mark.parametrize(
    "line",
    [
        {"photo": "a"},
        {"photo": "a", "lat": None, "lon": None},
        {"photo": "a", "answers": []},
        {"photo": "a", "lat": 3.0, "answers": []},
    ],
)
def test_no_answer_is_no_problem(tmp_path, line):
    found = read(tmp_path, line)
    assert found.predictions[0].guesses == ()
    assert not found.problems


def test_a_country_without_a_position_is_an_answer(tmp_path):
    (prediction,) = read(tmp_path, {"photo": "a", "country": "Peru"}).predictions
    assert prediction.guesses == (Guess(country="Peru"),)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (
            {"lat": 139.7, "lon": 35.7},
            "lat must be a number from -90 to 90, not '139.7'; are latitude and long",
        ),
        ({"lat": "north", "lon": 1}, "lat must be a number"),
        ({"lat": 1, "lon": True}, "lon must be a number"),
        ({"lat": 1, "lon": [2]}, "lon must be a number"),
        ({"lat": 1, "lon": 1, "probability": 87}, "probability must be a number from 0 to 1, not '87'"),
        ({"lat": 1, "lon": 1, "confidence": 0}, "confidence must be a number from 1 to 5"),
        ({"lat": 1, "lon": 1, "seconds": -1}, "seconds must be"),
        ({"lat": 1, "lon": 1, "country": 33}, "country must be text"),
        ({"lat": 1, "lon": 1, "abstained": "no"}, "abstained must be true or false"),
        ({"answers": {"lat": 1}}, "answers must be a list"),
        ({"answers": [3]}, "an answer must be an object"),
    ],
)
def test_values_that_make_no_sense_are_named_and_left_out(tmp_path, values, complaint):
    found = read(tmp_path, "", {"photo": "a", **values})
    (problem,) = found.problems
    assert (problem.kind, problem.line, problem.photo) == ("bad value", 2, "a")
    assert problem.reason.startswith(complaint)
    for guess in found.predictions[0].guesses:
        assert (guess.lat is None) == (guess.lon is None)


def test_bad_lines_do_not_spoil_the_others(tmp_path):
    lines = [
        "{",
        "[1]",
        '{"lat": 1}',
        '{"photo": "  "}',
        '{"photo": "b\udcff", "lat": NaN, "lon": 1}',
        '"a"',
        "[" * 9999,
    ]
    found = read(tmp_path, *lines, {"photo": "a", "lat": 1, "lon": 2})
    assert [(p.kind, p.line) for p in found.problems] == [
        *(("bad line", line) for line in (1, 2, 3, 4)),
        ("bad value", 5),
        ("bad line", 6),
        ("bad line", 7),
    ]
    assert [p.photo for p in found.predictions] == ["b\ufffd", "a"]


@pytest.mark.parametrize("text", ["", "\n", "{\n}\n", "photo,lat,lon\na,1,2\n"])
def test_a_file_without_predictions_says_what_is_expected(tmp_path, text):
    with pytest.raises(UsageError, match="expected JSON lines, each an object such as"):
        read(tmp_path, text.rstrip("\n"))


def test_missing_file(tmp_path):
    with pytest.raises(MissingFileError):
        read_predictions(tmp_path / "none.jsonl")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = {
    *("photo", "lat", "lon", "answers", "probability", "confidence", "radius_km", "country", "region"),
    *("city", "place", "seconds", "abstained", "reasoning", "system", "release"),
}
keys = st.sampled_from(sorted(FIELDS))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(keys, json_values, max_size=8) | json_values, max_size=4))
def test_any_json_gives_predictions_in_range_or_a_usage_error(tmp_path, values):
    try:
        found = read(tmp_path, *values)
    except UsageError:
        return
    for prediction in found.predictions:
        for guess in prediction.guesses:
            assert (guess.lat is None) == (guess.lon is None)
            assert guess.lat is None or (-90 <= guess.lat <= 90 and -180 <= guess.lon < 180)
            assert guess.probability is None or 0 <= guess.probability <= 1
            assert guess.confidence is None or 1 <= guess.confidence <= 5
        json.dumps(prediction.to_dict(), allow_nan=False)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=120))
def test_any_bytes_give_predictions_or_a_usage_error(tmp_path, data):
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    try:
        read_predictions(path)
    except UsageError:
        return


def whyhere_prediction(photo: str = "p.jpg") -> Prediction:
    place = PlaceName("Suva", "Central", "Fiji", "FJ")
    answers = tuple(
        Answer(rank, -18.1 + rank, 178.4, 200.0, 0.5 / rank, place, 0.3, (), 0.3) for rank in (1, 2)
    )
    return Prediction(photo, "base 9", False, None, answers)


def test_what_locate_writes_as_json_lines_is_read(tmp_path):
    prediction = whyhere_prediction()
    lines = "".join(stream([prediction], "jsonl", card=None))  # type: ignore[arg-type]  # JSON needs no card
    found = read(tmp_path, lines.rstrip("\n"))
    assert found.predictions == (system_prediction(prediction),)
    assert found.name == "base 9"
    assert found.predictions[0].guesses[0].country == "FJ"
    assert not found.problems


SCHEMA = jsonschema.Draft202012Validator(predictions_schema())
DOCS = Path(__file__).parents[2] / "docs" / "evaluate.md"


def test_the_lines_of_the_docs_keep_to_the_schema_and_are_read(tmp_path):
    lines = DOCS.read_text("utf-8").split("```json\n")[1].split("```")[0].splitlines()
    assert len(lines) == 3
    for line in lines:
        SCHEMA.validate(json.loads(line))
    found = read(tmp_path, *lines)
    assert not found.problems
    assert [len(prediction.guesses) for prediction in found.predictions] == [1, 2, 0]


def test_what_whyhere_writes_keeps_to_the_schema():
    prediction = whyhere_prediction()
    SCHEMA.validate(prediction.to_dict())
    SCHEMA.validate(system_prediction(prediction, seconds=1.0).to_dict())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(keys, json_values, max_size=8) | json_values)
def test_what_keeps_to_the_schema_is_read_without_a_complaint(tmp_path, value):
    if isinstance(value, dict):
        own = {name: item for name, item in value.items() if name not in ("place", "release")}
        value = {**own, "photo": "a.jpg"}
    try:
        line = json.dumps(value, allow_nan=False)
    except ValueError:
        return
    if SCHEMA.is_valid(value):
        found = read(tmp_path, line)
        assert len(found.predictions) == 1
        assert not found.problems
    else:  # nothing but a usage error
        with contextlib.suppress(UsageError):
            read(tmp_path, line)


def test_predictions_survive_a_round_trip(tmp_path):
    first = read(
        tmp_path, {"photo": "a", "lat": 0.1, "lon": -0.3, "confidence": 5, "reasoning": "x", "seconds": 0}
    )
    again = read(tmp_path, *(prediction.to_dict() for prediction in first.predictions))
    assert again.predictions == first.predictions


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("a/1.jpg", "a/1.jpg"),
        ("/data/set/a/1.jpg", "a/1.jpg"),
        ("C:\\set\\b\\1.jpg", "b/1.jpg"),
        ("./b/1.jpg", "b/1.jpg"),
        ("1.jpg", None),  # two of that name
        ("x/1.jpg", None),
        ("2.jpg", "a/2.jpg"),
        ("2", "a/2.jpg"),
        ("2.PNG", "a/2.jpg"),
        ("3.5.jpg", "a/3.5"),
        ("3.jpg", None),
        ("2.txt", None),
        ("", None),
        ("/", None),
    ],
)
def test_which_photo_a_name_means(asked, found):
    assert NameIndex(["a/1.jpg", "b/1.jpg", "a/2.jpg", "a/3.5"]).find(asked) == found


def test_photos_are_found_in_subfolders_and_never_outside(tmp_path):
    (tmp_path / "set" / "00").mkdir(parents=True)
    (tmp_path / "set" / "01").mkdir()
    for name in ("set/00/385.jpg", "set/01/386.jpg", "set/00/two.jpg", "set/01/two.jpg", "secret.jpg"):
        (tmp_path / name).write_bytes(b"")
    folder = PhotoFolder(tmp_path / "set")
    assert folder.find("385") == tmp_path / "set/00/385.jpg"
    assert folder.find("00/385.jpg") == tmp_path / "set/00/385.jpg"
    assert folder.find("elsewhere/386.jpg") == tmp_path / "set/01/386.jpg"
    assert folder.find("01/two") == tmp_path / "set/01/two.jpg"
    assert folder.find("two.jpg") is None
    for name in ("../secret.jpg", "secret.jpg", str(tmp_path / "secret.jpg"), "\x00", "x" * 5000, "", "00"):
        assert folder.find(name) is None


def test_guess_leaves_out_what_is_unknown():
    assert Guess().to_dict() == {"lat": None, "lon": None}
    assert not math.isnan(Guess(1.0, 2.0).to_dict()["lat"])
