"""The image tower in every engine at hand, turn by turn, against the fastest one and against the arithmetic.

    pip install torch==2.13.0 "transformers>=5" "whyhere[fast]"     # each may be missing; its rows then are
    python benchmarks/towers.py [--photos DIR] [--json FILE]

CLIP ViT-B/16 has the weights of release `base` (fetch it first), ViT-L/14 random ones: neither speed nor
the ratio depends on them, accuracy does and is told for ViT-B/16 alone. All engines have the same number of
threads, one by default, and take turns in one process; what counts is the processor time of the quickest
turn, which other work on the machine disturbs least. On a CUDA device the clock counts instead.

The ceiling of an engine is the rate of large matrix products in its precision, the fastest library's,
measured in the same process, per second of processor time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import _bench
from _torch_tower import random_state, state_of_onnx, torch_tower
from whyhere.encoders import VIT_B_16, VIT_L_14, ClipViTBuilder, OnnxImageTower, ViTConfig
from whyhere.errors import PhotoError
from whyhere.images import find_photos, open_photo, preprocess
from whyhere.releases import asset_path

Pixels = NDArray[np.float32]
BATCH = 8
OURS = "onnxruntime, CPU, float32"


@dataclass
class Way:
    """One engine and what was measured of it.

    Attributes:
        run: Embeddings of a batch, in one go where the engine can.
        clock: What is counted, processor time or, for a device, the clock.
        alone: Seconds per photo, alone.
        batch: Seconds per photo in a batch of 8.
    """

    run: Callable[[Pixels], NDArray[np.float32]]
    clock: Callable[[], float] = time.process_time
    alone: list[float] = field(default_factory=list)
    batch: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """Seconds per photo, at its best."""
        return min(self.alone + self.batch)


def ways_of(model: str, folder: Path, threads: int) -> tuple[ViTConfig, dict[str, Way]]:
    """Open a tower in every engine."""
    if model == "b16":
        config, path = VIT_B_16, asset_path("clip-vit-b16") / "image_tower.onnx"
        state = state_of_onnx(path, config)
    else:
        config, path = VIT_L_14, folder / "l14.onnx"
        state = random_state(config)
        ClipViTBuilder(config, state).build().write(path)
    ways: dict[str, Way] = {}
    onnx = [OnnxImageTower(path, threads=threads, providers=["CPUExecutionProvider"])]
    if _bench.has_openvino():
        onnx.append(OnnxImageTower(path, threads=threads, engine="openvino"))
        if onnx[-1].computes_with.endswith("bfloat16"):
            ways |= openvino_float32(path, threads)
    for tower in onnx:
        ways[tower.computes_with] = Way(tower.embed_only)
    if _bench.has_cuda():
        cuda = OnnxImageTower(path, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
        ways[cuda.computes_with] = Way(cuda.embed_only, time.perf_counter)
    for name, run, on_device in torch_tower(config, state, threads):
        ways[name] = Way(run, time.perf_counter if on_device else time.process_time)
    return config, dict(sorted(ways.items(), key=lambda item: item[0] != OURS))


def openvino_float32(path: Path, threads: int) -> dict[str, Way]:
    """Open the tower in OpenVINO and float32, where it would choose bfloat16."""
    from whyhere.encoders._sessions import OpenVinoSession

    session = OpenVinoSession(path, threads=threads, precision="float32")

    def run(pixels: Pixels) -> Pixels:
        photos = [session.run(["image_embeds"], {"pixel_values": photo[None]})[0] for photo in pixels]
        return np.concatenate(photos)

    return {"openvino, CPU, float32": Way(run)}


def read_pixels(folder: Path | None, count: int, side: int) -> Pixels:
    """Preprocessed photos of a folder, or smooth random pictures; [count, 3, side, side]."""
    if folder is None:
        coarse = np.random.default_rng(0).normal(size=(count, 3, 7, 7)).astype(np.float32)
        return np.ascontiguousarray(coarse.repeat(side // 7, axis=2).repeat(side // 7, axis=3))
    found = [path for path in find_photos([str(folder)]) if not isinstance(path, PhotoError)][:count]
    if len(found) < count:
        raise SystemExit(f"{folder}: {len(found)} photos found, {count} needed")
    return np.concatenate([preprocess(open_photo(path).image) for path in found])


def take_turns(ways: dict[str, Way], pixels: Pixels, rounds: int, batches: int) -> None:
    """Time all ways, round after round; the first round is not counted."""
    for round_number in range(rounds + 1):
        for way in ways.values():
            start = way.clock()
            way.run(pixels[round_number % len(pixels)][None])
            seconds = way.clock() - start
            if round_number:
                way.alone.append(seconds)
            if 0 < round_number <= batches:
                start = way.clock()
                way.run(pixels[:BATCH])
                way.batch.append((way.clock() - start) / BATCH)


def agreement(ways: dict[str, Way], pixels: Pixels) -> dict[str, dict[str, float]]:
    """How near every way is to ours, and what a batch and noise of 1e-6 in the pixels change."""
    noise = np.random.default_rng(0).normal(scale=1e-6, size=pixels[:BATCH].shape).astype(np.float32)
    reference = np.concatenate([ways[OURS].run(photo[None]) for photo in pixels])
    found = {}
    for name, way in ways.items():
        alone = np.concatenate([way.run(photo[None]) for photo in pixels])
        near = _bench.cosine(alone, reference)
        moved = np.abs(way.run(pixels[:BATCH]) - alone[:BATCH]).max()
        noisy = np.concatenate([way.run(photo[None]) for photo in pixels[:BATCH] + noise])
        by_noise = np.abs(noisy - alone[:BATCH]).max()
        found[name] = {"min": float(near.min()), "mean": float(near.mean())}
        found[name] |= {"batch": float(moved), "noise": float(by_noise)}
    return found


def report(
    model: str, config: ViTConfig, ways: dict[str, Way], rates: dict[str, float], near: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Put the figures of one tower together."""
    flops = _bench.tower_flops(config)
    fastest = min(way.best for way in ways.values())
    rows = []
    for name, way in ways.items():
        place = "CUDA" if way.clock is time.perf_counter else "CPU"
        precision = name.rpartition(" ")[2]
        same = [
            rate
            for label, rate in rates.items()
            if precision in label and ("CUDA" in label) == (place == "CUDA")
        ]
        rows.append(
            {
                "tower": model,
                "engine": name,
                "alone_ms": min(way.alone) * 1e3,
                "batch_ms": min(way.batch) * 1e3,
                "photos_per_second": 1 / way.best,
                "of_the_fastest": way.best / fastest,
                "of_the_ceiling": flops / way.best / max(same) if same else None,
                **({"cosine": near[name]} if near else {}),
            }
        )
    return rows


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print one Markdown table."""
    with_cosine = "cosine" in rows[0]
    heads = ["engine", "ms alone", f"ms in {BATCH}", "photos/s", "time, fastest = 1", "% of ceiling"]
    heads += ["cosine min", "mean", "batch changes", "noise changes"] if with_cosine else []
    cells = []
    for row in rows:
        ceiling = row["of_the_ceiling"]
        line = [row["engine"], f"{row['alone_ms']:.0f}", f"{row['batch_ms']:.0f}"]
        line += [f"{row['photos_per_second']:.1f}", f"{row['of_the_fastest']:.2f}"]
        line += [f"{100 * ceiling:.0f}" if ceiling else "?"]
        if with_cosine:
            near = row["cosine"]
            line += [
                f"{near['min']:.5f}",
                f"{near['mean']:.5f}",
                f"{near['batch']:.0e}",
                f"{near['noise']:.0e}",
            ]
        cells.append(line)
    print(_bench.table(heads, cells), flush=True)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="folder of photos; smooth random pictures by default")
    parser.add_argument("--count", type=int, default=24, help="photos for the accuracy columns")
    parser.add_argument("--models", nargs="+", choices=["b16", "l14"], default=["b16", "l14"])
    parser.add_argument("--threads", type=int, default=1, help="of every engine")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="ViT-B/16 alone, three rounds")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    models, rounds = (["b16"], 3) if options.quick else (options.models, options.rounds)
    about = _bench.machine() | {"threads": options.threads}
    print(f"{_bench.headline(about)}, {options.threads} thread(s)\n")
    import_limits(options.threads)
    rates = _bench.matmul_rates(options.threads, cuda=_bench.has_cuda()) | torch_rates(options.threads)
    print(
        "Large matrix products, GFLOP/s and core: "
        + ", ".join(f"{k} {v / 1e9:.0f}" for k, v in rates.items())
        + "\n"
    )
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        for model in models:
            config, ways = ways_of(model, Path(name), options.threads)
            pixels = read_pixels(options.photos, max(options.count, BATCH), config.image_size)
            small = model == "b16"
            take_turns(ways, pixels, rounds if small else min(rounds, 3), 3 if small else 1)
            rows = report(model, config, ways, rates, agreement(ways, pixels) if small else None)
            print(
                f"ViT-{model[0].upper()}/{model[1:]}, {_bench.tower_flops(config) / 1e9:.1f} GFLOP a photo\n"
            )
            print_rows(rows)
            print()
            results += rows
            del ways
    if options.json:
        figures = {"machine": about, "matmul_flops_per_second": rates, "towers": results}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def import_limits(threads: int) -> None:
    """Hold numpy to the same number of threads, where threadpoolctl is installed to do so."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(threads)


def torch_rates(threads: int) -> dict[str, float]:
    """Rates of torch's large matrix products, where torch is installed."""
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(threads)
    rates = {}
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        x = torch.randn(2048, 2048).to(dtype)
        rates[f"torch CPU {precision}"] = (
            2 * 2048**3 / _bench.best_seconds(lambda x=x: x @ x, 5, time.process_time)
        )
        if torch.cuda.is_available():
            y = torch.randn(8192, 8192, device="cuda").to(dtype)

            def product(y: Any = y) -> None:  # noqa: ANN401 - a tensor
                _ = y @ y
                torch.cuda.synchronize()

            product()
            rates[f"torch CUDA {precision}"] = 2 * 8192**3 / _bench.best_seconds(product, 5)
    return rates


if __name__ == "__main__":
    sys.exit(main())
