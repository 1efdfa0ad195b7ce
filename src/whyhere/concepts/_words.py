"""How free text is taken apart into known words, and how near spellings are found.

There is no grammar here: a text is a bag of the longest known phrases in it. Negations are therefore never
"known", so that "no snow" is not answered as "snow" without a word.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator

from whyhere._text import without_accents

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
    plain = without_accents(without_accents(text).casefold())
    return _TOKEN.findall(_APOSTROPHE.sub("", plain))


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
    longest = 6  # words in the longest phrase that is tried
    found: dict[str, None] = {}
    unknown: dict[str, None] = {}
    at = 0
    while at < len(tokens):
        for size in range(min(longest, len(tokens) - at), 0, -1):
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


def near_spellings(word: str, known: Collection[str], *, count: int = 3) -> tuple[str, ...]:
    """Return known words spelt like an unknown one, the nearest first.

    Args:
        word: The unknown word.
        known: Known words.
        count: How many at most.
    """
    key = word_key(word)
    # difflib is slow: only words of like length that share their first or last letter are tried.
    likely = [
        k for k in known if abs(len(k) - len(key)) <= 2 and k and (k[:1] == key[:1] or k[-1] == key[-1:])
    ]
    return tuple(difflib.get_close_matches(key, likely, n=count, cutoff=0.72))


def _known_form(tokens: list[str], known: Collection[str]) -> str | None:
    """Return the known form of a phrase, or None."""
    if any(token in NEGATIONS for token in tokens) or (len(tokens) == 1 and tokens[0] in SILENT):
        return None
    for last in (tokens[-1], *_other_numbers(tokens[-1])):
        phrase = " ".join([*tokens[:-1], last])
        if phrase in known:
            return phrase
    return None


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
