"""What another engine for the image tower does to the answers: OpenVINO's against ONNX Runtime's.

    pip install "whyhere[fast]"
    python benchmarks/engine_answers.py --photos DIR [--json FILE]

Every photo of DIR is answered by both. Where DIR or the folder above it has an `index.csv` (file, lat, lon),
how far the first answers are from the truth is told for both, too; release `base` has learned from the sample
photos, so that is no measure of its accuracy, only of the difference. For scale, the pixels of every photo
are also changed by at most half a level, the rounding that every JPEG has behind it.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import _bench
from whyhere import Locator
from whyhere.errors import PhotoError
from whyhere.geo import great_circle_km
from whyhere.images import find_photos, open_photo, preprocess
from whyhere.prediction import Prediction
from whyhere.releases import Release, load_image_tower, resolve

EXACT, FAST, ROUNDED = "onnxruntime", "openvino", "half a level of noise"
HALF_LEVEL = 0.5 / 255 / np.array([0.26862954, 0.26130258, 0.27577711]).reshape(3, 1, 1)  # in CLIP's pixels


def feature(locator: Locator, image: Image.Image, noise: np.random.Generator | None) -> NDArray[np.float32]:
    """The features of a photo, as `Locator` computes them, its pixels disturbed where asked for."""
    parts = locator.parts
    pixels = preprocess(image, parts.preprocessing)
    if noise is not None:
        pixels = (pixels + noise.uniform(-1, 1, pixels.shape) * HALF_LEVEL).astype(np.float32)
    views = parts.tower.embed_only(pixels)
    if parts.view_average == "logits":
        return views
    mean = (views / np.linalg.norm(views, axis=1, keepdims=True)).mean(axis=0)
    unit: NDArray[np.float32] = mean / np.linalg.norm(mean)
    return unit


def compare(
    exact: list[Prediction], other: list[Prediction], features: tuple[NDArray[Any], NDArray[Any]]
) -> dict[str, float]:
    """Put in numbers how much two sets of answers differ."""

    def places(prediction: Prediction) -> list[tuple[float, float]]:
        return [(answer.lat, answer.lon) for answer in prediction.answers]

    apart = [
        float(great_circle_km(a.answers[0].lat, a.answers[0].lon, b.answers[0].lat, b.answers[0].lon))
        for a, b in zip(exact, other, strict=True)
    ]
    pairs = list(zip(exact, other, strict=True))
    near = _bench.cosine(*(array.reshape(-1, array.shape[-1]) for array in features))
    return {
        "photos": len(exact),
        "cosine min": float(near.min()),
        "cosine mean": float(near.mean()),
        "same first answer": sum(places(a)[0] == places(b)[0] for a, b in pairs),
        "first answer within 25 km": sum(km <= 25 for km in apart),
        "first answer within 200 km": sum(km <= 200 for km in apart),
        "same five in order": sum(places(a) == places(b) for a, b in pairs),
        "same about abstaining": sum(a.abstained == b.abstained for a, b in pairs),
        "largest change of a first probability": max(
            abs(a.answers[0].probability - b.answers[0].probability) for a, b in pairs
        ),
    }


def truth_of(folder: Path) -> dict[str, tuple[float, float]]:
    """True positions by file name, from `index.csv`; none where there is no such file."""
    for path in (folder / "index.csv", folder.parent / "index.csv"):
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
            return {Path(row["file"]).name: (float(row["lat"]), float(row["lon"])) for row in rows}
    return {}


def main() -> None:
    """Read the command line, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--release", default="base", help="name or directory of a release")
    parser.add_argument("--threads", type=int, help="of the towers; all cores by default")
    parser.add_argument("--limit", type=int, help="photos at most")
    parser.add_argument("--quick", action="store_true", help="the first 20 photos")
    parser.add_argument("--features", type=Path, help=".npz to keep features in and go on from")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    about = _bench.machine()
    found = [path for path in find_photos([str(options.photos)]) if not isinstance(path, PhotoError)]
    photos = found[: 20 if options.quick else options.limit]
    release = resolve(options.release)
    locator = Locator.from_release(options.release, threads=options.threads)
    features = compute(locator, release, photos, options.threads, options.features)
    answers = {
        name: [locator.answer_code(locator.parts.alignment.encode_image(row)) for row in rows]
        for name, rows in features.items()
    }
    results = {
        name: compare(answers[EXACT], answers[name], (features[EXACT], features[name]))
        for name in (FAST, ROUNDED)
    }
    print(f"{_bench.headline(about)}\n\n{locator.release}, {len(photos)} photos, against {EXACT}\n")
    heads = ["", *results]
    print(_bench.table(heads, [[key, *(f"{r[key]:.6g}" for r in results.values())] for key in results[FAST]]))
    truth = truth_of(options.photos)
    errors = {
        name: [
            float(great_circle_km(*truth[photo.name], found.answers[0].lat, found.answers[0].lon))
            for photo, found in zip(photos, predictions, strict=True)
            if photo.name in truth
        ]
        for name, predictions in answers.items()
    }
    if truth:
        print("\nFirst answers against the truth (these photos may have been learned from):\n")
        rows = [[n, *(f"{sum(e <= t for e in km)}" for t in (25, 200, 750, 2500)), f"{np.median(km):.0f}"]
                for n, km in errors.items()]  # fmt: skip
        print(_bench.table(["", "25 km", "200 km", "750 km", "2500 km", "median km"], rows))
    if options.json:
        figures = {"machine": about, "release": locator.release, "against onnxruntime": results}
        options.json.write_text(
            json.dumps(figures | {"errors_km": errors}, indent=1) + "\n", encoding="utf-8"
        )


def compute(
    locator: Locator, release: Release, photos: list[Path], threads: int | None, kept: Path | None
) -> dict[str, NDArray[np.float32]]:
    """Features of every photo: in both engines, and in the exact one with noise; continued from a file."""
    rows: dict[str, list[NDArray[np.float32]]] = {EXACT: [], FAST: [], ROUNDED: []}
    if kept and kept.exists():
        with np.load(kept) as found:
            rows = {name: list(found[name])[: len(photos)] for name in rows}
    exact, fast = (
        Locator(
            dataclasses.replace(locator.parts, tower=load_image_tower(release, threads=threads, engine=e))
        )
        for e in (EXACT, FAST)
    )
    for number in range(len(rows[EXACT]), len(photos)):
        image = open_photo(photos[number]).image
        rows[EXACT].append(feature(exact, image, None))
        rows[FAST].append(feature(fast, image, None))
        rows[ROUNDED].append(feature(exact, image, np.random.default_rng(number)))
        print(f"\r{number + 1} of {len(photos)} photos", end="", file=sys.stderr, flush=True)
        if kept and (number % 10 == 9 or number == len(photos) - 1):
            np.savez(kept, **{name: np.stack(values) for name, values in rows.items()})
    print(file=sys.stderr)
    return {name: np.stack(values) for name, values in rows.items()}


if __name__ == "__main__":
    sys.exit(main())
