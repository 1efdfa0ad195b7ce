"""How well the concept maps of release `base` go with open maps, on parts of the Earth that were held out.

    python scripts/base_maps.py [--json FILE]

Half of the direction of a concept with an open map comes from that map, so agreement with the map would
prove nothing. Here the Earth is cut into blocks of 10 degrees; every block is mapped by directions that were
regressed on the other nine tenths of the blocks. Beside it stand the directions that photos alone give, which
never saw a map, and the same with the names of the concepts shuffled. A country that lies in several blocks
still tells about itself: for references that are sets of countries the held-out figure is too good.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from whyhere._assembly import prepare_gallery
from whyhere.alignment import LinearAlignment, load_alignment
from whyhere.references import Agreement, agreement, cell_table, reference_for
from whyhere.releases import prepare_heads, resolve
from whyhere.training import Grounding

FOLDS = 10
Scores = NDArray[np.float32]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    release = resolve("base")
    gallery = prepare_gallery(release)
    alignment = load_alignment(prepare_heads(release), release.config.alignment)
    assert isinstance(alignment, LinearAlignment)
    grounding = Grounding.build(gallery, alignment.concept_ids)
    cells = cell_table(gallery.lat, gallery.lon)
    places = gallery.embeddings - alignment.location_mean
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    photos_only = alignment.head[:, : len(alignment.patterns)] @ alignment.patterns
    photos_only /= np.linalg.norm(photos_only, axis=0)
    held_out = held_out_scores(alignment, grounding, places, photos_only, cells.cell)

    named = [c for c in alignment.concept_ids if c in grounding.presence]
    shuffled = dict(zip(named, np.random.default_rng(0).permutation(named), strict=True))
    rows: list[tuple[str, Agreement, Agreement, float]] = []
    for concept_id in track(named, "Comparing", console=Console(stderr=True)):
        reference = reference_for(concept_id)
        assert reference is not None
        column = alignment.concept_ids.index(concept_id)
        other = alignment.concept_ids.index(str(shuffled[concept_id]))
        position = {"lat": gallery.lat, "lon": gallery.lon, "cells": cells}
        alone = agreement(places @ photos_only[:, column], reference, **position)
        grounded = agreement(held_out[:, column], reference, **position)
        wrong = agreement(held_out[:, other], reference, draws=2, **position)
        if alone and grounded and wrong:
            rows.append((concept_id, alone, grounded, wrong.auroc))
    rows.sort(key=lambda row: -row[2].auroc)
    print("| concept | open map | kind | photos alone | grounded, held out | Spearman |")
    print("|---|---|---|--:|--:|--:|")
    for concept_id, alone, grounded, _ in rows:
        print(
            f"| {concept_id} | {grounded.reference} | {grounded.directness} | {shown(alone)} | "
            f"{shown(grounded)} | {grounded.spearman:.2f} |"
        )
    for kind in ("direct", "proxy"):
        some = [row for row in rows if row[2].directness == kind]
        print(f"\n{len(some)} {kind} references: {medians(some)}")
    print(f"\nall {len(rows)}: {medians(rows)}")
    against = [row[0] for row in rows if row[1].auroc_high < 0.5]
    print(f"\nphotos alone point away from the map (interval below .5): {', '.join(against) or 'none'}")
    if arguments.json:
        figures = {
            concept_id: {"photos alone": alone.to_dict(), "grounded": grounded.to_dict(), "shuffled": wrong}
            for concept_id, alone, grounded, wrong in rows
        }
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def held_out_scores(
    alignment: LinearAlignment,
    grounding: Grounding,
    places: Scores,
    photos_only: Scores,
    cell_of_place: NDArray[np.int64],
) -> Scores:
    """Score every place for every concept by directions that saw no map of the place's block."""
    blocks = np.unique(grounding.blocks)
    fold_of_block = np.random.default_rng(0).permutation(np.arange(blocks.max() + 1) % FOLDS)
    fold_of_cell = fold_of_block[grounding.blocks]
    scores = np.empty((len(places), len(alignment.concept_ids)), np.float32)
    mean = alignment.location_mean.astype(np.float64)
    for fold in range(FOLDS):
        ground = grounding.directions(alignment.concept_ids, mean, among=fold_of_cell != fold)
        basis = photos_only + ground.astype(np.float32)
        basis /= np.linalg.norm(basis, axis=0)
        here = fold_of_cell[cell_of_place] == fold
        scores[here] = places[here] @ basis
    return scores


def shown(found: Agreement) -> str:
    """Format an AUROC with its interval."""
    return f"{found.auroc:.2f} ({found.auroc_low:.2f} to {found.auroc_high:.2f})"


def medians(rows: list[tuple[str, Agreement, Agreement, float]]) -> str:
    """Format the median AUROCs."""
    alone, grounded, wrong = (
        float(np.median(column))
        for column in ([r[1].auroc for r in rows], [r[2].auroc for r in rows], [r[3] for r in rows])
    )
    return (
        f"median AUROC {alone:.3f} from photos alone, {grounded:.3f} grounded and held out, "
        f"{wrong:.3f} with shuffled names"
    )


if __name__ == "__main__":
    main()
