"""Photos that cost far more than they weigh, made from small seeds; nothing here is a real photo."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def _jpeg(size, **options):
    buffer = io.BytesIO()
    Image.new("RGB", size, (90, 120, 60)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def jpeg_of_many_scans(scans, *, size=(4000, 4000)):
    """A progressive JPEG whose last scan is repeated: every one goes over the whole picture."""
    data = _jpeg(size, progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def jpeg_of_fill_bytes(count):
    """A JPEG with a run of 0xFF before its picture, which the standard allows."""
    data = _jpeg((64, 64))
    return data[:2] + b"\xff" * count + data[2:]


def jpeg_of_empty_markers(count):
    """A JPEG with markers without content before its picture."""
    data = _jpeg((64, 64))
    return data[:2] + b"\xff\xfe\x00\x02" * count + data[2:]


def jpeg_of_many_exif_segments(segments):
    """A JPEG whose metadata goes on over many segments: tags that all refer to the same bytes."""
    exif = self_referring_tags(segments * 65_000, tags=60_000)
    data = _jpeg((64, 64))
    parts = [b"Exif\0\0" + exif[at : at + 65_000] for at in range(0, len(exif), 65_000)]
    return data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 2) + p for p in parts) + data[2:]


def self_referring_tags(size, *, tags):
    """A directory of tags (TIFF, EXIF) each of which holds nearly all of the file."""
    entries = b"".join(
        struct.pack("<HHLL", 1000 + tag, 7, size - 12 * tags - 100, 12 * tags + 50) for tag in range(tags)
    )
    head = b"II*\0" + struct.pack("<LH", 8, tags) + entries + struct.pack("<L", 0)
    return head.ljust(size, b"\0")


def png(width, height, *, depth=8, colour=2, rows=b"", chunks=()):
    """A PNG of any claimed size, with further chunks after its header."""

    def chunk(kind, data):
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0))
    body = b"".join(chunk(kind, data) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def blank_png(width, height, *, colour=2):
    """A PNG of zeros: a kilobyte of file for a megabyte of picture."""
    row = bytes(1 + width * {0: 1, 2: 3, 4: 2, 6: 4}[colour])
    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    return png(width, height, colour=colour, rows=rows)


def png_of_many_chunks(count):
    """A PNG with empty chunks between header and picture."""
    return png(8, 8, rows=zlib.compress(bytes(8 * 25)), chunks=[(b"teSt", b"")] * count)


def gif_of_many_comments(count):
    """A GIF with empty comments before its picture."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "GIF")
    data = buffer.getvalue()
    at = data.index(b",", 13 + 3 * 256) if data[10] & 7 == 7 else data.index(b",", 13)
    return data[:at] + b"!\xfe\x00" * count + data[at:]


def tiff(width, height, *, values, kind="<f4", bits=32, sample_format=3, strips=1, deflate=True, tags=()):
    """A grey TIFF whose strips all refer to the same compressed bytes.

    Args:
        values: The numbers of one strip.
        strips: How many strips there are.
        tags: Further tags (number, type, count, value).
    """
    data = np.asarray(values, kind).tobytes()
    data = zlib.compress(data, 9) if deflate else data
    rows = -(-height // strips)
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 8 if deflate else 1),
        (262, 3, 1, 1), (277, 3, 1, 1), (278, 4, 1, rows), (339, 3, 1, sample_format), *tags,
    ]  # fmt: skip
    end = 8 + 2 + 12 * (len(entries) + 2) + 4
    if strips == 1:
        entries += [(273, 4, 1, end), (279, 4, 1, len(data))]
        tables = b""
    else:
        entries += [(273, 4, strips, end), (279, 4, strips, end + 4 * strips)]
        tables = struct.pack("<L", end + 8 * strips) * strips + struct.pack("<L", len(data)) * strips
    body = b"".join(
        struct.pack("<HHL", tag, kind_, count) + struct.pack("<L" if kind_ == 4 or count > 1 else "<HH",
        *([value] if kind_ == 4 or count > 1 else [value, 0]))
        for tag, kind_, count, value in sorted(entries)
    )  # fmt: skip
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + body + struct.pack("<L", 0) + tables + data


def float_tiff(side):
    """A float TIFF of side x side zeros and ones, hardly a byte a thousand pixels."""
    values = np.zeros((side, side), "<f4")
    values[0] = 1000.0
    return tiff(side, side, values=values)


def tiff_of_signalling_nans(side=16):
    """A float TIFF with signalling NaNs, which raise floating-point exceptions where they are touched."""
    values = np.linspace(0, 7, side * side, dtype="<f4").reshape(side, side)
    values.view("<u4")[::3, ::3] = 0x7F800001
    return tiff(side, side, values=values, deflate=False)


def bmp_of_runs(width, height):
    """A run-length BMP with a run a row of one pixel: the slowest way to say nothing."""
    body = b"\x01\x05\x00\x00" * height + b"\x00\x01"
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    palette = bytes(1024)
    return b"BM" + struct.pack("<LHHL", 54 + 1024 + len(body), 0, 0, 54 + 1024) + header + palette + body
