"""What `whyhere explain` prints for people, made with rich: the sum, the difference, and what if.

Nothing depends on colour: signs and labels say the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from whyhere._text import to_ascii
from whyhere.prediction import UNCONFIRMED, Answer, Assumptions, Contrast, Explanation, Intervention
from whyhere.report._explain_words import (
    MODEL_ONLY,
    STRENGTH,
    Line,
    change_texts,
    chosen_text,
    effect_texts,
    explanation_decimals,
    lines_of_contrast,
    lines_of_place,
    opening,
    place_called,
    rather_text,
    silent_groups,
    spot_text,
    strength_text,
)
from whyhere.report._reasons import absent_text, cautions, unconfirmed_text
from whyhere.report._table import _ASCII, _UNICODE, _cells, _Table
from whyhere.report._text import (
    HYPOTHESIS,
    PLACE_NAMES,
    area_text,
    chance_text,
    exif_text,
    kilometres,
    percent,
    printable,
    signed,
    town_text,
)

_MIN_WIDTH, _MAX_WIDTH = 40, 120
_INDENT = 4
_NAME_MAX, _BAR_MAX = 32, 36
_WIDE = 72
"""Narrower terminals show sums without strengths, differences without terms, answers in one column."""


def stream_text(
    explanation: Explanation, *, width: int, color: bool, ascii_only: bool, concepts: int
) -> Iterator[str]:
    """Yield the explanation as text.

    Args:
        explanation: What to print.
        width: Columns of the terminal; at least 40 and at most 120 are used.
        color: Write ANSI colours.
        ascii_only: Write nothing but ASCII.
        concepts: How many concepts of each group to show.
    """
    from rich.console import Console

    buffer = io.StringIO()
    # An empty environment: only the arguments decide about width and colour.
    console = Console(
        file=buffer,
        width=min(max(width, _MIN_WIDTH), _MAX_WIDTH),
        color_system="standard" if color else None,
        force_terminal=color,
        no_color=not color,
        legacy_windows=False,
        highlight=False,
        _environ={},
    )
    _Page(console, look=_ASCII if ascii_only else _UNICODE, concepts=concepts).explanation(explanation)
    yield to_ascii(buffer.getvalue()) if ascii_only else buffer.getvalue()


class _Page(_Table):
    """Prints one explanation onto one console."""

    def explanation(self, explanation: Explanation) -> None:
        """Print all of it."""
        self.masthead(explanation)
        decimals = explanation_decimals(explanation)
        self.place(explanation.here, decimals, explanation.prediction.assumptions)
        if explanation.contrast:
            self.contrast(
                explanation.here, explanation.contrast, decimals, explanation.prediction.assumptions
            )
        if explanation.intervention:
            self.intervention(explanation, explanation.intervention, decimals)
        self.console.print()
        starred = any(concept.unconfirmed for concept in explanation.here.concepts)
        notes = (MODEL_ONLY, *((UNCONFIRMED,) if starred else ()), HYPOTHESIS, PLACE_NAMES)
        self.line(("\n".join(notes), "dim"))

    def masthead(self, explanation: Explanation) -> None:
        """Print the name of the photo and what holds for all of it."""
        prediction = explanation.prediction
        release = printable(prediction.release)
        name = self.shortened(printable(prediction.photo), self.width - len(release) - 3)
        self.ends((name, "bold"), (release, "dim"))
        self.line((self.look.rule * self.width, "dim"))
        for text in opening(explanation):
            self.line((text, "bold"))
        self.verdict(prediction, told=True)
        if (gps := exif_text(prediction)) is not None:
            self.line((f"EXIF GPS: {gps} (not used to answer)", ""))

    def place(self, parts: Answer, decimals: int, assumptions: Assumptions) -> None:
        """Print the sum that is the score of a place."""
        self.title(f"Why {place_called(parts)}?", "")
        self.chance(parts, assumptions)
        self.console.print()
        lines = list(lines_of_place(parts, self.concepts))
        heads = ("strength", "score") if self.width >= _WIDE else ("score",)
        self.sums(lines, heads, decimals, silent_groups(len(parts.groups), lines))
        for label, value, style in (
            ("unnamed remainder", parts.remainder, "dim"),
            ("score", parts.score, "bold"),
        ):
            self.total(label, (None, value)[-len(heads) :], lines, heads, decimals, style=style)
        reasons = parts.reasons
        for text in (absent_text(reasons, decimals), unconfirmed_text(reasons, decimals)):
            if text:
                self.paragraph(text, "dim")
        for text in cautions(reasons):
            self.paragraph(text, "yellow")
        if "strength" in heads:
            self.paragraph(STRENGTH, "dim")

    def contrast(self, here: Answer, contrast: Contrast, decimals: int, assumptions: Assumptions) -> None:
        """Print the difference of two scores."""
        there = contrast.there
        self.title(rather_text(here, there), "")
        self.chance(there, assumptions)
        self.console.print()
        lines = list(lines_of_contrast(contrast, self.concepts))
        heads = ("here", "there", "difference") if self.width >= _WIDE else ("difference",)
        self.sums(lines, heads, decimals, silent_groups(len(contrast.groups), lines))
        for label, values, style in (
            ("unnamed remainder", (here.remainder, there.remainder, contrast.remainder), "dim"),
            ("score", (here.score, there.score, contrast.score), "bold"),
        ):
            self.total(label, values[-len(heads) :], lines, heads, decimals, style=style)

    def chance(self, parts: Answer, assumptions: Assumptions) -> None:
        """Print the probability of a place, and where it is."""
        self.paragraph(chance_text(parts.probability, parts.radius_km, assumptions), "bold")
        self.paragraph(f"{spot_text(parts)}, {chosen_text(parts)}; {town_text(parts.place)}")

    def intervention(self, explanation: Explanation, found: Intervention, decimals: int) -> None:
        """Print what was changed and how the answers move."""
        self.title("What if?", "")
        for text in change_texts(found):
            self.paragraph(text)
        self.console.print()
        for text in effect_texts(explanation, found):
            self.paragraph(text, "bold")
        before, after = explanation.here, found.here
        scores = f"{signed(before.score, decimals)} before, {signed(after.score, decimals)} after"
        self.paragraph(f"Score of {place_called(before)}: {scores}.")
        self.console.print()
        if assumptions := explanation.prediction.assumptions:
            self.paragraph(f"All {printable(str(assumptions))}:")
        self.answers(explanation.prediction.answers, found.after.answers)

    def answers(self, before: Sequence[Answer], after: Sequence[Answer]) -> None:
        """Print the answers before and after, side by side where there is room."""
        if self.width < _WIDE:
            for label, answers in (("before", before), ("after", after)):
                self.line((f"{' ' * _INDENT}{label}", "dim"))
                for answer in answers:
                    self.line((f"{answer.rank:>2}  {self.answer(answer, self.width - _INDENT)}", ""))
            return
        room = (self.width - _INDENT - 3) // 2
        self.line((f"{' ' * _INDENT}{'before'.ljust(room)}   after", "dim"))
        for number, (left, right) in enumerate(zip_longest(before, after), start=1):
            texts = [self.answer(one, room) if one else " " * room for one in (left, right)]
            self.line((f"{number:>2}  {'   '.join(texts).rstrip()}", ""))

    def answer(self, answer: Answer, room: int) -> str:
        """Return place and probability of an answer in exactly `room` columns."""
        share = f"{percent(answer.probability)} within {kilometres(answer.radius_km)}"
        name = self.shortened(area_text(answer), room - len(share) - 2, keep="start")
        return name + " " * (room - _cells(name) - len(share)) + share

    def title(self, left: str, right: str) -> None:
        """Print the question of a section."""
        self.console.print()
        left = self.shortened(left, self.width - len(right) - 2, keep="start")
        if right:
            self.ends((left, "bold"), (right, "bold"))
        else:
            self.line((left, "bold"))

    def sums(self, lines: Sequence[Line], heads: Sequence[str], decimals: int, silent: int) -> None:
        """Print one line a summand: name, numbers, bar."""
        columns = "".join(head.rjust(max(len(head), decimals + 3) + 2) for head in heads)
        self.line((" " * (_INDENT + self.names(lines, heads, decimals)) + columns, "dim"))
        largest = max((abs(line.value) for line in lines), default=0.0) or 1.0
        for line in lines:
            values = (
                (line.strength, line.value) if "strength" in heads else (line.here, line.there, line.value)
            )
            self.summand(line, values[-len(heads) :], lines, heads, decimals, largest)
        if silent:
            text = f"{silent} other group{'s' if silent > 1 else ''}: nothing for or against"
            self.paragraph(text, "dim")

    def summand(
        self,
        line: Line,
        values: Sequence[float | None],
        lines: Sequence[Line],
        heads: Sequence[str],
        decimals: int,
        largest: float,
    ) -> None:
        """Print one summand; concepts stand two columns in, below their group."""
        room = self.names(lines, heads, decimals)
        indent = "" if line.kind == "group" else "  "
        name = self.shortened(indent + printable(line.name), room, keep="start")
        text = " " * _INDENT + name + " " * (room - _cells(name)) + self.numbers(values, heads, decimals)
        style = {"group": "bold", "concept": "", "rest": "dim"}[line.kind]
        bar = ""
        if line.kind == "concept" and line.value:
            room = min(self.width - _cells(text) - 2, _BAR_MAX)
            bar = "  " + self.bar(abs(line.value) / largest, room, against=line.value < 0)
        self.line((text, style), (bar, "magenta" if line.value < 0 else "cyan"))

    def total(
        self,
        label: str,
        values: Sequence[float | None],
        lines: Sequence[Line],
        heads: Sequence[str],
        decimals: int,
        *,
        style: str,
    ) -> None:
        """Print a line below the summands."""
        room = self.names(lines, heads, decimals)
        text = self.shortened(label, room, keep="start").ljust(room)
        self.line((" " * _INDENT + text + self.numbers(values, heads, decimals), style))

    def numbers(self, values: Sequence[float | None], heads: Sequence[str], decimals: int) -> str:
        """Return numbers below their heads."""
        cells = []
        for head, value in zip(heads, values, strict=True):
            text = "" if value is None else signed(value, decimals)
            if head == "strength" and value is not None:
                text = strength_text(value)
            cells.append(text.rjust(max(len(head), decimals + 3) + 2))
        return "".join(cells)

    def names(self, lines: Sequence[Line], heads: Sequence[str], decimals: int) -> int:
        """Return the columns of the names: as wide as the longest, as far as there is room."""
        taken = sum(max(len(head), decimals + 3) + 2 for head in heads)
        longest = max((_cells(printable(line.name)) + 2 for line in lines), default=0)
        return min(max(longest, len("unnamed remainder")), _NAME_MAX, self.width - _INDENT - taken - 6)
