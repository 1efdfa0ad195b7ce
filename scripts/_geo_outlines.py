"""Outlines for `build_geo_data.py`: from world-atlas' TopoJSON to packed polygons and the small map."""

from __future__ import annotations

import json
import tarfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from whyhere.geo import EARTH_RADIUS_KM, Outlines
from whyhere.geo._polygons import unwrap_ring

OUTLINE_TOLERANCE_DEG = 0.003  # the source is rounded to 0.0036 degrees of longitude, finer is noise

# Shapes without an ISO number in Natural Earth. None: left out, the sea or the neighbours answer.
CODES_BY_NAME: dict[str, str | None] = {
    "Kosovo": "XK", "Somaliland": "SO", "N. Cyprus": "CY", "Cyprus U.N. Buffer Zone": "CY",
    "Dhekelia": "CY", "Akrotiri": "CY", "USNB Guantanamo Bay": "CU", "Baikonur": "KZ",
    "Indian Ocean Ter.": "CX", "Coral Sea Is.": "AU", "Clipperton I.": "FR", "Siachen Glacier": None,
    "Spratly Is.": None, "Scarborough Reef": None, "Bajo Nuevo Bank": None, "Serranilla Bank": None,
}  # fmt: skip

# Parts that Natural Earth counts to a country and ISO 3166 lists apart: (south, west, north, east).
CODES_BY_BOX: dict[str, list[tuple[str, tuple[float, float, float, float]]]] = {
    "NO": [("SJ", (70.5, -10, 71.5, -7)), ("SJ", (74, 5, 82, 40)), ("BV", (-56, 0, -53, 6))],
    "FR": [("GF", (1, -56, 7, -50)), ("GP", (15.8, -62, 16.6, -60.9)), ("MQ", (14.2, -61.4, 15, -60.7)),
           ("RE", (-22, 54, -20, 57)), ("YT", (-14, 44, -12, 46))],
    "NL": [("BQ", (11, -70, 19, -62))],
    "NZ": [("TK", (-10.5, -174, -7, -170))],
    "CX": [("CC", (-13, 96, -11, 98))],
}  # fmt: skip


def read_topology(archive: Path, name: str) -> dict[str, Any]:
    """Read one TopoJSON file of world-atlas."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"package/{name}.json")
        assert member is not None
        topology: dict[str, Any] = json.load(member)
    return topology


def arcs_of(topology: dict[str, Any], tolerance_deg: float) -> list[np.ndarray[Any, Any]]:
    """Decode the arcs to degrees and simplify each; shared borders stay shared."""
    scale, shift = (np.array(topology["transform"][key]) for key in ("scale", "translate"))
    arcs = [np.cumsum(np.array(arc, np.int64), axis=0) * scale + shift for arc in topology["arcs"]]
    if tolerance_deg:
        simple = shapely.simplify(
            [shapely.LineString(arc) for arc in arcs], tolerance_deg, preserve_topology=False
        )
        for i, line in enumerate(simple):
            coordinates = shapely.get_coordinates(line)
            closed = bool(np.all(arcs[i][0] == arcs[i][-1]))
            if len(coordinates) >= (4 if closed else 2):
                arcs[i] = coordinates
    return arcs


def ring_of(numbers: list[int], arcs: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Join arcs to one closed ring."""
    runs = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in numbers]
    return np.concatenate([runs[0], *(run[1:] for run in runs[1:])])


def cut_polygons(rings: list[np.ndarray[Any, Any]]) -> list[shapely.Polygon]:
    """Lay a polygon out on the round Earth and cut it at 180 degrees."""
    if len(rings[0]) < 4:
        return []
    outer, *holes = [unwrap_ring(ring, seam=True) for ring in rings if len(ring) >= 4]
    if outer[:, 0].min() >= -180 and outer[:, 0].max() <= 180:
        return [shapely.Polygon(outer, holes)]
    whole = shapely.make_valid(shapely.Polygon(outer))
    for hole in holes:
        at = [np.add(hole, (turn, 0)) for turn in (-360.0, 0.0, 360.0)]
        whole = shapely.difference(whole, next(p for p in map(shapely.Polygon, at) if whole.covers(p)))
    pieces: list[shapely.Polygon] = []
    for turn in (-360.0, 0.0, 360.0):
        part = shapely.intersection(whole, shapely.box(turn - 180, -90, turn + 180, 90))
        moved = shapely.transform(part, lambda xy, turn=turn: np.clip(xy - (turn, 0), (-180, -90), (180, 90)))
        pieces += [p for p in shapely.get_parts(moved) if p.geom_type == "Polygon" and p.area > 0]
    return pieces


def outline_parts(
    topology: dict[str, Any], code_of_number: dict[str, str]
) -> list[tuple[str, shapely.Polygon]]:
    """All polygons of the world with the code that Natural Earth's number or name stands for."""
    arcs = arcs_of(topology, OUTLINE_TOLERANCE_DEG)
    parts = []
    for shape in topology["objects"]["countries"]["geometries"]:
        name, number = shape["properties"]["name"], shape.get("id")
        code = code_of_number[number] if number else CODES_BY_NAME[name]
        if code is None:
            continue
        polygons = [shape["arcs"]] if shape["type"] == "Polygon" else shape["arcs"]
        for polygon in polygons:
            pieces = cut_polygons([ring_of(ring, arcs) for ring in polygon])
            parts += [(boxed_code(code, piece), piece) for piece in pieces]
    return parts


def boxed_code(code: str, polygon: shapely.Polygon) -> str:
    """Give an overseas part its own code."""
    west, south, east, north = polygon.bounds
    for own, (box_south, box_west, box_north, box_east) in CODES_BY_BOX.get(code, []):
        if box_south <= south and north <= box_north and box_west <= west and east <= box_east:
            return own
    return code


def disc(lat: float, lon: float, area_km2: float) -> shapely.Polygon:
    """A circle of given area: stands for a country too small for the rounded map."""
    radius_deg = np.degrees(np.sqrt(area_km2 / np.pi) / EARTH_RADIUS_KM)
    angle = np.linspace(0, 2 * np.pi, 17)
    return shapely.Polygon(
        np.column_stack(
            (
                lon + radius_deg * np.cos(angle) / np.cos(np.radians(lat)),
                lat + radius_deg * np.sin(angle),
            )
        )
    )


def pack_outlines(parts: list[tuple[str, shapely.Polygon]]) -> dict[str, np.ndarray[Any, Any]]:
    """Round to a grid and store differences between neighbouring vertices."""
    scale = np.array([360 / 400_000, 180 / 200_000])  # 0.0009 degrees, 100 m: four steps to one of the source
    shift = np.array([-180.0, -90.0])
    rings, rings_in_part, codes = [], [], []
    for code, polygon in parts:
        kept = []
        for number, ring in enumerate((polygon.exterior, *polygon.interiors)):
            grid = np.round((shapely.get_coordinates(ring) - shift) / scale).astype(np.int64)
            grid = grid[np.concatenate(([True], np.any(np.diff(grid, axis=0) != 0, axis=1)))]
            if len(grid) >= 4:
                kept.append(grid)
            elif number == 0:
                break
        if kept:
            rings += kept
            rings_in_part.append(len(kept))
            codes.append(code)
    steps = np.diff(np.concatenate([np.zeros((1, 2), np.int64), *rings]), axis=0).astype(np.int32)
    names = sorted(set(codes))
    return {
        "dx": steps[:, 0], "dy": steps[:, 1], "scale": scale, "translate": shift,
        "ring_length": np.array([len(ring) for ring in rings], np.uint32),
        "rings_in_part": np.array(rings_in_part, np.uint16),
        "code": np.array([names.index(code) for code in codes], np.uint8),
        "code_names": np.array(names, "<U2"),
    }  # fmt: skip


def recode_by_places(table: dict[str, Any], lat: Any, lon: Any, code: Any) -> dict[str, Any]:  # noqa: ANN401
    """Where four of five of at least 20 places in a polygon carry another code, the polygon takes that code.

    GeoNames follows ISO 3166; Natural Earth draws who is in control. Of whole polygons this moves Crimea.
    """
    shapes = Outlines(table)
    found = shapes.containing(lat, lon)
    names = list(table["code_names"])
    for part in np.unique(found[found >= 0]):
        (top, count), *_ = Counter(code[found == part]).most_common(1)
        own = str(shapes.codes[part])
        if top != own and count >= max(0.8 * np.sum(found == part), 20):
            print(f"  polygon of {own} with {np.sum(found == part)} places goes to {top}")
            names += [top] if top not in names else []
            table["code"][part] = names.index(top)
    table["code_names"] = np.array(names, "<U2")
    return table


def pack_basemap(topology: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Small outlines for drawing: land as closed rings, borders between countries as lines."""
    arcs = arcs_of(topology, 0.0)
    users: dict[int, set[int]] = defaultdict(set)
    for i, shape in enumerate(topology["objects"]["countries"]["geometries"]):
        for polygon in [shape["arcs"]] if shape["type"] == "Polygon" else shape["arcs"]:
            for ring in polygon:
                for arc in ring:
                    users[arc if arc >= 0 else ~arc].add(i)
    land = []
    for shape in topology["objects"]["land"]["geometries"]:
        for polygon in [shape["arcs"]] if shape["type"] == "Polygon" else shape["arcs"]:
            for piece in cut_polygons([ring_of(ring, arcs) for ring in polygon]):
                land += [shapely.get_coordinates(ring) for ring in (piece.exterior, *piece.interiors)]
    borders = [arcs[arc] for arc, shapes in sorted(users.items()) if len(shapes) > 1]
    lines = land + borders
    return {
        "lon": np.concatenate([np.round(line[:, 0] * 100) for line in lines]).astype(np.int16),
        "lat": np.concatenate([np.round(line[:, 1] * 100) for line in lines]).astype(np.int16),
        "length": np.array([len(line) for line in lines], np.uint16),
        "rings": np.array(len(land), np.uint16),
    }
