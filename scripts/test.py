"""From a fresh clone to a full test run: `python3 scripts/test.py [PYTEST ARGUMENTS...]`.

Makes a virtual environment with everything the tests need, fetches release `base`, and runs formatting,
lint, types and all tests. `--fast` leaves out torch and its tests; `--coverage` ends with the share of lines
that ran, which makes the tests half as slow again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from environment import ROOT, ensure, run

# The CPU build has no other name on the package index than its version; a newer or unpinned torch would
# bring gigabytes of CUDA libraries on Linux.
TORCH = "torch==2.13.0"

# Quick checks that need one core while the other waits for the network.
CHECKS = (("ruff", "format", "--check", "."), ("ruff", "check", "."), ("mypy",))


def main() -> int:
    """Do it all and return 0 if every check passed."""
    began = time.monotonic()
    arguments = sys.argv[1:]
    fast, coverage = "--fast" in arguments, "--coverage" in arguments
    arguments = [argument for argument in arguments if argument not in ("--fast", "--coverage")]
    python = ensure(".venv-test", extras="[test]", before=() if fast else (TORCH,))
    running = [
        subprocess.Popen([python, "-m", *check], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for check in CHECKS
    ]
    install_programs()
    fetched = run(python, "-m", "whyhere", "releases", "fetch", "base")
    worst = 0
    for check, process in zip(CHECKS, running, strict=True):
        said = process.communicate()[0].decode()
        print(f"== {' '.join(check)}\n{said}", end="", file=sys.stderr, flush=True)
        worst = process.returncode or worst
    if fetched != 0:
        return fetched
    print(f"Ready after {time.monotonic() - began:.0f} s\n== pytest", file=sys.stderr, flush=True)
    if coverage:
        arguments += ["--cov=whyhere", "--cov-report="]
    failed = run(python, "-m", "pytest", "-n", "auto", *arguments)
    if coverage:
        print("== coverage, percent of lines", file=sys.stderr, flush=True)
        run(python, "-m", "coverage", "report", "--format=total")
    return failed or worst


def install_programs() -> None:
    """Install what tests use where this is a bare Debian and we may.

    Without Chromium and fonts the tests of pages skip; without strace the test that nothing leaves this
    machine sees less.
    """
    if not shutil.which("apt-get") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    fonts = Path("/usr/share/fonts/truetype")
    absent = [program for program in ("chromium", "strace") if not shutil.which(program)]
    absent += ["fonts-dejavu-core"] * (not (fonts / "dejavu").is_dir())
    absent += ["fonts-liberation"] * (not (fonts / "liberation").is_dir())
    if not absent:
        return
    print(f"Installing {', '.join(absent)} for the tests", file=sys.stderr)
    subprocess.run(["apt-get", "-qq", "update"], stdout=sys.stderr)
    subprocess.run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *absent], stdout=sys.stderr)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
