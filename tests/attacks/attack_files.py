"""Mutated files against every reader: a seed file of each kind, changed at random, must be read or refused.

`attack(kind, seed=..., count=...)` makes `count` files from the seed and says what the reader did with each.
Allowed are an answer or an error that whyhere raises on purpose; anything else is a failure, as is a file
that takes more than `LONGEST_S` of processor time.
"""

from __future__ import annotations

import io
import json
import os
import random
import time
import traceback
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tiny_training import write_tiny_release
from whyhere.errors import WhyhereError

LONGEST_S = 10.0
"""What `SECURITY.md` promises of any one file."""


@dataclass
class Findings:
    """What a reader did with many files.

    Attributes:
        kind: Kind of file.
        files: How many were tried.
        read: How many gave an answer.
        refused: How many were refused with an error of whyhere's own.
        failures: What else happened, with the number of the file: `mutant(kind, seed, number)` gives it back.
        slowest_s: Processor time of the slowest file.
    """

    kind: str
    files: int = 0
    read: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


# Seeds --------------------------------------------------------------------------------------------------


def _picture() -> Image.Image:
    rng = np.random.default_rng(5)
    grid = np.kron(rng.integers(0, 255, (6, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    return Image.fromarray(grid)


def _saved(mode: str, suffix: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    _picture().convert(mode).save(buffer, suffix, **options)
    return buffer.getvalue()


def _with_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    gps = exif.get_ifd(0x8825)
    gps |= {1: "N", 2: (48.0, 51.0, 29.6), 3: "E", 4: (2.0, 17.0, 40.2)}
    buffer = io.BytesIO()
    _picture().save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def _animation(suffix: str) -> bytes:
    buffer = io.BytesIO()
    frames = [_picture().rotate(angle) for angle in (0, 90, 180)]
    frames[0].save(buffer, suffix, save_all=True, append_images=frames[1:], duration=50)
    return buffer.getvalue()


def _heic() -> bytes:
    """A HEIC file where something here can write one; pillow's AVIF, of the same container, where not."""
    with suppress(ImportError, KeyError, OSError):
        import pi_heif  # noqa: F401 - its reader is then the one that is attacked

    return _saved("RGB", "AVIF").replace(b"ftypavif", b"ftypheic", 1)


PHOTOS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: _saved("RGB", "JPEG"),
    "JPEG with EXIF": _with_exif,
    "progressive JPEG": lambda: _saved("CMYK", "JPEG", progressive=True),
    "PNG": lambda: _saved("RGBA", "PNG"),
    "PNG palette": lambda: _saved("P", "PNG"),
    "GIF": lambda: _animation("GIF"),
    "WebP": lambda: _animation("WEBP"),
    "TIFF": lambda: _saved("RGB", "TIFF", compression="tiff_lzw"),
    "TIFF float": lambda: _saved("F", "TIFF"),
    "BMP": lambda: _saved("RGB", "BMP"),
    "AVIF": lambda: _saved("RGB", "AVIF"),
    "HEIC container": _heic,
}

_REGION = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"name": "Bay"},
            "geometry": {
                "type": "MultiPolygon",
                "coordinates": [
                    [[[170, -20], [179, -20], [179, -10], [170, -10], [170, -20]]],
                    [[[-179, -20], [-170, -20], [-170, -10], [-179, -10], [-179, -20]]],
                ],
            },
        }
    ],
}
_BANK = """format = 1
name = "mine"
templates = ["a photo of {}."]

[[concept]]
id = "x-snow"
name = "Snow"
group = "climate and weather"
definition = "Frozen water."
prompts = ["snow", "deep snow"]
words = ["snow"]

[[concept]]
name = "seaside"
words = ["beach", "sea"]
"""
_TABLE = "file,lat,lon,country\n" + "".join(
    f"{i}.jpg,{i * 7 - 60}.5,{i * 19 - 170}.25,FR\n" for i in range(12)
)
_ANSWER = {"lat": 3, "lon": -7, "probability": 0.5, "radius_km": 200.0}
_PREDICTIONS = "".join(json.dumps({"photo": f"{i}.jpg", "answers": [_ANSWER]}) + "\n" for i in range(6))
TEXTS: dict[str, str] = {
    "region": json.dumps(_REGION),
    "bank": _BANK,
    "table of photos": _TABLE,
    "benchmark": _TABLE,
    "table of values": _TABLE.replace("country", "value").replace("FR", "3.5"),
    "predictions": _PREDICTIONS,
}
WORDS: dict[str, tuple[str, ...]] = {
    "region by name": ("FR,DE", "Europe", "Bavaria", "Georgia, US", "-25,170,-10,-170", "48,2,49,3"),
    "position": (
        "48°51'29.6\"N 2°17'40.2\"E",
        "48,8582; 2,2945",
        "geo:48.8582,2.2945",
        "https://www.openstreetmap.org/#map=12/48.85/2.29",
        "48 deg 51' 29.60\" N, 2 deg 17' 40.20\" E",
    ),
    "hint": ("snowy mountains and palm trees", "Cyrillic, left-hand traffic", "Norwegian fjord", "no beach"),
}

# Mutations ----------------------------------------------------------------------------------------------

_ODD_TEXT = (
    "1e999", "-0", "NaN", "9" * 5000, "1" + "0" * 400, "-1e-400", "true", "null", "[]", "{}", '""',
    "[" * 3000, "{" * 900, "\\ud800", "\x00", "\x1b]0;x\x07", "\u202e", "=cmd|x", '"' * 3, "'''", "\n\n",
    ",,,,", "É" * 50, "\ufeff", "\\",
)  # fmt: skip


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _drop(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 4, 40))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + rng.choice((1, 8, 64, 512))] * rng.choice((1, 2, 50))


def _extreme(data: bytearray, rng: random.Random) -> None:
    """Overwrite what may be a length or a count."""
    at, width = rng.randrange(len(data)), rng.choice((1, 2, 4, 8))
    value = rng.choice((0, 1, 2 ** (8 * width - 1) - 1, 2 ** (8 * width - 1), 2 ** (8 * width) - 1))
    data[at : at + width] = value.to_bytes(width, rng.choice(("big", "little")))


def _noise(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at : at + 16] = rng.randbytes(16)


def _odd_word(data: bytearray, rng: random.Random) -> None:
    """Put an odd value where a number, a word or nothing was."""
    at = rng.randrange(len(data))
    data[at : at + rng.choice((0, 1, 3, 9))] = rng.choice(_ODD_TEXT).encode("utf-8", "surrogatepass")


_BYTES = (_flip, _flip, _cut, _drop, _repeat, _extreme, _extreme, _noise)
_TEXT = (_flip, _cut, _drop, _repeat, _odd_word, _odd_word, _odd_word)


def _mutate(data: bytes, rng: random.Random, *, text: bool) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if changed:
            rng.choice(_TEXT if text else _BYTES)(changed, rng)
    return bytes(changed)


def seeds(kind: str) -> list[bytes]:
    """Return the files of a kind that nothing was done to."""
    if kind in PHOTOS:
        return [PHOTOS[kind]()]
    return [text.encode() for text in WORDS.get(kind, ())] or [TEXTS[kind].encode()]


def mutant(kind: str, seed: int, number: int) -> bytes:
    """Return file `number` of a kind: the same for the same arguments, whatever ran before."""
    rng = random.Random(f"{kind} {seed} {number}")
    if kind in PHOTOS:
        data = _mutate(_SEEDS.setdefault(kind, PHOTOS[kind]()), rng, text=False)
        return _with_checksums(data) if kind.startswith("PNG") and rng.random() < 0.7 else data
    return _mutate(rng.choice(seeds(kind)), rng, text=True)


def _with_checksums(png: bytes) -> bytes:
    """Make the checksums of a PNG's chunks right again: with wrong ones nothing behind them is read."""
    data, at = bytearray(png), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(data)


_SEEDS: dict[str, bytes] = {}

# Readers ------------------------------------------------------------------------------------------------


def _read_photo(data: bytes, folder: Path) -> None:
    from whyhere.images import open_photo

    image = open_photo(data).image
    assert image.mode == "RGB"
    assert min(image.size) > 0


def _read_region(data: bytes, folder: Path) -> None:
    from whyhere.geo import parse_region

    path = folder / "region.geojson"
    path.write_bytes(data)
    parse_region(str(path)).contains(np.array([0.0, -15.0]), np.array([0.0, 179.5]))


def _read_bank(data: bytes, folder: Path) -> None:
    from whyhere.concepts import load_bank, read_own_bank

    path = folder / "bank.toml"
    path.write_bytes(data)
    with suppress(WhyhereError):
        load_bank(path)
    read_own_bank(path, photo_suffixes={".jpg"})


def _read_photos(data: bytes, folder: Path) -> None:
    from whyhere.tables import read_photos

    path = folder / "table.csv"
    path.write_bytes(data)
    read_photos(path, need_photos=False)


def _read_benchmark(data: bytes, folder: Path) -> None:
    from whyhere.evaluation import read_benchmark

    path = folder / "table.csv"
    path.write_bytes(data)
    read_benchmark(path)


def _read_values(data: bytes, folder: Path) -> None:
    from whyhere.evaluation.probing import read_table

    path = folder / "values.csv"
    path.write_bytes(data)
    read_table(path, target="value")


def _read_predictions(data: bytes, folder: Path) -> None:
    from whyhere.evaluation import read_predictions

    path = folder / "predictions.jsonl"
    path.write_bytes(data)
    read_predictions(path)


def _text(data: bytes) -> str:
    return os.fsdecode(data)  # as a command line would hand it over, lone surrogates included


def _read_region_name(data: bytes, folder: Path) -> None:
    from whyhere.geo import parse_region

    parse_region(_text(data)).contains(np.array([0.0, 48.0]), np.array([0.0, 2.0]))


def _read_position(data: bytes, folder: Path) -> None:
    from whyhere.geo import read_position

    read_position(_text(data))


def _read_hint(data: bytes, folder: Path) -> None:
    from whyhere.concepts import open_vocabulary

    open_vocabulary().direction(_text(data))


READERS: dict[str, Callable[[bytes, Path], None]] = {
    **dict.fromkeys(PHOTOS, _read_photo),
    "region": _read_region,
    "bank": _read_bank,
    "table of photos": _read_photos,
    "benchmark": _read_benchmark,
    "table of values": _read_values,
    "predictions": _read_predictions,
    "region by name": _read_region_name,
    "position": _read_position,
    "hint": _read_hint,
}
KINDS = (*READERS, "release")

RELEASE_FILES = ("config.json", "concepts.json", "model.safetensors")


class _Release:
    """A tiny release, one file of which is changed at a time; the whole of it is loaded every time."""

    def __init__(self, folder: Path) -> None:
        self.folder = write_tiny_release(folder / "release")
        self.files = {name: (self.folder / name).read_bytes() for name in RELEASE_FILES}

    def try_(self, seed: int, number: int) -> None:
        from whyhere import Locator

        rng = random.Random(f"release {seed} {number}")
        name = RELEASE_FILES[number % len(RELEASE_FILES)]
        # The header of a weight file is JSON, and the part worth attacking.
        text = name.endswith(".json") or rng.random() < 0.3
        data = self.files[name]
        if name.endswith(".safetensors") and rng.random() < 0.7:
            end = 8 + int.from_bytes(data[:8], "little")
            head = _mutate(data[8:end], rng, text=text)
            data = (len(head) if rng.random() < 0.7 else end - 8).to_bytes(8, "little") + head + data[end:]
        else:
            data = _mutate(data, rng, text=text)
        (self.folder / name).write_bytes(data)
        try:
            Locator.from_release(self.folder)
        finally:
            (self.folder / name).write_bytes(self.files[name])


# The suite ----------------------------------------------------------------------------------------------


def attack(kind: str, *, seed: int, count: int, folder: Path, until_s: float = float("inf")) -> Findings:
    """Give a reader `count` mutated files.

    Args:
        kind: One of `KINDS`.
        seed: Other seeds give other files.
        count: How many files.
        folder: Empty folder for files that are read from disk.
        until_s: Stop early at this `time.monotonic()`.
    """
    findings = Findings(kind)
    release = _Release(folder) if kind == "release" else None
    for number in range(count):
        if time.monotonic() > until_s:
            break
        findings.files += 1
        start = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                if release is not None:
                    release.try_(seed, number)
                else:
                    READERS[kind](mutant(kind, seed, number), folder)
            findings.read += 1
        except WhyhereError as error:
            findings.refused += 1
            if not str(error).strip():
                findings.failures.append(f"file {number}: refused without a word")
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {str(error)[:120]} ({where.name}, line {where.lineno})"
            findings.failures.append(f"file {number}: {what}")
        spent = time.process_time() - start
        findings.slowest_s = max(findings.slowest_s, spent)
        if spent > LONGEST_S:
            findings.failures.append(f"file {number}: {spent:.1f} s")
    return findings
