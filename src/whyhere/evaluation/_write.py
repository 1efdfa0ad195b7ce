"""The output folder: everything an evaluation found, in files."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from whyhere._io import write_atomically
from whyhere._text import csv_rows
from whyhere.errors import UsageError
from whyhere.evaluation._charts import bias_map, error_chart, reliability_chart, risk_coverage_chart
from whyhere.evaluation._compare import Comparison
from whyhere.evaluation._evaluation import Evaluation, PhotoScore
from whyhere.evaluation._markdown import to_markdown


def to_json(
    evaluation: Evaluation, *, against: Evaluation | None = None, comparison: Comparison | None = None
) -> str:
    """Write an evaluation as JSON.

    Args:
        evaluation: What was found; the object itself.
        against: A second system, under "against".
        comparison: The two compared, under "comparison".

    Returns:
        Indented text that ends with a newline.
    """
    value: dict[str, Any] = evaluation.to_dict()
    if against:
        value["against"] = against.to_dict()
    if comparison:
        value["comparison"] = comparison.to_dict()
    return json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def write_evaluation(
    evaluation: Evaluation,
    folder: Path,
    *,
    against: Evaluation | None = None,
    comparison: Comparison | None = None,
) -> tuple[Path, ...]:
    """Write evaluation.json, evaluation.md, photos.csv, map.svg and the charts.

    Args:
        evaluation: What was found.
        folder: Where to; made where absent. Files of an earlier evaluation are replaced.
        against: A second system on the same benchmark.
        comparison: The two compared.

    Returns:
        The files.

    Raises:
        UsageError: The folder cannot be written.
    """
    texts = {
        "evaluation.json": to_json(evaluation, against=against, comparison=comparison),
        "evaluation.md": to_markdown(evaluation, against=against, comparison=comparison),
        "photos.csv": _photos_csv(evaluation),
        "map.svg": bias_map(evaluation),
        "errors.svg": error_chart(evaluation),
        "reliability.svg": reliability_chart(evaluation),
        "risk_coverage.svg": risk_coverage_chart(evaluation),
    }
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            if text is None:  # of an earlier evaluation, perhaps, but not of this one
                (folder / name).unlink(missing_ok=True)
            else:
                write_atomically(folder / name, text)
                written.append(folder / name)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot write there: {error.strerror or error}") from error
    return tuple(written)


def _photos_csv(evaluation: Evaluation) -> str:
    """Return one row a photo; what is unknown or infinite is empty."""
    names = [field.name for field in fields(PhotoScore)]
    rows = (score.to_dict() for score in evaluation.scores)
    return csv_rows([names, *([row[name] for name in names] for row in rows)])
