"""whyhere against the `geoclip` package: same weights, same photos, same machine, turn by turn in one run.

    pip install torch==2.13.0 "transformers>=5" pandas "whyhere[fast]"       # a CPU build of torch
    python benchmarks/against_geoclip.py [--wheel geoclip-1.3.0-py3-none-any.whl] [--json FILE]

Both get a CLIP ViT-L/14 image tower with random weights (speed does not depend on them), GeoCLIP's own head,
location encoder and temperature from the wheel, and the same galleries: its 94,100 places jittered to
100,000 and to 1,000,000. whyhere gets them as with `whyhere releases fetch geoclip-l14 --from FOLDER`.
The text tower, which no photo needs, is a tiny one: with the true one geoclip would take 0.5 GB more memory.

Each side runs in a process of its own that stays, and they answer in turns. The first answer counts from the
start of the process. geoclip embeds its gallery at every `predict`, whyhere did so once; that is what is
compared. geoclip has no call for many photos, so its batch goes through its `forward`, which embeds the
gallery once for all: the best that its user can do. With the extra `fast` whyhere also runs in OpenVINO.

At a million places geoclip needs about 13 GB and minutes; it answers once, and not where memory is short.
With `--quick` there are 8 photos in the batch, one answer and 100,000 places only. `--work DIR` keeps
what is made (5 GB) for the next run, which then takes two minutes less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import _bench
from whyhere.errors import PhotoError
from whyhere.images import find_photos

HERE = Path(__file__).resolve().parent
NEEDED_GB = {100_000: 4.0, 1_000_000: 16.0}  # by geoclip, with a margin
JITTER_DEG = 0.05

# In processes of their own, so that their memory is given back and is not counted for either side.
MAKE_CLIP = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])
from clip_folder import write_clip_folder
from whyhere.encoders import VIT_L_14
write_clip_folder(Path(sys.argv[1]), vision=VIT_L_14)
"""
FETCH = """
import sys; from pathlib import Path
from whyhere.releases import fetch, prepare_heads, resolve
fetch("geoclip-l14", folder=Path(sys.argv[1]))
prepare_heads(resolve("geoclip-l14"))
"""
MAKE_RELEASE = """
import json, shutil, sys, time; from pathlib import Path
import numpy as np
from whyhere._parts import prepare_gallery
from whyhere.releases import asset_path, resolve
folder, count, jitter = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
known, rng = np.load(asset_path("geoclip") / "gallery.npy"), np.random.default_rng(count)
points = known[rng.integers(0, len(known), count)] + rng.normal(0, jitter, (count, 2))
points = np.stack([points[:, 0].clip(-89.9, 89.9), (points[:, 1] + 180) % 360 - 180], axis=1)
folder.mkdir(parents=True)
np.save(folder / "gallery.npy", points.astype(np.float32).astype(np.float64))
own = resolve("geoclip-l14").directory
config = json.loads((own / "config.json").read_text())
config |= {"name": folder.name, "gallery": {"folder": "."}}
(folder / "config.json").write_text(json.dumps(config))
for name in ("concepts.json", "MODEL_CARD.md"):
    shutil.copyfile(own / name, folder / name)
start = time.perf_counter()
prepare_gallery(resolve(folder))
print(time.perf_counter() - start)
"""


class Worker:
    """A side, running in a process of its own."""

    def __init__(self, side: str, settings: dict[str, Any], environment: dict[str, str]) -> None:
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "_answer_worker.py"), side, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, command: str, *photos: Path) -> dict[str, Any]:
        """Send a command and wait for its reply.

        Raises:
            SystemExit: The process ended; it has said why on standard error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("\t".join([command, *map(str, photos)]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemExit(f"a side ended without an answer (exit status {self._process.wait()})")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def first(self, photo: Path) -> dict[str, Any]:
        """The first answer, from the start of the process."""
        reply = self.ask("answer", photo)
        return reply | {
            "wall_s": time.perf_counter() - self._started,
            "processor_s": reply["processor_s_so_far"],
        }

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def prepare(work: Path, wheel: Path | None, galleries: list[int]) -> dict[str, float]:
    """Install everything into `work`; seconds of what whyhere does once per gallery."""
    environment = environment_of(work)
    clip, package = work / "clip", work / "package"
    if not (clip / "model.safetensors").exists():
        subprocess.run(
            [sys.executable, "-c", MAKE_CLIP, str(clip), str(_bench.ROOT / "tests")],
            check=True,
            env=environment,
        )
    if wheel is None:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--ignore-requires-python"]
        subprocess.run([*command, "-d", str(work), "geoclip==1.3.0"], check=True, stdout=sys.stderr)
        (wheel,) = work.glob("geoclip-*.whl")
    if not package.exists():
        zipfile.ZipFile(wheel).extractall(package)
    sources = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.resolve().parent)}
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(clip)], check=False, env=environment | sources, stdout=sys.stderr
    )
    if done.returncode:
        raise SystemExit("the weights could not be installed, see above")
    once = {}
    for count in galleries:
        if not (folder := work / f"release-{count}").exists():
            arguments = [str(folder), str(count), str(JITTER_DEG)]
            done_once = subprocess.run(
                [sys.executable, "-c", MAKE_RELEASE, *arguments],
                check=True,
                env=environment,
                capture_output=True,
                text=True,
            )
            once[f"{count}"] = float(done_once.stdout.split()[-1])
    return once


def environment_of(work: Path, **more: str) -> dict[str, str]:
    """The environment of a process that finds whyhere's files in `work`."""
    return os.environ | {"WHYHERE_HOME": str(work / "home"), "WHYHERE_ENGINE": "onnxruntime"} | more


def photos_of(folder: Path | None, work: Path, count: int) -> list[Path]:
    """Photos of a folder, or crops of the Kauai picture that comes with geoclip."""
    if folder is not None:
        found = [path for path in find_photos([str(folder)]) if not isinstance(path, PhotoError)][:count]
        if len(found) < count:
            raise SystemExit(f"{folder}: {len(found)} photos found, {count} needed")
        return found
    import random

    from PIL import Image

    target, rng = work / "photos", random.Random(0)
    target.mkdir(exist_ok=True)
    picture = Image.open(work / "package" / "geoclip" / "images" / "Kauai.png").convert("RGB")
    paths = [target / f"{number:03}.jpg" for number in range(count)]
    for path in paths:
        side = rng.randint(300, min(picture.size))
        left, top = (rng.randint(0, length - side) for length in picture.size)
        picture.crop((left, top, left + side, top + side)).save(path, quality=90)
    return paths


def measure(
    sides: dict[str, tuple[str, dict[str, Any], dict[str, str]]],
    photos: list[Path],
    *,
    answers: int,
    batch: bool,
) -> dict[str, dict[str, Any]]:
    """Let all sides answer in turns.

    Args:
        sides: Name -> kind, settings and environment of its process.
        photos: The photos; the first ones are answered singly, all of them in the batch.
        answers: Next answers of each side; 0 takes the next answer of geoclip from its first, less loading.
        batch: Whether there is a batch.

    Returns:
        By side: replies to "first", "next" (a list) and "batch".
    """
    workers: dict[str, Worker] = {}
    found: dict[str, dict[str, Any]] = {}
    try:
        for name, (kind, settings, environment) in sides.items():
            workers[name] = worker = Worker(kind, settings, environment)
            if kind == "geoclip" and not answers:
                loaded = worker.ask("load")
                reply = worker.ask("answer", photos[0])
                first = {key: loaded[key] + reply[key] for key in ("wall_s", "processor_s")}
                found[name] = {"first": reply | first, "next": [reply]}
            else:
                found[name] = {"first": worker.first(photos[0]), "next": []}
            say(f"{name}: first answer {found[name]['first']['wall_s']:.1f} s")
        for turn in range(answers or 2):
            for name, worker in workers.items():
                if answers or sides[name][0] != "geoclip":
                    found[name]["next"].append(worker.ask("answer", photos[turn % len(photos)]))
        for name, worker in workers.items():
            found[name]["peak_mb"] = worker.ask("load")["peak_mb"]
            say(f"{name}: next answer {seconds(found[name]['next'], 'wall_s'):.2f} s")
        for name, worker in workers.items():
            if batch:
                found[name]["batch"] = worker.ask("batch", *photos)
                say(f"{name}: {len(photos)} photos in {found[name]['batch']['wall_s']:.1f} s")
    finally:
        for worker in workers.values():
            worker.close()
    return found


def seconds(replies: list[dict[str, Any]], key: str) -> float:
    """The median of several answers."""
    return statistics.median(reply[key] for reply in replies)


def rows_of(places: int, photos: int, found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the figures of one gallery together."""
    rows: list[dict[str, Any]] = []
    for what in ("first answer", "next answer", f"{photos} photos"):
        row: dict[str, Any] = {"what": what, "places": places}
        for name, figures in found.items():
            kind = what.split()[0]
            replies = (
                figures["next"] if kind == "next" else [figures.get("first" if kind == "first" else "batch")]
            )
            if replies[0] is not None:
                row[name] = {key: seconds(replies, key) for key in ("wall_s", "processor_s")}
        if len(row) > 2:
            rows.append(row)
    rows.append(
        {"what": "peak memory, GB", "places": places} | {n: f["peak_mb"] / 1e3 for n, f in found.items()}
    )
    if any("batch" in figures for figures in found.values()):
        memory = {name: figures["batch"]["peak_mb"] / 1e3 for name, figures in found.items()}
        rows.append({"what": f"the same after {photos} photos", "places": places} | memory)
    return rows


def cell(value: float | dict[str, float] | None) -> str:
    """A figure: gigabytes, or seconds by the clock and of processor time."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value['wall_s']:.2f} ({value['processor_s']:.2f})"


def ratio(theirs: float | dict[str, float] | None, ours: float | dict[str, float] | None) -> str:
    """How many times as much theirs is: by the clock, and of processor time."""
    if theirs is None or ours is None:
        return "-"
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return " ".join(
            f"{theirs[key] / ours[key]:.1f}" if key == "wall_s" else f"({theirs[key] / ours[key]:.1f})"
            for key in ("wall_s", "processor_s")
        )
    assert isinstance(theirs, float)
    assert isinstance(ours, float)
    return f"{theirs / ours:.1f}"


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--wheel", type=Path, help="geoclip-1.3.0-py3-none-any.whl; fetched by pip by default"
    )
    parser.add_argument("--photos", type=Path, help="folder of photos; crops of the Kauai picture by default")
    parser.add_argument("--galleries", type=int, nargs="+", default=[100_000, 1_000_000], metavar="PLACES")
    parser.add_argument("--batch", type=int, default=64, help="photos in the batch")
    parser.add_argument("--answers", type=int, default=2, help="next answers of each that are counted")
    parser.add_argument("--threads", type=int, help="of either side; all cores by default")
    parser.add_argument("--quick", action="store_true", help="8 photos, one answer, 100,000 places")
    parser.add_argument("--work", type=Path, help="folder to keep what is made in")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    if options.quick:
        options.batch, options.answers, options.galleries = 8, 1, [100_000]
    about, started = _bench.machine(), time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        once = prepare(work, options.wheel, options.galleries)
        say(f"prepared in {time.perf_counter() - started:.0f} s")
        photos = photos_of(options.photos, work, options.batch)
        rows: list[dict[str, Any]] = []
        answers: dict[str, Any] = {}
        for number, places in enumerate(options.galleries):
            sides = sides_of(work, places, options.threads)
            if _bench.unused_memory_gb() < NEEDED_GB.get(places, 4.0):
                say(f"geoclip at {places:,} places is left out: too little memory is free")
                del sides["geoclip"]
            large = number > 0
            if large:
                sides.pop("whyhere, openvino", None)  # another tower is no matter of the gallery
            found = measure(sides, photos, answers=0 if large else options.answers, batch=not large)
            rows += rows_of(places, options.batch, found)
            answers[f"{places}"] = {
                name: {"first": figures["first"]["places"], "batch": figures.get("batch", {}).get("places")}
                for name, figures in found.items()
            }
    print_report(about, options, rows, once, time.perf_counter() - started)
    if options.json:
        figures = {"machine": about, "rows": rows, "once_s": once, "answers": answers}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def sides_of(
    work: Path, places: int, threads: int | None
) -> dict[str, tuple[str, dict[str, Any], dict[str, str]]]:
    """The sides that can be run: kind, settings and environment of each."""
    release = work / f"release-{places}"
    theirs = {
        "package": str(work / "package"),
        "clip": str(work / "clip"),
        "places": str(release / "gallery.npy"),
        "threads": threads,
    }
    ours = {"release": str(release), "threads": threads}
    sides = {
        "geoclip": ("geoclip", theirs, environment_of(work)),
        "whyhere": ("whyhere", ours, environment_of(work)),
    }
    if _bench.has_openvino():
        sides["whyhere, openvino"] = ("whyhere", ours, environment_of(work, WHYHERE_ENGINE="openvino"))
    return sides


def print_report(
    about: dict[str, Any],
    options: argparse.Namespace,
    rows: list[dict[str, Any]],
    once: dict[str, float],
    took: float,
) -> None:
    """Print the Markdown table."""
    print(
        f"{_bench.headline(about)}; seconds by the clock (processor seconds), median of {options.answers}\n"
    )
    names = [name for name in ("geoclip", "whyhere", "whyhere, openvino") if any(name in row for row in rows)]
    heads = ["", *names, *(f"geoclip / {name}" for name in names if name != "geoclip")]
    lines = []
    for row in rows:
        cells = [f"{row['what']}, {row['places']:,} places", *(cell(row.get(name)) for name in names)]
        cells += [ratio(row.get("geoclip"), row.get(name)) for name in names if name != "geoclip"]
        lines.append(cells)
    print(_bench.table(heads, lines))
    for places, spent in once.items():
        print(f"\nwhyhere embedded {int(places):,} places once, in {spent:.0f} s.")
    print(f"\nThe whole run took {took:.0f} s.")


if __name__ == "__main__":
    sys.exit(main())
