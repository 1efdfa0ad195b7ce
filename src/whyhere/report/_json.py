"""JSON of one photo or many, JSON lines, and the schema that both keep to."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any

from whyhere.prediction import Prediction
from whyhere.report._text import SURROGATE, escaped

# JSON allows these unescaped, but they move the cursor of a terminal, turn text around or end a line for
# some readers of JSON lines.
_AWKWARD = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")


def dumps(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401
    """Return `value` as JSON text that is valid UTF-8 and safe to print.

    Args:
        value: Dictionaries, lists, strings, numbers, booleans and None.
        indent: Spaces a level; None for one line.

    Returns:
        The text without a newline at its end.

    Raises:
        ValueError: A number is not finite.
    """
    separators = None if indent is not None else (",", ":")
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    return _AWKWARD.sub(lambda match: f"\\u{ord(match.group()):04x}", _escaped_surrogates(text))


def _escaped_surrogates(text: str) -> str:
    r"""Return JSON text with lone surrogates inside its strings written as `\\xNN`."""
    # JSON could say "\udcff", but many readers refuse half a pair of surrogates (RFC 7493, section 2.1).
    return SURROGATE.sub(lambda match: escaped(match.group()).replace("\\", "\\\\"), text)


def stream_json(predictions: Iterable[Prediction], *, concepts: int | None = None) -> Iterator[str]:
    """Yield one object for one photo, an array for none or several; `concepts` as in `as_listed`."""
    waiting: str | None = None
    count = 0
    for prediction in predictions:
        if waiting is not None:
            yield ("[\n" if count == 1 else ",\n") + waiting
        waiting = dumps(as_listed(prediction, concepts), indent=2)
        count += 1
    if waiting is None:
        yield "[]\n"
    else:
        yield f"{waiting}\n" if count == 1 else f",\n{waiting}\n]\n"


def stream_jsonl(predictions: Iterable[Prediction], *, concepts: int | None = None) -> Iterator[str]:
    """Yield one line a photo; `concepts` as in `as_listed`."""
    for prediction in predictions:
        yield dumps(as_listed(prediction, concepts)) + "\n"


def as_listed(prediction: Prediction, concepts: int | None) -> dict[str, Any]:
    """Return `Prediction.to_dict` with the strongest concepts of each answer, and the sum of the others.

    Args:
        prediction: The prediction.
        concepts: How many concepts for, and how many against each answer; None for all.

    Returns:
        The dictionary. Where concepts are left out, each answer has `other_concepts`: how many they are and
        what they contribute together, so that the parts still add up to the score.
    """
    data = prediction.to_dict()
    if concepts is None:
        return data
    for answer, fields in zip(prediction.answers, data["answers"], strict=True):
        shown = {part.id for part in (*answer.supporting(concepts), *answer.opposing(concepts))}
        fields["concepts"] = [part for part in fields["concepts"] if part["id"] in shown]
        others = [part.contribution for part in answer.concepts if part.id not in shown]
        fields["other_concepts"] = {"count": len(others), "contribution": math.fsum(others)}
    return data


def prediction_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one prediction, a line of `jsonl` or the object of `json`."""
    text = files("whyhere.report").joinpath("prediction.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
