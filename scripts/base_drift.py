"""How far the concepts' directions in release `base` are from their names: cos(B_j, E_j).

    python scripts/base_drift.py

E_j is the concept's own direction sent through the head, W e_j, as GeoCLIP sends a text; B_j is what the
score is told in. Between them lie the pattern p_j (how photos change with the concept) and the open map.
"""

from __future__ import annotations

import numpy as np

from whyhere.alignment import LinearAlignment, load_alignment
from whyhere.releases import prepare_heads, resolve


def main() -> None:
    """Measure and print."""
    release = resolve("base")
    alignment = load_alignment(prepare_heads(release), release.config.alignment)
    assert isinstance(alignment, LinearAlignment)
    head = alignment.head[:, : len(alignment.patterns)]
    named = unit_columns(head @ alignment.directions)
    photos = unit_columns(head @ alignment.patterns)
    mapped = np.array([concept_id in alignment.grounded for concept_id in alignment.concept_ids])
    print("| cosine | concepts | median | 5th to 95th percentile | least |\n|---|--:|--:|--:|--:|")
    for name, cosines in (
        ("pattern p_j and detector e_j", (alignment.patterns * alignment.directions).sum(axis=0)),
        ("b_j and W p_j, with an open map", (alignment.basis * photos).sum(axis=0)[mapped]),
        ("b_j and W e_j, with an open map", (alignment.basis * named).sum(axis=0)[mapped]),
        ("b_j and W e_j, without", (alignment.basis * named).sum(axis=0)[~mapped]),
    ):
        low, high = np.percentile(cosines, (5, 95))
        middle, least = np.median(cosines), cosines.min()
        print(f"| {name} | {len(cosines)} | {middle:.2f} | {low:.2f} to {high:.2f} | {least:.2f} |")


def unit_columns(columns: np.ndarray) -> np.ndarray:
    """Scale columns to length 1."""
    return columns / np.linalg.norm(columns, axis=0)


if __name__ == "__main__":
    main()
