"""Two processes with the same global batch walk the same path as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
import run_fit  # noqa: E402

pytestmark = pytest.mark.torch


# Rounding moves a loss by as much as the arithmetic makes of it: float32 keeps the phases of the location
# encoder, up to 10,000 radians, to 5e-4, and Adam steps as far along a gradient that is nothing but rounding
# as along any other. How much that is on this processor, a run tells whose weights begin one float aside.
# Two processes round otherwise in other places, so they may differ by a few times that, and no more.
ROUNDINGS = 10
LOSSES = ("loss", "contrast_concept", "contrast_feature", "divergence", "drift")


def test_two_processes_have_the_loss_curve_of_one(tmp_path):
    run_fit.train(tmp_path / "one")
    run_fit.train(tmp_path / "rounded", nudge=0)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, run_fit.__file__, tmp_path / "two"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, rounded, two = (read_log(tmp_path / name) for name in ("one", "rounded", "two"))
    assert [(r["kind"], r["step"]) for r in one] == [(r["kind"], r["step"]) for r in two]
    assert sum(r["kind"] == "train" for r in one) == 4
    allowed = 0.0
    for a, b, c in zip(one, two, rounded, strict=True):
        allowed = max(allowed, ROUNDINGS * difference(a, c))
        assert difference(a, b) <= allowed < 0.1, (a, b, c)
    one, rounded, two = (
        torch.load(tmp_path / name / "logits.pt", weights_only=True) for name in ("one", "rounded", "two")
    )
    assert (two - one).norm() <= ROUNDINGS * (rounded - one).norm()
    assert ROUNDINGS * (rounded - one).norm() < 0.1 * one.norm()


def difference(a: dict, b: dict) -> float:
    """Return the largest relative difference of two records' losses."""
    return max(abs(a[name] - b[name]) / max(abs(a[name]), 1e-9) for name in LOSSES if name in a)


def read_log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
