"""The loop: resumed runs end with the same bits, early stopping keeps the best, batches obey the seed."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from planted import PlantedEncoder, land_places, planted_world  # noqa: E402
from whyhere.errors import MissingFileError, UsageError  # noqa: E402
from whyhere.geo import great_circle_km  # noqa: E402
from whyhere.training import (  # noqa: E402
    Examples,
    LocationNet,
    Negatives,
    TrainConfig,
    epoch_order,
    fit,
    same_place,
    split,
)

pytestmark = pytest.mark.torch
CONFIG = TrainConfig(
    batch_size=32,
    queue_size=64,
    hidden=8,
    epochs=4,
    patience=0,
    validation_split="random",
    divergence="cauchy-schwarz",
    contrast_space="both",
    negatives="batch",
    drift_weight=0.1,
    checkpoint_steps=3,
    learning_rate=1e-3,
)


@pytest.fixture(scope="module")
def world():
    return planted_world(photos=160, held_out=20, dims=32)


def run(world, folder, config=CONFIG, **options):
    options = {"tensorboard": False, **options}
    return fit(world.photos, world.directions, PlantedEncoder(), config, folder=folder, **options)


def weights(fitted):
    return {name: tensor.numpy() for name, tensor in fitted.trainee.state_dict().items()}


def records(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


class Killed(BaseException):
    """Stands for a kill in the middle of a step."""


@pytest.mark.parametrize("killed_at", [1, 3, 4, 5, 8, 16])
def test_a_resumed_run_ends_with_the_same_bits_and_the_same_log(world, tmp_path, killed_at):
    whole = run(world, tmp_path / "whole")

    def kill(done, total):
        if done == killed_at:
            raise Killed

    with pytest.raises(Killed):
        run(world, tmp_path / "cut", progress=kill)
    again = run(world, tmp_path / "cut", resume=True)
    for name, tensor in weights(whole).items():
        np.testing.assert_array_equal(tensor, weights(again)[name])
    assert records(tmp_path / "whole") == records(tmp_path / "cut")
    assert whole.at_best == again.at_best
    assert whole.state == again.state


def test_resuming_a_finished_run_changes_nothing(world, tmp_path):
    whole = run(world, tmp_path)
    steps = []
    again = run(world, tmp_path, resume=True, progress=lambda done, total: steps.append(done))
    assert steps == []
    for name, tensor in weights(whole).items():
        np.testing.assert_array_equal(tensor, weights(again)[name])


def test_a_checkpoint_of_another_run_is_refused(world, tmp_path):
    run(world, tmp_path)
    with pytest.raises(MissingFileError, match=r"config\.learning_rate was 0\.001 and is 0\.5"):
        run(world, tmp_path, dataclasses.replace(CONFIG, learning_rate=0.5), resume=True)
    with pytest.raises(MissingFileError, match="data was None and is 'other'"):
        run(world, tmp_path, resume=True, identity={"data": "other"})
    (tmp_path / "checkpoint.safetensors").write_bytes(b"cut")
    with pytest.raises(MissingFileError, match="not a checkpoint"):
        run(world, tmp_path, resume=True)


def test_the_seed_decides_and_nothing_else(world, tmp_path):
    a, b = run(world, tmp_path / "a"), run(world, tmp_path / "b")
    c = run(world, tmp_path / "c", dataclasses.replace(CONFIG, seed=1))
    for name, tensor in weights(a).items():
        np.testing.assert_array_equal(tensor, weights(b)[name])
    assert not np.array_equal(weights(a)["alignment.adapter"], weights(c)["alignment.adapter"])


def test_early_stopping_returns_the_best_weights(world, tmp_path):
    config = dataclasses.replace(CONFIG, learning_rate=0.05, epochs=200, patience=3)
    fitted = run(world, tmp_path, config)
    seen = [record for record in records(tmp_path) if record["kind"] == "validation"]
    losses = [record["loss"] for record in seen]
    assert len(losses) < 201
    assert fitted.at_best["loss"] == pytest.approx(min(losses), rel=1e-6)
    assert losses.index(min(losses)) == len(losses) - 4
    assert fitted.state.best_step == seen[-4]["step"]


def test_training_moves_what_it_should(world, tmp_path):
    config = dataclasses.replace(CONFIG, contrast_space="concept", validation_share=0.0)
    start = run(world, tmp_path / "a", dataclasses.replace(config, max_steps=1, learning_rate=1e-12))
    end = run(world, tmp_path / "b", config)
    before, after = weights(start), weights(end)
    for name in ("image.linear", "image.out", "delta", "adapter", "log_scale_concept"):
        assert not np.allclose(before[f"alignment.{name}"], after[f"alignment.{name}"], atol=1e-6), name
    np.testing.assert_array_equal(before["alignment.directions"], after["alignment.directions"])
    losses = [record["loss"] for record in records(tmp_path / "b") if record["kind"] == "train"]
    assert np.mean(losses[-4:]) < np.mean(losses[:4])


def test_a_location_encoder_can_be_trained_too(world, tmp_path):
    config = dataclasses.replace(CONFIG, location_encoder="scratch", epochs=1, queue_size=0, max_steps=2)
    net = LocationNet(seed=0)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    fitted = fit(world.photos, world.directions, net, config, folder=tmp_path, tensorboard=False)
    after = {k: v for k, v in weights(fitted).items() if k.startswith("location.")}
    moved = after["location.capsules.0.layers.0.weight"] - before["capsules.0.layers.0.weight"].numpy()
    assert np.abs(moved).max() > 1e-5
    np.testing.assert_array_equal(
        after["location.capsules.2.frequencies"], before["capsules.2.frequencies"].numpy()
    )
    assert not fitted.trainee.alignment.location_mean.any()


def test_directions_of_another_tower_are_refused(world, tmp_path):
    with pytest.raises(UsageError, match="different image towers"):
        fit(
            world.photos,
            np.ones((64, 3), np.float32),
            PlantedEncoder(),
            CONFIG,
            folder=tmp_path,
            tensorboard=False,
        )


def test_blocks_keep_neighbours_on_one_side():
    lat, lon = land_places(2000, rng=np.random.default_rng(0))
    training, held_out = split(lat, lon, share=0.2, blocks=True, seed=0)
    assert sorted([*training, *held_out]) == list(range(2000))
    assert 0.15 * 2000 < len(held_out) <= 0.2 * 2000
    cells = [set(zip(lat[rows] // 10, lon[rows] // 10, strict=True)) for rows in (training, held_out)]
    assert not cells[0] & cells[1]


def test_random_split_and_order_are_permutations():
    lat = np.zeros(100)
    training, held_out = split(lat, lat, share=0.1, blocks=False, seed=3)
    assert sorted([*training, *held_out]) == list(range(100))
    assert len(held_out) == 10
    orders = [epoch_order(50, seed=0, epoch=epoch) for epoch in range(2)]
    assert sorted(orders[0]) == list(range(50))
    assert list(orders[0]) != list(orders[1])
    with pytest.raises(UsageError, match="too few"):
        split(lat[:2], lat[:2], share=0.9, blocks=False, seed=0)


def test_the_queue_holds_the_latest_batches_first_in_first_out():
    places = np.arange(20.0).reshape(10, 2)
    queue = Negatives(size=4, places=places, from_places=False, seed=0)
    for step in range(3):
        queue.push(np.full((2, 2), 100.0 + step), step=step + 1)
    np.testing.assert_array_equal(queue.ring[:, 0], [101, 101, 102, 102])
    queue.push(np.arange(20.0).reshape(10, 2), step=4)
    assert queue.ring.shape == (4, 2)
    gallery = Negatives(size=4, places=places, from_places=True, seed=0)
    gallery.push(np.full((2, 2), 100.0), step=1)
    assert {tuple(row) for row in gallery.ring} <= {tuple(row) for row in places}


def test_same_place_agrees_with_great_circles():
    rng = np.random.default_rng(0)
    lat, lon = rng.uniform(-90, 90, 40), rng.uniform(-180, 180, 40)
    other_lat, other_lon = lat + rng.normal(0, 0.01, 40), lon + rng.normal(0, 0.01, 40)
    km = great_circle_km(lat[:, None], lon[:, None], other_lat, other_lon)
    for limit in (0.5, 1.0, 25.0):
        np.testing.assert_array_equal(same_place(lat, lon, other_lat, other_lon, km=limit), km <= limit)
    assert not same_place(lat, lon, lat, lon, km=0.0).any()


def test_examples_read_only_the_rows_asked_for(tmp_path):
    np.save(tmp_path / "f.npy", np.arange(20, dtype=np.float16).reshape(10, 2))
    features = np.load(tmp_path / "f.npy", mmap_mode="r")
    examples = Examples(features, np.array([7, 2, 9]), np.zeros(3), np.zeros(3))
    taken = examples.take(np.array([2, 0]))
    np.testing.assert_array_equal(taken, [[18, 19], [14, 15]])
    assert taken.dtype == np.float32
