"""Where the time of one answer goes, stage by stage, against what the arithmetic and the memory allow.

    python benchmarks/stages.py [--release base] [--engine openvino] [--photo FILE] [--json FILE]

Two stages have a floor: the image tower its floating-point operations at the rate of the largest matrix
products that any library at hand reaches in the same precision, and scoring the gallery its bytes at the rate
at which memory is read. Both rates are measured in the same process, and compared in processor time, which
other work on the machine disturbs less than the clock. The other stages are told in milliseconds.
`gallery.py` does the same for galleries of a million places.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import _bench
from whyhere._parts import Parts, assemble
from whyhere.encoders import VIT_B_16, VIT_L_14
from whyhere.geo import place_names
from whyhere.images import open_photo, preprocess
from whyhere.ranking import CellIndex, cell_probabilities, rank_places
from whyhere.releases import asset_path, load_image_tower, resolve

TOWER, GALLERY = "image tower", "score the gallery"
FLOPS = {512: _bench.tower_flops(VIT_B_16), 768: _bench.tower_flops(VIT_L_14)}  # by width of the embedding


def stage_times(parts: Parts, photo: Path, runs: int) -> dict[str, tuple[list[float], list[float]]]:
    """Answer a photo again and again, stage by stage.

    Args:
        parts: What a locator is made of.
        photo: The photo.
        runs: How often it is answered; one more goes before and is not counted.

    Returns:
        For every stage, milliseconds of each run by the clock, and of processor time.
    """
    cells = CellIndex.build(parts.gallery.lat, parts.gallery.lon, resolution=parts.ranking.cell_resolution)
    alignment, gallery, ranking = parts.alignment, parts.gallery, parts.ranking
    times: dict[str, tuple[list[float], list[float]]] = {}

    def timed(name: str, work: Callable[..., Any], *args: object, **options: object) -> Any:  # noqa: ANN401
        clock, used = time.perf_counter(), time.process_time()
        result = work(*args, **options)
        wall, processor = times.setdefault(name, ([], []))
        wall.append(1e3 * (time.perf_counter() - clock))
        processor.append(1e3 * (time.process_time() - used))
        return result

    for _ in range(runs + 1):
        image = timed("read the photo", open_photo, photo).image
        pixels = timed(f"prepare {parts.preprocessing.views} view(s)", preprocess, image, parts.preprocessing)
        views = timed(TOWER, parts.tower.embed_only, pixels)
        if parts.view_average == "embeddings":
            mean = (views / np.linalg.norm(views, axis=1, keepdims=True)).mean(axis=0)
            views = mean / np.linalg.norm(mean)
        code = timed("concept code", alignment.encode_image, views)
        scores = timed(GALLERY, alignment.scores, code, gallery.embeddings)
        surface = timed(
            "probability surface",
            cell_probabilities,
            scores,
            cells,
            temperature=ranking.temperature,
            background=ranking.background,
        )
        places = timed(
            "merge places", rank_places, surface, scores, cells, top=5, radius_km=ranking.radius_km
        )
        points = [place.point for place in places]
        timed("contributions", alignment.contributions, code, gallery.embeddings[points])
        timed("place names", place_names, gallery.lat[points], gallery.lon[points])
    return {name: (wall[1:], processor[1:]) for name, (wall, processor) in times.items()}


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--release", default="base", help="name or directory of a release")
    parser.add_argument("--engine", help="of the image tower; WHYHERE_ENGINE's or onnxruntime by default")
    parser.add_argument("--photo", type=Path, help="photo to answer; the Kauai picture by default")
    parser.add_argument("--threads", type=int, help="of the image tower; all cores by default")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="three runs")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    about = _bench.machine()
    release = resolve(options.release)
    parts = assemble(release, threads=options.threads)
    if options.engine:
        import dataclasses

        tower = load_image_tower(release, threads=options.threads, engine=options.engine)
        parts = dataclasses.replace(parts, tower=tower)
    times = stage_times(
        parts, options.photo or asset_path("geoclip") / "Kauai.png", 3 if options.quick else options.runs
    )
    computes = str(getattr(parts.tower, "computes_with", "?"))
    rates = _bench.matmul_rates(options.threads or 0)
    rate = max(value for name, value in rates.items() if name.endswith(computes.rpartition(" ")[2]))
    words = parts.gallery.embeddings.view(np.uint64)
    read_ms = _bench.best_seconds(lambda: words.max(), 9, time.process_time) * 1e3
    flops = FLOPS.get(parts.tower.dim, float("nan")) * parts.preprocessing.views
    floors = {TOWER: flops / rate * 1e3, GALLERY: read_ms}
    rows = []
    for name, (wall, processor) in times.items():
        floor = floors.get(name)
        rows.append(
            {
                "stage": name,
                "ms": statistics.median(wall),
                "best_ms": min(wall),
                "processor_ms": min(processor),
                "floor_ms": floor,
                "times_floor": min(processor) / floor if floor else None,
            }
        )
    total = {key: sum(row[key] for row in rows) for key in ("ms", "best_ms", "processor_ms")}
    print(f"{_bench.headline(about)}\n\n{release.name}, {len(parts.gallery):,} places, tower: {computes}")
    print(
        f"{flops / 1e9:.0f} GFLOP at {rate / 1e9:.0f} GFLOP/s and core; "
        f"{parts.gallery.embeddings.nbytes / 1e6:.0f} MB at "
        f"{parts.gallery.embeddings.nbytes / read_ms / 1e6:.1f} GB/s\n"
    )
    heads = ["stage", "ms, median", "ms, best", "processor ms, best", "floor", "times the floor"]
    lines = [_line(row) for row in [*rows, {"stage": "**all**", **total}]]
    print(_bench.table(heads, lines))
    if options.json:
        figures = {"machine": about, "tower": computes, "matmul": rates, "read_ms": read_ms, "stages": rows}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _line(row: dict[str, Any]) -> list[str]:
    """The cells of one stage."""
    line = [row["stage"], *(f"{row[key]:.1f}" for key in ("ms", "best_ms", "processor_ms"))]
    if row.get("floor_ms") is None:
        return [*line, "", ""]
    return [*line, f"{row['floor_ms']:.1f}", f"{row['times_floor']:.2f}"]


if __name__ == "__main__":
    sys.exit(main())
