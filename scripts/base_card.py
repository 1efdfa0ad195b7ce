"""What the model card of release `base` says of its photos, and what its reports say of its concepts.

    python scripts/base_card.py [OUT/evidence.csv]

Prints the Markdown section on sources and licences, from the credits that `whyhere train --config base`
wrote. With the evidence of `whyhere faithfulness --data TABLE --held-out DIR --out OUT` it also writes what
the scorecard says of each concept into `concepts.json`: reports mark concepts that it does not confirm.
Training anew forgets it.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from whyhere.releases import credits_markdown, read_credits, record, resolve

RELEASE = Path(__file__).resolve().parent.parent / "src" / "whyhere" / "releases" / "base"


def main() -> None:
    """Print and write."""
    if len(sys.argv) > 1:
        with Path(sys.argv[1]).open(newline="", encoding="utf-8") as file:
            evidence = {row["id"]: row["evidence"] for row in csv.DictReader(file)}
        path = RELEASE / "concepts.json"
        labels = json.loads(path.read_text(encoding="utf-8"))
        labels = [{**label, "evidence": evidence[label["id"]]} for label in labels]
        path.write_text(json.dumps(labels, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        record(resolve(RELEASE))
    print(credits_markdown(read_credits(resolve(RELEASE))), end="")


if __name__ == "__main__":
    main()
