"""Files of strangers that are no photos: each fault is a sentence of whyhere, never another's exception."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from attacks.attack_areas import deep_json, multipolygon
from whyhere._csv_cells import csv_rows, guarded
from whyhere.alignment import load_alignment
from whyhere.concepts import read_own_bank
from whyhere.errors import MissingFileError, UsageError, WhyhereError
from whyhere.evaluation import read_gallery
from whyhere.geo import parse_region
from whyhere.releases import home

DIGITS = "9" * 5000


@pytest.mark.parametrize("text", [f"a = {deep_json(50_000)}", f"format = {DIGITS}", "a = [" * 3000])
def test_toml_without_end(tmp_path, text):
    from whyhere.training import read_train_config

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
    "data", [npy_that_claims(10**13), zipped(), zipped()[:40], b"PK\x03\x04", b"\x93NUMPY", b""]
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
