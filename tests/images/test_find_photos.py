"""Arguments of the command line become photos, in a stable order, or named errors."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from whyhere.errors import PhotoError
from whyhere.images import PHOTO_SUFFIXES, StdinPhoto, find_photos, open_photo


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def names(folder: Path, *arguments, **options) -> list[str]:
    found = list(find_photos(arguments or [folder], **options))
    assert all(isinstance(item, Path) for item in found)
    return [item.relative_to(folder).as_posix() for item in found]


def test_directory_in_natural_order_files_first(tmp_path):
    touch(
        tmp_path,
        "img10.jpg",
        "img2.JPG",
        "Img1.png",
        "b/1.jpg",
        "b/c/1.webp",
        "a10/x.jpg",
        "a9/x.jpg",
        "z.heic",
    )
    expected = [
        "Img1.png",
        "img2.JPG",
        "img10.jpg",
        "z.heic",
        "a9/x.jpg",
        "a10/x.jpg",
        "b/1.jpg",
        "b/c/1.webp",
    ]
    assert names(tmp_path) == expected
    assert names(tmp_path, recursive=False) == expected[:4]


def test_directory_takes_photo_suffixes_only_and_no_hidden_names(tmp_path):
    touch(
        tmp_path, "a.txt", "b.mp4", "noext", ".hidden.jpg", ".cache/x.jpg", "c.jpg.part", "d.jpg", "._d.jpg"
    )
    assert names(tmp_path) == ["d.jpg"]


@pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
def test_every_suffix_counts(tmp_path, suffix):
    touch(tmp_path, f"a{suffix}", f"b{suffix.upper()}")
    assert len(names(tmp_path)) == 2


def test_files_named_outright_are_taken_as_they_are(tmp_path):
    touch(tmp_path, "odd.name", ".hidden")
    arguments = [str(tmp_path / "odd.name"), tmp_path / ".hidden", str(tmp_path / "missing.jpg")]
    assert list(find_photos(arguments)) == [Path(argument) for argument in arguments]


def test_hidden_directory_named_outright_is_entered(tmp_path):
    touch(tmp_path, ".album/a.jpg")
    assert names(tmp_path, tmp_path / ".album") == [".album/a.jpg"]


def test_directory_without_photos(tmp_path):
    touch(tmp_path, "notes.txt", "sub/a.jpg")
    (error,) = find_photos([tmp_path], recursive=False)
    assert isinstance(error, PhotoError)
    assert error.photo == str(tmp_path)
    assert error.reason.startswith(
        "no photos in this directory; searched it, but no subdirectories, for .jpg"
    )
    (tmp_path / "empty").mkdir()
    (error,) = find_photos([tmp_path / "empty"])
    assert "searched it and its subdirectories for" in error.reason


def test_errors_do_not_end_the_search(tmp_path):
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "full/a.jpg")
    first, second = find_photos([tmp_path / "empty", tmp_path / "full"])
    assert isinstance(first, PhotoError)
    assert second == tmp_path / "full" / "a.jpg"


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "album/a.jpg", "album/sub/b.jpg", "elsewhere/c.jpg")
    (tmp_path / "album" / "sub" / "up").symlink_to(tmp_path / "album", target_is_directory=True)
    (tmp_path / "album" / "self").symlink_to(".", target_is_directory=True)
    (tmp_path / "album" / "other").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "album" / "link.jpg").symlink_to(tmp_path / "elsewhere" / "c.jpg")
    assert names(tmp_path, tmp_path / "album") == [
        "album/a.jpg", "album/link.jpg", "album/other/c.jpg", "album/sub/b.jpg"]  # fmt: skip


def test_broken_links_are_told_only_where_they_claim_to_be_photos(tmp_path):
    (tmp_path / "a.jpg").symlink_to("gone.jpg")
    (tmp_path / "b.txt").symlink_to("gone.txt")
    (tmp_path / "c.jpg").symlink_to("c.jpg")
    assert names(tmp_path) == ["a.jpg", "c.jpg"]
    with pytest.raises(PhotoError, match="link to a file that is missing"):
        open_photo(tmp_path / "a.jpg")


def test_pipes_in_a_directory_are_skipped(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "pipe.jpg")
    touch(tmp_path, "a.jpg")
    assert names(tmp_path) == ["a.jpg"]


@pytest.mark.skipif(os.mkdir not in os.supports_dir_fd, reason="makes directories below an open one")
def test_a_tree_deeper_than_paths_are_long(tmp_path):
    touch(tmp_path, "a.jpg", "z/b.jpg")
    name, levels = "d" * 200, 30
    handles = [os.open(tmp_path, os.O_RDONLY)]
    try:
        for _ in range(levels):
            os.mkdir(name, dir_fd=handles[-1])
            handles.append(os.open(name, os.O_RDONLY, dir_fd=handles[-1]))
        found = list(find_photos([tmp_path]))
    finally:
        for below, above in zip(handles[:0:-1], handles[-2::-1], strict=True):
            os.close(below)
            os.rmdir(name, dir_fd=above)
        os.close(handles[0])
    problems = [one for one in found if isinstance(one, PhotoError)]
    assert [one.name for one in found if isinstance(one, Path)] == ["a.jpg", "b.jpg"]
    assert len(problems) == 1
    assert name in problems[0].photo
    assert "longer than the system" in problems[0].reason


def test_directory_that_cannot_be_read(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "locked/b.jpg", "open/c.jpg")
    iterdir = Path.iterdir

    def refuse_locked(self):
        if self.name == "locked":
            raise PermissionError(13, "Permission denied")
        return iterdir(self)

    monkeypatch.setattr(Path, "iterdir", refuse_locked)
    first, second, third = find_photos([tmp_path])
    assert (first, third) == (tmp_path / "a.jpg", tmp_path / "open" / "c.jpg")
    assert isinstance(second, PhotoError)
    assert str(second) == f"{tmp_path / 'locked'}: the directory cannot be read: Permission denied"


@pytest.mark.parametrize(
    "name", [b"with space.jpg", b"two\nlines.jpg", b"caf\xe9.jpg", b"-.jpg", "日本.jpg".encode()]
)
def test_awkward_names(tmp_path, name):
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))  # noqa: PTH118 - bytes
    try:
        Image.new("RGB", (4, 4)).save(path)
    except OSError:
        pytest.skip("this file system refuses the name")
    (found,) = find_photos([tmp_path])
    assert found == path
    photo = open_photo(found)
    assert photo.image.size == (4, 4)
    photo.name.encode("utf-8")
    assert photo.name.isprintable()


def test_standard_input():
    stream = io.BytesIO(b"data")
    (photo,) = find_photos(["-"], stdin=stream)
    assert photo == StdinPhoto(stream)
    assert photo.name == "-"


def test_standard_input_holds_one_photo():
    first, second = find_photos(["-", "-"], stdin=io.BytesIO(b"data"))
    assert isinstance(first, StdinPhoto)
    assert isinstance(second, PhotoError)
    assert "named twice" in second.reason


def test_standard_input_that_is_a_terminal():
    class Terminal(io.BytesIO):
        def isatty(self):
            return True

    (error,) = find_photos(["-"], stdin=Terminal())
    assert isinstance(error, PhotoError)
    assert "pipe a photo into it" in error.reason


def test_standard_input_is_the_default(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"data")

    monkeypatch.setattr("sys.stdin", Stdin)
    (photo,) = find_photos(["-"])
    assert photo.stream is Stdin.buffer


def test_a_file_called_dash_and_an_empty_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "-")
    (found,) = find_photos(["./-"])
    assert found == Path("-")
    (error,) = find_photos([""])
    assert isinstance(error, PhotoError)


def test_photos_come_one_by_one(tmp_path):
    touch(tmp_path, "a.jpg")

    def arguments():
        yield tmp_path
        raise AssertionError("looked ahead")

    assert next(find_photos(arguments())) == tmp_path / "a.jpg"


def test_a_web_address_is_named_whole_and_not_fetched():
    (found,) = find_photos(["https://example.org/a//b.jpg"])
    assert isinstance(found, PhotoError)
    assert found.photo == "https://example.org/a//b.jpg"
    assert "never fetches" in found.reason
