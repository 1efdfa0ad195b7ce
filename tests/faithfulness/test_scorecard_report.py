"""What a scorecard turns into: Markdown as it was, JSON and back, and plots that any reader can open."""

from __future__ import annotations

import csv
import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from faithful_world import lookup, world
from msgspec.structs import replace

from whyhere.errors import UsageError
from whyhere.evaluation.faithfulness import (
    Embeddings,
    Figure,
    Outcome,
    Scorecard,
    Settings,
    Table,
    embeddings,
    markdown,
    plots,
    run_scorecard,
    write_scorecard,
)
from whyhere.stats import Interval

GOLDEN = Path(__file__).parent / "golden" / "scorecard.md"
FEW = Settings(draws=2, resamples=100, stability_photos=4, region_photos=3, support=2)


@pytest.fixture(scope="module")
def fixed() -> Scorecard:
    """A scorecard of made-up numbers, which no change of the measuring changes."""
    curve = Table(
        "curve",
        "Accuracy by number of concepts kept",
        (
            *("concepts kept", "within 200 km, %", "within 750 km, %", "within 2500 km, %", "median km"),
            *("GeoScore", "GeoScore low", "GeoScore high", "random GeoScore, mean", "random, lowest draw"),
            "random, highest draw",
        ),
        (
            (1, 1.0, 5.0, 20.0, 5432.1, 700.0, 600.0, 800.0, 500.0, 400.0, 600.0),
            ("all", 2.5, 12.25, 40.0, 3210.0, 1100.0, 900.0, 1300.0, 1000.0, 800.0, 1200.0),
        ),
    )
    first = Outcome(
        1,
        "Accuracy from concepts alone",
        "Do they?",
        "passes",
        "They do: +100 (+50 to +150).",
        "Passes where they do.",
        (
            Figure(
                "top 10 concepts, GeoScore",
                "points",
                Interval(1100, 900, 1300),
                Interval(1000, 800, 1200),
                "random banks",
                Interval(100, 50, 150),
            ),
            Figure("whole score, within 200 km", "%", Interval(9.87, math.nan, math.nan)),
        ),
        (curve, Table("long", "Everything", ("photo",), (("a|b.jpg",),), in_report=False)),
        ("A note with a | in it.",),
        1.5,
    )
    second = Outcome(3, "Image regions", "Do they?", "not run", "There are no photos.")
    bands = Table("error-bands", "Concepts by error band", ("error", "value"), (("0 to 25 km", 0.12345),))
    return Scorecard(
        release="tiny 1",
        kind="linear",
        date="2026-11-20",
        data="index.csv",
        photos=12,
        concepts=5,
        dims=64,
        protocol="the release itself answers",
        held_out=False,
        trained_on="these photos",
        seed=0,
        draws=20,
        outcomes=(first, second),
        exhibits=(bands,),
        seconds=12.4,
    )


def test_markdown_is_as_it_was(fixed):
    text = markdown(fixed, plots=("line-1-curve.svg", "images-pca.svg"))
    if not GOLDEN.exists():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
        pytest.fail(f"{GOLDEN} was not there; written, look at it")
    assert text == GOLDEN.read_text("utf-8")


def test_json_holds_everything(fixed):
    text = json.dumps(fixed.to_dict(), allow_nan=False)
    again = Scorecard.from_dict(json.loads(text))
    assert markdown(again) == markdown(fixed)
    assert again.to_dict() == fixed.to_dict()
    assert again.outcome(1).figure("top 10 concepts, GeoScore").difference == Interval(100, 50, 150)
    assert fixed.to_dict()["lines"][0]["figures"][1]["value"]["low"] is None


@pytest.mark.parametrize(
    ("held_out", "knows", "loud"),
    [
        (False, "these photos", "LEARNED FROM THESE PHOTOS"),
        (False, "some of these photos", "SOME OF THESE PHOTOS"),
        (False, "not known", "not known"),
        (False, "none of these photos", ""),
        (True, "these photos", ""),
    ],
)
def test_the_report_says_loudly_when_a_release_is_tested_on_what_it_learned(fixed, held_out, knows, loud):
    scorecard = replace(fixed, held_out=held_out, trained_on=knows)
    assert loud in scorecard.warning
    assert bool(loud) == bool(scorecard.warning)
    assert ("> **" in markdown(scorecard)) == bool(loud)
    assert scorecard.to_dict()["warning"] == scorecard.warning


@pytest.fixture(scope="module")
def measured():
    study = world(photos=14)
    card = run_scorecard(
        study,
        FEW,
        release="tiny 1",
        kind="linear",
        date="2026-11-20",
        data="a <b> & c.csv",
        lookup=lookup,
        trained_on="none of these photos",
    )
    return study, card


def test_every_line_has_its_plots_and_files(measured, tmp_path):
    study, card = measured
    drawn, gaps = embeddings(study)
    assert gaps is not None
    written = write_scorecard(card, tmp_path / "deep" / "out", picture=drawn)
    names = {path.name for path in written}
    assert {"scorecard.json", "scorecard.md", "photos.csv", "images-pca.svg", "joint-pca.svg"} <= names
    assert {"line-1-curve.svg", "line-2-concepts.svg", "line-4-concepts.svg", "line-7-risk.svg"} <= names
    text = (tmp_path / "deep" / "out" / "scorecard.md").read_text("utf-8")
    for path in written:
        if path.suffix == ".svg":
            assert f"]({path.name})" in text
            svg = path.read_text("utf-8")
            assert ET.fromstring(svg).find("{http://www.w3.org/2000/svg}title").text
            assert "nan" not in svg.replace("dominant", "")
            assert "href" not in svg
    value = json.loads((tmp_path / "deep" / "out" / "scorecard.json").read_text("utf-8"))
    assert [line["number"] for line in value["lines"]] == [1, 2, 3, 4, 5, 6, 7]
    with (tmp_path / "deep" / "out" / "photos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["photo"] for row in rows] == list(study.photos)
    assert all("Concept" in row["top 20 concepts"] for row in rows)


def test_table_three_has_bands_support_and_intervals(measured):
    _, card = measured
    bands = next(table for table in card.exhibits if table.id == "error-bands")
    assert set(bands.column("end")) <= {"highest", "lowest"}
    assert min(bands.column("photos with it")) >= 3
    for low, value, high in zip(
        bands.column("low"), bands.column("median activation"), bands.column("high"), strict=True
    ):
        assert low <= value <= high


def test_pictures_know_that_photos_lie_near_their_places(measured):
    study, _ = measured
    _, gaps = embeddings(study)
    value = dict(gaps.rows)
    assert value["cosine of photo and its own place, mean"] > 0.3
    assert value["cosine of photo and another photo's place, mean"] < 0.2
    assert embeddings(world(photos=2)) == (None, None)


def test_pictures_can_be_drawn_without_variance():
    flat = np.zeros((4, 2))
    picture = Embeddings(flat, ("", "Asia", "", "Asia"), flat, flat, flat, ("a", "b", "c", "d"), (0.0, 0.0))
    scorecard = Scorecard("t", "linear", "", "", 0, 0, 0, "", False, "not known", 0, 2, ())
    for svg in plots(scorecard, picture).values():
        ET.fromstring(svg)
        assert "nan" not in svg.replace("dominant", "")


def test_a_folder_that_cannot_be_written_is_a_usage_error(fixed, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--out"):
        write_scorecard(fixed, tmp_path / "file")
