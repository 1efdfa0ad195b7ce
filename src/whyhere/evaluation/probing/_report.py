"""Running probes over every task, kind of features, probe and split, and telling what they found.

A score is R2 or accuracy over all points, each predicted once a repeat by a probe that did not see it. Its
interval resamples what it could have been otherwise: the repeat (how points were divided and networks
started) and the blocks of the Earth that were tested (neighbours are no independent evidence).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whyhere._record import Record
from whyhere._text import markdown_cell
from whyhere.evaluation.probing._probes import (
    CONCEPTS,
    CONTROLS,
    EMBEDDING,
    ConceptSpace,
    Features,
    Integers,
    Splitter,
    blocks,
    logistic_predictions,
    mlp_predictions,
    ridge_predictions,
)
from whyhere.evaluation.probing._tasks import Doubles, Kind, Skipped, Task
from whyhere.report import Estimate, intervals
from whyhere.report.words import markdown_table
from whyhere.stats import Interval, interval, times_drawn

Probe = Literal["linear", "mlp"]
SplitKind = Literal["random", "blocked"]

BAR = 0.95
"""Share of the embedding's mean score that the concept space is meant to keep."""

DRAWS = 1000
SPLITS = {"random": "random split", "blocked": "blocked split"}
PROBES = {"linear": "Linear probe (ridge, logistic)", "mlp": "MLP probe (one hidden layer)"}
COLOURS = {
    "coordinates": "#999999",
    "sines": "#56b4e9",
    "harmonics": "#009e73",
    EMBEDDING: "#0072b2",
    f"{EMBEDDING}+{CONCEPTS}": "#cc79a7",
    CONCEPTS: "#d55e00",
    CONTROLS[0]: "#e69f00",
    CONTROLS[1]: "#000000",
}

_INNER_FOLDS = 4
_RIDGE_INNER = 2  # of which ridge, which is quick, uses two


class Settings(Record, frozen=True):
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


class Score(Record, frozen=True):
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


class Kept(Record, frozen=True):
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


class Resampling(NamedTuple):
    """Draws shared by everything that is scored on the same points, so that differences are paired.

    Attributes:
        weights: How often each block counts, float64, shape (draws, blocks).
        repeat: Which repeat counts, shape (draws,).
    """

    weights: Doubles
    repeat: Integers

    @classmethod
    def of(cls, blocks: int, repeats: int, *, seed: int, draws: int = DRAWS) -> Resampling:
        """Draw `blocks` blocks with replacement and one repeat, `draws` times."""
        rng = np.random.default_rng(seed)
        return cls(times_drawn(blocks, draws, rng), rng.integers(0, repeats, draws))

    def sampled(self, values: Callable[[Doubles], Doubles]) -> Sampled:
        """Score by a function from weights of blocks, (draws, blocks), to scores, (draws, repeats)."""
        repeats, draws = values(np.ones((1, self.weights.shape[1])))[0], values(self.weights)
        picked = draws[np.arange(len(draws)), self.repeat]
        return Sampled(float(repeats.mean()), tuple(float(value) for value in repeats), picked)


class Sampled(NamedTuple):
    """A score.

    Attributes:
        value: Mean over repeats.
        repeats: Value of each repeat.
        draws: Values over the draws of a `Resampling`.
    """

    value: float
    repeats: tuple[float, ...]
    draws: Doubles

    @property
    def interval(self) -> Interval:
        """The value with the central 95 % of its draws."""
        return interval(self.value, self.draws)


def score(
    kind: Kind, target: NDArray[Any], predicted: NDArray[Any], block: Integers, resampling: Resampling
) -> tuple[Sampled, Sampled | None]:
    """Score the predictions of all repeats.

    Args:
        kind: "value" for R2, "class" for accuracy.
        target: Truths, shape (n,): numbers, or class numbers.
        predicted: Predictions, shape (repeats, n).
        block: Number of each point's block, shape (n,).
        resampling: The draws.

    Returns:
        R2 and None, or accuracy and balanced accuracy (the mean of the accuracies within classes).
    """
    if kind == "value":
        return _r2(target.astype(np.float64), predicted.astype(np.float64), block, resampling), None
    hits, single = predicted == target, np.zeros(len(target), np.int64)
    return _accuracy(single, hits, block, resampling), _accuracy(target, hits, block, resampling)


def share(kept: list[Sampled], whole: list[Sampled]) -> Sampled:
    """Return the mean of some scores as a share of the mean of others, task by task in the same order."""
    part, total = sum(s.value for s in kept), sum(s.value for s in whole)
    draws = np.sum([s.draws for s in kept], axis=0) / np.sum([s.draws for s in whole], axis=0)
    return Sampled(part / total, (), draws)


def _r2(target: Doubles, predicted: Doubles, block: Integers, resampling: Resampling) -> Sampled:
    """1 - squared error / squared deviation from the mean, from sums over blocks."""
    y = target - target.mean()  # R2 does not change, and the sums below lose no digits
    blocks = resampling.weights.shape[1]

    def per_block(values: Doubles) -> Doubles:
        return np.bincount(block, values, blocks).astype(np.float64)

    one, first, second = per_block(np.ones(len(y))), per_block(y), per_block(y * y)
    errors = np.stack([per_block(row) for row in (predicted - target) ** 2], axis=1)  # (blocks, repeats)

    def r2(weights: Doubles) -> Doubles:
        count, total = weights @ one, weights @ first
        spread = np.maximum(weights @ second - total**2 / count, 1e-300)
        values: Doubles = 1 - (weights @ errors) / spread[:, None]
        return values

    return resampling.sampled(r2)


def _accuracy(group: Integers, hits: NDArray[np.bool_], block: Integers, resampling: Resampling) -> Sampled:
    """Mean over groups of the share of hits within each, from counts over blocks and groups."""
    blocks, groups = resampling.weights.shape[1], int(group.max()) + 1
    cell = block * groups + group

    def per_cell(values: Doubles) -> Doubles:
        summed = np.bincount(cell, values, blocks * groups).astype(np.float64)
        return summed.reshape(blocks, groups)

    counts = per_cell(np.ones(len(group)))
    right = [per_cell(row.astype(np.float64)) for row in hits]

    def accuracy(weights: Doubles) -> Doubles:
        there = weights @ counts
        present = there > 0  # a draw may lack a class
        shares = [np.where(present, (weights @ row) / np.maximum(there, 1), 0.0) for row in right]
        values: Doubles = np.stack([row.sum(axis=1) / present.sum(axis=1) for row in shares], axis=1)
        return values

    return resampling.sampled(accuracy)


class _Job(NamedTuple):
    """One task with one kind of features, one probe, one kind of split: sent to a worker whole."""

    probe: Probe
    split: SplitKind
    task: Task
    features: str
    x: Features
    settings: Settings

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.probe, self.split, self.task.name, self.features

    @property
    def targets(self) -> NDArray[Any]:
        """Targets as numbers; classes count from 0 in order of their names."""
        if self.task.kind == "value":
            return self.task.target.astype(np.float64)
        return np.unique(self.task.target, return_inverse=True)[1].astype(np.int64).ravel()


def run_probes(
    tasks: Sequence[Task],
    make_features: Callable[[Doubles, Doubles], Mapping[str, Features]],
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
    todo = [
        _Job(probe, split, task, name, x, settings)
        for task in tasks
        for made in (make_features(task.lat, task.lon),)
        for probe in settings.probes
        for split in settings.splits
        for name, x in made.items()
        # Controls explain the linear probe; training networks on them would double the time.
        if name not in CONTROLS or probe == "linear"
    ]
    sampled: dict[tuple[str, str, str, str], Sampled] = {}
    scores: list[Score] = []
    draws: dict[str, tuple[Integers, Resampling]] = {}
    for number, (job, (predicted, reachable, chosen)) in enumerate(zip(todo, _done(todo, jobs), strict=True)):
        task = job.task
        if task.name not in draws:
            block = blocks(task.lat, task.lon, resolution=settings.resolution)
            resampling = Resampling.of(int(block.max()) + 1, settings.repeats, seed=settings.seed)
            draws[task.name] = (block, resampling)
        main, balanced = score(task.kind, job.targets, predicted, *draws[task.name])
        sampled[job.key] = main
        scores.append(
            Score(
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
        )
        if progress is not None:
            progress(number + 1, len(todo))
    return scores, _kept(sampled)


def _done(todo: list[_Job], jobs: int) -> Iterator[tuple[NDArray[Any], float, Counter[str]]]:
    """Yield the results of the jobs, in their order, as they are done."""
    if jobs == 1:
        yield from map(_predictions, todo)
        return
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=jobs, return_as="generator")(delayed(_predictions)(job) for job in todo)


def _predictions(job: _Job) -> tuple[NDArray[Any], float, Counter[str]]:
    """Predict every point once a repeat, shape (repeats, n); also the reachable share and the choices."""
    from threadpoolctl import threadpool_limits

    task, settings, y, classes = job.task, job.settings, job.targets, job.task.kind == "class"
    splitter = Splitter(job.split, settings.resolution, settings.buffer_km)
    predicted = np.zeros((settings.repeats, len(y)), y.dtype)
    chosen: Counter[str] = Counter()
    reachable = 0
    with threadpool_limits(1):
        for repeat in range(settings.repeats):
            seed = settings.seed + 1000 * repeat
            for train, test in splitter.folds(task.lat, task.lon, count=settings.folds, seed=seed):
                lat, lon = task.lat[train], task.lon[train]
                inner = splitter.folds(lat, lon, count=_INNER_FOLDS, seed=seed + 1)
                parts = job.x[train], y[train], job.x[test]
                choice: dict[str, float]
                if job.probe == "mlp":
                    found, choice = mlp_predictions(*parts, inner=inner, classes=classes, seed=seed)
                elif classes:
                    found, choice = logistic_predictions(*parts, inner=inner)
                else:
                    found, choice = ridge_predictions(*parts, inner=inner[:_RIDGE_INNER])
                predicted[repeat, test] = found
                chosen.update(f"{name} {value:g}" for name, value in choice.items() if name != "epochs")
                reachable += int(np.isin(y[test], y[train]).sum()) if classes else len(test)
    return predicted, reachable / predicted.size, chosen


def _kept(sampled: dict[tuple[str, str, str, str], Sampled]) -> list[Kept]:
    """Compare features with the embedding over all tasks."""
    found = []
    tasks = list(dict.fromkeys(key[2] for key in sampled))
    for probe, split in dict.fromkeys(key[:2] for key in sampled):

        def of(features: str, probe: str = probe, split: str = split) -> list[Sampled]:
            keys = ((probe, split, task, features) for task in tasks)
            return [sampled[key] for key in keys if key in sampled]

        wholes = of(EMBEDDING)
        for features in (CONCEPTS, *CONTROLS):
            parts = of(features)
            if min(len(parts), len(wholes)) == len(tasks):
                mean, embedding_mean = (float(np.mean([s.value for s in one])) for one in (parts, wholes))
                ratios = (a.value / b.value for a, b in zip(parts, wholes, strict=True))
                by_task = dict(zip(tasks, ratios, strict=True))
                ratio = share(parts, wholes).interval
                found.append(Kept(features, probe, split, mean, embedding_mean, ratio, by_task))
    return found


class ProbeReport(Record, frozen=True):
    """Everything a probe run found.

    Attributes:
        date: Day of the run, ISO 8601.
        release: Name and version of the release.
        settings: How probes were run.
        concept_space: The shape of the release's concept space.
        tasks: What was predicted.
        skipped: What was not, and why.
        scores: All scores.
        kept: What the concept space and the controls keep of the embedding's scores.
        seconds: Time taken.
    """

    json_fields: ClassVar[tuple[str, ...]] = (
        "date", "release", "settings", "concept_space", "tasks", "skipped", "scores", "kept", "bar",
        "seconds",
    )  # fmt: skip

    date: str
    release: str
    settings: Settings
    concept_space: ConceptSpace
    tasks: tuple[Task, ...]
    skipped: tuple[Skipped, ...]
    scores: tuple[Score, ...]
    kept: tuple[Kept, ...]
    seconds: float

    @property
    def bar(self) -> float:
        """Share of the embedding's mean score that the concept space is meant to keep."""
        return BAR

    @property
    def panels(self) -> list[tuple[str, str]]:
        """The pairs of probe and split that were run, in order."""
        return list(dict.fromkeys((score.probe, score.split) for score in self.scores))

    def grid(self, probe: str, split: str) -> tuple[list[str], dict[str, dict[str, Score]], dict[str, float]]:
        """Return the names of the features, the scores by task and features, and mean scores by features."""
        rows: dict[str, dict[str, Score]] = {}
        for score in self.scores:
            if (score.probe, score.split) == (probe, split):
                rows.setdefault(score.task, {})[score.features] = score
        names = list(dict.fromkeys(name for row in rows.values() for name in row))
        means = {name: sum(row[name].value.value for row in rows.values()) / len(rows) for name in names}
        return names, rows, means


def sentence(kept: Kept) -> str:
    """Say what features keep of the embedding."""
    share = kept.share
    what = {CONCEPTS: "the concept space keeps", CONTROLS[0]: "as many random directions keep"}
    subject = what.get(kept.features, "as many principal directions keep")
    text = (
        f"{kept.probe}, {kept.split}: {subject} {100 * share.value:.1f} % "
        f"({100 * share.low:.1f} to {100 * share.high:.1f}) of the embedding's mean score "
        f"({kept.mean:.3f} of {kept.embedding_mean:.3f})"
    )
    if kept.features == CONCEPTS:
        verdict = "is reached" if share.low >= BAR else "is missed"
        verdict = "lies inside the interval" if share.low < BAR <= share.high else verdict
        text += f"; the bar of {100 * BAR:.0f} % {verdict}"
    return text + "."


def space_sentence(space: ConceptSpace) -> str:
    """Say what shape the concept space has."""
    return (
        f"The {space.concepts} concept numbers span {space.rank} of the embedding's {space.embedding_dims} "
        f"dimensions, which hold {100 * space.embedding_variance:.1f} % of its variance over land; "
        f"{space.dims_90} dimensions hold 90 % of the concept numbers' own variance, {space.dims_99} hold "
        "99 %."
    )


def plain_table(report: ProbeReport) -> Iterator[str]:
    """Yield the report as text for a terminal, 100 columns wide."""
    yield f"Probes of {report.release}, {report.date}\n"
    for probe, split in report.panels:
        names, rows, means = report.grid(probe, split)
        heads = ("+ concepts" if name == f"{EMBEDDING}+{CONCEPTS}" else name for name in names)
        yield f"\n{PROBES[probe]}, {SPLITS[split]}\n"
        yield "  " + " " * 14 + "".join(f"{head:>14}" for head in heads) + "\n"
        for task, row in rows.items():
            ends = (row[name].value for name in names)
            cells = (f"{one.value:.3f} ±{(one.high - one.low) / 2:.3f}"[:14] for one in ends)
            yield f"  {task[:14]:<14}{''.join(f'{cell:>14}' for cell in cells)}\n"
        yield f"  {'mean':<14}" + "".join(f"{means[name]:>9.3f}     " for name in names).rstrip() + "\n"
    yield "\n"
    for kept in report.kept:
        yield sentence(kept) + "\n"
    yield space_sentence(report.concept_space) + "\n"
    for skipped in report.skipped:
        yield f"Skipped {skipped.name}: {skipped.reason}\n"
    yield (
        "R2 for values, accuracy for classes; half widths of 95 % intervals over blocks and repeats. "
        f"{report.seconds:.0f} s.\n"
    )


def markdown(report: ProbeReport) -> Iterator[str]:
    """Yield the report as Markdown, with whole intervals."""
    settings = report.settings
    yield f"# Probes of {report.release}\n\n"
    yield (
        f"{report.date}; {settings.folds} folds, {settings.repeats} repeats, blocks of H3 resolution "
        f"{settings.resolution}, margin {settings.buffer_km:g} km, seed {settings.seed}; "
        f"{report.seconds:.0f} s.\n\n"
    )
    rows = []
    for task in report.tasks:
        left_out = "".join(f"; {text[0].lower()}{text[1:].rstrip('.')}" for text in task.left_out)
        metric = "R2" if task.kind == "value" else "accuracy"
        said = [markdown_cell(text) for text in (task.name, task.meaning, task.source + left_out)]
        rows.append([*said[:2], f"{len(task.lat):,}", metric, said[2]])
    yield markdown_table(("task", "target", "points", "scored by", "source"), rows)
    for skipped in report.skipped:
        yield f"\nSkipped **{markdown_cell(skipped.name)}**: {markdown_cell(skipped.reason)}\n"
    for probe, split in report.panels:
        yield f"\n## {PROBES[probe]}, {SPLITS[split]}\n\n{_panel(*report.grid(probe, split))}"
    yield "\n## What is kept of the embedding\n\n"
    yield "".join(f"- {sentence(kept)}\n" for kept in report.kept)
    yield f"- {space_sentence(report.concept_space)}\n"


def _panel(names: list[str], rows: dict[str, dict[str, Score]], means: dict[str, float]) -> str:
    table = []
    for task, row in rows.items():
        name, best = markdown_cell(task), max(score.value.value for score in row.values())
        table.append([name, *(_written(row[features].value, best) for features in names)])
        balanced = [row[features].balanced for features in names]
        if all(balanced):
            table.append([f"{name}, balanced", *(_written(one) for one in balanced if one)])
        reachable = row[EMBEDDING].reachable if EMBEDDING in row else 1.0
        if reachable < 1:
            table.append([f"{name}, at most", *[f"{reachable:.3f}"] * len(names)])
    table.append(["**mean**", *(f"{means[name]:.3f}" for name in names)])
    return markdown_table(["task", *names], table)


def _written(one: Interval, best: float | None = None) -> str:
    value = f"**{one.value:.3f}**" if one.value == best else f"{one.value:.3f}"
    return f"{value} ({one.low:.3f} to {one.high:.3f})"


def _estimate(one: Interval) -> Estimate:
    return one.value, one.low, one.high


def plots(report: ProbeReport) -> dict[str, str]:
    """Draw the report: SVG text by file name, scores of each probe and what the concept space keeps."""
    drawn = {f"scores-{probe}.svg": _scores_chart(report, probe) for probe in dict(report.panels)}
    if report.kept:
        drawn["kept.svg"] = _kept_chart(report)
    return drawn


def _scores_chart(report: ProbeReport, probe: str) -> str:
    """Points with intervals: a panel a split, a band a task, a line a kind of features."""
    splits = [split for name, split in report.panels if name == probe]
    grids = [report.grid(probe, split) for split in splits]
    names, tasks, _ = grids[0]
    rows = [
        (task[:16], [[_estimate(rows[task][name].value) for name in names] for _, rows, _ in grids])
        for task in tasks
    ]
    lows = (score.value.low for score in report.scores if score.probe == probe)
    return intervals(
        f"{PROBES[probe]}: R2 or accuracy",
        rows,
        series=[(name, COLOURS.get(name, "#000000")) for name in names],
        panels=[SPLITS[split] for split in splits],
        low=min([0.0, *(low for low in lows if low > -0.5)]),
        high=1.0,
        panel_width=290.0,
    ).svg


def _kept_chart(report: ProbeReport) -> str:
    """Shares of the embedding's mean score, a line a probe and split."""
    names = list(dict.fromkeys(kept.features for kept in report.kept))
    shares = {(kept.probe, kept.split, kept.features): _estimate(kept.share) for kept in report.kept}
    return intervals(
        "What is kept of the embedding",
        [
            (f"{probe}, {split}", [[shares.get((probe, split, name)) for name in names]])
            for probe, split in report.panels
        ],
        series=[(name, COLOURS[name]) for name in names],
        panels=["share of the embedding's mean score"],
        mark=BAR,
        mark_text=f"{100 * BAR:.0f} %",
        low=min(0.5, *(kept.share.low for kept in report.kept)),
        high=max(1.05, *(kept.share.high for kept in report.kept)),
        panel_width=580.0,
    ).svg
