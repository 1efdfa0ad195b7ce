"""The script that writes the table of concept maps: on a made-up world where the right numbers are known."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from whyhere.alignment import LinearAlignment
from whyhere.evaluation.probing import land_points
from whyhere.gallery import Gallery
from whyhere.references import agreement, cell_table, reference_for

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import concept_maps

    yield concept_maps
    sys.modules.pop("concept_maps", None)


@pytest.fixture(scope="module")
def world():
    """Three concepts whose maps are their references plus noise, and embeddings that hold the references."""
    lat, lon = land_points(3000, seed=2)
    rng = np.random.default_rng(0)
    truth = np.stack(
        [
            np.nan_to_num(reference_for(concept).values(lat, lon))
            for concept in ("desert", "forest", "tropical-climate")
        ],
        axis=1,
    )
    maps = (truth + 0.2 * rng.normal(size=truth.shape)).astype(np.float32)
    embeddings = np.concatenate((maps, rng.normal(size=(len(lat), 13))), axis=1).astype(np.float32)
    return Gallery(lat, lon, embeddings, "made up"), maps


def test_controls_know_whose_map_is_whose(script, world):
    gallery, maps = world
    cells = cell_table(gallery.lat, gallery.lon)
    columns = {"desert": 0, "forest": 1, "tropical-climate": 2}
    rows = [
        agreement(
            maps[:, column], reference_for(concept), lat=gallery.lat, lon=gallery.lon, cells=cells, draws=20
        )
        for concept, column in columns.items()
    ]
    found = script.control_aurocs(rows, gallery, cells, maps, columns)
    assert found["share_of_other_concepts_beaten"] == 1.0
    assert found["random_directions"] == pytest.approx(0.5, abs=0.06)
    assert found["random_directions_with_the_better_sign"] > found["random_directions"]
    assert found["other_concepts"] < script.median(rows)


def test_nothing_is_tested_where_it_was_taught(script, world):
    gallery, _ = world
    cells = cell_table(gallery.lat, gallery.lon)
    size = gallery.embeddings.shape[1]
    blind = LinearAlignment(
        concept_ids=("desert", "forest", "cave"),
        head=np.eye(size, dtype=np.float32),
        feature_mean=np.zeros(size, np.float32),
        location_mean=np.zeros(size, np.float32),
        directions=np.eye(size, dtype=np.float32)[:, -3:],  # noise: photos have taught nothing
        scale=1.0,
        penalty=0.1,
    )
    assert script.taught_elsewhere(blind, gallery, cells) is None
    ones = np.ones((size, 3), np.float32)
    grounded = dataclasses.replace(blind, grounding=ones)
    np.testing.assert_allclose(script.photos_alone(grounded).basis, blind.basis)
    found = script.taught_elsewhere(grounded, gallery, cells)
    where = {"lat": gallery.lat, "lon": gallery.lon, "cells": cells, "draws": 10}
    before = agreement(gallery.embeddings[:, -3], reference_for("desert"), **where)
    after = agreement(found[:, 0], reference_for("desert"), **where)
    assert after.auroc > before.auroc + 0.2
    cave = blind.location_concepts(gallery.embeddings)[:, 2]  # no reference, nothing learned
    np.testing.assert_allclose(found[:, 2], cave, atol=1e-6)


def test_the_table_says_what_was_measured_and_takes_its_place(script, world, tmp_path):
    gallery, maps = world
    row = agreement(maps[:, 1], reference_for("forest"), lat=gallery.lat, lon=gallery.lon, draws=20)
    report = {
        "release": "made-up",
        "version": "1",
        "places": 3000,
        "cells": row.cells,
        "agreements": [row.to_dict()],
        "taught_elsewhere": {},
        "median_auroc": {"all": row.auroc, "direct": row.auroc, "proxy": float("nan")},
        "contradicted": [],
        "undecided": ["forest"],
        "controls": {
            "random_directions": 0.5,
            "random_directions_with_the_better_sign": 0.6,
            "other_concepts": 0.5,
            "share_of_other_concepts_beaten": 0.9,
        },
        "too_few_cells": [],
        "without_reference": ["cave"],
        "forest_by_state": None,
    }
    text = script.markdown(report, {"forest": "forest"})
    assert f"| forest | share of forest, at least 50 % | direct | {row.present_cells:,}" in text
    assert f"| {row.auroc:.2f} ({row.auroc_low:.2f} to {row.auroc_high:.2f}) | +" in text
    assert "Without a reference: cave." in text
    assert "Undecided: forest." in text
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == 2
    for table in tables:  # a cell beyond the heading's would not be shown
        assert len({line.count("|") for line in table}) == 1
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n", encoding="utf-8")
    script.put_between_marks(page, text)
    script.put_between_marks(page, text)  # again changes nothing
    written = page.read_text(encoding="utf-8")
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert written.count(text) == 1


def test_a_page_without_marks_is_left_alone(script, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(SystemExit, match="lacks the lines"):
        script.put_between_marks(page, "text")
    assert page.read_text(encoding="utf-8") == "no marks"
