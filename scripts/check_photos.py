"""Checks the labels of tables of photos: names that contradict positions, and pictures that come twice.

    python scripts/check_photos.py INDEX.csv... [--features FEATURES.npy]

Prints Markdown: countries of the table and of the title against the position, cities named in titles that lie
far from it, one title at several places, and (from the photos beside each table) equal perceptual hashes and
near-duplicates, within and between the tables and across the folds of the protocols. A finding is a reason to
look, not a verdict.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.evaluation import (
    assign_folds,
    near_duplicates,
    photo_hashes,
    place_clusters,
    read_protocol,
    shipped_protocols,
)
from whyhere.geo import country_codes, find_country, gazetteer, great_circle_km

FAR_KM = 300.0
"""A city that a title names and that lies farther than this (and than the precision) from the position."""

PLACE_KM = 50.0
LEAST_PEOPLE = 150_000
SIMILAR = (0.95, 0.9)
Row = dict[str, str]


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=Path, nargs="+", help="index.csv files, photos beside them")
    parser.add_argument("--features", type=Path, help=".npy of unit features, a row a photo, for similarity")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for table in arguments.tables:
        with table.open(newline="", encoding="utf-8") as file:
            rows += [{**row, "table": str(table)} for row in csv.DictReader(file)]
    lat, lon = (np.array([float(row[axis]) for row in rows]) for axis in ("lat", "lon"))
    print(f"{len(rows):,} photos in {len(arguments.tables)} tables\n")
    for title, findings in (
        ("Country of the table against the position", countries_of_the_table(rows, lat, lon)),
        ("Country of the title against the position", countries_of_the_title(rows, lat, lon)),
        ("Cities named in the title, far from the position", cities_of_the_title(rows, lat, lon)),
        ("One title at places far apart", repeated_titles(rows, lat, lon)),
    ):
        report(title, list(findings))
    hashes = photo_hashes([Path(row["table"]).parent / row["file"] for row in rows])
    equal = near_duplicates(None, cosine=1.0, hashes=np.array(hashes, np.uint64))
    report("Equal perceptual hash", list(groups(rows, equal)))
    if arguments.features:
        similar(rows, lat, lon, np.load(arguments.features))


def report(title: str, findings: Sequence[str]) -> None:
    """Print a heading and the findings."""
    print(f"## {title}: {len(findings)}\n")
    print("".join(f"- {finding}\n" for finding in findings))


def name_of(row: Row) -> str:
    """Return what a finding calls a photo."""
    return f"{Path(row['file']).name} ({row.get('title') or 'no title'}; {row['lat']}, {row['lon']})"


def countries_of_the_table(rows: Sequence[Row], lat: NDArray, lon: NDArray) -> Iterator[str]:
    """Yield photos whose table names another country than their position has."""
    for row, code in zip(rows, country_codes(lat, lon), strict=True):
        if row["country"] != (code or ""):
            yield f"{name_of(row)}: the table says {row['country']}, the position {code}"


def countries_of_the_title(rows: Sequence[Row], lat: NDArray, lon: NDArray) -> Iterator[str]:
    """Yield photos whose title ends with the name of another country."""
    for row, code in zip(rows, country_codes(lat, lon), strict=True):
        last = (row.get("title") or "").rpartition(",")[2].strip()
        if not last or "," not in row["title"] or len(last) < 3:
            continue
        try:
            named = find_country(last).code
        except UsageError:
            continue
        if named != code:
            yield f"{name_of(row)}: the title says {named}, the position {code}"


def cities_of_the_title(rows: Sequence[Row], lat: NDArray, lon: NDArray) -> Iterator[str]:
    """Yield photos whose title names a city all of whose namesakes lie far away."""
    places = gazetteer()
    namesakes = defaultdict(list)
    for place in np.flatnonzero(places.population > 0):
        namesakes[places.name(int(place)).casefold()].append(int(place))
    for number, row in enumerate(rows):
        words = re.findall(r"[^\W\d_][\w'-]+", (row.get("title") or "").removeprefix("File:"))
        for name in {" ".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1)}:
            if not name[0].isupper():
                continue
            same = namesakes.get(name.casefold(), [])
            if not same or max(places.population[same]) < LEAST_PEOPLE:
                continue
            km = great_circle_km(lat[number], lon[number], places.lat[same], places.lon[same]).min()
            if km > max(FAR_KM, 2 * float(row.get("precision_km") or 0)):
                yield f"{name_of(row)}: the nearest {name} lies {km:,.0f} km away"


def repeated_titles(rows: Sequence[Row], lat: NDArray, lon: NDArray) -> Iterator[str]:
    """Yield titles that stand at several places."""
    by_title = defaultdict(list)
    for number, row in enumerate(rows):
        if row.get("title"):
            by_title[re.sub(r"[\W\d_]+", " ", row["title"]).strip().casefold()].append(number)
    for members in by_title.values():
        km = great_circle_km(lat[members][:, None], lon[members][:, None], lat[members], lon[members])
        if km.max() > PLACE_KM:
            yield f"{km.max():,.0f} km apart: " + "; ".join(name_of(rows[m]) for m in members)


def groups(rows: Sequence[Row], numbers: NDArray) -> Iterator[str]:
    """Yield groups of more than one photo."""
    for number in np.flatnonzero(np.bincount(numbers) > 1):
        yield "; ".join(name_of(rows[m]) for m in np.flatnonzero(numbers == number))


def similar(rows: Sequence[Row], lat: NDArray, lon: NDArray, features: NDArray) -> None:
    """Report near-duplicates, and how many of them each protocol would have on both sides without groups."""
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = np.triu(features @ features.T, 1)
    tables = np.array([row["table"] for row in rows])
    print("## Similar photos\n")
    print("| cosine at least | pairs | between tables | more than 50 km apart |\n|---|--:|--:|--:|")
    for least in SIMILAR:
        a, b = np.nonzero(cosines >= least)
        far = great_circle_km(lat[a], lon[a], lat[b], lon[b]) > PLACE_KM
        print(f"| {least} | {len(a)} | {(tables[a] != tables[b]).sum()} | {far.sum()} |")
    a, b = np.nonzero(cosines >= SIMILAR[0])
    for first, second in zip(a, b, strict=True):
        if great_circle_km(lat[first], lon[first], lat[second], lon[second]) > PLACE_KM:
            print(f"- {cosines[first, second]:.3f}: {name_of(rows[first])}; {name_of(rows[second])}")
    kinds = [row.get("kind") for row in rows]
    clusters = np.sort(np.bincount(place_clusters(lat, lon, within_km=PLACE_KM)))[::-1]
    print(f"\n{len(clusters):,} clusters of {PLACE_KM:g} km; the largest hold {clusters[:5].tolist()}")
    print("\n| protocol | folds | photos asked about | near-duplicates split without groups | with |")
    print("|---|--:|--:|--:|--:|")
    for name in shipped_protocols():
        protocol = read_protocol(name)
        same = near_duplicates(features, cosine=protocol.duplicate_cosine)
        counts = []
        for given in (None, same):
            folds = assign_folds(protocol, lat, lon, kinds=kinds, groups=given)
            pairs = np.argwhere((same[:, None] == same[None]) & np.triu(np.ones((len(rows),) * 2, bool), 1))
            counts.append(int((folds[pairs[:, 0]] != folds[pairs[:, 1]]).sum()))
        print(f"| {name} | {folds.max() + 1} | {(folds >= 0).sum()} | {counts[0]} | {counts[1]} |")


if __name__ == "__main__":
    main()
