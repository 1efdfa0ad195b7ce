"""Alignments whose concepts have learned from open maps, tested on maps that they have not learned from.

A closed-form alignment may take part of a concept's direction from an open reference. Lines 2 and 4 then test
it with the very maps that it was taught, which proves little; so they test it where it was not taught: the
Earth is cut into parts, and each part is answered by the alignment taught on the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Alignment, LinearAlignment, PhotoCodeAlignment
from whyhere.evaluation.faithfulness._derange import derangements
from whyhere.evaluation.faithfulness._study import Floats, Study

if TYPE_CHECKING:
    from whyhere.training import Grounding

MAP_PARTS = 10
HALVES = 2

Mask = NDArray[np.bool_]


def grounded_columns(alignment: Alignment) -> NDArray[np.intp]:
    """Return the concepts that have learned from open maps, as columns; none for most kinds."""
    return np.flatnonzero([concept_id in alignment.grounded for concept_id in alignment.concept_ids])


def dealt_maps(alignment: Alignment, draws: int, *, seed: int) -> tuple[Alignment, ...]:
    """Give each concept that has a map the map of another, `draws` times; nothing for fewer than two."""
    columns = grounded_columns(alignment)
    if len(columns) < 2:
        return ()
    assert isinstance(alignment, (LinearAlignment, PhotoCodeAlignment))
    dealt: list[Alignment] = []
    for order in derangements(len(columns), draws, seed=seed):
        grounding = alignment.grounding.copy()
        grounding[:, columns] = alignment.grounding[:, columns[order]]
        dealt.append(replace(alignment, grounding=grounding))
    return tuple(dealt)


def without_maps(alignment: Alignment) -> Alignment:
    """Return the alignment as photos alone teach it."""
    if not isinstance(alignment, (LinearAlignment, PhotoCodeAlignment)):
        return alignment
    return replace(alignment, grounding=np.zeros_like(alignment.grounding))


class Regrounded:
    """Teaches alignments their maps anew, without some parts of the Earth.

    Args:
        study: Its release says which concepts learn from maps.
        seed: Seed of the parts: blocks of about ten degrees are dealt out to them.
    """

    def __init__(self, study: Study, *, seed: int) -> None:
        from whyhere.references import cell_table
        from whyhere.training import Grounding

        self._study, self._seed = study, seed
        self._columns = grounded_columns(study.release)
        self._ids = tuple(study.release.concept_ids[column] for column in self._columns)
        self._maps: Grounding = Grounding.build(study.gallery, self._ids)
        self._cell = cell_table(study.gallery.lat, study.gallery.lon).cell
        self._kept: dict[bytes, Floats] = {}

    def parts(self, count: int) -> NDArray[np.intp]:
        """Return the part of every cell of the maps, 0 to `count` - 1."""
        dealt = np.arange(int(self._maps.blocks.max()) + 1) % count
        part: NDArray[np.intp] = np.random.default_rng(self._seed).permutation(dealt)[self._maps.blocks]
        return part

    def places(self, held: Mask) -> Mask:
        """Return which places of the gallery lie in some cells of the maps."""
        inside: Mask = held[self._cell]
        return inside

    def cells(self, held: Mask) -> Mask:
        """Return which cells of the study lie there: those whose first place does."""
        _, first = np.unique(self._study.cells.cell_of_point, return_index=True)
        inside: Mask = self.places(held)[first]
        return inside

    def without(self, alignment: Alignment, held: Mask) -> LinearAlignment | PhotoCodeAlignment:
        """Return the alignment, its maps taught without some cells.

        The maps are centred as those of the release, whatever the alignment: the means of two folds differ by
        little, and one regression then serves all folds.
        """
        assert isinstance(alignment, (LinearAlignment, PhotoCodeAlignment))
        key = held.tobytes()
        if key not in self._kept:
            release: Any = self._study.release
            found = self._maps.directions(self._ids, release.location_mean.astype(np.float64), among=~held)
            grounding = np.zeros_like(alignment.grounding)
            # As long as those of the release: unit length, or a part of the length of its columns.
            lengths = np.linalg.norm(release.grounding[:, self._columns], axis=0)
            grounding[:, self._columns] = found * lengths
            self._kept[key] = grounding
        return replace(alignment, grounding=self._kept[key])


def held_out_maps(study: Study, regrounded: Regrounded) -> Floats:
    """Return the concept maps at every place, each by the release taught without the place's part.

    Returns:
        float32, shape (n, k).
    """
    part = regrounded.parts(MAP_PARTS)
    maps = np.empty((len(study.gallery.lat), len(study.labels)), np.float32)
    for number in range(MAP_PARTS):
        held = part == number
        rows = np.flatnonzero(regrounded.places(held))
        alignment = regrounded.without(study.release, held)
        maps[rows] = alignment.location_concepts(study.gallery.embeddings[rows])
    return maps
