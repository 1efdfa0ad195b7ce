"""Exports the towers of a CLIP model folder to the files that whyhere runs, once, on the user's machine.

A model folder is what the Hugging Face hub holds for a CLIP model: `model.safetensors`, `config.json`, and
the vocabulary. The shape of a tower is read off its weights; the configuration says only what weights cannot:
attention heads and activation.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders._onnx_graph import GraphBuilder
from whyhere.encoders._onnx_vit import ClipViTBuilder, FloatArray, ViTConfig, float_linear
from whyhere.encoders._text_tower import WEIGHTS, TextConfig, TextTower, text_weight_shapes
from whyhere.encoders._tokenizer import ClipTokenizer
from whyhere.errors import MissingFileError

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
        config = source.build(lambda: _text_config(state, source))
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


def _text_config(state: Mapping[str, FloatArray], source: _Source) -> TextConfig:
    heads, quick_gelu = _common(source)
    vocabulary, hidden = state["text_model.embeddings.token_embedding.weight"].shape
    return TextConfig(
        hidden=hidden,
        mlp=state["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        layers=sum(name.endswith(".mlp.fc1.weight") for name in state),
        heads=heads,
        vocabulary=vocabulary,
        positions=state["text_model.embeddings.position_embedding.weight"].shape[0],
        projection=state["text_projection.weight"].shape[0],
        quick_gelu=quick_gelu,
    )
