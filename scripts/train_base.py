"""Trains the heads of release `base` and writes them into the package.

    python scripts/train_base.py --photos FOLDER

FOLDER holds `index.csv` (file, lat, lon) and the photos. The weights of `base` must have been fetched
(`whyhere releases fetch base` does so for the shipped release). Three numbers are fitted on held-out photos:
temperature and background (the least log loss of the five answers among those that claim no more than they
hold) and `abstain_below`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from base_recipe import (
    CELL_RESOLUTION,
    RADIUS_KM,
    SMOOTHING_KM,
    VIEWS,
    Calibration,
    alignment_of,
    fit_head,
    held_out_answers,
    held_out_forecasts,
    held_out_heads,
    held_out_scores,
    load_photos,
    named_concepts,
    open_base_gallery,
    threshold_to_abstain,
)
from whyhere.alignment import LinearAlignment
from whyhere.concepts import load_bank, load_directions
from whyhere.training import Grounding

RELEASE = Path(__file__).resolve().parent.parent / "src" / "whyhere" / "releases" / "base"


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder with index.csv and photos")
    parser.add_argument("--out", type=Path, default=RELEASE, help="release directory to write into")
    arguments = parser.parse_args()

    gallery, cells, places, table = open_base_gallery()
    photos = load_photos(arguments.photos, places)
    grounding = Grounding.build(gallery, named_concepts()[0])
    recipe, head = fit_head(photos.examples, table)
    scores, _ = held_out_scores(photos, held_out_heads(photos, table, (recipe,)), gallery, grounding)
    forecasts = held_out_forecasts(photos, scores, gallery, cells)
    calibration = forecasts.calibration(np.arange(len(photos.files)))
    answers = held_out_answers(photos, scores, gallery, cells, [calibration] * len(photos.files))
    abstain_below = threshold_to_abstain(answers)

    write_release(
        arguments.out,
        alignment_of(head, photos.examples, grounding),
        calibration=calibration,
        abstain_below=abstain_below,
    )
    print(
        f"{len(photos.files)} photos; {recipe}; {calibration}; "
        f"abstain below {abstain_below:.3f}; "
        f"written to {arguments.out}",
        file=sys.stderr,
    )


def write_release(
    folder: Path, alignment: LinearAlignment, *, calibration: Calibration, abstain_below: float
) -> None:
    """Write model.safetensors, concepts.json and the fitted numbers of config.json."""
    save_file(tensors_of(alignment), folder / "model.safetensors")
    bank = {concept.id: concept for concept in load_bank()}
    sources = {entry.id: entry.source for entry in load_directions().concepts}
    labels = [
        {
            "id": concept.id,
            "name": concept.name,
            "group": concept.group,
            "definition": concept.definition,
            "source": sources[concept.id],
        }
        for concept in (bank[concept_id] for concept_id in alignment.concept_ids)
    ]
    write_json(folder / "concepts.json", labels)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["image_tower"]["views"] = VIEWS
    config["gallery"]["smoothing_km"] = SMOOTHING_KM
    config["alignment"] = alignment_section(alignment)
    config["ranking"] = {
        "temperature": round(calibration.temperature, 6),
        "background": calibration.background,
        "cell_resolution": CELL_RESOLUTION,
        "radius_km": RADIUS_KM,
        "abstain_below": round(abstain_below, 4),
    }
    write_json(folder / "config.json", config)


def tensors_of(alignment: LinearAlignment) -> dict[str, np.ndarray]:
    """Return what model.safetensors of an alignment holds."""
    names = ("head", "feature_mean", "location_mean", "directions", "patterns", "spread", "grounding")
    return {name: np.ascontiguousarray(getattr(alignment, name)) for name in names}


def alignment_section(alignment: LinearAlignment) -> dict[str, object]:
    """Return what config.json says of an alignment."""
    return {
        "kind": "linear",
        "scale": alignment.scale,
        "penalty": alignment.penalty,
        "concept_ids": list(alignment.concept_ids),
    }


def write_json(path: Path, data: object) -> None:
    """Write readable JSON."""
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
