"""The output folder of a scorecard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from whyhere._text import csv_rows
from whyhere.errors import UsageError
from whyhere.evaluation.faithfulness._markdown import markdown
from whyhere.evaluation.faithfulness._pictures import Embeddings
from whyhere.evaluation.faithfulness._plots import plots
from whyhere.evaluation.faithfulness._scorecard import Scorecard, Table


def scorecard_json(scorecard: Scorecard) -> str:
    """Write a scorecard as JSON that ends with a newline."""
    return json.dumps(scorecard.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_scorecard(
    scorecard: Scorecard, folder: Path, *, pictures: Sequence[Embeddings] = ()
) -> tuple[Path, ...]:
    """Write scorecard.json, scorecard.md, SVG plots, and a CSV file of each long table.

    `scorecard.md` names its plots without a folder: copied together, they can lie anywhere.

    Args:
        scorecard: The scorecard.
        folder: Where to; made where absent.
        pictures: Embeddings on two axes.

    Returns:
        The files.

    Raises:
        UsageError: The folder cannot be written.
    """
    drawn = plots(scorecard, pictures)
    texts = {
        "scorecard.json": scorecard_json(scorecard),
        "scorecard.md": markdown(scorecard, plots=tuple(drawn)),
        **drawn,
    }
    for table in (*(t for line in scorecard.lines for t in line.tables), *scorecard.exhibits):
        if not table.in_report:
            texts[f"{table.id}.csv"] = _csv(table)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            temporary = folder / f".{name}.tmp"
            temporary.write_text(text, encoding="utf-8", newline="")
            temporary.replace(folder / name)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot write there: {error.strerror or error}") from error
    return tuple(folder / name for name in texts)


def _csv(table: Table) -> str:
    return csv_rows([table.columns, *table.rows])
