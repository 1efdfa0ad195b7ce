"""`whyhere evaluate` from outside: what it prints, writes and returns."""

from __future__ import annotations

import csv
import json
import shutil
import xml.etree.ElementTree as ET
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from stub_locator import StubLocator
from typer.testing import CliRunner

import whyhere.locator  # before a fixture replaces what it imports
from whyhere.cli import app
from whyhere.errors import MissingFileError, UsageError

GOLDEN = Path(__file__).parent / "golden"
ROWS = [  # name, truth, what the system says
    ("eiffel.jpg", (48.8584, 2.2945), {"lat": 48.86, "lon": 2.3, "probability": 0.9, "confidence": 5}),
    ("colosseum.jpg", (41.8902, 12.4922), {"lat": 43.77, "lon": 11.26, "probability": 0.6, "confidence": 4}),
    ("giza.jpg", (29.9792, 31.1342), {"lat": 30.04, "lon": 31.24, "probability": 0.8, "confidence": 4}),
    ("suva.jpg", (-18.1416, 178.4419), {"lat": -21.2, "lon": -175.2, "probability": 0.2, "confidence": 1}),
    ("tokyo.jpg", (35.6586, 139.7454), {"lat": 48.86, "lon": 2.3, "probability": 0.3, "confidence": 2}),
    ("lima.jpg", (-12.0464, -77.0428), {"country": "Peru", "confidence": 3}),
]


def run(*arguments: object):
    """Run the command; tables may come first."""
    words = [str(argument) for argument in arguments]
    tables = list(takewhile(lambda word: not word.startswith("-"), words))
    data = [word for table in tables for word in ("--data", table)]
    result = CliRunner().invoke(app, ["evaluate", *data, *words[len(tables) :]])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "six.csv"
    lines = [f"{name},{lat},{lon}\n" for name, (lat, lon), _ in ROWS]
    path.write_text("".join(["IMG_ID,LAT,LON\n", *lines]))
    return path


def predictions_file(path: Path, rows=ROWS, **extra) -> Path:
    path.write_text("".join(json.dumps({"photo": name, **said, **extra}) + "\n" for name, _, said in rows))
    return path


@pytest.fixture
def answers(tmp_path) -> Path:
    return predictions_file(tmp_path / "gpt|x.jsonl", seconds=1.5)


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for row, (name, (lat, lon), _) in enumerate(ROWS):
        exif = Image.Exif()
        if name != "lima.jpg":
            exif[0x8825] = {
                1: "N" if lat >= 0 else "S",
                2: (abs(lat), 0.0, 0.0),
                3: "E" if lon >= 0 else "W",
                4: (abs(lon), 0.0, 0.0),
            }
        Image.new("RGB", (8, 8), (40 * row, 100, 30 * row)).save(folder / name, exif=exif)
    return folder


@pytest.fixture
def stub_release(tmp_path, monkeypatch):
    """A release whose locator needs no weights; yields the notes of what was looked at."""
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "manifest.json").write_text("{}")
    np.save(assets / "gallery.npy", np.array([[48.8584, 2.2945], [0.0, 0.0]]))
    for name in ("config.json", "model.safetensors", "concepts.json"):
        (assets / name).write_text("")
    release = SimpleNamespace(
        name="stub",
        version="1",
        directory=assets,
        asset_names=("gallery",),
        config=SimpleNamespace(gallery="gallery"),
        part_path=lambda part: assets,
    )
    looked_at: list[str] = []
    monkeypatch.setattr("whyhere.releases.resolve", lambda name: release)
    monkeypatch.setattr("whyhere.releases.asset_path", lambda name: assets)
    monkeypatch.setattr(
        "whyhere.locator.Locator.from_release",
        lambda name, **options: StubLocator(note=lambda photo: looked_at.append(Path(photo).name)),
    )
    return looked_at


def test_markdown_is_as_it_was(table, answers, tmp_path):
    other = predictions_file(
        tmp_path / "always-paris.jsonl", [(n, t, {"lat": 48.86, "lon": 2.35}) for n, t, _ in ROWS]
    )
    result = run(table, "--predictions", answers, "--against", other, "--gallery", table)
    assert result.exit_code == 0
    golden = GOLDEN / "evaluation.md"
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(result.stdout, encoding="utf-8")
        pytest.fail(f"{golden} was not there; written, look at it")
    assert result.stdout == golden.read_text("utf-8")
    assert result.stderr == ""


def test_json_holds_the_figures(table, answers):
    value = json.loads(run(table, "--predictions", answers, "--format", "json").stdout)
    assert value["photos"] == 6
    assert value["answered"] == 5
    assert value["accuracy"]["25 km"]["value"] == pytest.approx(100 * 2 / 6)
    assert value["names"]["country"]["right"]["value"] == pytest.approx(100 * 4 / 6)
    assert value["seconds_per_photo"] == 1.5
    assert value["leakage"] is None
    assert "against" not in value


def test_output_folder(table, answers, tmp_path):
    out = tmp_path / "deep" / "out"
    result = run(table, "--predictions", answers, "--out", out)
    assert {path.name for path in out.iterdir()} == {
        *("evaluation.json", "evaluation.md", "photos.csv", "map.svg", "errors.svg", "reliability.svg"),
        "risk_coverage.svg",
    }
    whole = (out / "evaluation.md").read_text("utf-8")
    assert whole.startswith(result.stdout.rstrip("\n"))
    assert "## Accuracy" in result.stdout
    assert result.stdout.count("\n## ") == 1  # the rest is in the folder, and says so
    assert whole == run(table, "--predictions", answers).stdout
    assert f"are in {out.resolve()}" in result.stderr
    with (out / "photos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["photo"] for row in rows] == [name for name, _, _ in ROWS]
    assert float(rows[1]["error_km"]) == pytest.approx(232, abs=2)
    assert (rows[5]["error_km"], rows[5]["said_country"], rows[5]["country_right"]) == ("", "PE", "True")
    for path in out.glob("*.svg"):
        text = path.read_text("utf-8")
        root = ET.fromstring(text)
        assert root.find("{http://www.w3.org/2000/svg}title").text.startswith("gpt|x")
        assert "href" not in text
        assert "url(" not in text
        assert "nan" not in text
    circles = ET.parse(out / "map.svg").getroot().iter("{http://www.w3.org/2000/svg}circle")
    words = [title.text for circle in circles for title in circle]
    assert "1 photos, 100 % within 750 km" in words
    assert "2 answers, 1 photos" in words
    again = predictions_file(tmp_path / "bare.jsonl", [(n, t, {"lat": 1, "lon": 2}) for n, t, _ in ROWS])
    run(table, "--predictions", again, "--out", out)
    assert not (out / "reliability.svg").exists()


def test_limit_takes_the_first_photos(table, answers):
    value = json.loads(run(table, "--predictions", answers, "--limit", 2, "--format", "json").stdout)
    assert value["photos"] == 2
    assert value["accuracy"]["25 km"]["value"] == 50.0
    assert value["problems"]["counts"] == {"unknown photo": 4}


def test_failures_are_named_and_the_rest_is_done(table, answers):
    with table.open("a") as file:
        file.write("bad.jpg,x,1\n")
    with answers.open("a") as file:
        file.write("oops\n")
    result = run(table, "--predictions", answers)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "whyhere: bad row: line 8: bad.jpg: the latitude 'x' is not a number",
        "whyhere: bad line: line 7: it is not JSON",
    ]
    assert "Photos scored: 6 of 7 rows" in result.stdout
    assert "- bad row: 1 (line 8: the latitude 'x' is not a number)" in result.stdout


def test_many_failures_are_summed_up(table, answers):
    with table.open("a") as file:
        file.writelines(f"{row}.jpg,nan,1\n" for row in range(50))
    result = run(table, "--predictions", answers)
    assert len(result.stderr.splitlines()) == 21
    assert result.stderr.splitlines()[-1].startswith("whyhere: 30 more of kind 'bad row'")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "xml"], "markdown or json"),
        (["--truth", "guess"], "choose table or exif"),
        ([], "which photos were taken where"),
        (["TABLE"], "where are the photos"),
        (["--truth", "exif", "--predictions", "p.jsonl"], "where are the photos"),
        (["TABLE", "--photos", "nowhere"], "there is no such folder"),
        (["TABLE", "--photos", ".", "--columns", "x"], "--columns"),
        (["TABLE", "--predictions", "ANSWERS", "--radius-km", "0"], "radius_km"),
    ],
)
def test_wrong_usage(table, answers, arguments, message):
    known = {"TABLE": table, "ANSWERS": answers}
    with pytest.raises(UsageError, match=message):
        run(*(known.get(argument, argument) for argument in arguments))


def test_missing_files(table, answers, tmp_path):
    for arguments in (
        [tmp_path / "none.csv", "--predictions", answers],
        [table, "--predictions", tmp_path / "none.jsonl"],
        [table, "--predictions", answers, "--against", tmp_path / "none.jsonl"],
        [table, "--predictions", answers, "--gallery", tmp_path / "none.npy"],
    ):
        with pytest.raises(MissingFileError):
            run(*arguments)


def test_a_release_is_run_once_and_its_gallery_checked_for_leakage(table, photos, tmp_path, stub_release):
    out = tmp_path / "out"
    first = run(table, "--photos", photos, "--release", "stub", "--out", out, "--limit", 4)
    assert first.exit_code == 0
    assert len(stub_release) == 4
    whole = run(table, "--photos", photos, "--release", "stub", "--out", out)
    assert sorted(stub_release) == sorted(name for name, _, _ in ROWS)
    assert "# stub 1 on six.csv" in whole.stdout
    assert "1 of 6 photos were taken at one of the 2 positions" in (out / "evaluation.md").read_text("utf-8")
    assert "best of five" in whole.stdout
    again = run(table, "--photos", photos, "--release", "stub", "--out", out)
    assert again.stdout == whole.stdout
    assert len(stub_release) == 6
    assert json.loads((out / "run.json").read_text())["release"] == "stub 1"
    with pytest.raises(UsageError, match="another run"):
        run(table, "--photos", photos, "--release", "stub", "--out", out, "--top", 3)
    # The ledger is itself a file of predictions, and scores the same.
    scored = run(table, "--predictions", out / "predictions.jsonl", "--format", "json")
    mine = json.loads((out / "evaluation.json").read_text())
    assert json.loads(scored.stdout)["accuracy"] == mine["accuracy"]


def test_missing_and_unreadable_photos_are_not_scored(table, photos, stub_release):
    (photos / "giza.jpg").unlink()
    (photos / "suva.jpg").write_bytes(b"no photo")
    result = run(table, "--photos", photos, "--format", "json")
    assert result.exit_code == 1
    assert "missing photo: line 4: giza.jpg" in result.stderr
    assert "unreadable photo: line 5: suva.jpg" in result.stderr
    value = json.loads(result.stdout)
    assert value["photos"] == 4
    assert value["problems"]["counts"] == {"missing photo": 1, "unreadable photo": 1}


@pytest.mark.parametrize("with_table", [True, False])
def test_truth_from_the_photos_themselves(table, answers, photos, with_table):
    table.write_text(table.read_text().replace("48.8584", "10.0"))  # wrong; the photo knows better
    source = [table] if with_table else []
    arguments = [*source, "--photos", photos, "--truth", "exif", "--predictions", answers, "--format", "json"]
    result = run(*arguments)
    assert result.exit_code == 1
    assert "no position: " in result.stderr
    value = json.loads(result.stdout)
    assert value["photos"] == 5
    assert value["accuracy"]["1 km"]["value"] == pytest.approx(20.0)
    limited = run(*arguments, "--limit", 2)
    assert json.loads(limited.stdout)["photos"] == 2


def test_photos_without_any_position(photos, answers):
    for path in photos.iterdir():
        if path.name != "lima.jpg":
            path.unlink()
    with pytest.raises(UsageError, match="none of the 1 photos has a GPS position"):
        run("--photos", photos, "--truth", "exif", "--predictions", answers)


def test_hostile_names_stay_text(table, answers, tmp_path):
    rows = [(f"<script>{name}", truth, said) for name, truth, said in ROWS]
    table.write_text("file,lat,lon\n" + "".join(f"{n},{t[0]},{t[1]}\n" for n, t, _ in rows))
    path = predictions_file(tmp_path / "x.jsonl", rows, system="<b>&\x1b[31m|x")
    result = run(table, "--predictions", path, "--out", tmp_path / "out")
    assert "\x1b" not in result.stdout
    assert r"\<b\>&\x1b\[31m\|x on six.csv" in result.stdout
    for chart in (tmp_path / "out").glob("*.svg"):
        assert (
            ET.parse(chart)
            .getroot()
            .find("{http://www.w3.org/2000/svg}title")
            .text.startswith("<b>&\\x1b[31m|x")
        )


@pytest.mark.weights
@pytest.mark.photos
def test_a_few_real_photos_with_the_real_release(sample_photos, tmp_path):
    from whyhere.releases import missing, resolve

    if missing(resolve("base")):
        pytest.skip("needs the weights of release base: whyhere releases fetch base")
    with (sample_photos / "index.csv").open() as file:
        names = [row["file"] for row in csv.DictReader(file)][:5]
    (tmp_path / "images").mkdir()
    for name in names:
        shutil.copy(sample_photos / name, tmp_path / name)
    (tmp_path / names[2]).write_bytes(b"damaged")  # in the middle of a batch
    out = tmp_path / "out"
    arguments = [sample_photos / "index.csv", "--photos", tmp_path, "--out", out, "--format", "json"]
    result = run(*arguments)
    assert result.exit_code == 1
    value = json.loads(result.stdout)
    assert value["photos"] == 4
    assert value["problems"]["counts"] == {"missing photo": 116, "unreadable photo": 1}
    assert value["leakage"]["gallery"] > 90_000
    assert value["seconds_per_photo"] > 0
    assert value["calibration"]["reliability"]["photos"] == 4
    before = (out / "predictions.jsonl").read_bytes()
    assert json.loads(run(*arguments).stdout) == value
    assert (out / "predictions.jsonl").read_bytes() == before
    alone = whyhere.locator.Locator.from_release("base").locate(tmp_path / names[3])
    with (out / "photos.csv").open(newline="") as file:
        row = {row["photo"]: row for row in csv.DictReader(file)}[names[3]]
    assert float(row["answer_lat"]) == alone.answers[0].lat
    assert float(row["answer_lon"]) == alone.answers[0].lon


def test_tables_go_without_their_option_for_one_release_with_a_notice(table, answers):
    result = CliRunner().invoke(app, ["evaluate", str(table), "--predictions", str(answers)])
    assert result.stdout == run(table, "--predictions", answers).stdout
    assert "--data" in result.stderr
