"""CLIP's tokenizer: lower-cased text to byte-pair tokens, from the vocabulary that comes with the weights.

The algorithm is that of OpenAI's CLIP (Radford et al. 2021, arXiv 2103.00020; byte-pair encoding after
Sennrich et al. 2016, arXiv 1508.07909) as `CLIPTokenizer` of the `transformers` package runs it: NFC, lower
case, words split from digits and signs at white space, bytes written as letters, pairs merged by rank.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError

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
