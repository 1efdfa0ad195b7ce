"""Who made the photos that a release learned from: `credits.csv.gz`, which ships with it.

One row a photo: title, author, licence, source. Photos are not shipped; their authors are named.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from whyhere._io import plain
from whyhere._text import markdown_cell
from whyhere.errors import MissingFileError
from whyhere.releases._release import Release

CREDITS_FILE = "credits.csv.gz"
NOT_RECORDED = "not recorded per file"


@dataclass(frozen=True, slots=True)
class Credit:
    """What is known about the origin of one photo; empty where the source does not say.

    Attributes:
        title: Its title.
        author: Who made it.
        licence: Under which licence, as its source says.
        source: Where it comes from.
    """

    title: str = ""
    author: str = ""
    licence: str = ""
    source: str = ""

    @property
    def licence_name(self) -> str:
        """The licence, alike for all photos whose source keeps no licence for each file."""
        return NOT_RECORDED if not self.licence or "per-file" in self.licence else self.licence

    @property
    def collection(self) -> str:
        """The source without what names the single photo: everything before the first @."""
        return self.source.partition("@")[0]


def credits_of_table(path: Path, *, default: Credit | None = None) -> list[Credit]:
    """Read the credits that a table of photos holds, one a row.

    Args:
        path: CSV in UTF-8 with a header; the columns title, author, licence and source are read.
        default: What holds for all photos where the table has no such column.

    Raises:
        MissingFileError: The table cannot be read.
    """
    default = default or Credit()
    names = [field.name for field in fields(Credit)]
    try:
        with plain(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MissingFileError(f"{path}: cannot read the credits of photos ({error})") from error
    return [
        Credit(
            **{name: (row[name] or "").strip() if name in row else getattr(default, name) for name in names}
        )
        for row in rows
    ]


def write_credits(path: Path, credits: Iterable[Credit]) -> None:
    """Write credits, sorted, so that the same photos give the same bytes."""
    text = io.StringIO(newline="")
    rows = sorted(astuple(credit) for credit in credits)
    header = tuple(field.name for field in fields(Credit))
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([header, *rows])
    path.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))


def read_credits(release: Release) -> tuple[Credit, ...]:
    """Read the credits of the photos that a release learned from.

    Raises:
        MissingFileError: The release names none, or the file is damaged.
    """
    path = release.directory / CREDITS_FILE
    if not path.is_file():
        raise MissingFileError(
            f"{path}: {release.name} has no file of credits; `whyhere releases show {release.name}` says in "
            "general what it was made from"
        )
    try:
        rows = csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode(), newline=""))
        return tuple(Credit(row["title"], row["author"], row["licence"], row["source"]) for row in rows)
    except (OSError, EOFError, ValueError, KeyError, csv.Error) as error:
        raise MissingFileError(f"{path}: damaged ({error}); install the release again") from error


def credit_counts(credits: Sequence[Credit]) -> tuple[Counter[str], Counter[str]]:
    """Count photos by licence and by the collection they come from."""
    return (
        Counter(credit.licence_name for credit in credits),
        Counter(credit.collection or "source not stated" for credit in credits),
    )


def credits_markdown(credits: Sequence[Credit], *, most: int = 12) -> str:
    """Write the section of a model card on sources, licences and authors, with counts.

    Args:
        credits: The credits.
        most: Collections named one by one; the others are summed up.
    """
    licences, collections = credit_counts(credits)
    unknown = licences.pop(NOT_RECORDED, 0)
    anonymous = sum(not credit.author for credit in credits)
    lines = [
        f"{len(credits):,} photos; every one with title, author, licence and source in `{CREDITS_FILE}` "
        "(`whyhere releases credits NAME`). The photos themselves are not part of the release.",
        "",
        f"{anonymous:,} are without an author's name, because their source gives none. For {unknown:,} the "
        "licence is not recorded per file: their collections say in general that their photos are free.",
        "",
        "| licence | photos |",
        "|---|--:|",
        *(f"| {markdown_cell(name)} | {count:,} |" for name, count in licences.most_common()),
        *([f"| {NOT_RECORDED} | {unknown:,} |"] if unknown else []),
        "",
        "| source | photos |",
        "|---|--:|",
        *(f"| {markdown_cell(name)} | {count:,} |" for name, count in collections.most_common(most)),
    ]
    rest = collections.most_common()[most:]
    if rest:
        lines.append(f"| {len(rest)} others | {sum(count for _, count in rest):,} |")
    return "\n".join(lines) + "\n"
