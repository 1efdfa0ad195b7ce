"""What a file is, by its first bytes: content decides, names do not."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final

SNIFFED_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Content:
    """What the first bytes of a file tell.

    Attributes:
        format: Key of the decoder in `_decode`, or None where whyhere does not read this.
        description: What it is, with its article: "a PDF document".
    """

    format: str | None
    description: str


_PHOTOS: Final = (
    (b"\xff\xd8\xff", "jpeg", "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", "png", "a PNG image"),
    (b"GIF87a", "gif", "a GIF image"),
    (b"GIF89a", "gif", "a GIF image"),
    (b"II*\0", "tiff", "a TIFF image"),
    (b"MM\0*", "tiff", "a TIFF image"),
    (b"II+\0", "tiff", "a TIFF image"),
    (b"MM\0+", "tiff", "a TIFF image"),
    (b"BM", "bmp", "a BMP image"),
)
_OTHERS: Final = (
    (b"%PDF-", "a PDF document; save its pictures as JPEG or PNG"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image; save it as JPEG or PNG"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image; save it as JPEG or PNG"),
    (b"\xff\x0a", "a JPEG XL image; save it as JPEG or PNG"),
    (b"8BPS", "a Photoshop file; save it as JPEG or PNG"),
    (b"%!PS", "a PostScript document; save it as JPEG or PNG"),
    (b"\0\0\1\0", "an icon file"),
    (b"FUJIFILMCCD-RAW", "a camera raw file; export it as JPEG"),
    (b"IIRO", "a camera raw file; export it as JPEG"),
    (b"IIRS", "a camera raw file; export it as JPEG"),
    (b"IIU\0", "a camera raw file; export it as JPEG"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM); save a frame of it as JPEG"),
    (b"\0\0\1\xba", "a video (MPEG); save a frame of it as JPEG"),
    (b"\0\0\1\xb3", "a video (MPEG); save a frame of it as JPEG"),
    (b"FLV\1", "a video (Flash); save a frame of it as JPEG"),
    (b"0&\xb2u\x8ef\xcf\x11", "a video (Windows Media); save a frame of it as JPEG"),
    (b"ID3", "an audio file"),
    (b"OggS", "an audio or video file (Ogg)"),
    (b"fLaC", "an audio file"),
    (b"PK\3\4", "a ZIP archive or an office document; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ\0", "an xz archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"Rar!\x1a\7", "a RAR archive; unpack it first"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\0", "a database"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the photo itself with: git lfs pull"),
)
_HEIF_BRANDS: Final = {
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"hevm",
    b"hevs",
    b"mif1",
    b"msf1",
}


def sniff(data: bytes) -> Content:
    """Return what data is, judged by its first `SNIFFED_BYTES` bytes."""
    head = data[:SNIFFED_BYTES]
    if head[4:8] == b"ftyp":
        return _sniff_iso_media(head)
    if head[:4] == b"RIFF":
        if head[8:12] == b"WEBP":
            return Content("webp", "a WebP image")
        kind = {b"AVI ": "a video (AVI); save a frame of it as JPEG", b"WAVE": "an audio file"}
        return Content(None, kind.get(head[8:12], "a RIFF file"))
    if head[:4] == b"II*\0" and head[8:10] == b"CR":
        return Content(None, "a camera raw file (CR2); export it as JPEG")
    for magic, format_key, description in _PHOTOS:
        if head.startswith(magic):
            return Content(format_key, description)
    for magic, description in _OTHERS:
        if head.startswith(magic):
            return Content(None, description)
    return Content(None, _describe_text(head) or "data of an unknown kind")


def _sniff_iso_media(head: bytes) -> Content:
    """Tell AVIF, HEIC, camera raw and video apart: all are boxes behind an `ftyp` box with brands."""
    box_bytes = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12]] + [head[at : at + 4] for at in range(16, box_bytes - 3, 4)]
    if brands[0] in (b"avif", b"avis") or (brands[0] in (b"mif1", b"msf1") and b"avif" in brands):
        return Content("avif", "an AVIF image")
    if brands[0] in _HEIF_BRANDS:
        return Content("heif", "a HEIC image")
    if brands[0] == b"crx ":
        return Content(None, "a camera raw file (CR3); export it as JPEG")
    if brands[0] in (b"M4A ", b"M4B "):
        return Content(None, "an audio file")
    return Content(None, "a video (MP4 or QuickTime); save a frame of it as JPEG")


def _describe_text(head: bytes) -> str | None:
    """Return which kind of text data is, or None where it is none."""
    encoding = "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        # An incremental decoder forgives the character that the cut at SNIFFED_BYTES splits.
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
    if any(ord(character) < 32 and character not in "\t\n\r\f\x1b" for character in text):
        return None
    start = text.lstrip()[:1000].lower()
    if start.startswith(("<!doctype html", "<html")) or (start.startswith("<") and "<html" in start):
        return "a web page (HTML), as a failed download leaves it"
    if "<svg" in start:
        return "a drawing (SVG), not a photo"
    if start.startswith("<?xml"):
        return "an XML document"
    if start.startswith("data:image/"):
        return "a data: URL; decode its base64 part first"
    if start.startswith(("{", "[")):
        return "text (JSON)"
    return "text" if start else "blank text"
