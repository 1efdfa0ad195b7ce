"""The image tower against a NumPy forward pass, and its promise that photos do not see each other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tiny_clip import TINY, forward, random_pixels, random_state

from whyhere.encoders import (
    VIT_B_16,
    VIT_L_14,
    ClipViTBuilder,
    GraphBuilder,
    OnnxImageTower,
    TowerOutput,
    ViTConfig,
)
from whyhere.errors import MissingFileError

ACCURACY = {"rtol": 1e-4, "atol": 1e-4}  # float32 against float64 through two layers


def write_tower(folder: Path, config: ViTConfig = TINY) -> Path:
    path = folder / "image_tower.onnx"
    ClipViTBuilder(config, random_state(config)).build().write(path)
    return path


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> OnnxImageTower:
    return OnnxImageTower(write_tower(tmp_path_factory.mktemp("tower")), threads=1)


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        dataclasses.replace(TINY, quick_gelu=False),
        dataclasses.replace(TINY, heads=1, layers=1),
        ViTConfig(hidden=32, mlp=16, layers=3, heads=4, patch=7, image_size=14, projection=32),
    ],
    ids=["tiny", "exact gelu", "one head", "other shape"],
)
def test_agrees_with_a_numpy_forward_pass(config, tmp_path):
    pixels = random_pixels(3, config)
    output = OnnxImageTower(write_tower(tmp_path, config)).embed(pixels)
    embedding, tokens = forward(random_state(config), config, pixels)
    np.testing.assert_allclose(output.embedding, embedding, **ACCURACY)
    np.testing.assert_allclose(output.tokens, tokens, **ACCURACY)
    assert output.embedding.dtype == output.tokens.dtype == np.float32


@pytest.mark.torch
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_agrees_with_transformers(activation, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = dataclasses.replace(TINY, quick_gelu=activation == "quick_gelu")
    model = transformers.CLIPVisionModelWithProjection(
        transformers.CLIPVisionConfig(
            hidden_size=config.hidden,
            intermediate_size=config.mlp,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            patch_size=config.patch,
            image_size=config.image_size,
            projection_dim=config.projection,
            hidden_act=activation,
        )
    ).eval()
    state = random_state(config)
    missing, unexpected = model.load_state_dict(
        {name: torch.from_numpy(array) for name, array in state.items()}, strict=False
    )
    assert not unexpected
    assert all(name.endswith("position_ids") for name in missing)
    pixels = random_pixels(3, config)
    with torch.no_grad():
        expected = model(pixel_values=torch.from_numpy(pixels), output_hidden_states=True)
    output = OnnxImageTower(write_tower(tmp_path, config)).embed(pixels)
    np.testing.assert_allclose(output.embedding, expected.image_embeds.numpy(), **ACCURACY)
    np.testing.assert_allclose(output.tokens, expected.last_hidden_state.numpy(), **ACCURACY)


def test_a_photo_does_not_depend_on_its_batch(tower):
    pixels = random_pixels(9)
    pixels[4] *= 1000  # a neighbour that would stretch any scale taken over the batch
    together = tower.embed(pixels)
    for i in range(len(pixels)):
        alone = tower.embed(pixels[i : i + 1])
        np.testing.assert_array_equal(alone.embedding[0], together.embedding[i])
        np.testing.assert_array_equal(alone.tokens[0], together.tokens[i])


def test_a_photo_does_not_depend_on_the_order(tower):
    pixels = random_pixels(6)
    order = np.array([3, 0, 5, 1, 4, 2])
    shuffled, straight = tower.embed(pixels[order]), tower.embed(pixels)
    np.testing.assert_array_equal(shuffled.embedding, straight.embedding[order])
    np.testing.assert_array_equal(shuffled.tokens, straight.tokens[order])


def test_the_answer_does_not_depend_on_the_number_of_threads(tower, tmp_path):
    pixels = random_pixels(2)
    other = OnnxImageTower(write_tower(tmp_path), threads=2)
    np.testing.assert_array_equal(other.embed(pixels).tokens, tower.embed(pixels).tokens)


def test_embed_only_gives_the_same_embeddings(tower):
    pixels = random_pixels(3)
    np.testing.assert_array_equal(tower.embed_only(pixels), tower.embed(pixels).embedding)


def test_no_photos_give_empty_answers(tower):
    output = tower.embed(random_pixels(0))
    assert output.embedding.shape == (0, TINY.projection)
    assert output.tokens.shape == (0, TINY.tokens, TINY.hidden)


def test_pixels_may_be_a_view_of_another_layout(tower):
    pixels = random_pixels(2)
    view = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(tower.embed(view).embedding, tower.embed(pixels).embedding)


def test_says_what_it_takes_and_gives(tower):
    assert (tower.image_size, tower.dim) == (TINY.image_size, TINY.projection)


@pytest.mark.parametrize("embed", [OnnxImageTower.embed, OnnxImageTower.embed_only])
@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 3, 16, 17), np.float32),
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((3, 16, 16), np.float32),
        np.zeros((1, 3, 16, 16), np.float64),
        np.zeros((1, 3, 16, 16), np.uint8),
    ],
    ids=lambda a: f"{a.dtype}{list(a.shape)}",
)
def test_refuses_other_pixels(tower, pixels, embed):
    with pytest.raises(ValueError, match=r"float32 \[n, 3, 16, 16\], not .*" + str(pixels.dtype)):
        embed(tower, pixels)


def test_output_is_frozen(tower):
    output = tower.embed(random_pixels(1))
    assert isinstance(output, TowerOutput)
    with pytest.raises(dataclasses.FrozenInstanceError):
        output.embedding = None  # type: ignore[misc]


def test_refuses_zero_threads(tmp_path):
    with pytest.raises(ValueError, match="threads"):
        OnnxImageTower(write_tower(tmp_path), threads=0)


def refusal(path: Path) -> str:
    with pytest.raises(MissingFileError) as caught:
        OnnxImageTower(path)
    message = str(caught.value)
    assert str(path) in message
    assert "whyhere releases fetch base --force" in message
    return message


def test_missing_file(tmp_path):
    assert "missing" in refusal(tmp_path / "image_tower.onnx")


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(1000)], ids=["empty", "text", "zeros"])
def test_damaged_model(tmp_path, content):
    path = tmp_path / "image_tower.onnx"
    path.write_bytes(content)
    refusal(path)


def test_model_cut_short(tmp_path):
    path = write_tower(tmp_path)
    path.write_bytes(path.read_bytes()[:-2000])
    refusal(path)


def test_weights_missing(tmp_path):
    path = write_tower(tmp_path)
    path.with_suffix(".weights").unlink()
    refusal(path)


def test_weights_cut_short(tmp_path):
    path = write_tower(tmp_path)
    weights = path.with_suffix(".weights")
    weights.write_bytes(weights.read_bytes()[:-100])
    refusal(path)


def test_another_model(tmp_path):
    graph = GraphBuilder("other")
    graph.node("Relu", graph.input("x", ("n", 4)), name="y")
    graph.output("y", ("n", 4))
    graph.write(tmp_path / "image_tower.onnx")
    assert "not an image tower" in refusal(tmp_path / "image_tower.onnx")


def test_builder_refuses_missing_extra_and_misshapen_weights():
    state = random_state()
    bias = "vision_model.encoder.layers.1.mlp.fc2.bias"
    without = {name: array for name, array in state.items() if name != bias}
    for wrong in (without, state | {bias: np.zeros(3, np.float32)}):
        with pytest.raises(ValueError, match=bias.replace(".", r"\.")):
            ClipViTBuilder(TINY, wrong)
    with pytest.raises(ValueError, match="surplus"):
        ClipViTBuilder(TINY, state | {"surplus": np.zeros(3, np.float32)})


def test_graph_refuses_two_weights_of_one_name():
    graph = GraphBuilder("some")
    graph.weight("w", np.zeros(2, np.float32))
    graph.weight("w", np.zeros(2, np.float32))
    for other in (np.ones(2, np.float32), np.zeros(2, np.int64)):
        with pytest.raises(ValueError, match="called w"):
            graph.weight("w", other)


def test_config_refuses_sizes_that_do_not_divide():
    with pytest.raises(ValueError, match="heads"):
        dataclasses.replace(TINY, heads=5)
    with pytest.raises(ValueError, match="patch"):
        dataclasses.replace(TINY, patch=5)


def test_known_configs_have_the_published_numbers_of_tokens():
    assert (VIT_B_16.tokens, VIT_L_14.tokens) == (197, 257)


@pytest.mark.weights
def test_the_fetched_tower_works_and_is_independent_of_the_batch():
    from whyhere.releases import asset_path

    try:
        folder = asset_path("clip-vit-b16")
    except MissingFileError as error:
        pytest.skip(str(error))
    tower = OnnxImageTower(folder / "image_tower.onnx")
    assert (tower.image_size, tower.dim) == (224, 512)
    pixels = np.random.default_rng(0).normal(size=(3, 3, 224, 224)).astype(np.float32)
    output = tower.embed(pixels)
    assert output.tokens.shape == (3, 197, 768)
    np.testing.assert_array_equal(tower.embed(pixels[1:2]).embedding, output.embedding[1:2])
    norms = np.linalg.norm(output.embedding, axis=1)
    assert ((norms > 5) & (norms < 20)).all()  # CLIP's embeddings have norms of about 10
