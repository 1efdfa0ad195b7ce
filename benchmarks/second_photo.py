"""Time to answer the second photo: whyhere against the way the `geoclip` package works.

    pip install torch==2.13.0          # a CPU build
    python benchmarks/second_photo.py [--photo FILE] [--runs 5] [--json FILE]

`geoclip` embeds its whole gallery at every `predict`; whyhere did so once. Both get the same photo, the same
image tower, the same 94,100 gallery points and the same cores, in turns in one process. geoclip's image tower
(CLIP ViT-L/14) is four times larger than that of `base` and is left out of its time, so what is compared is
what comes after the image embedding; with its own tower geoclip would take longer still. Its location encoder
is its own code and weights, from its wheel. The first photo is not counted for either.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import types
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import _bench
from stages import stage_times
from whyhere import Locator
from whyhere.images import open_photo, preprocess
from whyhere.releases import asset_path


def main() -> None:
    """Time both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, help="photo to answer; the Kauai picture by default")
    parser.add_argument("--runs", type=int, default=5, help="answers of each that are counted")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    photo = arguments.photo or asset_path("geoclip") / "Kauai.png"

    start = time.perf_counter()
    locator = Locator.from_release("base")
    loading_s = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        geoclip = geoclip_way(locator, Path(folder))
        ours, theirs = [], []
        for run in range(arguments.runs + 1):
            ours.append(seconds(lambda: locator.locate(photo)))
            theirs.append(seconds(lambda: geoclip(photo)))
            print(f"run {run}: whyhere {ours[-1]:.2f} s, geoclip's way {theirs[-1]:.2f} s", file=sys.stderr)
    ours, theirs = ours[1:], theirs[1:]
    measured = stage_times(locator._parts, photo, arguments.runs)
    stages = {name: statistics.median(wall) for name, (wall, _) in measured.items()}
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    figures = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "commit": _bench.commit(),
        "runs": arguments.runs,
        "whyhere loading s": loading_s,
        "whyhere s": statistics.median(ours),
        "geoclip way s": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "ratio range": [min(ratios), max(ratios)],
        "stages ms": stages,
    }
    print(
        f"{figures['date']}, {figures['machine']}, commit {figures['commit']}, median of {arguments.runs}\n"
    )
    print("| | seconds |\n|---|---|")
    print(f"| whyhere: load release `base` | {loading_s:.2f} |")
    print(f"| whyhere: next photo | {figures['whyhere s']:.2f} |")
    print(f"| geoclip's way: next photo | {figures['geoclip way s']:.2f} |")
    print(
        f"| **ratio**, pair by pair | **{figures['ratio']:.0f}** ({min(ratios):.0f} to {max(ratios):.0f}) |"
    )
    print("\n| stage of whyhere | ms |\n|---|---|")
    for name, milliseconds in stages.items():
        print(f"| {name} | {milliseconds:.1f} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def seconds(work: Callable[[], object]) -> float:
    """Return how long work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def geoclip_way(locator: Locator, folder: Path) -> Callable[[Path], object]:
    """Return a function that answers as `geoclip` does, with geoclip's own location encoder."""
    import torch

    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "-d",
        folder,
        "geoclip==1.3.0",
    ]
    subprocess.run(command, check=True, stdout=sys.stderr)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    # The package's own __init__ imports torchvision, which its location encoder does not need.
    for name, part in (("geoclip", "geoclip"), ("geoclip.model", "geoclip/model")):
        module = types.ModuleType(name)
        module.__path__ = [str(folder / part)]
        sys.modules[name] = module
    encoder = importlib.import_module("geoclip.model.location_encoder").LocationEncoder().eval()
    parts = locator._parts
    gallery = torch.tensor(np.stack((parts.gallery.lat, parts.gallery.lon), axis=1), dtype=torch.float32)
    head = torch.tensor(parts.alignment.head)

    def predict(photo: Path) -> object:
        pixels = preprocess(open_photo(photo).image, parts.preprocessing)
        image = head @ torch.tensor(parts.tower.embed_only(pixels).mean(axis=0))
        with torch.no_grad():
            locations = torch.nn.functional.normalize(encoder(gallery), dim=1)
            logits = 39.69 * locations @ torch.nn.functional.normalize(image, dim=0)
        return torch.topk(logits.softmax(dim=0), 5)

    return predict


if __name__ == "__main__":
    main()
