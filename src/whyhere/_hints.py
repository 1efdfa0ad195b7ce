"""What a hint says: places and facts of countries that it names, and words that say what is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whyhere.concepts import NEGATIONS, SILENT, tokens_of
from whyhere.errors import UsageError
from whyhere.geo import LONGEST_CLUE, Clue, find_clue, find_town, find_unit_clue, place_name
from whyhere.ranking import HINT_STRENGTH

if TYPE_CHECKING:
    from whyhere.concepts import TextDirection, Vocabulary

_NOT_IN = NEGATIONS | {"outside", "anywhere"}
_TOWN_WORDS = 3


@dataclass(frozen=True, slots=True)
class Hint:
    """A hint that was understood.

    Attributes:
        text: The hint as it was given.
        clues: Places and facts of countries that it names.
        words: Its words that say what is seen, as a direction; None where it has none.
        unknown: The words that do not count.
    """

    text: str
    clues: tuple[Clue, ...]
    words: TextDirection | None
    unknown: tuple[str, ...]

    @property
    def known(self) -> tuple[str, ...]:
        """What counts: what places and facts were taken for, then the words."""
        return (*(clue.label for clue in self.clues), *(self.words.known if self.words else ()))

    @property
    def places(self) -> tuple[str, ...]:
        """The places that it names, each as `--region` takes it."""
        return tuple(clue.label for clue in self.clues if clue.kind == "place")

    @property
    def uncertain(self) -> tuple[str, ...]:
        """Words that count although their direction is a guess."""
        return self.words.uncertain if self.words else ()

    def log_prior(
        self,
        lat: NDArray[np.float64],
        lon: NDArray[np.float64],
        codes: NDArray[np.object_],
        of_words: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Weigh every place by what the hint says: the mean over its parts, so that the whole is bounded.

        The places it names are one part (any of them will do), a script, a language and the side of traffic
        one each, all its words together one.

        Args:
            lat: Latitudes of the places, shape (n,).
            lon: Longitudes, shape (n,).
            codes: Country code of every place, None at sea, shape (n,).
            of_words: Log prior of the words alone, shape (n,); None where there are none.

        Returns:
            Log prior, from 0 to log(HINT_STRENGTH), shape (n,).
        """
        parts = [] if of_words is None else [of_words]
        for kind in dict.fromkeys(clue.kind for clue in self.clues):
            fits = np.zeros(len(lat), bool)
            for clue in self.clues:
                if clue.kind == kind:
                    fits |= clue.contains(lat, lon, codes)
            parts.append(np.log(HINT_STRENGTH) * fits)
        mean: NDArray[np.float64] = np.mean(parts, axis=0)
        return mean


def read_hint(text: str) -> Hint:
    """Understand a hint.

    At every word the longest phrase counts that is a place, a fact of countries, or known as something seen;
    of equal ones the place: "turkey" is the country.

    Args:
        text: A few words: "beach in Norway", "Cyrillic signs", "left-hand traffic".

    Raises:
        UsageError: Nothing of it is known; it says where the photo was *not* taken; or it names a town. The
            message says what to write.
    """
    from whyhere.concepts import open_vocabulary

    vocabulary, tokens = open_vocabulary(), tokens_of(text)
    clues: dict[str, Clue] = {}
    seen: list[str] = []  # what is left for the vocabulary
    at = 0
    while at < len(tokens):
        size, clue = _longest(tokens[at : at + LONGEST_CLUE], vocabulary)
        if clue is None:
            seen += tokens[at : at + size]
        else:
            if _denied(tokens[:at]):
                raise UsageError(
                    f"--hint {text!r}: a hint cannot say where a photo is not from ({clue.label}); leave "
                    'that out, or answer only inside the places that are left: --region "Sweden; Finland"'
                )
            clues[clue.label] = clue
        at += size
    rest = " ".join(seen)
    known, unknown = vocabulary.match(rest)
    _refuse_towns(unknown, seen)
    if not known and not clues:
        vocabulary.direction(text)  # says that no word is known, and names near spellings
    return Hint(text, tuple(clues.values()), vocabulary.direction(rest) if known else None, unknown)


def _longest(tokens: Sequence[str], vocabulary: Vocabulary) -> tuple[int, Clue | None]:
    """Return how many of the first words belong together, and the clue they are; 1 and None for neither."""
    for size in range(len(tokens), 0, -1):
        clue, phrase = find_clue(tokens[:size]), " ".join(tokens[:size])
        if clue is not None:
            return size, clue
        if vocabulary.match(phrase)[0] == () and not SILENT.issuperset(tokens[:size]):
            clue = find_unit_clue(phrase)
        elif phrase in vocabulary:
            return size, None
        if clue is not None:
            return size, clue
    return 1, None


def _denied(before: Sequence[str]) -> bool:
    """Tell whether the words before a place turn it around: "not in", "outside"."""
    said = [token for token in before if token not in SILENT]
    return bool(said) and said[-1] in _NOT_IN


def _refuse_towns(unknown: Sequence[str], tokens: Sequence[str]) -> None:
    """Refuse a hint with the name of a town, which the vocabulary does not know, and say what to use.

    Raises:
        UsageError: A town is named.
    """
    missing = set(unknown)
    for at in range(len(tokens)):
        for size in range(min(_TOWN_WORDS, len(tokens) - at), 0, -1):
            run = tokens[at : at + size]
            name = " ".join(run)
            if len(name) < 4 or not missing.issuperset(run):
                continue
            town = find_town(name)
            if town is None:
                continue
            called = place_name(town.lat, town.lon)
            if " ".join(tokens_of(called.name)) == name:
                box = f"{town.lat - 1:.1f},{town.lon - 1:.1f},{town.lat + 1:.1f},{town.lon + 1:.1f}"
                raise UsageError(
                    f"--hint: {name!r} is a town ({called}), and a hint takes no towns; answer only around "
                    f'it with --region {box} or in its country with --region "{called.country}"'
                )
