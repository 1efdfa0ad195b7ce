"""Writes the credits of the photos that release `base` learns from, and the section of its model card.

    python scripts/base_credits.py --open-photos FOLDER --street-photos FOLDER [--out DIR]

Each folder holds `index.csv`. Prints the Markdown section on sources and licences; `whyhere train --config
base` writes the same file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from whyhere.releases import CREDITS_FILE, credits_markdown, credits_of_table, write_credits
from whyhere.training._train_base import STREET_CREDIT

RELEASE = Path(__file__).resolve().parent.parent / "src" / "whyhere" / "releases" / "base"


def main() -> None:
    """Write and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--open-photos", type=Path, help="folder of the open photos")
    parser.add_argument("--street-photos", type=Path, help="folder of the street-level photos of OSV-5M")
    parser.add_argument("--out", type=Path, default=RELEASE, help="release directory to write into")
    arguments = parser.parse_args()
    found = []
    for folder in (arguments.open_photos, arguments.street_photos):
        if folder is not None:
            found += credits_of_table(folder / "index.csv", default=STREET_CREDIT)
    write_credits(arguments.out / CREDITS_FILE, found)
    print(credits_markdown(found), end="")


if __name__ == "__main__":
    main()
