"""From a fresh clone to a located photo: `python3 scripts/locate.py [PHOTO...]`.

Makes a virtual environment, installs whyhere, fetches release `base`, locates the photos given (by default
the picture of Kauai that comes with GeoCLIP), prints the answers and writes an HTML report.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from environment import ensure, run

REPORT = Path("whyhere-report.html")


def main() -> int:
    """Do it all and return the exit code."""
    python = ensure(".venv")
    fetched = run(python, "-m", "whyhere", "releases", "fetch", "base")
    if fetched != 0:
        return fetched
    photos = sys.argv[1:]
    if not photos:
        where = "from whyhere.releases import asset_path; print(asset_path('geoclip') / 'Kauai.png')"
        photos = [
            subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip()
        ]
    return run(python, "-m", "whyhere", "locate", *photos, "--html", REPORT)


if __name__ == "__main__":
    sys.exit(main())
