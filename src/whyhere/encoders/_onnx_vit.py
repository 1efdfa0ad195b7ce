"""Builds the ONNX graph of a CLIP vision transformer from its weights.

The weights are named as in Hugging Face's `CLIPVisionModelWithProjection`, so the same code serves the
converted int8 file (ViT-B/16) and any CLIP tower that comes as safetensors (ViT-L/14).

The network (Radford et al. 2021, arXiv 2103.00020; Dosovitskiy et al. 2021, arXiv 2010.11929): patches by a
convolution, a class token, learned positions, LayerNorm, then per layer attention and a two-layer
perceptron, both pre-norm with residuals; the class token's last state, normalised and projected, is the
image embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders._onnx_graph import GraphBuilder

FloatArray = NDArray[np.float32]

Linear = Callable[[GraphBuilder, str, str, FloatArray, FloatArray], str]
"""Adds y = x W + b to a graph: (graph, x, name, W [in, out], b [out]) -> name of y."""


@dataclass(frozen=True, slots=True)
class ViTConfig:
    """Shape of a CLIP vision transformer.

    Attributes:
        hidden: Width of a token.
        mlp: Width inside the perceptron.
        layers: Number of transformer layers.
        heads: Attention heads per layer.
        patch: Side of a patch, px.
        image_size: Side of the square input, px.
        projection: Width of the image embedding.
        quick_gelu: The perceptron's activation is x * sigmoid(1.702 x), as in OpenAI's weights; otherwise
            the exact GELU.
    """

    hidden: int
    mlp: int
    layers: int
    heads: int
    patch: int
    image_size: int
    projection: int
    quick_gelu: bool = True

    def __post_init__(self) -> None:
        if self.hidden % self.heads or self.image_size % self.patch:
            raise ValueError(f"hidden must be a multiple of heads, image_size of patch: {self}")

    @property
    def tokens(self) -> int:
        """Number of tokens: one per patch and the class token."""
        return (self.image_size // self.patch) ** 2 + 1


VIT_B_16 = ViTConfig(hidden=768, mlp=3072, layers=12, heads=12, patch=16, image_size=224, projection=512)
VIT_L_14 = ViTConfig(hidden=1024, mlp=4096, layers=24, heads=16, patch=14, image_size=224, projection=768)


def weight_shapes(config: ViTConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight such a tower has, no more and no less."""
    h, m = config.hidden, config.mlp
    shapes: dict[str, tuple[int, ...]] = {
        "vision_model.embeddings.class_embedding": (h,),
        "vision_model.embeddings.patch_embedding.weight": (h, 3, config.patch, config.patch),
        "vision_model.embeddings.position_embedding.weight": (config.tokens, h),
        "visual_projection.weight": (config.projection, h),
    }
    norms = ["vision_model.pre_layrnorm", "vision_model.post_layernorm"]  # the first is misspelt upstream
    for layer in range(config.layers):
        prefix = f"vision_model.encoder.layers.{layer}"
        norms += [f"{prefix}.layer_norm1", f"{prefix}.layer_norm2"]
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes[f"{prefix}.self_attn.{part}.weight"] = (h, h)
            shapes[f"{prefix}.self_attn.{part}.bias"] = (h,)
        shapes |= {f"{prefix}.mlp.fc1.weight": (m, h), f"{prefix}.mlp.fc1.bias": (m,)}
        shapes |= {f"{prefix}.mlp.fc2.weight": (h, m), f"{prefix}.mlp.fc2.bias": (h,)}
    shapes |= {f"{norm}.{part}": (h,) for norm in norms for part in ("weight", "bias")}
    return shapes


def float_linear(graph: GraphBuilder, x: str, name: str, weight: FloatArray, bias: FloatArray) -> str:
    """Add y = x W + b in float32."""
    y = graph.node("MatMul", x, graph.weight(f"{name}.weight", weight), name=f"{name}.matmul")
    return graph.node("Add", y, graph.weight(f"{name}.bias", bias), name=name)


class ClipViTBuilder:
    """Adds a CLIP vision transformer to a graph.

    Args:
        config: The tower's shape.
        state: The weights, as `weight_shapes` lists them.
        linear: How the layers' matrix products are computed; float32 unless something is to be tried.

    Raises:
        ValueError: A weight is missing, of another shape, or not part of such a tower.
    """

    def __init__(
        self, config: ViTConfig, state: Mapping[str, NDArray[Any]], *, linear: Linear = float_linear
    ) -> None:
        expected = weight_shapes(config)
        found = {name: tuple(array.shape) for name, array in state.items()}
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                raise ValueError(f"weight {name}: expected {expected.get(name)}, found {found.get(name)}")
        self._config, self._state, self._linear = config, state, linear
        self._graph = GraphBuilder("clip_vision_tower")

    def build(self) -> GraphBuilder:
        """The graph: pixel_values [n, 3, s, s] -> image_embeds [n, projection], tokens [n, t, hidden]."""
        c, g = self._config, self._graph
        pixels = g.input("pixel_values", ("n", 3, c.image_size, c.image_size))
        x = self._norm(self._embed(pixels), "vision_model.pre_layrnorm", "embedded")
        for layer in range(c.layers):
            prefix = f"vision_model.encoder.layers.{layer}"
            last = layer == c.layers - 1
            y = self._attention(self._norm(x, f"{prefix}.layer_norm1"), f"{prefix}.self_attn")
            x = g.node("Add", x, y, name=f"{prefix}.attended")
            y = self._mlp(self._norm(x, f"{prefix}.layer_norm2"), f"{prefix}.mlp")
            x = g.node("Add", x, y, name="tokens" if last else f"{prefix}.out")
        first = g.weight("first_token", np.array(0, np.int64))
        pooled = self._norm(g.node("Gather", x, first, name="pooled", axis=1), "vision_model.post_layernorm")
        projection = self._array("visual_projection.weight").T
        g.node("MatMul", pooled, g.weight("visual_projection", projection), name="image_embeds")
        g.output("image_embeds", ("n", c.projection))
        g.output("tokens", ("n", c.tokens, c.hidden))
        return g

    def _array(self, name: str) -> FloatArray:
        return np.asarray(self._state[name], np.float32)

    def _norm(self, x: str, name: str, out: str | None = None) -> str:
        scale = self._graph.weight(f"{name}.weight", self._array(f"{name}.weight"))
        bias = self._graph.weight(f"{name}.bias", self._array(f"{name}.bias"))
        return self._graph.node(
            "LayerNormalization", x, scale, bias, name=out or f"{name}.out", axis=-1, epsilon=1e-5
        )

    def _embed(self, pixels: str) -> str:
        """[n, 3, s, s] -> [n, t, h]: class token, then patches row by row, plus positions."""
        c, g, prefix = self._config, self._graph, "vision_model.embeddings"
        kernel = g.weight(f"{prefix}.patches", self._array(f"{prefix}.patch_embedding.weight"))
        stride = (c.patch, c.patch)
        x = g.node("Conv", pixels, kernel, name=f"{prefix}.grid", kernel_shape=stride, strides=stride)
        flat = g.weight(f"{prefix}.flat", np.array([0, c.hidden, -1], np.int64))
        x = g.node("Reshape", x, flat, name=f"{prefix}.columns")  # [n, h, t - 1]
        x = g.node("Transpose", x, name=f"{prefix}.rows", perm=(0, 2, 1))  # [n, t - 1, h]
        token = self._array(f"{prefix}.class_embedding").reshape(1, 1, -1)
        count = g.node("Shape", pixels, name=f"{prefix}.count", start=0, end=1)
        ones = g.weight(f"{prefix}.ones", np.array([1, 1], np.int64))
        shape = g.node("Concat", count, ones, name=f"{prefix}.token_shape", axis=0)
        token_name = g.weight(f"{prefix}.class_embedding", token)
        cls = g.node("Expand", token_name, shape, name=f"{prefix}.class_tokens")
        x = g.node("Concat", cls, x, name=f"{prefix}.tokens", axis=1)  # [n, t, h]
        positions = g.weight(f"{prefix}.positions", self._array(f"{prefix}.position_embedding.weight"))
        return g.node("Add", x, positions, name=f"{prefix}.out")

    def _attention(self, x: str, name: str) -> str:
        """Multi-head self-attention, [n, t, h] -> [n, t, h].

        Query, key and value are one product of three times the width: the input is read (and, where the
        linear quantises it, quantised) once. The factor 1 / sqrt(head width) is folded into the query; for
        the usual width of 64 it is 1/8 and the fold exact.
        """
        c, g = self._config, self._graph
        scale = np.float32((c.hidden // c.heads) ** -0.5)
        weights = [self._array(f"{name}.{part}_proj.weight").T for part in "qkv"]
        biases = [self._array(f"{name}.{part}_proj.bias") for part in "qkv"]
        weights[0], biases[0] = weights[0] * scale, biases[0] * scale
        qkv = self._linear(g, x, f"{name}.qkv", np.concatenate(weights, axis=1), np.concatenate(biases))
        split = g.weight("heads_split", np.array([0, 0, 3, c.heads, c.hidden // c.heads], np.int64))
        qkv = g.node("Reshape", qkv, split, name=f"{name}.parts")  # [n, t, 3, heads, width]
        heads = {}
        for index, part, perm in ((0, "q", (0, 2, 1, 3)), (1, "k", (0, 2, 3, 1)), (2, "v", (0, 2, 1, 3))):
            which = g.weight(f"index_{index}", np.array(index, np.int64))
            y = g.node("Gather", qkv, which, name=f"{name}.{part}", axis=2)  # [n, t, heads, width]
            heads[part] = g.node("Transpose", y, name=f"{name}.{part}_heads", perm=perm)
        scores = g.node("MatMul", heads["q"], heads["k"], name=f"{name}.scores")  # [n, heads, t, t]
        y = g.node("Softmax", scores, name=f"{name}.softmax", axis=-1)
        y = g.node("MatMul", y, heads["v"], name=f"{name}.mixed")  # [n, heads, t, width]
        y = g.node("Transpose", y, name=f"{name}.mixed_rows", perm=(0, 2, 1, 3))
        y = g.node(
            "Reshape", y, g.weight("heads_merge", np.array([0, 0, -1], np.int64)), name=f"{name}.joined"
        )
        weight = self._array(f"{name}.out_proj.weight").T
        return self._linear(g, y, f"{name}.out_proj", weight, self._array(f"{name}.out_proj.bias"))

    def _mlp(self, x: str, name: str) -> str:
        g = self._graph
        weight, bias = self._array(f"{name}.fc1.weight").T, self._array(f"{name}.fc1.bias")
        x = self._linear(g, x, f"{name}.fc1", weight, bias)
        if self._config.quick_gelu:
            slope = g.weight("quick_gelu_slope", np.array(1.702, np.float32))
            gate = g.node("Mul", x, slope, name=f"{name}.slope")
            gate = g.node("Sigmoid", gate, name=f"{name}.gate")
            x = g.node("Mul", x, gate, name=f"{name}.active")
        else:
            root = g.weight("gelu_root", np.array(2**0.5, np.float32))
            one, half = g.weight("one", np.array(1, np.float32)), g.weight("half", np.array(0.5, np.float32))
            gate = g.node("Erf", g.node("Div", x, root, name=f"{name}.rooted"), name=f"{name}.erf")
            gate = g.node("Mul", g.node("Add", gate, one, name=f"{name}.shifted"), half, name=f"{name}.gate")
            x = g.node("Mul", x, gate, name=f"{name}.active")
        weight, bias = self._array(f"{name}.fc2.weight").T, self._array(f"{name}.fc2.bias")
        return self._linear(g, x, f"{name}.fc2", weight, bias)
