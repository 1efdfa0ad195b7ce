"""Run the attack suites with more attacks than the tests and write what they found as JSON.

python scripts/reliability.py --count 20 --out reliability.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))


def main() -> int:
    """Attack and write; 1 where something did not hold."""
    from attacks.kills import SUITES, attack

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20, help="kills of each suite")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--suite", choices=sorted(SUITES), action="append", help="only this one")
    parser.add_argument("--out", type=Path, help="JSON file to write; standard output without it")
    chosen = parser.parse_args()
    kills = []
    for suite in chosen.suite or SUITES:
        kills.append(attack(suite, chosen.seed, chosen.count))
        print(f"{suite}: {kills[-1]}", file=sys.stderr, flush=True)
    crowds = {}
    for processes in (2, 4):
        command = [sys.executable, str(TESTS / "attacks" / "crowds.py"), str(processes)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        crowds[str(processes)] = json.loads(done.stdout)
    text = json.dumps({"kills": kills, "crowds": crowds}, indent=1) + "\n"
    if chosen.out:
        chosen.out.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return int(any(tally["wrong"] or tally["half_written"] or tally["left_behind"] for tally in kills))


if __name__ == "__main__":
    sys.exit(main())
