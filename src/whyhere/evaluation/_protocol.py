"""Protocols: which photos a head is asked about, and what it must not have seen of them.

A protocol is read from TOML. `assign_folds` divides photos by it so that places near by, or copies
(`near_duplicates`), stay out of the training of the head that is asked; `check_folds` refuses folds that
break it, whoever made them. A fold is a number a photo: the head of a fold learns from every photo of another
fold. -1 is for photos that are never asked about and always learned from.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from whyhere._io import plain
from whyhere._record import Record
from whyhere.errors import MissingFileError, UsageError
from whyhere.geo import EARTH_RADIUS_KM, unit_vectors
from whyhere.images import open_photo
from whyhere.stats import Doubles

Ints = NDArray[np.intp]

SPLITS = ("new-places", "known-places", "photos")
FOLDS_FILE = "folds.csv"

_HASH_SIDE = 8
_BLOCK = 2048


class Protocol(Record, frozen=True):
    """How photos are held out; `docs/evaluate.md` has the reasons for the defaults.

    Attributes:
        name: Name of the protocol.
        split: "new-places": nothing within `cluster_km` of a photo is learned from. "known-places": only
            photos are asked about whose place has another, independent photo within `known_km`, which is
            learned from. "photos": single photos, wherever they are.
        folds: Number of folds; 0 leaves one out at a time.
        cluster_km: Photos closer than this share a cluster, by single linkage.
        known_km: How near another photo must be for a place to be known.
        duplicate_cosine: Photos whose features are at least so similar are near-duplicates, which are never
            on both sides.
        kinds: Kinds of photos that are asked about; all by default.
        default_kind: Kind of photos whose table has no such column.
        street_kinds: Kinds that are street level, and reported apart.
        seed: Seed of the folds.
    """

    name: str = ""
    split: str = "new-places"
    folds: int = 8
    cluster_km: float = 50.0
    known_km: float = 25.0
    duplicate_cosine: float = 0.95
    kinds: tuple[str, ...] = ()
    default_kind: str = "street"
    street_kinds: tuple[str, ...] = ("street",)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise UsageError(f"split must be one of {', '.join(SPLITS)}, not {self.split!r}")
        if self.folds < 0 or self.folds == 1:
            raise UsageError(f"folds must be 2 or more, or 0 to leave one out at a time, not {self.folds}")
        for name in ("cluster_km", "known_km"):
            if not 0 < getattr(self, name) <= 20_000:
                raise UsageError(f"{name} must lie between 0 and 20000 km, not {getattr(self, name)}")
        if not 0 < self.duplicate_cosine <= 1:
            raise UsageError(f"duplicate_cosine must lie between 0 and 1, not {self.duplicate_cosine}")


def read_protocol(path: str | Path) -> Protocol:
    """Read a TOML file of flat `key = value` lines.

    Args:
        path: The file, or the name of a shipped protocol: "new-places", "known-places", "street-level".

    Raises:
        MissingFileError: There is no such file or shipped protocol.
        UsageError: It is not TOML, or a key is unknown, of the wrong type or out of range.
    """
    shipped = shipped_protocols()
    try:
        text = shipped[str(path)] if str(path) in shipped else plain(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MissingFileError(
            f"{path}: no such protocol ({error}); shipped ones: {', '.join(shipped)}"
        ) from error
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: nested without end
        raise UsageError(f"{path}: not TOML: {error}") from error
    known = Protocol.__annotations__  # names of types
    unknown = sorted(values.keys() - known.keys())
    if unknown:
        raise UsageError(f"{path}: unknown {', '.join(unknown)}; known: {', '.join(known)}")
    for name, value in values.items():
        wanted = str(known[name])
        if wanted == "float" and type(value) is int:
            values[name] = float(value)
        elif (
            wanted.startswith("tuple") and isinstance(value, list) and all(isinstance(v, str) for v in value)
        ):
            values[name] = tuple(value)
        elif type(value).__name__ != wanted:
            kind = "a list of texts" if wanted.startswith("tuple") else f"of type {wanted}"
            raise UsageError(f"{path}: {name} must be {kind}, not {type(value).__name__}")
    try:
        return Protocol(**{"name": Path(path).stem, **values})
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def shipped_protocols() -> dict[str, str]:
    """Return name and text of every protocol that comes with whyhere."""
    folder = resources.files("whyhere.evaluation") / "protocols"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name)
    return {file.name.removesuffix(".toml"): file.read_text(encoding="utf-8") for file in files}


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
    same = np.arange(len(lats)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
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


def perceptual_hash(image: Image.Image) -> int:
    """Return 64 bits that scaling, recompressing and slight changes of tone leave alone.

    The difference hash: the photo, grey, 9 by 8 pixels, and whether each pixel is brighter than its right
    neighbour. (Neal Krawetz, "Kind of like that", 2013.)
    """
    grey = image.convert("L").resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(grey, np.int16)
    return int.from_bytes(np.packbits(pixels[:, 1:] > pixels[:, :-1]).tobytes(), "big")


def photo_hashes(files: Sequence[Path]) -> list[int]:
    """Return the perceptual hash of photos.

    Raises:
        PhotoError: A photo cannot be read.
    """
    return [perceptual_hash(open_photo(file).image) for file in files]


def near_duplicates(
    features: NDArray[np.floating] | None, *, cosine: float, hashes: ArrayLike | None = None
) -> NDArray[np.intp]:
    """Group photos that are the same picture, by single linkage.

    Args:
        features: Unit features of photos, shape (n, p); None where only hashes are known.
        cosine: Photos whose features have at least this cosine are near-duplicates.
        hashes: Perceptual hashes; photos of equal hash are near-duplicates, shape (n,). A hash of 0, an even
            picture, says nothing.

    Returns:
        A number for each group, shape (n,); photos without a near-duplicate have one of their own.
    """
    edges: list[NDArray[np.intp]] = []
    count = 0
    if features is not None:
        count = len(features)
        unit = np.asarray(features, np.float32)
        for start in range(0, count, _BLOCK):
            first, second = np.nonzero(unit[start : start + _BLOCK] @ unit[start:].T >= cosine)
            keep = first < second
            edges.append(np.stack((first[keep] + start, second[keep] + start), axis=1))
    if hashes is not None:
        bits = np.asarray(hashes, np.uint64)
        count = len(bits)
        speaking = np.flatnonzero(bits)
        edges.append(speaking[chains(bits[speaking])])
    return components(count, np.concatenate([np.empty((0, 2), np.intp), *edges]))


def near_pairs(lat: ArrayLike, lon: ArrayLike, within_km: float) -> Iterator[Ints]:
    """Yield the pairs of rows closer than a distance, the smaller row first, in blocks of shape (e, 2)."""
    directions = unit_vectors(lat, lon)
    # Chords, not cosines: they keep their digits at short distances.
    square = (2 * np.sin(min(within_km / EARTH_RADIUS_KM, np.pi) / 2)) ** 2
    for start in range(0, len(directions), _BLOCK):
        mine = directions[start : start + _BLOCK]
        cosines = mine @ directions[start:].T
        first, second = np.nonzero(2 - 2 * cosines < square * (1 + 1e-6) + 1e-12)
        first, second = first[first < second], second[first < second]
        chords = ((mine[first] - directions[start:][second]) ** 2).sum(axis=1)
        close = chords < square
        yield np.stack((first[close] + start, second[close] + start), axis=1)


def chains(groups: NDArray[np.integer]) -> Ints:
    """Return pairs of rows that join each group: one member to the next."""
    order = np.argsort(groups, kind="stable")
    joined = groups[order][1:] == groups[order][:-1]
    return np.stack((order[:-1][joined], order[1:][joined]), axis=1)


def components(count: int, edges: Ints) -> Ints:
    """Number the connected parts of a graph, in the order of their first members."""
    label = np.arange(count)
    while True:
        low = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        before = label.copy()
        for side in (0, 1):
            np.minimum.at(label, label[edges[:, side]], low)
            np.minimum.at(label, edges[:, side], low)
        label = label[label]
        if (label == before).all():
            numbers: Ints = np.unique(label, return_inverse=True)[1]
            return numbers
