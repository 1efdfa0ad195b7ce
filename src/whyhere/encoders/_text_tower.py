"""CLIP's text tower in NumPy: from text to an embedding in the space of the image tower.

The network (Radford et al. 2021, arXiv 2103.00020, section 2.4): token and position embeddings, a causal
transformer, a final LayerNorm, and the state of the end token projected. As no token sees a later one,
nothing after the end token matters: texts are run at their own length, not padded to 77.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    @classmethod
    def of(cls, state: Mapping[str, FloatArray], heads: int, quick_gelu: bool) -> TextConfig:
        """Read the shape off the weights, which do not tell heads and activation."""
        vocabulary, hidden = state["text_model.embeddings.token_embedding.weight"].shape
        return cls(
            hidden=hidden,
            mlp=state["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
            layers=sum(name.endswith(".mlp.fc1.weight") for name in state),
            heads=heads,
            vocabulary=vocabulary,
            positions=state["text_model.embeddings.position_embedding.weight"].shape[0],
            projection=state["text_projection.weight"].shape[0],
            quick_gelu=quick_gelu,
        )


def text_weight_shapes(config: TextConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of such a tower, as in `CLIPTextModelWithProjection`."""
    h = config.hidden
    return {
        "text_model.embeddings.token_embedding.weight": (config.vocabulary, h),
        "text_model.embeddings.position_embedding.weight": (config.positions, h),
        "text_projection.weight": (config.projection, h),
    } | transformer_shapes("text_model", config.layers, h, config.mlp, ["final_layer_norm"])


def transformer_shapes(
    model: str, layers: int, hidden: int, mlp: int, norms: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    """Name and shape of the weights of a CLIP transformer's layers, and of its other normalisations."""
    shapes: dict[str, tuple[int, ...]] = {}
    names = [f"{model}.{norm}" for norm in norms]
    for layer in range(layers):
        prefix = f"{model}.encoder.layers.{layer}"
        names += [f"{prefix}.layer_norm1", f"{prefix}.layer_norm2"]
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes[f"{prefix}.self_attn.{part}.weight"] = (hidden, hidden)
            shapes[f"{prefix}.self_attn.{part}.bias"] = (hidden,)
        shapes |= {f"{prefix}.mlp.fc1.weight": (mlp, hidden), f"{prefix}.mlp.fc1.bias": (mlp,)}
        shapes |= {f"{prefix}.mlp.fc2.weight": (hidden, mlp), f"{prefix}.mlp.fc2.bias": (hidden,)}
    return shapes | {f"{name}.{part}": (hidden,) for name in names for part in ("weight", "bias")}


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
            config = TextConfig.of(state, int(about["heads"]), about["activation"] == "quick_gelu")
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


START, END = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 77
"""Tokens that CLIP's text tower has positions for, start and end included."""

_END_OF_WORD = "</w>"
_CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
# Unicode's White_Space; `str.isspace` also counts four control characters.
_SPACES = frozenset(
    map(chr, (*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F))
) | {"\u3000"}


class ClipTokenizer:
    """Turns text into token numbers. Make one with `load`.

    Unlike the original, the names of the special tokens mean nothing inside a text: they are its characters.

    Args:
        vocabulary: Number of every token; holds each of the 256 bytes, with and without the end of a word.
        merges: Pairs of tokens that are merged, the first of them first.

    Raises:
        ValueError: The vocabulary lacks a special token or a byte.
    """

    def __init__(self, vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> None:
        needed = [START, END, *(c + end for c in _BYTES for end in ("", _END_OF_WORD))]
        absent = [token for token in needed if token not in vocabulary]
        if absent:
            raise ValueError(f"the vocabulary has no token {absent[0]!r}")
        self._numbers = dict(vocabulary)
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._known: dict[str, tuple[int, ...]] = {}

    @classmethod
    def load(cls, folder: Path) -> ClipTokenizer:
        """Read the vocabulary of a model folder.

        Args:
            folder: Holds `tokenizer.json`, or `vocab.json` and `merges.txt`.

        Raises:
            MissingFileError: Neither is there, or they are not the vocabulary of a CLIP tokenizer.
        """
        whole = folder / "tokenizer.json"
        try:
            vocabulary, merges = _from_tokenizer_json(whole) if whole.is_file() else _from_pair(folder)
            return cls(vocabulary, merges)
        except FileNotFoundError as error:
            raise MissingFileError(
                f"{folder}: there is no tokenizer.json, and no vocab.json with merges.txt; they belong to "
                "the CLIP model, copy them beside its model.safetensors"
            ) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise MissingFileError(f"{folder}: not the vocabulary of a CLIP tokenizer ({error})") from error

    @property
    def size(self) -> int:
        """One more than the largest token number."""
        return max(self._numbers.values()) + 1

    def encode(self, text: str) -> NDArray[np.int64]:
        """Return the token numbers of a text, start and end token included, at most `MAX_TOKENS`.

        A longer text loses its end, as with `CLIPTokenizer(..., truncation=True)`.
        """
        numbers = [number for word in _words(_plain(text)) for number in self._word(word)]
        kept = numbers[: MAX_TOKENS - 2]
        return np.array([self._numbers[START], *kept, self._numbers[END]], np.int64)

    def _word(self, word: str) -> tuple[int, ...]:
        """Token numbers of one word: the pair of lowest rank is merged until none is left."""
        if word in self._known:
            return self._known[word]
        parts = [_BYTES[byte] for byte in word.encode("utf-8", errors="replace")]
        parts[-1] += _END_OF_WORD
        while len(parts) > 1:
            ranked = [(self._ranks[pair], pair) for pair in pairwise(parts) if pair in self._ranks]
            if not ranked:
                break
            _, best = min(ranked)
            parts = _merged(parts, best)
        numbers = tuple(self._numbers.get(part, self._numbers[END]) for part in parts)
        self._known[word] = numbers
        return numbers


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """Join every occurrence of a pair, from the left."""
    joined: list[str] = []
    at = 0
    while at < len(parts):
        if tuple(parts[at : at + 2]) == pair:
            joined.append(pair[0] + pair[1])
            at += 2
        else:
            joined.append(parts[at])
            at += 1
    return joined


def _plain(text: str) -> str:
    """Normalise: NFC, then lower case by single characters (a final sigma stays a sigma, as upstream)."""
    return "".join(c.lower() for c in unicodedata.normalize("NFC", text))


def _words(text: str) -> Iterator[str]:
    """Split at white space, and letters from single digits from runs of signs; English endings apart."""
    at = 0
    while at < len(text):
        kind = _kind(text[at])
        if kind == " ":
            at += 1
            continue
        end = next((at + len(e) for e in _CONTRACTIONS if text.startswith(e, at)), at + 1)
        if end == at + 1 and kind != "N":
            while end < len(text) and _kind(text[end]) == kind:
                end += 1
        yield text[at:end]
        at = end


def _kind(character: str) -> str:
    """Tell letters ("L") from digits ("N"), white space (" ") and everything else ("")."""
    if character in _SPACES:
        return " "
    category = unicodedata.category(character)[0]
    return category if category in "LN" else ""


def _byte_letters() -> dict[int, str]:
    """A printable character for every byte: itself where it is one, else the next beyond Latin-1."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(256 + index) for index, byte in enumerate(others)
    }


_LETTER_OF = _byte_letters()
_BYTES = tuple(_LETTER_OF[byte] for byte in range(256))


def _from_tokenizer_json(path: Path) -> tuple[Mapping[str, int], list[tuple[str, str]]]:
    data: Any = json.loads(path.read_text(encoding="utf-8"))
    model = data["model"]
    if model["end_of_word_suffix"] != _END_OF_WORD:
        raise ValueError("its words do not end in </w>")
    special = {token["content"]: int(token["id"]) for token in data.get("added_tokens", ())}
    return {**special, **model["vocab"]}, [_pair(merge) for merge in model["merges"]]


def _from_pair(folder: Path) -> tuple[Mapping[str, int], list[tuple[str, str]]]:
    vocabulary: Any = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    lines = lines[1:] if lines[0].startswith("#version") else lines
    return dict(vocabulary), [_pair(line) for line in lines if line.strip()]


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    first, second = merge.split() if isinstance(merge, str) else merge
    return first, second
