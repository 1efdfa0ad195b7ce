"""From a table and photos to a release: what `whyhere train` does. Needs torch only once it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whyhere.concepts import ConceptLabel
from whyhere.errors import MissingFileError, UsageError
from whyhere.releases import Release, galleries_dir, resolve
from whyhere.training._batches import SHARE, Examples, generator
from whyhere.training._config import TrainConfig
from whyhere.training._directions import concept_directions
from whyhere.training._inputs import Progress, computed_features, given_features
from whyhere.training._table import RowProblem, TrainingTable, read_table

if TYPE_CHECKING:
    from whyhere.alignment import Alignment
    from whyhere.training._export import TrainingFacts
    from whyhere.training._location_net import LocationNet
    from whyhere.training._loop import Fitted
    from whyhere.training._trainee import Encoder

_CALIBRATION_PHOTOS = 200
_TEMPERATURE_FACTORS = np.geomspace(0.2, 10.0, 24)


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What came out of a run.

    Attributes:
        facts: Counts and validation figures.
        problems: Rows of the table that were left out.
        release: Directory of the release.
    """

    facts: TrainingFacts
    problems: tuple[RowProblem, ...]
    release: Path


def train_release(
    data: str | Path,
    out: str | Path,
    config: TrainConfig,
    *,
    photos: str | Path | None = None,
    features: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
    on_problems: Callable[[TrainingTable], None] | None = None,
) -> TrainingReport:
    """Train a release from photos with coordinates.

    Args:
        data: Table with photos, latitudes and longitudes; see `read_table`.
        out: Directory of the release to be; `training/` in it holds checkpoint and log.
        config: Choices of the run.
        photos: Folder or tar files with the photos.
        features: In place of photos: `.npy` with a row of unit features for each row of the table.
        resume: Go on with a run that was interrupted.
        device: Torch device.
        progress: Told about progress.
        on_problems: Given the checked table before training, to report its bad rows.

    Returns:
        The report; in every process but the first one of several, before the release is written.

    Raises:
        MissingFileError: Torch, weights, table or photos are missing, or the checkpoint is of another run.
        UsageError: The table cannot be trained on, arguments contradict, or `out` is taken.
    """
    parallel = _torch_parts()
    from whyhere.training._loop import fit

    out, told = Path(out).absolute(), progress or (lambda what, done, total: None)
    if (photos is None) == (features is None):
        raise UsageError("give either --photos, a folder or tar files, or --features, a .npy file")
    _refuse_taken(out, resume=resume)
    with parallel.process_group(device) as device:
        start = resolve(config.start_release)
        labels, directions = concept_directions(start, config)
        table = _share(read_table(data, need_files=features is None), config)
        if features is not None:
            table, values = given_features(table, features)
            rows = table.row
        else:
            assert photos is not None
            table, values, rows = computed_features(table, photos, start, told)
        if not len(table):
            raise UsageError(f"{data}: no photo is left to train on; first: {table.problems[0].reason}")
        if on_problems is not None and parallel.rank() == 0:
            on_problems(table)
        examples = Examples(values, rows, table.lat, table.lon)
        encoder = _encoder(start, config)
        fitted = fit(
            examples,
            directions,
            encoder,
            config,
            folder=out / "training",
            gallery=np.load(start.part_path(start.config.gallery) / "gallery.npy"),
            resume=resume,
            identity={"data": _data_fingerprint(table.row, examples, directions)},
            device=device,
            progress=lambda done, total: told("Training", done, total),
        )
        facts = _facts(table, fitted, config)
        if parallel.rank() == 0:
            facts = _write(out, fitted, examples, labels, start, config, facts, told)
        parallel.barrier()
    return TrainingReport(facts, table.problems, out)


def _share(table: TrainingTable, config: TrainConfig) -> TrainingTable:
    """Draw the share of the rows that is to be used, in the order of the table."""
    if config.photo_share == 1:
        return table
    chosen = generator(config.seed, SHARE).permutation(len(table))
    return table.take(np.sort(chosen[: max(1, round(config.photo_share * len(table)))]))


def _torch_parts() -> ModuleType:
    """Return the module for several processes, which needs torch as all that follows does."""
    try:
        from whyhere.training import _distributed
    except ImportError as error:
        raise MissingFileError(
            f'training needs torch ({error}); install it with: pip install "whyhere[train]"'
        ) from error
    return _distributed


def _refuse_taken(out: Path, *, resume: bool) -> None:
    if (out / "config.json").exists():
        raise UsageError(f"{out} already holds a release; choose another directory for --release")
    if (out / "training" / "checkpoint.safetensors").exists() and not resume:
        raise UsageError(
            f"{out} holds a run that was interrupted; give --resume to go on with it, or another directory"
        )


def _encoder(start: Release, config: TrainConfig) -> Encoder | LocationNet:
    """Return the location encoder: frozen in NumPy, or one that learns."""
    from whyhere.encoders import LocationEncoder

    if config.location_encoder == "frozen":
        return LocationEncoder.load(_encoder_path(start))
    from whyhere.training._location_net import LocationNet

    net = LocationNet(seed=config.seed)
    if config.location_encoder == "finetune":
        net.load(_encoder_path(start))
    return net


def _encoder_path(start: Release) -> Path:
    return start.part_path(start.config.location_encoder) / "location_encoder.safetensors"


def _data_fingerprint(rows: NDArray[np.int64], examples: Examples, directions: NDArray[np.float32]) -> str:
    """Return what identifies the data: places, concepts, and the features of a thousand photos."""
    digest = hashlib.sha256()
    some = np.linspace(0, len(examples) - 1, min(len(examples), 1000)).astype(int)
    for array in (rows, examples.lat, examples.lon, directions, examples.take(some)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _facts(table: TrainingTable, fitted: Fitted, config: TrainConfig) -> TrainingFacts:
    from whyhere.training._export import TrainingFacts

    return TrainingFacts(
        photos=len(table),
        bad_rows=len(table.problems),
        trained=len(fitted.training),
        held_out=len(fitted.validation),
        steps=fitted.state.best_step,
        at_start=fitted.state.at_start,
        at_best=fitted.at_best,
        calibrated=config.calibrate and len(fitted.validation) > 0 and config.location_encoder == "frozen",
    )


def _write(
    out: Path,
    fitted: Fitted,
    examples: Examples,
    labels: tuple[ConceptLabel, ...],
    start: Release,
    config: TrainConfig,
    facts: TrainingFacts,
    told: Progress,
) -> TrainingFacts:
    """Calibrate, compare with the start, and write the release."""
    from whyhere.gallery import open_gallery
    from whyhere.ranking import CellIndex, RankingConfig
    from whyhere.training._check import check_held_out
    from whyhere.training._export import write_release
    from whyhere.training._temperature import negative_log_densities

    alignment, temperature = fitted.trainee.alignment.export(tuple(label.id for label in labels))
    if facts.calibrated:
        gallery = open_gallery(
            start.part_path(start.config.gallery) / "gallery.npy",
            _encoder_path(start),
            galleries_dir(),
            smoothing_km=start.config.gallery_smoothing_km,
            covers_land=start.config.gallery_covers_land,
            progress=lambda done, total: told("Embedding the gallery (first use only)", done, total),
        )
        before = RankingConfig.from_dict(start.config.ranking, where=str(start.directory / "config.json"))
        cells = CellIndex.build(
            gallery.lat,
            gallery.lon,
            resolution=before.cell_resolution,
            added=gallery.added,
            added_weight=before.added_weight,
        )
        candidates = [float(temperature * factor) for factor in _TEMPERATURE_FACTORS]
        photos = fitted.validation[:: max(1, len(fitted.validation) // _CALIBRATION_PHOTOS)]
        total = np.zeros(len(candidates))
        for done, (row, features) in enumerate(zip(photos, examples.take(photos), strict=True), start=1):
            scores = alignment.scores(alignment.encode_image(features), gallery.embeddings)
            lat, lon = float(examples.lat[row]), float(examples.lon[row])
            total += negative_log_densities(scores, cells, lat, lon, temperatures=candidates)
            told("Calibrating", done, len(photos))
        temperature = candidates[int(total.argmin())]
        check = check_held_out(
            alignment,
            _start_alignment(start),
            names=(out.name, f"{start.name} {start.version}"),
            features=examples.take(photos),
            lat=examples.lat[photos],
            lon=examples.lon[photos],
            gallery=gallery,
            ranking=replace(before, temperature=temperature, background=0.0, abstain_below=0.0),
            start_ranking=before,
            progress=lambda done, total: told("Comparing", done, total),
        )
        facts = replace(facts, check=check)
    net = fitted.trainee.location
    write_release(
        out,
        alignment,
        labels,
        config=config,
        start=start,
        temperature=temperature,
        facts=facts,
        location_encoder=None if net is None else net.tensors(),
    )
    return facts


def _start_alignment(start: Release) -> Alignment | None:
    """Return the alignment of the release it started from; None where it averages answers over views."""
    from whyhere.alignment import load_alignment
    from whyhere.releases import prepare_heads

    if start.config.alignment.get("kind") == "geoclip":
        return None
    return load_alignment(prepare_heads(start), start.config.alignment)
