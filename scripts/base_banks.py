"""Banks of concept directions that the ablations of release `base` compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base_recipe import named_concepts
from whyhere.concepts import load_bank, open_vocabulary
from whyhere.concepts._bridge import unit_rows
from whyhere.concepts._build import BuildRule, activation_vectors, standard
from whyhere.concepts._words import word_key
from whyhere.training import Grounding

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Bank:
    """Unit directions, one a column, shape (d, k), what they are called, and open maps of them if any."""

    name: str
    ids: tuple[str, ...]
    directions: Doubles
    grounding: Grounding | None = None

    def some(self, size: int, *, seed: int) -> Bank:
        """Return a random part of the bank."""
        chosen = np.random.default_rng((seed, size)).permutation(len(self.ids))[:size]
        ids = tuple(self.ids[i] for i in chosen)
        return replace(self, ids=ids, directions=self.directions[:, chosen])


def named_bank() -> Bank:
    """Return the bank of `base`."""
    ids, directions = named_concepts()
    return Bank("combined", ids, directions / np.linalg.norm(directions, axis=0))


def text_bank() -> Bank:
    """Return text directions alone, the encoder's own rows or bridged ones, of those concepts with words."""
    vocabulary, concepts = open_vocabulary(), load_bank()
    rows = {}
    for concept_id in named_concepts()[0]:
        words = [key for word in concepts.find(concept_id).words if (key := word_key(word)) in vocabulary]
        if words:
            rows[concept_id] = np.mean([vocabulary.row(word) for word in words], axis=0)
    directions = np.array(list(rows.values()), np.float64).T
    return Bank(f"text alone (k = {len(rows)})", tuple(rows), directions / np.linalg.norm(directions, axis=0))


def vector_bank(path: Path) -> Bank:
    """Return activation vectors alone, of those concepts that a teacher knows; see concept_vectors.py."""
    with np.load(path) as file:
        teacher, embeddings, scores = (file[key] for key in ("teacher", "embedding", "scores"))
    features = unit_rows(embeddings.astype(np.float64) - embeddings.mean(axis=0))
    column, standardised = {name: at for at, name in enumerate(teacher.tolist())}, standard(scores)
    concepts, targets = load_bank(), {}
    for concept_id in named_concepts()[0]:
        known = [column[name] for name in concepts.find(concept_id).teacher if name in column]
        if known:
            targets[concept_id] = standardised[:, known].mean(axis=1)
    wanted = np.array(list(targets.values())).T
    directions = activation_vectors(features, wanted - wanted.mean(axis=0), ridge=BuildRule().ridge)
    name = f"activation vectors alone (k = {len(targets)})"
    return Bank(name, tuple(targets), directions / np.linalg.norm(directions, axis=0))


def random_bank(d: int, k: int, *, seed: int) -> Bank:
    """Return directions drawn evenly from all directions: the control."""
    directions = np.random.default_rng((seed, k, 7)).standard_normal((d, k))
    ids = tuple(f"random-{number}" for number in range(k))
    return Bank(f"random {k}", ids, directions / np.linalg.norm(directions, axis=0))
