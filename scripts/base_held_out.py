"""Writes alignments of the recipe of `base` that have not learned from the photos they answer.

    python scripts/base_held_out.py --data TABLE [--data TABLE] --protocol new-places --out DIR
    whyhere evaluate TABLE --held-out DIR --config new-places
    whyhere faithfulness --data TABLE --held-out DIR --out docs/faithfulness

One fold after the other of a shipped protocol (docs/evaluate.md). Temperature and background are those of the
release, which were fitted on held-out scores of some of the same photos.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from msgspec import structs
from rich.console import Console
from rich.progress import track
from safetensors.numpy import save_file

from base_measure import STREET_FOLDS, add_photo_arguments, read_photos
from whyhere.evaluation import (
    FOLDS_FILE,
    fold_name,
    read_protocol,
    write_folds,
)
from whyhere.training import fit_base, folds_of, landmarks_json


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_photo_arguments(parser)
    parser.add_argument("--protocol", default="new-places", help="name of a shipped protocol")
    parser.add_argument("--out", type=Path, required=True, help="directory to write into")
    arguments = parser.parse_args()
    workshop, photos = read_photos(arguments)
    protocol = read_protocol(arguments.protocol)
    if not protocol.folds:
        protocol = structs.replace(protocol, folds=STREET_FOLDS)
    folds = folds_of(photos, protocol)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_folds(arguments.out / FOLDS_FILE, photos.files, folds)
    numbers = np.unique(folds[folds >= 0]).tolist()
    for number in track(numbers, "Fitting", console=Console(stderr=True)):
        alignment, landmarks = fit_base(photos, np.flatnonzero(folds != number), workshop)
        folder = arguments.out / fold_name(number)
        folder.mkdir(exist_ok=True)
        save_file(alignment.tensors(), folder / "model.safetensors")
        (folder / "landmarks.json").write_bytes(landmarks_json(landmarks))
        config = json.dumps({"alignment": alignment.section()}, indent=1)
        (folder / "config.json").write_text(config + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
