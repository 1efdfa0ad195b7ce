"""`whyhere evaluate --config`: heads that have not learned from the photos, kinds apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_evaluate_command import run

from whyhere._parts import Parts
from whyhere.alignment import LinearAlignment
from whyhere.concepts import ConceptLabel
from whyhere.errors import MissingFileError, UsageError
from whyhere.evaluation import Benchmark, Guess, Query, SystemPrediction, compare, read_protocol, score
from whyhere.gallery import Gallery
from whyhere.geo import great_circle_km
from whyhere.images import PreprocessSpec
from whyhere.locator import Locator
from whyhere.prediction import ReleaseCard
from whyhere.ranking import RankingConfig

DIM = 8
PLACES = [(10.0, 20.0), (-30.0, 140.0), (50.0, -100.0)]
# Two towns with two photos each, a lonely monument, and two street-level photos in a table without kinds.
TOWNS = [
    ("a1.jpg", 10.0, 20.0, "town", 8),
    ("a2.jpg", 10.05, 20.0, "town", 8),
    ("b1.jpg", -30.0, 140.0, "monument", 30),
    ("b2.jpg", -30.1, 140.0, "monument", 8),
    ("c.jpg", 50.0, -100.0, "monument", 0.1),
]
STREETS = [("s1.jpg", 60.0, 25.0), ("s2.jpg", 35.0, 179.9)]


@pytest.fixture
def tables(tmp_path) -> list[Path]:
    towns, streets = tmp_path / "towns.csv", tmp_path / "streets.csv"
    rows = [f"{n},{lat},{lon},{kind},{km}\n" for n, lat, lon, kind, km in TOWNS]
    towns.write_text("".join(["file,lat,lon,kind,precision_km\n", *rows]))
    streets.write_text("".join(["file,lat,lon\n", *(f"{n},{lat},{lon}\n" for n, lat, lon in STREETS)]))
    for name, *_ in (*TOWNS, *STREETS):
        (tmp_path / name).write_bytes(name.encode())
    return [towns, streets]


def head(answer: int) -> LinearAlignment:
    """A head that answers the same place whatever it sees."""
    embeddings = np.eye(3, DIM, dtype=np.float32)
    return LinearAlignment(
        concept_ids=("sea",),
        head=np.outer(embeddings[answer], np.ones(DIM)).astype(np.float32),
        feature_mean=np.zeros(DIM, np.float32),
        location_mean=np.zeros(DIM, np.float32),
        directions=np.eye(DIM, 1, dtype=np.float32),
        scale=1.0,
        penalty=0.01,
    )


def write_heads(folder: Path, folds: dict[str, str]) -> Path:
    for number in range(3):
        where = folder / f"fold-{number:02d}"
        where.mkdir(parents=True)
        one = head(number)
        save_file(one.tensors(), where / "model.safetensors")
        section = {"kind": "linear", "scale": 1.0, "penalty": 0.01, "concept_ids": ["sea"]}
        (where / "config.json").write_text(json.dumps({"alignment": section}))
    lines = [f"{photo},{fold}\n" for photo, fold in folds.items()]
    (folder / "folds.csv").write_text("".join(["photo,fold\n", *lines]))
    return folder


@pytest.fixture
def release(monkeypatch):
    """A release with three places, whose own head is never asked."""
    lat, lon = np.array(PLACES).T
    parts = Parts(
        tower=None,  # type: ignore[arg-type]  # features are given
        preprocessing=PreprocessSpec(),
        gallery=Gallery(lat, lon, np.eye(3, DIM, dtype=np.float32), "tiny"),
        alignment=head(0),
        ranking=RankingConfig(0.1, 3, 200.0, 0.0),
        concepts=(ConceptLabel("sea", "sea", "nature", "", ""),),
        card=ReleaseCard("tiny", "1", "s", "a", (), ()),
    )
    seen: list[str] = []

    def look(name, benchmark, files, *, progress=None):
        seen.extend(query.photo for query in benchmark.queries)
        rng = np.random.default_rng(1)
        rows = rng.normal(size=(len(benchmark.queries), DIM)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        features = {q.photo: np.abs(row) for q, row in zip(benchmark.queries, rows, strict=True)}
        return benchmark, features, {q.photo: files[q.photo].stat().st_size for q in benchmark.queries}

    monkeypatch.setattr("whyhere.evaluation.features_of_photos", look)
    monkeypatch.setattr("whyhere.evaluation.run_description", lambda release, *, top: {"release": "tiny 1"})
    monkeypatch.setattr("whyhere.releases.resolve", lambda name: None)
    monkeypatch.setattr("whyhere.locator.Locator.from_release", lambda name, **options: Locator(parts))
    return seen


FOLDS = {
    "a1.jpg": "fold-00",
    "a2.jpg": "fold-01",
    "b1.jpg": "fold-01",
    "b2.jpg": "fold-02",
    "c.jpg": "",
    "s1.jpg": "",
    "s2.jpg": "",
}


def test_every_photo_is_answered_by_the_head_of_its_fold(tables, release, tmp_path):
    heads, out = write_heads(tmp_path / "heads", FOLDS), tmp_path / "out"
    protocol = tmp_path / "mine.toml"
    protocol.write_text('split = "known-places"\nfolds = 3\nduplicate_cosine = 1.0\n')
    arguments = (*tables, "--photos", tmp_path, "--config", protocol, "--held-out", heads, "--out", out)
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    said = {line["photo"]: (line["answers"][0]["lat"], line["answers"][0]["lon"]) for line in lines}
    assert said == {"a1.jpg": PLACES[0], "a2.jpg": PLACES[1], "b1.jpg": PLACES[1], "b2.jpg": PLACES[2]}
    assert value["system"] == "tiny 1, held out"
    assert value["benchmark"]["protocol"]["split"] == "known-places"
    assert {kind["name"]: kind["photos"] for kind in value["kinds"]} == {
        "not street level": 4,
        "monument": 2,
        "town": 2,
    }
    monument = next(kind for kind in value["kinds"] if kind["name"] == "monument")["accuracy"]
    assert monument["25 km"]["value"] == 0.0  # b1 is right, but known to 30 km only; b2 is wrong
    assert monument["200 km"]["value"] == 50.0
    assert monument["1 km"]["value"] is None
    assert len(release) == 7
    assert run(*arguments).exit_code == 0  # goes on from the ledger
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 4


def test_folds_that_break_the_protocol_are_refused(tables, release, tmp_path):
    heads = write_heads(tmp_path / "heads", FOLDS)
    arguments = (*tables, "--photos", tmp_path, "--held-out", heads)
    with pytest.raises(UsageError, match="less than 50 km apart"):
        run(*arguments, "--config", "new-places")
    with pytest.raises(UsageError, match=r"no table has the photo 's1.jpg'"):
        run(tables[0], *arguments[2:], "--config", "known-places")
    (heads / "folds.csv").write_text("photo,fold\na1.jpg,fold-00\n")
    with pytest.raises(UsageError, match="no fold for the photo"):
        run(*arguments, "--config", "known-places")


def test_what_a_protocol_needs_is_asked_for(tables, release, tmp_path):
    heads = write_heads(tmp_path / "heads", FOLDS)
    with pytest.raises(UsageError, match="Add --held-out DIR"):
        run(*tables, "--photos", tmp_path, "--config", "new-places")
    with pytest.raises(UsageError, match="--held-out needs --config"):
        run(*tables, "--photos", tmp_path, "--held-out", heads)
    with pytest.raises(UsageError, match=r"another table has the photo 'a1.jpg'"):
        run(tables[0], tables[0], "--photos", tmp_path, "--config", "known-places", "--held-out", heads)
    with pytest.raises(MissingFileError, match="no such protocol"):
        run(*tables, "--photos", tmp_path, "--config", "nowhere", "--held-out", heads)


def test_answers_of_another_system_are_scored_where_the_protocol_asks(tables, tmp_path):
    said = tmp_path / "said.jsonl"
    rows = [(n, lat, lon) for n, lat, lon, *_ in (*TOWNS, *STREETS)]
    said.write_text("".join(json.dumps({"photo": n, "lat": lat, "lon": lon}) + "\n" for n, lat, lon in rows))
    result = run(*tables, "--predictions", said, "--config", "street-level", "--format", "json")
    value = json.loads(result.stdout)
    assert (value["photos"], value["accuracy"]["1 km"]["value"]) == (2, 100.0)
    assert [kind["name"] for kind in value["kinds"]] == ["street level"]
    text = run(*tables, "--predictions", said, "--config", "street-level").stdout
    assert "- Protocol: street-level (one left out at a time): all other photos are learned from" in text


def benchmark_of(rows) -> Benchmark:
    queries = tuple(Query(n, lat, lon, 1, None, None, None, kind, km) for n, lat, lon, kind, km in rows)
    return Benchmark("made up", None, len(rows), queries, (), read_protocol("new-places"))


def answers(rows, shift_km) -> list[SystemPrediction]:
    moved = [(n, lat + km / 111.195, lon) for (n, lat, lon, *_), km in zip(rows, shift_km, strict=True)]
    return [SystemPrediction(n, (Guess(lat=lat, lon=lon),)) for n, lat, lon in moved]


def test_percentages_count_the_photos_known_better_than_the_distance():
    rng = np.random.default_rng(4)
    kinds, precisions = ("street", "town", "monument"), (0.0, 5.0, 25.0, 150.0, 339.0)
    rows = [
        (
            f"{i}.jpg",
            float(rng.uniform(-50, 50)),
            float(rng.uniform(-180, 180)),
            kinds[i % 3],
            precisions[i % 5],
        )
        for i in range(60)
    ]
    shifts = [rng.choice([0.5, 10.0, 100.0, 500.0, 2000.0, 3000.0], 60) for _ in range(2)]
    benchmark = benchmark_of(rows)
    a, b = (score(answers(rows, shift), benchmark, system=str(n)) for n, shift in enumerate(shifts))
    both = compare(a, b)
    precision_km = np.array([row[4] for row in rows])
    error_km = np.array(
        [
            great_circle_km(r[1], r[2], g.guesses[0].lat, r[2])
            for r, g in zip(rows, answers(rows, shifts[0]), strict=True)
        ]
    )
    groups = {kind.name: np.array([row[3] == kind.name for row in rows]) for kind in a.kinds}
    groups |= {"street level": groups["street level"] | [r[3] == "street" for r in rows]}
    groups["not street level"] = ~groups["street level"]
    assert [kind.name for kind in a.kinds] == ["street level", "not street level", "monument", "town"]
    assert list(both.kinds) == [kind.name for kind in a.kinds]
    for threshold in (1, 25, 200, 750, 2500):
        counted, key = precision_km < threshold, f"{threshold} km"
        hits = 100.0 * (error_km <= threshold)
        assert a.accuracy[key].value == pytest.approx(hits[counted].mean())
        for kind in a.kinds:
            members = groups[kind.name] & counted
            assert kind.accuracy[key].value == pytest.approx(hits[members].mean())
            assert kind.accuracy[key].low <= kind.accuracy[key].value <= kind.accuracy[key].high
            difference = both.kinds[kind.name].figures[key]
            assert difference.first == pytest.approx(hits[members].mean())
    assert sum(one.photos for name, one in both.kinds.items() if "street" in name) == 60
