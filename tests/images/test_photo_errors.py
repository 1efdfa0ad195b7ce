"""Broken, hostile and mistaken input: always a PhotoError with a sentence, never anything else."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import textwrap
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin, features

from whyhere.errors import PhotoError
from whyhere.images import open_photo


def encoded(image_format: str, size=(48, 32), **options) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, image_format, **options)
    return buffer.getvalue()


def reason(source, **options) -> str:
    with pytest.raises(PhotoError) as caught:
        open_photo(source, **options)
    assert str(caught.value) == f"{caught.value.photo}: {caught.value.reason}"
    return caught.value.reason


def test_missing_file_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reason("nowhere.jpg") == f"there is no such file; looked for it from {tmp_path}"
    assert reason(tmp_path / "nowhere.jpg") == "there is no such file"
    assert "address" in reason("https://example.org/a.jpg")


def test_broken_link(tmp_path):
    (tmp_path / "link.jpg").symlink_to("gone.jpg")
    assert reason(tmp_path / "link.jpg") == "is a link to a file that is missing (gone.jpg)"


def test_circular_link(tmp_path):
    (tmp_path / "a.jpg").symlink_to("b.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    assert reason(tmp_path / "a.jpg").startswith("cannot be read: ")


def test_directory(tmp_path):
    assert reason(tmp_path) == "this is a directory, not a photo"


def test_unreadable_file(tmp_path, monkeypatch):
    path = tmp_path / "secret.jpg"
    path.write_bytes(encoded("JPEG"))
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything

        def refuse(self, *args, **options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    assert reason(path) == "permission denied: no right to read it"


@pytest.mark.parametrize("path", ["a\0b.jpg", "x" * 5000, "a.jpg/b.jpg", ""])
def test_impossible_names(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"")
    assert reason(path)


def test_name_that_is_not_utf8(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    try:
        Path(path).write_bytes(b"")
    except OSError:
        pytest.skip("this file system holds UTF-8 names only")
    with pytest.raises(PhotoError) as caught:
        open_photo(path)
    assert caught.value.photo.endswith("caf\\xe9.jpg")
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize("source", [b"", bytearray(), io.BytesIO()])
def test_empty(source):
    assert reason(source) == "the file is empty (0 bytes)"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b"\n\n <HTML>", "web page"),
        (b"<!-- saved --><html lang=en>", "web page"),
        ("<html>".encode("utf-16"), "web page"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?><kml/>', "XML"),
        (b'{"error": "not found"}', "JSON"),
        (b"IMG_ID,LAT,LON\n", "like text"),
        ("Grüße aus Köln".encode(), "like text"),
        (("x" * 4095 + "é").encode(), "like text"),
        (b"   \n", "blank text"),
        (b"data:image/png;base64,iVBORw0KGgo=", "data: URL"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\3\4\x14\0", "ZIP"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video (MP4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "video (MP4"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "CR3"),
        (b"\x1aE\xdf\xa3\x01\0\0\0", "Matroska"),
        (b"RIFF\x10\0\0\0AVI LIST", "AVI"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "audio"),
        (b"ID3\4\0", "audio"),
        (b"8BPS\0\1", "Photoshop"),
        (b"II*\0\x10\0\0\0CR\2\0", "CR2"),
        (b"FUJIFILMCCD-RAW 0201", "raw"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"\x7fELF\2\1\1", "program"),
        (bytes(range(128, 256)) * 4, "unknown kind"),
        (b"\0" * 100, "unknown kind"),
    ],
)
def test_says_what_a_file_looks_like(data, expected):
    text = reason(data)
    assert text.startswith("this is not a photo that can be read; it looks like ")
    assert expected in text


def test_a_web_page_that_mentions_html_late_in_prose_is_text():
    assert reason(b"How to write <html> by hand").endswith("like text")


FORMATS = {
    "JPEG": {},
    "PNG": {},
    "BMP": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "GIF": {},
    **({"AVIF": {}} if features.check("avif") else {}),
}


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9])
def test_truncated(image_format, kept):
    data = encoded(image_format, **FORMATS[image_format])
    assert reason(data[: int(len(data) * kept)])


def test_truncated_keeps_the_sentence_readable():
    data = encoded("JPEG")
    assert reason(data[: len(data) // 2]).startswith("a JPEG image whose data is truncated or damaged (")
    assert reason(data[:30]).startswith(
        "it starts like a JPEG image, but is damaged, truncated or of a variant"
    )


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_suffix_does_not_matter(image_format, tmp_path):
    path = tmp_path / "photo.pdf"
    path.write_bytes(encoded(image_format, **FORMATS[image_format]))
    assert open_photo(path).image.size == (48, 32)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with_size(width: int, height: int) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + png_chunk(b"IEND", b"")
    )


def test_decompression_bomb_is_refused_before_it_is_decoded():
    assert "50000 x 50000 = 2,500,000,000 pixels, more than the 178,956,970 allowed" in reason(
        png_with_size(50000, 50000)
    )
    # Where Pillow only warns, whyhere counts by itself.
    assert "12000 x 10000 = 120,000,000 pixels, more than the 100,000,000" in reason(
        png_with_size(12000, 10000), max_pixels=100_000_000
    )


def test_decompression_bomb_that_pillow_refuses_itself(monkeypatch):
    # New versions check the size of WebP before whyhere can.
    def fail(self, *args, **options):
        raise Image.DecompressionBombError("Image size exceeds limit")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "__init__", fail)
    assert reason(encoded("PNG")) == "a PNG image with too many pixels: Image size exceeds limit"


@pytest.mark.parametrize("stage", ["__init__", "load"])
def test_image_that_does_not_fit_into_memory(monkeypatch, stage):
    def fail(self, *args, **options):
        raise MemoryError

    monkeypatch.setattr(PngImagePlugin.PngImageFile, stage, fail)
    assert reason(encoded("PNG")) == "a PNG image too large for the memory of this machine"


def test_conversion_that_does_not_fit_into_memory(monkeypatch):
    def fail(self, *args, **options):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", fail)
    assert reason(encoded("PNG")) == "the image is too large for the memory of this machine"


def test_format_that_this_pillow_was_built_without(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.AvifImagePlugin", None)
    assert "this build of Pillow cannot read AVIF" in reason(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf")


def test_a_header_that_promises_more_than_there_is():
    assert "truncated or damaged" in reason(png_with_size(2000, 2000))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_zero_sized_png(size):
    assert reason(png_with_size(*size))


def test_zero_sized_pil_image_and_array():
    assert reason(Image.new("RGB", (0, 3))) == "the image has no pixels (0 x 3)"
    assert reason(np.zeros((0, 3, 3), np.uint8)) == "the image has no pixels (3 x 0)"


def test_strips_are_refused():
    assert "strip of 1 x 100000 pixels" in reason(Image.new("RGB", (1, 100_000)))
    assert "strip of 100000 x 1 pixels" in reason(png_with_size(100_000, 1))
    assert open_photo(Image.new("RGB", (100, 1))).image.size == (100, 1)


def test_limits_of_size():
    data = encoded("PNG")
    assert open_photo(data, max_pixels=48 * 32, max_bytes=len(data)).image.size == (48, 32)
    assert "(max_pixels)" in reason(data, max_pixels=48 * 32 - 1)
    assert "(max_pixels)" in reason(np.zeros((32, 48), np.uint8), max_pixels=48 * 32 - 1)
    assert "(max_pixels)" in reason(Image.new("L", (48, 32)), max_pixels=48 * 32 - 1)
    assert f"has {len(data):,} bytes" in reason(data, max_bytes=len(data) - 1)
    assert "(max_bytes)" in reason(io.BytesIO(data), max_bytes=len(data) - 1)


def test_an_endless_device_is_not_read_to_its_end():
    if not Path("/dev/zero").exists():
        pytest.skip("this system has no /dev/zero")
    assert "(max_bytes)" in reason("/dev/zero", max_bytes=1000)


def test_text_mode_and_closed_file_objects(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("hello")
    with path.open() as stream:
        assert "'rb'" in reason(stream)
    with path.open("rb") as stream:
        pass
    assert "closed file" in reason(stream)


@pytest.mark.parametrize("source", [None, 3, ["a.jpg"], object()])
def test_other_types_are_a_mistake_of_the_caller(source):
    with pytest.raises(TypeError, match="a photo is a path, bytes"):
        open_photo(source)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros(5), "not 5"),
        (np.zeros((3, 8, 9), np.uint8), r"channels first: array.transpose\(1, 2, 0\)"),
        (np.zeros((2, 8, 9, 3), np.uint8), "one by one"),
        (np.zeros((8, 9, 2), np.uint8), "not 8x9x2"),
        (np.zeros((8, 9), np.int64), "not int64"),
        (np.zeros((8, 9), complex), "not complex128"),
        (np.full((8, 9), 200.0), "divide 0-255 by 255"),
        (np.full((8, 9), np.nan), "finite"),
        (np.full((8, 9), -0.1), r"\[0, 1\]"),
        (np.array(1.0), "no dimensions"),
    ],
)
def test_arrays_that_are_no_photos(array, expected):
    with pytest.raises(PhotoError, match=expected):
        open_photo(array)


def test_camera_raw_is_not_answered_from_its_preview():
    def tiff(extra_tag: int, extra_type: int, value: bytes) -> bytes:
        tags = [(256, 3, 4), (257, 3, 4), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 134), (277, 3, 1),
                (278, 3, 4), (279, 4, 16)]  # fmt: skip
        entries = [(tag, struct.pack("<HHII", tag, kind, 1, value)) for tag, kind, value in tags]
        count = 4 if extra_type == 1 else 1
        entries.append((extra_tag, struct.pack("<HHI", extra_tag, extra_type, count) + value))
        body = b"".join(entry for _, entry in sorted(entries))
        return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + body + bytes(4) + bytes(16)

    assert open_photo(tiff(254, 4, b"\0\0\0\0")).image.size == (4, 4)
    assert "camera raw" in reason(tiff(254, 4, b"\1\0\0\0"))
    assert "camera raw" in reason(tiff(50706, 1, b"\1\4\0\0"))


def test_hostile_exif_does_not_spoil_the_photo():
    # A TIFF directory that points at itself, counts far beyond the data, and a GPS directory outside of it.
    fields = [(0x0112, 3, 0xFFFFFFFF, 8), (0x011A, 5, 1, 8), (0x8825, 4, 1, 0xFFFFFFF0), (0x8769, 4, 1, 8)]
    entries = [struct.pack("<HHII", *field) for field in fields]
    exif = (
        b"Exif\0\0"
        + struct.pack("<2sHIH", b"II", 42, 8, len(entries))
        + b"".join(entries)
        + struct.pack("<I", 8)
    )
    for block in (exif, exif[:20], b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"):
        for image_format in ("JPEG", "PNG", "WEBP"):
            photo = open_photo(encoded(image_format, exif=block))
            assert photo.image.size == (48, 32)
            assert photo.exif_gps is None


def test_heic_that_would_crash_its_decoder(heic):
    pytest.importorskip("pi_heif", reason="needs the extra heic")
    at = heic.index(b"Exif")
    assert "metadata is damaged" in reason(heic[:at] + b"E\x89if" + heic[at + 4 :])


def test_heic_with_nonsensical_box_sizes(heic):
    pytest.importorskip("pi_heif", reason="needs the extra heic")
    assert reason(b"\0\0\0\5" + heic[4:])
    meta = heic.index(b"meta")
    at = heic.index(b"Exif")
    hostile = heic[: meta - 4] + b"\0\0\0\0" + heic[meta:at] + b"E\x89if" + heic[at + 4 :]
    assert "metadata is damaged" in reason(hostile)
    wide = heic[: meta - 4] + b"\0\0\0\1meta" + (2000).to_bytes(8, "big") + heic[meta + 4 : at] + b"E\x89if"
    assert "metadata is damaged" in reason(wide + heic[at + 4 :])


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9])
def test_truncated_heic(heic, kept):
    pytest.importorskip("pi_heif", reason="needs the extra heic")
    assert reason(heic[: int(len(heic) * kept)])


SEEDS = [encoded(image_format, (16, 12), **FORMATS[image_format]) for image_format in FORMATS]
_exif = Image.Exif()
_exif[0x0112] = 6
_exif.get_ifd(0x8825).update({1: "N", 2: (1.0, 2.0, 3.0), 3: "E", 4: (4.0, 5.0, 6.0)})
SEEDS += [encoded("JPEG", (16, 12), exif=_exif), encoded("TIFF", (16, 12), exif=_exif)]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_give_a_photo_or_a_photo_error(data):
    mutated = bytearray(data.draw(st.sampled_from(SEEDS)))
    # Headers and metadata come first; damage there reaches more code than damage to pixels.
    positions = st.one_of(st.integers(0, min(200, len(mutated) - 1)), st.integers(0, len(mutated) - 1))
    for _ in range(data.draw(st.integers(1, 6))):
        mutated[data.draw(positions)] = data.draw(st.integers(0, 255))
    try:
        photo = open_photo(bytes(mutated), max_pixels=1_000_000)
    except PhotoError:
        return
    assert photo.image.mode == "RGB"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_give_a_photo_error(data):
    with pytest.raises(PhotoError):
        open_photo(data)


def warning_tiff() -> bytes:
    """A TIFF image for which Pillow warns about a tag with too many values."""
    tags = [(256, 3, 4), (257, 3, 4), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 134), (277, 3, 1),
            (278, 3, 4), (279, 4, 16)]  # fmt: skip
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    body += struct.pack("<HHIHH", 296, 3, 2, 2, 2)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags) + 1) + body + bytes(4) + bytes(16)


def test_warnings_of_pillow_do_not_leak_and_filters_stay_as_they_were():
    data = warning_tiff()
    with pytest.warns(UserWarning, match="Metadata Warning"):
        Image.open(io.BytesIO(data)).load()  # the file is fit for this test
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        open_photo(data)
        reason(data[:140])
        assert list(warnings.filters) == before
    assert seen == []


def test_log_lines_of_pillow_do_not_reach_standard_error(tmp_path):
    # In a process of its own, because pytest sets up logging.
    tags = [(256, 3, 4), (257, 3, 4), (277, 3, 2000)]
    data = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    data += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags) + bytes(4)
    (tmp_path / "odd.tif").write_bytes(data)
    script = """
        import logging
        from whyhere.images import open_photo
        try:
            open_photo("odd.tif")
        except Exception as error:
            print(error, logging.getLogger("PIL").handlers)
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "of a variant that cannot be read" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_threads_read_at_the_same_time_and_leave_no_trace():
    data = warning_tiff()
    before = (list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    failures = []

    def work():
        try:
            for _ in range(50):
                open_photo(data)
        except BaseException as error:  # a thread must report what a test would
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == before
