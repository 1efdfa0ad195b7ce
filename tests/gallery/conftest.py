"""Random weights in the true format, and coordinates, for galleries that are embedded in a moment."""

from __future__ import annotations

import math

import numpy as np
import pytest
from safetensors.numpy import save_file

from whyhere.encoders import location_encoder_shapes


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("weights") / "location_encoder.safetensors"
    save_file(
        {
            name: rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(math.sqrt(shape[-1]))
            for name, shape in location_encoder_shapes().items()
        },
        path,
    )
    return path


@pytest.fixture
def coordinates(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "gallery.npy"
    np.save(path, np.stack((rng.uniform(-90, 90, 300), rng.uniform(-180, 180, 300)), 1))
    return path
