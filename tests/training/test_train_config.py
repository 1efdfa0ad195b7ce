"""Configurations: shipped ones load, wrong ones are refused with the file and the reason."""

from __future__ import annotations

import dataclasses

import pytest

from whyhere.errors import MissingFileError, UsageError
from whyhere.training import TrainConfig, read_train_config, shipped_configs


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_every_shipped_configuration_loads(name):
    config = read_train_config(name)
    assert config != TrainConfig()
    assert "# Needs" in shipped_configs()[name]


def test_the_three_promised_ones_are_shipped():
    assert sorted(shipped_configs()) == ["geoclip", "paper", "small"]


def test_paper_and_geoclip_say_what_the_publications_say():
    paper, geoclip = read_train_config("paper"), read_train_config("geoclip")
    assert (paper.contrast_space, paper.divergence, paper.symmetric) == ("concept", "mean", False)
    assert (geoclip.contrast_space, geoclip.feature_head, geoclip.location_encoder) == (
        "feature",
        "mlp",
        "scratch",
    )
    recipe = ("optimiser", "learning_rate", "weight_decay", "lr_decay", "batch_size", "queue_size", "epochs")
    expected = ("adam", 3e-5, 1e-6, 0.87, 512, 4096, 10)
    assert tuple(getattr(geoclip, name) for name in recipe) == expected
    assert (geoclip.batch_noise_m, geoclip.queue_noise_m) == (150.0, 1000.0)


def test_every_field_is_documented():
    for field in dataclasses.fields(TrainConfig):
        assert f"\n        {field.name}: " in TrainConfig.__doc__


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rat = 1", "unknown learning_rat"),
        ("epochs = 1.5", "epochs must be of type int"),
        ('normalise = "yes"', "normalise must be of type bool"),
        ("seed = true", "seed must be of type int"),
        ('divergence = "kl"', "divergence must be one of none, mean"),
        ("batch_size = 0", "batch_size must be above 0"),
        ("sigma = -1.0", "sigma must be 0 or more"),
        ("learning_rate = nan", "learning_rate must be above 0"),
        ("validation_share = 1.0", "below 1"),
        ("photo_share = 0.0", "photo_share must lie above 0"),
        ("epochs = ", "not TOML"),
    ],
)
def test_wrong_configurations_are_refused(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        read_train_config(path)
    assert "mine.toml" in str(caught.value)


def test_whole_numbers_stand_for_floats(tmp_path):
    (tmp_path / "mine.toml").write_text("sigma = 2")
    assert read_train_config(tmp_path / "mine.toml").sigma == 2.0


def test_a_missing_file_names_the_shipped_ones(tmp_path):
    with pytest.raises(MissingFileError, match="geoclip, paper, small"):
        read_train_config(tmp_path / "none.toml")
