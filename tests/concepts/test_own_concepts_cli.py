"""`whyhere concepts build | check | list | show` on banks of one's own, from words, prompts and photos."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from whyhere.cli import app
from whyhere.concepts import load_directions
from whyhere.errors import MissingFileError, UsageError

BANK = """
[[concept]]
name = "snowy mountain"

[[concept]]
name = "torii gate"

[[concept]]
id = "seaside"
words = ["beach", "seashore"]
group = "water"
definition = "The edge of the sea."
"""


def run(*arguments):
    result = CliRunner().invoke(app, ["concepts", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty cache: words need no weights."""
    monkeypatch.setenv("WHYHERE_HOME", str(tmp_path / "home"))


@pytest.fixture
def bank(tmp_path):
    (tmp_path / "mine.toml").write_text(BANK, encoding="utf-8")
    return tmp_path / "mine.toml"


def test_a_bank_of_words_from_build_to_show(bank, tmp_path):
    listed = run("list", "--bank", bank)
    assert "not built" in listed.stdout
    assert f"whyhere concepts build {bank} --out FILE" in listed.stderr

    built = run("build", bank, "--out", tmp_path / "out.safetensors")
    assert built.exit_code == 0
    assert "torii-gate is weak and left out: unknown: torii" in built.stderr
    assert "2 of 3 concepts" in built.stderr
    directions = load_directions(tmp_path / "out")
    assert (directions.tower, directions.ids) == ("clip-vit-b16", ("snowy-mountain", "seaside"))

    for source in (bank, tmp_path / "out", tmp_path / "out.json"):
        checked = run("check", source)
        assert checked.exit_code == 1
        assert "3 concepts, 1 of them weak" in checked.stderr
        assert "weak   unknown: torii" in checked.stdout
        assert "bridged-text (beach, seashore); nearest" in " ".join(checked.stdout.split())

    rows = json.loads(run("list", "--bank", tmp_path / "out", "--format", "json", "--strong").stdout)
    assert [row["id"] for row in rows] == ["snowy-mountain", "seaside"]
    rows = json.loads(run("list", "--bank", tmp_path / "out", "--format", "json", "--group", "water").stdout)
    assert [row["id"] for row in rows] == ["seaside"]
    shown = run("show", "Seaside", "--bank", tmp_path / "out").stdout
    assert shown.startswith("seaside (seaside): The edge of the sea.")
    assert "words: beach, seashore" in shown
    assert "not built" in run("show", "seaside", "--bank", bank).stdout
    assert json.loads(run("show", "seaside", "--bank", bank, "--format", "json").stdout)["direction"] is None


def test_check_as_json_and_its_exit_code(tmp_path):
    (tmp_path / "good.toml").write_text('[[concept]]\nname = "mountain"\n', encoding="utf-8")
    checked = run("check", tmp_path / "good.toml", "--format", "json")
    assert checked.exit_code == 0
    report = json.loads(checked.stdout)
    (concept,) = report["concepts"]
    assert (report["weak"], concept["source"], concept["unknown"], concept["weak"]) == (
        0,
        "text-row",
        [],
        False,
    )


def test_what_cannot_be_built_is_not_written(tmp_path):
    (tmp_path / "bad.toml").write_text('[[concept]]\nname = "torii"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"nothing is written \(torii: unknown: torii\)"):
        run("build", tmp_path / "bad.toml", "--out", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_mistakes_on_the_command_line(bank, tmp_path):
    with pytest.raises(UsageError, match="need directions: build them"):
        run("list", "--bank", bank, "--weak")
    with pytest.raises(UsageError, match=r"known groups: your own, water"):
        run("list", "--bank", bank, "--group", "landform")
    with pytest.raises(MissingFileError, match=r"--text-tower .*: no such folder"):
        run("check", bank, "--text-tower", tmp_path / "none")
    with pytest.raises(MissingFileError, match="no concept directions at"):
        run("check", tmp_path / "none.json")
    with pytest.raises(MissingFileError, match="no concept bank at"):
        run("check", tmp_path / "none")


def test_a_bank_is_never_read_from_what_was_built_beside_it(bank, tmp_path):
    run("build", bank, "--out", tmp_path / "mine.toml.json")  # the name that `check mine.toml` must not take
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "concepts.toml").write_text(BANK, encoding="utf-8")
    run("build", folder, "--out", tmp_path / "folder.json")
    for source, file in ((bank, bank), (folder, folder / "concepts.toml")):
        file.write_text('[[concept]]\nname = "beach"\n', encoding="utf-8")
        assert run("check", source).stderr.splitlines()[-1] == "1 concepts, 0 of them weak"
        assert [
            row["id"] for row in json.loads(run("list", "--bank", source, "--format", "json").stdout)
        ] == ["beach"]
    assert "3 concepts" in run("check", tmp_path / "folder.json").stderr


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("mine.toml", "that is the name of a bank; name it without .toml"),
        ("fresh.TOML", "that is the name of a bank; name it without .toml"),
        ("none/out", "cannot write in"),
        ("mine.toml/out", "cannot write in"),
        ("", "that is a directory; name a file in it"),
        ("taken", "that is a directory; name a file in it"),
        ("photo.jpg", "that is a photo; name another file to write"),
    ],
)
def test_targets_that_cannot_be_written_are_refused_before_the_bank_is_read(bank, tmp_path, out, message):
    (tmp_path / "taken.json").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=f"--out .*{message}"):
        run("build", tmp_path / "no-bank", "--out", tmp_path / out)
    assert sorted(tmp_path.rglob("*")) == before
    assert bank.read_text(encoding="utf-8") == BANK


def test_a_failed_write_names_the_target(bank, tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match=r"--out .*out: cannot write there \(No space left on device\)"):
        run("build", bank, "--out", tmp_path / "out")


def test_what_was_built_reads_no_text_tower(bank, tmp_path):
    run("build", bank, "--out", tmp_path / "out")
    with pytest.raises(UsageError, match="is built and only read; name the bank it was built from"):
        run("check", tmp_path / "out", "--text-tower", tmp_path)


# A tiny release with a tower of its own, whose photos and prompts lie in one space of a few dimensions.

training = str(Path(__file__).parents[1] / "training")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    pytest.importorskip("onnx")
    sys.path.insert(0, training)
    try:
        from tiny_training import DIMS, SIZE_PX, write_tiny_release
    finally:
        sys.path.remove(training)
    return write_tiny_release(tmp_path_factory.mktemp("release") / "tiny"), DIMS, SIZE_PX


def write_photos(folder, colour, *, count, size, seed):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = np.clip(rng.normal(colour, 25, (size, size, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture
def photo_bank(tiny, tmp_path):
    folder = tmp_path / "bank"
    write_photos(folder / "red_roof", (200, 40, 40), count=8, size=tiny[2], seed=1)
    write_photos(folder / "blue-sea", (30, 60, 210), count=8, size=tiny[2], seed=2)
    write_photos(folder / "few", (30, 210, 60), count=2, size=tiny[2], seed=3)
    write_photos(folder / "_other", (120, 120, 120), count=6, size=tiny[2], seed=4)
    (folder / "red_roof" / "broken.png").write_bytes(b"no photo")
    return folder


def test_a_bank_of_photos_from_build_to_show(tiny, photo_bank, tmp_path):
    built = run("build", photo_bank, "--release", tiny[0], "--out", tmp_path / "out", "--format", "json")
    assert built.exit_code == 1  # some inputs failed
    assert built.stderr.count("broken.png: ") == 1
    assert "left out" in built.stderr
    assert built.stderr.splitlines()[-1] == "whyhere: 1 photo could not be read"
    concepts = {c["id"]: c for c in json.loads(built.stdout)["concepts"]}
    assert concepts["red-roof"]["examples"] == 8
    assert concepts["red-roof"]["source"] == "example-photos"
    assert concepts["red-roof"]["auroc"] > 0.9
    assert concepts["few"]["reason"] == "only 2 example photos, 5 are needed"
    directions = load_directions(tmp_path / "out", tower=None)
    assert directions.ids == ("blue-sea", "red-roof")
    assert directions.directions.shape == (2, tiny[1])
    assert run("check", tmp_path / "out").exit_code == 1
    (photo_bank / "red_roof" / "broken.png").unlink()
    rebuilt = run("build", photo_bank, "--release", tiny[0], "--out", tmp_path / "out")
    assert rebuilt.exit_code == 0
    assert "could not be read" not in rebuilt.stderr
    shown = run("show", "red roof", "--bank", tmp_path / "out").stdout
    assert "example photos: 8" in shown
    assert "examples told from others: AUROC" in shown


def test_prompts_through_a_text_tower(tiny, tmp_path):
    from clip_folder import TEXT, VISION, write_clip_folder

    folder = tmp_path / "clip"
    narrow = {"projection": tiny[1]}
    write_clip_folder(
        folder, text=dataclasses.replace(TEXT, **narrow), vision=dataclasses.replace(VISION, **narrow)
    )
    bank = tmp_path / "bank.toml"
    bank.write_text(
        '[[concept]]\nname = "houses"\nprompts = ["houses near the coast", "roofs"]\n'
        '[[concept]]\nname = "snow"\n',
        encoding="utf-8",
    )
    options = ("--release", tiny[0], "--text-tower", folder)
    built = run("build", bank, "--out", tmp_path / "out", *options, "--format", "json")
    assert built.exit_code == 0
    report = json.loads(built.stdout)
    assert [c["source"] for c in report["concepts"]] == ["text-tower"] * 2
    assert report["concepts"][0]["words"] == ["houses near the coast", "roofs"]
    rows = load_directions(tmp_path / "out", tower=None).directions
    assert rows.shape == (2, tiny[1])
    # The same prompts through the tower by hand: unit rows averaged, minus the mean over many names.
    from whyhere.concepts import load_bank
    from whyhere.encoders import TextTower, export_text_tower

    (tmp_path / "exported").mkdir()
    export_text_tower(folder, tmp_path / "exported")
    tower = TextTower.load(tmp_path / "exported")

    def mean_of(texts):
        found = tower.embed(texts).astype(float)
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).mean(axis=0)

    common = mean_of([f"a photo of {concept.name}." for concept in load_bank()])
    prompts = [t.format(p) for p in ("houses near the coast", "roofs") for t in load_bank().templates]
    expected = mean_of(prompts) - common
    np.testing.assert_allclose(rows[0], expected / np.linalg.norm(expected), atol=1e-4)


def test_a_text_tower_needs_the_width_of_the_image_tower(tiny, photo_bank, tmp_path):
    from clip_folder import write_clip_folder

    (tmp_path / "clip").mkdir(exist_ok=True)
    write_clip_folder(tmp_path / "clip")
    with pytest.raises(UsageError, match=r"different widths|not from one model"):
        run("check", photo_bank, "--release", tiny[0], "--text-tower", tmp_path / "clip")
    with pytest.raises(UsageError, match="they are not from one model"):
        run("check", _words(tmp_path), "--text-tower", tmp_path / "clip")


def _words(folder):
    path = folder / "words.toml"
    path.write_text('[[concept]]\nname = "beach"\n', encoding="utf-8")
    return path


def test_a_tower_without_words_needs_photos_or_a_text_tower(tiny, bank):
    with pytest.raises(UsageError, match="nothing to make directions from"):
        run("check", bank, "--release", tiny[0])


@pytest.mark.torch
def test_training_takes_a_users_own_bank(tiny, photo_bank, tmp_path):
    pytest.importorskip("torch")
    from whyhere.releases import resolve
    from whyhere.training import TrainConfig, concept_directions

    run("build", photo_bank, "--release", tiny[0], "--out", tmp_path / "out")
    config = TrainConfig(start_release=str(tiny[0]), directions=str(tmp_path / "out"))
    labels, columns = concept_directions(resolve(str(tiny[0])), config)
    assert [(label.id, label.name, label.source) for label in labels] == [
        ("blue-sea", "blue sea", "example-photos"),
        ("red-roof", "red roof", "example-photos"),
    ]
    assert columns.shape == (tiny[1], 2)


@pytest.mark.torch
def test_a_release_is_trained_on_a_users_own_bank(tiny, photo_bank, tmp_path):
    pytest.importorskip("torch")
    from whyhere.releases import resolve
    from whyhere.training import TrainConfig, train_release

    sys.path.insert(0, training)
    try:
        from tiny_training import write_table
    finally:
        sys.path.remove(training)
    run("build", photo_bank, "--release", tiny[0], "--out", tmp_path / "out")
    np.save(tmp_path / "features.npy", write_table(tmp_path / "table.csv"))
    config = TrainConfig(
        start_release=str(tiny[0]), directions=str(tmp_path / "out"), hidden=4, batch_size=8, queue_size=8,
        epochs=1, max_steps=2, checkpoint_steps=2,
    )  # fmt: skip
    train_release(tmp_path / "table.csv", tmp_path / "mine", config, features=tmp_path / "features.npy")
    assert resolve(str(tmp_path / "mine")).config.alignment["concept_ids"] == ["blue-sea", "red-roof"]


def test_training_on_base_takes_a_users_words(bank, tmp_path):
    from whyhere.releases import resolve
    from whyhere.training import TrainConfig, concept_directions

    run("build", bank, "--out", tmp_path / "out")
    labels, columns = concept_directions(resolve("base"), TrainConfig(directions=str(tmp_path / "out.json")))
    assert [label.id for label in labels] == ["snowy-mountain", "seaside"]
    assert labels[1].definition == "The edge of the sea."
    np.testing.assert_allclose(columns.T, load_directions(tmp_path / "out").directions)
