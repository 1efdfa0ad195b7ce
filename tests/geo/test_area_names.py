"""Names that fit a radius: never more precise, whatever the point; examples that everybody can check."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from whyhere.geo import area_name

KINDS = ("town", "unit", "part", "country", "around", "continent", "sea", "earth")
RADII = (5.0, 20.0, 25.0, 26.0, 60.0, 120.0, 262.0, 500.0, 900.0, 2000.0, 4500.0, 20_000.0)
LATS, LONS = st.floats(-90, 90), st.floats(-180, 180)


@settings(max_examples=60, deadline=None)
@given(LATS, LONS)
@example(90.0, 0.0)
@example(-90.0, 12.0)
@example(-16.8, 180.0)
@example(65.0, -179.9)
@example(0.0, -30.0)
@example(21.3, -157.8)
@example(43.74, 7.42)
def test_a_name_reaches_as_far_as_the_radius_and_a_wider_radius_never_gets_a_more_precise_one(lat, lon):
    names = [area_name(lat, lon, km) for km in RADII]
    for km, name in zip(RADII, names, strict=True):
        assert name.name
        assert name.kind in KINDS
        assert name.reach_km >= km
        assert name.kind != "town" or km <= 25
        assert name.to_dict() == {"name": name.name, "kind": name.kind}
    reaches = [name.reach_km for name in names]
    assert reaches == sorted(reaches)
    for wider, name in zip(RADII[1:], names, strict=False):
        if wider <= name.reach_km:
            assert area_name(lat, lon, wider) == name  # the same name as long as it fits


@given(LATS, st.floats(-179.0, 179.0), st.sampled_from(RADII))
@settings(max_examples=25, deadline=None)
def test_a_turn_more_or_less_changes_nothing(lat, lon, km):
    lon = round(lon, 3)
    assert str(area_name(lat, lon, km)) == str(area_name(lat, round(lon + 360.0, 3), km))


@pytest.mark.parametrize(
    ("lat", "lon", "radius_km", "name"),
    [
        (58.97, 5.73, 10, "Stavanger, Rogaland, Norway"),
        (58.97, 5.73, 60, "Rogaland, Norway"),
        (58.97, 5.73, 262, "southern Norway"),
        (69.65, 18.95, 262, "northern Norway"),
        (66.5, 13.0, 262, "central Norway"),
        (46.05, 14.5, 60, "Slovenia"),
        (46.05, 14.5, 262, "Slovenia and around"),
        (43.6, 3.87, 262, "southern France"),
        (-31.9, 115.9, 800, "western Australia"),
        (-33.4, -70.6, 262, "central Chile"),
        (35.83, -110.93, 262, "Arizona, United States"),
        (37.93, -107.85, 500, "western United States"),
        (61.2, -149.9, 262, "Alaska, United States"),
        (22.08, -159.32, 262, "Hawaii and around"),
        (64.7, 177.5, 900, "eastern Russia"),
        (66.1, -170.0, 900, "eastern Russia"),  # beyond the date line
        (-16.8, -179.97, 200, "Fiji"),
        (-16.8, 179.97, 200, "Fiji"),
        (-17.71, -178.07, 262, "sea off Fiji"),
        (90.0, 0.0, 262, "open sea"),
        (-90.0, 0.0, 262, "Antarctica"),
    ],
)
def test_names_that_everybody_can_check(lat, lon, radius_km, name):
    assert str(area_name(lat, lon, radius_km)) == name


@pytest.mark.parametrize(
    ("lat", "lon", "radius_km"), [(0, 0, -1), (0, 0, float("nan")), (91, 0, 5), (0, float("inf"), 5)]
)
def test_numbers_that_make_no_sense_are_refused(lat, lon, radius_km):
    with pytest.raises(ValueError, match=r"radius|latitude|finite"):
        area_name(lat, lon, radius_km)
