"""CLIP's text tower in NumPy: from text to an embedding in the space of the image tower.

The network (Radford et al. 2021, arXiv 2103.00020, section 2.4): token and position embeddings, a causal
transformer, a final LayerNorm, and the state of the end token projected. As no token sees a later one,
nothing after the end token matters: texts are run at their own length, not padded to 77.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders._tokenizer import MAX_TOKENS, ClipTokenizer
from whyhere.errors import MissingFileError

FloatArray = NDArray[np.float32]

WEIGHTS = "text_tower.safetensors"
_BATCH = 32  # texts of equal length at once: enough rows to keep the processor busy
_EPSILON = np.float32(1e-5)


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Shape of a CLIP text transformer.

    Attributes:
        hidden: Width of a token.
        mlp: Width inside the perceptron.
        layers: Number of transformer layers.
        heads: Attention heads per layer.
        vocabulary: Number of tokens known.
        positions: Number of positions known.
        projection: Width of the embedding.
        quick_gelu: The activation is x * sigmoid(1.702 x), as in OpenAI's weights; otherwise the exact GELU.
    """

    hidden: int
    mlp: int
    layers: int
    heads: int
    vocabulary: int
    positions: int
    projection: int
    quick_gelu: bool = True


def text_weight_shapes(config: TextConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of such a tower, as in `CLIPTextModelWithProjection`."""
    h, m = config.hidden, config.mlp
    shapes: dict[str, tuple[int, ...]] = {
        "text_model.embeddings.token_embedding.weight": (config.vocabulary, h),
        "text_model.embeddings.position_embedding.weight": (config.positions, h),
        "text_projection.weight": (config.projection, h),
    }
    norms = ["text_model.final_layer_norm"]
    for layer in range(config.layers):
        prefix = f"text_model.encoder.layers.{layer}"
        norms += [f"{prefix}.layer_norm1", f"{prefix}.layer_norm2"]
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= {f"{prefix}.self_attn.{part}.weight": (h, h), f"{prefix}.self_attn.{part}.bias": (h,)}
        shapes |= {f"{prefix}.mlp.fc1.weight": (m, h), f"{prefix}.mlp.fc1.bias": (m,)}
        shapes |= {f"{prefix}.mlp.fc2.weight": (h, m), f"{prefix}.mlp.fc2.bias": (h,)}
    return shapes | {f"{norm}.{part}": (h,) for norm in norms for part in ("weight", "bias")}


class TextTower:
    """A CLIP text tower with its tokenizer. Make one with `load`.

    Args:
        config: The tower's shape.
        state: The weights, float32, as `text_weight_shapes` lists them.
        tokenizer: Its tokenizer.

    Raises:
        ValueError: A weight is missing, of another shape, or not finite, or the tokenizer knows more tokens.
    """

    def __init__(self, config: TextConfig, state: Mapping[str, FloatArray], tokenizer: ClipTokenizer) -> None:
        for name, shape in text_weight_shapes(config).items():
            found = state[name].shape if name in state else None
            if found != shape:
                raise ValueError(f"weight {name}: expected {shape}, found {found}")
            if not np.isfinite(state[name]).all():
                raise ValueError(f"weight {name} has numbers that are not finite")
        if tokenizer.size > config.vocabulary or config.positions < MAX_TOKENS:
            raise ValueError(
                f"the tokenizer has {tokenizer.size} tokens and {MAX_TOKENS} positions, the tower "
                f"{config.vocabulary} and {config.positions}"
            )
        self._config, self._state, self._tokenizer = config, state, tokenizer

    @classmethod
    def load(cls, folder: Path) -> TextTower:
        """Read a text tower.

        Args:
            folder: Holds `text_tower.safetensors`, as `export_text_tower` writes it, and the vocabulary.

        Raises:
            MissingFileError: A file is missing, damaged or of another model.
        """
        from safetensors import SafetensorError, safe_open

        path = folder / WEIGHTS
        if not path.is_file():
            raise MissingFileError(
                f"{path}: the text tower is missing; run `whyhere releases fetch geoclip-l14`"
            )
        try:
            with safe_open(path, framework="numpy") as file:
                about = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            config = TextConfig(
                hidden=state["text_model.final_layer_norm.weight"].shape[0],
                mlp=state["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
                layers=sum(name.endswith(".mlp.fc1.weight") for name in state),
                heads=int(about["heads"]),
                vocabulary=state["text_model.embeddings.token_embedding.weight"].shape[0],
                positions=state["text_model.embeddings.position_embedding.weight"].shape[0],
                projection=state["text_projection.weight"].shape[0],
                quick_gelu=about["activation"] == "quick_gelu",
            )
            return cls(config, state, ClipTokenizer.load(folder))
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise MissingFileError(
                f"{path}: not a text tower of whyhere ({error}); "
                "run `whyhere releases fetch geoclip-l14 --force`"
            ) from error

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self._config.projection

    def embed(
        self, texts: Sequence[str], *, progress: Callable[[int, int], None] | None = None
    ) -> FloatArray:
        """Embed texts.

        The last bits of an embedding (below 1e-5) may depend on the other texts of the call.

        Args:
            texts: The texts; beyond 77 tokens they are cut.
            progress: Called with texts done and texts in all.

        Returns:
            Embeddings as the tower gives them, not of unit length; float32 [n, dim].
        """
        embeddings = np.empty((len(texts), self.dim), np.float32)
        tokens = [self._tokenizer.encode(text) for text in texts]
        by_length: dict[int, list[int]] = defaultdict(list)
        for row, numbers in enumerate(tokens):
            by_length[len(numbers)].append(row)
        done = 0
        for rows in by_length.values():
            for start in range(0, len(rows), _BATCH):
                batch = rows[start : start + _BATCH]
                embeddings[batch] = self._run(np.stack([tokens[row] for row in batch]))
                done += len(batch)
                if progress is not None:
                    progress(done, len(texts))
        return embeddings

    def _run(self, tokens: NDArray[np.int64]) -> FloatArray:
        """Token numbers [n, t], each row ending in the end token, to embeddings [n, projection]."""
        w, count = self._state, tokens.shape[1]
        x = w["text_model.embeddings.token_embedding.weight"][tokens]
        x = x + w["text_model.embeddings.position_embedding.weight"][:count]  # [n, t, h]
        later = np.triu(np.full((count, count), -np.inf, np.float32), 1)
        for layer in range(self._config.layers):
            prefix = f"text_model.encoder.layers.{layer}"
            x = x + self._attention(self._norm(x, f"{prefix}.layer_norm1"), f"{prefix}.self_attn", later)
            y = self._linear(self._norm(x, f"{prefix}.layer_norm2"), f"{prefix}.mlp.fc1")
            x = x + self._linear(self._activation(y), f"{prefix}.mlp.fc2")
        last: FloatArray = self._norm(x[:, -1], "text_model.final_layer_norm")
        return last @ w["text_projection.weight"].T

    def _attention(self, x: FloatArray, name: str, mask: FloatArray) -> FloatArray:
        """Masked multi-head self-attention, [n, t, h] -> [n, t, h]."""
        n, t, h = x.shape
        heads = self._config.heads

        def split(part: str) -> FloatArray:
            y = self._linear(x, f"{name}.{part}_proj").reshape(n, t, heads, h // heads)
            return y.transpose(0, 2, 1, 3)  # [n, heads, t, width]

        scores = split("q") @ split("k").transpose(0, 1, 3, 2) * np.float32((h // heads) ** -0.5) + mask
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ split("v")).transpose(0, 2, 1, 3).reshape(n, t, h)
        return self._linear(mixed, f"{name}.out_proj")

    def _linear(self, x: FloatArray, name: str) -> FloatArray:
        w = self._state[f"{name}.weight"]
        flat = x.reshape(-1, x.shape[-1]) @ w.T + self._state[f"{name}.bias"]
        return flat.reshape(*x.shape[:-1], w.shape[0])

    def _norm(self, x: FloatArray, name: str) -> FloatArray:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        scaled: FloatArray = centred / np.sqrt(variance + _EPSILON)
        return scaled * self._state[f"{name}.weight"] + self._state[f"{name}.bias"]

    def _activation(self, x: FloatArray) -> FloatArray:
        if self._config.quick_gelu:
            quick: FloatArray = x / (1 + np.exp(np.float32(-1.702) * x))
            return quick
        return 0.5 * x * (1 + np.asarray(_erf(x * np.float32(0.5**0.5)), np.float32))


_erf = np.frompyfunc(math.erf, 1, 1)  # NumPy has none; only towers other than OpenAI's need it
