"""`whyhere probe` on a small table, with a made-up release."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from whyhere.alignment import LinearAlignment
from whyhere.cli import _probe
from whyhere.errors import MissingFileError, UsageError
from whyhere.evaluation.probing import FEATURES, FeatureMaker, land_points

pytest.importorskip("sklearn")

SMALL = ("--points", "150", "--folds", "2", "--repeats", "2", "--jobs", "1", "--probes", "linear")


class Encoder:
    """Stands in for GeoCLIP's encoder: 12 waves of latitude and longitude."""

    def embed(self, lat, lon):
        angles = np.radians(np.column_stack((lat, lon)))
        return np.hstack([np.sin(k * angles + k) for k in range(1, 7)]).astype(np.float32) * 3


def features(release, controls, seed):
    rng = np.random.default_rng(0)
    alignment = LinearAlignment(
        concept_ids=("fjord", "souk", "taiga", "dune"),
        head=rng.normal(size=(12, 20)).astype(np.float32),
        feature_mean=np.zeros(20, np.float32),
        location_mean=np.zeros(12, np.float32),
        directions=rng.normal(size=(20, 4)).astype(np.float32),
        scale=1.0,
        penalty=0.01,
    )
    maker = FeatureMaker(Encoder(), alignment, controls=controls, reference_points=100, seed=seed)
    return maker, f"{release} 9.9"


def run(*arguments):
    app = typer.Typer()
    app.command()(_probe.probe)
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setattr(_probe, "_features", features)
    lat, lon = land_points(150, seed=8)
    north = np.where(lat > 20, "north", "south")
    rows = [f"{y},{x},{np.sin(np.radians(x))},{half}" for y, x, half in zip(lat, lon, north, strict=True)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(("lat,lon,wave,half", *rows)) + "\n", encoding="utf-8")
    return path


def own(table, *more):
    return (
        "--table",
        str(table),
        "--target",
        "wave",
        "--target",
        "half",
        "--task",
        "wave",
        "--task",
        "half",
        *more,
    )


def test_table_on_standard_output(table):
    result = run(*own(table, *SMALL))
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Probes of base 9.9, 20")
    assert "Linear probe (ridge, logistic), random split" in lines
    assert "Linear probe (ridge, logistic), blocked split" in lines
    assert any(line.split()[0:1] == ["wave"] and "±" in line for line in lines)
    assert "the concept space keeps" in result.stdout
    assert "The 4 concept numbers span 4 of the embedding's 12 dimensions" in result.stdout


def test_json_markdown_and_plots(table, tmp_path):
    out = tmp_path / "new" / "probes"
    result = run(*own(table, *SMALL, "--format", "json", "--out", str(out)))
    report = json.loads(result.stdout)
    assert sorted(path.name for path in out.iterdir()) == [
        "kept.svg", "probe.json", "probe.md", "scores-linear.svg",
    ]  # fmt: skip
    assert json.loads((out / "probe.json").read_text(encoding="utf-8")) == report
    assert report["settings"]["folds"] == 2
    assert [task["name"] for task in report["tasks"]] == ["wave", "half"]
    assert len(report["scores"]) == 2 * 2 * (len(FEATURES) + 2)
    by_key = {(s["task"], s["split"], s["features"]): s for s in report["scores"]}
    assert by_key["wave", "random", "geoclip"]["metric"] == "R2"
    assert by_key["half", "random", "geoclip"]["metric"] == "accuracy"
    assert by_key["half", "random", "geoclip"]["value"]["value"] > 0.8
    assert sum(by_key["wave", "random", "geoclip"]["chosen"].values()) == 4
    assert {kept["features"] for kept in report["kept"]} == {"concepts", "random", "pca"}
    text = (out / "probe.md").read_text(encoding="utf-8")
    assert text.startswith("# Probes of base 9.9\n")
    assert "| half, balanced |" in text
    for line in text.splitlines():
        assert not line.startswith("| wave") or line.count("|") in (6, len(FEATURES) + 4)
    for name in ("kept.svg", "scores-linear.svg"):
        root = ET.fromstring((out / name).read_text(encoding="utf-8"))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        width, height = float(root.get("width")), float(root.get("height"))
        for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
            assert 0 <= float(circle.get("cx")) <= width
            assert 0 <= float(circle.get("cy")) <= height
        for text in root.iter("{http://www.w3.org/2000/svg}text"):
            # Half an em a letter is less than any font needs: a legend outside its picture fails here.
            room = {"start": 1.0, "middle": 0.5, "end": 0.0}[text.get("text-anchor", "start")]
            length = 0.5 * float(text.get("font-size")) * len(text.text)
            assert float(text.get("x")) - (1 - room) * length >= 0
            assert float(text.get("x")) + room * length <= width
            assert 0 <= float(text.get("y")) <= height
        assert {"wave", "half"} <= {
            text.text for text in root.iter("{http://www.w3.org/2000/svg}text")
        } or name == "kept.svg"


def test_mlp_alone_on_one_split(table):
    result = run(*own(table, *SMALL[:-2], "--probes", "mlp", "--splits", "random", "--format", "json"))
    scores = json.loads(result.stdout)["scores"]
    assert {(score["probe"], score["split"]) for score in scores} == {("mlp", "random")}
    assert {score["features"] for score in scores} == set(FEATURES)


def test_what_is_skipped_is_said(table):
    result = run(*own(table, *SMALL, "--task", "temperature", "--no-controls", "--format", "markdown"))
    assert "skipping temperature: needs the table of weather stations" in result.stderr
    assert "Skipped **temperature**" in result.stdout
    assert "random directions" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--table", "TABLE"), "1 --table and 0 --target"),
        (("--target", "wave"), "0 --table and 1 --target"),
        (("--table", "TABLE", "--target", "nope"), "no column for --target nope"),
        (("--task", "nope"), "--task nope: there is no such task; tasks: temperature"),
        (("--format", "csv"), "--format csv: choose one of table, json, markdown"),
        (("--probes", "deep"), "--probes deep: choose one of linear, mlp, both"),
        (("--kind", "text"), "--kind text: choose one of"),
        (("--task", "temperature"), "every task was skipped"),
    ],
)
def test_wrong_usage(table, arguments, said):
    arguments = [str(table) if argument == "TABLE" else argument for argument in arguments]
    with pytest.raises(UsageError) as caught:
        run(*arguments, "--points", "150")
    assert said in str(caught.value)


def test_bad_rows_stop_unless_told_otherwise(table):
    table.write_text(table.read_text(encoding="utf-8") + "95,10,0.5,north\n", encoding="utf-8")
    with pytest.raises(UsageError, match="line 152: latitude 95 lies outside"):
        run(*own(table, *SMALL))
    result = run(*own(table, *SMALL, "--skip-bad-rows", "--splits", "random", "--format", "json"))
    assert json.loads(result.stdout)["tasks"][0]["left_out"][0].startswith("1 bad rows left out (line 152")


def test_missing_extra_is_named(table, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingFileError, match=r'pip install "whyhere\[probe\]"'):
        run(*own(table))


def test_the_real_release_has_a_concept_space():
    from whyhere.releases import asset_path, resolve

    try:
        asset_path(resolve("base").config.location_encoder.asset)
    except MissingFileError as error:
        pytest.skip(str(error))
    maker, called = _probe._features("base", True, 0)
    assert called.startswith("base ")
    made = maker(np.array([48.9, -33.9]), np.array([2.3, 151.2]))
    assert made["geoclip"].shape == (2, 512)
    assert made["concepts"].shape == (2, maker.space.concepts)
    assert made["pca"].shape == made["random"].shape == (2, maker.space.rank)


def test_quick_is_a_first_look(table):
    report = json.loads(run(*own(table, "--quick", "--jobs", "1", "--format", "json")).stdout)
    assert (report["settings"]["folds"], report["settings"]["repeats"]) == (2, 1)
    assert {score["probe"] for score in report["scores"]} == {"linear"}
    assert {score["features"] for score in report["scores"]} == set(FEATURES)  # no controls
