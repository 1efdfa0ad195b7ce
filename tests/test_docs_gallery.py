"""The gallery page: every block of Python runs, and every picture is one that the page writes itself."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "gallery.md").read_text(encoding="utf-8")
ATLAS = (DOCS / "atlas.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.S | re.M)
NUMBER = r"\d+(?:\.\d+)?"
PICTURES = re.findall(r"!\[[^\]]+\]\((images/[^)]+)\)", PAGE)


def said(picture: Path) -> tuple[list[str], list[float]]:
    """Return the words of a drawing and, apart, the numbers in them: their last digits are the machine's."""
    text = [node.text or "" for node in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert any(text)
    numbers = [float(number) for line in text for number in re.findall(NUMBER, line)]
    return [re.sub(NUMBER, "#", line) for line in text], numbers


def test_the_page_asks_every_question():
    code = "\n".join(BLOCKS)
    for name in (
        ".locate(",
        ".explain(",
        "versus=",
        "without=",
        "regions=",
        ".place(",
        ".map(",
        ".map_text(",
        ".compare(",
    ):
        assert name in code


def test_its_pictures_and_links_are_there_and_small():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGE + ATLAS)
    assert len(PICTURES) >= 5
    for link in links:
        assert (DOCS / link).is_file(), link
    for picture in PICTURES:
        assert (DOCS / picture).stat().st_size < 300_000, picture


def test_its_commands_are_known():
    from typer.testing import CliRunner

    from whyhere.cli import app

    lines = re.findall(r"`whyhere ([a-z]+) ([^`]*)`", PAGE)
    assert {name for name, _ in lines} >= {"locate", "explain", "place", "map", "compare"}
    for name, rest in lines:
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert shown.exit_code == 0, name
        for option in re.findall(r"(?<!\S)--[a-z-]+", rest):
            assert option in shown.output, f"{name} {option}"


@pytest.mark.weights
@pytest.mark.usefixtures("base_release")
def test_the_example_of_the_page_on_places_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"^```python\n(.*?)^```", ATLAS, flags=re.S | re.M)
    exec(compile(example, "atlas.md", "exec"), {})
    assert (tmp_path / "flows.svg").read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.weights
@pytest.mark.usefixtures("base_release")
def test_every_block_runs_and_writes_the_pictures_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in BLOCKS:
            exec(compile(block, "gallery.md", "exec"), names)
    assert "within" in printed.getvalue()
    for picture in PICTURES:
        written = tmp_path / Path(picture).name
        assert written.stat().st_size > 1000, picture
        if os.environ.get("WHYHERE_UPDATE_GOLDEN") == "1":
            shutil.copy(written, DOCS / picture)
        if written.suffix == ".svg":
            words, numbers = said(written)
            kept_words, kept_numbers = said(DOCS / picture)
            assert words == kept_words, picture
            assert numbers == pytest.approx(kept_numbers, rel=0.01, abs=0.011), picture
