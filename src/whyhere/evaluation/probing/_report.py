"""The report of a probe run: as data, as a plain table, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from whyhere._text import markdown_cell
from whyhere.evaluation.probing._features import CONCEPTS, CONTROLS, EMBEDDING, ConceptSpace
from whyhere.evaluation.probing._run import Kept, Score, Settings
from whyhere.evaluation.probing._task import Skipped, Task
from whyhere.stats import Interval

BAR = 0.95
"""Share of the embedding's mean score that the concept space is meant to keep."""

SPLITS = {"random": "random split", "blocked": "blocked split"}
PROBES = {"linear": "Linear probe (ridge, logistic)", "mlp": "MLP probe (one hidden layer)"}


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """Everything a probe run found.

    Attributes:
        date: Day of the run, ISO 8601.
        release: Name and version of the release.
        settings: How probes were run.
        space: The shape of the release's concept space.
        tasks: What was predicted.
        skipped: What was not, and why.
        scores: All scores.
        kept: What the concept space and the controls keep of the embedding's scores.
        seconds: Time taken.
    """

    date: str
    release: str
    settings: Settings
    space: ConceptSpace
    tasks: tuple[Task, ...]
    skipped: tuple[Skipped, ...]
    scores: tuple[Score, ...]
    kept: tuple[Kept, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain dictionaries and lists."""
        return {
            "date": self.date,
            "release": self.release,
            "settings": self.settings.to_dict(),
            "concept_space": self.space.to_dict(),
            "tasks": [task.to_dict() for task in self.tasks],
            "skipped": [skipped.to_dict() for skipped in self.skipped],
            "scores": [score.to_dict() for score in self.scores],
            "kept": [kept.to_dict() for kept in self.kept],
            "bar": BAR,
            "seconds": self.seconds,
        }

    def grid(self, probe: str, split: str) -> tuple[list[str], dict[str, dict[str, Score]]]:
        """Return the names of the features and the scores by task and features."""
        rows: dict[str, dict[str, Score]] = {}
        names: dict[str, None] = {}
        for score in self.scores:
            if (score.probe, score.split) == (probe, split):
                rows.setdefault(score.task, {})[score.features] = score
                names[score.features] = None
        return list(names), rows

    def means(self, probe: str, split: str) -> dict[str, float]:
        """Return the mean score over tasks of each kind of features."""
        names, rows = self.grid(probe, split)
        return {name: sum(row[name].value.value for row in rows.values()) / len(rows) for name in names}

    def panels(self) -> list[tuple[str, str]]:
        """Return the pairs of probe and split that were run, in order."""
        return list(dict.fromkeys((score.probe, score.split) for score in self.scores))


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
        bar = f"the bar of {100 * BAR:.0f} %"
        inside = share.low < BAR <= share.high
        text += f"; {bar} lies inside the interval" if inside else f"; {bar} is {_verdict(share)}"
    return text + "."


def _verdict(share: Interval) -> str:
    """Say on which side of the bar a whole interval lies."""
    return "reached" if share.low >= BAR else "missed"


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
    for probe, split in report.panels():
        names, rows = report.grid(probe, split)
        yield f"\n{PROBES[probe]}, {SPLITS[split]}\n"
        yield "  " + " " * 14 + "".join(f"{_short(name):>14}" for name in names) + "\n"
        for task, row in rows.items():
            cells = "".join(f"{_brief(row[name].value):>14}" for name in names)
            yield f"  {task[:14]:<14}{cells}\n"
        means = report.means(probe, split)
        yield f"  {'mean':<14}" + "".join(f"{means[name]:>9.3f}     " for name in names).rstrip() + "\n"
    yield "\n"
    for kept in report.kept:
        yield sentence(kept) + "\n"
    yield space_sentence(report.space) + "\n"
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
    yield "| task | target | points | scored by | source |\n|---|---|---|---|---|\n"
    for task in report.tasks:
        metric = "R2" if task.kind == "value" else "accuracy"
        left_out = "".join(f"; {text[0].lower()}{text[1:].rstrip('.')}" for text in task.left_out)
        yield (
            f"| {markdown_cell(task.name)} | {markdown_cell(task.meaning)} | {len(task.lat):,} | {metric} | "
            f"{markdown_cell(task.source + left_out)} |\n"
        )
    for skipped in report.skipped:
        yield f"\nSkipped **{markdown_cell(skipped.name)}**: {markdown_cell(skipped.reason)}\n"
    for probe, split in report.panels():
        yield from _markdown_panel(report, probe, split)
    yield "\n## What is kept of the embedding\n\n"
    yield "".join(f"- {sentence(kept)}\n" for kept in report.kept)
    yield f"- {space_sentence(report.space)}\n"


def _markdown_panel(report: ProbeReport, probe: str, split: str) -> Iterator[str]:
    names, rows = report.grid(probe, split)
    yield f"\n## {PROBES[probe]}, {SPLITS[split]}\n\n"
    yield "| task | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|\n"
    for task, row in rows.items():
        best = max(score.value.value for score in row.values())
        cells = (_interval(row[name].value, bold=row[name].value.value == best) for name in names)
        yield f"| {markdown_cell(task)} | " + " | ".join(cells) + " |\n"
        if all(score.balanced for score in row.values()):
            cells = (_interval(row[name].balanced) for name in names)
            yield f"| {markdown_cell(task)}, balanced | " + " | ".join(cells) + " |\n"
        reachable = row[EMBEDDING].reachable if EMBEDDING in row else 1.0
        if reachable < 1:
            most = " | ".join([f"{reachable:.3f}"] * len(names))
            yield f"| {markdown_cell(task)}, at most | {most} |\n"
    means = report.means(probe, split)
    yield "| **mean** | " + " | ".join(f"{means[name]:.3f}" for name in names) + " |\n"


def _interval(interval: Interval | None, *, bold: bool = False) -> str:
    if interval is None:
        return ""
    value = f"**{interval.value:.3f}**" if bold else f"{interval.value:.3f}"
    return f"{value} ({interval.low:.3f} to {interval.high:.3f})"


def _brief(interval: Interval) -> str:
    return f"{interval.value:.3f} ±{(interval.high - interval.low) / 2:.3f}"[:14]


def _short(name: str) -> str:
    return "+ concepts" if name == f"{EMBEDDING}+{CONCEPTS}" else name
