"""Towers exported from CLIP model folders: equal to `transformers`, whatever else is in the batch."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tiny_clip import forward, random_pixels

from clip_folder import VISION, write_clip_folder
from whyhere.encoders import VIT_L_14, CustomTower, OnnxImageTower, TowerNames, ViTConfig, export_image_tower
from whyhere.errors import MissingFileError, UsageError


def exported(folder: Path, target: Path, **options) -> OnnxImageTower:
    target.mkdir(exist_ok=True)
    export_image_tower(folder, target / "image_tower.onnx", **options)
    return OnnxImageTower(target / "image_tower.onnx")


def output_of_transformers(folder: Path, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.CLIPVisionModelWithProjection.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        output = model(pixel_values=torch.from_numpy(pixels), output_hidden_states=True)
    return output.image_embeds.numpy(), output.hidden_states[-1].numpy()


@pytest.mark.torch
@pytest.mark.parametrize(
    "vision",
    [
        VISION,
        dataclasses.replace(VISION, quick_gelu=False),
        ViTConfig(hidden=768, mlp=3072, layers=2, heads=12, patch=32, image_size=224, projection=512),
        ViTConfig(hidden=768, mlp=3072, layers=1, heads=12, patch=16, image_size=224, projection=512),
        ViTConfig(hidden=1024, mlp=4096, layers=1, heads=16, patch=14, image_size=336, projection=768),
    ],
    ids=["tiny", "exact gelu", "B/32 widths", "B/16 widths", "L/14 at 336 px"],
)
def test_embeddings_and_tokens_are_those_of_transformers(tmp_path, vision):
    write_clip_folder(tmp_path / "clip", vision=vision)
    pixels = random_pixels(2, vision)
    embedding, tokens = output_of_transformers(tmp_path / "clip", pixels)
    output = exported(tmp_path / "clip", tmp_path / "out").embed(pixels)
    np.testing.assert_allclose(output.embedding, embedding, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(output.tokens, tokens, rtol=1e-4, atol=1e-4)


@pytest.mark.torch
def test_the_true_shape_of_vit_l_14(tmp_path):
    import shutil

    if shutil.disk_usage(tmp_path).free < 5e9:
        pytest.skip("needs 5 GB of disk for 304 million random weights, once as safetensors and once as ONNX")
    write_clip_folder(tmp_path / "clip", vision=VIT_L_14)
    pixels = random_pixels(2, VIT_L_14)
    embedding, tokens = output_of_transformers(tmp_path / "clip", pixels)
    tower = exported(tmp_path / "clip", tmp_path / "out")
    assert (tower.image_size, tower.dim) == (224, 768)
    assert (tmp_path / "out" / "image_tower.weights").stat().st_size > 1.2e9
    output = tower.embed(pixels)
    np.testing.assert_allclose(output.embedding, embedding, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(output.tokens, tokens, rtol=1e-4, atol=1e-4)
    for path in (tmp_path / "clip" / "model.safetensors", tmp_path / "out" / "image_tower.weights"):
        path.unlink()  # pytest keeps temporary folders


def test_half_precision_weights_are_read(tmp_path):
    state = write_clip_folder(tmp_path / "clip", dtype=np.float16)
    pixels = random_pixels(1, VISION)
    vision = {
        name: a for name, a in state.items() if name.startswith(("vision_model.", "visual_projection."))
    }
    embedding, _ = forward(vision, VISION, pixels)
    found = exported(tmp_path / "clip", tmp_path / "out").embed_only(pixels)
    np.testing.assert_allclose(found, embedding, rtol=1e-4, atol=1e-4)


WIDE = dataclasses.replace(VISION, hidden=128, mlp=512, heads=2)


@pytest.mark.parametrize("vision", [VISION, WIDE], ids=["width 24", "width 128"])
def test_8_bit_weights_stay_close_and_batches_apart(tmp_path, vision):
    write_clip_folder(tmp_path / "clip", vision=vision)
    pixels = random_pixels(4, vision)
    pixels[3] *= 5
    exact = exported(tmp_path / "clip", tmp_path / "float").embed(pixels)
    tower = exported(tmp_path / "clip", tmp_path / "8-bit", weights="8-bit")
    rounded = tower.embed(pixels)
    for a, b in zip(exact.embedding, rounded.embedding, strict=True):
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999
        assert np.abs(a - b).max() > 0  # it is not the float tower
    np.testing.assert_array_equal(tower.embed_only(pixels[:1]), rounded.embedding[:1])


def test_8_bit_weights_take_less_space(tmp_path):
    vision = dataclasses.replace(VISION, hidden=384, mlp=1536, heads=6, layers=6)
    write_clip_folder(tmp_path / "clip", vision=vision)
    sizes = []
    for weights in ("float32", "8-bit"):
        exported(tmp_path / "clip", tmp_path / weights, weights=weights)
        sizes.append((tmp_path / weights / "image_tower.weights").stat().st_size)
    assert sizes[1] < 0.45 * sizes[0]  # patches, positions and projection stay as they are


# What must not be guessed.


def complaint(folder: Path, tmp_path: Path) -> str:
    with pytest.raises(MissingFileError) as caught:
        export_image_tower(folder, tmp_path / "image_tower.onnx")
    assert str(folder) in str(caught.value)
    return str(caught.value)


def edit_config(folder: Path, edit) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(config)
    (folder / "config.json").write_text(json.dumps(config))


def test_missing_files_are_named(tmp_path):
    (tmp_path / "clip").mkdir()
    assert "config.json" in complaint(tmp_path / "clip", tmp_path)
    write_clip_folder(tmp_path / "clip")
    (tmp_path / "clip" / "model.safetensors").unlink()
    assert "model.safetensors: there is no such file" in complaint(tmp_path / "clip", tmp_path)
    (tmp_path / "clip" / "model.safetensors").write_bytes(b"{}")
    assert "damaged" in complaint(tmp_path / "clip", tmp_path)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda config: config.update(model_type="siglip"), "model_type is not clip"),
        (lambda config: config["vision_config"].update(hidden_act="relu"), "its activation is relu"),
        (lambda config: config["vision_config"].update(layer_norm_eps=1e-6), "layer_norm_eps"),
        (lambda config: config["vision_config"].update(num_attention_heads=5), "multiple of heads"),
    ],
)
def test_another_architecture_is_refused(tmp_path, edit, says):
    write_clip_folder(tmp_path / "clip")
    edit_config(tmp_path / "clip", edit)
    assert says in complaint(tmp_path / "clip", tmp_path)


def test_the_number_of_heads_is_read_where_transformers_reads_it(tmp_path):
    vision = dataclasses.replace(VISION, heads=12)  # what transformers assumes where nothing is said
    write_clip_folder(tmp_path / "clip", vision=vision)
    edit_config(tmp_path / "clip", lambda config: config["vision_config"].pop("num_attention_heads"))
    assert export_image_tower(tmp_path / "clip", tmp_path / "a.onnx").heads == 12
    # Files of 2022 have the section twice, and the second one wins.
    edit_config(
        tmp_path / "clip", lambda config: config.update(vision_config_dict={"num_attention_heads": 6})
    )
    assert export_image_tower(tmp_path / "clip", tmp_path / "b.onnx").heads == 6


def test_a_checkpoint_without_one_of_its_weights_is_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    write_clip_folder(tmp_path / "clip")
    path = tmp_path / "clip" / "model.safetensors"
    state = load_file(path)
    del state["vision_model.encoder.layers.1.self_attn.q_proj.bias"]
    save_file(state, path)
    assert "layers.1.self_attn.q_proj.bias" in complaint(tmp_path / "clip", tmp_path)
    save_file({"a": np.zeros(1, np.float32)}, path)
    assert "not the vision tower of a CLIP model" in complaint(tmp_path / "clip", tmp_path)


# A tower of the user's own, with names of its own.

NAMES = TowerNames(input="pixels", embedding="pooled", tokens="states")


def write_foreign(path: Path, *, side: int | str = 12, fixed_batch: int | str = "n") -> None:
    onnx = pytest.importorskip("onnx")
    helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
    weight = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["pooled_channels"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["pooled_channels", "w"], ["pooled"]),
        helper.make_node("Transpose", ["pixels"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["last", "shape"], ["states"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "foreign",
        [value("pixels", FLOAT, [fixed_batch, 3, side, side])],
        [value("pooled", FLOAT, [fixed_batch, 5]), value("states", FLOAT, [fixed_batch, None, 3])],
        [
            onnx.numpy_helper.from_array(weight, "w"),
            onnx.numpy_helper.from_array(np.array([0, -1, 3], np.int64), "shape"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:onnx.*")
@pytest.mark.parametrize(
    "shape", [{}, {"side": "s"}, {"fixed_batch": 1}], ids=["free", "any size", "one photo"]
)
def test_a_foreign_tower_runs_under_its_own_names(tmp_path, shape):
    write_foreign(tmp_path / "own.onnx", **shape)
    tower = CustomTower(tmp_path / "own.onnx", image_size=12, names=NAMES)
    pixels = np.random.default_rng(1).normal(size=(3, 3, 12, 12)).astype(np.float32)
    output = tower.embed(pixels)
    assert (tower.dim, tower.image_size) == (5, 12)
    assert (output.embedding.shape, output.tokens.shape) == ((3, 5), (3, 144, 3))
    np.testing.assert_array_equal(tower.embed_only(pixels), output.embedding)
    np.testing.assert_array_equal(tower.embed_only(pixels[1:2])[0], output.embedding[1])
    np.testing.assert_array_equal(output.tokens[2, 13], pixels[2, :, 1, 1])
    assert tower.embed(pixels[:0]).embedding.shape == (0, 5)
    with pytest.raises(ValueError, match="pixels must be float32"):
        tower.embed_only(pixels[:, :, :11])


@pytest.mark.filterwarnings("ignore::DeprecationWarning:onnx.*")
def test_a_foreign_tower_that_does_not_fit_is_refused(tmp_path):
    path = tmp_path / "own.onnx"
    with pytest.raises(MissingFileError, match="there is no such image tower"):
        CustomTower(path, image_size=12)
    path.write_bytes(b"nothing")
    with pytest.raises(MissingFileError, match="cannot be opened as ONNX"):
        CustomTower(path, image_size=12)
    write_foreign(path)
    with pytest.raises(MissingFileError, match="its inputs are pixels and its outputs pooled, states"):
        CustomTower(path, image_size=12)
    with pytest.raises(MissingFileError, match="does not take photos of 16 px"):
        CustomTower(path, image_size=16, names=NAMES)
    with pytest.raises(MissingFileError, match=r"states is float32 \[1, 144, 3\]"):
        CustomTower(path, image_size=12, names=dataclasses.replace(NAMES, embedding="states"))
    silent = CustomTower(path, image_size=12, names=dataclasses.replace(NAMES, tokens=None))
    with pytest.raises(UsageError, match=r"image_tower\.tokens"):
        silent.embed(np.zeros((1, 3, 12, 12), np.float32))
