"""Files of strangers that are no photos: each fault is a sentence of whyhere, never another's exception."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from attacks.attack_areas import deep_json, multipolygon
from whyhere._text import csv_rows, guarded
from whyhere.alignment import load_alignment
from whyhere.concepts import load_bank, load_directions, read_labels, read_landmarks, read_own_bank
from whyhere.errors import MissingFileError, UsageError, WhyhereError
from whyhere.evaluation import read_benchmark, read_folds, read_gallery, read_predictions, read_protocol
from whyhere.geo import parse_region
from whyhere.releases import home, read_config
from whyhere.tables import read_photos
from whyhere.training import read_train_config

DIGITS = "9" * 5000


@pytest.mark.parametrize("text", [f"a = {deep_json(50_000)}", f"format = {DIGITS}", "a = [" * 3000])
def test_toml_without_end(tmp_path, text):
    (tmp_path / "bank.toml").write_text(text)
    with pytest.raises(WhyhereError):
        read_own_bank(tmp_path / "bank.toml", photo_suffixes=(".jpg",))
    with pytest.raises(WhyhereError):
        read_train_config(tmp_path / "bank.toml")


@pytest.mark.parametrize("text", [deep_json(100_000), f'{{"type": {DIGITS}}}', f"[{DIGITS}]"])
def test_json_without_end(text):
    with pytest.raises(UsageError):
        parse_region(text)


def test_a_region_named_with_half_a_surrogate_pair_can_be_printed():
    ring = [[0, 0], [9, 0], [9, 9], [0, 0]]
    text = json.dumps({"name": "a\ud800\x1b[2Jb", **json.loads(multipolygon([ring]))})
    name = parse_region(text).name
    assert name.encode("utf-8").isascii()
    assert name.isprintable()


def safetensors(kind: str, size: int) -> bytes:
    header = json.dumps({"basis": {"dtype": kind, "shape": [4], "data_offsets": [0, 4 * size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * size)


@pytest.mark.parametrize(("kind", "size"), [("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1)])
def test_tensors_of_types_that_numpy_does_not_have(tmp_path, kind, size):
    (tmp_path / "model.safetensors").write_bytes(safetensors(kind, size))
    config = {"kind": "linear", "concept_ids": [], "scale": 1.0, "penalty": 0.1}
    with pytest.raises(MissingFileError):
        load_alignment(tmp_path / "model.safetensors", config)


@pytest.mark.parametrize("scale", [float("nan"), 1e308, float("inf"), -1.0, 0.0, 10**400])
def test_scales_that_are_no_scales(tmp_path, base_alignment, scale):
    path, config = base_alignment
    with pytest.raises(MissingFileError, match=r"scale|large"):
        load_alignment(path, {**config, "scale": scale})


@pytest.fixture(scope="module")
def base_alignment():
    from whyhere.releases import resolve

    folder = resolve("base").directory
    config = json.loads((folder / "config.json").read_text("utf-8"))["alignment"]
    return folder / "model.safetensors", config


def npy_that_claims(rows: int) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((2, 2)))
    return buffer.getvalue().replace(b"(2, 2), }", f"({rows}, 2), }}".encode(), 1)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", b"nonsense")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [npy_that_claims(10**13), zipped(), zipped()[:40], b"PK\x03\x04", b"\x93NUMPY", b""],
    ids=[
        "huge",
        "zip",
        "half a zip",
        "start of a zip",
        "start of an array",
        "nothing",
    ],  # a zip holds the time
)
def test_arrays_that_are_none(tmp_path, data):
    (tmp_path / "gallery.npy").write_bytes(data)
    with pytest.raises(WhyhereError):
        read_gallery(tmp_path / "gallery.npy")


def test_the_home_of_nobody(monkeypatch):
    monkeypatch.setenv("WHYHERE_HOME", "~nobody-of-that-name/x")
    with pytest.raises(UsageError, match="WHYHERE_HOME"):
        home()


def test_no_cell_is_a_formula():
    assert guarded("=cmd|' /C calc'!A0") == "'=cmd|' /C calc'!A0"
    assert csv_rows([["\t@x", -1.5, None, "a,b"]]) == '\'\t@x,-1.5,,"a,b"\n'
    assert csv_rows([["\ud800"]]).encode("utf-8")


@pytest.mark.skipif(os.name != "posix", reason="file descriptors")
def test_libtiff_says_nothing_by_itself(tmp_path):
    code = """
        from attacks import attack_photos as attack
        from whyhere.errors import PhotoError
        from whyhere.images import open_photo
        data = bytearray(attack.float_tiff(64))
        data[-9:] = b"x" * 9
        try:
            open_photo(bytes(data))
        except PhotoError:
            print("refused")
    """
    import textwrap
    from pathlib import Path

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert done.stdout == b"refused\n"


# ---- pipes and devices

READERS = {
    "training configuration": lambda path: read_train_config(path),
    "training table": lambda path: read_photos(path),
    "protocol": lambda path: read_protocol(path),
    "benchmark": lambda path: read_benchmark(path),
    "predictions": lambda path: read_predictions(path),
    "folds": lambda path: read_folds(path),
    "gallery": lambda path: read_gallery(path),
    "bank": lambda path: load_bank(path),
    "own bank": lambda path: read_own_bank(path, photo_suffixes=(".jpg",)),
    "labels": lambda path: read_labels(path),
    "landmarks": lambda path: read_landmarks(path),
    "directions": lambda path: load_directions(path),
    "configuration": lambda path: read_config(path),
    "weights": lambda path: load_alignment(path, {"kind": "linear"}),
    "region": lambda path: parse_region(str(path)),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
@pytest.mark.parametrize("what", READERS)
def test_no_reader_waits_for_a_pipe(tmp_path, what):
    os.mkfifo(tmp_path / "pipe.json")
    done: list[BaseException] = []

    def read():
        try:
            READERS[what](tmp_path / "pipe.json")
        except BaseException as error:
            done.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(60)
    assert [isinstance(error, WhyhereError) for error in done] == [True], done


# ---- weights that are finite, but nothing that is made of them


def weights(kind: str) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    d, locations, k = 4, 3, 2
    shapes = {
        "feature_mean": (d,), "location_mean": (locations,), "head": (locations, d), "patterns": (d, k),
        "grounding": (locations, k), "directions": (d, k), "spread": (k,), "columns": (locations, k),
        "0.weight": (5, d), "0.bias": (5,), "2.weight": (locations, 5), "2.bias": (locations,),
        "logit_scale": (), "delta": (d, k), "adapter": (d, locations),
    }  # fmt: skip
    for head, width in (("image", k), ("feature", locations)):
        shapes |= {f"{head}.linear": (width, d), f"{head}.bias": (width,), f"{head}.hidden": (5, d)}
        shapes |= {f"{head}.hidden_bias": (5,), f"{head}.out": (width, 5)}
    if kind == "geoclip":
        shapes["directions"] = (locations, k)
    config = {"kind": kind, "concept_ids": ["a", "b"], "scale": 1.0, "penalty": 0.1, "most": 2}
    config |= {"concept_weight": 1.0, "feature_weight": 1.0, "normalise": True}
    return {name: np.ones(shape, np.float32) for name, shape in shapes.items()}, config


def load(path, tensors, config):
    path.write_bytes(save(tensors, metadata={"concept_ids": '["a", "b"]'}))
    return load_alignment(path, config)


@pytest.mark.parametrize("kind", ["linear", "photo-code", "caam", "geoclip"])
@pytest.mark.parametrize("value", [1e30, -3e38, np.inf, np.nan])
def test_huge_weights_are_refused(tmp_path, kind, value):
    tensors, config = weights(kind)
    load(tmp_path / "sound.safetensors", tensors, config)
    for name in ("directions", "2.weight" if kind == "geoclip" else "feature_mean"):
        changed = {**tensors, name: np.full_like(tensors[name], value)}
        with pytest.raises(MissingFileError, match=r"beyond|finite"):
            load(tmp_path / "model.safetensors", changed, config)


@pytest.mark.parametrize("kind", ["linear", "photo-code"])
def test_spreads_that_nothing_can_be_divided_by_are_refused(tmp_path, kind):
    tensors, config = weights(kind)
    for spread in (0, 1e-44, -1):
        with pytest.raises(MissingFileError, match="fit"):
            load(
                tmp_path / "model.safetensors", {**tensors, "spread": np.full(2, spread, np.float32)}, config
            )


@pytest.mark.parametrize(
    ("kind", "name"),
    [("photo-code", "scale"), ("photo-code", "penalty"), ("geoclip", "penalty"), ("caam", "concept_weight")],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, -1.0, 10**400])
def test_numbers_that_make_no_scores_are_refused(tmp_path, kind, name, value):
    tensors, config = weights(kind)
    with pytest.raises(MissingFileError, match=rf"{name}|large|lack|missing"):
        load(tmp_path / "model.safetensors", tensors, {**config, name: value})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["linear", "photo-code", "caam", "geoclip"])
def test_the_largest_weights_allowed_make_finite_scores(tmp_path, kind):
    tensors, config = weights(kind)
    large = {
        name: np.full_like(array, 1e4 if name not in ("spread", "logit_scale") else 1e-6)
        for name, array in tensors.items()
    }
    alignment = load(tmp_path / "model.safetensors", large, config)
    places = np.eye(3, dtype=np.float32)
    code = alignment.encode_image(np.array([1, -2, 3, 4], np.float32))
    assert np.isfinite(alignment.scores(code, places)).all()
    assert np.isfinite(alignment.contributions(code, places).concepts).all()
