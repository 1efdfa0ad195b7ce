"""What `whyhere locate` and `whyhere explain` print for people, made with rich.

The best place and its probability come first, then what carried it and what spoke against it. Nothing depends
on colour: signs and labels say the same.
"""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from whyhere._text import printable
from whyhere.prediction import (
    UNCONFIRMED,
    Answer,
    Assumptions,
    ConceptContribution,
    Contrast,
    Explanation,
    Intervention,
    Prediction,
)
from whyhere.report import words
from whyhere.report.words import Line, Sum, area_text, chance_text, kilometres, percent, signed, strength_text

if TYPE_CHECKING:
    from rich.text import Text

_MIN_WIDTH, _MAX_WIDTH = 40, 120
_INDENT = 4
_AREA_MIN = 24  # less room for the name of an area gives it a line of its own
_LABEL = 9  # "against" and its gap
_NAME_MAX, _BAR_MAX, _BAR_MIN = 30, 40, 10  # of a concept that speaks for or against an answer
_ASIDE = 36  # columns left for where the release has a concept
_SUM_NAME_MAX, _SUM_BAR_MAX = 32, 36  # of a line of a sum
_WIDE = 72  # narrower terminals show sums without strengths, differences without terms, answers in one column


class _Look(NamedTuple):
    """Characters of a table: block elements, or ASCII for terminals and pipes that cannot show them."""

    eighths: str
    against: str
    rule: str
    ellipsis: str


_UNICODE = _Look(eighths=" ▏▎▍▌▋▊▉█", against="▒", rule="─", ellipsis="…")
_ASCII = _Look(eighths=" #", against="-", rule="-", ellipsis="...")


class _Scale(NamedTuple):
    """What the bars of one photo share."""

    largest: float
    name_width: int
    decimals: int


def prediction_table(
    predictions: Iterable[Prediction], *, width: int, color: bool, ascii_only: bool, concepts: int
) -> Iterator[str]:
    """Yield the block of each photo, then the lines that hold for all of them.

    Args:
        predictions: What to print.
        width: Columns of the terminal; 40 to 120 are used.
        color: Write ANSI colours.
        ascii_only: Write nothing but ASCII.
        concepts: How many concepts to show for, and how many against each answer.
    """
    screen = _Screen(width, color=color, ascii_only=ascii_only, concepts=concepts)
    several = starred = False
    for prediction in predictions:
        if several:
            screen.line()
        screen.photo(prediction)
        several = True
        starred = starred or any(answer.reasons.unconfirmed for answer in prediction.answers)
        yield screen.taken()
    if several:
        screen.notes(UNCONFIRMED if starred else "", words.HYPOTHESIS, words.PLACE_NAMES)
        yield screen.taken()


def explanation_text(
    explanation: Explanation, *, width: int, color: bool, ascii_only: bool, concepts: int
) -> Iterator[str]:
    """Yield the explanation; the arguments are those of `prediction_table`, the concepts those of a group."""
    screen = _Screen(width, color=color, ascii_only=ascii_only, concepts=concepts)
    screen.explanation(explanation)
    yield screen.taken()


class _Screen:
    """Prints lines of a given width and keeps them until they are taken."""

    def __init__(self, width: int, *, color: bool, ascii_only: bool, concepts: int) -> None:
        from rich.console import Console

        self.width = min(max(width, _MIN_WIDTH), _MAX_WIDTH)
        self.look = _ASCII if ascii_only else _UNICODE
        self.concepts = concepts
        self.buffer = io.StringIO()
        # An empty environment: only the arguments decide about width and colour.
        self.console = Console(
            file=self.buffer,
            width=self.width,
            color_system="standard" if color else None,
            force_terminal=color,
            no_color=not color,
            legacy_windows=False,
            highlight=False,
            _environ={},
        )

    def taken(self) -> str:
        """Return what was printed since the last time."""
        text = self.buffer.getvalue()
        self.buffer.seek(0)
        self.buffer.truncate()
        return text if self.look is _UNICODE else _ascii(text)

    # Predictions

    def photo(self, prediction: Prediction) -> None:
        """Print all about one photo."""
        self.masthead(prediction)
        self.verdict(prediction)
        common = words.shared_concepts(prediction, self.concepts)
        told = {row[0].id for row in common}
        shown = [self.shown(answer, told) for answer in prediction.answers]
        listed = [concept for pair in shown for side in pair for concept in side]
        listed += [concept for row in common for concept in row]
        decimals = words.score_decimals(prediction)
        names = max((_cells(printable(concept.shown_as)) for concept in listed), default=0)
        scale = _Scale(
            max((abs(concept.contribution) for concept in listed), default=0.0),
            min(names, _NAME_MAX, self.width - _INDENT - _LABEL - 16),
            decimals,
        )
        if common:
            self.line()
            count = len(prediction.answers)
            self.paragraph(f"Speaks for all {count} places, the first with these numbers:")
            self.side("for", [row[0] for row in common], scale, "cyan")
        for answer, (supporting, opposing) in zip(prediction.answers, shown, strict=True):
            self.heading(answer, prediction.assumptions)
            self.side("for", supporting, scale, "cyan")
            self.side("against", opposing, scale, "magenta")
            self.folded(answer, decimals, silent=not (supporting or opposing or common))
        if prediction.answers:
            self.line()
            self.ends((" " * _INDENT + "anywhere else", "dim"), (percent(words.elsewhere(prediction)), "dim"))

    def masthead(self, prediction: Prediction) -> None:
        """Print the name of the photo and the release."""
        release = printable(prediction.release)
        name = self.shortened(printable(prediction.photo), self.width - len(release) - 3)
        self.ends((name, "bold"), (release, "dim"))
        self.line((self.look.rule * self.width, "dim"))

    def verdict(self, prediction: Prediction, *, told: bool = False) -> None:
        """Print what the evidence allows to say, unless it was told, by country too, and what was assumed."""
        if prediction.abstained:
            self.line((words.NO_PLACE, "bold yellow"), (f" {words.least_unlikely_text(prediction)}", ""))
        elif not told:
            self.line((words.headline(prediction), "bold"))
        if countries := words.countries_text(prediction):
            self.line((f"Countries: {countries}", ""))
        for text in words.assumption_texts(prediction.assumptions):
            self.line((text, ""))
        if (gps := words.exif_text(prediction)) is not None:
            self.line((f"EXIF GPS: {gps} (not used to answer)", ""))

    def shown(
        self, answer: Answer, told: set[str]
    ) -> tuple[Sequence[ConceptContribution], Sequence[ConceptContribution]]:
        """Return the concepts to list for and against one answer, less those told for all answers."""
        reasons = answer.reasons
        supporting = [concept for concept in reasons.speaking if concept.id not in told]
        return supporting[: self.concepts], reasons.against[: self.concepts]

    def heading(self, answer: Answer, assumptions: Assumptions) -> None:
        """Print rank and area with probability, radius and what it assumes, then position and town."""
        chance = chance_text(answer.probability, answer.radius_km, assumptions)
        area, rank = area_text(answer), f"{answer.rank:>2}  "
        room = self.width - len(rank) - _cells(chance) - 2
        self.line()
        if room >= min(_cells(area), _AREA_MIN):
            self.ends((rank + self.shortened(area, room, keep="start"), "bold"), (chance, "bold"))
        else:
            self.line((rank + self.shortened(area, self.width - len(rank), keep="start"), "bold"))
            self.paragraph(chance, "bold")
        spot = f"{words.coordinates(answer.lat, answer.lon)}; {words.town_text(answer.place)}"
        link = words.map_link(answer)
        if _INDENT + _cells(spot) + 2 + _cells(link) <= self.width:
            self.ends((" " * _INDENT + spot, ""), (link, "dim"))
        else:
            self.paragraph(spot)

    def side(self, label: str, concepts: Sequence[ConceptContribution], scale: _Scale, style: str) -> None:
        """Print the concepts that speak for or against, one line each; the label on the first."""
        for index, concept in enumerate(concepts):
            name = self.shortened(printable(concept.shown_as), scale.name_width, keep="start")
            value = signed(concept.contribution, scale.decimals)
            start = " " * _INDENT + (label if index == 0 else "").ljust(_LABEL)
            middle = name + " " * (scale.name_width - _cells(name)) + f"  {value}  "
            meaning = printable(concept.meaning)
            room = self.width - _cells(start) - _cells(middle)
            beside = room - _cells(meaning) - 2
            fits = bool(meaning) and beside >= _BAR_MIN
            room = min(_BAR_MAX, max(room - _ASIDE, _BAR_MIN), beside) if fits else min(room, _BAR_MAX)
            bar = self.bar(abs(concept.contribution) / scale.largest, room, against=concept.contribution < 0)
            after = " " * (room - _cells(bar) + 2) + meaning if fits else ""
            self.line((start, "dim"), (middle, ""), (bar, style), (after, "dim"))
            if meaning and not fits and not meaning.startswith(("most", "in many")):
                # A landmark: whose photo it is must be told.
                self.paragraph(f"{' ' * _LABEL}{meaning}", "dim")

    def folded(self, answer: Answer, decimals: int, *, silent: bool) -> None:
        """Print what is not told concept by concept, and what to be careful of."""
        reasons = answer.reasons
        texts = (
            [f"{label} ({value})" for label, value in words.folded_lines(reasons, decimals)]
            if self.concepts
            else []
        )
        if silent and self.concepts and not texts:
            texts = ["no named concept spoke for or against it"]
        remainder = signed(answer.remainder, decimals)
        for text in (*texts, f"unnamed remainder {remainder} of score {answer.score:.{decimals}f}"):
            self.paragraph(text, "dim")
        for text in words.cautions(reasons):
            self.paragraph(text, "yellow")

    # Explanations

    def explanation(self, explanation: Explanation) -> None:
        """Print all of an explanation."""
        prediction, here = explanation.prediction, explanation.here
        decimals = words.explanation_decimals(explanation)
        self.masthead(prediction)
        for text in words.opening(explanation):
            self.line((text, "bold"))
        self.verdict(prediction, told=True)
        self.place(here, decimals, prediction.assumptions)
        if explanation.contrast:
            self.contrast(here, explanation.contrast, decimals, prediction.assumptions)
        if explanation.intervention:
            self.intervention(explanation, explanation.intervention, decimals)
        starred = any(concept.unconfirmed for concept in here.concepts)
        self.notes(words.MODEL_ONLY, UNCONFIRMED if starred else "", words.HYPOTHESIS, words.PLACE_NAMES)

    def place(self, place: Answer, decimals: int, assumptions: Assumptions) -> None:
        """Print the sum that is the score of a place."""
        self.title(f"Why {words.place_called(place)}?")
        self.chance(place, assumptions)
        self.sums(words.sum_of(place, self.concepts), decimals)
        for label, value in words.folded_lines(place.reasons, decimals):
            self.paragraph(f"{label} ({value})", "dim")
        for text in words.cautions(place.reasons):
            self.paragraph(text, "yellow")
        if self.width >= _WIDE:
            self.paragraph(words.STRENGTH, "dim")

    def contrast(self, here: Answer, contrast: Contrast, decimals: int, assumptions: Assumptions) -> None:
        """Print the difference of two scores."""
        there = contrast.there
        self.title(words.rather_text(here, there))
        self.chance(there, assumptions)
        self.sums(words.difference_of(here, contrast, self.concepts), decimals)

    def intervention(self, explanation: Explanation, found: Intervention, decimals: int) -> None:
        """Print what was changed and how the answers move."""
        self.title("What if?")
        for text in words.change_texts(found):
            self.paragraph(text)
        self.line()
        for text in words.effect_texts(explanation, found):
            self.paragraph(text, "bold")
        before, after = explanation.here, found.here
        scores = f"{signed(before.score, decimals)} before, {signed(after.score, decimals)} after"
        self.paragraph(f"Score of {words.place_called(before)}: {scores}.")
        self.line()
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

    def title(self, text: str) -> None:
        """Print the question of a section."""
        self.line()
        self.line((self.shortened(text, self.width - 2, keep="start"), "bold"))

    def chance(self, place: Answer, assumptions: Assumptions) -> None:
        """Print the probability of a place, and where it is."""
        self.paragraph(chance_text(place.probability, place.radius_km, assumptions), "bold")
        spot, town = words.coordinates(place.lat, place.lon), words.town_text(place.place)
        self.paragraph(f"{spot}, {words.chosen_text(place)}; {town}")
        self.line()

    def sums(self, found: Sum, decimals: int) -> None:
        """Print one line a summand: name, numbers, bar; concepts stand two columns in, below their group."""
        heads = found.heads if self.width >= _WIDE else found.heads[-1:]
        widths = [max(len(head), decimals + 3) + 2 for head in heads]
        longest = max((_cells(printable(line.name)) + 2 for line in found.lines), default=0)
        most = min(_SUM_NAME_MAX, self.width - _INDENT - sum(widths) - 6)
        room = min(max(longest, len("unnamed remainder")), most)

        def numbers(line: Line) -> str:
            cells = []
            values = (*line.numbers, line.value)[-len(heads) :]
            for head, width, value in zip(heads, widths, values, strict=True):
                write = strength_text(value or 0.0) if head == "strength" else signed(value or 0.0, decimals)
                cells.append(("" if value is None else write).rjust(width))
            return "".join(cells)

        columns = "".join(head.rjust(width) for head, width in zip(heads, widths, strict=True))
        self.line((" " * (_INDENT + room) + columns, "dim"))
        largest = max((abs(line.value) for line in found.lines), default=0.0) or 1.0
        for line in found.lines:
            indent = "" if line.kind == "group" else "  "
            name = self.shortened(indent + printable(line.name), room, keep="start")
            text = " " * _INDENT + name + " " * (room - _cells(name)) + numbers(line)
            bar = ""
            if line.kind == "concept" and line.value:
                length = min(self.width - _cells(text) - 2, _SUM_BAR_MAX)
                bar = "  " + self.bar(abs(line.value) / largest, length, against=line.value < 0)
            style = {"group": "bold", "concept": "", "rest": "dim"}[line.kind]
            self.line((text, style), (bar, "magenta" if line.value < 0 else "cyan"))
        if found.silent:
            self.paragraph(found.silent, "dim")
        for line, style in ((found.remainder, "dim"), (found.score, "bold")):
            name = self.shortened(line.name, room, keep="start").ljust(room)
            self.line((" " * _INDENT + name + numbers(line), style))

    # Lines

    def bar(self, share: float, room: int, *, against: bool) -> str:
        """Return a bar of at most `room` columns that fills `share` of them; never quite empty."""
        if against:
            return self.look.against * max(1, round(share * room))
        steps = len(self.look.eighths) - 1
        filled = max(1, math.floor(share * room * steps + 0.5))
        whole, part = divmod(filled, steps)
        return self.look.eighths[-1] * whole + (self.look.eighths[part] if part else "")

    def shortened(self, text: str, room: int, *, keep: str = "end") -> str:
        """Return `text` in at most `room` columns; of a path the end tells most, of a place the start."""
        if _cells(text) <= room:
            return text
        room -= _cells(self.look.ellipsis)
        while text and _cells(text) > room:
            excess = max(1, (_cells(text) - room) // 2)
            text = text[excess:] if keep == "end" else text[:-excess]
        return self.look.ellipsis + text if keep == "end" else text.rstrip(" ,") + self.look.ellipsis

    def notes(self, *texts: str) -> None:
        """Print what holds for all of it, below an empty line."""
        self.line()
        self.line(("\n".join(filter(None, texts)), "dim"))

    def paragraph(self, text: str, style: str = "") -> None:
        """Print text, every line of it indented."""
        for line in _text([(text, style)]).wrap(self.console, self.width - _INDENT):
            line.rstrip()
            self.line((" " * _INDENT + line.plain, style))

    def line(self, *parts: tuple[str, str]) -> None:
        """Print parts of text, each with its style; nothing for an empty line."""
        self.console.print(_text(parts), soft_wrap=False)

    def ends(self, left: tuple[str, str], right: tuple[str, str]) -> None:
        """Print one part at the left end and one at the right end of a line."""
        gap = self.width - _cells(left[0]) - _cells(right[0])
        self.line(left, (" " * max(gap, 1), ""), right)


def _text(parts: Iterable[tuple[str, str]]) -> Text:
    from rich.text import Text

    return Text.assemble(*parts)


def _cells(text: str) -> int:
    """Return the columns that `text` takes on a terminal; Chinese characters take two."""
    from rich.cells import cell_len

    return cell_len(text)


def _ascii(text: str) -> str:
    """Return `text` in ASCII: letters without their accents, anything else as a question mark."""
    kept = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(kept).encode("ascii", "replace").decode("ascii")
