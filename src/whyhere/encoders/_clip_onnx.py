"""Builds the ONNX graph of a CLIP vision transformer from its weights.

The weights are named as in Hugging Face's `CLIPVisionModelWithProjection`, so the same code serves the
converted int8 file (ViT-B/16) and any CLIP tower that comes as safetensors (ViT-L/14).

The network (Radford et al. 2021, arXiv 2103.00020; Dosovitskiy et al. 2021, arXiv 2010.11929): patches by a
convolution, a class token, learned positions, LayerNorm, then per layer attention and a two-layer
perceptron, both pre-norm with residuals; the class token's last state, normalised and projected, is the
image embedding.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders import _onnx as fmt
from whyhere.encoders._onnx import GraphBuilder
from whyhere.encoders._text_tower import (
    WEIGHTS,
    ClipTokenizer,
    TextConfig,
    TextTower,
    text_weight_shapes,
    transformer_shapes,
)
from whyhere.errors import MissingFileError

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
    h = config.hidden
    norms = ["pre_layrnorm", "post_layernorm"]  # the first is misspelt upstream
    return {
        "vision_model.embeddings.class_embedding": (h,),
        "vision_model.embeddings.patch_embedding.weight": (h, 3, config.patch, config.patch),
        "vision_model.embeddings.position_embedding.weight": (config.tokens, h),
        "visual_projection.weight": (config.projection, h),
    } | transformer_shapes("vision_model", config.layers, h, config.mlp, norms)


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


_SUFFIX = "/MatMul_quant"  # of the name of every quantised product, after the path of its layer


def convert_clip_int8(source: Path, target: Path, *, config: ViTConfig = VIT_B_16) -> None:
    """Undo the quantisation of an int8 CLIP vision tower and write it as a float32 graph.

    The source quantises its activations while it runs, with one scale for the whole batch, so that a photo's
    embedding would depend on its neighbours. Its weights, one scale per output channel, are as good as
    float ones: W = (q - zero point) * scale. The same source gives the same bytes.

    Args:
        source: ONNX file as onnxruntime's dynamic quantiser makes it from `CLIPVisionModelWithProjection`.
        target: File to write; the large weights go beside it, with suffix `.weights`.
        config: The architecture that the source must have.

    Raises:
        MissingFileError: The source is missing, damaged, or anything but such a tower.
    """
    model = fmt.read_model(source)
    try:
        _check_architecture(model.graph, config)
        _write(float_weights(model.graph), target, config)
    except (KeyError, ValueError) as error:
        raise MissingFileError(
            f"{source}: not the int8 CLIP vision tower that was expected ({error}); "
            "fetch it again with `whyhere releases fetch base --force`"
        ) from error


def convert_clip_safetensors(source: Path, target: Path, *, config: ViTConfig = VIT_B_16) -> None:
    """Write the vision tower of a transformers-style CLIP checkpoint as a float32 graph.

    Args:
        source: Safetensors file with the weights of `CLIPVisionModelWithProjection`; those of a text tower,
            as in `CLIPModel`, may be in it and are left out.
        target: File to write; the large weights go beside it, with suffix `.weights`.
        config: The architecture that the source must have.

    Raises:
        MissingFileError: The source is missing, damaged, or lacks a weight of such a tower.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(source)
        wanted = {name: array for name, array in tensors.items() if _of_vision_tower(name)}
        _write(wanted, target, config)
    except FileNotFoundError:
        raise MissingFileError(f"{source}: there is no such file (looked for CLIP weights)") from None
    except (SafetensorError, ValueError) as error:
        raise MissingFileError(f"{source}: not the CLIP weights that were expected ({error})") from error


def _of_vision_tower(name: str) -> bool:
    # position_ids is no weight: 0, 1, 2, ..., which older versions of transformers used to store
    return name.startswith(("vision_model.", "visual_projection.")) and not name.endswith("position_ids")


def _write(state: Mapping[str, NDArray[Any]], target: Path, config: ViTConfig) -> None:
    ClipViTBuilder(config, state).build().write(target)


def _check_architecture(graph: fmt.Message, config: ViTConfig) -> None:
    """Refuse a graph that computes something else from weights of the same names and shapes."""
    shape = tuple(d.dim_value for d in graph.input[0].type.tensor_type.shape.dim)
    if len(graph.input) != 1 or shape[1:] != (3, config.image_size, config.image_size):
        raise ValueError(f"its input has shape {shape}")
    counts = Counter(node.op_type for node in graph.node)
    expected = {
        "Conv": 1,
        "Softmax": config.layers,
        "Sigmoid": config.layers if config.quick_gelu else 0,
        "MatMulInteger": 6 * config.layers + 1,
        "Gemm": 0,
    }
    for op, count in expected.items():
        if counts[op] != count:
            raise ValueError(f"{counts[op]} {op} nodes instead of {count}")
    constants = {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    widths = {c.item() for c in map(fmt.to_array, constants.values()) if c.dtype == np.int64 and c.size == 1}
    if not {config.heads, config.hidden // config.heads} <= widths:
        raise ValueError(f"no sign of {config.heads} attention heads")


def float_weights(graph: fmt.Message) -> dict[str, NDArray[Any]]:
    """The weights of an int8 tower under transformers' names, linear layers as [out, in].

    Args:
        graph: GraphProto of the int8 file.

    Raises:
        KeyError: A matrix lacks its scale or zero point.
        ValueError: A matrix or a node is not laid out as the quantiser does it.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    weights = {
        name: fmt.to_array(tensor)
        for name, tensor in tensors.items()
        if name.startswith("vision_model.") and tensor.data_type == fmt.FLOAT
    }
    for node in graph.node:
        if node.op_type != "MatMulInteger":
            continue
        base = node.input[1].removesuffix("_quantized")
        if base == node.input[1] or not node.name.endswith(_SUFFIX):
            raise ValueError(f"node {node.name} multiplies by {node.input[1]}")
        quantised, scale, zero_point = (
            fmt.to_array(tensors[base + part]) for part in ("_quantized", "_scale", "_zero_point")
        )
        if quantised.ndim != 2 or scale.shape not in ((), quantised.shape[1:]):
            raise ValueError(f"weights of node {node.name} are {quantised.shape}, their scale {scale.shape}")
        layer = node.name.removesuffix(_SUFFIX).lstrip("/").replace("/", ".")
        centred = quantised.astype(np.float32) - zero_point.astype(np.float32)
        weights[f"{layer}.weight"] = (centred * scale).T
    return weights


_T = TypeVar("_T")
Weights = Literal["float32", "8-bit"]
WEIGHT_KINDS: tuple[Weights, ...] = ("float32", "8-bit")
"""How the matrices of an exported image tower are stored."""

VOCABULARY_FILES = ("tokenizer.json", "vocab.json", "merges.txt")
_BLOCK = 64  # weights that share one scale
_EPSILON = 1e-5
_HEADS = {"vision": 12, "text": 8}  # what transformers assumes where a configuration is silent


def export_image_tower(folder: Path, target: Path, *, weights: Weights = "float32") -> ViTConfig:
    """Write the image tower of a CLIP model folder as ONNX; large weights go beside it, suffix `.weights`.

    With "8-bit" the matrices of the layers take a quarter of the space, rounded to 8 bits with one scale per
    64 weights; activations stay float32, so that a photo's embedding still depends on no other photo.

    Args:
        folder: The model folder.
        target: File to write.
        weights: "float32" or "8-bit".

    Returns:
        The shape of the tower.

    Raises:
        MissingFileError: A file is missing or damaged, or the model is no CLIP model.
    """
    with _Source(folder, "vision") as source:
        state = source.tensors("vision_model.", "visual_projection.")
        config = source.build(lambda: _vision_config(state, source))
        linear = float_linear if weights == "float32" else weight_only_8bit
        source.build(lambda: ClipViTBuilder(config, state, linear=linear).build().write(target))
    return config


def export_text_tower(folder: Path, target: Path) -> TextConfig:
    """Write the text tower of a CLIP model folder for `TextTower.load`, with its vocabulary.

    Args:
        folder: The model folder.
        target: Directory to write `text_tower.safetensors` and the vocabulary to.

    Returns:
        The shape of the tower.

    Raises:
        MissingFileError: A file is missing or damaged, or the model is no CLIP model.
    """
    from safetensors.numpy import save

    with _Source(folder, "text") as source:
        state = source.tensors("text_model.", "text_projection.")
        config = source.build(lambda: TextConfig.of(state, *_common(source)))
        tokenizer = ClipTokenizer.load(folder)
        wanted = {name: state[name] for name in text_weight_shapes(config) if name in state}
        source.build(lambda: TextTower(config, wanted, tokenizer))
    about = {"heads": str(config.heads), "activation": "quick_gelu" if config.quick_gelu else "gelu"}
    (target / WEIGHTS).write_bytes(save(wanted, metadata=about))
    for name in VOCABULARY_FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    return config


def weight_only_8bit(graph: GraphBuilder, x: str, name: str, weight: FloatArray, bias: FloatArray) -> str:
    """Add y = x W + b with W in 8 bits, one scale per block of inputs, and x as it is.

    onnxruntime's `MatMulNBits` stores W [k, n] as [n, blocks, block] around the zero point 128.
    """
    k, n = weight.shape
    blocks = -(-k // _BLOCK)
    padded = np.zeros((n, blocks * _BLOCK), np.float32)
    padded[:, :k] = weight.T
    parts = padded.reshape(n, blocks, _BLOCK)
    scales = np.maximum(np.abs(parts).max(axis=2) / 127, 1e-12).astype(np.float32)
    numbers = (np.rint(parts / scales[:, :, None]) + 128).astype(np.uint8)
    y = graph.node(
        "MatMulNBits",
        x,
        graph.weight(f"{name}.numbers", numbers),
        graph.weight(f"{name}.scales", scales),
        name=f"{name}.product",
        domain="com.microsoft",
        K=k,
        N=n,
        bits=8,
        block_size=_BLOCK,
        accuracy_level=1,  # products in float32: activations are not quantised
    )
    return graph.node("Add", y, graph.weight(f"{name}.bias", bias), name=name)


class _Source:
    """The files of a model folder, open; every fault becomes an error that names the folder."""

    def __init__(self, folder: Path, tower: str) -> None:
        self.folder, self.tower = folder, tower
        self._weights = folder / "model.safetensors"
        self.settings = _settings(folder, tower)

    def __enter__(self) -> _Source:
        from safetensors import SafetensorError, safe_open

        if not self._weights.is_file():
            raise MissingFileError(
                f"{self._weights}: there is no such file; a CLIP model folder holds model.safetensors, "
                "config.json and tokenizer.json (or vocab.json and merges.txt)"
            )
        try:
            self._file: Any = safe_open(self._weights, framework="numpy")  # has no type information
        except (SafetensorError, OSError) as error:
            raise MissingFileError(f"{self._weights}: damaged, or no safetensors file ({error})") from error
        return self

    def __exit__(self, *error: object) -> None:
        del self._file  # ends the mapping of the file into memory

    def tensors(self, *prefixes: str) -> dict[str, FloatArray]:
        """The weights under these names as float32; position_ids, 0, 1, 2, ..., are no weights."""
        names = [
            name
            for name in self._file.keys()  # noqa: SIM118 - no dictionary
            if name.startswith(prefixes) and not name.endswith("position_ids")
        ]
        return self.build(lambda: {name: _float32(self._file.get_tensor(name)) for name in names})

    def build(self, make: Callable[[], _T]) -> _T:
        """Run `make`; what it finds wrong with the weights is told with the file's name."""
        from safetensors import SafetensorError

        try:
            return make()
        except (KeyError, ValueError, TypeError, SafetensorError) as error:
            raise MissingFileError(
                f"{self._weights}: not the {self.tower} tower of a CLIP model ({error})"
            ) from error


def _float32(array: NDArray[Any]) -> FloatArray:
    if array.dtype not in (np.float32, np.float16):
        raise ValueError(f"weights of type {array.dtype}; save the model as float32 or float16")
    return array.astype(np.float32, copy=False)


def _settings(folder: Path, tower: str) -> Mapping[str, Any]:
    """The section of `config.json` about one tower, as transformers reads it."""
    path = folder / "config.json"
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(
            f"{path}: there is no such file; it belongs to the CLIP model, copy it beside model.safetensors"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise MissingFileError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(config, dict) or not str(config.get("model_type", "")).startswith("clip"):
        raise MissingFileError(f"{path}: model_type is not clip; other towers need an ONNX file of their own")
    # Older files have the section twice; transformers lets the one with "_dict" win.
    sections = (config.get(f"{tower}_config"), config.get(f"{tower}_config_dict"))
    settings: dict[str, Any] = {} if any(map(isinstance, sections, (dict, dict))) else dict(config)
    for section in sections:
        settings |= section if isinstance(section, dict) else {}
    return settings


def _common(source: _Source) -> tuple[int, bool]:
    """Attention heads, and whether the activation is the quick GELU."""
    settings = source.settings
    activation = settings.get("hidden_act", "quick_gelu")
    if activation not in ("quick_gelu", "gelu"):
        raise ValueError(f"its activation is {activation}, known are quick_gelu and gelu")
    if not math.isclose(settings.get("layer_norm_eps", _EPSILON), _EPSILON):
        raise ValueError(f"layer_norm_eps is {settings['layer_norm_eps']} instead of {_EPSILON}")
    return int(settings.get("num_attention_heads", _HEADS[source.tower])), activation == "quick_gelu"


def _vision_config(state: Mapping[str, FloatArray], source: _Source) -> ViTConfig:
    heads, quick_gelu = _common(source)
    patch = state["vision_model.embeddings.patch_embedding.weight"].shape[2]
    positions, hidden = state["vision_model.embeddings.position_embedding.weight"].shape
    return ViTConfig(
        hidden=hidden,
        mlp=state["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        layers=sum(name.endswith(".mlp.fc1.weight") for name in state),
        heads=heads,
        patch=patch,
        image_size=math.isqrt(positions - 1) * patch,
        projection=state["visual_projection.weight"].shape[0],
        quick_gelu=quick_gelu,
    )
