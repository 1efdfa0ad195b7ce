"""Writes heads of the recipe of `base` that have not learned from the photos they answer.

    python scripts/base_held_out.py --photos FOLDER --out DIR
    whyhere faithfulness --data FOLDER/index.csv --held-out DIR --out docs/faithfulness

Ten random folds; in each the recipe is chosen and the head fitted on the other photos. Temperature and
background are those of the release, which were fitted on held-out scores of the same photos.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from base_recipe import alignment_of, fit_head, load_photos, named_concepts, open_base_gallery
from train_base import alignment_section, tensors_of, write_json
from whyhere.training import Grounding

FOLDS = 10


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder with index.csv and photos")
    parser.add_argument("--out", type=Path, required=True, help="directory to write into")
    arguments = parser.parse_args()
    from safetensors.numpy import save_file

    gallery, _, places, table = open_base_gallery()
    photos = load_photos(arguments.photos, places)
    grounding = Grounding.build(gallery, named_concepts()[0])
    count = len(photos.files)
    fold_of = np.random.default_rng(0).permutation(np.arange(count) % FOLDS)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "folds.csv").open("w", newline="", encoding="utf-8") as file:
        names = (f"fold-{fold:02d}" for fold in fold_of)
        csv.writer(file).writerows([("photo", "fold"), *zip(photos.files, names, strict=True)])
    for fold in track(range(FOLDS), "Fitting", console=Console(stderr=True)):
        others = photos.examples.take(np.flatnonzero(fold_of != fold))
        _, head = fit_head(others, table)
        alignment = alignment_of(head, others, grounding)
        folder = arguments.out / f"fold-{fold:02d}"
        folder.mkdir(exist_ok=True)
        save_file(tensors_of(alignment), folder / "model.safetensors")
        write_json(folder / "config.json", {"alignment": alignment_section(alignment)})
    print(f"{count} photos in {FOLDS} folds, written to {arguments.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
