"""How `base` is made: patterns, columns, calibration and the command, without any weights."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from whyhere.alignment import PhotoCodeRecipe, fit_columns, fit_ridge, learned_patterns, sparse_codes
from whyhere.errors import MissingFileError, UsageError
from whyhere.gallery import Gallery
from whyhere.ranking import CellIndex
from whyhere.training import (
    CALIBRATIONS,
    best_calibration,
    country_weights,
    forecast_loss,
    forecasts,
    rank_answers,
    read_base_photos,
    threshold_to_abstain,
)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_patterns_explain_photos_better_and_keep_their_names():
    rng = np.random.default_rng(0)
    true = unit(rng.standard_normal((10, 20)))
    z = np.where(rng.random((400, 10)) < 0.3, rng.random((400, 10)), 0.0)
    x = unit(z @ true + 0.01 * rng.standard_normal((400, 20)))
    start = unit(true + 0.25 * rng.standard_normal(true.shape)).T

    def left_over(patterns):
        codes = sparse_codes(x.astype(np.float32), patterns.astype(np.float32), penalty=0.02, most=10)
        return float(((x - codes @ patterns.T) ** 2).sum())

    loose = learned_patterns(start, x, PhotoCodeRecipe(stiffness=0.1))
    stiff = learned_patterns(start, x, PhotoCodeRecipe(stiffness=1e6))
    assert left_over(loose) < 0.7 * left_over(start)
    np.testing.assert_allclose(stiff, start, atol=1e-4)
    assert ((loose * start).sum(axis=0) > 0.5).all()
    np.testing.assert_allclose(np.linalg.norm(loose, axis=0), 1, atol=1e-9)


def test_columns_are_the_regression_of_places_on_codes():
    rng = np.random.default_rng(1)
    z, columns = rng.random((200, 5)), rng.standard_normal((7, 5))
    np.testing.assert_allclose(fit_columns(z, z @ columns.T, penalty=1e-9), columns, atol=1e-6)
    assert np.linalg.norm(fit_columns(z, z @ columns.T, penalty=100.0)) < np.linalg.norm(columns)


def test_a_photo_of_weight_two_counts_like_two_photos():
    rng = np.random.default_rng(2)
    x, y = unit(rng.standard_normal((12, 6))), unit(rng.standard_normal((12, 4)))
    # Means are not weighted: the doubled photo and its opposite leave them where they are.
    x, y = np.concatenate((x, -x)), np.concatenate((y, -y))
    weights = np.ones(24)
    weights[[3, 15]] = 2.0
    heavy = fit_ridge(x, y, penalty=1.0, weights=weights)
    rows = np.concatenate((np.arange(24), [3, 15]))
    twice = fit_ridge(x[rows], y[rows], penalty=weights.mean())
    np.testing.assert_allclose(heavy.weights, twice.weights, atol=1e-9)


def test_four_times_the_photos_make_a_country_count_twice():
    weights = country_weights(["FR"] * 4 + ["FJ"])
    assert weights[:4].sum() == pytest.approx(2 * weights[4])


@pytest.fixture(scope="module")
def small_world():
    rng = np.random.default_rng(3)
    lat, lon = rng.uniform(-60, 60, 300), rng.uniform(-180, 180, 300)
    gallery = Gallery(lat=lat, lon=lon, embeddings=np.zeros((300, 1), np.float32), fingerprint="test")
    return gallery, CellIndex.build(lat, lon, resolution=2), rng


def test_forecasts_are_those_of_the_answers(small_world):
    gallery, cells, rng = small_world
    scores = rng.standard_normal((3, 300)).astype(np.float32) * 0.1
    lat, lon = gallery.lat[:3] + 0.5, gallery.lon[:3]
    found = forecasts(scores, lat, lon, gallery, cells)
    for row in range(3):
        for column in (0, 7, len(CALIBRATIONS) - 1):
            answers = rank_answers(
                scores[row], float(lat[row]), float(lon[row]), gallery, cells, CALIBRATIONS[column]
            )
            held = any(answers.km <= [place.radius_km for place in answers.places])
            expected = (
                forecast_loss(answers.places, answers.km),
                sum(place.probability for place in answers.places),
                held,
                answers.places[0].probability,
                answers.km[0] <= answers.places[0].radius_km,
            )
            np.testing.assert_allclose(found[:, row, column], expected, rtol=1e-9)


def test_a_calibration_claims_what_it_holds():
    found = np.zeros((5, 10, len(CALIBRATIONS)))
    found[0] = np.linspace(1, 2, len(CALIBRATIONS))  # the first is the best forecast
    found[1], found[2], found[3], found[4] = 0.5, 0.5, 0.2, 0.2
    found[1, :, 0] = 0.9  # and claims too much
    assert best_calibration(found) == CALIBRATIONS[1]
    found[3, :, 1] = 0.1  # the next too little for its first answer
    assert best_calibration(found) == CALIBRATIONS[2]
    found[1] = 0.9
    found[1, :, 4] = 0.7
    assert best_calibration(found) == CALIBRATIONS[4]


def test_abstaining_begins_where_answers_are_on_the_wrong_continent():
    probability, km = np.linspace(0.9, 0.0, 50), np.where(np.arange(50) < 30, 100.0, 5000.0)
    assert threshold_to_abstain(probability, km) == pytest.approx(probability[30])
    assert threshold_to_abstain(probability, np.full(50, 10.0)) == 0.0


def write(path, header, *rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_photos_of_base_are_all_there_and_keep_what_tables_say(small_world, tmp_path):
    gallery, _, rng = small_world
    header = ["file", "lat", "lon", "kind", "title", "precision_km"]
    first = write(tmp_path / "a.csv", header, ["a.jpg", 1, 2, "town", "A town", 5])
    second = write(tmp_path / "b.csv", ["file", "lat", "lon"], ["b.jpg", 3, 4], ["c.jpg", 5, 6])
    features = unit(rng.standard_normal((3, 8)))
    np.save(tmp_path / "f.npy", features)
    gallery = replace(gallery, embeddings=unit(rng.standard_normal((300, 4))).astype(np.float32))
    tables = [first, second]
    photos = read_base_photos(tables, None, gallery, None, features=tmp_path / "f.npy")
    np.testing.assert_array_equal(photos.features, features)
    assert photos.files == ("a.jpg", "b.jpg", "c.jpg")
    assert photos.kinds == ("town", "street", "street")
    assert photos.lat.tolist() == [1, 3, 5]
    assert [credit.title for credit in photos.credits] == ["A town", "", ""]
    assert photos.precision_km.tolist() == [5, 0, 0]
    bad = write(tmp_path / "bad.csv", ["file", "lat", "lon"], ["b.jpg", 95, 4], ["c.jpg", 5, 106])
    with pytest.raises(MissingFileError, match=r"bad\.csv: line 2: the latitude 95"):
        read_base_photos([bad], None, gallery, None, features=tmp_path / "f.npy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "base", "--data", "a.csv", "--resume"], "--config base takes"),
        (["--config", "small", "--data", "a.csv", "--data", "b.csv"], "only --config base"),
    ],
)
def test_arguments_that_contradict_are_refused(arguments, message):
    from whyhere.cli import app

    result = CliRunner().invoke(app, ["train", "--release", "out", *arguments])
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
