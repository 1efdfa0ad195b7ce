"""The oldest libraries that pyproject.toml allows: `python3 scripts/lowest.py [PYTEST ARGUMENTS...]`.

Makes `.venv-lowest` with the lower bound of every dependency, fetches release `base`, and runs the tests of
the path that a photo takes. Bounds that are never tried are guesses. It wants the oldest Python that whyhere
runs on: for newer ones the oldest libraries were never built.
"""

from __future__ import annotations

import os
import sys
import tomllib

from environment import ROOT, ensure, run

TESTS = ("geo", "images", "encoders/test_location.py", "alignment", "ranking", "test_locator.py", "cli")
OLDEST_PYTHON = (3, 11)
TOOLS = "pytest hypothesis jsonschema lxml"


def main() -> int:
    """Run it all and return 0 if every test passed."""
    if sys.version_info[:2] != OLDEST_PYTHON:
        print(f"Not tried: this is Python {sys.version.split()[0]}, not 3.11", file=sys.stderr)
        return 0
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = " ".join(bound.replace(">=", "==") for bound in project["dependencies"])
    python = ensure(".venv-lowest", before=(oldest, TOOLS))
    fetched = run(python, "-m", "whyhere", "releases", "fetch", "base")
    arguments = sys.argv[1:] or [str(ROOT / "tests" / name) for name in TESTS]
    return fetched or run(python, "-m", "pytest", "-q", "-m", "not browser and not torch", *arguments)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
