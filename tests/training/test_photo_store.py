"""Photos are found by the names tables use, in folders and in tar files, or it is said why not."""

from __future__ import annotations

import io
import tarfile

import pytest

from whyhere.errors import MissingFileError
from whyhere.training import PhotoStore


def write_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.fixture
def folder(tmp_path):
    for name in ("a/x.jpg", "a/y.JPEG", "b/y.jpg", "z.png", "notes.txt"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a/x.jpg", b"a/x.jpg"),
        ("./a/x.jpg", b"a/x.jpg"),
        ("a\\x.jpg", b"a/x.jpg"),
        ("x.jpg", b"a/x.jpg"),
        ("x", b"a/x.jpg"),
        ("a/y", b"a/y.JPEG"),
        ("y.jpg", b"b/y.jpg"),
        ("elsewhere/z.png", b"z.png"),
    ],
)
def test_photos_in_a_folder_are_found_by_full_and_by_short_names(folder, name, content):
    assert PhotoStore(folder).find(name).read() == content


def test_what_is_not_there_or_not_clear_is_said(folder):
    store = PhotoStore(folder)
    assert "no photo called absent.jpg" in store.find("absent.jpg")
    assert "more than one photo" in store.find("y")
    assert "no photo called notes.txt" in store.find("notes.txt")


def test_webdataset_tars_are_read_by_key(tmp_path):
    write_tar(tmp_path / "0.tar", {"000/one.jpg": b"one", "000/one.json": b"{}", "two.jpg": b"two" * 999})
    write_tar(tmp_path / "1.tar", {"./three.seg.jpg": b"three"})
    store = PhotoStore(tmp_path)
    assert store.find("one").read() == b"one"
    assert store.find("000/one.jpg").read() == b"one"
    assert store.find("two.jpg").read() == b"two" * 999
    assert store.find("three").read() == b"three"
    assert PhotoStore(tmp_path / "1.tar").find("three.seg.jpg").read() == b"three"


def test_sources_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match="--photos"):
        PhotoStore(tmp_path / "none")
    with pytest.raises(MissingFileError, match="neither photos"):
        PhotoStore(tmp_path)
    (tmp_path / "cut.tar").write_bytes(b"not a tar")
    with pytest.raises(MissingFileError, match=r"cut\.tar"):
        PhotoStore(tmp_path)
