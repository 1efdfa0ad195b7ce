"""Positions from EXIF: read where they are sound, None for everything else that a file may hold."""

from __future__ import annotations

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from whyhere.geo import LatLon
from whyhere.images import open_photo
from whyhere.images._decode import gps_position

PARIS = {1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)}


def changed(**changes) -> dict:
    keys = {"lat_ref": 1, "lat": 2, "lon_ref": 3, "lon": 4}
    gps = dict(PARIS)
    for name, value in changes.items():
        if value is None:
            del gps[keys[name]]
        else:
            gps[keys[name]] = value
    return gps


def degrees_minutes_seconds(degrees: float) -> tuple[IFDRational, ...]:
    """Write an angle as cameras do, to a millionth of a second."""
    micro_seconds = round(abs(degrees) * 3_600_000_000)
    minutes, micro_seconds = divmod(micro_seconds, 60_000_000)
    whole_degrees, minutes = divmod(minutes, 60)
    return (IFDRational(whole_degrees), IFDRational(minutes), IFDRational(micro_seconds, 1_000_000))


@pytest.mark.parametrize("seconds", [60, 60.0, IFDRational(60)])
def test_a_pole_in_minutes_and_seconds_is_a_pole(seconds):
    position = gps_position(PARIS | {2: (89, 59, seconds), 4: (179, 59, seconds)})
    assert position is not None
    assert position.lat == 90.0
    assert abs(position.lon) == 180.0
    assert gps_position(PARIS | {2: (90, 0, 0.001)}) is None


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_reads_what_a_camera_writes(lat, lon):
    gps = {1: "S" if lat < 0 else "N", 2: degrees_minutes_seconds(lat), 3: "W" if lon < 0 else "E",
           4: degrees_minutes_seconds(lon)}  # fmt: skip
    position = gps_position(gps)
    if round(abs(lat) * 3.6e9) == round(abs(lon) * 3.6e9) == 0:
        assert position is None
    else:
        assert position is not None
        assert position.lat == pytest.approx(lat, abs=1e-9)
        assert (position.lon - lon + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("pages", [1, 2])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_reads_the_position_of_a_file(image_format, pages):
    options = {"save_all": True, "append_images": [Image.new("RGB", (8, 4), "red")]} if pages > 1 else {}
    if image_format == "TIFF":  # Pillow writes no GPS directory into TIFF from an Exif object
        options["tiffinfo"] = ImageFileDirectory_v2()
        options["tiffinfo"][0x0112] = 6
        options["tiffinfo"][0x8825] = dict(PARIS)
    else:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6
        options["exif"].get_ifd(0x8825).update(PARIS)
    buffer = io.BytesIO()
    if image_format == "JPEG" and pages > 1:
        image_format = "MPO"  # what two pages of JPEG are called
    Image.new("RGB", (8, 4)).save(buffer, image_format, **options)
    photo = open_photo(buffer.getvalue())
    assert photo.exif_gps is not None
    assert photo.exif_gps.lat == pytest.approx(48.8583333)
    assert photo.exif_gps.lon == pytest.approx(2.2944444)
    assert photo.image.size == (4, 8)
    assert "exif" not in photo.image.info


@pytest.mark.parametrize(
    ("gps", "expected"),
    [
        (PARIS, LatLon(48 + 51 / 60 + 30 / 3600, 2 + 17 / 60 + 40 / 3600)),
        (changed(lat_ref="S", lon_ref="W"), LatLon(-(48 + 51 / 60 + 30 / 3600), -(2 + 17 / 60 + 40 / 3600))),
        (changed(lat=(48.5,), lon=2.25), LatLon(48.5, 2.25)),
        (changed(lat=(48.0, 30.0), lon=[2.0, 15.0, 0.0]), LatLon(48.5, 2.25)),
        (changed(lat_ref=b"n\0", lon_ref="e "), LatLon(48 + 51 / 60 + 30 / 3600, 2 + 17 / 60 + 40 / 3600)),
        (changed(lat=((97, 2), (0, 1), (0, 1)), lon=((9, 4), (0, 1), (0, 1))), LatLon(48.5, 2.25)),
        (changed(lat=(0.0, 0.0, 0.0)), LatLon(0.0, 2 + 17 / 60 + 40 / 3600)),  # on the equator
        (changed(lat=(90.0, 0.0, 0.0), lon=(180.0, 0.0, 0.0)), LatLon(90.0, -180.0)),
    ],
)
def test_accepts_the_spellings_seen_in_the_wild(gps, expected):
    position = gps_position(gps)
    assert position is not None
    assert (position.lat, position.lon) == pytest.approx((expected.lat, expected.lon))


@pytest.mark.parametrize(
    "gps",
    [
        {},
        changed(lat_ref=None),
        changed(lon_ref=None),
        changed(lat=None),
        changed(lon=None),
        changed(lat_ref="E"),
        changed(lat_ref=""),
        changed(lat_ref="NS"),
        changed(lon_ref=b"\xff"),
        changed(lon_ref=7),
        changed(lat=()),
        changed(lat=(1.0, 2.0, 3.0, 4.0)),
        changed(lat=(91.0, 0.0, 0.0)),
        changed(lat=(90.0, 0.0, 1.0)),
        changed(lon=(181.0, 0.0, 0.0)),
        changed(lon=(2.0, 61.0, 0.0)),
        changed(lon=(2.0, 0.0, 61.0)),
        changed(lat=(-48.0, 51.0, 30.0)),
        changed(lat=(math.nan, 0.0, 0.0)),
        changed(lat=(math.inf, 0.0, 0.0)),
        changed(lat=(48.0, 51.0, IFDRational(0, 0))),
        changed(lat=(48.0, IFDRational(1, 0), 0.0)),
        changed(lat=((48, 0), (51, 1), (30, 1))),
        changed(lat=((0, 0), (0, 0), (0, 0))),
        changed(lat="48.85"),
        changed(lat=b"\x30\x33\x1e"),
        changed(lat=(48.0, "51", 30.0)),
        changed(lat=(True, 0.0, 0.0)),
        changed(lat=(48.0, None, 30.0)),
        changed(lat=10**400),
        changed(lat=(0.0, 0.0, 0.0), lon=(0.0, 0.0, 0.0)),  # what a camera without a fix writes
    ],
)
def test_anything_else_is_no_position(gps):
    assert gps_position(gps) is None


numbers = st.one_of(
    st.floats(),
    st.integers(),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.builds(IFDRational, st.integers(-5, 400), st.integers(-2, 5)),
    st.tuples(st.integers(-5, 400), st.integers(-2, 5)),
    st.complex_numbers(),
)
values = st.one_of(numbers, st.lists(numbers, max_size=4).map(tuple), st.lists(numbers, max_size=4))
refs = st.one_of(st.sampled_from(["N", "S", "E", "W", b"N", b"E"]), values)


@given(st.fixed_dictionaries({}, optional={1: refs, 2: values, 3: refs, 4: values}))
def test_whatever_the_tags_hold_there_is_no_error(gps):
    position = gps_position(gps)
    assert position is None or (-90 <= position.lat <= 90 and -180 <= position.lon < 180)
