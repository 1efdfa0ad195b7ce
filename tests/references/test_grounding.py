"""Directions from open maps, in a small world where the truth is planted."""

from __future__ import annotations

import numpy as np
import pytest

from whyhere.gallery import Gallery
from whyhere.geo import unit_vectors
from whyhere.references import Grounding, cell_table

DIMS, PENALTY = 16, 0.01
IDS = ("north", "unmapped", "east", "rare", "coin")


class Map:
    """A reference that says where a concept is: a number at every position, present from a threshold on."""

    def __init__(self, values, threshold=0.5):
        self.values, self._threshold = values, threshold

    def present(self, numbers):
        return np.where(np.isnan(numbers), np.nan, (numbers >= self._threshold).astype(float))


def coin(lat, lon):
    """Something that no embedding knows: it changes from one place to the next."""
    return (np.floor(lat * 1e4) % 2).astype(float)


def north(lat, lon):
    """The sine of the latitude; unknown around the Greenwich meridian."""
    return np.where(np.abs(lon) < 10, np.nan, np.sin(np.radians(lat)))


MAPS = {
    "north": Map(north, 0.3),
    "east": Map(lambda lat, lon: unit_vectors(lat, lon)[:, 1], 0.2),
    "rare": Map(lambda lat, lon: (np.arange(len(lat)) < 4).astype(float)),
    "coin": Map(coin),
}


@pytest.fixture(scope="module")
def gallery():
    """Places whose embeddings are a turned globe beside noise and a part that all share."""
    rng = np.random.default_rng(3)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-0.95, 0.95, 1500))), rng.uniform(-180, 180, 1500)
    lat, lon = np.append(lat, lat[:300] + 0.01), np.append(lon, lon[:300])  # some share a cell
    turn = np.linalg.qr(rng.normal(size=(DIMS, DIMS)))[0]
    parts = np.concatenate([unit_vectors(lat, lon), 0.3 * rng.normal(size=(len(lat), DIMS - 3))], axis=1)
    rows = 2 * turn[-1] + parts @ turn
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Gallery(lat=lat, lon=lon, embeddings=rows.astype(np.float32), fingerprint="planted")


@pytest.fixture
def grounding(gallery):
    return Grounding.build(gallery, IDS, lookup=MAPS.get)


@pytest.fixture
def mean(gallery):
    return gallery.embeddings.astype(np.float64).mean(axis=0)


def centred(grounding, mean):
    rows = grounding.embeddings - mean
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def auroc(scores, share):
    """Share of pairs of a cell with the concept and one without that are in order."""
    there, absent = scores[share >= 0.5], scores[share < 0.5]
    pairs = there[:, None] - absent[None, :]
    return np.mean((pairs > 0) + 0.5 * (pairs == 0))


def test_cells_are_averages_of_their_places(gallery, grounding):
    cells = cell_table(gallery.lat, gallery.lon)
    assert np.bincount(cells.cell).max() > 1
    share = MAPS["east"].present(MAPS["east"].values(gallery.lat, gallery.lon))
    for cell in (0, int(np.bincount(cells.cell).argmax()), len(cells.cells) - 1):
        rows = cells.cell == cell
        np.testing.assert_allclose(
            grounding.embeddings[cell], gallery.embeddings[rows].astype(np.float64).mean(axis=0), atol=1e-12
        )
        assert grounding.presence["east"][cell] == pytest.approx(share[rows].mean())
    np.testing.assert_array_equal(grounding.blocks, cells.block)
    assert np.isnan(grounding.presence["north"]).any()


def test_a_map_with_too_few_cells_says_nothing(grounding):
    assert set(grounding.presence) == {"north", "east", "coin"}


def test_directions_point_to_where_the_maps_say_on_cells_held_out(grounding, mean):
    odd = grounding.blocks % 2 == 1
    columns = grounding.directions(IDS, mean, among=~odd)
    scores = centred(grounding, mean) @ columns
    found = {
        name: auroc(scores[odd, IDS.index(name)], grounding.presence[name][odd])
        for name in ("north", "east", "coin")
    }
    assert found["north"] > 0.9
    assert found["east"] > 0.9
    assert 0.35 < found["coin"] < 0.65
    # One concept's map is not another's.
    assert auroc(scores[odd, IDS.index("north")], grounding.presence["east"][odd]) < 0.7


def test_unit_length_and_zeros_without_a_map(grounding, mean):
    columns = grounding.directions(IDS, mean)
    assert columns.shape == (DIMS, len(IDS))
    np.testing.assert_allclose(np.linalg.norm(columns, axis=0), [1, 0, 1, 0, 1], atol=1e-12)


def test_directions_solve_the_ridge_equation(grounding, mean):
    known = np.isfinite(grounding.presence["north"])
    rows, share = centred(grounding, mean)[known], grounding.presence["north"][known]
    rows = rows - rows.mean(axis=0)
    # The same as least squares with sqrt(penalty) rows that want every weight to be 0.
    stacked = np.concatenate([rows, np.sqrt(PENALTY * len(rows)) * np.eye(DIMS)])
    wanted = np.concatenate([share - share.mean(), np.zeros(DIMS)])
    expected = np.linalg.lstsq(stacked, wanted, rcond=None)[0]
    found = grounding.directions(("north",), mean)[:, 0]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-10)


def test_cells_left_out_are_never_looked_at(grounding, mean):
    rng = np.random.default_rng(5)
    among = grounding.blocks % 3 != 0
    before = grounding.directions(IDS, mean, among=among)
    changed = {name: share.copy() for name, share in grounding.presence.items()}
    for share in changed.values():
        share[~among] = rng.choice([0.0, 0.5, 1.0, np.nan], size=int((~among).sum()))
    embeddings = grounding.embeddings.copy()
    embeddings[~among] = rng.normal(size=(int((~among).sum()), DIMS))
    other = Grounding(embeddings, changed, grounding.blocks)
    np.testing.assert_array_equal(other.directions(IDS, mean, among=among), before)
    # All cells are another matter, and so is a change of what may be looked at.
    assert not np.allclose(other.directions(IDS, mean), grounding.directions(IDS, mean))
    changed["east"][among] = 1 - changed["east"][among]
    turned = Grounding(embeddings, changed, grounding.blocks).directions(IDS, mean, among=among)
    np.testing.assert_allclose(turned[:, IDS.index("east")], -before[:, IDS.index("east")], atol=1e-10)


def test_nothing_to_look_at_gives_nothing(grounding, mean):
    none = np.zeros(len(grounding.blocks), np.bool_)
    assert not grounding.directions(IDS, mean, among=none).any()


def test_the_order_and_company_of_concepts_do_not_matter(grounding, mean):
    columns = grounding.directions(IDS, mean)
    order = np.random.default_rng(6).permutation(len(IDS))
    shuffled = grounding.directions([IDS[i] for i in order], mean)
    np.testing.assert_allclose(shuffled, columns[:, order], atol=1e-12)
    for number, name in enumerate(IDS):
        alone = grounding.directions((name,), mean)
        np.testing.assert_allclose(alone[:, 0], columns[:, number], atol=1e-12)
