"""Change what a photo is taken to show: zero, keep or set concepts, and leave the rest alone.

An intervention replaces `ImageCode.z_img` (and, where asked for, empties the residual). What scores the
places afterwards is the release's own alignment, so the effect is the model's, not an approximation.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whyhere._text import name_key
from whyhere.alignment import ImageCode
from whyhere.concepts import ConceptLabel, find_concept, unknown_concept
from whyhere.errors import UsageError
from whyhere.prediction import Change


@dataclass(frozen=True, slots=True)
class Intervened:
    """A photo whose concepts were changed.

    Attributes:
        code: The changed code; the very code that was given where nothing changed.
        changes: The concepts that changed, the largest change first.
        untouched: Names of concepts that were named one by one and already were what was asked for.
        only: Names of the groups that were kept; empty for all.
        remainder_removed: Whether the residual was emptied.
    """

    code: ImageCode
    changes: tuple[Change, ...]
    untouched: tuple[str, ...]
    only: tuple[str, ...]
    remainder_removed: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """An intervention that was understood and can be applied to any photo.

    Attributes:
        concepts: Names of the concepts, in the order of the code, and of the landmarks after them.
        without: Columns to set to zero.
        named: Columns of the concepts that were named one by one, not by their group.
        only: Names of the groups to keep; empty for all.
        values: Strength to set, by column.
        remainder: Whether the residual is kept.
    """

    concepts: tuple[ConceptLabel, ...]
    without: frozenset[int]
    named: frozenset[int]
    only: tuple[str, ...]
    values: Mapping[int, float]
    remainder: bool

    def __bool__(self) -> bool:
        """Tell whether anything was asked for."""
        return bool(self.without or self.only or self.values) or not self.remainder

    def apply(self, code: ImageCode) -> Intervened:
        """Change a photo: first keep the groups, then zero, then set.

        Raises:
            UsageError: A strength is to be set and the photo shows no concept to measure it by.
        """
        shown = np.concatenate((code.z_img, code.landmarks))
        z = shown.copy()
        if self.only:
            z[[concept.group not in self.only for concept in self.concepts]] = 0.0
        z[sorted(self.without)] = 0.0
        strength = strengths(code)
        largest, k = float(np.abs(code.z_img).max(initial=0.0)), len(code.z_img)
        unit = np.where(np.arange(len(z)) < k, largest, 1.0)
        if self.values and not largest:
            raise UsageError(
                "this photo shows no concept of the release, so there is nothing to measure strengths by"
            )
        for column, value in self.values.items():
            # A concept set to the strength it has keeps its coefficient to the last bit.
            z[column] = shown[column] if value == strength[column] else np.float32(value * unit[column])
        moved = np.flatnonzero(z != shown)
        after = z / np.where(unit, unit, 1.0)
        order = moved[np.argsort(-np.abs(after - strength)[moved], kind="stable")]
        changes = tuple(
            Change(label.id, label.name, label.group, float(strength[column]), float(after[column]))
            for column in order.tolist()
            for label in (self.concepts[column],)
        )
        untouched = tuple(self.concepts[column].name for column in sorted(self.named - set(moved.tolist())))
        changed = replace(code, z_img=z[:k], landmarks=z[k:]) if len(moved) else code
        if not self.remainder:
            changed = replace(changed, residual=np.zeros_like(code.residual))
        return Intervened(changed, changes, untouched, self.only, not self.remainder)


def strengths(code: ImageCode) -> NDArray[np.float64]:
    """Say how strongly a photo shows each concept, as a share of its strongest one.

    Returns:
        z_img divided by its largest magnitude, -1 to 1, below 0 for less than usual where the release tells
        that, zeros where all of it is 0; then how much the photo looks like each landmark, 0 to 1.
        Float64, shape (k + s,).
    """
    z = code.z_img.astype(np.float64)
    return np.concatenate((z / (np.abs(z).max(initial=0.0) or 1.0), code.landmarks.astype(np.float64)))


def plan(
    concepts: Sequence[ConceptLabel],
    *,
    without: Sequence[str] = (),
    only: Sequence[str] = (),
    set_: Mapping[str, float] | None = None,
    remainder: bool = True,
) -> Plan:
    """Understand an intervention.

    Args:
        concepts: Names of the concepts of the release, in the order of its codes, and of its landmarks.
        without: Concepts to set to zero, by id, name or a synonym that the shipped bank knows; the name of a
            group stands for all of it.
        only: Groups to keep, by name; the concepts of all others are set to zero.
        set_: Strength to give to concepts, named as in `without`: with 0 it does not count, with 1 it is as
            strong as the photo's strongest concept, and below 0 the photo shows less of it than usual.
        remainder: Whether to keep what the photo holds beyond the named concepts.

    Raises:
        UsageError: A concept or group is not known, a strength is not a number, or a concept is to be both
            zeroed and set.
    """
    for option, names in (("without", without), ("only", only)):
        if isinstance(names, str):
            raise UsageError(f"{option} takes several names; put {names!r} into a list")
    labels = tuple(concepts)
    groups = {name_key(label.group): label.group for label in reversed(labels)}
    columns = [_columns(name, labels, groups) for name in without]
    zeroed = frozenset(column for found in columns for column in found)
    single = frozenset(found[0] for found in columns if len(found) == 1)
    values: dict[int, float] = {}
    for name, value in (set_ or {}).items():
        column = find_concept(name, labels)
        if column is None:
            raise _unknown("concept", name, labels)
        if not math.isfinite(value):
            raise UsageError(f"the strength of {labels[column].name!r} must be a finite number, not {value}")
        if column in zeroed or column in values:
            raise UsageError(f"{labels[column].name!r} is named twice; remove it or set it, once")
        values[column] = float(value)
    for name in only:
        if name_key(name) not in groups:
            known = ", ".join(sorted(groups.values()))
            raise UsageError(f"no group of concepts is called {name!r}; groups: {known}")
    kept = tuple(dict.fromkeys(groups[name_key(name)] for name in only))
    return Plan(labels, zeroed, single | values.keys(), kept, values, remainder)


def intervene(
    code: ImageCode,
    concepts: Sequence[ConceptLabel],
    *,
    without: Sequence[str] = (),
    only: Sequence[str] = (),
    set_: Mapping[str, float] | None = None,
    remainder: bool = True,
) -> Intervened:
    """Change one photo: `plan` and `Plan.apply` in one step."""
    return plan(concepts, without=without, only=only, set_=set_, remainder=remainder).apply(code)


def _columns(name: str, labels: Sequence[ConceptLabel], groups: Mapping[str, str]) -> list[int]:
    """Return the concept of that name, else the group of that name, else the concept of that synonym."""
    column = find_concept(name, labels, synonyms=False)
    group = groups.get(name_key(name))
    if column is None and group is not None:
        return [column for column, label in enumerate(labels) if label.group == group]
    column = find_concept(name, labels) if column is None else column
    if column is None:
        raise _unknown("concept or group", name, labels, groups.values())
    return [column]


def _unknown(
    kind: str, name: str, labels: Sequence[ConceptLabel], groups: Collection[str] = ()
) -> UsageError:
    meant = unknown_concept(name, labels, others=set(groups))
    return UsageError(f"no {kind} of this release is called {name!r}{meant} (see `whyhere concepts list`)")
