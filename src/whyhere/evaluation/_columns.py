"""Which column of a benchmark table means what: the layouts of the field, or what the user says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from whyhere.errors import UsageError

FIELDS = ("photo", "lat", "lon", "country", "region", "city", "kind", "precision_km")
"""What a column can mean; the first three are needed."""

# In falling priority: OSV-5M's `id` names the photo only where nothing better does.
_KNOWN: dict[str, tuple[str, ...]] = {
    "photo": (
        "img_id", "img_file", "file", "filename", "file_name", "image", "image_file", "image_name",
        "image_path", "image_id", "img", "img_path", "img_name", "photo", "photo_id", "path", "pano_id",
        "panoid", "id",
    ),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "lng", "long", "longitude"),
    "country": ("country", "country_code", "country_name"),
    "region": ("region", "state", "province", "admin1"),
    "city": ("city", "town"),
    "kind": ("kind",),
    "precision_km": ("precision_km",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns that are read.

    Attributes:
        layout: What the table looks like, for people.
        photo: Column with the name of the photo.
        lat: Column with latitudes.
        lon: Column with longitudes.
        country: Column with the true country, or None.
        region: Column with the true first-level unit, or None.
        city: Column with the true city, or None.
        kind: Column with the kind of the photo ("street", "monument", ...), or None.
        precision_km: Column that says how far the photo may lie from its position, in km, or None.
    """

    layout: str
    photo: str
    lat: str
    lon: str
    country: str | None = None
    region: str | None = None
    city: str | None = None
    kind: str | None = None
    precision_km: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """Return the fields as a plain dictionary."""
        return asdict(self)


def parse_columns(text: str) -> dict[str, str]:
    """Parse what `--columns` takes.

    Args:
        text: `photo=NAME,lat=NAME,lon=NAME`, and country, region and city where the table has them,
            and kind and precision_km. Numbers count the columns of a table without a header, from 1.

    Raises:
        UsageError: It cannot be understood.

    Example:
        >>> parse_columns("photo=name,lat=y,lon=x")
        {'photo': 'name', 'lat': 'y', 'lon': 'x'}
    """
    mapping: dict[str, str] = {}
    for part in text.split(","):
        field, equals, name = (piece.strip() for piece in part.partition("="))
        if not equals or not name or field not in FIELDS or field in mapping:
            raise UsageError(
                f"--columns {text!r}: expected FIELD=COLUMN pairs with commas between, each field once, "
                f"such as photo=name,lat=y,lon=x; the fields are {', '.join(FIELDS)}"
            )
        mapping[field] = name
    return mapping


def is_headless(mapping: Mapping[str, str] | None) -> bool:
    """Return whether a mapping names columns by number, which means that the table has no header."""
    return bool(mapping) and all(re.fullmatch("[1-9][0-9]{0,3}", name) for name in (mapping or {}).values())


def choose_columns(
    header: Sequence[str], mapping: Mapping[str, str] | None = None, *, needed: Sequence[str] = FIELDS[:3]
) -> Columns:
    """Find the columns to read.

    Args:
        header: Names of the columns of the table.
        mapping: What the user says they mean, as from `parse_columns`; it goes before what is recognised.
        needed: Fields that must be there; `photo` is empty where it is neither needed nor there.

    Raises:
        UsageError: A needed column is not there or cannot be told; the message lists the columns there are.
    """
    mapping = dict(mapping or {})
    unknown = sorted(set(mapping) - set(FIELDS))
    if unknown:
        raise UsageError(f"columns: {', '.join(unknown)} is not one of {', '.join(FIELDS)}")
    plain = [re.sub(r"[\s\-]+", "_", name.strip().casefold()) for name in header]
    chosen: dict[str, str | None] = {}
    for field in FIELDS:
        if field in mapping:
            chosen[field] = _mapped(field, mapping[field], header)
            continue
        hits = [header[plain.index(name)] for name in _KNOWN[field] if name in plain]
        if field in ("lat", "lon") and len(hits) > 1:
            raise UsageError(
                f"both {' and '.join(map(repr, hits))} may hold the {field}; "
                f"say which with --columns {field}=NAME"
            )
        chosen[field] = hits[0] if hits else None
    missing = [field for field in needed if chosen[field] is None]
    if missing:
        there = ", ".join(repr(name[:40]) for name in header[:20]) or "none"
        raise UsageError(
            f"no column for {' and '.join(missing)} is recognised; the table has {there}. "
            "Say what they mean, such as --columns photo=NAME,lat=NAME,lon=NAME "
            "(numbers from 1 for a table without a header)"
        )
    chosen["photo"] = chosen["photo"] or ""
    layout = "columns named by the user" if mapping else _layout(plain, chosen)
    return Columns(layout, **chosen)  # type: ignore[arg-type]  # the needed ones are not None


def _mapped(field: str, name: str, header: Sequence[str]) -> str:
    for column in header:
        if column == name:
            return column
    for column in header:
        if column.strip().casefold() == name.strip().casefold():
            return column
    there = ", ".join(repr(column[:40]) for column in header[:20]) or "none"
    raise UsageError(f"--columns {field}={name}: the table has no such column; it has {there}")


def _layout(plain: Sequence[str], chosen: Mapping[str, str | None]) -> str:
    photo = (chosen["photo"] or "").strip().casefold()
    if photo in ("img_id", "img_file"):
        return "Im2GPS, Im2GPS3k, YFCC4k, YFCC26k or MP-16"
    if photo == "id" and "latitude" in plain:
        return "OSV-5M"
    if photo in ("pano_id", "panoid") or "heading" in plain:
        return "GWS15k (street views)"
    return "photo, latitude, longitude"
