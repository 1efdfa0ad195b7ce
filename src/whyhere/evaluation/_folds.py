"""Folds that keep what a head must not have seen out of its training: places near by, or copies.

A fold is a number a photo: the head of a fold learns from every photo of another fold. -1 is for photos that
are never asked about and always learned from.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere._io import plain
from whyhere.errors import MissingFileError, UsageError
from whyhere.evaluation._linkage import chains, components, near_pairs
from whyhere.evaluation._protocol import Protocol

Ints = NDArray[np.intp]
Doubles = NDArray[np.float64]

FOLDS_FILE = "folds.csv"


def place_clusters(
    lat: ArrayLike, lon: ArrayLike, *, within_km: float, groups: ArrayLike | None = None
) -> Ints:
    """Join positions into clusters by single linkage: two that are closer than `within_km` share one.

    Positions of two clusters are therefore `within_km` or farther apart, also across the antimeridian and
    the poles.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        within_km: Great-circle distance, above 0.
        groups: Photos with the same number share a cluster wherever they lie (near-duplicates), shape (n,).

    Returns:
        Number of each position's cluster, from 0 in the order of their first members, shape (n,).

    Example:
        >>> place_clusters([0, 0, 0], [179.9, -179.9, 90], within_km=50).tolist()
        [0, 0, 1]
    """
    count = len(np.asarray(lat))
    edges = list(near_pairs(lat, lon, within_km))
    if groups is not None:
        edges.append(chains(np.asarray(groups)))
    return components(count, np.concatenate([np.empty((0, 2), np.intp), *edges]))


def assign_folds(
    protocol: Protocol,
    lat: ArrayLike,
    lon: ArrayLike,
    *,
    kinds: Sequence[str | None] | None = None,
    groups: ArrayLike | None = None,
) -> Ints:
    """Divide photos into the folds of a protocol.

    New places: whole clusters, the largest first, each into the fold that has the fewest photos. Known
    places: photos with an independent neighbour within `known_km` are dealt out so that each has such a
    neighbour in another fold; the others are never asked about. Single photos: at random.

    Args:
        protocol: The protocol.
        lat: True latitudes in degrees, shape (n,).
        lon: True longitudes in degrees, shape (n,).
        kinds: Kinds of the photos; needed where the protocol asks about some kinds only.
        groups: Near-duplicates, as from `near_duplicates`: those with the same number are never on both
            sides, shape (n,). None where there are none.

    Returns:
        Fold of each photo, shape (n,); -1 is always learned from. The same photos give the same folds.

    Raises:
        UsageError: There are fewer places than folds.
    """
    lats, lons = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    same = np.arange(len(lats)) if groups is None else _renumbered(np.asarray(groups))
    asked = np.ones(len(lats), bool) if kinds is None else asked_about(protocol, kinds)
    if protocol.kinds and kinds is None:
        raise UsageError(f"protocol {protocol.name}: asks about {', '.join(protocol.kinds)}; give kinds")
    rng = np.random.default_rng(protocol.seed)
    if protocol.split == "known-places":
        # A photo of another kind stays in the fold of its copies, though nobody asks about it.
        folds = _known_folds(protocol, lats, lons, same, rng)
        folds = np.where(np.bincount(same, asked)[same] > 0, folds, -1)
    elif protocol.split == "new-places":
        clusters = place_clusters(lats, lons, within_km=protocol.cluster_km, groups=same)
        folds = _dealt(clusters, asked, protocol.folds, rng)
    else:
        folds = _dealt(same, asked, protocol.folds, rng)
    if len(np.unique(folds[folds >= 0])) < max(protocol.folds, 2):
        raise UsageError(
            f"protocol {protocol.name}: these {len(lats)} photos do not give {max(protocol.folds, 2)} folds; "
            "give more photos, or fewer folds"
        )
    return folds


def asked_about(protocol: Protocol, kinds: Sequence[str | None]) -> NDArray[np.bool_]:
    """Return which photos a protocol asks about, by their kinds, shape (n,)."""
    wanted = protocol.kinds
    return np.array([not wanted or (kind or protocol.default_kind) in wanted for kind in kinds], bool)


def check_folds(
    protocol: Protocol,
    fold_of: ArrayLike,
    lat: ArrayLike,
    lon: ArrayLike,
    *,
    photos: Sequence[str],
    groups: ArrayLike | None = None,
) -> None:
    """Refuse folds that do not keep what the protocol promises, whoever made them.

    Args:
        protocol: The protocol.
        fold_of: Fold of each photo, -1 for those always learned from, shape (n,).
        lat: True latitudes in degrees, shape (n,).
        lon: True longitudes in degrees, shape (n,).
        photos: Names of the photos, for messages.
        groups: Near-duplicates, shape (n,).

    Raises:
        UsageError: A photo that is asked about has a near-duplicate, or (new places) a place nearer than
            `cluster_km`, on the other side; or (known places) nothing of its place there.
    """
    folds = np.asarray(fold_of)
    if groups is not None:
        same = np.asarray(groups)
        for a, b in chains(same):
            if folds[a] != folds[b]:
                raise UsageError(
                    f"protocol {protocol.name}: {photos[a]} and {photos[b]} are near-duplicates, and one is "
                    "learned from where the other is asked about"
                )
    if protocol.split == "new-places":
        for pairs in near_pairs(lat, lon, protocol.cluster_km):
            apart = pairs[folds[pairs[:, 0]] != folds[pairs[:, 1]]]
            if len(apart):
                a, b = (photos[row] for row in apart[0])
                raise UsageError(
                    f"protocol {protocol.name}: {a} and {b} lie less than {protocol.cluster_km:g} km apart, "
                    "and one is learned from where the other is asked about"
                )
    if protocol.split == "known-places":
        known = folds < 0
        for pairs in near_pairs(lat, lon, protocol.known_km):
            apart = pairs[folds[pairs[:, 0]] != folds[pairs[:, 1]]]
            known[apart.ravel()] = True
        if not known.all():
            raise UsageError(
                f"protocol {protocol.name}: {photos[int(np.flatnonzero(~known)[0])]} has no photo within "
                f"{protocol.known_km:g} km to learn its place from"
            )


def write_folds(path: Path, photos: Sequence[str], fold_of: ArrayLike) -> None:
    """Write which photo belongs to which fold, as `--held-out` reads it; none where always learned from."""
    with path.open("w", newline="", encoding="utf-8") as file:
        names = (fold_name(fold) if fold >= 0 else "" for fold in np.asarray(fold_of).tolist())
        csv.writer(file).writerows([("photo", "fold"), *zip(photos, names, strict=True)])


def fold_name(fold: int) -> str:
    """Return the name of a fold's directory."""
    return f"fold-{fold:02d}"


def read_folds(path: Path) -> Mapping[str, str]:
    """Read which photo belongs to which fold; the empty name is for photos always learned from.

    Raises:
        MissingFileError: The file is missing or is no such table.
    """
    try:
        with plain(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MissingFileError(f"{path}: cannot read which photo belongs to which fold ({error})") from error
    if not rows or not {"photo", "fold"} <= rows[0].keys():
        raise MissingFileError(f"{path}: must have the columns photo and fold, and a row a photo")
    return {row["photo"]: row["fold"] for row in rows}


def _known_folds(
    protocol: Protocol, lat: Doubles, lon: Doubles, same: Ints, rng: np.random.Generator
) -> Ints:
    """Walk every place from photo to neighbouring photo; each takes another fold than the one it came from.

    So everyone has a neighbour in another fold: the one it came from or, for the first, the one after it.
    """
    pairs = np.concatenate([np.empty((0, 2), np.intp), *near_pairs(lat, lon, protocol.known_km)])
    pairs = pairs[same[pairs[:, 0]] != same[pairs[:, 1]]]
    neighbours: dict[int, set[int]] = {}
    for a, b in same[pairs].tolist():
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    sizes = np.bincount(same)
    fold_of_group = np.full(len(sizes), -1, np.intp)
    count = protocol.folds or len(sizes)
    filled = np.zeros(count)
    for first in rng.permutation(sorted(neighbours)).tolist():
        waiting = [(first, -1)] if fold_of_group[first] < 0 else []
        while waiting:
            group, origin = waiting.pop()
            if fold_of_group[group] >= 0:
                continue
            free = filled.copy()
            if origin >= 0:
                free[origin] = np.inf
            fold = int(free.argmin())
            fold_of_group[group] = fold
            filled[fold] += sizes[group]
            waiting += [(other, fold) for other in sorted(neighbours[group]) if fold_of_group[other] < 0]
    folds = fold_of_group[same]
    # A near-duplicate may lie elsewhere than its copy, and so have no neighbour of its own.
    known = np.zeros(len(folds), bool)
    known[pairs[folds[pairs[:, 0]] != folds[pairs[:, 1]]].ravel()] = True
    # Learning from more photos never takes a neighbour away from the others.
    return np.where(np.isin(same, same[~known]), -1, folds)


def _dealt(units: Ints, asked: NDArray[np.bool_], folds: int, rng: np.random.Generator) -> Ints:
    """Put whole units into folds, the largest first, each where the fewest photos are asked about."""
    sizes = np.bincount(units, minlength=units.max() + 1)
    wanted = np.bincount(units, asked, minlength=len(sizes))
    order = rng.permutation(np.flatnonzero((sizes > 0) & (wanted > 0)))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(folds or len(order))
    fold_of_unit = np.full(len(sizes), -1, np.intp)
    for unit in order:
        fold_of_unit[unit] = int(filled.argmin())
        filled[fold_of_unit[unit]] += wanted[unit]
    return fold_of_unit[units]


def _renumbered(groups: NDArray[np.integer]) -> Ints:
    numbers: Ints = np.unique(groups, return_inverse=True)[1]
    return numbers
