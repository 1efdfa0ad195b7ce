"""`whyhere place`, `map` and `compare` on the tiny world: formats, files, wrong usage, exit codes."""

from __future__ import annotations

import io
import json
import os
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

import pytest
from lxml import html
from PIL import Image

from whyhere.cli import main

SVG = "{http://www.w3.org/2000/svg}"
COMMANDS = {
    "place": ["place", "48.86", "2.35"],
    "map": ["map", "desert"],
    "compare": ["compare", "France", "Spain"],
}
FORMATS = [
    (command, format)
    for command in COMMANDS
    for format in ("table", "json", "html", "svg", "png", *(["geojson"] if command == "map" else []))
]


@pytest.fixture
def run(atlas, monkeypatch, capsysbinary):
    """Run a command in this process on the tiny world: exit code, standard output, standard error."""
    monkeypatch.setattr("whyhere.atlas.Atlas.from_release", lambda release, **options: atlas)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["whyhere", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        out, err = capsysbinary.readouterr()
        return code, out, err.decode()

    return call


def check(command: str, format: str, content: bytes) -> None:
    """Refuse what is not a file of that format about that command."""
    if format == "png":
        image = Image.open(io.BytesIO(content))
        image.load()
        assert min(image.size) > 400
        assert len(set(image.convert("L").resize((64, 64)).get_flattened_data())) > 10
        return
    text = content.decode("utf-8")
    if format == "svg":
        assert ET.fromstring(text).tag.endswith("svg")
    elif format == "html":
        page = html.fromstring(text)
        assert page.xpath("//h1")
        assert page.xpath("//figure/svg")
        assert not page.xpath("//script")
        assert "odd</b>" not in text  # the concept called <b>odd</b> is text
    elif format == "geojson":
        assert json.loads(text)["features"]
    elif format == "json":
        assert json.loads(text)["release"] == "tiny 1.0"
    else:
        assert "tiny 1.0" in text.splitlines()[0]


@pytest.mark.parametrize(("command", "format"), FORMATS)
def test_every_format_goes_to_standard_output_and_to_files(run, tmp_path, command, format):
    code, out, err = run(*COMMANDS[command], "--format", format)
    assert (code, err) == (0, "")
    check(command, format, out)
    for name in ("named", f"by-suffix.{format}"):
        if format == "table" and name != "named":
            continue
        wanted = ["--format", format] if name == "named" else []
        code, nothing, _ = run(*COMMANDS[command], *wanted, "--output", tmp_path / name)
        assert (code, nothing) == (0, b"")
        if format == "table":
            check(command, format, (tmp_path / name).read_bytes())
        else:
            assert (tmp_path / name).read_bytes() == out
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "position", [["-17.5", "179.9"], ["-17.5,179.9"], ["-17.5,", "179.9"], ["--", "-17.5", "179.9"]]
)
def test_positions_are_read_as_people_write_them(run, position):
    code, out, _ = run("place", "--format", "json", *position)
    assert code == 0
    found = json.loads(out)
    assert (found["lat"], found["lon"]) == (-17.5, 179.9)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["place", "91", "0"], "are latitude and longitude swapped?"),
        (["place", "here"], "is no position"),
        (["place", "1", "2", "3"], "is no position"),
        (["place", "1", "--smilar"], "there is no such option"),
        (["place", "1", "nan"], "is no position"),
        (["place", "1", "2", "--format", "gif"], "choose one of table, json, html, svg, png"),
        (["place", "1", "2", "-o", "a.gif"], "names no format"),
        (["place", "1", "2", "-o", "/no/such/dir/a.svg"], "cannot write in"),
        (["place", "1", "2", "-o", "a.html", "--html", "a.html"], "name two"),
        (["map"], "name a concept"),
        (["map", "dessert"], "did you mean desert"),
        (["map", "desert", "--region", "Atlantis"], "Atlantis"),
        (["map", "desert", "--region", "0,0,0.001,0.001"], "choose a larger region"),
        (["map", "--text", "xyzzy"], "no word is known"),
        (["compare", "France", "Atlantis"], "Atlantis"),
        (["compare", "France"], "Missing argument"),
        (["compare", "-foo", "AU"], "there is no such option"),
        (["compare", "AU", "--cocnepts=4"], "there is no such option"),
        (["compare", "France", "FR"], "France and France hold the same"),
        (["place", "22", "-159.5", "--html", "-"], "for standard output use --format html"),
    ],
)
def test_wrong_usage_is_explained_and_ends_with_2(run, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, b"")
    assert said in err
    assert not list(tmp_path.iterdir())


def test_words_that_are_not_known_are_named(run):
    code, out, err = run("map", "--text", "sand xyzzy dune?", "--format", "json")
    assert code == 0
    assert "left out: xyzzy" in err
    assert "only roughly: dune?" in err
    assert json.loads(out)["unknown_words"] == ["xyzzy"]
    assert json.loads(out)["uncertain_words"] == ["dune?"]
    assert json.loads(out)["name"] == "sand dune?"  # a title that names what was left out would be false
    _, out, _ = run("map", "--text", "sand xyzzy dune?", "--format", "svg")
    assert b"xyzzy" not in out


def test_two_regions_are_both_meant(run):
    code, out, _ = run("map", "desert", "--region", "FR", "--region", "ES", "--format", "json")
    assert code == 0
    assert out == run("map", "desert", "--region", "France; Spain", "--format", "json")[1]
    assert out != run("map", "desert", "--region", "ES", "--format", "json")[1]
    code, out, err = run("map", "desert", "--region", "FR", "--region", "40,0,50,10")
    assert (code, out) == (2, b"")
    assert "--region FR --region 40,0,50,10: only names" in err


def test_a_box_may_start_in_the_south(run):
    code, out, _ = run("compare", "-19,176,-15,-178", "-47,110,-10,155", "--format", "json")
    assert code == 0
    assert json.loads(out)["a"]["points"] > 30


def test_regions_that_overlap_are_named(run):
    code, _, err = run("compare", "-10,-20,10,20", "-5,-20,20,20")
    assert code == 0
    assert "share" in err


def test_place_also_writes_a_page(run, tmp_path):
    code, out, err = run("place", "48.86", "2.35", "--html", tmp_path / "paris.html")
    assert code == 0
    check("place", "table", out)
    check("place", "html", (tmp_path / "paris.html").read_bytes())
    assert "paris.html" in err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_written_and_stays_a_pipe(run, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        code, out, _ = run("compare", "France", "Spain", "--format", "png", "--output", pipe)
        assert (code, out) == (0, b"")
        check("compare", "png", read.result(timeout=60))
    assert pipe.is_fifo()


@pytest.mark.parametrize("options", [[], ["--output", "-"]])
def test_a_picture_is_not_written_to_a_terminal(run, monkeypatch, options):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    code, out, err = run("map", "desert", "--format", "png", *options)
    assert (code, out) == (2, b"")
    assert "--output FILE" in err


def test_several_concepts_are_mapped_side_by_side(run, tmp_path):
    several = ["map", "desert", "coast", "--text", "sand xyzzy", "--region", "ES"]
    alone = [run("map", name, "--region", "ES", "--format", "json")[1] for name in ("desert", "coast")]
    code, out, err = run(*several, "--format", "json")
    assert code == 0
    assert "left out: xyzzy" in err
    assert [found["name"] for found in json.loads(out)] == ["desert", "coast", "sand"]
    assert json.loads(out)[:2] == [json.loads(text) for text in alone]
    table = run(*several)[1].decode()
    assert all(f"{name} in Spain" in table for name in ("desert", "coast", "sand"))
    assert run("map", "desert", "--region", "ES")[1].decode() in table
    features = json.loads(run(*several, "--format", "geojson")[1])["features"]
    cells = len(json.loads(alone[0])["cells"])
    assert [feature["properties"]["map"] for feature in features[::cells]] == ["desert", "coast", "sand"]
    root = ET.fromstring(run(*several, "--format", "svg")[1])
    widths = [float(number) for number in root.get("viewBox").split()]
    assert widths[2] > 2000
    texts = {text.text.split(":")[0]: float(text.get("x")) for text in root.iter(f"{SVG}text")}
    assert texts["desert in Spain"] < 100 < 1000 < texts["coast in Spain"]
    page = html.fromstring(run(*several, "--format", "html")[1].decode())
    assert len(page.xpath("//figure/svg")) == 1
    assert len(page.xpath("//table")) == 3
