"""Other ways to run a CLIP vision tower, for `image_tower.py` to measure against the one that is shipped.

Each way is a `Linear` for `ClipViTBuilder`: it says how y = x W + b is computed. `rotated` changes the
weights so that activations have no outlying channels, which is what makes 8-bit activations inaccurate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders import ClipViTBuilder, GraphBuilder, ViTConfig
from whyhere.encoders._clip_onnx import FloatArray, Linear

_GELU_FLOOR = 0.1638  # quick GELU is never below minus this

_FLOAT, _UINT8 = 1, 2  # TensorProto.DataType


def quantised(weight: FloatArray, limit: int = 127) -> tuple[NDArray[np.int8], FloatArray]:
    """Integers and scale per output channel, symmetric: W is about q * scale."""
    scale = np.maximum(np.abs(weight).max(axis=0) / limit, 1e-12).astype(np.float32)
    return np.clip(np.rint(weight / scale), -limit, limit).astype(np.int8), scale


def weight_only(block: int, accuracy_level: int) -> Linear:
    """Use onnxruntime's 8-bit `MatMulNBits`; level 4 also quantises activations by block, 0 does not."""

    def linear(graph: GraphBuilder, x: str, name: str, weight: FloatArray, bias: FloatArray) -> str:
        q, scale = quantised(weight)
        k, n = weight.shape
        blocks = (q.astype(np.int16) + 128).astype(np.uint8).T.reshape(n, k // block, block)
        scales = np.repeat(scale[:, None], k // block, axis=1)
        y = graph.node(
            "MatMulNBits",
            x,
            graph.weight(f"{name}.q", blocks),
            graph.weight(f"{name}.scales", scales),
            name=f"{name}.product",
            domain="com.microsoft",
            K=k,
            N=n,
            bits=8,
            block_size=block,
            accuracy_level=accuracy_level,
        )
        return graph.node("Add", y, graph.weight(f"{name}.bias", bias), name=name)

    return linear


def per_token(*, limit: int = 127, unsigned: bool = False, use_floor: bool = False) -> Linear:
    """Integer products with one activation scale per token, in operators of the ONNX standard.

    Args:
        limit: Largest weight, 127 for 8 bits, 63 for 7. onnxruntime's kernel for unsigned activations and
            signed weights adds two products in 16 bits on x86 processors without VNNI: 2 * 255 * 127
            overflows there, 2 * 255 * 63 cannot.
        unsigned: Shift the weights to unsigned; that kernel never overflows, but is slower.
        use_floor: Where the input is a quick GELU's output, quantise its true range, not a symmetric one.
    """

    def linear(graph: GraphBuilder, x: str, name: str, weight: FloatArray, bias: FloatArray) -> str:
        q, weight_scale = quantised(weight, limit)

        def scalar(value: float) -> str:
            return graph.weight(f"scalar_{value}", np.array(value, np.float32))

        if use_floor and name.endswith("fc2"):
            # x = scale * q - floor, and the constant -floor is known to the bias
            x = graph.node("Add", x, scalar(_GELU_FLOOR), name=f"{name}.lifted")
            top = graph.node("ReduceMax", x, name=f"{name}.top", axes=(-1,), keepdims=1)
            levels, zero = 255, 0
            bias = bias - _GELU_FLOOR * (q * weight_scale.astype(np.float64)).sum(axis=0).astype(np.float32)
        else:
            size = graph.node("Abs", x, name=f"{name}.abs")
            top = graph.node("ReduceMax", size, name=f"{name}.largest", axes=(-1,), keepdims=1)
            top = graph.node("Max", top, scalar(1e-12), name=f"{name}.top")
            levels, zero = 127, 128
        scale = graph.node("Mul", top, scalar(1 / levels), name=f"{name}.scale")
        a = graph.node("Div", x, scale, name=f"{name}.scaled")
        a = graph.node("Round", a, name=f"{name}.rounded")
        a = graph.node("Add", a, scalar(zero), name=f"{name}.shifted")
        a = graph.node("Cast", a, name=f"{name}.integer", to=_UINT8)
        zero_name = graph.weight(f"zero_{zero}", np.array(zero, np.uint8))
        if unsigned:
            shifted = (q.astype(np.int16) + 128).astype(np.uint8)
            zeros = [zero_name, graph.weight("zero_weight", np.array(128, np.uint8))]
        else:
            shifted, zeros = q, [zero_name]
        y = graph.node("MatMulInteger", a, graph.weight(f"{name}.q", shifted), *zeros, name=f"{name}.sums")
        y = graph.node("Cast", y, name=f"{name}.float", to=_FLOAT)
        y = graph.node("Mul", y, scale, name=f"{name}.by_token")
        y = graph.node(
            "Mul", y, graph.weight(f"{name}.weight_scale", weight_scale), name=f"{name}.by_channel"
        )
        return graph.node("Add", y, graph.weight(f"{name}.bias", bias), name=name)

    return linear


def reflect(x: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Multiply by an orthogonal, symmetric matrix R that spreads every channel over all others.

    R is the Kronecker product of reflections 2/m J - I (J all ones) with m = 4 as often as it divides, then
    the rest. R R = I, and R leaves the vector of ones alone, so it commutes with the centring and scaling of
    LayerNorm: LN(x R) = LN(x) R. The idea is that of QuaRot (Ashkboos et al. 2024, arXiv 2404.00456).
    """
    x = np.moveaxis(x, axis, -1)
    factors, rest = [], x.shape[-1]
    while rest % 4 == 0:
        factors, rest = [*factors, 4], rest // 4
    factors += [rest] if rest > 1 else []
    y = x.reshape(*x.shape[:-1], *factors)
    for at, m in enumerate(factors, start=x.ndim - 1):
        y = 2 / m * y.sum(axis=at, keepdims=True) - y
    return np.moveaxis(y.reshape(x.shape), -1, axis)


def rotated(state: dict[str, FloatArray], config: ViTConfig) -> dict[str, FloatArray]:
    """The same tower with its residual stream, and each head's values, multiplied by R.

    LayerNorms lose their scale and bias to the layer that follows. `RotatedBuilder` puts R at both ends.
    """
    w = {name: np.asarray(array, np.float64) for name, array in state.items()}
    width = config.hidden // config.heads
    for layer in range(config.layers):
        prefix = f"vision_model.encoder.layers.{layer}"
        attention = f"{prefix}.self_attn"
        readers = {
            f"{prefix}.layer_norm1": [f"{attention}.{part}_proj" for part in "qkv"],
            f"{prefix}.layer_norm2": [f"{prefix}.mlp.fc1"],
        }
        for norm, followers in readers.items():
            for name in followers:
                w[f"{name}.bias"] += w[f"{name}.weight"] @ w[f"{norm}.bias"]
                w[f"{name}.weight"] = reflect(w[f"{name}.weight"] * w[f"{norm}.weight"], 1)
            w[f"{norm}.weight"], w[f"{norm}.bias"] = np.ones(config.hidden), np.zeros(config.hidden)
        for name in (f"{attention}.out_proj", f"{prefix}.mlp.fc2"):
            w[f"{name}.weight"], w[f"{name}.bias"] = (
                reflect(w[f"{name}.weight"], 0),
                reflect(w[f"{name}.bias"], 0),
            )
        heads = (config.heads, width)
        for part in ("weight", "bias"):
            values = w[f"{attention}.v_proj.{part}"]
            w[f"{attention}.v_proj.{part}"] = reflect(values.reshape(*heads, -1), 1).reshape(values.shape)
        out = w[f"{attention}.out_proj.weight"]
        w[f"{attention}.out_proj.weight"] = reflect(out.reshape(-1, *heads), 2).reshape(out.shape)
    return {name: array.astype(np.float32) for name, array in w.items()}


class RotatedBuilder(ClipViTBuilder):
    """Builds a tower from `rotated` weights; its embeddings are the tower's own, its tokens are rotated."""

    def _rotate(self, x: str, name: str) -> str:
        matrix = reflect(np.eye(self._config.hidden), 0).astype(np.float32)
        return self._graph.node("MatMul", x, self._graph.weight("rotation", matrix), name=name)

    def _norm(self, x: str, name: str, out: str | None = None) -> str:
        if name == "vision_model.post_layernorm":
            return super()._norm(self._rotate(x, "pooled_back"), name, out)
        y = super()._norm(x, name, out)
        return self._rotate(y, "embedded_rotated") if name == "vision_model.pre_layrnorm" else y
