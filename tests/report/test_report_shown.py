"""Predictions in a notebook and at a prompt: three lines, a picture, and files by their suffix."""

import io
import json

import pytest
from lxml import etree, html
from msgspec.structs import replace
from PIL import Image

from whyhere._text import printable
from whyhere.errors import UsageError
from whyhere.report import render

SUFFIXES = [".json", ".jsonl", ".csv", ".geojson", ".kml", ".gpx", ".html", ".txt", ".svg", ".png"]


def test_three_lines_at_a_prompt(everything):
    for prediction in everything:
        lines = repr(prediction).splitlines()
        assert len(lines) == (3 if prediction.answers else 2)
        assert printable(prediction.photo) in lines[0]
        assert prediction.release in lines[0]
        assert ("no place stands out" in lines[1]) == (prediction.abstained and bool(prediction.answers))
        assert max(map(len, lines)) < 400


def test_a_notebook_shows_text_and_picture(kauai):
    shown = html.fragment_fromstring(kauai._repr_html_())
    assert "Kapaa" in shown.text_content()
    assert len(shown.findall(".//svg")) == 1
    assert not shown.xpath("//script | //@onload | //img")


def test_a_hostile_name_is_text(kauai):
    prediction = replace(kauai, photo="<script>\n\x1b[31m\u202e'\"&]]>\udcff\x00", surface=())
    name = printable(prediction.photo)
    assert name in repr(prediction)
    shown = html.fragment_fromstring(prediction._repr_html_())
    assert name in shown.text_content()
    assert not shown.xpath("//script")
    assert etree.fromstring(prediction.plot().svg.encode()).findtext("{*}title") == f"whyhere: {name}"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_suffix_says_what_is_saved(kauai, card, tmp_path, suffix):
    prediction = replace(kauai, card=card)
    path = prediction.save(tmp_path / f"Kauai{suffix}")
    data = path.read_bytes()
    if suffix == ".png":
        image = Image.open(io.BytesIO(data))
        image.load()
        assert min(image.size) > 400
    elif suffix == ".svg":
        assert data.decode() == prediction.plot().svg
    else:
        format = {".txt": "table"}.get(suffix, suffix[1:])
        assert data.decode() == render([prediction], format, card=card)


def test_a_prediction_made_by_hand_is_saved_too(kauai, tmp_path):
    assert kauai.card is None
    assert json.loads(kauai.save(tmp_path / "a.geojson").read_text())["attribution"]
    assert "Kapaa" in kauai.save(tmp_path / "a.html").read_text()


def test_what_no_suffix_means_is_refused(kauai, tmp_path):
    with pytest.raises(UsageError, match=r"\.json, .*\.png"):
        kauai.save(tmp_path / "a.xyz")
    with pytest.raises(UsageError, match="cannot write"):
        kauai.save(tmp_path / "none" / "a.json")
