"""Profiles, maps and comparisons at a prompt, in a notebook and as files: all alike."""

from __future__ import annotations

import io
import json

import pytest
from lxml import html
from PIL import Image

from whyhere.errors import UsageError

KINDS = {
    "place": (lambda atlas: atlas.place(48.86, 2.35), "Paris"),
    "map": (lambda atlas: atlas.map("desert", region="France"), "desert in France"),
    "text": (lambda atlas: atlas.map_text("sand dune"), "sand dune"),
    "compare": (lambda atlas: atlas.compare("France", "Spain"), "France or Spain"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_results_show_and_save_themselves_alike(atlas, tmp_path, kind):
    make, said = KINDS[kind]
    found = make(atlas)
    lines = repr(found).splitlines()
    assert len(lines) == 3
    assert said in lines[0]
    assert "tiny 1.0" in lines[0]
    shown = html.fragment_fromstring(found._repr_html_())
    assert said in shown.text_content()
    assert len(shown.findall(".//svg")) == 1
    assert json.loads(found.save(tmp_path / "a.json").read_text()) == json.loads(json.dumps(found.to_dict()))
    assert found.save(tmp_path / "a.svg").read_text() == found.plot().svg
    Image.open(io.BytesIO(found.save(tmp_path / "a.png").read_bytes())).load()
    assert found.save(tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert said.split()[0] in found.save(tmp_path / "a.txt").read_text()
    with pytest.raises(UsageError, match=r"\.json, "):
        found.save(tmp_path / "a.kml")


def test_a_map_is_saved_for_other_maps(atlas, tmp_path):
    found = atlas.map("desert")
    features = json.loads(found.save(tmp_path / "a.geojson").read_text())["features"]
    assert len(features) == len(found.cells)
