"""A locator that needs no weights: answers by mean colour, in batches like the real one.

As a script it locates the photos of a folder into a ledger, slowly, and notes each photo that it looks at:

    python stub_locator.py FOLDER OUT NOTES SECONDS
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from whyhere.errors import PhotoError
from whyhere.evaluation import Benchmark, Query, open_ledger, photos_of, predict
from whyhere.geo import PlaceName
from whyhere.images import open_photo
from whyhere.prediction import Answer, Prediction

RUN = {"release": "stub 1", "fingerprint": "abc", "top": 5}


class StubLocator:
    def __init__(self, *, seconds: float = 0.0, note: Callable[[str], None] = lambda name: None) -> None:
        self._seconds, self._note = seconds, note

    def locate_each(self, photos: Iterable[Path], *, top: int = 5) -> Iterator[Prediction | PhotoError]:
        photos = list(photos)
        for start in range(0, len(photos), 3):  # in batches, as the image tower takes them
            opened = []
            for path in photos[start : start + 3]:
                try:
                    opened.append(open_photo(path))
                except PhotoError as error:
                    opened.append(error)
            for photo in opened:
                if isinstance(photo, PhotoError):
                    yield photo
                    continue
                time.sleep(self._seconds)
                self._note(photo.name)
                red, green, blue = np.asarray(photo.image, np.float64).reshape(-1, 3).mean(axis=0)
                yield Prediction(
                    photo.name,
                    "stub 1",
                    bool(blue > 128),
                    None,
                    tuple(
                        Answer(
                            rank,
                            red / 255 * 170 - 85,
                            (green / 255 * 350 - 175 + rank) % 180,
                            200.0,
                            (blue / 255) / rank,
                            PlaceName("Somewhere", None, "Fiji", "FJ"),
                            0.1,
                            (),
                            0.1,
                        )
                        for rank in range(1, top + 1)
                    ),
                )


def benchmark_of(folder: Path) -> Benchmark:
    names = sorted(path.name for path in folder.iterdir())
    return Benchmark("stub", None, len(names), tuple(Query(name, 1.0, 2.0, 1) for name in names), ())


def main() -> None:
    folder, out, notes, seconds = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])
    benchmark, files = photos_of(benchmark_of(folder), folder)
    with notes.open("a") as file, open_ledger(out, RUN) as ledger:

        def note(name: str) -> None:
            file.write(f"{Path(name).name}\n")
            file.flush()

        predict(StubLocator(seconds=seconds, note=note), benchmark, files, ledger=ledger)


if __name__ == "__main__":
    main()
