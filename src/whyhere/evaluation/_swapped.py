"""Finds latitude and longitude under each other's headers, as in some published copies of Im2GPS."""

from __future__ import annotations

from collections.abc import Sequence

from whyhere.errors import UsageError
from whyhere.evaluation._columns import Columns

_SAMPLE = 500
_ENOUGH = 10
"""Below this many rows only impossible latitudes are evidence."""


def refuse_swapped(
    table: str,
    columns: Columns,
    rows: Sequence[tuple[float, float, int, str | None]],
    *,
    swapped_already: bool = False,
) -> None:
    """Refuse a table whose latitudes are longitudes.

    Three signs count. Latitudes beyond 90 degrees, where the other column has fewer such values; or, on a
    sample of the rows, positions that lie in the country that the table names, or else on land, far more
    often when they are read the other way round.

    Args:
        table: Name of the table, for the message.
        columns: Its columns.
        rows: Latitude and longitude in degrees (finite), line, and country or None, for each row.
        swapped_already: Whether the user asked for the columns to be swapped.

    Raises:
        UsageError: They are swapped.
    """
    beyond = [(lat, line) for lat, lon, line, _ in rows if 90.0 < abs(lat) <= 360.0]
    others = sum(90.0 < abs(lon) <= 360.0 for _, lon, _, _ in rows)
    evidence = None
    if len(beyond) > others:
        lat, line = beyond[0]
        evidence = (
            f"{len(beyond)} of {len(rows)} latitudes lie beyond 90 degrees (first: {lat:g}, line {line}), "
            f"but {others or 'none'} of the longitudes"
        )
    else:
        evidence = _evidence_on_the_map([row for row in rows if max(abs(row[0]), abs(row[1])) <= 90.0])
    if evidence is None:
        return
    remedy = (
        "leave out --swap-lat-lon"
        if swapped_already
        else "add --swap-lat-lon, or correct those lines of the table"
    )
    raise UsageError(
        f"{table}: latitude and longitude are swapped: {evidence}. Latitudes were read from the column "
        f"{columns.lat!r} and longitudes from {columns.lon!r}: {remedy}"
    )


def _evidence_on_the_map(rows: Sequence[tuple[float, float, int, str | None]]) -> str | None:
    """Return what shows that positions which fit either way are swapped, or None."""
    if len(rows) < _ENOUGH:
        return None
    from whyhere.errors import UsageError
    from whyhere.geo import country_codes, find_country

    step = -(-len(rows) // _SAMPLE)
    sample = rows[::step]
    lat, lon = [row[0] for row in sample], [row[1] for row in sample]
    as_read, other_way = country_codes(lat, lon), country_codes(lon, lat)
    said: list[str | None] = []
    for row in sample:
        try:
            said.append(find_country(row[3]).code if row[3] else None)
        except UsageError:
            said.append(None)
    known = [i for i, code in enumerate(said) if code]
    if len(known) >= _ENOUGH:
        right = sum(as_read[i] == said[i] for i in known)
        right_swapped = sum(other_way[i] == said[i] for i in known)
        if 2 * right_swapped > len(known) and right_swapped > 2 * right:
            return (
                f"of {len(known)} rows looked at, {right} lie in the country that the table names as they "
                f"stand, and {right_swapped} the other way round"
            )
        return None
    land, land_swapped = (sum(code is not None for code in codes) for codes in (as_read, other_way))
    if 2 * land < len(sample) and land_swapped >= 0.9 * len(sample):
        return (
            f"of {len(sample)} rows looked at, {land} lie on land as they stand, and {land_swapped} "
            "the other way round"
        )
    return None
