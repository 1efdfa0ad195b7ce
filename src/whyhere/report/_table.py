"""What `whyhere locate` prints for people, made with rich.

The best place and its probability come first, then each place with what carried it and what spoke
against it. Nothing depends on colour: signs and labels say the same.
"""

from __future__ import annotations

import io
import math
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whyhere._text import to_ascii
from whyhere.prediction import UNCONFIRMED, Answer, Assumptions, ConceptContribution, Prediction
from whyhere.report._reasons import absent_text, cautions, shared_concepts, unconfirmed_text
from whyhere.report._text import (
    HYPOTHESIS,
    NO_PLACE,
    PLACE_NAMES,
    area_text,
    assumption_texts,
    chance_text,
    coordinates,
    countries_text,
    exif_text,
    headline,
    least_unlikely_text,
    map_link,
    percent,
    printable,
    score_decimals,
    signed,
    town_text,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_MIN_WIDTH, _MAX_WIDTH = 40, 120
_INDENT = 4
_AREA_MIN = 24  # less room for the name of an area gives it a line of its own
_LABEL = 9  # "against" and its gap
_NAME_MAX = 30
_BAR_MAX = 40
_BAR_MIN = 10
_ASIDE = 36  # columns left for where the release has a concept


@dataclass(frozen=True, slots=True)
class _Look:
    """Characters of a table: block elements, or ASCII for terminals and pipes that cannot show them."""

    eighths: str
    against: str
    rule: str
    ellipsis: str


_UNICODE = _Look(eighths=" ▏▎▍▌▋▊▉█", against="▒", rule="─", ellipsis="…")
_ASCII = _Look(eighths=" #", against="-", rule="-", ellipsis="...")


def stream_table(
    predictions: Iterable[Prediction], *, width: int, color: bool, ascii_only: bool, concepts: int
) -> Iterator[str]:
    """Yield the block of each photo, then the lines that hold for all of them.

    Args:
        predictions: What to print.
        width: Columns of the terminal; wider than 120 is not used.
        color: Write ANSI colours.
        ascii_only: Write nothing but ASCII.
        concepts: How many concepts to show for, and how many against each answer.
    """
    from rich.console import Console

    width = min(max(width, _MIN_WIDTH), _MAX_WIDTH)
    buffer = io.StringIO()
    # An empty environment: only the arguments decide about width and colour.
    console = Console(
        file=buffer,
        width=width,
        color_system="standard" if color else None,
        force_terminal=color,
        no_color=not color,
        legacy_windows=False,
        highlight=False,
        _environ={},
    )
    table = _Table(console, look=_ASCII if ascii_only else _UNICODE, concepts=concepts)

    def taken() -> str:
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return to_ascii(text) if ascii_only else text

    several = starred = False
    for prediction in predictions:
        if several:
            console.print()
        table.photo(prediction)
        several = True
        starred = starred or any(answer.reasons.unconfirmed for answer in prediction.answers)
        yield taken()
    if several:
        console.print()
        notes = (UNCONFIRMED, HYPOTHESIS, PLACE_NAMES) if starred else (HYPOTHESIS, PLACE_NAMES)
        table.line(("\n".join(notes), "dim"))
        yield taken()


class _Table:
    """Prints onto one console."""

    def __init__(self, console: Console, *, look: _Look, concepts: int) -> None:
        self.console = console
        self.width = console.width
        self.look = look
        self.concepts = concepts

    def photo(self, prediction: Prediction) -> None:
        """Print all about one photo."""
        release = printable(prediction.release)
        name = self.shortened(printable(prediction.photo), self.width - len(release) - 3)
        self.ends((name, "bold"), (release, "dim"))
        self.line((self.look.rule * self.width, "dim"))
        self.verdict(prediction)
        if (gps := exif_text(prediction)) is not None:
            self.line((f"EXIF GPS: {gps} (not used to answer)", ""))
        common = shared_concepts(prediction, self.concepts)
        told = {row[0].id for row in common}
        shown = [self.shown(answer, told) for answer in prediction.answers]
        listed = [concept for pair in shown for side in pair for concept in side]
        listed += [concept for row in common for concept in row]
        largest = max((abs(concept.contribution) for concept in listed), default=0.0)
        names = max((_cells(printable(concept.shown_as)) for concept in listed), default=0)
        decimals = score_decimals(prediction)
        scale = _Scale(largest, min(names, _NAME_MAX, self.width - _INDENT - _LABEL - 16), decimals)
        if common:
            self.console.print()
            count = len(prediction.answers)
            self.paragraph(f"Speaks for all {count} places, the first with these numbers:")
            self.side("for", [row[0] for row in common], scale, "cyan")
        for answer, (supporting, opposing) in zip(prediction.answers, shown, strict=True):
            self.heading(answer, prediction.assumptions)
            self.side("for", supporting, scale, "cyan")
            self.side("against", opposing, scale, "magenta")
            self.folded(answer, decimals, silent=not (supporting or opposing or common))
        self.elsewhere(prediction)

    def shown(
        self, answer: Answer, told: Container[str]
    ) -> tuple[tuple[ConceptContribution, ...], tuple[ConceptContribution, ...]]:
        """Return the concepts to list for and against one answer, less those told for all answers."""
        reasons = answer.reasons
        supporting = [concept for concept in reasons.speaking if concept.id not in told]
        return tuple(supporting[: self.concepts]), reasons.against[: self.concepts]

    def folded(self, answer: Answer, decimals: int, *, silent: bool) -> None:
        """Print what is not told concept by concept, and what to be careful of."""
        reasons = answer.reasons
        texts = [absent_text(reasons, decimals), unconfirmed_text(reasons, decimals)] if self.concepts else []
        if silent and self.concepts and not any(texts):
            texts = ["no named concept spoke for or against it"]
        texts.append(
            f"unnamed remainder {signed(answer.remainder, decimals)} of score {answer.score:.{decimals}f}"
        )
        for text in filter(None, texts):
            self.paragraph(text, "dim")
        for text in cautions(reasons):
            self.paragraph(text, "yellow")

    def verdict(self, prediction: Prediction, *, told: bool = False) -> None:
        """Print what the evidence allows to say, unless it was told, by country too, and what was assumed."""
        if prediction.abstained:
            self.line((NO_PLACE, "bold yellow"), (f" {least_unlikely_text(prediction)}", ""))
        elif not told:
            self.line((headline(prediction), "bold"))
        if countries := countries_text(prediction):
            self.line((f"Countries: {countries}", ""))
        for text in assumption_texts(prediction.assumptions):
            self.line((text, ""))

    def heading(self, answer: Answer, assumptions: Assumptions) -> None:
        """Print rank and area with probability, radius and what it assumes, then position and town."""
        chance = chance_text(answer.probability, answer.radius_km, assumptions)
        rank = f"{answer.rank:>2}  "
        room = self.width - len(rank) - _cells(chance) - 2
        self.console.print()
        if room >= min(_cells(area_text(answer)), _AREA_MIN):
            self.ends(
                (rank + self.shortened(area_text(answer), room, keep="start"), "bold"), (chance, "bold")
            )
        else:
            area = self.shortened(area_text(answer), self.width - len(rank), keep="start")
            self.line((rank + area, "bold"))
            self.paragraph(chance, "bold")
        spot, link = f"{coordinates(answer.lat, answer.lon)}; {town_text(answer.place)}", map_link(answer)
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
            fits = bool(meaning) and room - _cells(meaning) - 2 >= _BAR_MIN
            room = min(room, _BAR_MAX, max(room - _ASIDE, _BAR_MIN) if fits else _BAR_MAX)
            if fits:
                room = min(room, self.width - _cells(start) - _cells(middle) - _cells(meaning) - 2)
            bar = self.bar(abs(concept.contribution) / scale.largest, room, against=concept.contribution < 0)
            after = " " * (room - _cells(bar) + 2) + meaning if fits else ""
            self.line((start, "dim"), (middle, ""), (bar, style), (after, "dim"))
            if meaning and not fits and not meaning.startswith(("most", "in many")):
                # A landmark: whose photo it is must be told.
                self.paragraph(f"{' ' * _LABEL}{meaning}", "dim")

    def elsewhere(self, prediction: Prediction) -> None:
        """Print how much probability lies outside all answers."""
        if prediction.answers:
            rest = max(0.0, 1.0 - sum(answer.probability for answer in prediction.answers))
            self.console.print()
            self.ends((" " * _INDENT + "anywhere else", "dim"), (percent(rest), "dim"))

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

    def paragraph(self, text: str, style: str = "") -> None:
        """Print text, every line of it indented."""
        for line in _text([(text, style)]).wrap(self.console, self.width - _INDENT):
            line.rstrip()
            self.line((" " * _INDENT + line.plain, style))

    def line(self, *parts: tuple[str, str]) -> None:
        """Print parts of text, each with its style."""
        self.console.print(_text(parts), soft_wrap=False)

    def ends(self, left: tuple[str, str], right: tuple[str, str]) -> None:
        """Print one part at the left end and one at the right end of a line."""
        gap = self.width - _cells(left[0]) - _cells(right[0])
        self.line(left, (" " * max(gap, 1), ""), right)


@dataclass(frozen=True, slots=True)
class _Scale:
    """What the bars of one photo share."""

    largest: float
    name_width: int
    decimals: int


def _text(parts: Iterable[tuple[str, str]]) -> Text:
    from rich.text import Text

    return Text.assemble(*parts)


def _cells(text: str) -> int:
    """Return the columns that `text` takes on a terminal; Chinese characters take two."""
    from rich.cells import cell_len

    return cell_len(text)
