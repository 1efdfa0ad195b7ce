"""JSON and JSON lines keep to the shipped schema and lose nothing of a photo's name but broken bytes."""

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from whyhere.prediction import Assumptions, CountryShare, HintWords, UnitShare
from whyhere.report import prediction_schema, render

SCHEMA = prediction_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_a_valid_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"].endswith("2020-12/schema")


def objects(schema):
    """Yield every object schema in a schema."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from objects(value)


def test_the_schema_is_strict_and_every_field_is_required_and_described():
    found = list(objects(SCHEMA))
    assert len(found) == 12
    for item in found:
        assert item["additionalProperties"] is False
        assert set(item["required"]) == set(item["properties"]) - {"other_concepts"}
        for name, field in item["properties"].items():
            target = SCHEMA["$defs"][field["$ref"].split("/")[-1]] if "$ref" in field else field
            assert target.get("description"), name


def test_predictions_keep_to_the_schema(everything, card):
    for line in render(everything, "jsonl", card=card).splitlines():
        VALIDATOR.validate(json.loads(line))


def test_the_example_of_the_documentation_keeps_to_the_schema_and_the_table_names_its_fields():
    text = (Path(__file__).parents[2] / "docs" / "output.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```json\n(.*?)^```", text, flags=re.S | re.M)
    prediction = json.loads(example)
    VALIDATOR.validate(prediction)
    best = prediction["answers"][0]
    total = sum(concept["contribution"] for concept in best["concepts"]) + best["remainder"]
    assert total == pytest.approx(best["score"], abs=1e-5)
    table = text.split("| field | meaning |")[1].split("\n\n")[0]
    fields = {*prediction, *best, *best["concepts"][0]}
    assert {field for field in fields if f"`{field}`" not in table} == set()


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.update(extra=1),
        lambda d: d.pop("exif_gps"),
        lambda d: d["answers"][0].update(lat=90.1),
        lambda d: d["answers"][0].update(probability=1.1),
        lambda d: d["answers"][0].update(rank=0),
        lambda d: d["answers"][0]["place"].update(country_code="usa"),
        lambda d: d["answers"][0]["concepts"][0].update(contribution="0.1"),
        lambda d: d["exif_gps"].update(altitude=3),
    ],
)
def test_the_schema_notices_damage(damage, kauai):
    good = kauai.to_dict()
    VALIDATOR.validate(good)
    bad = copy.deepcopy(good)
    damage(bad)
    assert not VALIDATOR.is_valid(bad)


def test_one_photo_is_an_object_and_others_are_an_array(everything, card):
    assert json.loads(render(everything[:1], "json", card=card)) == everything[0].to_dict()
    several = json.loads(render(everything[:3], "json", card=card))
    assert several == [prediction.to_dict() for prediction in everything[:3]]
    assert json.loads(render([], "json", card=card)) == []
    assert render([], "jsonl", card=card) == ""


def test_contributions_and_remainder_add_up_to_the_score_after_a_round_trip(everything, card):
    for prediction in json.loads(render(everything, "json", card=card)):
        for answer in prediction["answers"]:
            total = sum(concept["contribution"] for concept in answer["concepts"]) + answer["remainder"]
            assert total == pytest.approx(answer["score"], abs=1e-5)


@pytest.mark.parametrize("format", ["json", "jsonl"])
@given(name=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_comes_back_as_it_was(format, name, kauai, card):
    named = replace(kauai, photo=name, answers=kauai.answers[:1])
    text = render([named], format, card=card)
    assert json.loads(text)["photo"] == name
    if format == "jsonl":
        assert len(text.splitlines()) == 1


@given(data=st.binary())
def test_bytes_that_are_not_utf8_become_visible_escapes(data, kauai, card):
    name = data.decode("utf-8", "surrogateescape")
    photo = json.loads(render([replace(kauai, photo=name)], "jsonl", card=card))["photo"]
    assert photo == data.decode("utf-8", "backslashreplace")


def test_what_was_assumed_stands_in_the_json_with_the_words_that_counted(kauai, card):
    hint = HintWords("at the beach", ("beach",), ("at", "the"))
    shares = (
        CountryShare("US", "United States", 0.5, (UnitShare("Hawaii", 0.4),)),
        CountryShare(None, "open sea", 0.25),
    )
    assumed = replace(kauai, assumptions=Assumptions("Finland", hint, 0.02), countries=shares)
    value = json.loads(render([assumed], "json", card=card))
    VALIDATOR.validate(value)
    assert value["assumptions"] == {
        "region": "Finland",
        "hint": {"text": "at the beach", "counted": ["beach"], "unknown": ["at", "the"]},
        "unaided_probability": 0.02,
    }
    assert value["other_countries"] == 0.25
    assert not kauai.assumptions
    assert str(kauai.assumptions) == ""


@pytest.mark.parametrize("concepts", [0, 1, 5, 50])
@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_parts_still_add_up_where_the_weak_concepts_are_one_sum(format, concepts, everything, card):
    text = render(everything, format, card=card, concepts=concepts)
    found = json.loads(text) if format == "json" else [json.loads(line) for line in text.splitlines()]
    for data, prediction in zip(found, everything, strict=True):
        jsonschema.validate(data, prediction_schema())
        for fields, answer in zip(data["answers"], prediction.answers, strict=True):
            values = [concept["contribution"] for concept in fields["concepts"]]
            assert values == sorted(values, reverse=True)
            assert sum(value > 0 for value in values) <= concepts
            assert sum(value < 0 for value in values) <= concepts
            others = fields["other_concepts"]
            assert others["count"] + len(values) == len(answer.concepts)
            total = sum(values) + others["contribution"] + fields["remainder"]
            assert total == pytest.approx(sum(c.contribution for c in answer.concepts) + answer.remainder)


def test_json_lines_are_short_and_json_is_whole_by_default(kauai, card):
    lines, whole = (json.loads(render([kauai], format, card=card)) for format in ("jsonl", "json"))
    assert len(lines["answers"][0]["concepts"]) <= 10
    assert len(whole["answers"][0]["concepts"]) == len(kauai.answers[0].concepts)
    assert "other_concepts" not in whole["answers"][0]
