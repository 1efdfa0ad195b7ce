"""Attacks whyhere for as long as wished, and writes what came of it into docs/reliability.md.

    python scripts/reliability.py                        # 1,000 files of every kind, 20 kills of every suite
    python scripts/reliability.py --minutes 60           # mutated files with new seeds, for an hour
    python scripts/reliability.py --write docs/reliability.md
    python scripts/reliability.py --guided position --minutes 10   # guided by coverage; pip install atheris

Needs the environment of the tests (`scripts/test.py` makes it). Every round of mutated files has a seed of
its own, and the same seed gives the same files. Exit code 1 where anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

if "--guided" in sys.argv:  # what guides is what is imported from here on
    try:
        import atheris
    except ImportError:
        sys.exit("reliability: coverage-guided attacks need atheris; run: pip install atheris")
    with atheris.instrument_imports(include=["whyhere"]):
        from attacks import attack_files, kills
else:
    from attacks import attack_files, kills

FILES, KILLS = 1000, 20
MARKS = {
    name: (f"<!-- {name}: scripts/reliability.py --write -->", f"<!-- end of {name} -->")
    for name in ("files", "kills", "crowds")
}


# Mutated files ------------------------------------------------------------------------------------------


def one_round(kind: str, seed: int, until_s: float) -> tuple[attack_files.Findings, int]:
    """Attack one reader in this process; return what it did and the process's largest memory, MB."""
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as silence:
        os.dup2(silence.fileno(), 2)  # the decoders' own words
        found = attack_files.attack(kind, seed=seed, count=FILES, folder=Path(folder), until_s=until_s)
    return found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def mutated_files(minutes: float | None) -> tuple[str, list[str]]:
    """Attack every reader; return a Markdown table and the failures."""
    start = time.monotonic()
    until_s = start + 60 * minutes if minutes else float("inf")
    rounds: list[tuple[attack_files.Findings, int]] = []
    seed = 0
    while seed == 0 or (minutes and time.monotonic() < until_s):
        # A process for every reader and round: memory is that of the round, and a crash is seen.
        with ProcessPoolExecutor(max_tasks_per_child=1) as pool:
            jobs = [pool.submit(one_round, kind, seed, until_s) for kind in attack_files.KINDS]
            rounds += [job.result() for job in jobs]
        seed += 1
        tried = sum(found.files for found, _ in rounds)
        print(f"seed {seed - 1}: {tried:,} files in {time.monotonic() - start:.0f} s", file=sys.stderr)
    made = f"{date.today().isoformat()}, Python {platform.python_version()}"
    lines = [
        f"{made}: {tried:,} files, seeds below {seed}.",
        "",
        "| kind of file | files | read | refused | anything else | slowest, s | largest memory, MB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for kind in attack_files.KINDS:
        mine = [(found, megabytes) for found, megabytes in rounds if found.kind == kind]
        files, read, refused = (sum(getattr(f, n) for f, _ in mine) for n in ("files", "read", "refused"))
        failed = sum(len(found.failures) for found, _ in mine)
        slowest, memory = max(found.slowest_s for found, _ in mine), max(mb for _, mb in mine)
        counts = f"{files:,} | {read:,} | {refused:,} | {failed}"
        lines.append(f"| {kind} | {counts} | {slowest:.2f} | {memory:,} |")
    return "\n".join(lines), [f"{found.kind}: {text}" for found, _ in rounds for text in found.failures]


def guided(kind: str, minutes: float) -> None:
    """Attack one reader with files that atheris chooses by what they reach; ends the process."""
    from whyhere.errors import WhyhereError

    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(attack_files.seeds(kind)):
            (corpus / str(number)).write_bytes(seed)

        def once(data: bytes) -> None:
            with suppress(WhyhereError):
                attack_files.READERS[kind](data, Path(folder))

        for seed in attack_files.seeds(kind):  # what the reader imports is instrumented with it
            with atheris.instrument_imports(include=["whyhere"]):
                once(seed)
        limits = [f"-max_total_time={round(60 * minutes)}", f"-timeout={attack_files.LONGEST_S:.0f}"]
        atheris.Setup([sys.argv[0], str(corpus), *limits, "-rss_limit_mb=2048"], once)
        atheris.Fuzz()


# Kills and crowds ---------------------------------------------------------------------------------------


def killed_commands(count: int) -> tuple[str, list[str]]:
    """Kill what writes files at random moments; return a Markdown table and the failures."""
    lines = [
        "| what was killed | attacks | ended by the signal | wrong afterwards | half-written | left behind |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    failures = []
    for suite in kills.SUITES:
        tally = kills.attack(suite, 0, count)
        bad = ("wrong", "half_written", "left_behind")
        failures += [f"{suite}: {name}: {text}" for name in bad for text in tally[name]]
        counts = " | ".join(str(len(tally[name])) for name in bad)
        lines.append(f"| {suite} | {tally['attacks']} | {tally['killed']} | {counts} |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines), failures


def crowded_cache() -> tuple[str, list[str]]:
    """Open one cache from several processes at once; return a Markdown table and the failures."""
    lines = [
        "| cache | processes | done | refused | same answer | left behind |",
        "|---|--:|--:|--:|---|--:|",
    ]
    failures = []
    for processes in (2, 4):
        command = [sys.executable, str(TESTS / "attacks" / "crowds.py"), str(processes)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        states: dict[str, dict[str, Any]] = json.loads(done.stdout)
        for state, found in states.items():
            statuses, left = found["statuses"], found["left_behind"]
            counts = f"{statuses.count(0)} | {statuses.count(3)} | {'yes' if found['same'] else 'NO'}"
            lines.append(f"| {state} | {processes} | {counts} | {len(left)} |")
            if not found["same"] or left or set(statuses) - {0, 3}:
                failures.append(f"crowd of {processes} on a cache that is {state}: {found}")
    return "\n".join(lines), failures


def main() -> int:
    """Run and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=MARKS, action="append", help="only this part; may be repeated")
    parser.add_argument("--minutes", type=float, help="go on with mutated files for so long")
    parser.add_argument("--kills", type=int, default=KILLS, help="kills of every suite")
    parser.add_argument(
        "--write", type=Path, help="put the tables into this Markdown file, between its marks"
    )
    parser.add_argument(
        "--guided", choices=tuple(attack_files.READERS), help="guided by coverage, one reader"
    )
    chosen = parser.parse_args()
    if chosen.guided:
        guided(chosen.guided, chosen.minutes or 10)
    parts = {
        "files": lambda: mutated_files(chosen.minutes),
        "kills": lambda: killed_commands(chosen.kills),
        "crowds": crowded_cache,
    }
    failures = []
    for name in chosen.only or parts:
        table, failed = parts[name]()
        failures += failed
        print(table, *failed, "", sep="\n", flush=True)
        if chosen.write:
            text, (start, end) = chosen.write.read_text(encoding="utf-8"), MARKS[name]
            before, after = text.split(start)[0], text.split(end)[1]
            chosen.write.write_text(f"{before}{start}\n{table}\n{end}{after}", encoding="utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
