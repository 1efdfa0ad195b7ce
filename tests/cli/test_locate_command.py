"""`whyhere locate` as people run it: real processes, the real release, odd files."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from whyhere.report import prediction_schema

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module", autouse=True)
def _weights(base_release):
    """All tests here need the fetched weights."""


def whyhere(*arguments, stdin=None, cwd=None, env=None):
    command = [sys.executable, "-W", "error", "-m", "whyhere", *map(os.fspath, arguments)]
    return subprocess.run(
        command, input=stdin, capture_output=True, cwd=cwd, timeout=300, env={**os.environ, **(env or {})}
    )


def write_photo(path, seed=0, size=(120, 90)):
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG")
    with open(path, "wb") as file:  # noqa: PTH123 - the path may be bytes
        file.write(buffer.getvalue())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three good photos with odd names in two directories, and three bad ones."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    write_photo(folder / "a photo.jpg", 1)
    write_photo(folder / "sub" / "new\nline.jpg", 2)
    write_photo(os.fsencode(folder) + b"/caf\xe9.jpg", 3)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.png").write_text("<!doctype html><html></html>")
    (folder / "cut.jpg").write_bytes((folder / "a photo.jpg").read_bytes()[:300])
    return folder


def test_many_photos_directories_and_standard_input_with_failures(folder, tmp_path):
    stdin = write_photo(tmp_path / "piped.jpg", 4)
    done = whyhere("locate", folder, "-", tmp_path / "absent.jpg", "--format", "jsonl", stdin=stdin)
    assert done.returncode == 1
    predictions = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(predictions) == 4
    for prediction in predictions:
        jsonschema.validate(prediction, prediction_schema())
        for answer in prediction["answers"]:
            total = sum(concept["contribution"] for concept in answer["concepts"]) + answer["remainder"]
            total += answer["other_concepts"]["contribution"]
            assert total == pytest.approx(answer["score"], abs=1e-5)
    *errors, last = done.stderr.decode("utf-8").splitlines()
    assert last.startswith("whyhere: 4 located, 4 unreadable, ")
    assert len(errors) == 4
    for name in ("empty.jpg", "page.png", "cut.jpg", "absent.jpg"):
        assert sum(name in line for line in errors) == 1


def test_one_photo_as_table_json_and_report_in_one_run(folder, tmp_path):
    report = tmp_path / "report.html"
    done = whyhere("locate", folder / "a photo.jpg", "--html", report, env={"PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0
    text = done.stdout.decode("utf-8")
    assert "a photo.jpg" in text
    assert "within" in text
    assert "GeoNames" in text
    assert "\x1b" not in text
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    one = json.loads(whyhere("locate", folder / "a photo.jpg", "--format", "json").stdout)
    assert isinstance(one, dict)
    assert one["release"].startswith("base ")


@pytest.mark.parametrize("suffix", ["json", "csv", "geojson", "kml"])
def test_the_suffix_of_the_output_names_the_format(folder, tmp_path, suffix):
    output = tmp_path / f"out.{suffix}"
    done = whyhere("locate", folder / "a photo.jpg", "-o", output)
    assert done.returncode == 0
    assert done.stdout == b""
    text = output.read_text(encoding="utf-8")
    if suffix == "csv":
        assert len(list(csv.DictReader(io.StringIO(text)))) == 5
    else:
        assert text.lstrip().startswith({"json": "{", "geojson": "{", "kml": "<"}[suffix])
    assert list(tmp_path.iterdir()) == [output]


def test_nothing_that_matters_is_overwritten(folder, tmp_path):
    photo = tmp_path / "mine.jpg"
    data = write_photo(photo, 5)
    kept = tmp_path / "kept.json"
    kept.write_text("before")
    for arguments, words in (
        (["-o", photo], "that is a photo"),
        (["--html", folder / "other.jpg"], "that is a photo"),
        (["-o", tmp_path], "directory"),
        (["-o", tmp_path / "r.html", "--html", tmp_path / "r.html"], "same file"),
        (["-o", tmp_path / "r.xyz"], "suffix"),
        (["--html", tmp_path / "none" / "r.html"], "--html"),
        (["--html", "-"], "--html -: the page goes to a file"),
    ):
        done = whyhere("locate", photo, *arguments)
        assert done.returncode == 2
        assert words in done.stderr.decode()
    assert whyhere("locate", tmp_path / "absent.jpg", "-o", kept).returncode == 1
    assert kept.read_text() == "before"
    assert photo.read_bytes() == data


def test_output_follows_links_and_dash_is_standard_output(folder, tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("before")
    link.symlink_to(real)
    assert whyhere("locate", folder / "a photo.jpg", "-o", link).returncode == 0
    assert link.is_symlink()
    assert json.loads(real.read_text())["answers"]
    done = whyhere("locate", folder / "a photo.jpg", "-o", "-", "--format", "json", cwd=tmp_path)
    assert json.loads(done.stdout)["answers"]
    assert not (tmp_path / "-").exists()


def test_region_and_top_and_radius(folder):
    done = whyhere(
        "locate",
        folder / "a photo.jpg",
        "--region",
        "NZ",
        "--top",
        "2",
        "--radius-km",
        "100",
        "--format",
        "json",
    )
    answers = json.loads(done.stdout)["answers"]
    assert 1 <= len(answers) <= 2
    assert all(answer["radius_km"] <= 100 for answer in answers)
    assert all(answer["place"]["country_code"] in {"NZ", None} for answer in answers)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["locate"], 2, "PHOTO"),
        (["locate", "x.jpg", "--format", "xml"], 2, "no such format"),
        (["locate", "x.jpg", "--region", "Atlantis"], 2, "Atlantis"),
        (["locate", "x.jpg", "--top", "0"], 2, "top"),
        (["locate", "x.jpg", "--radius-km", "-3"], 2, "radius"),
        (["locate", "x.jpg", "--release", "nonesuch"], 3, "nonesuch"),
        (["locate", "x.jpg", "-o", "/nonexistent-folder/out.json"], 2, "nonexistent-folder"),
        (["locate", "x.jpg"], 1, "x.jpg"),
    ],
)
def test_exit_codes_and_messages(tmp_path, arguments, code, words):
    done = whyhere(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert words in done.stderr.decode("utf-8")
    assert b"Traceback" not in done.stderr


def test_without_weights_the_command_that_fetches_them_is_named(tmp_path, folder):
    done = whyhere("locate", folder / "a photo.jpg", env={"WHYHERE_HOME": str(tmp_path / "empty")})
    assert done.returncode == 3
    assert b"whyhere releases fetch base" in done.stderr


def test_a_closed_pipe_ends_quietly(folder):
    script = f'"{sys.executable}" -m whyhere locate "{folder}" --format jsonl | head -c 1'
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=300)
    assert done.stdout == b"{"
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupt_ends_in_order_and_leaves_a_whole_file(folder, tmp_path):
    photos = [str(folder / "a photo.jpg")] * 500
    output = tmp_path / "out.json"
    with subprocess.Popen(
        [sys.executable, "-m", "whyhere", "locate", *photos, "-o", str(output)], stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 120
        while not output.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in errors
    found = len(json.loads(output.read_bytes()))
    assert 0 < found < 500
    assert f"interrupted: {found} located".encode() in errors
    assert list(tmp_path.iterdir()) == [output]


def test_the_same_photo_gives_the_same_answer_alone_and_in_a_crowd(folder):
    alone = json.loads(whyhere("locate", folder / "a photo.jpg", "--format", "jsonl").stdout)
    crowd = whyhere("locate", folder, "--format", "jsonl").stdout.splitlines()
    assert alone in [json.loads(line) for line in crowd]


def test_help_names_every_command():
    done = whyhere("--help")
    assert done.returncode == 0
    for command in (b"locate", b"releases", b"concepts"):
        assert command in done.stdout
    assert whyhere("--version").stdout.startswith(b"whyhere ")


def test_the_picture_of_kauai_is_answered_with_several_places():
    from whyhere.releases import asset_path

    done = whyhere("locate", asset_path("geoclip") / "Kauai.png", "--format", "json")
    answers = json.loads(done.stdout)["answers"]
    assert len(answers) == 5
    assert len({answer["place"]["name"] for answer in answers}) == 5
    assert Path(json.loads(done.stdout)["photo"]).name == "Kauai.png"
