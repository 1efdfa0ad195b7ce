"""Conversion of downloaded files: galleries from CSV, GeoCLIP's checkpoints to safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyhere._io import exclusive
from whyhere.errors import MissingFileError
from whyhere.releases import asset_path, gallery_from_csv, image_tower_from_checkpoint


def _csv(folder: Path, text: str) -> Path:
    path = folder / "places.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_latitude_before_longitude_whatever_the_order_of_columns(tmp_path: Path) -> None:
    gallery = gallery_from_csv(_csv(tmp_path, "id,lon,Lat\n1,170.5,-20\n2,-3,48.25\n"))
    assert gallery.dtype == np.float64
    np.testing.assert_array_equal(gallery, [[-20, 170.5], [48.25, -3]])


def test_places_equal_in_single_precision_are_one_and_order_stays(tmp_path: Path) -> None:
    text = "LAT,LON\n5,5\n1.00000001,2\n1,2\n5.0,5.00\n-90,180\n\n1.0000002,2\n"
    gallery = gallery_from_csv(_csv(tmp_path, text))
    np.testing.assert_array_equal(gallery, [[5, 5], [1.00000001, 2], [-90, 180], [1.0000002, 2]])


@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=1, max_size=30))
def test_agrees_with_the_obvious_way(tmp_path_factory: Any, places: list[tuple[float, float]]) -> None:
    doubled = places + places[::-1]
    rows = "".join(f"{lat!r},{lon!r}\n" for lat, lon in doubled)
    found = gallery_from_csv(_csv(tmp_path_factory.mktemp("csv"), "LAT,LON\n" + rows))
    seen: dict[tuple[float, float], tuple[float, float]] = {}
    for lat, lon in doubled:
        seen.setdefault((float(np.float32(lat)), float(np.float32(lon))), (lat, lon))
    np.testing.assert_array_equal(found, np.array(list(seen.values())))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "needs the columns LAT and LON"),
        ("A,B\n1,2\n", "needs the columns LAT and LON"),
        ("LAT,LON\n", "holds no places"),
        (
            "LAT,LON\n1,2\n170,20\n",
            r"place 2 is not on Earth: \(170.0, 20.0\); LAT and LON seem to be swapped",
        ),
        ("LAT,LON\n95,181\n", r"place 1 is not on Earth: \(95.0, 181.0\)$"),
        ("LAT,LON\n1,nan\n", "place 1 is not on Earth"),
        ("LAT,LON\n1,inf\n", "place 1 is not on Earth"),
        ("LAT,LON\n1,2\n3\n", "line 3: not a place"),
        ("LAT,LON\n1,x\n", "line 2: not a place"),
    ],
)
def test_wrong_galleries_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(MissingFileError, match=complaint):
        gallery_from_csv(_csv(tmp_path, text))


@pytest.mark.torch
def test_only_the_image_tower_is_taken_from_a_whole_clip_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.numpy import load_file

    tensors = {
        "logit_scale": torch.tensor(4.6),
        "text_model.embeddings.token_embedding.weight": torch.ones(5, 2),
        "vision_model.embeddings.class_embedding": torch.arange(3.0),
        "visual_projection.weight": torch.arange(6.0).reshape(2, 3).T,
    }
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    taken: dict[str, np.ndarray] = {}
    monkeypatch.setattr(
        "whyhere.encoders.convert_clip_safetensors", lambda weights, target: taken.update(load_file(weights))
    )
    (tmp_path / "built").mkdir()
    image_tower_from_checkpoint(tmp_path, tmp_path / "built", "float32")
    assert set(taken) == {"vision_model.embeddings.class_embedding", "visual_projection.weight"}
    np.testing.assert_array_equal(taken["visual_projection.weight"], [[0, 3], [1, 4], [2, 5]])
    assert list((tmp_path / "built").iterdir()) == []  # nothing but the tower stays


def _fetched(name: str) -> Path:
    try:
        return asset_path(name)
    except MissingFileError as error:
        pytest.skip(f"needs fetched weights: {error}")


@pytest.mark.weights
def test_geoclip_as_fetched() -> None:
    from safetensors.numpy import load_file

    folder = _fetched("geoclip")
    gallery = np.load(folder / "gallery.npy")
    assert gallery.shape == (94_100, 2)  # 100,000 less 5,900 exact duplicates
    head = load_file(folder / "image_head.safetensors")
    assert {name: tensor.shape for name, tensor in head.items()} == {
        "0.weight": (768, 768),
        "0.bias": (768,),
        "2.weight": (512, 768),
        "2.bias": (512,),
        "logit_scale": (),
    }
    encoder = load_file(folder / "location_encoder.safetensors")
    assert sum(tensor.size for tensor in encoder.values()) == 9_449_472
    assert {str(tensor.dtype) for tensor in encoder.values()} == {"float32"}


def test_a_lock_excludes_and_is_told_once(tmp_path: Path) -> None:
    import threading

    told: list[str] = []
    order: list[str] = []
    entered = threading.Event()

    def other() -> None:
        entered.set()
        with exclusive(tmp_path / "x.lock", waiting=lambda: told.append("waiting")):
            order.append("other")

    with exclusive(tmp_path / "x.lock", waiting=lambda: told.append("never")):
        thread = threading.Thread(target=other)
        thread.start()
        entered.wait(10)
        while not told:
            thread.join(0.05)
        order.append("first")
    thread.join(10)
    assert order == ["first", "other"]
    assert told == ["waiting"]
