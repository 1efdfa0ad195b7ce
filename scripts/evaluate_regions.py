"""Measures whether image regions of release `base` carry the concept they are drawn for.

    python scripts/evaluate_regions.py --photos FOLDER [--json FILE] [--limit N]
    python scripts/evaluate_regions.py --photos FOLDER --methods

For every photo the concept that it shows and that speaks most for the first answer is taken, its hottest 20 %
of the photo are covered (or everything else is), and the loss of agreement with the concept is compared with
what the same costs elsewhere in the photo. Every third photo is left out: the method was chosen on those, and
`--methods` compares it there with other ways to say which parts of a photo raise a concept.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from whyhere._parts import assemble
from whyhere.alignment import ImageCode
from whyhere.encoders import PatchShares, TracingTower
from whyhere.encoders import _onnx as fmt
from whyhere.explain import (
    RegionMap,
    concept_score,
    deletion_insertion,
    photo_regions,
    region_maps,
    view_image,
    view_pixels,
)
from whyhere.images import PreprocessSpec, open_photo
from whyhere.locator import Locator
from whyhere.prediction import Prediction
from whyhere.releases import asset_path, resolve
from whyhere.stats import mean_interval as interval_of_mean

WINDOW, STEP, GRID = 4, 2, 14
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
    parser.add_argument("--methods", action="store_true", help="compare methods, on the photos left out")
    parser.add_argument("--threads", type=int, help="threads of the image tower")
    arguments = parser.parse_args()

    with (arguments.photos / "index.csv").open(encoding="utf-8", newline="") as stream:
        files = sorted(row["file"] for row in csv.DictReader(stream))
    locator = Locator(assemble(resolve("base"), threads=arguments.threads))
    if arguments.methods:
        compare_methods(locator, arguments.photos, files[::CHOSEN_ON][: arguments.limit], arguments.threads)
    else:
        files = [file for row, file in enumerate(files) if row % CHOSEN_ON][: arguments.limit]
        measure(locator, files, arguments)


def tower_file() -> Path:
    """Return the image tower of `base`."""
    return asset_path(resolve("base").config.image_tower.asset) / "image_tower.onnx"


def measure(locator: Locator, files: list[str], arguments: argparse.Namespace) -> None:
    """Measure the method that whyhere has, and print figures with intervals."""
    parts, tower = locator.parts, TracingTower(tower_file(), threads=arguments.threads)
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
            known = set(parts.alignment.concept_ids) - {concept}  # landmarks have no map
            other = next(c.id for c in prediction.answers[0].concepts[::-1] if c.id in known)
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
    speaking = (
        c.id for c in prediction.answers[0].concepts if c.contribution > 0 and strength.get(c.id, 0.0) > 0
    )
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
    found = interval_of_mean(np.asarray(values, np.float64), resamples=10_000)
    return {name: round(value, 4) for name, value in found.to_dict().items()}


def compare_methods(locator: Locator, folder: Path, files: list[str], threads: int | None) -> None:
    """Print the effect of covering, and of showing, each method's hottest 20 %, against random regions."""
    parts, spec, box = locator.parts, locator.parts.preprocessing, (0.0, 0.0, 1.0, 1.0)
    towers = {layers: TracingTower(tower_file(), layers=layers, threads=threads) for layers in (1, 4, 12)}
    projected = final_tokens(tower_file())
    effects: dict[str, list[tuple[float, float]]] = {}
    for row, file in enumerate(files):
        image = open_photo(folder / file).image
        code = locator.encode(image)
        concept = shown_concept(locator.answer_code(code), code, parts.alignment.concept_ids)
        if concept is None:
            continue
        score = concept_score(parts.alignment, concept)
        view = view_image(image, box, spec)
        pixels = view_pixels(view, spec)
        shares = {f"attention shares, layers {n}": tower.trace(pixels) for n, tower in towers.items()}
        output = towers[1].embed(pixels)
        hidden = PatchShares(output.embedding[0], projected(output.tokens[0])[1:])
        shares |= {"final tokens": hidden, "final tokens, negated": replace(hidden, shares=-hidden.shares)}
        maps = {name: region_maps(one, parts.alignment, [concept])[0] for name, one in shares.items()}
        surgery = region_maps(hidden, parts.alignment, parts.alignment.concept_ids)
        common = np.mean([one.heat for one in surgery], axis=0)
        plain = maps["final tokens"]
        maps["final tokens less the mean concept"] = msgspec.structs.replace(plain, heat=plain.heat - common)
        maps["occlusion, 64 looks"] = occlusion(towers[1], view, spec, score, concept)
        for name, region in maps.items():
            found = deletion_insertion(towers[1], image, region, score, spec=spec, seed=row)
            effects.setdefault(name, []).append((found.deletion_effect[0], found.insertion_effect[0]))
        print(f"{row + 1}/{len(files)} {file} {concept}", flush=True)

    print(f"\n{len(files)} photos; effect beyond random regions, 95 % bootstrap intervals")
    for name, pairs in effects.items():
        deleted, inserted = np.array(pairs).T
        print(f"{name:38} deletion {mean_interval(deleted)} better {np.mean(deleted > 0):.0%}")
        print(f"{'':38} insertion {mean_interval(inserted)} better {np.mean(inserted > 0):.0%}")


def final_tokens(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return what sends tokens [t, h] to unit embeddings [t, d], as if each were the class token."""
    weights = fmt.FloatWeights(fmt.read_model(path), path.parent)
    scale, bias = (weights[f"vision_model.post_layernorm.{part}"] for part in ("weight", "bias"))
    projection = weights["visual_projection"]

    def project(tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        centred = tokens - tokens.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        embeddings = (centred / spread * scale + bias) @ projection
        return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)

    return project


def occlusion(
    tower: TracingTower,
    view: Image.Image,
    spec: PreprocessSpec,
    score: Callable[[NDArray[np.float32]], float],
    concept: str,
) -> RegionMap:
    """Grey out a window at a time and blame each patch for the mean loss of the windows over it."""
    pixels, side = view_pixels(view, spec), spec.size_px
    cell = np.arange(side) * GRID // side
    mean = pixels.mean(axis=(2, 3), keepdims=True)
    whole = score(tower.embed_only(pixels)[0])
    loss, times = np.zeros((GRID, GRID)), np.zeros((GRID, GRID))
    for top in range(STEP - WINDOW, GRID, STEP):
        for left in range(STEP - WINDOW, GRID, STEP):
            window = np.zeros((GRID, GRID), bool)
            window[max(top, 0) : top + WINDOW, max(left, 0) : left + WINDOW] = True
            covered = np.where(window[cell][:, cell], mean, pixels).astype(np.float32)
            loss[window] += whole - score(tower.embed_only(covered)[0])
            times[window] += 1
    return RegionMap(concept, (loss / times).astype(np.float32), whole)


if __name__ == "__main__":
    main()
