"""What a user's concepts say in words: rows from a text tower, or from the offline vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.concepts._bank import Concept, ConceptBank
from whyhere.concepts._bridge import unit_rows
from whyhere.concepts._read_bank import load_bank
from whyhere.concepts._vocabulary import Vocabulary
from whyhere.errors import UsageError

Array = NDArray[np.float64]

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""A text tower: texts to embeddings of any length, [n, d], in the space of the image tower."""

LEAST_SAME_SPACE = 0.3
"""Mean cosine to known rows below which a text tower belongs to another model; ViT-B/32 has -.01."""


@dataclass(frozen=True, slots=True)
class Said:
    """The text side of one concept.

    Attributes:
        row: Unit centred direction, [d]; None where nothing is known.
        source: "text-tower", "text-row", "bridged-text" or "none".
        words: What was averaged.
        unknown: Words that are not known; their phrases count for nothing.
        expected: Expected cosine to the encoder's own row; None without a row.
    """

    row: Array | None
    source: str
    words: tuple[str, ...]
    unknown: tuple[str, ...]
    expected: float | None


NOTHING = Said(None, "none", (), (), None)


def said_by_tower(
    bank: ConceptBank, encode: Encode, vocabulary: Vocabulary | None
) -> tuple[tuple[Said, ...], Array, float | None]:
    """Encode the prompts of a bank, each in each template; unit embeddings are averaged by concept.

    What is taken off is the mean of texts on many subjects, the names in the shipped bank, and not that of
    the bank itself: with two concepts that would make each the opposite of the other.

    Args:
        bank: The bank.
        encode: The text tower.
        vocabulary: Rows of the same embedding space, if there are any, to check the text tower against.

    Returns:
        What each concept says; the mean text row, [d]; and the mean cosine to the known rows, None without.

    Raises:
        UsageError: The text tower belongs to another model than the vocabulary.
    """
    prompts = [[template.replace("{}", p) for p in c.prompts for template in bank.templates] for c in bank]
    common = [f"a photo of {concept.name}." for concept in load_bank()]
    known = () if vocabulary is None else vocabulary.words[: len(vocabulary.own)]
    checks = [f"a photo of {word}." for word in known]
    rows = np.asarray(encode([text for group in (common, checks, *prompts) for text in group]), np.float64)
    rows = unit_rows(rows)
    mean = rows[: len(common)].mean(axis=0)
    same = None
    if vocabulary is not None:
        if rows.shape[1] != vocabulary.mean.size:
            raise UsageError(
                f"the text tower gives embeddings of width {rows.shape[1]}, the image tower "
                f"{vocabulary.tower} of width {vocabulary.mean.size}: they are not from one model"
            )
        spoken = rows[len(common) : len(common) + len(checks)]
        true = np.stack([vocabulary.row(word) for word in known])
        # Each centred by itself: prompts differ from those of the true rows by what all texts share.
        pairs = unit_rows(spoken - spoken.mean(axis=0)) * unit_rows(true - true.mean(axis=0))
        same = float(pairs.sum(axis=1).mean())
        if same < LEAST_SAME_SPACE:
            raise UsageError(
                f"the text tower does not belong to the image tower {vocabulary.tower}: its rows of "
                f"{len(known)} known words agree with the true ones at a mean cosine of {same:.2f} "
                f"(at least {LEAST_SAME_SPACE} is expected); check --text-tower"
            )
    said, at = [], len(common) + len(checks)
    for concept, texts in zip(bank, prompts, strict=True):
        row = unit_rows(rows[at : at + len(texts)].mean(axis=0) - mean)
        at += len(texts)
        said.append(Said(row, "text-tower", concept.prompts, (), 1.0))
    return tuple(said), mean, same


def said_by_vocabulary(concept: Concept, vocabulary: Vocabulary) -> Said:
    """Average the known words of a concept, or of its name where it gives none.

    A phrase of which a word is unknown counts for nothing: "torii gate" would else mean any gate.
    """
    rows: list[Array] = []
    words: list[str] = []
    unknown: list[str] = []
    for phrase in concept.words or (concept.name,):
        known, missing = vocabulary.match(phrase)
        unknown += list(missing) if known or missing else [phrase]
        if known and not missing:
            rows.append(vocabulary.direction(phrase).vector.astype(np.float64))
            words += known
    if not rows:
        return Said(None, "none", (), tuple(dict.fromkeys(unknown)), None)
    bridged = any(vocabulary.is_bridged(word) for word in words)
    return Said(
        row=unit_rows(np.mean(rows, axis=0)),
        source="bridged-text" if bridged else "text-row",
        words=tuple(dict.fromkeys(words)),
        unknown=tuple(dict.fromkeys(unknown)),
        expected=float(np.mean([vocabulary.expected_cosine(word) for word in words])),
    )
