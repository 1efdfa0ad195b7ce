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


def test_two_processes_have_the_loss_curve_of_one(tmp_path):
    run_fit.train(tmp_path / "one")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, run_fit.__file__, tmp_path / "two"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one_log, two_log = (read_log(tmp_path / name) for name in ("one", "two"))
    assert [(r["kind"], r["step"]) for r in one_log] == [(r["kind"], r["step"]) for r in two_log]
    assert sum(r["kind"] == "train" for r in one_log) == 4
    for a, b in zip(one_log, two_log, strict=True):
        for name in a.keys() - {"kind", "step", "epoch"}:
            assert b[name] == pytest.approx(a[name], rel=2e-4, abs=2e-4), (name, a["step"])
    one, two = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=2e-3, atol=2e-4)


def read_log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
