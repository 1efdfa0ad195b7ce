"""Converting published CLIP weights: the result computes what the source's weights say, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny_clip import TINY, forward, random_pixels, random_state, write_int8

from whyhere.encoders import ClipViTBuilder, OnnxImageTower, convert_clip_int8, convert_clip_safetensors
from whyhere.errors import MissingFileError

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:onnx.*", "ignore::DeprecationWarning:onnxruntime.*"
)


@pytest.fixture(scope="module")
def int8_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "clip_encoder.int8.onnx"
    write_int8(path, random_state())
    return path


def converted(source: Path, folder: Path) -> OnnxImageTower:
    target = folder / "image_tower.onnx"
    convert_clip_int8(source, target, config=TINY)
    return OnnxImageTower(target, threads=1)


def dequantised_state(source: Path) -> dict[str, np.ndarray]:
    """The weights as the source's `MatMulInteger` nodes see them, read with the `onnx` package."""
    state, graph = random_state(), onnx.load(source).graph
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    by_value = {name: array.T for name, array in state.items() if name.endswith("weight") and array.ndim == 2}
    for node in graph.node:
        if node.op_type == "MatMulInteger":
            q, zero = tensors[node.input[1]].astype(np.float64), tensors[node.input[3]].astype(np.float64)
            matrix = (q - zero) * tensors[node.input[1].replace("_quantized", "_scale")]
            same = [
                n for n, a in by_value.items() if a.shape == matrix.shape and np.abs(a - matrix).max() < 0.02
            ]
            assert len(same) == 1  # found by what it holds, so that no name is trusted
            state[same[0]] = matrix.T
    return state


@pytest.mark.parametrize("zero_points", [False, True])
def test_converted_tower_computes_with_the_dequantised_weights(zero_points, tmp_path):
    int8_file = tmp_path / "clip_encoder.int8.onnx"
    write_int8(int8_file, random_state(), zero_points=zero_points)
    pixels = random_pixels(4)
    output = converted(int8_file, tmp_path).embed(pixels)
    embedding, tokens = forward(dequantised_state(int8_file), TINY, pixels)
    np.testing.assert_allclose(output.embedding, embedding, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(output.tokens, tokens, rtol=1e-4, atol=1e-4)


def test_converted_tower_is_independent_of_the_batch_where_its_source_is_not(int8_file, tmp_path):
    import onnxruntime

    pixels = random_pixels(4)
    pixels[3] *= 5
    source = onnxruntime.InferenceSession(str(int8_file), providers=["CPUExecutionProvider"])
    together, alone = (source.run(["image_embeds"], {"pixel_values": p})[0] for p in (pixels, pixels[:1]))
    assert np.abs(together[0] - alone[0]).max() > 1e-3  # the fault, reproduced by the generated file
    tower = converted(int8_file, tmp_path)
    np.testing.assert_array_equal(tower.embed(pixels).embedding[:1], tower.embed(pixels[:1]).embedding)


def test_conversion_gives_the_same_bytes_again(int8_file, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in "ab":
        converted(int8_file, tmp_path / folder)
    for name in ("image_tower.onnx", "image_tower.weights"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_result_passes_the_onnx_checker(int8_file, tmp_path):
    converted(int8_file, tmp_path)
    onnx.checker.check_model(str(tmp_path / "image_tower.onnx"), full_check=True)


def refuse_int8(source: Path, folder: Path, *, config=TINY) -> str:
    with pytest.raises(MissingFileError) as caught:
        convert_clip_int8(source, folder / "image_tower.onnx", config=config)
    assert str(source) in str(caught.value)
    return str(caught.value)


def test_refuses_a_missing_source(tmp_path):
    assert "no such file" in refuse_int8(tmp_path / "none.onnx", tmp_path)


def test_refuses_what_is_not_onnx(tmp_path):
    for number, content in enumerate((b"", b"PK\x03\x04 something else", bytes(200))):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(content)
        assert "not an ONNX model" in refuse_int8(path, tmp_path)


def test_refuses_a_source_cut_short(int8_file, tmp_path):
    path = tmp_path / "short.onnx"
    path.write_bytes(int8_file.read_bytes()[:-3000])
    refuse_int8(path, tmp_path)


def test_refuses_a_float_tower(tmp_path):
    path = tmp_path / "float.onnx"
    ClipViTBuilder(TINY, random_state()).build().write(path)
    assert "MatMulInteger" in refuse_int8(path, tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"layers": 1}, "Softmax"),
        ({"image_size": 20}, "input"),
        ({"heads": 2}, "attention heads"),
        ({"quick_gelu": False}, "Sigmoid"),
        ({"mlp": 44}, "mlp.fc1"),
        ({"projection": 12}, "visual_projection"),
    ],
    ids=lambda value: str(value),
)
def test_refuses_another_architecture(int8_file, tmp_path, change, complaint):
    message = refuse_int8(int8_file, tmp_path, config=dataclasses.replace(TINY, **change))
    assert complaint in message
    assert "whyhere releases fetch base --force" in message


def edited(int8_file: Path, folder: Path, edit) -> Path:
    model = onnx.load(int8_file)
    edit(model.graph)
    path = folder / "edited.onnx"
    onnx.save(model, path)
    return path


def test_refuses_a_source_without_one_of_its_weights(int8_file, tmp_path):
    def drop_a_bias(graph):
        (index,) = [i for i, t in enumerate(graph.initializer) if t.name.endswith("layers.0.mlp.fc1.bias")]
        del graph.initializer[index]

    def drop_a_scale(graph):
        index = next(i for i, t in enumerate(graph.initializer) if t.name.endswith("_scale"))
        del graph.initializer[index]

    assert "layers.0.mlp.fc1.bias" in refuse_int8(edited(int8_file, tmp_path, drop_a_bias), tmp_path)
    assert "_scale" in refuse_int8(edited(int8_file, tmp_path, drop_a_scale), tmp_path)


def test_refuses_a_source_with_a_layer_under_another_name(int8_file, tmp_path):
    def rename(graph):
        node = next(node for node in graph.node if node.op_type == "MatMulInteger")
        node.name = node.name.replace("q_proj", "other_proj")

    assert "other_proj" in refuse_int8(edited(int8_file, tmp_path, rename), tmp_path)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_safetensors_tower_computes_with_its_weights(tmp_path, dtype):
    state = {name: array.astype(dtype) for name, array in random_state().items()}
    others = {
        "text_model.final_layer_norm.bias": np.zeros(3, dtype),
        "logit_scale": np.ones(1, dtype),
        "vision_model.embeddings.position_ids": np.arange(17, dtype=np.int64)[None],
    }
    save_file(state | others, tmp_path / "model.safetensors")
    convert_clip_safetensors(tmp_path / "model.safetensors", tmp_path / "image_tower.onnx", config=TINY)
    pixels = random_pixels(2)
    output = OnnxImageTower(tmp_path / "image_tower.onnx").embed(pixels)
    embedding, tokens = forward(state, TINY, pixels)
    np.testing.assert_allclose(output.embedding, embedding, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(output.tokens, tokens, rtol=1e-4, atol=1e-4)


def test_safetensors_refusals_name_the_file(tmp_path):
    path, target = tmp_path / "model.safetensors", tmp_path / "image_tower.onnx"
    with pytest.raises(MissingFileError, match=r"model\.safetensors: there is no such file"):
        convert_clip_safetensors(path, target, config=TINY)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(MissingFileError, match=r"model\.safetensors: not the CLIP weights"):
        convert_clip_safetensors(path, target, config=TINY)
    state = random_state()
    del state["visual_projection.weight"]
    save_file(state, path)
    with pytest.raises(MissingFileError, match=r"visual_projection\.weight: expected \(10, 24\), found None"):
        convert_clip_safetensors(path, target, config=TINY)
