"""Alignments for photos that they have not learned from: the folder behind `--held-out`.

DIR/folds.csv               photo,fold (empty for photos that every fold has learned from)
DIR/<fold>/config.json      {"alignment": {...}, "ranking": {...} (optional)}
DIR/<fold>/model.safetensors
DIR/<fold>/concepts.json    names of the concepts (optional)
DIR/<fold>/landmarks.json   names of the landmarks (where it has any)
DIR/random/<draw>/<fold>/   the same with random banks, where another bank means another training (optional)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Alignment, load_alignment
from whyhere.concepts import ConceptLabel, LandmarkLabel, read_labels, read_landmarks
from whyhere.errors import MissingFileError, UsageError
from whyhere.evaluation._folds import FOLDS_FILE, read_folds
from whyhere.ranking import RankingConfig


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What the folder holds.

    Attributes:
        alignments: One a fold.
        rankings: One a fold; the release's own where a fold has none.
        fold_of: Fold of every photo, shape (n,).
        random_sets: Alignments with random banks, by draw and fold.
        labels: Names of the concepts, one tuple a fold; None where a fold does not name them.
        landmarks: Names of the landmarks, one tuple a fold.
    """

    alignments: tuple[Alignment, ...]
    rankings: tuple[RankingConfig, ...]
    fold_of: NDArray[np.intp]
    random_sets: tuple[tuple[Alignment, ...], ...]
    labels: tuple[tuple[ConceptLabel, ...] | None, ...] = ()
    landmarks: tuple[tuple[LandmarkLabel, ...], ...] = ()


def read_held_out(
    folder: Path, photos: Sequence[str], *, concept_ids: tuple[str, ...] | None, ranking: RankingConfig
) -> HeldOut:
    """Read the folder.

    Args:
        folder: The folder.
        photos: Names of the photos, which `folds.csv` gives folds, by these names or by their base names.
        concept_ids: Concepts of the release, which every fold must have; None where each may have its own.
        ranking: Ranking of the release.

    Raises:
        MissingFileError: A file is missing or damaged.
        UsageError: A photo has no fold, or a fold has other concepts than the release.
    """
    folds = read_folds(folder / FOLDS_FILE)
    by_base: dict[str, str | None] = {}
    for photo, fold in folds.items():
        base = PurePosixPath(photo).name
        by_base[base] = fold if by_base.get(base, fold) == fold else None
    chosen = []
    for photo in photos:
        found = folds.get(photo) or by_base.get(PurePosixPath(photo).name)
        if not found:
            raise UsageError(f"{folder / FOLDS_FILE}: no fold for the photo {photo!r}")
        chosen.append(found)
    names = sorted(set(chosen))
    loaded = [_load(folder / name) for name in names]
    for name, (alignment, _) in zip(names, loaded, strict=True):
        if concept_ids is not None and alignment.concept_ids != concept_ids:
            raise UsageError(f"{folder / name}: its concepts are not those of the release")
    rankings = tuple(
        RankingConfig.from_dict(config["ranking"], where=str(folder / name / "config.json"))
        if "ranking" in config
        else ranking
        for name, (_, config) in zip(names, loaded, strict=True)
    )
    for name, one in zip(names, rankings, strict=True):
        if one.cell_resolution != ranking.cell_resolution:
            raise UsageError(f"{folder / name}: its cell_resolution is not that of the release")
    draws = sorted(path for path in (folder / "random").glob("*") if path.is_dir())
    return HeldOut(
        tuple(alignment for alignment, _ in loaded),
        rankings,
        np.array([names.index(one) for one in chosen], np.intp),
        tuple(tuple(_load(draw / name)[0] for name in names) for draw in draws),
        tuple(_labels(folder / name) for name in names),
        tuple(read_landmarks(folder / name / "landmarks.json") for name in names),
    )


def _labels(folder: Path) -> tuple[ConceptLabel, ...] | None:
    path = folder / "concepts.json"
    return read_labels(path) if path.is_file() else None


def _load(folder: Path) -> tuple[Alignment, Mapping[str, Any]]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        section = config["alignment"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingFileError(f"{path}: cannot read the alignment of this fold ({error})") from error
    return load_alignment(folder / "model.safetensors", section), config
