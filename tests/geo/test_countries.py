"""Countries: outlines against an independent point-in-polygon, coasts against brute force, names, codes."""

from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.errors import UsageError
from whyhere.geo import countries, country_codes, find_country, great_circle_km, outlines


def even_odd(ring, lat, lon):
    """Ray casting, written apart from the code under test."""
    inside = False
    for (x1, y1), (x2, y2) in pairwise(ring):
        if (y1 > lat) != (y2 > lat) and lon < (x2 - x1) * (lat - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside


@pytest.mark.parametrize("code", ["LS", "ZA", "SM", "FJ", "CH", "VA"])
def test_outlines_agree_with_ray_casting(code):
    shapes = outlines()
    rng = np.random.default_rng(11)
    for part in np.flatnonzero(shapes.codes == code)[:12]:
        rings = shapes.rings(part)
        low, high = rings[0].min(axis=0), rings[0].max(axis=0)
        for lon, lat in rng.uniform(low, high, (12, 2)):
            inside = even_odd(rings[0], lat, lon) and not any(even_odd(hole, lat, lon) for hole in rings[1:])
            (found,) = shapes.containing(np.array([lat]), np.array([lon]))
            if inside:
                assert found >= 0
            else:
                assert found != part


def test_many_points_at_once_and_one_by_one_agree():
    rng = np.random.default_rng(5)
    lat, lon = rng.uniform(-90, 90, 200), rng.uniform(-180, 180, 200)
    together = country_codes(lat, lon)
    assert together == [country_codes(y, x)[0] for y, x in zip(lat, lon, strict=True)]
    assert together == country_codes(lat, lon + 360)


def test_outlines_stay_between_the_date_lines_and_are_closed():
    shapes = outlines()
    for part in range(len(shapes.codes)):
        for ring in shapes.rings(part):
            assert (ring[0] == ring[-1]).all()
            assert np.abs(ring[:, 0]).max() <= 180
            assert np.abs(ring[:, 1]).max() <= 90
            assert np.abs(np.diff(ring[:, 0])).max() < 360 or shapes.codes[part] == "AQ"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4000), st.floats(0, 360), st.floats(1, 40))
def test_distance_to_the_coast_against_all_vertices(part, bearing, step_km):
    """Never farther than the nearest vertex, never nearer than half the longest edge allows."""
    shapes = outlines()
    vertex = shapes.rings(part % len(shapes.codes))[0][0]
    lat = float(np.clip(vertex[1] + step_km / 111.2 * np.cos(np.radians(bearing)), -80, 84))
    lon = float(vertex[0] + step_km / 111.2 / max(np.cos(np.radians(lat)), 0.1) * np.sin(np.radians(bearing)))
    lon = (lon + 180) % 360 - 180
    found, km = shapes.nearest(lat, lon, within_km=30)
    every = great_circle_km(lat, lon, shapes._xy[:, 1], shapes._xy[:, 0]).min()
    if found < 0:
        assert every > 30 * 0.98
    else:
        assert km <= every * 1.02 + 0.01


def test_every_country_has_an_outline_and_every_outline_a_country():
    assert set(outlines().codes.tolist()) == set(countries())
    assert len(countries()) == 250
    assert len({country.alpha3 for country in countries().values()}) == 250


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FR", "FR"), ("fra", "FR"), ("France", "FR"), (" france ", "FR"), ("UK", "GB"), ("uk", "GB"),
        ("USA", "US"), ("United States of America", "US"), ("The Netherlands", "NL"), ("holland", "NL"),
        ("Côte d'Ivoire", "CI"), ("COTE D IVOIRE", "CI"), ("Ivory Coast", "CI"), ("Türkiye", "TR"),
        ("Réunion", "RE"), ("Åland Islands", "AX"), ("XK", "XK"), ("south-korea", "KR"), ("Swaziland", "SZ"),
        ("Trinidad & Tobago", "TT"), ("St. Lucia", "LC"), ("Guinea", "GN"), ("NA", "NA"), ("NO", "NO"),
    ],
)  # fmt: skip
def test_finding_a_country(text, code):
    assert find_country(text).code == code


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Frnace", "France (FR)"),
        ("Korea", "South Korea (KR)"),
        ("Congo", "(CD)"),
        ("Germnay", "Germany (DE)"),
    ],
)
def test_a_slip_is_told_with_the_closest_names(text, hint):
    with pytest.raises(UsageError, match="did you mean") as caught:
        find_country(text)
    assert hint in str(caught.value)


def test_every_code_and_name_finds_its_own_country():
    for country in countries().values():
        assert {find_country(text).code for text in (country.code, country.alpha3, country.name)} == {
            country.code
        }


@given(st.text(max_size=80))
def test_finding_never_fails_otherwise(text):
    with suppress(UsageError):
        assert find_country(text).code in countries()
