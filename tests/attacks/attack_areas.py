"""GeoJSON texts that are slow, deep or odd; seeded, so that every run meets the same."""

from __future__ import annotations

import json

import numpy as np


def spread_positions(count, *, seed=0):
    """Positions spread evenly over the Earth: latitudes and longitudes, each of shape (count,)."""
    rng = np.random.default_rng(seed)
    return np.degrees(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)


def wild_star(vertices, *, seed=0, lat=0.0, lon=0.0):
    """A simple ring that runs in and out: any parallel and any meridian meets a quarter of its edges."""
    rng = np.random.default_rng(seed)
    bearing, radius = np.sort(rng.uniform(0, 2 * np.pi, vertices)), rng.uniform(10, 80, vertices)
    ring = np.column_stack((lon + 2 * radius * np.cos(bearing), lat + radius * np.sin(bearing)))
    return np.concatenate((ring, ring[:1]))


def comb(teeth):
    """A ring of teeth from 80 degrees south to 80 degrees north."""
    lon = np.repeat(np.linspace(-179, 179, teeth), 2)
    lat = np.tile([-80.0, 80.0, 80.0, -80.0], -(-teeth // 2))[: len(lon)]
    return np.concatenate(
        (np.column_stack((lon, lat)), [[179, -85], [0, -85], [-179, -85], [lon[0], lat[0]]])
    )


def squares(count, *, side_deg=0.1, seed=0):
    """Small squares all over the Earth, each a closed ring."""
    rng = np.random.default_rng(seed)
    corner = np.column_stack((rng.uniform(-180, 179, count), rng.uniform(-89, 88, count)))
    return corner[:, None] + side_deg * np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])


def boxes_with_slits(count, *, seed=0):
    """Triangles whose boxes are all the same."""
    rng = np.random.default_rng(seed)
    apex = rng.uniform(-80, 80, count)
    return [[[-80, -85], [80, value], [-80, 85], [-80, -85]] for value in apex]


def multipolygon(rings):
    return json.dumps(
        {"type": "MultiPolygon", "coordinates": [[np.asarray(ring).tolist()] for ring in rings]}
    )


def deep_json(depth):
    return "[" * depth + "]" * depth
