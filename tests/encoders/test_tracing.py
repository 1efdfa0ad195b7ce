"""What patches hand to the embedding, against the decomposition written out in float64."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tiny_clip import TINY, forward, random_pixels, random_state

from clip_folder import write_clip_folder
from whyhere.encoders import (
    ClipViTBuilder,
    GraphBuilder,
    OnnxImageTower,
    TracingTower,
    ViTConfig,
    export_image_tower,
)
from whyhere.errors import MissingFileError

CONFIGS = [
    TINY,
    dataclasses.replace(TINY, layers=3, quick_gelu=False),
    ViTConfig(hidden=32, mlp=16, layers=1, heads=4, patch=7, image_size=14, projection=32),
]


def write_tower(folder: Path, config: ViTConfig = TINY) -> Path:
    path = folder / "image_tower.onnx"
    ClipViTBuilder(config, random_state(config)).build().write(path)
    return path


def norm(x, state, name):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)
    return x * state[f"vision_model.{name}.weight"] + state[f"vision_model.{name}.bias"]


def written_by(layer, state, config, pixels):
    """What every token writes into the class token in one layer, [tokens, hidden], in float64."""
    before = forward(state, dataclasses.replace(config, layers=layer), pixels)[1][0]
    x, prefix = (
        norm(before, state, f"encoder.layers.{layer}.layer_norm1"),
        f"encoder.layers.{layer}.self_attn",
    )

    def linear(x, part):
        name = f"vision_model.{prefix}.{part}"
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    q, k, v = (linear(x, f"{part}_proj") for part in "qkv")
    width = config.hidden // config.heads
    mixed = np.zeros_like(v)
    for head in range(config.heads):
        at = slice(head * width, (head + 1) * width)
        weights = np.exp(k[:, at] @ q[0, at] / np.sqrt(width))
        mixed[:, at] = (weights / weights.sum())[:, None] * v[:, at]
    return mixed @ state[f"vision_model.{prefix}.out_proj.weight"].T


def expected_shares(state, config, pixels, layers):
    state = {name: array.astype(np.float64) for name, array in state.items()}
    traced = range(config.layers - layers, config.layers)
    written = sum(written_by(layer, state, config, pixels) for layer in traced)
    final = forward(state, config, pixels)[1][0, 0]
    scale = state["vision_model.post_layernorm.weight"] / np.sqrt(final.var() + 1e-5)
    centred = written - written.mean(axis=1, keepdims=True)
    return ((centred * scale) @ state["visual_projection.weight"].T)[1:]


@pytest.mark.parametrize("config", CONFIGS, ids=["tiny", "three layers", "other shape"])
def test_shares_are_those_of_the_written_out_decomposition(config, tmp_path):
    pixels, path = random_pixels(1, config), write_tower(tmp_path, config)
    for layers in range(1, config.layers + 1):
        traced = TracingTower(path, layers=layers, threads=1).trace(pixels)
        expected = expected_shares(random_state(config), config, pixels, layers)
        assert traced.shares.dtype == np.float32
        np.testing.assert_allclose(traced.shares, expected, rtol=1e-4, atol=1e-4)


def test_the_oracle_adds_up_to_the_class_token():
    """Input, attention of all tokens and bias give the class token, where the perceptron adds nothing."""
    state = random_state()
    prefix = "vision_model.encoder.layers.1"
    for name in (f"{prefix}.mlp.fc2.weight", f"{prefix}.mlp.fc2.bias"):
        state[name] = np.zeros_like(state[name])
    state = {name: array.astype(np.float64) for name, array in state.items()}
    pixels = random_pixels(1)
    before = forward(state, dataclasses.replace(TINY, layers=1), pixels)[1][0, 0]
    after = forward(state, TINY, pixels)[1][0, 0]
    parts = written_by(1, state, TINY, pixels).sum(axis=0) + state[f"{prefix}.self_attn.out_proj.bias"]
    np.testing.assert_allclose(before + parts, after, atol=1e-10)


def test_embeddings_are_those_of_the_tower_itself(tmp_path):
    path, pixels = write_tower(tmp_path), random_pixels(3)
    plain, tracing = OnnxImageTower(path, threads=1), TracingTower(path, layers=2, threads=1)
    expected = plain.embed(pixels)
    np.testing.assert_allclose(tracing.embed(pixels).embedding, expected.embedding, atol=1e-5)
    np.testing.assert_allclose(tracing.embed(pixels).tokens, expected.tokens, atol=1e-5)
    np.testing.assert_allclose(tracing.embed_only(pixels), expected.embedding, atol=1e-5)
    np.testing.assert_allclose(tracing.trace(pixels[1:2]).embedding, expected.embedding[1], atol=1e-5)
    assert (tracing.image_size, tracing.dim) == (plain.image_size, plain.dim)
    assert tracing.embed(pixels[:0]).embedding.shape == (0, plain.dim)


def test_the_folder_of_the_tower_may_be_anywhere(tmp_path, monkeypatch):
    folder = tmp_path / "a folder with spaces, ü"
    folder.mkdir()
    write_tower(folder)
    monkeypatch.chdir(tmp_path)
    relative = Path(folder.name) / "image_tower.onnx"
    assert TracingTower(relative, layers=1).trace(random_pixels(1)).shares.shape == (16, 10)


def test_refuses_what_it_cannot_trace(tmp_path):
    tower = TracingTower(write_tower(tmp_path), layers=1)
    with pytest.raises(ValueError, match="one view"):
        tower.trace(random_pixels(2))
    with pytest.raises(ValueError, match="pixels must be float32"):
        tower.trace(random_pixels(1).astype(np.float64))
    for layers in (0, 3):
        with pytest.raises(ValueError, match="1 to 2"):
            TracingTower(tmp_path / "image_tower.onnx", layers=layers)
    with pytest.raises(ValueError, match="threads"):
        TracingTower(tmp_path / "image_tower.onnx", layers=1, threads=0)
    with pytest.raises(MissingFileError, match="no such file"):
        TracingTower(tmp_path / "nothing.onnx")
    (tmp_path / "image_tower.weights").unlink()
    with pytest.raises(MissingFileError, match="cannot be traced"):
        TracingTower(tmp_path / "image_tower.onnx", layers=1)


def test_a_graph_of_another_kind_is_refused(tmp_path):
    graph = GraphBuilder("another")
    graph.node("Relu", graph.input("pixel_values", ("n", 3, 4, 4)), name="image_embeds")
    graph.output("image_embeds", ("n", 3, 4, 4))
    graph.write(tmp_path / "tower.onnx")
    with pytest.raises(MissingFileError, match="no attention layers"):
        TracingTower(tmp_path / "tower.onnx")


def test_a_tower_of_8_bit_weights_is_refused_by_name(tmp_path):
    folder = tmp_path / "clip"
    write_clip_folder(folder)
    export_image_tower(folder, tmp_path / "tower.onnx", weights="8-bit")
    with pytest.raises(MissingFileError, match="float32 weights"):
        TracingTower(tmp_path / "tower.onnx", layers=1)
