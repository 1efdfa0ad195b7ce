"""Kill what writes files at random moments, let the same command finish, and compare with an undisturbed one.

Usage: kills.py SUITE SEED COUNT, in a process of its own: it loads all once and forks for every attack,
so that a kill costs no start of Python. Prints a `Tally` as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SIGNALS = ("SIGKILL", "SIGKILL", "SIGKILL", "SIGTERM", "SIGINT")
Work = Callable[[Path], None]


@dataclass
class Tally:
    """What one suite found.

    Attributes:
        suite: What was attacked.
        seed: Seed of the moments and signals.
        attacks: Processes that a signal was sent to.
        killed: Those of them that ended by it, and not before.
        wrong: Attacks after which the same command did not finish, or gave another answer.
        half_written: Attacks that left something half-written in the place of a result.
        left_behind: Attacks of which the finishing run left temporary files behind.
        seconds: How long one undisturbed run takes.
    """

    suite: str
    seed: int
    attacks: int = 0
    killed: int = 0
    wrong: list[str] = field(default_factory=list)
    half_written: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    seconds: float = 0.0


def attack(suite: str, seed: int, count: int) -> dict[str, Any]:
    """Run a suite in a process of its own and return its tally as a dictionary."""
    here = Path(__file__)
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join((str(here.parent.parent), *(path for path in sys.path if path))),
    }
    command = [sys.executable, str(here), suite, str(seed), str(count)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{suite}: {done.stderr[-3000:]}")
    tally: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return tally


def _gallery(inputs: Path) -> tuple[Work, str]:
    from tiny_training import write_tiny_release
    from whyhere.gallery import open_gallery

    parts = write_tiny_release(inputs / "mine", gallery=400) / "parts"

    def work(folder: Path) -> None:
        open_gallery(parts / "gallery.npy", parts / "location_encoder.safetensors", folder / "cache")

    return work, "cache/[0-9a-f]*/*"


def _fetch(inputs: Path) -> tuple[Work, str]:
    from whyhere.releases import Asset, HubSource, SourceFile, install

    source = inputs / "model"
    source.mkdir()
    weights = random.Random(0).randbytes(3_000_000)
    (source / "weights.bin").write_bytes(weights)

    def convert(given: Path, built: Path, kind: str) -> None:
        data = (given / "weights.bin").read_bytes()
        for part in range(6):
            with (built / f"part{part}.bin").open("wb") as file:
                file.writelines(data[i : i + 5000] for i in range(part * 500_000, (part + 1) * 500_000, 5000))

    digest = hashlib.sha256(weights).hexdigest()
    files = (SourceFile("weights.bin", len(weights), digest),)
    asset = Asset(
        name="tiny",
        summary="tiny weights",
        licence="none",
        recipe="1",
        files=tuple(f"part{part}.bin" for part in range(6)),
        installed_size=0,
        hub=HubSource("a/b", "0" * 40, files, convert, "tiny"),
    )

    def work(folder: Path) -> None:
        os.environ["WHYHERE_HOME"] = str(folder)
        install(asset, force=False, progress=lambda *told: None, folder=source)

    return work, "assets/tiny/*"


def _command(line: str, results: str) -> Callable[[Path], tuple[Work, str]]:
    def suite(inputs: Path) -> tuple[Work, str]:
        import whyhere.evaluation
        import whyhere.locator
        from attacks.every_command import run, write_inputs

        if line.startswith("train"):
            import whyhere.training._loop  # noqa: F401

        write_inputs(inputs)

        def work(folder: Path) -> None:
            os.chdir(inputs)
            os.environ["WHYHERE_HOME"] = str(inputs / "cache")
            words = line.replace("OUT", str(folder))
            if "train" in words and (folder / "mine" / "training").is_dir():
                words += " --resume"
            if "train" in words and (folder / "mine" / "config.json").is_file():
                return  # it is done, and training refuses to begin again where a release is
            if run(words):
                raise SystemExit(9)

        return work, results

    return suite


SUITES: dict[str, Callable[[Path], tuple[Work, str]]] = {
    "fetch": _fetch,
    "gallery": _gallery,
    "train": _command(
        "train --data table.csv --features features.npy --release OUT/mine --config train.toml",
        "mine/*.*",
    ),
    "evaluate": _command(
        "evaluate table.csv --photos photos --release mine --out OUT/result", "result/predictions.jsonl"
    ),
    "output": _command("locate photos --release mine --format csv -o OUT/answers.csv", "answers.csv"),
}


def in_child(work: Work, folder: Path) -> int:
    """Start work in a process of its own and return its id."""
    from whyhere.errors import WhyhereError

    child = os.fork()
    if child == 0:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        try:
            work(folder)
        except SystemExit as ended:
            os._exit(ended.code if isinstance(ended.code, int) else 1)
        except WhyhereError as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(error.exit_code)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return child


def finished(child: int) -> int:
    """Wait for a process and return its exit status, minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _answer(folder: Path, results: str) -> dict[str, str]:
    """Digests of the results; lines in their order of arrival do not matter, nor do notes about the run."""
    found = {}
    for path in sorted(folder.glob(results)):
        if path.is_file() and not path.name.startswith("manifest"):
            data = path.read_bytes()
            if path.suffix == ".jsonl":
                lines = (re.sub(rb'"seconds": [^,]+, ', b"", line) for line in data.splitlines())
                data = b"\n".join(sorted(lines))
            key = path.relative_to(folder).as_posix()
            found[key] = hashlib.sha256(data.replace(str(folder).encode(), b"")).hexdigest()
    return found


def _temporary(folder: Path) -> list[str]:
    """Files that only work in progress has."""
    marks = (".partial", ".new", ".tmp")
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
        and (path.name.endswith(marks) or ".whyhere-" in path.name or "tmp" in path.relative_to(folder).parts)
    ]


def main(suite: str, seed: int, count: int) -> Tally:
    """Attack one suite `count` times."""
    rng = random.Random(f"{suite} {seed}")
    tally = Tally(suite, seed)
    with tempfile.TemporaryDirectory(prefix="whyhere-kills-") as name:
        root = Path(name)
        inputs = root / "inputs"
        inputs.mkdir()
        work, results = SUITES[suite](inputs)
        work_of_parent = root / "first"
        work_of_parent.mkdir()
        if finished(in_child(work, work_of_parent)):  # everything is imported and cached from here on
            raise SystemExit(f"{suite}: the undisturbed run failed")
        whole = root / "whole"
        whole.mkdir()
        started = time.monotonic()
        if finished(in_child(work, whole)):
            raise SystemExit(f"{suite}: the undisturbed run failed")
        tally.seconds = round(time.monotonic() - started, 3)
        expected = _answer(whole, results)
        if not expected or expected != _answer(work_of_parent, results):
            raise SystemExit(f"{suite}: two undisturbed runs differ: {expected}")
        for turn in range(count):
            folder = root / f"turn{turn}"
            folder.mkdir()
            number = signal.Signals[rng.choice(SIGNALS)]
            delay = rng.uniform(0, tally.seconds)
            child = in_child(work, folder)
            time.sleep(delay)
            os.kill(child, number)
            status = finished(child)
            tally.attacks += 1
            tally.killed += status != 0
            what = f"{number.name} after {delay:.3f} s"
            if suite == "output":  # it grows, whole after every photo
                early = (folder / results).read_bytes() if (folder / results).exists() else b""
                if early and not (early.endswith(b"\n") and (whole / results).read_bytes().startswith(early)):
                    tally.half_written.append(what)
            elif suite in ("gallery", "fetch") and (found := _answer(folder, results)) and found != expected:
                tally.half_written.append(what)  # results that are whole or absent
            again = finished(in_child(work, folder))
            if again or _answer(folder, results) != expected:
                tally.wrong.append(f"{what}: status {again}")
            if left := _temporary(folder):
                tally.left_behind.append(f"{what}: {left[0]}")
    return tally


if __name__ == "__main__":
    print(json.dumps(asdict(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
