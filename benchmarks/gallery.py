"""Time the gallery: embed it, open it cold, search it, against what the memory of this machine allows.

    python benchmarks/gallery.py [--places 94100 1000000] [--json out.json] [--torch GEOCLIP]

Weights and coordinates are random in the true shapes; neither changes the amount of work. The floor of a
search is the time to read the bank once, measured in the same run by summing it. "Cold" is a new process with
the bank in the system's file cache. `--torch` takes the geoclip wheel's unpacked folder and times
its location encoder, in torch with the same number of threads, on the same places.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from _bench import best_seconds
from whyhere.encoders import LocationEncoder, location_encoder_shapes
from whyhere.gallery import Gallery, open_gallery

ENCODED = 8192  # places that the encoders are timed on; the time grows with their number
OPEN = """
import sys, time
start = time.perf_counter()
from pathlib import Path
from whyhere.gallery import open_gallery
imported = time.perf_counter()
open_gallery(*map(Path, sys.argv[1:]))
print(imported - start, time.perf_counter() - imported)
"""


def write_inputs(folder: Path, places: int) -> tuple[Path, Path]:
    """Write coordinates and weights, and return their paths."""
    rng = np.random.default_rng(0)
    coordinates, weights = folder / f"gallery-{places}.npy", folder / "location_encoder.safetensors"
    np.save(coordinates, np.stack((rng.uniform(-90, 90, places), rng.uniform(-180, 180, places)), 1))
    tensors = {
        name: (rng.uniform(-1, 1, shape) / math.sqrt(shape[-1])).astype(np.float32)
        for name, shape in location_encoder_shapes().items()
    }
    save_file(tensors, weights)
    return coordinates, weights


def time_encoders(weights: Path, geoclip: Path | None) -> dict[str, float]:
    """Seconds per 94,100 places of our encoder and, where asked for, of the original."""
    rng = np.random.default_rng(1)
    lat, lon = rng.uniform(-90, 90, ENCODED), rng.uniform(-180, 180, ENCODED)
    encoder = LocationEncoder.load(weights)
    per_gallery = 94_100 / ENCODED
    seconds = {"whyhere": best_seconds(lambda: encoder.embed(lat, lon), 3) * per_gallery}
    if geoclip is not None:
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
        import torch

        from make_location_oracle import original_encoder

        original = original_encoder(geoclip / "geoclip")
        points = torch.from_numpy(np.stack((lat, lon), 1).astype(np.float32))
        with torch.inference_mode():
            seconds["geoclip, one batch"] = best_seconds(lambda: original(points), 3) * per_gallery
            batches = points.split(2048)
            seconds["geoclip, batches of 2,048"] = (
                best_seconds(lambda: [original(batch) for batch in batches], 3) * per_gallery
            )
    return seconds


def big_gallery(folder: Path, places: int) -> Gallery:
    """Make a memory-mapped gallery of random unit rows, block by block."""
    path = folder / f"bank-{places}.npy"
    bank = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(places, 512))
    rng = np.random.default_rng(2)
    for start in range(0, places, 10_000):
        rows = rng.standard_normal((min(10_000, places - start), 512), np.float32)
        bank[start : start + len(rows)] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    del bank
    zeros = np.zeros(places)
    return Gallery(zeros, zeros, np.asarray(np.load(path, mmap_mode="r")), "benchmark")


def time_search(gallery: Gallery, clock: Callable[[], float]) -> dict[str, float]:
    """Milliseconds per query, and of reading the bank once."""
    one = np.random.default_rng(3).standard_normal(512, np.float32)
    words = gallery.embeddings.view(np.uint64)
    floor = best_seconds(lambda: words.max(), 5, clock) * 1e3
    product = best_seconds(lambda: gallery.embeddings @ one, 5, clock) * 1e3
    return {
        "read the bank once (floor)": floor,
        "one product (gemv)": product,
        "times the floor": product / floor,
    }


def main() -> None:
    """Measure, print a table, and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--places", type=int, nargs="+", default=[94_100, 1_000_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="count processor time in searches: for a busy machine, with OMP_NUM_THREADS=1",
    )
    parser.add_argument("--torch", type=Path, metavar="GEOCLIP", help="folder that holds geoclip/")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.processor_time else time.perf_counter
    report: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "numpy": np.__version__,
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        coordinates, weights = write_inputs(folder, 20_000)
        report["encode 94,100 places, s"] = time_encoders(weights, arguments.torch)
        open_gallery(coordinates, weights, folder / "cache")
        command = [sys.executable, "-c", OPEN, str(coordinates), str(weights), str(folder / "cache")]
        opens = [
            [
                float(value)
                for value in subprocess.run(
                    command, capture_output=True, check=True, text=True
                ).stdout.split()
            ]
            for _ in range(5)
        ]
        report["cold open, ms"] = {
            "imports": min(times[0] for times in opens) * 1e3,
            "open_gallery": min(times[1] for times in opens) * 1e3,
        }
        for places in arguments.places:
            report[f"{places:,} places, ms per query"] = time_search(big_gallery(folder, places), clock)
    for key, value in report.items():
        if isinstance(value, dict):
            print(key)
            for what, number in value.items():
                print(f"  {what:<30}{number:>10.2f}")
        else:
            print(f"{key}: {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"written to {arguments.json}")
    else:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
