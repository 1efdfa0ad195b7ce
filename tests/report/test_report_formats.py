"""What holds for all formats: golden files, one door, streaming, refusal of what cannot be written."""

import csv
import io
import json
import math
import subprocess
import sys

import pytest
from lxml import etree
from msgspec.structs import replace

from whyhere.errors import UsageError
from whyhere.report import FORMATS, TAILS, render, stream

EXTENSION = {"table": "txt"}


@pytest.mark.parametrize("name", ["one", "many"])
@pytest.mark.parametrize("format", FORMATS)
def test_golden(format, name, fiji, everything, card, check_golden):
    # No real preview: how a JPEG is compressed changes with the version of Pillow.
    predictions = [fiji] if name == "one" else everything[-2:] if format == "html" else everything
    plain = [
        replace(p, thumbnail=p.thumbnail and b"\xff\xd8\xff\xd9", surface=p.surface[:40]) for p in predictions
    ]
    check_golden(f"{name}.{EXTENSION.get(format, format)}", render(plain, format, card=card))


@pytest.mark.parametrize("format", ["geojson", "kml"])
def test_golden_with_circles(format, everything, card, check_golden):
    check_golden(f"circles.{format}", render(everything, format, card=card, circles=True))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_pieces_join_to_the_whole(format, count, everything, card):
    chosen = everything[:count]
    text = "".join(stream(iter(chosen), format, card=card))
    assert text == render(chosen, format, card=card)
    assert text.endswith("\n") or (format in {"table", "jsonl"} and count == 0)
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("format", "ahead"),
    [("table", 0), ("jsonl", 0), ("csv", 0), ("geojson", 0), ("kml", 0), ("gpx", 0), ("json", 1)],
)
def test_a_photo_is_written_before_the_next_is_read(format, ahead, everything, card):
    read = []

    def source():
        for prediction in everything:
            read.append(prediction.photo)
            yield prediction

    text = ""
    for piece in stream(source(), format, card=card):
        text += piece
        if "Kapaa" in text:
            break
    assert len(read) == 1 + ahead


READ = {
    "json": lambda text: len(json.loads(text)),
    "jsonl": lambda text: len([json.loads(line) for line in text.splitlines()]),
    "csv": lambda text: len({row["photo"] for row in csv.DictReader(io.StringIO(text))}),
    "geojson": lambda text: len({f["properties"]["photo"] for f in json.loads(text)["features"]}),
    "kml": lambda text: len(etree.fromstring(text.encode()).findall(".//{*}Folder")),
    "gpx": lambda text: (
        len({d.text.split("\n")[0] for d in etree.fromstring(text.encode()).iter("{*}desc")}) - 1
    ),
}


@pytest.mark.parametrize("format", READ)
def test_a_run_that_is_killed_leaves_a_whole_document_after_every_photo(format, everything, card):
    assert set(READ) | {"table"} == set(TAILS)
    text, seen = "", []
    for piece in stream(iter(everything), format, card=card):
        text += piece
        seen.append(READ[format](text if piece.endswith(TAILS[format]) else text + TAILS[format]))
    whole = len({p.photo for p in everything if p.answers or format in {"json", "jsonl", "kml"}})
    assert seen[-1] == whole
    assert seen == sorted(seen)
    assert len(set(seen)) >= whole


def test_an_unknown_format_is_refused_at_once_with_the_list(card):
    with pytest.raises(UsageError, match="table, json, jsonl, csv, geojson, kml, gpx, html"):
        stream([], "pdf", card=card)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("field", ["lat", "lon", "radius_km", "probability", "score", "remainder"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(format, field, value, kauai, card):
    broken = replace(kauai.answers[1], **{field: value})
    with pytest.raises(ValueError, match=f"answer 2: {field}"):
        render([replace(kauai, answers=(kauai.answers[0], broken))], format, card=card)


def test_a_contribution_that_is_not_finite_is_refused_by_name(kauai, card):
    first = kauai.answers[0]
    concepts = (replace(first.concepts[0], contribution=math.nan), *first.concepts[1:])
    broken = replace(kauai, answers=(replace(first, concepts=concepts),))
    with pytest.raises(ValueError, match=f"contribution of {first.concepts[0].id}"):
        render([broken], "jsonl", card=card)


@pytest.mark.parametrize("format", FORMATS)
def test_a_photo_without_answers_or_concepts_is_written(format, kauai, card):
    bare = replace(kauai.answers[0], concepts=(), remainder=kauai.answers[0].score)
    predictions = [replace(kauai, answers=()), replace(kauai, answers=(bare,))]
    assert "Kapaa" in render(predictions, format, card=card)


def test_importing_the_package_brings_in_none_of_the_heavy_libraries():
    heavy = "{'rich', 'h3', 'shapely', 'PIL', 'jinja2', 'torch'}"
    code = f"import sys, whyhere.report; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
