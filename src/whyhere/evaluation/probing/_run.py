"""Running probes: every task, kind of features, probe and split, over folds and repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation.probing._features import CONCEPTS, CONTROLS, EMBEDDING
from whyhere.evaluation.probing._linear import Features, logistic_predictions, ridge_predictions
from whyhere.evaluation.probing._mlp import mlp_predictions
from whyhere.evaluation.probing._scores import Resampling, Sampled, score, share
from whyhere.evaluation.probing._splits import Fold, Splitter, blocks
from whyhere.evaluation.probing._task import Floats, Task
from whyhere.stats import Interval

Probe = Literal["linear", "mlp"]
SplitKind = Literal["random", "blocked"]

_INNER_FOLDS = 4
_RIDGE_INNER = 2  # of which ridge, which is quick, uses two


@dataclass(frozen=True, slots=True)
class Settings:
    """How probes are run.

    Attributes:
        probes: Which probes.
        splits: Which kinds of split.
        folds: Parts into which points are divided; each is tested once a repeat.
        repeats: How often all is done, each time with another division and other first weights.
        resolution: H3 resolution of the blocks.
        buffer_km: Margin around tested points in blocked splits.
        seed: Seed of everything.
    """

    probes: tuple[Probe, ...] = ("linear", "mlp")
    splits: tuple[SplitKind, ...] = ("random", "blocked")
    folds: int = 3
    repeats: int = 2
    resolution: int = 1
    buffer_km: float = 100.0
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Score:
    """What one probe reached on one task with one kind of features.

    Attributes:
        task: Name of the task.
        features: Name of the features.
        probe: The probe.
        split: The kind of split.
        metric: "R2" or "accuracy".
        value: The score, mean over repeats, with its interval.
        repeats: The score of each repeat.
        balanced: Balanced accuracy, for classes.
        reachable: Share of tested points whose class was there to be learned; 1 for values.
        chosen: How often each hyper-parameter was chosen inside the training parts.
    """

    task: str
    features: str
    probe: str
    split: str
    metric: str
    value: Interval
    repeats: tuple[float, ...]
    balanced: Interval | None
    reachable: float
    chosen: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["value"], plain["repeats"] = self.value.to_dict(), list(self.repeats)
        plain["balanced"] = self.balanced.to_dict() if self.balanced else None
        return plain


@dataclass(frozen=True, slots=True)
class Kept:
    """How much of the embedding's score other features reach, averaged over tasks.

    Attributes:
        features: What is compared with the embedding.
        probe: The probe.
        split: The kind of split.
        mean: Mean score over tasks.
        embedding_mean: The embedding's.
        share: The ratio of the two, with its interval.
        by_task: The ratio on each task.
    """

    features: str
    probe: str
    split: str
    mean: float
    embedding_mean: float
    share: Interval
    by_task: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["share"] = self.share.to_dict()
        return plain


@dataclass(frozen=True, slots=True)
class _Job:
    """One task with one kind of features, one probe, one kind of split: sent to a worker whole."""

    task: Task
    features: str
    probe: Probe
    split: SplitKind
    x: Features
    settings: Settings


def run_probes(
    tasks: Sequence[Task],
    make_features: Callable[[Floats, Floats], Mapping[str, Features]],
    settings: Settings,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Score], list[Kept]]:
    """Run every combination.

    Args:
        tasks: The tasks.
        make_features: Maps latitudes and longitudes, shape (n,), to features by name, each (n, columns).
        settings: How.
        jobs: Processes.
        progress: Called with combinations done and in all.

    Returns:
        The scores, and what the concept space keeps where both it and the embedding are among the features.

    Raises:
        UsageError: A task has too few points or blocks to be divided.
    """
    todo = list(_jobs(tasks, make_features, settings))
    sampled: dict[tuple[str, str, str, str], tuple[_Job, Sampled]] = {}
    scores: dict[tuple[str, str, str, str], Score] = {}
    draws: dict[str, tuple[NDArray[np.int64], Resampling]] = {}
    for number, (job, predicted, reachable, chosen) in enumerate(_finished(todo, jobs)):
        task, key = job.task, (job.probe, job.split, job.task.name, job.features)
        if task.name not in draws:
            block = blocks(task.lat, task.lon, resolution=settings.resolution)
            resampling = Resampling.of(int(block.max()) + 1, settings.repeats, seed=settings.seed)
            draws[task.name] = (block, resampling)
        main, balanced = score(task.kind, _numbers(task), predicted, *draws[task.name])
        sampled[key] = (job, main)
        scores[key] = Score(
            task=task.name,
            features=job.features,
            probe=job.probe,
            split=job.split,
            metric="R2" if task.kind == "value" else "accuracy",
            value=main.interval,
            repeats=main.repeats,
            balanced=balanced.interval if balanced else None,
            reachable=reachable,
            chosen=dict(sorted(chosen.items())),
        )
        if progress is not None:
            progress(number + 1, len(todo))
    order = [(job.probe, job.split, job.task.name, job.features) for job in todo]
    return [scores[key] for key in order], _kept({key: sampled[key][1] for key in order})


def _jobs(
    tasks: Sequence[Task],
    make_features: Callable[[Floats, Floats], Mapping[str, Features]],
    settings: Settings,
) -> Iterator[_Job]:
    for task in tasks:
        made = make_features(task.lat, task.lon)
        for probe in settings.probes:
            for split in settings.splits:
                for name, x in made.items():
                    # Controls explain the linear probe; training networks on them would double the time.
                    if name not in CONTROLS or probe == "linear":
                        yield _Job(task, name, probe, split, x, settings)


def _finished(todo: list[_Job], jobs: int) -> Iterator[tuple[_Job, NDArray[Any], float, Counter[str]]]:
    """Do the jobs and yield them as they are done."""
    if jobs == 1:
        yield from ((job, *_done(job)) for job in todo)
        return
    from joblib import Parallel, delayed

    work = Parallel(n_jobs=jobs, return_as="generator")
    results = work(delayed(_done)(job) for job in todo)
    yield from ((job, *result) for job, result in zip(todo, results, strict=True))


def _numbers(task: Task) -> NDArray[Any]:
    """Return the targets as numbers; classes count from 0 in order of their names."""
    if task.kind == "value":
        return task.target.astype(np.float64)
    return np.unique(task.target, return_inverse=True)[1].astype(np.int64).ravel()


def _done(job: _Job) -> tuple[NDArray[Any], float, Counter[str]]:
    """Predict every point once a repeat, shape (repeats, n); also the reachable share and the choices."""
    from threadpoolctl import threadpool_limits

    task, settings, y = job.task, job.settings, _numbers(job.task)
    splitter = Splitter(job.split, settings.resolution, settings.buffer_km)
    predicted = np.zeros((settings.repeats, len(y)), y.dtype)
    chosen: Counter[str] = Counter()
    reachable = 0
    with threadpool_limits(1):
        for repeat in range(settings.repeats):
            seed = settings.seed + 1000 * repeat
            for fold in splitter.folds(task.lat, task.lon, count=settings.folds, seed=seed):
                lat, lon = task.lat[fold.train], task.lon[fold.train]
                inner = splitter.folds(lat, lon, count=_INNER_FOLDS, seed=seed + 1)
                predicted[repeat, fold.test], choice = _predict(job, y, fold, inner, seed)
                chosen.update(f"{name} {value:g}" for name, value in choice.items() if name != "epochs")
                known = np.isin(y[fold.test], y[fold.train]) if task.kind == "class" else fold.test >= 0
                reachable += int(known.sum())
    return predicted, reachable / predicted.size, chosen


def _predict(
    job: _Job, y: NDArray[Any], fold: Fold, inner: list[Fold], seed: int
) -> tuple[NDArray[Any], dict[str, float]]:
    """Fit a probe on one fold's training part and predict its test part."""
    x, x_test, known = job.x[fold.train], job.x[fold.test], y[fold.train]
    classes = job.task.kind == "class"
    if job.probe == "mlp":
        return mlp_predictions(x, known, x_test, inner=inner, classes=classes, seed=seed)
    if classes:
        return logistic_predictions(x, known, x_test, inner=inner)
    return ridge_predictions(x, known, x_test, inner=inner[:_RIDGE_INNER])


def _kept(sampled: dict[tuple[str, str, str, str], Sampled]) -> list[Kept]:
    """Compare features with the embedding over all tasks."""
    found = []
    tasks = list(dict.fromkeys(key[2] for key in sampled))
    pairs = list(dict.fromkeys(key[:2] for key in sampled))
    for probe, split in pairs:
        whole = {task: sampled.get((probe, split, task, EMBEDDING)) for task in tasks}
        for features in (CONCEPTS, *CONTROLS):
            part = {task: sampled.get((probe, split, task, features)) for task in tasks}
            parts = [value for value in part.values() if value]
            wholes = [value for value in whole.values() if value]
            if len(parts) < len(tasks) or len(wholes) < len(tasks):
                continue
            found.append(
                Kept(
                    features=features,
                    probe=probe,
                    split=split,
                    mean=float(np.mean([value.value for value in parts])),
                    embedding_mean=float(np.mean([value.value for value in wholes])),
                    share=share(parts, wholes).interval,
                    by_task={
                        task: a.value / b.value for task, a, b in zip(tasks, parts, wholes, strict=True)
                    },
                )
            )
    return found
