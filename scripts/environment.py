"""A virtual environment for the other scripts: made once, reused while pyproject.toml stays the same.

Only the standard library: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def ensure(folder: str, *, extras: str = "", before: tuple[str, ...] = ()) -> Path:
    """Return the Python of an environment that has whyhere installed from this checkout.

    Args:
        folder: Name of the environment's folder in the checkout.
        extras: Extras to install, such as "[test]".
        before: Requirements to install first, each before the next.

    Returns:
        Path of the environment's Python.

    Raises:
        SystemExit: Python is too old, or pip failed (it has said why).
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what tells people
        sys.exit(f"whyhere needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    home = ROOT / folder
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    recipe = "\n".join((extras, *before, sys.version)).encode() + (ROOT / "pyproject.toml").read_bytes()
    wanted = hashlib.sha256(recipe).hexdigest()
    stamp = home / "whyhere-installed"
    if python.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return python
    ours = home / "made-by-whyhere"
    if home.exists() and not ours.exists():
        sys.exit(f"{home} was not made by this script, which would empty it; move it away first")
    print(f"Setting up {home} (once)", file=sys.stderr)
    try:
        venv.create(home, with_pip=True, clear=True)
        ours.touch()
    except subprocess.CalledProcessError:
        sys.exit(
            "Python cannot make virtual environments here; on Debian and Ubuntu: apt install python3-venv"
        )
    for requirement in (*before, f"-e.{extras}"):
        # Python compiles what is imported; pip would compile all of torch, which takes longer than its tests.
        install = [python, "-m", "pip", "install", "--quiet", "--no-compile", *requirement.split()]
        done = subprocess.run(install, cwd=ROOT, stdout=sys.stderr)
        if done.returncode != 0:
            sys.exit(f"pip could not install {requirement}; its message is above")
    stamp.write_text(wanted)
    return python


def run(python: Path, *arguments: str | Path) -> int:
    """Run Python with arguments and return its exit code; interrupts reach the child alone."""
    try:
        return subprocess.run([python, *arguments]).returncode
    except KeyboardInterrupt:
        return 130
