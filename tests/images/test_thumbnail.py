"""Thumbnails for reports: small, true to the photo, and silent about where it was taken."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from whyhere.images import open_photo, thumbnail


def reread(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def jpeg_segments(data: bytes) -> list[int]:
    """Return the marker codes before the picture data."""
    markers, at = [], 2
    while data[at + 1] != 0xDA:
        markers.append(data[at + 1])
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return markers


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(1, 300))
def test_fits_keeps_the_shape_and_never_grows(width, height, max_side_px):
    image = reread(thumbnail(Image.new("RGB", (width, height)), max_side_px=max_side_px))
    assert image.format == "JPEG"
    assert max(image.size) == min(max_side_px, max(width, height))
    scale = max(image.size) / max(width, height)
    assert image.width == pytest.approx(max(1, width * scale), abs=0.51)
    assert image.height == pytest.approx(max(1, height * scale), abs=0.51)


def test_carries_no_metadata():
    exif = Image.Exif()
    exif[0x010F] = "CameraMaker"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(
        buffer, "JPEG", exif=exif, comment="secret comment", icc_profile=b"secret profile", dpi=(300, 300)
    )
    for image in (open_photo(buffer.getvalue()).image, Image.open(io.BytesIO(buffer.getvalue()))):
        data = thumbnail(image, max_side_px=32)
        assert b"secret" not in data
        assert b"CameraMaker" not in data
        markers = jpeg_segments(data)
        assert 0xFE not in markers  # comment
        assert not [marker for marker in markers if 0xE1 <= marker <= 0xEF]  # all that is not the JFIF header


def test_looks_like_the_photo():
    y, x = np.mgrid[0:400, 0:600]
    image = Image.fromarray(np.stack([x // 3, y // 2, (x + y) // 5], axis=-1).astype(np.uint8))
    small = np.asarray(reread(thumbnail(image, max_side_px=60)), float)
    expected = np.asarray(image.resize((60, 40), Image.Resampling.BOX), float)
    assert np.abs(small - expected).mean() < 3


def test_accepts_other_modes_and_leaves_the_image_alone():
    image = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    image.info["comment"] = b"mine"
    assert reread(thumbnail(image)).getpixel((5, 5)) == (255, 255, 255)
    assert (image.mode, image.size, image.info) == ("RGBA", (40, 30), {"comment": b"mine"})


@pytest.mark.parametrize("options", [{"max_side_px": 0}, {"quality": 0}, {"quality": 100}])
def test_refuses_nonsense(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        thumbnail(Image.new("RGB", (4, 4)), **options)
