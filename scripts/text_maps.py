"""Do texts of known words point to the right places? Maps of texts against open data, for docs/text.md.

    python scripts/text_maps.py --pool pool.npz

For every concept of the bank that has a reference (climate, elevation, distance to coast, countries...) and
known words, the words are sent through the head of a release, and the cosine with every place is compared
with the reference: AUROC over cells of 12,400 km2. Beside the text's direction itself stand its pattern at
several shrinkages, the direction without centring, the directions of other concepts' words (a control that
should give .5), and the release's own concept. The last line chooses a shrinkage on half of the concepts and
judges it on the other half. Needs the release's weights and its embedded gallery.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere._parts import prepare_gallery
from whyhere.alignment import load_alignment
from whyhere.concepts import load_bank, open_vocabulary
from whyhere.references import agreement, cell_table, references
from whyhere.releases import prepare_heads, resolve
from whyhere.stats import unit_rows

POINTS = 30_000  # drawn from the gallery, the same for all
SHRINKAGES = (0.3, 1.0, 3.0, 10.0)  # of the pattern's covariance, relative to its mean variance
Array = NDArray[np.float64]


def covariance(path: Path) -> Array:
    """Return the covariance [d, d] of the photo pool's embeddings, its mean variance being 1."""
    with np.load(path, allow_pickle=False) as table:
        rows = unit_rows(table["embedding"].astype(np.float64))
    rows = rows - rows.mean(axis=0)
    found: Array = rows.T @ rows / len(rows)
    return found / (np.trace(found) / len(found))


def ways(pool: Array) -> dict[str, Callable[[Array], Array]]:
    """Return what can be made of a text's direction, by name."""
    mean = unit_rows(open_vocabulary().mean.astype(np.float64))

    def pattern(shrinkage: float) -> Callable[[Array], Array]:
        return lambda text: pool @ text + shrinkage * text

    return {
        "text": lambda text: text,
        **{f"pattern {shrinkage:g}": pattern(shrinkage) for shrinkage in SHRINKAGES},
        "not centred": lambda text: text + mean,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pool", type=Path, required=True, help="table written by concept_vectors.py")
    parser.add_argument("--release", default="base")
    chosen = parser.parse_args(arguments)
    release = resolve(chosen.release)
    alignment = load_alignment(prepare_heads(release), release.config.alignment)
    gallery = prepare_gallery(release)
    points = np.sort(np.random.default_rng(0).choice(len(gallery.lat), POINTS, replace=False))
    lat, lon, places = gallery.lat[points], gallery.lon[points], np.asarray(gallery.embeddings[points])
    cells = cell_table(lat, lon)
    bank, vocabulary, made = load_bank(), open_vocabulary(), ways(covariance(chosen.pool))
    known = [r for r in references() if any(w in vocabulary for w in bank.find(r.concept_id).words)]
    texts = {
        r.concept_id: vocabulary.direction(", ".join(bank.find(r.concept_id).words)).vector.astype(np.float64)
        for r in known
    }
    shown = dict(zip(alignment.concept_ids, alignment.location_concepts(places).T, strict=True))
    order = np.random.default_rng(1).permutation(len(known))
    columns = [*made, "other words", "own concept"]
    print(f"{'concept':22}" + " ".join(f"{name:>11}" for name in columns))
    table = []
    for number, reference in enumerate(known):
        text = texts[reference.concept_id]
        directions = [change(text) for change in made.values()]
        directions.append(texts[known[order[number]].concept_id])
        scores = [
            alignment.location_cosines(
                alignment.location_direction(unit_rows(direction).astype(np.float32)), places
            )
            for direction in directions
        ]
        own = shown.get(reference.concept_id)
        found = [
            None if s is None else agreement(s, reference, lat=lat, lon=lon, cells=cells, draws=2)
            for s in (*scores, own)
        ]
        if found[0] is None:
            continue
        row = [np.nan if one is None else one.auroc for one in found]
        table.append((reference.directness == "direct", row))
        print(f"{reference.concept_id:22}" + " ".join(f"{value:11.3f}" for value in row))
    direct, values = np.array([kind for kind, _ in table]), np.array([row for _, row in table])
    both = ~np.isnan(values[:, -1])
    for title, part in (
        (f"median of {len(values)}", np.ones(len(values), bool)),
        (f"direct, {direct.sum()}", direct),
        (f"in release, {both.sum()}", both),
    ):
        print(f"{title:22}" + " ".join(f"{value:11.3f}" for value in np.nanmedian(values[part], axis=0)))
    _choose(values, list(made))
    return 0


def _choose(values: Array, names: list[str]) -> None:
    """Choose a way by the median of half of the concepts, and print its median over the other half."""
    candidates = [number for number, name in enumerate(names) if name != "not centred"]
    chosen: list[str] = []
    held_out: list[float] = []
    for seed in range(10):
        half = np.random.default_rng(seed).permutation(len(values)) < len(values) // 2
        for judge, rest in ((half, ~half), (~half, half)):
            medians = np.median(values[rest], axis=0).tolist()
            best = max(candidates, key=medians.__getitem__)
            chosen.append(names[best])
            held_out.append(float(np.median(values[judge, best])))
    times = ", ".join(f"{name} {chosen.count(name)} times" for name in sorted(set(chosen)))
    print(f"chosen on half of the concepts: {times}; median over the other half {np.mean(held_out):.3f}")


if __name__ == "__main__":
    sys.exit(main())
