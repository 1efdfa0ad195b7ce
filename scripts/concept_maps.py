"""How well the maps of a release's concepts go with open references: the table in docs/references.md.

    python scripts/concept_maps.py --release base [--format markdown|json] [--write docs/references.md]

For every named concept that has a reference: what the location side says at the places of the gallery, and
what the reference says, averaged over cells of 110 km; AUROC and Spearman over cells, 95 % intervals from
blocks of 10 degrees. No photo takes part, and no concept is left out because of its number.

A release may have learned from these very references. Its maps are then tested twice: as photos alone teach
them, and as the references teach them elsewhere, each tenth of the blocks by what was learned on the others.
Controls, of the maps that photos alone teach: random directions, and the other concepts' maps.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere._parts import prepare_gallery
from whyhere.alignment import Alignment, LinearAlignment, PhotoCodeAlignment, load_alignment
from whyhere.concepts import read_labels
from whyhere.gallery import Gallery
from whyhere.references import (
    Agreement,
    CellTable,
    Grounding,
    agreement,
    cell_table,
    forest_by_state,
    reference_for,
)
from whyhere.releases import prepare_heads, resolve
from whyhere.stats import weighted_auroc

RANDOM_DIRECTIONS = 200
PARTS = 10  # parts of the Earth, each tested by what was learned on the others
CONTROL_SEED = 1
WIDTH = 116  # of the documents


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--release", default="base")
    parser.add_argument("--format", choices=("markdown", "json"), default="markdown")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the Markdown between the marks of this file"
    )
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws")
    arguments = parser.parse_args()
    release = resolve(arguments.release)
    gallery = prepare_gallery(release)
    alignment = load_alignment(prepare_heads(release), release.config.alignment)
    labels = read_labels(release.directory / "concepts.json")
    cells = cell_table(gallery.lat, gallery.lon)
    maps = photos_alone(alignment).location_concepts(gallery.embeddings)
    taught = taught_elsewhere(alignment, gallery, cells)
    elsewhere: dict[str, dict[str, Any]] = {}
    rows: list[Agreement] = []
    too_few, without = [], []
    for column, label in enumerate(labels):
        reference = reference_for(label.id)
        if reference is None:
            without.append(label.name)
            continue
        compared = agreement(
            maps[:, column],
            reference,
            lat=gallery.lat,
            lon=gallery.lon,
            cells=cells,
            draws=arguments.draws,
        )
        if compared:
            rows.append(compared)
            if taught is not None:
                again = agreement(
                    taught[:, column],
                    reference,
                    lat=gallery.lat,
                    lon=gallery.lon,
                    cells=cells,
                    draws=arguments.draws,
                )
                assert again is not None
                elsewhere[label.id] = again.to_dict()
        else:
            too_few.append(label.name)
        print(f"{label.id}: {compared.auroc if compared else 'too few cells'}", file=sys.stderr)
    rows.sort(key=lambda row: -row.auroc)
    columns = {label.id: column for column, label in enumerate(labels)}
    controls = control_aurocs(rows, gallery, cells, maps, columns)
    exhibit = None
    if "forest" in columns:
        exhibit = forest_by_state(maps[:, columns["forest"]], lat=gallery.lat, lon=gallery.lon)
    report = {
        "release": release.name,
        "version": release.version,
        "places": len(gallery),
        "cells": len(cells.cells),
        "agreements": [row.to_dict() for row in rows],
        "taught_elsewhere": elsewhere,
        "median_auroc": {
            "all": median(rows),
            "direct": median([row for row in rows if row.directness == "direct"]),
            "proxy": median([row for row in rows if row.directness == "proxy"]),
        },
        "contradicted": [row.concept_id for row in rows if row.auroc_high < 0.5],
        "undecided": [row.concept_id for row in rows if row.auroc_low <= 0.5 <= row.auroc_high],
        "controls": controls,
        "too_few_cells": too_few,
        "without_reference": without,
        "forest_by_state": exhibit.to_dict() if exhibit else None,
    }
    if arguments.format == "json":
        print(json.dumps(report, indent=1, ensure_ascii=False))
        return
    text = markdown(report, {label.id: label.name for label in labels})
    if arguments.write:
        put_between_marks(arguments.write, text)
    else:
        print(text)


def markdown(report: dict[str, Any], names: dict[str, str]) -> str:
    """Make the table and what stands under it.

    Args:
        report: What was measured.
        names: Names of concepts by id.
    """
    rows, taught = report["agreements"], report["taught_elsewhere"]
    lines = [
        f"Release `{report['release']}` {report['version']}, {report['places']:,} places, "
        f"{report['cells']:,} cells.",
        "",
        "| concept | reference | | cells with / all "
        "| AUROC, photos alone | Spearman | AUROC, taught elsewhere |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {names[row['concept_id']]} | {row['reference']} | {row['directness']} "
        f"| {row['present_cells']:,} / {row['cells']:,} "
        f"| {row['auroc']:.2f} ({row['auroc_low']:.2f} to {row['auroc_high']:.2f}) "
        f"| {row['spearman']:+.2f} ({row['spearman_low']:+.2f} to {row['spearman_high']:+.2f}) "
        f"| {interval(taught.get(row['concept_id']))} |"
        for row in rows
    ]
    lines += [
        "",
        "| | concepts | different references | median AUROC, photos alone | .75 or more "
        "| median AUROC, taught elsewhere | .75 or more |",
        "|---|---|---|---|---|---|---|",
    ]
    for which, value in report["median_auroc"].items():
        mine = [row for row in rows if which in ("all", row["directness"])]
        different, high = len({row["reference"] for row in mine}), sum(row["auroc"] >= 0.75 for row in mine)
        learned = [taught[row["concept_id"]]["auroc"] for row in mine if row["concept_id"] in taught]
        of_learned = (
            f"{np.median(learned):.3f} | {sum(auroc >= 0.75 for auroc in learned)}" if learned else "- | -"
        )
        lines.append(f"| {which} | {len(mine)} | {different} | {value:.3f} | {high} | {of_learned} |")
    controls = report["controls"]
    lines += [
        "",
        f"Controls, medians over the references: random directions {controls['random_directions']:.3f}, "
        f"with the better sign {controls['random_directions_with_the_better_sign']:.3f}; the maps of the "
        f"other concepts {controls['other_concepts']:.3f}. A concept's own map beats "
        f"{controls['share_of_other_concepts_beaten']:.0%} of the others (median).",
    ]
    for which in ("contradicted", "undecided"):
        lines += ["", f"{which.capitalize()}: {', '.join(names[c] for c in report[which]) or 'none'}."]
    lines += [
        "",
        f"Too few cells: {', '.join(report['too_few_cells']) or 'none'}. "
        f"Without a reference: {', '.join(report['without_reference']) or 'none'}.",
    ]
    if exhibit := report["forest_by_state"]:
        lines += [
            "",
            f"Forest over {len(exhibit['states'])} units of the United States: "
            f"Pearson {exhibit['pearson']:.2f} "
            f"({exhibit['pearson_low']:.2f} to {exhibit['pearson_high']:.2f}), "
            f"Spearman {exhibit['spearman']:.2f}.",
        ]
    return "\n".join(line if line.startswith("|") else fill(line, WIDTH) for line in lines)


def interval(row: dict[str, Any] | None) -> str:
    """Write an AUROC with its interval."""
    return f"{row['auroc']:.2f} ({row['auroc_low']:.2f} to {row['auroc_high']:.2f})" if row else "-"


def put_between_marks(path: Path, text: str) -> None:
    """Replace what stands between the marks of a file."""
    first, last = "<!-- results -->", "<!-- end of results -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(first)
    _, ended, after = rest.partition(last)
    if not (found and ended):
        sys.exit(f"{path} lacks the lines {first} and {last} between which the table goes")
    path.write_text(f"{before}{first}\n\n{text}\n\n{last}{after}", encoding="utf-8")


def photos_alone(alignment: Alignment) -> Alignment:
    """Return the alignment without what it has learned from references."""
    if not isinstance(alignment, (LinearAlignment, PhotoCodeAlignment)):
        return alignment
    return replace(alignment, grounding=np.zeros_like(alignment.grounding))


def taught_elsewhere(alignment: Alignment, gallery: Gallery, cells: CellTable) -> NDArray[np.float32] | None:
    """Return maps whose every place has been kept from what the references taught.

    Args:
        alignment: The release's.
        gallery: The places.
        cells: Their cells.

    Returns:
        Shape (n, k); None where the alignment has not learned from references.
    """
    if not isinstance(alignment, (LinearAlignment, PhotoCodeAlignment)) or not alignment.grounding.any():
        return None
    lengths = np.linalg.norm(alignment.grounding, axis=0)  # 1, or a part of the length of its columns
    grounding = Grounding.build(gallery, alignment.concept_ids)
    dealt = np.arange(int(cells.block.max()) + 1) % PARTS
    part = np.random.default_rng(CONTROL_SEED).permutation(dealt)[cells.block]
    maps = np.empty((len(gallery), len(alignment.concept_ids)), np.float32)
    for number in range(PARTS):
        learned = grounding.directions(
            alignment.concept_ids, alignment.location_mean.astype(np.float64), among=part != number
        )
        places = part[cells.cell] == number
        changed = replace(alignment, grounding=(learned * lengths).astype(np.float32))
        maps[places] = changed.location_concepts(gallery.embeddings[places])
    return maps


def median(rows: list[Agreement]) -> float:
    """Return the median AUROC."""
    return float(np.median([row.auroc for row in rows])) if rows else float("nan")


def control_aurocs(
    rows: list[Agreement],
    gallery: Gallery,
    cells: CellTable,
    maps: NDArray[np.float32],
    columns: dict[str, int],
) -> dict[str, float]:
    """Compare the same references with directions that do not belong to them.

    Args:
        rows: The concepts compared.
        gallery: The places.
        cells: Their cells.
        maps: Values of all concepts, shape (n, k).
        columns: Column of each concept.

    Returns:
        Median over references of the mean AUROC of random directions (.5 by symmetry, a check), of the mean
        larger of AUROC and 1 - AUROC of random directions (what a sign chosen afterwards would reach), of
        the mean over the other concepts' maps, and the share of other concepts' maps that a concept's own
        map beats.
    """
    rng = np.random.default_rng(CONTROL_SEED)
    centred = gallery.embeddings - gallery.embeddings.mean(axis=0)
    directions = rng.normal(size=(centred.shape[1], RANDOM_DIRECTIONS)).astype(np.float32)
    random_maps = centred @ directions / np.linalg.norm(centred, axis=1, keepdims=True)
    random_cells = np.stack([cells.average(column) for column in random_maps.T])
    concept_cells = np.stack([cells.average(column) for column in maps.T])
    signed, unsigned, others, beaten = [], [], [], []
    for row in rows:
        reference = reference_for(row.concept_id)
        assert reference is not None
        truth = cells.average(reference.values(gallery.lat, gallery.lon))
        known = np.isfinite(truth)
        present = reference.present(truth[known]) > 0.5
        once = np.ones((1, int(known.sum())))
        at_random = np.array([weighted_auroc(values[known], present, once)[0] for values in random_cells])
        of_all = np.array([weighted_auroc(values[known], present, once)[0] for values in concept_cells])
        rest = np.delete(of_all, columns[row.concept_id])
        signed.append(at_random.mean())
        unsigned.append(np.maximum(at_random, 1 - at_random).mean())
        others.append(rest.mean())
        beaten.append((rest < of_all[columns[row.concept_id]]).mean())
    return {
        "random_directions": float(np.median(signed)),
        "random_directions_with_the_better_sign": float(np.median(unsigned)),
        "other_concepts": float(np.median(others)),
        "share_of_other_concepts_beaten": float(np.median(beaten)),
    }


if __name__ == "__main__":
    main()
