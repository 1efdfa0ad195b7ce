"""The reference release from end to end, on random weights: fetched, located with, imported, refused."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from typer.testing import CliRunner

from clip_folder import TEXT, VISION, gallery_points, write_clip_folder, write_geoclip_release
from whyhere import Locator, releases
from whyhere.alignment import GeoClipAlignment
from whyhere.cli import app
from whyhere.concepts import load_bank, read_labels
from whyhere.encoders import TextTower
from whyhere.errors import MissingFileError, UsageError
from whyhere.releases import ASSETS

BUILT_IN = releases.resolve("geoclip-l14").directory


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WHYHERE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_clip_folder(folder)
    return folder


@pytest.fixture(scope="session")
def geoclip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "geoclip-own"
    write_geoclip_release(folder)
    return folder


@pytest.fixture(scope="session")
def ready_home(tmp_path_factory: pytest.TempPathFactory, clip: Path, geoclip: Path) -> Path:
    """A cache with the towers fetched from a folder and the own GeoCLIP release ready to use."""
    home = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHYHERE_HOME", str(home))
        result = CliRunner().invoke(app, ["releases", "fetch", str(geoclip), "--from", str(clip)])
        assert result.exit_code == 0, result.output
        assert "not the published weights" in result.stderr
        assert "geoclip-own" in result.stderr
    return home


@pytest.fixture
def locator(ready_home: Path, geoclip: Path, monkeypatch: pytest.MonkeyPatch) -> Locator:
    monkeypatch.setenv("WHYHERE_HOME", str(ready_home))
    return Locator.from_release(geoclip)


def photo(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((300, 260), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


# The files of the release.


def test_the_concepts_are_those_of_the_bank() -> None:
    labels = read_labels(BUILT_IN / "concepts.json")
    wanted = [c for c in load_bank() if not c.place_neutral]
    assert [(x.id, x.name, x.group, x.definition) for x in labels] == [
        (c.id, c.name, c.group, c.definition) for c in wanted
    ]
    assert {label.source for label in labels} == {"text"}
    assert f"| {len(labels)} concepts |" in (BUILT_IN / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_the_card_says_what_is_published_and_what_is_not_measured() -> None:
    card = releases.resolve("geoclip-l14").config.card
    assert "Not measured by whyhere" in card.accuracy
    assert "13.1/32.2/48.1/66.6/82.3" in card.accuracy
    assert "14.11/34.47/50.65/69.67/83.82" in card.accuracy
    assert any("not calibrated" in limit for limit in card.limits)
    text = (BUILT_IN / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "14.11/34.47/50.65/69.67/83.82" in text.replace(" / ", "/")


# From a folder to an answer.


def test_a_photo_is_located_with_a_release_folder_of_geoclip(locator: Locator) -> None:
    assert locator.card.name == "geoclip-own"
    points = {tuple(point) for point in gallery_points()}
    prediction = locator.locate(photo(1))
    assert prediction.answers
    for answer in prediction.answers:
        assert (answer.lat, answer.lon) in points
        total = sum(concept.contribution for concept in answer.concepts) + answer.remainder
        assert total == pytest.approx(answer.score, abs=1e-5 * np.exp(3.68))
        assert len(answer.concepts) == len(read_labels(BUILT_IN / "concepts.json"))


def test_an_answer_does_not_depend_on_the_other_photos(locator: Locator) -> None:
    photos = [photo(seed) for seed in range(4)]
    together = [prediction.answers for prediction in locator.locate_many(photos)]
    assert [locator.locate(one).answers for one in photos] == together


def test_directions_are_geoclips_answers_to_the_prompts(locator: Locator, geoclip: Path) -> None:
    """Computed here once more, from the definition: prompts, templates, head, mean of unit vectors."""
    alignment = locator._parts.alignment
    assert isinstance(alignment, GeoClipAlignment)
    tower = TextTower.load(releases.asset_path("clip-vit-l14"))
    weights = load_file(geoclip / "model.safetensors")
    head = {
        name: weights[f"image_encoder.mlp.{name}"] for name in ("0.weight", "0.bias", "2.weight", "2.bias")
    }
    bank = load_bank()
    for column in (0, 7, 200):
        concept = next(c for c in bank if c.id == alignment.concept_ids[column])
        units = []
        for prompt in concept.prompts:
            for template in bank.templates:
                x = tower.embed([template.replace("{}", prompt)])[0].astype(np.float64)
                h = np.maximum(head["0.weight"] @ x + head["0.bias"], 0)
                q = head["2.weight"] @ h + head["2.bias"]
                units.append(q / np.linalg.norm(q))
        mean = np.mean(units, axis=0)
        np.testing.assert_allclose(
            alignment.concept_directions[:, column], mean / np.linalg.norm(mean), atol=1e-5
        )


def test_a_text_is_answered_with_the_same_head(locator: Locator, geoclip: Path) -> None:
    tower = releases.load_text_tower(releases.resolve(geoclip))
    (direction,) = locator._parts.alignment.text_directions(tower.embed(["a beach in the tropics"]))
    similarity = locator._parts.gallery.embeddings @ direction
    assert similarity.shape == (400,)
    assert np.abs(similarity).max() <= 1 + 1e-5
    assert np.ptp(similarity) > 1e-3


def test_directions_are_computed_once(
    ready_home: Path, geoclip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHYHERE_HOME", str(ready_home))
    monkeypatch.setattr(TextTower, "embed", lambda *_, **__: pytest.fail("computed again"))
    path = releases.prepare_heads(releases.resolve(geoclip))
    assert path.parent.parent == ready_home / "heads"
    assert list((ready_home / "tmp").iterdir()) == []


def test_8_bit_weights_replace_float_ones_when_asked_for(home: Path, clip: Path) -> None:
    asset = {"clip-vit-l14": ASSETS["clip-vit-l14"]}
    release = releases.resolve("geoclip-l14")
    only_tower = type(release)(release.name, release.directory, _only_towers(release.config))
    tower = home / "assets" / "clip-vit-l14"
    options = {"folder": clip, "assets": asset}
    assert releases.fetch(only_tower, **options) == ("clip-vit-l14",)
    first = (tower / "image_tower.onnx").read_bytes()
    assert releases.fetch(only_tower, **options) == ()
    assert releases.fetch(only_tower, **options, weights="8-bit") == ("clip-vit-l14",)
    assert json.loads((tower / "manifest.json").read_text())["source"]["weights"] == "8-bit"
    assert (tower / "image_tower.onnx").read_bytes() != first
    assert releases.fetch(only_tower, **options) == ()  # no wish: what is there stays
    assert releases.fetch(only_tower, **options, force=True) == ("clip-vit-l14",)
    assert json.loads((tower / "manifest.json").read_text())["source"]["weights"] == "8-bit"
    with pytest.raises(UsageError, match="choose one of float32, 8-bit"):
        releases.fetch(only_tower, **options, weights="4-bit")
    assert (tower / "manifest.json").is_file()


def _only_towers(config):
    import dataclasses

    part = config.text_tower
    return dataclasses.replace(config, location_encoder=part, gallery=part, image_head=part)


# What cannot be had.


def test_without_network_one_message_names_the_commands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "huggingface_hub" else found(name, *rest),
    )
    with pytest.raises(MissingFileError) as caught:
        releases.fetch("geoclip-l14")
    message = str(caught.value)
    assert caught.value.exit_code == 3
    assert 'pip install "whyhere[hub]"' in message
    assert "hf download openai/clip-vit-large-patch14 model.safetensors config.json tokenizer.json" in message
    assert "whyhere releases fetch geoclip-l14 --from clip-vit-l14" in message
    assert not (home / "assets" / "clip-vit-l14").exists()


def test_locating_without_the_weights_names_the_command(home: Path) -> None:
    with pytest.raises(MissingFileError, match="whyhere releases fetch geoclip-l14"):
        Locator.from_release("geoclip-l14")
    assert not home.exists()


def _hub(folder: Path, monkeypatch: pytest.MonkeyPatch, source: Path, body: str = "") -> None:
    """Put a stand-in for huggingface_hub where child processes find it."""
    package = folder / "packages" / "huggingface_hub"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "def try_to_load_from_cache(*_, **__):\n    return None\n"
        "def hf_hub_url(repo, file, *, revision):\n"
        "    assert repo == 'openai/clip-vit-large-patch14' and len(revision) == 40\n"
        "    return file\n",
        encoding="utf-8",
    )
    (package / "utils.py").write_text("def build_hf_headers():\n    return {}\n", encoding="utf-8")
    (package / "file_download.py").write_text(
        "import pathlib, time\n"
        "def http_get(url, stream, *, resume_size, headers, expected_size):\n"
        f"{body}"
        f"    stream.write(pathlib.Path({str(source)!r}, url).read_bytes()[resume_size:])\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))


def test_the_hub_gives_the_pinned_files_or_none(
    home: Path, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    source = tmp_path / "snapshot"
    source.mkdir()
    for name in ("config.json", "model.safetensors", "vocab.json", "merges.txt"):
        (source / name).write_bytes((clip / name).read_bytes())
    (source / "tokenizer.json").write_text("{}")
    slow = "    if resume_size == 0 and expected_size > 5000:\n"
    slow += f"        stream.write(pathlib.Path({str(source)!r}, url).read_bytes()[:5000])\n"
    slow += "        stream.flush()\n        resume_size = 5000\n        time.sleep(0.5)\n"
    _hub(tmp_path, monkeypatch, source, body=slow)
    release = releases.resolve("geoclip-l14")
    release = type(release)(release.name, release.directory, _only_towers(release.config))
    real = ASSETS["clip-vit-l14"]
    with pytest.raises(MissingFileError, match=r"wrong checksum: model\.safetensors has SHA-256"):
        releases.fetch(release)
    assert not (home / "assets" / "clip-vit-l14").exists()
    files = tuple(
        releases.SourceFile(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in (
            source / name for name in ("model.safetensors", "config.json", "vocab.json", "merges.txt")
        )
    )
    pinned = dataclasses.replace(real, hub=dataclasses.replace(real.hub, files=files))
    told: list[tuple[str, int, int | None]] = []
    fetched = releases.fetch(release, assets={real.name: pinned}, progress=lambda *step: told.append(step))
    assert fetched == ("clip-vit-l14",)
    manifest = json.loads((home / "assets" / "clip-vit-l14" / "manifest.json").read_text())
    assert manifest["source"]["kind"] == "hub"
    assert manifest["source"]["published"] == "yes"
    assert manifest["source"]["sha256"] == files[0].sha256
    total = sum(file.size for file in files)
    assert ("checking model.safetensors", files[0].size, files[0].size) in told
    assert any(task.startswith("downloading") and 5000 <= done < total for task, done, _ in told)
    assert not (home / "downloads" / "clip-vit-l14").exists()
    assert releases.missing(release, assets={real.name: pinned}) == {}
    # Pinned to other weights, what came from the hub is out of date.
    assert releases.missing(release) == {"clip-vit-l14": "made by another version of whyhere"}


def test_a_hub_that_fails_is_quoted(
    home: Path, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hub(tmp_path, monkeypatch, clip, body="    raise ConnectionError('Name or service not known')\n")
    with pytest.raises(MissingFileError, match="hub: no connection") as caught:
        releases.fetch("geoclip-l14")
    assert "--from" in str(caught.value)
    assert list((home / "tmp").iterdir()) == []


@pytest.mark.parametrize("absent", ["model.safetensors", "config.json", "vocab.json"])
def test_an_incomplete_folder_is_refused_and_nothing_stays(home: Path, tmp_path: Path, absent: str) -> None:
    folder = tmp_path / "clip"
    write_clip_folder(folder)
    (folder / absent).unlink()
    with pytest.raises(MissingFileError, match=absent.replace(".", r"\.")):
        releases.fetch("geoclip-l14", folder=folder)
    assert not (home / "assets" / "clip-vit-l14").exists()
    assert list((home / "tmp").iterdir()) == []


def test_a_folder_is_no_source_of_base() -> None:
    with pytest.raises(UsageError, match="leave out --from"):
        releases.fetch("base", folder=Path())


# Release folders of the geoclip package that do not fit.


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format_version": 2}, "format_version is 2"),
        ({"backbone": {"repo_id": "someone/other"}}, "its backbone is 'someone/other'"),
        ({"backbone": None}, "its backbone is None"),
        ({"gallery_file": "../places.csv"}, "must name a CSV file in the folder"),
        ({"gallery_file": "none.csv"}, r"none\.csv: a release of GeoCLIP needs this file"),
    ],
)
def test_a_geoclip_folder_that_does_not_fit_is_refused(
    home: Path, tmp_path: Path, geoclip: Path, change: dict[str, object], says: str
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ("model.safetensors", "places.csv"):
        (folder / name).symlink_to(geoclip / name)
    config = {**json.loads((geoclip / "config.json").read_text()), **change}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(MissingFileError, match=says):
        releases.resolve(folder)


def test_geoclip_weights_with_a_tensor_too_many_are_refused(
    home: Path, tmp_path: Path, geoclip: Path
) -> None:
    from safetensors.numpy import save_file

    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ("config.json", "places.csv"):
        (folder / name).symlink_to(geoclip / name)
    tensors = load_file(geoclip / "model.safetensors")
    save_file({**tensors, "extra": np.zeros(1, np.float32)}, folder / "model.safetensors")
    with pytest.raises(MissingFileError, match="not GeoCLIP's weights: extra"):
        releases.resolve(folder)
    assert not (home / "imported").exists() or list((home / "imported").iterdir()) == []


def test_an_import_follows_its_source(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changing"
    write_geoclip_release(folder, points=gallery_points(10))
    first = releases.resolve(folder)
    assert releases.resolve(folder).directory == first.directory
    write_geoclip_release(folder, points=gallery_points(11))
    second = releases.resolve(folder)
    assert second.directory != first.directory
    assert len(np.load(second.directory / "gallery.npy")) == 11
    assert [check.problem for check in releases.verify(second)][:3] == [None] * 3


# Towers of the user's own.


def _own_release(folder: Path, geoclip: Path, tower: dict[str, object], **changes: object) -> Path:
    """A release directory that takes everything but the tower from an imported release."""
    imported = releases.resolve(geoclip).directory
    folder.mkdir()
    config = json.loads((imported / "config.json").read_text())
    for part in ("location_encoder", "gallery", "image_head"):
        config[part] = {"folder": str(imported)}
    config |= {"image_tower": tower, **changes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "concepts.json").write_bytes((imported / "concepts.json").read_bytes())
    return folder


def test_a_model_folder_of_the_users_own_is_exported_once(
    ready_home: Path, tmp_path: Path, clip: Path, geoclip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHYHERE_HOME", str(ready_home))
    tower = {"folder": str(clip), "views": 1, "view_average": "logits", "licence": "MIT"}
    own = _own_release(tmp_path / "own", geoclip, tower)
    expected = Locator.from_release(geoclip).locate(photo(2)).answers
    assert Locator.from_release(own).locate(photo(2)).answers == expected
    exports = list((ready_home / "towers").iterdir())
    Locator.from_release(own)
    assert list((ready_home / "towers").iterdir()) == exports


def test_an_onnx_file_of_the_users_own_is_run(
    ready_home: Path, tmp_path: Path, clip: Path, geoclip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyhere.encoders import export_image_tower

    monkeypatch.setenv("WHYHERE_HOME", str(ready_home))
    tower: dict[str, object] = {
        **{"file": "tower.onnx", "input": "pixel_values", "embedding": "image_embeds", "tokens": "tokens"},
        **{"size_px": 224, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resample": "bilinear"},
        **{"views": 10, "view_average": "logits", "licence": "CC BY-NC 4.0, not for commercial use"},
    }
    own = _own_release(tmp_path / "own", geoclip, tower)
    with pytest.raises(MissingFileError, match=r"tower\.onnx: there is no such image tower"):
        Locator.from_release(own)
    export_image_tower(clip, own / "tower.onnx")
    locator = Locator.from_release(own)
    spec = locator._parts.preprocessing
    assert (spec.mean, spec.resample, spec.views) == ((0.5, 0.5, 0.5), "bilinear", 10)
    assert locator.locate(photo(3)).answers
    pixels = np.zeros((1, 3, 224, 224), np.float32)
    assert locator._parts.tower.embed(pixels).tokens.shape == (1, VISION.tokens, VISION.hidden)
    shown = CliRunner().invoke(app, ["releases", "show", str(own)])
    assert "CC BY-NC 4.0, not for commercial use" in shown.output


def test_heads_of_the_users_own_go_with_any_tower(
    ready_home: Path, tmp_path: Path, geoclip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model folder of another shape, as of ViT-B/32, behind a linear head as `whyhere train` makes it."""
    import dataclasses

    from safetensors.numpy import save_file

    monkeypatch.setenv("WHYHERE_HOME", str(ready_home))
    narrow = {"projection": 48}
    write_clip_folder(
        tmp_path / "clip",
        vision=dataclasses.replace(VISION, **narrow),
        text=dataclasses.replace(TEXT, **narrow),
    )
    tower = {"folder": "../clip", "views": 7, "licence": "MIT"}
    labels = read_labels(BUILT_IN / "concepts.json")
    ids = [label.id for label in labels]
    alignment = {"kind": "linear", "concept_ids": ids, "scale": 1.0, "penalty": 0.02}
    own = _own_release(tmp_path / "own", geoclip, tower, alignment=alignment)
    rng = np.random.default_rng(0)
    k = len(ids)
    shapes = {"head": (512, 48), "feature_mean": (48,), "location_mean": (512,), "directions": (48, k)}
    shapes |= {"patterns": (48, k), "grounding": (512, k)}
    tensors = {name: rng.normal(size=shape).astype(np.float32) * 0.1 for name, shape in shapes.items()}
    tensors["spread"] = np.ones(k, np.float32)
    save_file(tensors, own / "model.safetensors")
    assert Locator.from_release(own).locate(photo(4)).answers


def test_geoclips_head_refuses_a_tower_of_another_width(
    ready_home: Path, tmp_path: Path, geoclip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    monkeypatch.setenv("WHYHERE_HOME", str(ready_home))
    write_clip_folder(tmp_path / "clip", vision=dataclasses.replace(VISION, projection=512))
    tower = {"folder": "../clip", "views": 1, "view_average": "logits", "licence": "MIT"}
    with pytest.raises(MissingFileError, match=r"width 768 .*, and the image tower gives 512"):
        Locator.from_release(_own_release(tmp_path / "own", geoclip, tower))


def test_removing_deletes_what_was_computed(home: Path, tmp_path: Path, clip: Path) -> None:
    folder = tmp_path / "gone"
    write_geoclip_release(folder, points=gallery_points(10))
    release = releases.resolve(folder)
    releases.fetch(release, folder=clip)
    releases.prepare_heads(release)
    assert (home / "heads").is_dir()
    freed = releases.remove(release, others=())
    assert freed > 40_000_000  # GeoCLIP's location encoder alone
    assert not (home / "heads").exists()
    assert not release.directory.exists()
    assert list((home / "assets").iterdir()) == list((home / "tmp").iterdir()) == []
    assert (folder / "model.safetensors").is_file()  # the user's own stays


@pytest.mark.parametrize(
    ("tower", "says"),
    [
        ({"file": "t.onnx", "views": 1, "size_px": 224}, r"image_tower\.licence is missing"),
        ({"file": "t.onnx", "folder": "f", "views": 1, "licence": "MIT"}, "exclude each other"),
        ({"file": "t.onnx", "views": 1, "licence": "MIT"}, r"image_tower\.size_px is missing"),
        ({"folder": "f", "views": 1, "licence": "MIT", "weights": "4-bit"}, "must be one of float32, 8-bit"),
        ({"folder": "f", "views": 1, "licence": "MIT", "mean": ["a"]}, "must be a list of numbers"),
        ({"folder": "f", "views": 1, "licence": "MIT"}, 'view_average must be "logits"'),
        ({"folder": "f", "views": 1, "licence": "MIT", "view_average": "logits"}, "there is no such file"),
    ],
)
def test_a_tower_configuration_that_does_not_fit_is_refused(
    ready_home: Path,
    tmp_path: Path,
    geoclip: Path,
    monkeypatch: pytest.MonkeyPatch,
    tower: dict[str, object],
    says: str,
) -> None:
    monkeypatch.setenv("WHYHERE_HOME", str(ready_home))
    with pytest.raises(MissingFileError, match=says):
        Locator.from_release(_own_release(tmp_path / "own", geoclip, tower))
