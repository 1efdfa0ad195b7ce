"""One thing to be predicted from where a place is: positions, targets, and what was left out of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["value", "class"]
Floats = NDArray[np.float64]

LEAST_PER_CLASS = 20
"""Classes with fewer points are left out: five folds would hardly see them."""

LEAST_POINTS = 100
"""With fewer points a score says nothing."""


@dataclass(frozen=True, slots=True)
class Task:
    """A target at positions on Earth.

    Attributes:
        name: Short name, such as "temperature".
        kind: "value" for a regression (scored by R2), "class" for classes (scored by accuracy).
        lat: Latitudes in degrees, float64, shape (n,).
        lon: Longitudes in degrees, float64, shape (n,).
        target: float64, or text for classes, shape (n,).
        meaning: What the target is, with its unit.
        source: Where the data comes from.
        left_out: What was dropped on the way and why, in sentences.
    """

    name: str
    kind: Kind
    lat: Floats
    lon: Floats
    target: NDArray[Any]
    meaning: str
    source: str
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the description, without the points."""
        described: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "points": len(self.lat),
            "meaning": self.meaning,
            "source": self.source,
            "left_out": list(self.left_out),
        }
        if self.kind == "class":
            described["classes"] = len(np.unique(self.target))
        return described


@dataclass(frozen=True, slots=True)
class Skipped:
    """A task that cannot be run here.

    Attributes:
        name: Its name.
        reason: Why, and the command or argument that changes it.
    """

    name: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Return the fields as a plain dictionary."""
        return {"name": self.name, "reason": self.reason}


def finished(task: Task, *, points: int, seed: int) -> Task | Skipped:
    """Make a task ready to run: draw at most `points` of its points and drop the rare classes.

    Args:
        task: The task as loaded.
        points: Points at most.
        seed: Seed of the draw.

    Returns:
        The task, or why nothing is left of it.
    """
    keep, left_out = np.arange(len(task.lat)), list(task.left_out)
    if len(keep) > points:
        keep = np.sort(np.random.default_rng(seed).permutation(len(keep))[:points])
        left_out.append(f"{points:,} of {len(task.lat):,} points drawn at random.")
    if task.kind == "class":
        names, number, counts = np.unique(task.target[keep], return_inverse=True, return_counts=True)
        rare = counts < LEAST_PER_CLASS
        if rare.any():
            dropped = int(counts[rare].sum())
            left_out.append(
                f"{int(rare.sum())} of {len(names)} classes with fewer than {LEAST_PER_CLASS} points left "
                f"out ({dropped:,} points)."
            )
            keep = keep[~rare[number]]
        if (~rare).sum() < 2:
            reason = f"fewer than two classes have {LEAST_PER_CLASS} points; give more points"
            return Skipped(task.name, reason)
    if len(keep) < LEAST_POINTS:
        return Skipped(task.name, f"only {len(keep)} usable points; at least {LEAST_POINTS} are needed")
    if task.kind == "value" and np.ptp(task.target[keep].astype(np.float64)) == 0:
        return Skipped(task.name, "the target is the same everywhere, so there is nothing to predict")
    return Task(
        task.name,
        task.kind,
        task.lat[keep],
        task.lon[keep],
        task.target[keep],
        task.meaning,
        task.source,
        tuple(left_out),
    )
