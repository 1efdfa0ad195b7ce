"""Opening photos: formats, colour modes and orientation, on files made here."""

from __future__ import annotations

import io
import pickle
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from whyhere.errors import PhotoError
from whyhere.images import StdinPhoto, open_photo


@pytest.fixture
def picture() -> Image.Image:
    """A smooth RGB picture without symmetry, 40 wide and 24 high."""
    y, x = np.mgrid[0:24, 0:40]
    return Image.fromarray(np.stack([x * 6, y * 10, 255 - x * 3 - y * 2], axis=-1).astype(np.uint8))


def encoded(image: Image.Image, image_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def mean_difference(a: Image.Image, b: Image.Image) -> float:
    assert a.size == b.size
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


@pytest.mark.parametrize(
    ("image_format", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95}, 3.0),
        ("JPEG", {"quality": 95, "progressive": True}, 3.0),
        ("MPO", {"quality": 95}, 3.0),
        ("PNG", {}, 0.0),
        ("BMP", {}, 0.0),
        ("WEBP", {"lossless": True}, 0.0),
        ("WEBP", {"quality": 95}, 4.0),
        ("TIFF", {}, 0.0),
        ("TIFF", {"compression": "tiff_lzw"}, 0.0),
        ("TIFF", {"compression": "jpeg", "quality": 95}, 4.0),
        ("GIF", {}, 12.0),
        ("AVIF", {"quality": 95}, 4.0),
    ],
)
def test_reads_format(picture, image_format, options, tolerance):
    if image_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    photo = open_photo(encoded(picture, image_format, **options))
    assert photo.image.mode == "RGB"
    assert type(photo.image) is Image.Image
    assert photo.image.info == {}
    assert photo.exif_gps is None
    assert mean_difference(photo.image, picture) <= tolerance


def test_reads_heic_upright_once(heic):
    pytest.importorskip("pi_heif", reason="needs the extra heic")
    before = set(Image.OPEN)
    photo = open_photo(heic)
    assert photo.image.size == (16, 32)
    assert photo.image.getpixel((8, 4))[0] > 200
    assert photo.image.getpixel((8, 28))[2] > 200
    assert photo.exif_gps is not None
    assert photo.exif_gps.lat == pytest.approx(48.8583333)
    assert photo.exif_gps.lon == pytest.approx(2.2944444)
    assert set(Image.OPEN) == before  # no plugin registered with Pillow


def test_heic_without_the_extra_names_the_command(heic, monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(PhotoError, match=r'pip install "whyhere\[heic\]"'):
        open_photo(heic)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_reads_first_frame_of_animation(image_format):
    frames = [Image.new("RGB", (12, 12), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:], **options)
    assert open_photo(data).image.getpixel((6, 6)) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_applies_orientation_once(picture, image_format, orientation):
    if image_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if image_format == "WEBP" else {"quality": 95}
    data = encoded(picture, image_format, exif=exif, **({} if image_format in ("PNG", "TIFF") else options))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    photo = open_photo(data)
    assert photo.image.size == ((40, 24) if orientation < 5 else (24, 40))
    assert mean_difference(photo.image, expected.convert("RGB")) == 0


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_ignores_orientation_that_does_not_exist(picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture, "PNG", exif=exif)
    assert mean_difference(open_photo(data).image, picture) == 0


def test_reads_adobe_cmyk_jpeg_the_right_way_round(picture):
    photo = open_photo(encoded(picture.convert("CMYK"), "JPEG", quality=95))
    assert mean_difference(photo.image, picture) < 4


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_scales_16_bit_grey_tiff(byte_order):
    values = np.array([[0, 257, 32768, 65535]], np.uint16).repeat(4, axis=0)
    if byte_order == "little":
        data = encoded(Image.fromarray(values), "TIFF")
    else:
        tags = [(256, 3, 4), (257, 3, 4), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 122), (277, 3, 1),
                (278, 3, 4), (279, 4, 32)]  # fmt: skip
        data = struct.pack(">2sHIH", b"MM", 42, 8, len(tags))
        for tag, kind, value in tags:
            data += (
                struct.pack(">HHIHH", tag, kind, 1, value, 0)
                if kind == 3
                else struct.pack(">HHII", tag, kind, 1, value)
            )
        data += struct.pack(">I", 0)
        data += values.astype(">u2").tobytes()
    assert len(data) > 32
    pixels = np.asarray(open_photo(data).image)
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]
    assert (pixels == pixels[..., :1]).all()


def test_scales_16_bit_grey_png():
    values = np.array([[0, 257, 32768, 65535]], np.uint16).repeat(4, axis=0)
    assert np.asarray(open_photo(encoded(Image.fromarray(values), "PNG")).image)[2, :, 1].tolist() == [
        0,
        1,
        128,
        255,
    ]


def test_scales_12_bit_and_inverted_grey_tiff():
    def tiff(bits, photometric, row):
        tags = [(256, 3, 2), (257, 3, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 122),
                (277, 3, 1), (278, 3, 1), (279, 4, len(row))]  # fmt: skip
        body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
        return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + body + bytes(4) + row

    twelve = bytes([0xFF, 0xF8, 0x00])  # 4095 and 2048
    assert np.asarray(open_photo(tiff(12, 1, twelve)).image)[0, :, 0].tolist() == [255, 128]
    sixteen = struct.pack("<HH", 65535, 0x4040)
    assert np.asarray(open_photo(tiff(16, 1, sixteen)).image)[0, :, 0].tolist() == [255, 64]
    assert np.asarray(open_photo(tiff(16, 0, sixteen)).image)[0, :, 0].tolist() == [0, 191]


def test_scales_16_bit_pgm_like_integers():
    image = Image.fromarray(np.array([[0, 256, 65535]], np.int32))
    assert np.asarray(open_photo(image).image)[0, :, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 0.25, 0.5], [0, 64, 128]),  # within [0, 1]: not stretched
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([1000.0, 1500.0, 2000.0], [0, 128, 255]),
        ([np.nan, 0.0, 4.0], [0, 0, 255]),
        ([np.inf, 0.0, 4.0], [0, 0, 255]),
        ([7.0, 7.0, 7.0], [0, 0, 0]),
        ([np.nan, np.nan, np.nan], [0, 0, 0]),
    ],
)
def test_scales_float_tiff(values, expected):
    data = encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert np.asarray(open_photo(data).image)[0, :, 2].tolist() == expected


def test_reads_1_bit_and_grey():
    black_and_white = Image.new("1", (9, 9))
    black_and_white.putpixel((4, 4), 1)
    pixels = open_photo(encoded(black_and_white, "PNG")).image
    assert pixels.getpixel((4, 4)) == (255, 255, 255)
    assert pixels.getpixel((0, 0)) == (0, 0, 0)
    assert open_photo(encoded(Image.new("L", (9, 9), 77), "JPEG")).image.getpixel((3, 3)) == (77, 77, 77)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_composites_alpha_over_white(mode):
    black = (0,) * (len(mode) - 1)
    image = Image.new(mode, (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (*black, alpha))
    assert np.asarray(open_photo(encoded(image, "PNG")).image)[0, :, 0].tolist() == [255, 127, 0]


def test_composites_transparent_palette_over_white():
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.putpixel((1, 0), 1)
    for data in (encoded(image, "PNG", transparency=1), encoded(image, "GIF", transparency=1)):
        photo = open_photo(data).image
        assert photo.getpixel((0, 0)) == (200, 0, 0)
        assert photo.getpixel((1, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("mode", "colour", "transparency"), [("L", 9, 9), ("RGB", (9, 8, 7), (9, 8, 7)), ("1", 0, 0)]
)
def test_composites_transparent_colour_of_png_over_white(mode, colour, transparency):
    data = encoded(Image.new(mode, (2, 2), colour), "PNG", transparency=transparency)
    assert open_photo(data).image.getpixel((0, 0)) == (255, 255, 255)


MODES = ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "LA", "La", "PA", "RGBa", "RGBX"]
MODES += ["I", "F", "I;16", "I;16B", "I;16L"]


@pytest.mark.parametrize("mode", MODES)
def test_reads_every_mode_of_a_pil_image(mode):
    photo = open_photo(Image.new(mode, (5, 4)))
    assert (photo.image.mode, photo.image.size) == ("RGB", (5, 4))


def test_refuses_a_colour_space_it_cannot_convert(monkeypatch):
    def refuse(self, *args, **options):
        raise ValueError("conversion not supported between modes")

    image = Image.new("LAB", (5, 4))
    monkeypatch.setattr(Image.Image, "convert", refuse)
    with pytest.raises(PhotoError, match=r"its colours \(LAB\) cannot be read"):
        open_photo(image)


def test_ignores_a_colour_profile(picture):
    ImageCms = pytest.importorskip("PIL.ImageCms")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (profile, b"not a profile"):
        assert mean_difference(open_photo(encoded(picture, "PNG", icc_profile=icc)).image, picture) == 0


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((2, 3), 100, np.uint8), (100, 100, 100)),
        (np.full((2, 3, 1), 100, np.uint8), (100, 100, 100)),
        (np.full((2, 3, 3), 100, np.uint8), (100, 100, 100)),
        (np.full((2, 3, 4), 0, np.uint8), (255, 255, 255)),
        (np.full((2, 3, 3), 65535, np.uint16), (255, 255, 255)),
        (np.full((2, 3), 25700, np.uint16), (100, 100, 100)),
        (np.full((2, 3, 3), 0.5, np.float32), (128, 128, 128)),
        (np.full((2, 3), 1.0, np.float64), (255, 255, 255)),
        (np.full((2, 3), 0.5, np.float16), (128, 128, 128)),
        (np.full((2, 3), True), (255, 255, 255)),
        (np.full((2, 6, 6), 100, np.uint8)[:, ::2, ::2], (100, 100, 100)),
    ],
)
def test_reads_arrays(array, expected):
    photo = open_photo(array)
    assert photo.image.size == (3, 2)
    assert photo.image.getpixel((2, 1)) == expected
    assert photo.name == "array"


def test_the_same_photo_from_every_kind_of_source(picture, tmp_path):
    data = encoded(picture, "PNG")
    path = tmp_path / "a photo.jpg"  # the content decides, not the suffix
    path.write_bytes(data)
    with path.open("rb") as stream:
        opened = {
            str(path): open_photo(path),
            f"{path}": open_photo(str(path)),
            "bytes": open_photo(data),
            "array": open_photo(np.asarray(picture)),
            "image": open_photo(picture),
            "-": open_photo(StdinPhoto(io.BytesIO(data))),
            "file object": open_photo(io.BytesIO(data)),
            "named": open_photo(bytearray(data), name="named"),
            "view": open_photo(memoryview(data), name="view"),
            "stream": open_photo(stream, name="stream"),
        }
    for name, photo in opened.items():
        assert photo.name == name
        assert mean_difference(photo.image, picture) == 0


def test_a_file_object_is_named_by_its_path_and_read_from_where_it_stands(picture, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"header" + encoded(picture, "PNG"))
    with path.open("rb") as stream:
        stream.seek(6)
        assert open_photo(stream).name == str(path)


def test_reads_streams_that_return_little_at_a_time(picture):
    class Dribble(io.RawIOBase):
        def __init__(self, data):
            self.rest = data

        def readable(self):
            return True

        def read(self, size=-1):
            piece, self.rest = self.rest[:7], self.rest[7:]
            return piece

    assert mean_difference(open_photo(Dribble(encoded(picture, "PNG"))).image, picture) == 0


def test_leaves_the_image_of_the_caller_alone(picture):
    picture.info["comment"] = b"mine"
    before = picture.tobytes()
    photo = open_photo(picture)
    photo.image.paste((0, 0, 0), (0, 0, 5, 5))
    assert picture.tobytes() == before
    assert picture.info == {"comment": b"mine"}


def test_turns_a_pil_image_that_still_carries_its_orientation(picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(encoded(picture, "PNG", exif=exif)))
    assert open_photo(image).image.size == (24, 40)
    assert open_photo(ImageOps.exif_transpose(image)).image.size == (24, 40)


def test_photo_is_frozen_and_can_be_pickled(picture):
    photo = open_photo(picture, name="x")
    with pytest.raises(AttributeError):
        photo.name = "y"
    again = pickle.loads(pickle.dumps(photo))
    assert (again.name, again.image.tobytes()) == ("x", photo.image.tobytes())


def test_names_are_safe_to_print(tmp_path):
    path = tmp_path / "two\nlines.png"
    Image.new("RGB", (4, 4)).save(path)
    assert open_photo(path).name.endswith("two\\nlines.png")


def test_reads_the_sample_photos(sample_photos: Path):
    paths = sorted((sample_photos / "images").glob("*.jpg"))[:10]
    assert paths
    for path in paths:
        with Image.open(path) as reference:
            assert open_photo(path).image.tobytes() == reference.convert("RGB").tobytes()
