"""`whyhere train` from table to release: any source, killed and resumed, loadable by the locator."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
from tiny_training import CONCEPTS, DIMS, write_photos, write_table, write_tiny_release  # noqa: E402
from whyhere import Locator  # noqa: E402
from whyhere.errors import MissingFileError, UsageError  # noqa: E402
from whyhere.releases import resolve  # noqa: E402
from whyhere.training import TrainConfig, read_train_config, train_release  # noqa: E402

pytestmark = pytest.mark.torch
MINIATURE = {"batch_size": 8, "queue_size": 8, "epochs": 1, "max_steps": 2, "checkpoint_steps": 2}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_release(tmp_path_factory.mktemp("start") / "tiny")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WHYHERE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def config_of(tiny, **changes) -> TrainConfig:
    return TrainConfig(start_release=str(tiny), hidden=4, **{**MINIATURE, **changes})


def given(folder, count=60):
    features = write_table(folder / "table.csv", count=count)
    np.save(folder / "features.npy", features)
    return {"data": folder / "table.csv", "features": folder / "features.npy"}


def test_photos_become_a_release_that_locates(tiny, tmp_path):
    write_table(tmp_path / "table.csv", header="IMG_ID,LAT,LON")
    write_photos(tmp_path / "photos", count=58)
    (tmp_path / "photos" / "3.png").write_bytes(b"not a photo")
    stages = set()
    report = train_release(
        tmp_path / "table.csv",
        tmp_path / "mine",
        config_of(tiny, contrast_space="both"),
        photos=tmp_path / "photos",
        progress=lambda what, done, total: stages.add(what),
    )
    assert {problem.line for problem in report.problems} == {5, 60, 61}
    assert report.facts.photos == 57
    assert {"Encoding photos", "Training", "Calibrating"} <= stages
    release = resolve(tmp_path / "mine")
    assert release.config.alignment["kind"] == "caam"
    prediction = Locator.from_release(tmp_path / "mine").locate(tmp_path / "photos" / "0.png")
    assert prediction.release == "mine 1.0"
    for answer in prediction.answers:
        total = sum(concept.contribution for concept in answer.concepts) + answer.remainder
        assert total == pytest.approx(answer.score, abs=1e-5)
        assert {concept.id for concept in answer.concepts} == {f"c{j}" for j in range(CONCEPTS)}
        assert answer.remainder != 0
    card = (tmp_path / "mine" / "MODEL_CARD.md").read_text()
    assert "3 bad rows" in card
    assert report.facts.check is not None
    assert "Against tiny 1.0, on the same" in card
    assert report.facts.check.sentence.startswith("On the same")
    assert release.config.ranking["background"] == report.facts.check.ranking.background
    assert {concept.evidence for concept in prediction.answers[0].concepts} == {"untested"}
    assert "c0" in card
    assert 'contrast_space = "both"' in card


def test_photos_from_tar_files_give_the_same_release(tiny, tmp_path):
    write_table(tmp_path / "table.csv", count=30)
    write_photos(tmp_path / "photos", count=30)
    (tmp_path / "tars").mkdir()
    for shard in range(2):
        with tarfile.open(tmp_path / "tars" / f"{shard}.tar", "w") as archive:
            for i in range(shard, 30, 2):
                data = (tmp_path / "photos" / f"{i}.png").read_bytes()
                info = tarfile.TarInfo(f"{shard}/{i}.png")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    for name, source in (("a", "photos"), ("b", "tars")):
        train_release(tmp_path / "table.csv", tmp_path / name, config_of(tiny), photos=tmp_path / source)
    first, second = (tmp_path / name / "model.safetensors" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", ["paper", "geoclip"])
def test_the_shipped_recipes_run_on_a_miniature(tiny, tmp_path, name):
    """The recipe as shipped but for the release it starts from and its sizes."""
    config = dataclasses.replace(
        read_train_config(name), start_release=str(tiny), **MINIATURE, validation_share=0.2
    )
    sources = given(tmp_path, count=40)
    train_release(sources["data"], tmp_path / "mine", config, features=sources["features"])
    release = resolve(tmp_path / "mine")
    # Both train the location encoder, which the release brings along.
    assert release.part_path(release.config.location_encoder) == tmp_path / "mine"
    locator = Locator.from_release(tmp_path / "mine")
    embeddings = locator._parts.gallery.embeddings
    alignment = locator._parts.alignment
    assert (alignment.concept_weight, alignment.feature_weight) == ((1, 0) if name == "paper" else (0, 1))
    code = alignment.encode_image(np.eye(DIMS, dtype=np.float32)[0])
    parts = alignment.contributions(code, embeddings[:5])
    np.testing.assert_allclose(parts.scores, alignment.scores(code, embeddings[:5]), atol=1e-5)
    start = np.load(resolve(tiny).directory / "parts" / "gallery.npy")
    assert len(locator._parts.gallery.lat) <= len(start)


def test_the_small_recipe_runs_too(tiny, tmp_path):
    config = dataclasses.replace(read_train_config("small"), start_release=str(tiny), **MINIATURE)
    sources = given(tmp_path)
    report = train_release(sources["data"], tmp_path / "mine", config, features=sources["features"])
    assert report.facts.calibrated
    assert 0 < resolve(tmp_path / "mine").config.ranking["temperature"] < 100


def test_given_features_leave_out_bad_rows_by_line(tiny, tmp_path):
    sources = given(tmp_path)
    lines = sources["data"].read_text().splitlines()
    lines[2] = "1.png,91,0"
    sources["data"].write_text("\n".join(lines))
    features = np.load(sources["features"])
    features[5] = np.nan
    np.save(sources["features"], features)
    report = train_release(sources["data"], tmp_path / "mine", config_of(tiny), features=sources["features"])
    reasons = {problem.line: problem.reason for problem in report.problems}
    assert sorted(reasons) == [3, 7]
    assert "not finite" in reasons[7]
    np.save(sources["features"], 2 * np.nan_to_num(features, nan=0.1))
    with pytest.raises(UsageError, match="unit length"):
        train_release(sources["data"], tmp_path / "other", config_of(tiny), features=sources["features"])


def test_a_share_of_the_photos_is_drawn_by_the_seed(tiny, tmp_path):
    sources = given(tmp_path)
    for name, share in (("a", 0.5), ("b", 0.5), ("c", 1.0)):
        config = config_of(tiny, photo_share=share)
        report = train_release(sources["data"], tmp_path / name, config, features=sources["features"])
        assert report.facts.photos == 60 * share
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_tensorboard_files_are_written_where_it_is_installed(tiny, tmp_path):
    pytest.importorskip("tensorboard")
    sources = given(tmp_path)
    train_release(sources["data"], tmp_path / "mine", config_of(tiny), features=sources["features"])
    (events,) = (tmp_path / "mine" / "training" / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"train/loss" in content
    assert b"validation/median_km" in content


def test_what_is_there_is_never_overwritten(tiny, tmp_path):
    sources = given(tmp_path)
    arguments = (sources["data"], tmp_path / "mine", config_of(tiny))
    train_release(*arguments, features=sources["features"])
    for resume in (False, True):
        with pytest.raises(UsageError, match="already holds a release"):
            train_release(*arguments, features=sources["features"], resume=resume)
    before = (tmp_path / "mine" / "config.json").read_bytes()
    (tmp_path / "mine" / "config.json").unlink()  # as if killed between training and writing the release
    train_release(*arguments, features=sources["features"], resume=True)
    assert (tmp_path / "mine" / "config.json").read_bytes() == before
    (tmp_path / "mine" / "config.json").unlink()
    with pytest.raises(UsageError, match="--resume"):
        train_release(*arguments, features=sources["features"])
    other = np.load(sources["features"])[:, ::-1].copy()
    np.save(sources["features"], other)
    with pytest.raises(MissingFileError, match="another run: data was"):
        train_release(*arguments, features=sources["features"], resume=True)


def test_arguments_that_contradict_are_refused(tiny, tmp_path):
    with pytest.raises(UsageError, match="either --photos"):
        train_release("t.csv", tmp_path / "mine", config_of(tiny))
    with pytest.raises(UsageError, match="either --photos"):
        train_release("t.csv", tmp_path / "mine", config_of(tiny), photos="a", features="b")
    write_table(tmp_path / "table.csv")
    write_photos(tmp_path / "photos", count=1)
    (tmp_path / "photos" / "0.png").rename(tmp_path / "photos" / "x.png")
    with pytest.raises(UsageError, match="none of the 60 photos"):
        train_release(tmp_path / "table.csv", tmp_path / "m", config_of(tiny), photos=tmp_path / "photos")


COMMAND = (
    "import sys, torch, typer; torch.set_num_threads(1)\n"
    "from whyhere.cli._train import train\n"
    "typer.run(train)"
)


def command(sources, release, config, *flags):
    return [
        *(sys.executable, "-c", COMMAND, "--data", sources["data"], "--features", sources["features"]),
        *("--release", release, "--config", config, *flags),
    ]


def test_killed_with_signal_9_and_resumed_it_ends_with_the_same_bytes(tiny, tmp_path):
    sources = given(tmp_path, count=80)
    lines = sources["data"].read_text().splitlines()
    sources["data"].write_text("\n".join([*lines, "bad.png,91,0"]))
    np.save(sources["features"], np.concatenate((np.load(sources["features"]), np.zeros((1, DIMS)))))
    values = {"start_release": str(tiny), "batch_size": 16, "queue_size": 16, "hidden": 4, "epochs": 6}
    values |= {"checkpoint_steps": 3, "calibrate": False, "patience": 0}
    config = tmp_path / "config.toml"
    config.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items()))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in COMMAND: sums depend on how many threads share them
    train_release(
        sources["data"], tmp_path / "whole" / "mine", read_train_config(config), features=sources["features"]
    )
    torch.set_num_threads(threads)
    cut = tmp_path / "cut" / "mine"
    log = cut / "training" / "log.jsonl"
    running = subprocess.Popen(command(sources, cut, config), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        if log.is_file() and log.read_text().count('"train"') >= 8:
            break
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (cut / "config.json").exists()
    again = subprocess.run(command(sources, cut, config, "--resume"), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "line 82: the latitude 91 lies outside" in again.stderr
    assert "82,the latitude" in (cut / "training" / "bad_rows.csv").read_text()
    for name in ("model.safetensors", "config.json", "concepts.json", "MODEL_CARD.md", "training/log.jsonl"):
        assert (cut / name).read_bytes() == (tmp_path / "whole" / "mine" / name).read_bytes(), name
