"""Which concepts a run trains with, and their directions E in the space of its image tower."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyhere.concepts import ConceptLabel, load_bank, load_directions, read_labels
from whyhere.errors import UsageError
from whyhere.releases import Release, load_text_tower
from whyhere.training._config import TrainConfig

SHIPPED_TOWER = "clip-vit-b16"
"""The tower that whyhere ships directions for."""


def concept_directions(
    start: Release, config: TrainConfig
) -> tuple[tuple[ConceptLabel, ...], NDArray[np.float32]]:
    """Return concepts and directions.

    The first of: `config.directions`, which may be those of a user's own bank (`whyhere concepts build`);
    those that a trained release (kind "caam") has; those that ship with whyhere for the tower; the prompts of
    the bank through the release's text tower (unit text embeddings averaged by concept, minus the mean over
    concepts, which is what all texts share); whatever the release calls directions. Of the shipped ones those
    that the release shows are taken.

    Args:
        start: The release whose image tower is used.
        config: Choices of the run.

    Returns:
        Labels of the k concepts, and E, unit columns, float32, shape (d, k).

    Raises:
        MissingFileError: There are none for the release's image tower.
        UsageError: They belong to another tower or bank.
    """
    tower = start.config.image_tower.asset or None
    kind = start.config.alignment.get("kind")
    if not config.directions:
        own = _own(start)
        if own is not None and (kind == "caam" or (tower != SHIPPED_TOWER and not start.config.text_tower)):
            return own
        if tower != SHIPPED_TOWER and start.config.text_tower is not None:
            return _from_texts(start)
    found = load_directions(config.directions or None, tower=start.config.image_tower.asset or None)
    bank = found.bank or load_bank()
    if not found.ids:
        raise UsageError(f"{config.directions}: every concept is weak; see `whyhere concepts check`")
    # A bank of one's own is there to be trained with, whatever the release calls its concepts.
    ids = found.ids if found.bank is not None else _shown(start, found.ids)
    columns = [found.ids.index(concept_id) for concept_id in ids]
    sources = {entry.id: entry.source for entry in found.concepts}
    by_id = {concept.id: concept for concept in bank}
    labels = tuple(
        ConceptLabel(c.id, c.name, c.group, c.definition, sources[c.id])
        for c in (by_id[concept_id] for concept_id in ids)  # a name may be another concept's synonym
    )
    return labels, np.ascontiguousarray(found.directions[columns].T, np.float32)


def _shown(start: Release, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the concepts that the release shows, of those known; all of them where it shows none of them."""
    labels = start.directory / "concepts.json"
    shown = {label.id for label in read_labels(labels)} if labels.is_file() else set()
    return tuple(concept_id for concept_id in known if concept_id in shown) or known


def _own(start: Release) -> tuple[tuple[ConceptLabel, ...], NDArray[np.float32]] | None:
    """Return what the release's own weights hold."""
    weights = start.directory / "model.safetensors"
    if not weights.is_file():
        return None
    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as file:
        if "directions" not in file.keys():  # noqa: SIM118 - no mapping
            return None
        return read_labels(start.directory / "concepts.json"), file.get_tensor("directions")


def _from_texts(start: Release) -> tuple[tuple[ConceptLabel, ...], NDArray[np.float32]]:
    bank = load_bank()
    texts = [[t.format(prompt) for prompt in c.prompts for t in bank.templates] for c in bank]
    rows = load_text_tower(start).embed([text for group in texts for text in group])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    ends = np.cumsum([len(group) for group in texts])[:-1]
    means = np.stack([part.mean(axis=0) for part in np.split(rows, ends)])
    means -= means.mean(axis=0)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    labels = tuple(ConceptLabel(c.id, c.name, c.group, c.definition, "text") for c in bank)
    return labels, np.ascontiguousarray(means.T, np.float32)
