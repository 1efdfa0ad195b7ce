"""Writes what the scorecard says about each concept of `base` into its concepts.json.

    whyhere faithfulness --data TABLE --held-out DIR --out OUT
    python scripts/base_evidence.py OUT/evidence.csv

Reports mark concepts that the scorecard does not confirm. Training `base` anew forgets the evidence.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from pathlib import Path

from whyhere.releases import record, resolve

RELEASE = Path(__file__).resolve().parent.parent / "src" / "whyhere" / "releases" / "base"


def main() -> None:
    """Read and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("evidence", type=Path, help="evidence.csv of the scorecard of base")
    arguments = parser.parse_args()
    with arguments.evidence.open(newline="", encoding="utf-8") as file:
        evidence = {row["id"]: row["evidence"] for row in csv.DictReader(file)}
    path = RELEASE / "concepts.json"
    labels = json.loads(path.read_text(encoding="utf-8"))
    labels = [{**label, "evidence": evidence[label["id"]]} for label in labels]
    path.write_text(json.dumps(labels, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    record(resolve(RELEASE))
    print(dict(Counter(evidence.values())))


if __name__ == "__main__":
    main()
