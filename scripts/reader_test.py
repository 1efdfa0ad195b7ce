"""Does a photo show what whyhere says it shows? Asks the titles that people gave to photos.

    python scripts/reader_test.py --photos DIR --cache DIR
    python scripts/reader_test.py --photos DIR --features FILE.npy [FILE.npy ...] --rows-before 121

Titles such as "Blue Mosque" or "Niagara Falls" say what some photos show. `reader_titles.json` says which
words mean which concepts; it was written before any result was looked at. "Shows X" is what a reader is told:
X is among the k concepts named first for the first answer (see `whyhere.reasons`), and not as something that
the photo shows less of. A title does not name all that a photo shows, so precision is a lower bound; titles
dealt out to other photos say what it would be by chance.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.concepts import tokens_of
from whyhere.prediction import Answer
from whyhere.stats import interval, resample

WORDS = Path(__file__).with_name("reader_titles.json")
FIRST = (3, 5)
"""How many concepts a reader is told: 3 in the table, 5 on the page."""
SHUFFLES = 1000
READINGS = ("told", "with unconfirmed", "any reason")

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that titles name.

    Attributes:
        name: What to call it.
        words: Words of a title that mean it.
        concepts: Ids of the concepts that say so.
    """

    name: str
    words: frozenset[str]
    concepts: frozenset[str]

    def is_in(self, title: str) -> bool:
        """Tell whether a title names it.

        >>> Thing("waterfall", frozenset({"falls"}), frozenset({"waterfall"})).is_in("Victoria Falls (1)")
        True
        """
        return not self.words.isdisjoint(tokens_of(title))


@dataclass(frozen=True, slots=True)
class Score:
    """How what is told of photos agrees with their titles, with 95 % intervals and by chance.

    Attributes:
        reading: Which concepts count as told, one of `READINGS`.
        first: How many of them at most.
        precision: Share of the concepts told that the title confirms; of those that some title could confirm.
        recall: Share of the things in titles that are told.
        told: Concepts told that some title could confirm.
        things: Things in titles.
        by_thing: For each thing how often titles name it, how often of these it is told, and told in all.
    """

    reading: str
    first: int
    precision: tuple[float, float, float]
    recall: tuple[float, float, float]
    chance_precision: tuple[float, float]
    chance_recall: tuple[float, float]
    told: int
    things: int
    by_thing: dict[str, tuple[int, int, int]]


def read_things(path: Path = WORDS) -> tuple[Thing, ...]:
    """Read which words mean which concepts."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return tuple(Thing(e["thing"], frozenset(e["words"]), frozenset(e["concepts"])) for e in entries)


def concepts_told(answer: Answer, reading: str, concepts: frozenset[str] | None = None) -> list[str]:
    """Return the ids of the concepts that a reader is told the photo shows, the first first.

    Args:
        answer: The first answer.
        reading: "told": as tables and pages name them. "with unconfirmed": also those that are folded away
            because no open map confirms them. "any reason": the strongest reasons of all kinds, as until
            base 0.2.0 was read; one that is less than usual takes a place and shows nothing.
        concepts: Ids that count; all by default. Landmarks that a photo looks like are told beside the
            concepts, with a title of their own; they say like what photo, not what is shown, and take no
            place here.
    """
    chosen = list(answer.reasons.speaking)
    if reading != "told":
        chosen = [part for part in answer.concepts if part.contribution > 0]
    if reading == "with unconfirmed":
        chosen = [part for part in chosen if part.strength > 0]
    if concepts is not None:
        chosen = [part for part in chosen if part.id in concepts]
    return [part.id if part.strength > 0 else "" for part in chosen[: max(FIRST)]]


def score(
    titles: Sequence[str], told: Sequence[Sequence[str]], things: Sequence[Thing], *, reading: str, first: int
) -> Score:
    """Compare what is told of photos with their titles; photos whose title names nothing are left out."""
    named = np.array([[thing.is_in(title) for thing in things] for title in titles], bool)
    kept = named.any(axis=1)
    named, rows = named[kept], [list(ids)[:first] for ids, keep in zip(told, kept, strict=True) if keep]
    concepts = sorted(set().union(*(thing.concepts for thing in things)))
    means = np.array([[concept in thing.concepts for concept in concepts] for thing in things], bool)
    shown = np.array([[concept in ids for concept in concepts] for ids in rows], bool)
    right, claims, found, wanted = _counts(named, shown, means)
    figures, draws = (
        (right.sum() / max(claims.sum(), 1), found.sum() / max(wanted.sum(), 1)),
        resample(len(named), [(right, claims), (found, wanted)], resamples=2000)[0],
    )
    low_high = [interval(float(value), draws[:, row]) for row, value in enumerate(figures)]
    rng = np.random.default_rng(0)
    chance = []
    for _ in range(SHUFFLES):
        dealt = _counts(named[rng.permutation(len(named))], shown, means)
        chance.append([dealt[0].sum() / max(claims.sum(), 1), dealt[2].sum() / max(wanted.sum(), 1)])
    typical, high = np.median(chance, axis=0), np.percentile(chance, 97.5, axis=0)
    is_told = _told(shown, means)
    return Score(
        reading=reading,
        first=first,
        precision=(low_high[0].value, low_high[0].low, low_high[0].high),
        recall=(low_high[1].value, low_high[1].low, low_high[1].high),
        chance_precision=(float(typical[0]), float(high[0])),
        chance_recall=(float(typical[1]), float(high[1])),
        told=int(claims.sum()),
        things=int(wanted.sum()),
        by_thing={
            thing.name: (
                int(named[:, row].sum()),
                int((named[:, row] & is_told[:, row]).sum()),
                int(is_told[:, row].sum()),
            )
            for row, thing in enumerate(things)
        },
    )


def _told(shown: Bools, means: Bools) -> Bools:
    """Tell of which things a photo is said to show one of their concepts, shape (n, things)."""
    told: Bools = (shown.astype(np.int32) @ means.T.astype(np.int32)) > 0
    return told


def _counts(named: Bools, shown: Bools, means: Bools) -> tuple[NDArray[np.float64], ...]:
    """Count by photo: concepts told that its title confirms, all told, things that are told, all things."""
    confirmed = (named.astype(np.int32) @ means.astype(np.int32)) > 0
    counts = (shown & confirmed, shown, named & _told(shown, means), named)
    return tuple(count.sum(axis=1).astype(np.float64) for count in counts)


def features_of_table(paths: Sequence[Path], *, rows: int, before: int) -> NDArray[np.float32]:
    """Read the features of a table from files: row i of all photos lies in file i modulo their number.

    Args:
        paths: `.npy` files of features, shape (before + rows, p), or of raw embeddings of views, shape
            (before + rows, v, p), of which the mean of the unit embeddings is taken, at unit length.
        rows: Photos of the table.
        before: Rows before them.

    Raises:
        SystemExit: A file has another shape.
    """
    files = [np.load(path, mmap_mode="r") for path in paths]
    for path, file in zip(paths, files, strict=True):
        if file.ndim not in (2, 3) or len(file) != before + rows:
            raise SystemExit(
                f"{path}: expected {before + rows} rows (see --rows-before), not shape {file.shape}"
            )
    joined = np.stack([files[row % len(files)][row] for row in range(before, before + rows)])
    if joined.ndim == 3:
        views = joined.astype(np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            joined = (views / np.linalg.norm(views, axis=2, keepdims=True)).mean(axis=1)
            joined /= np.linalg.norm(joined, axis=1, keepdims=True)
    return joined.astype(np.float32)


def computed_features(folder: Path, names: Sequence[str], release: str, cache: Path) -> NDArray[np.float32]:
    """Compute the features of photos, or read those computed before."""
    from whyhere.embeddings import Embedder, EmbeddingCache, tower_fingerprint
    from whyhere.releases import resolve
    from whyhere.training import PhotoStore

    found, store = resolve(release), PhotoStore(folder)
    photos = [store.find(name) for name in names]
    missing = [photo for photo in photos if isinstance(photo, str)]
    if missing:
        raise SystemExit(f"{folder}: {len(missing)} photos of index.csv are not there: {missing[0]}")

    def report(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            print(f"features {done} of {total}", file=sys.stderr)

    embedder = Embedder.open(found, view_average="embeddings")
    kept = EmbeddingCache(embedder, fingerprint=tower_fingerprint(found), folder=cache)
    stored = [photo for photo in photos if not isinstance(photo, str)]
    embedded = kept.embed_photos(stored, names, progress=report)
    for row, why in embedded.unreadable.items():
        print(f"{names[row]}: left out: {why}", file=sys.stderr)
    features = np.full((len(names), *embedder.shape), np.nan, np.float32)
    readable = embedded.rows >= 0
    features[readable] = embedded.values[embedded.rows[readable]]
    return features


def markdown(scores: Sequence[Score], *, release: str, photos: int) -> str:
    """Return the tables of `docs/reader-test.md`."""
    percent = "{:.1%}".format
    lines = [
        f"{release}: {photos:,} photos with a title that names something, {scores[0].things:,} things named.",
        "",
        "| told | first | precision | by chance | recall | by chance |",
        "|---|---|---|---|---|---|",
    ]
    for one in scores:
        cells = [
            f"{percent(value)} ({percent(low)} to {percent(high)}) | {percent(typical)} "
            f"(up to {percent(most)})"
            for (value, low, high), (typical, most) in (
                (one.precision, one.chance_precision),
                (one.recall, one.chance_recall),
            )
        ]
        lines.append(f"| {one.reading} | {one.first} | {cells[0]} | {cells[1]} |")
    best = scores[0]
    lines += ["", f"By thing ({best.reading}, first {best.first}; as many told by chance as its share):", ""]
    lines += ["| thing | titles | of these told | told in all |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {titles} | {hits} | {told} |" for name, (titles, hits, told) in best.by_thing.items()
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder with index.csv: file, title")
    parser.add_argument("--release", default="base")
    parser.add_argument("--features", type=Path, nargs="+", help=".npy of features or of views")
    parser.add_argument("--rows-before", type=int, default=0, help="rows of the features before the table's")
    parser.add_argument("--cache", type=Path, help="folder to keep features in, where none are given")
    parser.add_argument("--out", type=Path, help="folder for reader-test.md and reader-test.json")
    chosen = parser.parse_args(arguments)
    if (chosen.features is None) == (chosen.cache is None):
        parser.error("give either --features or --cache")

    from whyhere import Locator

    with (chosen.photos / "index.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    names, titles = [row["file"] for row in table], [row["title"] for row in table]
    if chosen.features is not None:
        features = features_of_table(chosen.features, rows=len(table), before=chosen.rows_before)
    else:
        features = computed_features(chosen.photos, names, chosen.release, chosen.cache)
    things = read_things()
    named = [any(thing.is_in(title) for thing in things) for title in titles]
    rows = [row for row in range(len(table)) if named[row] and np.isfinite(features[row]).all()]
    locator = Locator.from_release(chosen.release)
    named_by_release = frozenset(concept.id for concept in locator.parts.concepts)
    told: dict[str, list[list[str]]] = {reading: [] for reading in READINGS}
    for count, row in enumerate(rows):
        code = locator.parts.alignment.encode_image(np.asarray(features[row], np.float32))
        (answer,) = locator.answer_code(code, top=1).answers
        for reading in READINGS:
            told[reading].append(concepts_told(answer, reading, named_by_release))
        if count % 200 == 0:
            print(f"answered {count} of {len(rows)}", file=sys.stderr)
    kept = [titles[row] for row in rows]
    scores = [
        score(kept, told[reading], things, reading=reading, first=first)
        for reading in READINGS
        for first in FIRST
    ]
    text = markdown(scores, release=locator.release, photos=len(rows))
    print(text)
    if chosen.out is not None:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "reader-test.md").write_text(text, encoding="utf-8")
        content: dict[str, Any] = {"release": locator.release, "photos": len(rows)}
        content["scores"] = [{name: getattr(one, name) for name in Score.__slots__} for one in scores]
        (chosen.out / "reader-test.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
