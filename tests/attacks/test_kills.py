"""A killed command leaves nothing half-written, and the same command finishes with the undisturbed answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from attacks.kills import SUITES, attack

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")

# Where loading a release or torch costs seconds, the rest is for `python scripts/reliability.py`.
COUNTS = {suite: 20 if suite in ("fetch", "gallery") else 3 for suite in SUITES}


@pytest.mark.parametrize(("suite", "count"), COUNTS.items())
def test_killed_at_random_moments_and_run_again(suite, count):
    if suite == "train":
        pytest.importorskip("torch")
    tally = attack(suite, seed=0, count=count)
    assert tally["attacks"] == count
    assert tally["killed"] > 0 or count < 20
    assert (tally["wrong"], tally["half_written"], tally["left_behind"]) == ([], [], [])


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_at_once_on_one_cache(processes):
    script = Path(__file__).with_name("crowds.py")
    done = subprocess.run([sys.executable, script, str(processes)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    ended = json.loads(done.stdout)
    assert {state: set(found["statuses"]) for state, found in ended.items()} == {
        "empty": {0},
        "half-filled": {0},
        "read-only": {0},
        "full": {3},
    }
    assert all(found["same"] and not found["left_behind"] for found in ended.values())
