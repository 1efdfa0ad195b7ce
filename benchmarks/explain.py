"""How long explanations take beside `locate`, on the same photos and in turn.

    python benchmarks/explain.py --photos DIR [--count 3] [--threads 1]

Prints the ratio of CPU times, which other work on the machine disturbs less, and that of clock
times: median over the photos, lowest and highest. Needs the weights of release base.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from whyhere import Locator
from whyhere.images import find_photos

CASES: dict[str, dict[str, Any]] = {
    "explain": {},
    "versus a town": {"versus": "Suva"},
    "without the remainder": {"remainder": False},
    "at a country, versus a town, two changes": {
        "at": "Japan", "versus": "Suva", "without": ["landform"], "set_": {"snow": 1.0},
    },
    "regions of three concepts": {"regions": 3},
}  # fmt: skip


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return CPU and clock seconds of one call."""
    cpu, clock = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - cpu, time.perf_counter() - clock


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    photos = [found for found in find_photos([options.photos]) if isinstance(found, Path)][: options.count]
    locator = Locator.from_release("base", threads=options.threads)
    for case in CASES.values():  # tables of places and the second session are opened once
        locator.explain(photos[0], **case)
    print(f"{locator.release}, {len(photos)} photos, {options.threads} thread(s): explain / locate")
    for name, case in CASES.items():
        ratios = []
        for photo in photos:
            base = timed(lambda photo=photo: locator.locate(photo))  # type: ignore[misc]
            full = timed(lambda photo=photo, case=case: locator.explain(photo, **case))  # type: ignore[misc]
            ratios.append((full[0] / base[0], full[1] / base[1]))
        cpu, clock = zip(*ratios, strict=True)
        print(
            f"{name:42} CPU {statistics.median(cpu):.2f} ({min(cpu):.2f} to {max(cpu):.2f}), "
            f"clock {statistics.median(clock):.2f}"
        )


if __name__ == "__main__":
    main()
