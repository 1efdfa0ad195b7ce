"""Measures whether image regions of release `base` carry the concept they are drawn for.

    python scripts/evaluate_regions.py --photos FOLDER [--json FILE] [--limit N]

For every photo the concept that it shows and that speaks most for the first answer is taken, its hottest 20 %
of the photo are covered (or everything else is), and the loss of agreement with the concept is compared with
what the same costs elsewhere in the photo. Every third photo is left out: the method was chosen on those.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from whyhere._parts import assemble
from whyhere.alignment import ImageCode
from whyhere.encoders import TracingTower
from whyhere.explain import concept_score, deletion_insertion, photo_regions
from whyhere.images import open_photo
from whyhere.locator import Locator
from whyhere.prediction import Prediction
from whyhere.releases import asset_path, resolve
from whyhere.stats import bootstrap_interval

CHOSEN_ON = 3  # every third photo, in the order of their names, served to choose the method
CONTROLS = {
    "random regions": {"control": "region", "fill": "blur"},
    "the map, shifted": {"control": "shifted", "fill": "blur"},
    "random regions, grey": {"control": "region", "fill": "mean"},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder with index.csv and photos")
    parser.add_argument("--json", type=Path, help="also write the figures, and those of every photo, there")
    parser.add_argument("--limit", type=int, help="measure the first photos only")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first photos")
    parser.add_argument("--quick", action="store_true", help="one kind of random control instead of three")
    parser.add_argument("--threads", type=int, help="threads of the image tower")
    arguments = parser.parse_args()

    with (arguments.photos / "index.csv").open(encoding="utf-8", newline="") as stream:
        files = sorted(row["file"] for row in csv.DictReader(stream))
    files = [file for row, file in enumerate(files) if row % CHOSEN_ON][: arguments.limit]

    release = resolve("base")
    parts = assemble(release, threads=arguments.threads)
    locator = Locator(parts)
    tower_path = asset_path(release.config.image_tower.asset) / "image_tower.onnx"
    tower = TracingTower(tower_path, threads=arguments.threads)

    photos, other = [], None
    for row, file in enumerate(files[arguments.skip :], start=arguments.skip):
        image = open_photo(arguments.photos / file).image
        start = time.perf_counter()
        code = locator.encode(image)
        prediction = locator.answer_code(code)
        located_s = time.perf_counter() - start
        concept = shown_concept(prediction, code, parts.alignment.concept_ids)
        if concept is None:
            print(f"{row + 1}/{len(files)} {file} left out: nothing that it shows speaks for the answer")
            continue
        if other in (None, concept):
            other = next(c.id for c in prediction.answers[0].concepts[::-1] if c.id != concept)
        start = time.perf_counter()
        region, foreign = photo_regions(
            tower, image, parts.alignment, [concept, other], spec=parts.preprocessing
        )
        mapped_s = time.perf_counter() - start
        score = concept_score(parts.alignment, concept)
        options: dict[str, Any] = {"spec": parts.preprocessing, "seed": row}
        found = {
            name: deletion_insertion(tower, image, region, score, **options, **control)
            for name, control in CONTROLS.items()
            if name == "random regions" or not arguments.quick
        }
        wrong = deletion_insertion(tower, image, foreign, score, controls=1, **options)
        effects = {name: (f.deletion_effect[0], f.insertion_effect[0]) for name, f in found.items()}
        right = found["random regions"]
        effects["another concept's map"] = (
            wrong.deleted[0] - right.deleted[0],
            right.inserted[0] - wrong.inserted[0],
        )
        photos.append(
            {
                "file": file,
                "concept": concept,
                "other": other,
                "located_s": located_s,
                "mapped_s": mapped_s,
                "effects": effects,
                "scores": {name: f.to_dict() for name, f in found.items()},
            }
        )
        other = concept  # of the photo before: a concept that some photo shows
        print(f"{row + 1}/{len(files)} {file} {concept}", flush=True)
        if arguments.json:  # after every photo: it takes a while
            arguments.json.write_text(json.dumps(photos, indent=1) + "\n", encoding="utf-8")

    figures = summary(photos)
    concepts = len({photo["concept"] for photo in photos})
    print(f"\n{len(photos)} photos, {concepts} concepts; agreement, 95 % bootstrap intervals")
    for name, figure in figures.items():
        print(f"{name:58} {figure}")
    if arguments.json:
        report = {"figures": figures, "photos": photos}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def shown_concept(prediction: Prediction, code: ImageCode, concept_ids: tuple[str, ...]) -> str | None:
    """Return the concept that the photo shows and that speaks most for the first answer."""
    strength = dict(zip(concept_ids, code.z_img.tolist(), strict=True))
    speaking = (c.id for c in prediction.answers[0].concepts if c.contribution > 0 and strength[c.id] > 0)
    return next(speaking, None)


def summary(photos: list[dict[str, Any]]) -> dict[str, Any]:
    """Return every figure with its interval."""
    figures: dict[str, Any] = {}
    for fill in photos[0]["scores"]:
        scores = [photo["scores"][fill] for photo in photos]
        for name, value in (
            ("original", lambda s: s["original"]),
            ("covered all over", lambda s: s["blank"]),
            ("top 20 % covered", lambda s: s["deleted"][0]),
            ("random 20 % covered", lambda s: np.mean(s["deleted_random"])),
            ("only top 20 % shown", lambda s: s["inserted"][0]),
            ("only random 20 % shown", lambda s: np.mean(s["inserted_random"])),
        ):
            figures[f"{fill}: {name}"] = mean_interval([value(score) for score in scores])
    for control in photos[0]["effects"]:
        for row, test in enumerate(("deletion", "insertion")):
            effects = np.array([photo["effects"][control][row] for photo in photos])
            figures[f"{test} against {control}: effect"] = mean_interval(effects)
            figures[f"{test} against {control}: photos better"] = mean_interval(effects > 0)
    for name in ("located_s", "mapped_s"):
        figures[f"median {name}"] = float(np.median([photo[name] for photo in photos]))
    return figures


def mean_interval(values: ArrayLike) -> dict[str, float]:
    """Return the mean with its 95 % bootstrap interval over photos."""
    found = bootstrap_interval(np.asarray(values, np.float64), lambda sets: sets.mean(axis=-1))
    return {name: round(value, 4) for name, value in found.to_dict().items()}


if __name__ == "__main__":
    main()
