"""Positions as people copy them: every way of writing one place means that place."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.errors import UsageError
from whyhere.geo import LatLon, find_town, great_circle_km, read_position

EIFFEL = (48.8582222, 2.2945)

lats = st.floats(-90, 90, allow_nan=False)
lons = st.floats(-180, 179.999, allow_nan=False)


def in_parts(degrees: float) -> tuple[int, int, float]:
    """Return degrees, minutes and seconds to a hundredth, which never round up to 60."""
    hundredths = round(abs(degrees) * 360_000)
    return hundredths // 360_000, hundredths // 6000 % 60, hundredths % 6000 / 100


def letters(value: float, names: str) -> str:
    return names[value < 0]


def signed_parts(lat, lon, pattern):
    return ", ".join(("-" if v < 0 else "") + pattern.format(*in_parts(v)) for v in (lat, lon))


def lettered_parts(lat, lon, pattern, *, before=False, between=", "):
    words = []
    for value, names in ((lat, "NS"), (lon, "EW")):
        letter, number = letters(value, names), pattern.format(*in_parts(value))
        words.append(f"{letter} {number}" if before else f"{number}{letter}")
    return between.join(words)


WAYS = {
    "decimal": lambda lat, lon: f"{lat:.6f}, {lon:.6f}",
    "spaces": lambda lat, lon: f"{lat:.6f} {lon:.6f}",
    "semicolon": lambda lat, lon: f"{lat:.6f};{lon:.6f}",
    "true minus": lambda lat, lon: f"{lat:.6f}, {lon:.6f}".replace("-", "\N{MINUS SIGN}"),
    "decimal commas": lambda lat, lon: f"{lat:.6f}; {lon:.6f}".replace(".", ","),
    "decimal commas, comma between": lambda lat, lon: f"{lat:.6f}|{lon:.6f}".replace(".", ",").replace(
        "|", ", "
    ),
    "decimal commas, space between": lambda lat, lon: f"{lat:.6f} {lon:.6f}".replace(".", ","),
    "letters": lambda lat, lon: f"{abs(lat):.6f}{letters(lat, 'NS')} {abs(lon):.6f}{letters(lon, 'EW')}",
    "longitude first": lambda lat, lon: (
        f"{abs(lon):.6f}\N{DEGREE SIGN} {letters(lon, 'EW')}, "
        f"{abs(lat):.6f}\N{DEGREE SIGN} {letters(lat, 'NS')}"
    ),
    "degree signs": lambda lat, lon: f"{lat:.6f}\N{DEGREE SIGN}, {lon:.6f}\N{DEGREE SIGN}",
    "degree signs, no comma": lambda lat, lon: f"{lat:.6f}\N{DEGREE SIGN} {lon:.6f}\N{DEGREE SIGN}",
    "google": lambda lat, lon: lettered_parts(lat, lon, "{}\N{DEGREE SIGN}{}'{:.2f}\"", between=" "),
    "exiftool": lambda lat, lon: lettered_parts(lat, lon, "{} deg {}' {:.2f}\" "),
    "wikipedia": lambda lat, lon: lettered_parts(
        lat, lon, "{}\N{DEGREE SIGN}{}\N{PRIME}{:.2f}\N{DOUBLE PRIME}", between=" "
    ),
    "two primes": lambda lat, lon: lettered_parts(
        lat, lon, "{}\N{DEGREE SIGN} {}\N{PRIME} {:.2f}\N{PRIME}\N{PRIME}"
    ),
    "curly": lambda lat, lon: lettered_parts(lat, lon, "{}\u00ba{}\u2019{:.2f}\u201d"),
    "letters first": lambda lat, lon: lettered_parts(lat, lon, "{}\N{DEGREE SIGN} {}' {:.2f}''", before=True),
    "no signs": lambda lat, lon: lettered_parts(lat, lon, "{} {} {:.2f} "),
    "colons": lambda lat, lon: signed_parts(lat, lon, "{}:{}:{:.2f}"),
    "signed parts": lambda lat, lon: signed_parts(lat, lon, "{}\N{DEGREE SIGN} {}' {:.2f}\""),
    "iso 6709": lambda lat, lon: f"{lat:+010.6f}{lon:+011.6f}+035.0/",
    "labels": lambda lat, lon: f"lat: {lat:.6f}, lon: {lon:.6f}",
    "labels, longitude first": lambda lat, lon: f"Longitude = {lon:.6f}; Latitude = {lat:.6f}",
    "geo": lambda lat, lon: f"geo:{lat:.6f},{lon:.6f};u=35",
    "geo, android": lambda lat, lon: f"geo:{lat:.6f},{lon:.6f}?z=17",
    "osm": lambda lat, lon: f"https://www.openstreetmap.org/#map=17/{lat:.6f}/{lon:.6f}",
    "osm, marker": lambda lat, lon: (
        f"https://www.openstreetmap.org/?mlat={lat:.6f}&mlon={lon:.6f}#map=17/1.00000/2.00000"
    ),
    "google, middle": lambda lat, lon: f"https://www.google.com/maps/@{lat:.6f},{lon:.6f},17z?entry=ttu",
    "google, pin": lambda lat, lon: (
        f"https://www.google.com/maps/place/Tour/@1.0,2.0,17z/data=!3m1!4b1!8m2!3d{lat:.6f}!4d{lon:.6f}?hl=en"
    ),
    "google, search": lambda lat, lon: f"https://www.google.de/maps/search/{lat:.6f},+{lon:.6f}",
    "google, query": lambda lat, lon: f"https://maps.google.co.uk/?q={lat:.6f}%2C{lon:.6f}",
    "apple": lambda lat, lon: f"https://maps.apple.com/?ll={lat:.6f},{lon:.6f}&z=17",
    "bing": lambda lat, lon: f"bing.com/maps?cp={lat:.6f}~{lon:.6f}&lvl=17",
}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=25)
@given(lat=lats, lon=lons)
def test_every_way_of_writing_a_position_means_it(way, lat, lon):
    found = read_position(WAYS[way](lat, lon))
    assert found is not None
    assert math.isclose(found.lat, lat, abs_tol=2e-6)
    assert abs((found.lon - lon + 180) % 360 - 180) < 2e-6


@pytest.mark.parametrize(
    "text",
    [
        "48\N{DEGREE SIGN}51'29.6\"N 2\N{DEGREE SIGN}17'40.2\"E",
        "48 deg 51' 29.60\" N, 2 deg 17' 40.20\" E",
        "48.8582222N 2.2945E",
        "geo:48.8582222,2.2945",
        "48,8582222; 2,2945",
        "N 48\N{DEGREE SIGN} 51.493333 E 2\N{DEGREE SIGN} 17.670",
        "(48.8582222, 2.2945)",
        "+48.8582222+002.2945/",
    ],
)
def test_the_eiffel_tower_as_others_write_it(text):
    found = read_position(text)
    assert (found.lat, found.lon) == pytest.approx(EIFFEL, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "", "2", "Paris", "Essen", "Springfield, Illinois", "48", "N", "E 1", "-20,175,-12,-178",
        "area.geojson", "data.dir/area.geojson", "2nd Street",
    ],
)  # fmt: skip
def test_what_is_no_position_is_left_to_others(text):
    assert read_position(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("91, 0", "outside -90 to 90"),
        ("48 N 2 N", "N or S, and a longitude"),
        ("48 N, 2.3", "N or S, and a longitude"),
        ("-48 S, 2 E", "hemisphere once"),
        ("48\N{DEGREE SIGN}61'0\"N 2\N{DEGREE SIGN}0'0\"E", "below 60"),
        ("48.5\N{DEGREE SIGN}1'N 2\N{DEGREE SIGN}0'E", "only the last"),
        ("https://goo.gl/maps/abc", "opens no links"),
        ("https://[", "opens no links"),
        ("geo:100,0", "outside -90 to 90"),
    ],
)
def test_what_is_a_position_but_cannot_be_meant_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        read_position(text)


@given(
    st.text(
        st.sampled_from("0123456789.,;:'\"NSEWnsew-+ /\N{DEGREE SIGN}\N{PRIME}degmatlon@!?=#"), max_size=40
    )
)
def test_any_text_is_a_position_on_earth_or_none_or_refused(text):
    try:
        found = read_position(text)
    except UsageError:
        return
    assert found is None or (-90 <= found.lat <= 90 and -180 <= found.lon < 180)


def test_towns_are_found_by_name():
    found = find_town("Springfield, Illinois")
    assert great_circle_km(found.lat, found.lon, 39.8, -89.64) < 20
    assert find_town("Xqzzyville") is None
    assert isinstance(find_town("Paris"), LatLon)
