"""Known words as directions in the image space of CLIP ViT-B/16, for free text without a text tower.

A row is a *centred* text row of unit length: the encoder's row of the word minus the mean row of all words.
Text rows of CLIP lie in a narrow cone beside that of the images; what they share says "this is a text" and
nothing about its meaning. So a direction is to be compared with an image embedding minus the mean image
embedding, never with a raw one. What detects a thing is not how embeddings change with it (Haufe et al.
2014): a head that carries image embeddings elsewhere, such as to places, is to be given the text's `pattern`.

The rows of some 200 words are the encoder's own; all others were carried over from ViT-B/32 by a ridge map
that reaches only as many dimensions as it was fitted on words, which is why their file can be small. How good
they are: docs/text.md.

There is no grammar here: a text is a bag of the longest known phrases in it. Negations are therefore never
"known", so that "no snow" is not answered as "snow" without a word.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere._io import plain
from whyhere._text import without_accents
from whyhere.errors import MissingFileError, UsageError

FloatArray = NDArray[np.float32]

DATA = Path(__file__).parent / "data"
VOCABULARY = DATA / "text-clip-vit-b16"
UNCERTAIN_BELOW = 0.55
"""Expected cosine below which a bridged word is called uncertain; the bar of the concept bank."""

SILENT = frozenset(
    re.findall(
        r"\w+",
        "a an the this that these those some any of in on at by to from for with and or as is are be it its "
        "my our your their his her there photo picture image photograph view",
    )
)
"""Words that say nothing about what is seen: neither known nor unknown, left out without a word."""

NEGATIONS = frozenset(
    ("no", "not", "none", "never", "without", "except", "nothing", "non", "un", "nobody", "nowhere")
)
"""Words that turn a meaning around, which averaging can't: always unknown."""

_REBUILD = "reinstall whyhere, or build it with scripts/build_vocabulary.py"
_LONGEST = 6  # words in the longest phrase that is tried
_TOKEN = re.compile(r"[^\W_]+")
_APOSTROPHE = re.compile(r"['\u2019\u02bc](s\b)?")
_IRREGULAR = {
    "calves": "calf", "children": "child", "feet": "foot", "geese": "goose", "leaves": "leaf",
    "loaves": "loaf", "men": "man", "mice": "mouse", "oxen": "ox", "people": "person", "shelves": "shelf",
    "teeth": "tooth", "wolves": "wolf", "women": "woman",
}  # fmt: skip


def tokens_of(text: str) -> list[str]:
    """Split a text into plain words.

    Case, accents, hyphens, underscores, other punctuation and a possessive 's do not count.

    >>> tokens_of("A fisherman's CAFÉ-boat, 2 quays")
    ['a', 'fisherman', 'cafe', 'boat', '2', 'quays']
    """
    # Decomposed before as well: a mathematical alpha has no lower case until it is a plain one.
    folded = without_accents(without_accents(text).casefold())
    return _TOKEN.findall(_APOSTROPHE.sub("", folded))


def word_key(word: str) -> str:
    """Return the form under which a word or phrase is looked up: its plain words with single spaces."""
    return " ".join(tokens_of(word))


def match_words(text: str, known: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find the known phrases of a text, the longest first at each place, from left to right.

    A phrase that is not known as written is tried with its last word as singular, then as plural.

    Args:
        text: Any text.
        known: Known phrases, as `word_key` writes them.

    Returns:
        Known phrases as they stand in `known`, and the words that belong to none; each once, in the order of
        the text. Silent words (`SILENT`) that belong to no phrase are in neither; negations are unknown.
    """
    tokens = tokens_of(text)
    found: dict[str, None] = {}
    unknown: dict[str, None] = {}
    at = 0
    while at < len(tokens):
        for size in range(min(_LONGEST, len(tokens) - at), 0, -1):
            phrase = _known_form(tokens[at : at + size], known)
            if phrase is not None:
                found[phrase] = None
                at += size
                break
        else:
            if tokens[at] not in SILENT:
                unknown[tokens[at]] = None
            at += 1
    return tuple(found), tuple(unknown)


def _known_form(tokens: list[str], known: Collection[str]) -> str | None:
    """Return the known form of a phrase, or None."""
    if any(token in NEGATIONS for token in tokens) or (len(tokens) == 1 and tokens[0] in SILENT):
        return None
    forms = (" ".join([*tokens[:-1], last]) for last in (tokens[-1], *_other_numbers(tokens[-1])))
    return next((form for form in forms if form in known), None)


def _other_numbers(word: str) -> Iterator[str]:
    """Yield the singulars and plurals that an English word may have."""
    if word in _IRREGULAR:
        yield _IRREGULAR[word]
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        if word.endswith("ies"):
            yield word[:-3] + "y"
        if word.endswith(("ches", "shes", "xes", "ses", "zes", "oes")):
            yield word[:-2]
        yield word[:-1]
    elif len(word) > 2:
        if word.endswith("y"):
            yield word[:-1] + "ies"
        yield word + ("es" if word.endswith(("ch", "sh", "x", "s", "z")) else "s")


@dataclass(frozen=True, slots=True)
class TextDirection:
    """A text as a direction, and what of it was understood.

    Attributes:
        vector: Unit direction of the centred text, float32 [d]: detects, by its cosine with a centred image.
        known: The words and phrases that were averaged, as the vocabulary has them.
        unknown: Words of the text that are not known, and negations, which no average can follow.
        pattern: How centred image embeddings change with what the text says, unit, float32 [d]: goes through
            a head, such as `Alignment.location_direction`. `vector` by default.
        bridged: Those of `known` whose row was carried over from another text space.
        uncertain: Those of `bridged` unlike everything the bridge was fitted on.
        expected_cosine: Expected cosine of `vector` to the encoder's own, the mean over the known words; 1
            where all rows are the encoder's own.
    """

    vector: FloatArray
    known: tuple[str, ...]
    unknown: tuple[str, ...]
    pattern: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))
    bridged: tuple[str, ...] = ()
    uncertain: tuple[str, ...] = ()
    expected_cosine: float = 1.0

    def __post_init__(self) -> None:
        if not self.pattern.size:
            object.__setattr__(self, "pattern", self.vector)

    def to_dict(self) -> dict[str, Any]:
        """Return what was understood as plain values, without the numbers."""
        lists = {name: list(getattr(self, name)) for name in ("known", "unknown", "bridged", "uncertain")}
        return {**lists, "expected_cosine": round(self.expected_cosine, 4)}


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Words with a row each. Make one with `open_vocabulary`.

    Attributes:
        tower: Name of the embedding space.
        words: All words, the `len(own)` with the encoder's own row first.
        own: Own rows, unit, float16 [m, d].
        codes: Bridged rows in `basis`, int8 [n - m, r].
        scales: Factor of every column of `codes`, float32 [r]; rows are scaled to unit length when read.
        basis: Orthonormal rows that all bridged rows lie in the span of, float32 [r, d].
        expected: Expected cosine of each bridged row to the encoder's own, uint8 in hundredths [n - m].
        mean: Mean text row that all rows are centred by, float32 [d].
        response: What turns a direction into its pattern: covariance of image embeddings over a photo pool,
            its mean variance scaled to 1, plus a multiple of the identity, float32 [d, d].
        report: How it was made and how good it is.
    """

    tower: str
    words: tuple[str, ...]
    own: NDArray[np.float16]
    codes: NDArray[np.int8]
    scales: FloatArray
    basis: FloatArray
    expected: NDArray[np.uint8]
    mean: FloatArray
    response: FloatArray
    report: dict[str, Any]
    _position: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_position", {word: row for row, word in enumerate(self.words)})

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word_key(word) in self._position

    def row(self, word: str) -> FloatArray:
        """Return the unit centred row of one word as the vocabulary has it, float32 [d].

        Raises:
            KeyError: The word is not in the vocabulary.
        """
        at = self._position[word]
        if at < len(self.own):
            row: FloatArray = self.own[at].astype(np.float32)
        else:
            row = (self.codes[at - len(self.own)] * self.scales) @ self.basis
        unit: FloatArray = row / np.linalg.norm(row)
        return unit

    def is_bridged(self, word: str) -> bool:
        """Say whether a word's row was carried over from another text space."""
        return self._position[word] >= len(self.own)

    def expected_cosine(self, word: str) -> float:
        """Return the expected cosine of a word's row to the encoder's own: 1 for own rows."""
        at = self._position[word] - len(self.own)
        return 1.0 if at < 0 else float(self.expected[at]) / 100

    def match(self, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the known phrases and the unknown words of a text; see `match_words`."""
        return match_words(text, self._position)

    def direction(self, text: str) -> TextDirection:
        """Turn a text into a direction: the mean of the rows of its known words.

        Phrases that are entries of their own ("rice paddy") are matched first, the longest first; case,
        accents, hyphens and punctuation do not count; where a word is not known as written, its singular or
        plural is taken. Articles and the like are left out. The order of words means nothing, and negations
        are not understood: they are reported as unknown.

        Args:
            text: Any text.

        Returns:
            The direction and what of the text it stands for.

        Raises:
            UsageError: No word of the text is known; the message names near spellings.

        >>> open_vocabulary().direction("Snowy mountains and a zzyzx").unknown
        ('zzyzx',)
        """
        known, unknown = self.match(text)
        if not known:
            raise UsageError(self._unknown_message(text, unknown))
        mean = np.mean([self.row(word) for word in known], axis=0)
        bridged = tuple(word for word in known if self.is_bridged(word))
        pattern = self.response @ mean
        return TextDirection(
            vector=(mean / np.linalg.norm(mean)).astype(np.float32),
            known=known,
            unknown=unknown,
            pattern=(pattern / np.linalg.norm(pattern)).astype(np.float32),
            bridged=bridged,
            uncertain=tuple(word for word in bridged if self.expected_cosine(word) < UNCERTAIN_BELOW),
            expected_cosine=float(np.mean([self.expected_cosine(word) for word in known])),
        )

    def near(self, word: str) -> tuple[str, ...]:
        """Return at most three known words that are spelt like an unknown one, the nearest first."""
        key = word_key(word)
        # difflib is slow: only words of like length that share their first or last letter are tried.
        likely = [
            k
            for k in self._position
            if abs(len(k) - len(key)) <= 2 and k and (k[:1] == key[:1] or k[-1] == key[-1:])
        ]
        return tuple(difflib.get_close_matches(key, likely, n=3, cutoff=0.72))

    def _unknown_message(self, text: str, unknown: tuple[str, ...]) -> str:
        """Say that nothing of a text is known, and what may have been meant."""
        if not unknown:
            return f"the text {text!r} has no word that says what is seen; give one, such as 'beach'"
        near = dict.fromkeys(like for word in unknown for like in self.near(word))
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        return (
            f"no word of {text!r} is known (unknown: {', '.join(unknown)}){hint or '.'} "
            f"{len(self)} English words are known, see docs/text.md"
        )


def open_vocabulary(path: str | Path | None = None) -> Vocabulary:
    """Open a vocabulary; the one that ships is read once and kept.

    Args:
        path: Vocabulary files (NAME, NAME.safetensors or NAME.json); None opens the one that ships with
            whyhere, which belongs to the tower clip-vit-b16.

    Raises:
        MissingFileError: A file is missing, damaged or no vocabulary.
    """
    return _shipped() if path is None else _read(Path(path))


@cache
def _shipped() -> Vocabulary:
    return _read(VOCABULARY)


def _read(path: Path) -> Vocabulary:
    """Read and check the two files of a vocabulary."""
    file, _ = pair_of(path)
    content, tensors = read_pair(file, "text vocabulary", "text vocabulary", _REBUILD)
    try:
        found = Vocabulary(
            tower=content["tower"],
            words=tuple(tensors["words"].tobytes().decode("utf-8").split("\n")),
            own=tensors["own"],
            codes=tensors["codes"],
            scales=tensors["scales"],
            basis=tensors["basis"].astype(np.float32),
            expected=tensors["expected"],
            mean=tensors["mean"],
            response=tensors["response"].astype(np.float32),
            report=content["report"],
        )
    except (KeyError, UnicodeDecodeError) as error:
        raise MissingFileError(f"{file} is not a complete text vocabulary ({error}); {_REBUILD}") from error
    width = found.mean.size
    fits = (
        len(found.words) == len(found.own) + len(found.codes) == len(set(found.words))
        and found.own.shape[1:] == found.basis.shape[1:] == (width,)
        and found.codes.shape[1:] == found.scales.shape == found.basis.shape[:1]
        and found.expected.shape == found.codes.shape[:1]
        and found.response.shape == (width, width)
    )
    if not fits:
        raise MissingFileError(f"{file}: its tensors do not fit each other; {_REBUILD}")
    return found


def pair_of(path: str | Path) -> tuple[Path, Path]:
    """Return NAME.safetensors and NAME.json of a path with or without one of these suffixes."""
    base = Path(path)
    if base.suffix in (".safetensors", ".json"):
        base = base.with_suffix("")
    return base.with_name(base.name + ".safetensors"), base.with_name(base.name + ".json")


def read_pair(
    path: Path, what: str, kind: str, rebuild: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read a pair of files: the JSON, which holds the checksum of the other, and the tensors.

    Args:
        path: One of the two, or their name without suffix.
        what: What they hold, for messages.
        kind: What to call such a file.
        rebuild: How to get it again.

    Raises:
        MissingFileError: A file is missing, damaged or of another kind.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    numbers, about = pair_of(path)
    try:
        data = plain(numbers).read_bytes()
        content = json.loads(plain(about).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError(f"no {what} at {error.filename}; {rebuild}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise MissingFileError(f"{about} is not a {kind} ({error}); {rebuild}") from error
    if not isinstance(content, dict) or content.get("format") != 1:
        raise MissingFileError(f"{about} is not a {kind} of format 1; {rebuild}")
    if hashlib.sha256(data).hexdigest() != content.get("sha256"):
        raise MissingFileError(
            f"{numbers} does not match {about.name}: damaged or from another build; {rebuild}"
        )
    try:
        return content, load(data)
    except SafetensorError as error:
        raise MissingFileError(f"{numbers} is not a complete {kind} ({error}); {rebuild}") from error
