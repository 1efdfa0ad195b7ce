"""A tiny CLIP vision tower for tests: random weights, a NumPy forward pass as oracle, and its int8 file.

The forward pass is written from the architecture's description in float64 and shares no code with the
package. The int8 file is made the way the published one was: a graph with the node names of PyTorch's
exporter, quantised by onnxruntime's own dynamic quantiser.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from whyhere.encoders import ViTConfig, weight_shapes

TINY = ViTConfig(hidden=24, mlp=40, layers=2, heads=3, patch=4, image_size=16, projection=10)


def random_state(config: ViTConfig = TINY, *, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in weight_shapes(config).items():
        values = rng.normal(size=shape) * (0.3 if len(shape) > 1 else 0.1)
        is_norm_scale = "norm" in name and name.endswith("weight")
        state[name] = (values + is_norm_scale).astype(np.float32)
    return state


def random_pixels(count: int, config: ViTConfig = TINY, *, seed: int = 1) -> np.ndarray:
    size = config.image_size
    return np.random.default_rng(seed).normal(size=(count, 3, size, size)).astype(np.float32)


def forward(
    state: dict[str, np.ndarray], config: ViTConfig, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Image embeddings [n, projection] and last hidden states [n, tokens, hidden] in float64."""
    w = {name.removeprefix("vision_model."): np.asarray(a, np.float64) for name, a in state.items()}
    n, p, grid = len(pixels), config.patch, config.image_size // config.patch

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def activation(x):
        if config.quick_gelu:
            return x / (1 + np.exp(-1.702 * x))
        erf = np.vectorize(math.erf)
        return x * 0.5 * (1 + erf(x / np.sqrt(2)))

    def attention(x, name):
        q, k, v = (linear(x, f"{name}.{part}_proj") for part in "qkv")
        out = np.empty_like(q)
        width = config.hidden // config.heads
        for photo in range(n):
            for head in range(config.heads):
                at = slice(head * width, (head + 1) * width)
                scores = q[photo, :, at] @ k[photo, :, at].T / np.sqrt(width)
                shares = np.exp(scores - scores.max(-1, keepdims=True))
                out[photo, :, at] = shares / shares.sum(-1, keepdims=True) @ v[photo, :, at]
        return linear(out, f"{name}.out_proj")

    kernel = w["embeddings.patch_embedding.weight"]
    x = np.empty((n, grid * grid + 1, config.hidden))
    x[:, 0] = w["embeddings.class_embedding"]
    for row in range(grid):
        for column in range(grid):
            patch = pixels[:, :, row * p : (row + 1) * p, column * p : (column + 1) * p].astype(np.float64)
            x[:, 1 + row * grid + column] = np.einsum("ncij,hcij->nh", patch, kernel)
    x = norm(x + w["embeddings.position_embedding.weight"], "pre_layrnorm")
    for layer in range(config.layers):
        prefix = f"encoder.layers.{layer}"
        x = x + attention(norm(x, f"{prefix}.layer_norm1"), f"{prefix}.self_attn")
        y = activation(linear(norm(x, f"{prefix}.layer_norm2"), f"{prefix}.mlp.fc1"))
        x = x + linear(y, f"{prefix}.mlp.fc2")
    return norm(x[:, 0], "post_layernorm") @ w["visual_projection.weight"].T, x


def write_int8(
    path: Path, state: dict[str, np.ndarray], config: ViTConfig = TINY, *, zero_points: bool = False
) -> None:
    """Write the tower as an int8 file in the layout of the published one, whose zero points are all 0."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    float_path = path.with_suffix(".float.onnx")
    onnx.save(_float_export(state, config), float_path)
    quantize_dynamic(
        float_path,
        path,
        per_channel=True,
        weight_type=QuantType.QUInt8 if zero_points else QuantType.QInt8,
        op_types_to_quantize=["MatMul"],
    )
    float_path.unlink()


def _float_export(state, config):
    """The float graph with the names that PyTorch's exporter gives: paths of modules, anonymous matrices."""
    from onnx import TensorProto, helper, numpy_helper

    c, width = config, config.hidden // config.heads
    nodes = []
    weights = {name: a for name, a in state.items() if a.ndim == 1 or "embedding" in name}

    def add(op, inputs, out, **attributes):
        nodes.append(helper.make_node(op, inputs, [out], name=out.removesuffix("_output_0"), **attributes))
        return out

    def constant(values, out):
        nodes.append(helper.make_node("Constant", [], [out], value=numpy_helper.from_array(np.array(values))))
        return out

    def product(x, path, out=None):
        matrix = f"onnx::MatMul_{1541 + len(weights)}"
        weights[matrix] = np.ascontiguousarray(state[f"{path}.weight"].T)
        name = "/" + path.replace("vision_model.encoder.layers.", "vision_model/encoder/layers#").replace(
            ".", "/"
        ).replace("#", ".")
        out = out or f"{name}/MatMul_output_0"
        nodes.append(helper.make_node("MatMul", [x, matrix], [out], name=f"{name}/MatMul"))
        return out, name

    def linear(x, path):
        y, name = product(x, path)
        return add("Add", [f"{path}.bias", y], f"{name}/Add_output_0")

    def norm(x, path):
        names = [f"{path}.weight", f"{path}.bias"]
        return add("LayerNormalization", [x, *names], f"{path}_output_0", axis=-1, epsilon=1e-5)

    def split(x, path, perm):
        shape = constant([0, 0, c.heads, width], f"{path}_shape")
        parts = add("Reshape", [x, shape], f"{path}_parts")
        return add("Transpose", [parts], f"{path}_heads", perm=perm)

    emb = "vision_model.embeddings"
    for value in (c.heads, width):
        constant(np.array([value], np.int64), f"size_{value}")
    sides = [c.patch, c.patch]
    grid = add(
        "Conv", ["pixel_values", f"{emb}.patch_embedding.weight"], "grid", kernel_shape=sides, strides=sides
    )
    flat = add("Reshape", [grid, constant([0, c.hidden, -1], "flat_shape")], "flat")
    rows = add("Transpose", [flat], "rows", perm=[0, 2, 1])
    ones = add(
        "Concat", [add("Shape", ["pixel_values"], "n", start=0, end=1), constant([1, 1], "1_1")], "s", axis=0
    )
    token = add("Expand", [f"{emb}.class_embedding", ones], "class_token")
    x = add("Concat", [token, rows], "all_tokens", axis=1)
    x = norm(add("Add", [x, f"{emb}.position_embedding.weight"], "placed"), "vision_model.pre_layrnorm")
    for layer in range(c.layers):
        path = f"vision_model.encoder.layers.{layer}"
        y, attn = norm(x, f"{path}.layer_norm1"), f"{path}.self_attn"
        scale = constant(np.float32(width**-0.5), f"{attn}.scale")
        q = add("Mul", [linear(y, f"{attn}.q_proj"), scale], f"{attn}.scaled")
        q, k = (
            split(q, f"{attn}.q", [0, 2, 1, 3]),
            split(linear(y, f"{attn}.k_proj"), f"{attn}.k", [0, 2, 3, 1]),
        )
        v = split(linear(y, f"{attn}.v_proj"), f"{attn}.v", [0, 2, 1, 3])
        shares = add("Softmax", [add("MatMul", [q, k], f"{attn}.scores")], f"{attn}.shares", axis=-1)
        y = add("Transpose", [add("MatMul", [shares, v], f"{attn}.mix")], f"{attn}.back", perm=[0, 2, 1, 3])
        y = add("Reshape", [y, constant([0, 0, c.hidden], f"{attn}.width")], f"{attn}.joined")
        x = add("Add", [x, linear(y, f"{attn}.out_proj")], f"{path}.middle")
        y = linear(norm(x, f"{path}.layer_norm2"), f"{path}.mlp.fc1")
        gate = add(
            "Sigmoid", [add("Mul", [y, constant(np.float32(1.702), f"{path}.a")], f"{path}.b")], f"{path}.c"
        )
        y = linear(add("Mul", [y, gate], f"{path}.active"), f"{path}.mlp.fc2")
        last = layer == c.layers - 1
        x = add("Add", [x, y], "onnx::Gather_1524" if last else f"{path}.end")
    pooled = add("Gather", [x, constant(0, "zero")], "pooled", axis=1)
    product(norm(pooled, "vision_model.post_layernorm"), "visual_projection", "image_embeds")

    size = c.image_size
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "torch_jit",
        [value("pixel_values", TensorProto.FLOAT, ["batch", 3, size, size])],
        [
            value("image_embeds", TensorProto.FLOAT, ["batch", c.projection]),
            value("onnx::Gather_1524", TensorProto.FLOAT, ["batch", c.tokens, c.hidden]),
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
