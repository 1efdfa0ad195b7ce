"""`whyhere faithfulness` from outside, with a release whose tower knows photos by their colour."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from faithful_world import RANKING, photo_of, picture, world
from test_scorecard_parts import write_fold
from typer.testing import CliRunner

import whyhere.locator  # noqa: F401 - before a fixture replaces what it imports
from whyhere.cli import app
from whyhere.errors import MissingFileError, UsageError

PHOTOS = 12


def run(*arguments: object):
    result = CliRunner().invoke(app, ["faithfulness", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def study():
    return world(photos=PHOTOS)


@pytest.fixture
def looks(study, tmp_path, monkeypatch):
    """A release in a folder and a locator that needs no weights; yields a note for each look."""
    seen: list[int] = []

    def features(image):
        seen.append(photo_of(image))
        return study.features[photo_of(image)]

    def tracing_tower():
        raise MissingFileError("a tower of another kind")

    locator = SimpleNamespace(
        tracing_tower=tracing_tower,
        parts=SimpleNamespace(
            alignment=study.release,
            ranking=RANKING,
            concepts=study.labels,
            gallery=study.gallery,
            view_average="embeddings",
            embedder=SimpleNamespace(
                tower=None, spec="", view_average="embeddings", shape=study.features[0].shape, embed=features
            ),
        ),
        cells=study.cells,
    )
    directory = tmp_path / "release"
    directory.mkdir()
    (directory / "tower.onnx").write_bytes(b"")
    release = SimpleNamespace(
        name="tiny",
        version="1",
        directory=directory,
        config=SimpleNamespace(
            alignment={"kind": "linear"}, image_tower=SimpleNamespace(asset="", file="tower.onnx")
        ),
    )
    monkeypatch.setenv("WHYHERE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("whyhere.releases.resolve", lambda name: release)
    monkeypatch.setattr("whyhere.locator.Locator.from_release", lambda name, **options: locator)
    return seen


@pytest.fixture
def table(study, tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = ["file,lat,lon\n"]
    for number, (lat, lon) in enumerate(zip(study.lat, study.lon, strict=True)):
        picture(number).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{lat},{lon}\n")
    path = folder / "index.csv"
    path.write_text("".join(lines))
    return path


QUICK = ("--draws", 2, "--stability-photos", 3, "--region-photos", 2)


def test_all_lines_are_run_and_written(looks, table, tmp_path):
    out = tmp_path / "out"
    result = run("--data", table, "--out", out, *QUICK)
    assert result.exit_code == 0
    assert result.stdout == (out / "scorecard.md").read_text("utf-8")
    assert result.stdout.startswith("# Faithfulness of tiny 1\n\n> **It is not known")
    assert "It is not known whether the release has learned from these photos" in result.stderr
    value = json.loads((out / "scorecard.json").read_text("utf-8"))
    verdicts = {line["number"]: line["verdict"] for line in value["lines"]}
    assert list(verdicts) == [1, 2, 3, 4, 5, 6, 7]
    # The concepts of this world are not in the bank of references, and its tower shows no hidden tokens.
    assert [number for number, verdict in verdicts.items() if verdict == "not run"] == [2, 3, 4]
    assert verdicts[6] == "passes"
    assert "gaps" in {exhibit["id"] for exhibit in value["exhibits"]}


def test_photos_are_looked_at_once_and_a_second_run_goes_on(looks, table):
    first = run("--data", table, "--only", "5,7", "--format", "json", *QUICK)
    assert sorted(looks) == list(range(PHOTOS))
    second = run("--data", table, "--only", "5,7", "--format", "json", *QUICK)
    assert len(looks) == PHOTOS
    one, two = json.loads(first.stdout), json.loads(second.stdout)
    for value in (one, two):
        value.pop("seconds")
        for line in value["lines"]:
            line.pop("seconds")
    assert one == two
    assert [line["number"] for line in one["lines"]] == [5, 7]


def test_held_out_heads_answer_their_own_photos(looks, table, study, tmp_path):
    folder = tmp_path / "held-out"
    silent = replace(study.release, head=study.release.head * -1)  # answers with the wrong side of the Earth
    write_fold(folder / "fold-00", study.release)
    write_fold(folder / "fold-01", silent)
    rows = "".join(f"{number}.png,fold-0{int(number >= 6)}\n" for number in range(PHOTOS))
    (folder / "folds.csv").write_text(f"photo,fold\n{rows}")
    value = json.loads(
        run("--data", table, "--only", "1", "--format", "json", "--held-out", folder, *QUICK).stdout
    )
    assert value["held_out"]
    assert value["warning"] == ""
    assert "(2 folds)" in value["protocol"]
    errors = [row[1] for row in next(t for t in value["exhibits"] if t["id"] == "photos")["rows"]]
    assert np.median(errors[6:]) > 3 * np.median(errors[:6])


def test_unreadable_and_missing_photos_are_named_and_left_out(looks, table):
    (table.parent / "3.png").write_bytes(b"no photo")
    (table.parent / "4.png").unlink()
    result = run("--data", table, "--only", "7", "--format", "json", *QUICK)
    assert json.loads(result.stdout)["photos"] == PHOTOS - 2
    assert "3.png" in result.stderr
    assert "4.png" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "html"), "choose markdown or json"),
        (("--only", "8"), "there is no line 8"),
        (("--only", "one"), "such as 1,4"),
        (("--only", "1"), "needs photos; add --data"),
        (("--photos", "."), "Add --data TABLE"),
    ],
)
def test_what_makes_no_sense_is_refused(looks, arguments, message):
    with pytest.raises(UsageError, match=message):
        run(*arguments)


def test_without_photos_only_the_maps_are_tested(looks):
    value = json.loads(run("--format", "json").stdout)
    assert [line["number"] for line in value["lines"]] == [4]
    assert value["photos"] == 0
    assert value["warning"] == ""
    assert value["protocol"] == "maps alone"


def test_quick_is_a_first_look(looks, table, monkeypatch):
    import whyhere.evaluation.faithfulness as fa

    asked, run_scorecard = [], fa.run_scorecard

    def noted(study, settings, **options):
        asked.append((len(study.photos), settings.draws, settings.stability_photos, settings.region_photos))
        return run_scorecard(study, settings, **options)

    monkeypatch.setattr(fa, "run_scorecard", noted)
    assert run("--data", table, "--quick", "--only", "7", "--format", "json").exit_code == 0
    run("--data", table, "--quick", "--only", "7", "--draws", 3, "--limit", 8)
    assert asked == [(PHOTOS, 5, 8, 8), (8, 3, 8, 8)]
