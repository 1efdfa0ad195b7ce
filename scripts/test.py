"""From a fresh clone to a full test run: `python3 scripts/test.py [PYTEST ARGUMENTS...]`.

Makes a virtual environment with everything the tests need, fetches release `base`, and runs formatting,
lint, types and all tests. `--fast` leaves out torch and its tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from environment import ROOT, ensure, run

# The CPU build has no other name on the package index than its version; a newer or unpinned torch would
# bring gigabytes of CUDA libraries on Linux.
TORCH = "torch==2.13.0"


def main() -> int:
    """Do it all and return 0 if every check passed."""
    arguments = sys.argv[1:]
    fast = "--fast" in arguments
    arguments = [argument for argument in arguments if argument != "--fast"]
    python = ensure(".venv-test", extras="[test]", before=() if fast else (TORCH,))
    install_programs()
    fetched = run(python, "-m", "whyhere", "releases", "fetch", "base")
    if fetched != 0:
        return fetched
    checks = (
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("mypy",),
        ("pytest", "-n", "auto", *arguments),
    )
    worst = 0
    for check in checks:
        print(f"== {' '.join(check)}", file=sys.stderr, flush=True)
        worst = run(python, "-m", *check) or worst
    return worst


def install_programs() -> None:
    """Install programs that tests use where this is a bare Debian and we may.

    Without Chromium the tests of the report skip; without strace the test that nothing leaves the machine
    sees less.
    """
    absent = [program for program in ("chromium", "strace") if not shutil.which(program)]
    if not absent or not shutil.which("apt-get") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    print(f"Installing {' and '.join(absent)} for the tests", file=sys.stderr)
    subprocess.run(["apt-get", "-qq", "update"], stdout=sys.stderr)
    subprocess.run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *absent], stdout=sys.stderr)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
