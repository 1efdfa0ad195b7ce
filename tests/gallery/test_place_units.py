"""The units of a gallery's places: those of their names, found once, and never trusted where damaged."""

import numpy as np
import pytest

from whyhere.gallery import PlaceUnits, _gallery, open_units
from whyhere.geo import country_units, place_names

LAT = np.array([48.8584, 0.0, 22.07, -41.3, 69.65, -16.8, -90.0])
LON = np.array([2.2945, -30.0, -159.35, 174.8, 18.95, 179.97, 0.0])


def test_units_are_those_of_the_names():
    rng = np.random.default_rng(5)
    lat, lon = rng.uniform(-55, 70, 80), rng.uniform(-180, 180, 80)
    for place, (code, unit) in zip(place_names(lat, lon), country_units(lat, lon), strict=True):
        if place.admin1 is not None:  # on land and with a town: the name's own unit
            assert (place.country_code, place.admin1) == (code, unit)


def test_units_are_found_once_and_again_where_the_file_is_damaged(tmp_path, monkeypatch):
    found = open_units(LAT, LON, tmp_path)
    assert [found.units[row] for row in found.of_place] == country_units(LAT, LON)
    (kept,) = tmp_path.iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(_gallery, "country_units", lambda *_: pytest.fail("found a second time"))
        again = open_units(LAT, LON, tmp_path)
    assert again.units == found.units
    np.testing.assert_array_equal(again.of_place, found.of_place)
    for damage in ("", "{}", '{"units":[],"of_place":[0]}', kept.read_text("utf-8")[:-20]):
        kept.write_text(damage, encoding="utf-8")
        mended = open_units(LAT, LON, tmp_path)
        assert mended.units == found.units
    assert len(list(tmp_path.iterdir())) == 1


def test_other_places_get_another_file_and_a_missing_directory_is_no_error(tmp_path):
    open_units(LAT, LON, tmp_path)
    open_units(LAT[:3], LON[:3], tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    found = open_units(LAT[:2], LON[:2], tmp_path / "absent")
    assert isinstance(found, PlaceUnits)
    assert found.units == (("FR", "Île-de-France"), (None, None))
