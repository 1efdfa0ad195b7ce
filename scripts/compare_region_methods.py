"""Compares ways to say which parts of a photo raise a concept, on the photos that are not reported on.

    python scripts/compare_region_methods.py --photos FOLDER [--limit N] [--without-occlusion]

Prints the mean effect of covering the hottest 20 % and of showing nothing else, against random connected
regions of the same size (`deletion_insertion`), on every third photo: `evaluate_regions.py` has the others.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluate_regions import CHOSEN_ON, mean_interval, shown_concept
from whyhere._parts import assemble
from whyhere.encoders import _onnx_format as fmt
from whyhere.encoders._tracing import PatchShares, TracingTower, _Weights
from whyhere.explain import RegionMap, concept_score, deletion_insertion, region_maps, view_image, view_pixels
from whyhere.images import PreprocessSpec, open_photo
from whyhere.locator import Locator
from whyhere.releases import asset_path, resolve

WINDOW, STEP, GRID = 4, 2, 14


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder with index.csv and photos")
    parser.add_argument("--limit", type=int, help="measure the first photos only")
    parser.add_argument("--without-occlusion", action="store_true", help="leave out what takes 64 looks")
    parser.add_argument("--threads", type=int, help="threads of the image tower")
    arguments = parser.parse_args()
    with (arguments.photos / "index.csv").open(encoding="utf-8", newline="") as stream:
        files = sorted(row["file"] for row in csv.DictReader(stream))[::CHOSEN_ON][: arguments.limit]

    release = resolve("base")
    parts = assemble(release, threads=arguments.threads)
    locator, spec, box = Locator(parts), parts.preprocessing, (0.0, 0.0, 1.0, 1.0)
    path = asset_path(release.config.image_tower.asset) / "image_tower.onnx"
    towers = {layers: TracingTower(path, layers=layers, threads=arguments.threads) for layers in (1, 4, 12)}
    projected = final_tokens(path)

    effects: dict[str, list[tuple[float, float]]] = {}
    for row, file in enumerate(files):
        image = open_photo(arguments.photos / file).image
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
        if not arguments.without_occlusion:
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
    weights = _Weights(fmt.read_model(path), path)
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
