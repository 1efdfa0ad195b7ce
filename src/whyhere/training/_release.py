"""From a table and photos to a release: what `whyhere train` does, and how any release is written.

Needs torch only once it trains. The order of things: start release, concepts, table, features, training,
calibration and comparison on held-out photos, files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whyhere._io import seal, write_atomically
from whyhere.alignment import Alignment, ConceptAlignment, load_alignment
from whyhere.concepts import ConceptLabel, Directions, load_bank, load_directions, read_labels
from whyhere.errors import MissingFileError, UsageError
from whyhere.gallery import open_gallery
from whyhere.ranking import RankingConfig
from whyhere.releases import Release, galleries_dir, load_text_tower, prepare_heads, resolve
from whyhere.tables import PhotoTable, Problem, read_photos
from whyhere.training._calibration import (
    HeldOutCheck,
    check_held_out,
    negative_log_densities,
    ranking_section,
)
from whyhere.training._config import TrainConfig
from whyhere.training._data import SHARE, Examples, Progress, embedded_photos, generator, given_features

if TYPE_CHECKING:
    from whyhere.training._loop import Fitted
    from whyhere.training._module import Encoder, LocationNet

SHIPPED_TOWER = "clip-vit-b16"
"""The tower that whyhere ships directions for."""

_CALIBRATION_PHOTOS = 200
_TEMPERATURE_FACTORS = np.geomspace(0.2, 10.0, 24)


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What a model card must tell about a run.

    Attributes:
        photos: Photos that could be used.
        bad_rows: Rows of the table that could not.
        trained: Photos trained on.
        held_out: Photos held out for early stopping and calibration.
        steps: Step whose weights were kept.
        at_start: Validation figures before training.
        at_best: Validation figures of the weights kept.
        calibrated: Whether the temperature was fitted on the validation photos.
        check: What the held-out photos say of answers; None where the release was not calibrated.
    """

    photos: int
    bad_rows: int
    trained: int
    held_out: int
    steps: int
    at_start: Mapping[str, float]
    at_best: Mapping[str, float]
    calibrated: bool
    check: HeldOutCheck | None = None

    @property
    def accuracy(self) -> str:
        """One sentence on how good it is."""
        if not self.at_best:
            return "Not measured: no photos were held out."
        return (
            f"Among {self.held_out} held-out photos, which also chose when to stop, the best of the known "
            f"places was within 750 km for {self.at_best['within_750_km']:.0%} and within 2,500 km for "
            f"{self.at_best['within_2500_km']:.0%}; median {self.at_best['median_km']:,.0f} km."
        )


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What came out of a run.

    Attributes:
        facts: Counts and validation figures.
        problems: Rows of the table that were left out.
        release: Directory of the release.
    """

    facts: TrainingFacts
    problems: tuple[Problem, ...]
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
    on_problems: Callable[[PhotoTable], None] | None = None,
) -> TrainingReport:
    """Train a release from photos with coordinates.

    Args:
        data: Table with photos, latitudes and longitudes; see `whyhere.tables.read_photos`.
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
    refuse_taken(out)
    if (out / "training" / "checkpoint.safetensors").exists() and not resume:
        raise UsageError(
            f"{out} holds a run that was interrupted; give --resume to go on with it, or another directory"
        )
    with parallel.process_group(device) as device:
        start = resolve(config.start_release)
        labels, directions = concept_directions(start, config)
        table = read_photos(
            data,
            need_photos=features is None,
            swap_remedy="rename the columns in the header line",
            stray_share=0.2,
        )
        table = _share(table, config)
        if features is not None:
            table, examples = given_features(table, features)
        else:
            assert photos is not None
            with parallel.first_alone():  # the others find everything in the cache
                table, examples = embedded_photos(table, photos, start, told)
        if not table.queries:
            raise UsageError(f"{data}: no photo is left to train on; first: {table.problems[0].reason}")
        if on_problems is not None and parallel.rank() == 0:
            on_problems(table)
        fitted = fit(
            examples,
            directions,
            _location_encoder(start, config),
            config,
            folder=out / "training",
            gallery=np.load(start.part_path(start.config.gallery) / "gallery.npy"),
            resume=resume,
            identity={"data": _data_fingerprint(table, examples, directions)},
            device=device,
            progress=lambda done, total: told("Training", done, total),
        )
        facts = TrainingFacts(
            photos=len(table.queries),
            bad_rows=len(table.problems),
            trained=len(fitted.training),
            held_out=len(fitted.validation),
            steps=fitted.state.best_step,
            at_start=fitted.state.at_start,
            at_best=fitted.at_best,
            calibrated=config.calibrate
            and len(fitted.validation) > 0
            and config.location_encoder == "frozen",
        )
        if parallel.rank() == 0:
            alignment, temperature = fitted.trainee.alignment.export(tuple(label.id for label in labels))
            if facts.calibrated:
                check = _calibrate(out.name, alignment, temperature, fitted, examples, start, told)
                facts = replace(facts, check=check)
            _write(out, alignment, labels, fitted, config, start, temperature, facts)
        parallel.barrier()
    return TrainingReport(facts, table.problems, out)


def refuse_taken(out: Path) -> None:
    """Raise UsageError where a release lies in a directory already."""
    if (out / "config.json").exists():
        raise UsageError(f"{out} already holds a release; choose another directory for --release")


def _torch_parts() -> ModuleType:
    """Return the module for several processes, which needs torch as all that follows does."""
    try:
        from whyhere.training import _distributed
    except ImportError as error:
        raise MissingFileError(
            f'training needs torch ({error}); install it with: pip install "whyhere[train]"'
        ) from error
    return _distributed


def _share(table: PhotoTable, config: TrainConfig) -> PhotoTable:
    """Draw the share of the rows that is to be used, in the order of the table."""
    if config.photo_share == 1:
        return table
    count = len(table.queries)
    chosen = generator(config.seed, SHARE).permutation(count)[: max(1, round(config.photo_share * count))]
    return table.keep(tuple(table.queries[at] for at in np.sort(chosen).tolist()))


def _encoder_path(start: Release) -> Path:
    return start.part_path(start.config.location_encoder) / "location_encoder.safetensors"


def _location_encoder(start: Release, config: TrainConfig) -> Encoder | LocationNet:
    """Return the location encoder: frozen in NumPy, or one that learns."""
    from whyhere.encoders import LocationEncoder
    from whyhere.training._module import LocationNet

    if config.location_encoder == "frozen":
        return LocationEncoder.load(_encoder_path(start))
    net = LocationNet(seed=config.seed)
    if config.location_encoder == "finetune":
        net.load(_encoder_path(start))
    return net


def _data_fingerprint(table: PhotoTable, examples: Examples, directions: NDArray[np.float32]) -> str:
    """Return what identifies the data: places, concepts, and the features of a thousand photos."""
    digest = hashlib.sha256()
    some = np.linspace(0, len(examples) - 1, min(len(examples), 1000)).astype(int)
    rows = np.array([query.row for query in table.queries], np.int64)
    for array in (rows, examples.lat, examples.lon, directions, examples.take(some)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def concept_directions(
    start: Release, config: TrainConfig
) -> tuple[tuple[ConceptLabel, ...], NDArray[np.float32]]:
    """Return concepts and directions.

    The first of: `config.directions`, which may be those of a user's own bank (`whyhere concepts build`);
    those that a trained release (kind "caam") has; those that ship with whyhere for the tower; the prompts of
    the bank through the release's text tower (unit text embeddings averaged by concept, minus the mean over
    concepts, which is what all texts share); whatever the release calls directions. Of the shipped ones those
    that the release shows are taken.

    Args:
        start: The release whose image tower is used.
        config: Choices of the run.

    Returns:
        Labels of the k concepts, and E, unit columns, float32, shape (d, k).

    Raises:
        MissingFileError: There are none for the release's image tower.
        UsageError: They belong to another tower or bank.
    """
    tower = start.config.image_tower.asset or None
    kind = start.config.alignment.get("kind")
    if not config.directions:
        own = _own_directions(start)
        if own is not None and (kind == "caam" or (tower != SHIPPED_TOWER and not start.config.text_tower)):
            return own
        if tower != SHIPPED_TOWER and start.config.text_tower is not None:
            return _directions_from_texts(start)
    found = load_directions(config.directions or None, tower=tower)
    if not found.ids:
        raise UsageError(f"{config.directions}: every concept is weak; see `whyhere concepts check`")
    ids = found.ids
    shown = start.directory / "concepts.json"
    if found.bank is None and shown.is_file():  # one's own bank is trained with, whatever the release shows
        known = {label.id for label in read_labels(shown)}
        ids = tuple(concept_id for concept_id in ids if concept_id in known) or ids
    columns = [found.ids.index(concept_id) for concept_id in ids]
    return labels_of_directions(found, ids), np.ascontiguousarray(found.directions[columns].T, np.float32)


def labels_of_directions(found: Directions, ids: Sequence[str]) -> tuple[ConceptLabel, ...]:
    """Return the labels of concepts that have directions."""
    concepts = {concept.id: concept for concept in found.bank or load_bank()}
    sources = {entry.id: entry.source for entry in found.concepts}
    return tuple(
        ConceptLabel(c.id, c.name, c.group, c.definition, sources[c.id])
        for c in (concepts[concept_id] for concept_id in ids)
    )


def _own_directions(start: Release) -> tuple[tuple[ConceptLabel, ...], NDArray[np.float32]] | None:
    """Return what the release's own weights hold."""
    weights = start.directory / "model.safetensors"
    if not weights.is_file():
        return None
    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as file:
        if "directions" not in file.keys():  # noqa: SIM118 - no mapping
            return None
        return read_labels(start.directory / "concepts.json"), file.get_tensor("directions")


def _directions_from_texts(start: Release) -> tuple[tuple[ConceptLabel, ...], NDArray[np.float32]]:
    bank = load_bank()
    texts = [[t.format(prompt) for prompt in c.prompts for t in bank.templates] for c in bank]
    rows = load_text_tower(start).embed([text for group in texts for text in group])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    ends = np.cumsum([len(group) for group in texts])[:-1]
    means = np.stack([part.mean(axis=0) for part in np.split(rows, ends)])
    means -= means.mean(axis=0)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    labels = tuple(ConceptLabel(c.id, c.name, c.group, c.definition, "text") for c in bank)
    return labels, np.ascontiguousarray(means.T, np.float32)


def _calibrate(
    name: str,
    alignment: ConceptAlignment,
    temperature: float,
    fitted: Fitted,
    examples: Examples,
    start: Release,
    told: Progress,
) -> HeldOutCheck:
    """Fit temperature, background and threshold on held-out photos, and compare with the start."""
    gallery = open_gallery(
        start.part_path(start.config.gallery) / "gallery.npy",
        _encoder_path(start),
        galleries_dir(),
        smoothing_km=start.config.gallery_smoothing_km,
        covers_land=start.config.gallery_covers_land,
        progress=lambda done, total: told("Embedding the gallery (first use only)", done, total),
    )
    before = RankingConfig.from_dict(start.config.ranking, where=str(start.directory / "config.json"))
    cells = before.cells_of(gallery)
    candidates = [float(temperature * factor) for factor in _TEMPERATURE_FACTORS]
    photos = fitted.validation[:: max(1, len(fitted.validation) // _CALIBRATION_PHOTOS)]
    loss = np.zeros(len(candidates))
    for done, (row, features) in enumerate(zip(photos, examples.take(photos), strict=True), start=1):
        scores = alignment.scores(alignment.encode_image(features), gallery.embeddings)
        lat, lon = float(examples.lat[row]), float(examples.lon[row])
        loss += negative_log_densities(scores, cells, lat, lon, temperatures=candidates)
        told("Calibrating", done, len(photos))
    before_alignment: Alignment | None = None
    if start.config.alignment.get("kind") != "geoclip":  # which averages answers over views
        before_alignment = load_alignment(prepare_heads(start), start.config.alignment)
    return check_held_out(
        alignment,
        before_alignment,
        names=(name, f"{start.name} {start.version}"),
        features=examples.take(photos),
        lat=examples.lat[photos],
        lon=examples.lon[photos],
        gallery=gallery,
        ranking=replace(
            before, temperature=candidates[int(loss.argmin())], background=0.0, abstain_below=0.0
        ),
        start_ranking=before,
        progress=lambda done, total: told("Comparing", done, total),
    )


def write_parts(
    out: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, NDArray[Any]],
    labels: Sequence[Mapping[str, Any]],
    more: Mapping[str, bytes] | None = None,
) -> None:
    """Write the files of a release; `config.json`, which makes the directory one, comes last.

    Args:
        out: Its directory.
        config: What config.json holds.
        tensors: What model.safetensors holds.
        labels: What concepts.json holds.
        more: Further files that answers depend on, by name.
    """
    from safetensors.numpy import save

    files = {"model.safetensors": save(dict(tensors)), "concepts.json": json_bytes(labels), **(more or {})}
    out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        write_atomically(out / name, data)
    last = json_bytes(config)
    seal(out, tuple(files), coming={"config.json": last})
    write_atomically(out / "config.json", last)


def _write(
    out: Path,
    alignment: ConceptAlignment,
    labels: Sequence[ConceptLabel],
    fitted: Fitted,
    config: TrainConfig,
    start: Release,
    temperature: float,
    facts: TrainingFacts,
) -> None:
    from safetensors.numpy import save

    names = ("directions", "delta", "adapter", "feature_mean", "location_mean")
    tensors = {name: getattr(alignment, name) for name in names}
    for side in ("image", "feature"):
        head = asdict(getattr(alignment, side))
        tensors |= {f"{side}.{name}": tensor for name, tensor in head.items()}
    if facts.check:
        ranking = ranking_section(facts.check.ranking)
    else:  # what was fitted for the other release's scores does not hold for these
        kept = ("cell_resolution", "radius_km", "added_weight")
        ranking = {key: start.config.ranking[key] for key in kept if key in start.config.ranking}
        ranking |= {"temperature": temperature, "abstain_below": 0.0}
    net = fitted.trainee.location
    content = {
        "format_version": 1,
        "name": out.name,
        "version": "1.0",
        "image_tower": _part(start, "image_tower"),
        "location_encoder": _part(start, "location_encoder") if net is None else {"folder": "."},
        "gallery": _part(start, "gallery"),
        "alignment": {
            "kind": "caam",
            "concept_weight": alignment.concept_weight,
            "feature_weight": alignment.feature_weight,
            "normalise": alignment.normalise,
            "concept_ids": list(alignment.concept_ids),
        },
        "ranking": ranking,
        "card": {
            "summary": _summary(config, start, facts),
            "accuracy": facts.accuracy,
            "limits": _limits(facts),
            "attribution": [
                *start.config.card.attribution,
                "Training photos: state their source and licence here.",
            ],
        },
        "training": config.to_dict(),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "MODEL_CARD.md", _card(out.name, alignment, config, start, facts).encode())
    write_parts(
        out,
        content,
        tensors,
        # Nobody has asked yet whether open maps confirm what these columns have become.
        [{**label.to_dict(), "evidence": "untested"} for label in labels],
        more=None if net is None else {"location_encoder.safetensors": save(net.tensors())},
    )


def _part(start: Release, name: str) -> dict[str, Any]:
    """Return where a part of the starting release lies, from any other directory."""
    section: dict[str, Any] = json.loads((start.directory / "config.json").read_text("utf-8"))[name]
    for key in section.keys() & {"file", "folder"}:
        section[key] = str((start.directory / Path(section[key]).expanduser()).resolve())
    section.pop("view_average", None)  # features in training are the default, the average of embeddings
    return section


def _summary(config: TrainConfig, start: Release, facts: TrainingFacts) -> str:
    space = {"concept": "concepts alone", "feature": "features alone", "both": "concepts and features"}
    return (
        f"Concept-Aware Alignment Module trained on {facts.trained:,} photos over the image tower of release "
        f"{start.config.name}; scores by {space[config.contrast_space]}."
    )


def _limits(facts: TrainingFacts) -> list[str]:
    limits = [
        "The validation figures chose the weights and so flatter; measure the release on other photos.",
        "Answers are gallery points; places that few people photograph are hard to reach.",
        "Concepts show what carried the score inside the model; not that the thing is in the photo.",
        "An estimate is a hypothesis to be checked, never proof of where a photo was taken.",
    ]
    if not facts.calibrated:
        limits.insert(1, "Probabilities are not calibrated: the temperature is the one learned in training.")
    return limits


def _card(
    name: str, alignment: ConceptAlignment, config: TrainConfig, start: Release, facts: TrainingFacts
) -> str:
    drift = alignment.drift
    moved = [f"{alignment.concept_ids[j]} {drift[j]:.2f}" for j in np.argsort(drift)[:10]]
    lines = [
        f"# {name}",
        "",
        _summary(config, start, facts),
        "",
        "## Data",
        "",
        f"{facts.photos:,} photos with coordinates; {facts.bad_rows:,} bad rows were left out. "
        f"{facts.trained:,} photos trained, {facts.held_out:,} held out ({config.validation_split}).",
        "",
        "## Accuracy",
        "",
        facts.accuracy,
        "",
        "| held-out photos | before training | kept weights |",
        "|---|---|---|",
        *(f"| {key} | {facts.at_start[key]:.4g} | {value:.4g} |" for key, value in facts.at_best.items()),
        "",
        *(facts.check.lines() if facts.check else ()),
        "## Concepts",
        "",
        f"{len(alignment.concept_ids)} concepts for {alignment.directions.shape[0]} dimensions. "
        f"Mean cos(B_j, E_j) between column and name: {drift.mean():.3f}; least: {', '.join(moved)}.",
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in _limits(facts)),
        "",
        "## Configuration",
        "",
        f"Weights of step {facts.steps}.",
        "",
        "```toml",
        # TOML writes booleans, numbers and texts as JSON does.
        *(f"{key} = {json.dumps(value)}" for key, value in config.to_dict().items()),
        "```",
        "",
    ]
    return "\n".join(lines)


def json_bytes(value: object) -> bytes:
    """Return what a JSON file of a release holds, in lines, so that changes can be read."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
