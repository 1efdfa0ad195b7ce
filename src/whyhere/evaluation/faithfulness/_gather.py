"""From a release and a table of photos to a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whyhere.errors import PhotoError, UsageError
from whyhere.evaluation import Benchmark, HeldOut, read_held_out
from whyhere.evaluation.faithfulness._study import Floats, Look, Study

if TYPE_CHECKING:
    from whyhere.locator import Locator


def maps_study(locator: Locator) -> Study:
    """Return a study without photos, for line 4."""
    parts, empty = locator.parts, np.empty(0)
    return Study(
        photos=(),
        files=(),
        lat=empty,
        lon=empty,
        features=(),
        alignments=(parts.alignment,),
        rankings=(parts.ranking,),
        fold_of=np.empty(0, np.intp),
        labels=parts.concepts,
        gallery=parts.gallery,
        cells=locator.cells,
        release=parts.alignment,
    )


def photo_study(
    locator: Locator,
    benchmark: Benchmark,
    files: Mapping[str, Path],
    look: Look,
    *,
    held_out: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    on_error: Callable[[PhotoError], None] | None = None,
) -> Study:
    """Look at photos and give each the alignment that answers it.

    Args:
        locator: The release.
        benchmark: The photos and their truth.
        files: The files of the photos.
        look: Looks at images.
        held_out: Folder of alignments that have not learned from the photos they answer.
        progress: Called with photos done and photos in all.
        on_error: Called with each photo that cannot be read; it is left out.

    Raises:
        UsageError: Fewer than two photos can be read, or one has no fold.
        MissingFileError: A file of the folder is missing or damaged.
    """
    kept, features = [], list[Floats]()
    for done, query in enumerate(benchmark.queries):
        if progress:
            progress(done, len(benchmark.queries))
        try:
            features.append(look.features(look.image(files[query.photo]), query.photo))
        except PhotoError as error:
            if on_error:
                on_error(error)
        else:
            kept.append(query)
    if len(kept) < 2:
        raise UsageError("a scorecard needs at least two photos that can be read")
    parts, names = locator.parts, tuple(query.photo for query in kept)
    if held_out is None:
        heads = HeldOut((parts.alignment,), (parts.ranking,), np.zeros(len(names), np.intp), ())
    else:
        ids = parts.alignment.concept_ids
        heads = read_held_out(held_out, names, concept_ids=ids, ranking=parts.ranking)
    return Study(
        photos=names,
        files=tuple(files[name] for name in names),
        lat=np.array([query.lat for query in kept]),
        lon=np.array([query.lon for query in kept]),
        features=tuple(features),
        alignments=heads.alignments,
        rankings=heads.rankings,
        fold_of=heads.fold_of,
        labels=parts.concepts,
        gallery=parts.gallery,
        cells=locator.cells,
        release=parts.alignment,
        held_out=held_out is not None,
        random_sets=heads.random_sets,
        look=look,
    )


def protocol(study: Study) -> str:
    """Say in words which alignment answered which photo."""
    if not study.photos:
        return "maps alone"
    if not study.held_out:
        return "the release itself answers"
    count = len(study.alignments)
    if count == len(study.photos):
        return "every photo is answered by a head that has learned from the others"
    return f"every photo is answered by the head of its fold, which has not learned from it ({count} folds)"
