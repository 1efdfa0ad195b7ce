"""Regions: boxes against brute force, polygons against ray casting, turned Earths, hostile input."""

import json
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from whyhere.errors import UsageError
from whyhere.geo import parse_region

LATS = st.floats(-90, 90)
LONS = st.floats(-180, 180)


def polygon(*rings):
    return json.dumps({"type": "Polygon", "coordinates": rings})


def box_ring(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


# ---- boxes


@given(
    st.integers(-90, 89), st.integers(1, 60), st.integers(-360, 360), st.integers(-360, 360), LATS, LONS,
    st.integers(-2, 2),
)  # fmt: skip
@example(-20, 8, 175, -178, -17.8, -179.99, 0)
@example(-90, 60, -180, 180, -90.0, 12.0, 1)
def test_box_against_brute_force(south, height, west, east, lat, lon, turns):
    north = min(south + height, 90)
    assume(0 < abs(east - west) <= 360 and (east > west or (east - west) % 360))
    region = parse_region(f"{south},{west},{north},{east}")
    end = east if east > west else east + 360
    expected = south <= lat <= north and (
        abs(lat) == 90 or any(west <= lon + 360 * k <= end for k in range(-4, 5))
    )
    near_edge = min(abs((lon - edge + 180) % 360 - 180) for edge in (west, east)) < 1e-6
    assume(not near_edge)
    assert region.contains(lat, lon + 360 * turns).tolist() == [expected]


def test_box_edges_belong_to_it():
    region = parse_region("-20,175,-12,-178")
    assert region.contains([-20, -12, -16, -16, -16], [175, -178, 175, 182, 180]).all()
    assert not region.contains([-20.01, -16, -16], [176, 174.99, -177.99]).any()


@pytest.mark.parametrize("text", ["10,20,30,40", " 10 , 20 , 30 , 40 ", "+10,2e1,30.,40.0"])
def test_ways_to_write_a_box(text):
    assert parse_region(text).to_dict()["box"] == {"south": 10, "west": 20, "north": 30, "east": 40}


def test_a_typographic_minus_is_a_minus():
    assert parse_region("\u221220,175,\u221212,\u2212178").contains(-17.8, -179.99).all()


@pytest.mark.parametrize(
    "text",
    ["30,20,10,40", "10,20,10,40", "-91,0,0,1", "0,0,91,1", "0,5,1,5", "0,-200,1,200", "0,0,1,1e999", "0,0,1",
     "0,0,1,2,3", "0,0,1,nan", "a,b,c,d", "0,400,1,401", "0,180,1,-180"],
)  # fmt: skip
def test_refused_boxes(text):
    with pytest.raises(UsageError, match=r"SOUTH,WEST,NORTH,EAST|latitude first"):
        parse_region(text)


# ---- polygons


@st.composite
def star_rings(draw):
    """Simple rings around a centre: vertices in order of bearing, anywhere on Earth but the poles."""
    centre_lat = draw(st.floats(-60, 60))
    centre_lon = draw(st.integers(-180, 179))
    n = draw(st.integers(3, 9))
    angles = np.sort(draw(st.lists(st.floats(0, 2 * np.pi), min_size=n, max_size=n, unique=True)))
    radii = np.array(draw(st.lists(st.floats(2, 25), min_size=n, max_size=n)))
    ring = np.column_stack((centre_lon + radii * np.cos(angles), centre_lat + radii * np.sin(angles)))
    assume(np.ptp(ring, axis=0).min() > 1e-3)
    assume(np.hypot(*np.diff(ring, axis=0, append=ring[:1]).T).min() > 1e-6)  # bearings may differ by nothing
    return np.concatenate((ring, ring[:1]))


def crossings(ring, lat, lon):
    """Even-odd rule on the endless map, at every turn; and how near the point comes to an edge."""
    inside, near = False, np.inf
    for turn in (-720, -360, 0, 360, 720):
        x = lon + turn
        for (x1, y1), (x2, y2) in pairwise(ring):
            if (y1 > lat) != (y2 > lat) and x < (x2 - x1) * (lat - y1) / (y2 - y1) + x1:
                inside = not inside
            along = np.array([x2 - x1, y2 - y1])
            t = np.clip(np.dot([x - x1, lat - y1], along) / max(along @ along, 1e-12), 0, 1)
            near = min(near, float(np.hypot(x1 + t * along[0] - x, y1 + t * along[1] - lat)))
    return inside, near


@settings(max_examples=150, deadline=None)
@given(star_rings(), st.integers(-180, 180), st.booleans(), LATS, LONS)
def test_polygon_turned_by_any_longitude(ring, turned, wrap, lat, lon):
    """Written beyond 180 or jumping from 179 to -179, anywhere on Earth: the same area."""
    expected, near = crossings(ring, lat, lon)
    assume(near > 1e-6)
    moved = np.add(ring, [turned, 0])
    if wrap:
        moved[:, 0] = (moved[:, 0] + 180) % 360 - 180
    region = parse_region(polygon(moved.tolist()))
    assert region.contains(lat, lon + turned).tolist() == [expected]


@settings(max_examples=60, deadline=None)
@given(star_rings(), st.data())
def test_points_inside_the_box_of_a_polygon(ring, data):
    """As above with points that are often inside."""
    low, high = ring.min(axis=0), ring.max(axis=0)
    lon = data.draw(st.floats(low[0], high[0]))
    lat = data.draw(st.floats(low[1], high[1]))
    expected, near = crossings(ring, lat, lon)
    assume(near > 1e-6)
    assert parse_region(polygon(ring.tolist())).contains(lat, lon).tolist() == [expected]


FIJI_POINTS = ([-17.0, -17.0, -17.0, -17.0, -30.0, -17.0], [179.5, -179.5, 180.0, 170.0, 179.5, 0.0])
FIJI_INSIDE = [True, True, True, False, False, False]


@pytest.mark.parametrize(
    "text",
    [
        polygon(box_ring(177, -20, 182, -12)),
        polygon(box_ring(-183, -20, -178, -12)),
        polygon(box_ring(177, -20, -178, -12)),
        json.dumps(
            {
                "type": "MultiPolygon",
                "coordinates": [[box_ring(177, -20, 180, -12)], [box_ring(-180, -20, -178, -12)]],
            }
        ),
        polygon(  # a map's seam, as stitched TopoJSON has it
            [
                [177, -20],
                [180, -20],
                [-180, -20],
                [-178, -20],
                [-178, -12],
                [-180, -12],
                [180, -12],
                [177, -12],
            ]
        ),
    ],
    ids=["beyond 180", "beyond -180", "jump", "RFC 7946 split", "seam"],
)
def test_ways_to_write_a_polygon_across_the_date_line(text):
    assert parse_region(text).contains(*FIJI_POINTS).tolist() == FIJI_INSIDE


def test_hole_across_the_date_line():
    text = polygon(box_ring(160, -30, 200, 0), box_ring(178, -20, -178, -10))
    region = parse_region(text)
    assert region.contains([-15, -15, -15, -15], [170, 179, -179, -170]).tolist() == [
        True,
        False,
        False,
        True,
    ]
    assert region.contains(-15, 178).all()  # the edge of a hole belongs to the polygon


@pytest.mark.parametrize("turned", [0, 37, 180])
def test_a_ring_around_a_pole_holds_the_pole(turned):
    ring = [[(lon + turned + 180) % 360 - 180, -65 + (lon % 40) / 10] for lon in range(0, 360, 20)]
    region = parse_region(polygon([*ring, ring[0]]))
    assert region.contains([-90, -85, -70, -50, 90], [12, -180, 77, 0, 0]).tolist() == [1, 1, 1, 0, 0]
    north = [[lon, -lat] for lon, lat in ring]
    assert parse_region(polygon(north)).contains([90, 85, 50], [0, 0, 0]).tolist() == [1, 1, 0]


def test_antarctica_cut_along_the_date_line():
    coast = [[lon, -70] for lon in range(-180, 181, 30)]
    region = parse_region(polygon([[-180, -90], *coast, [180, -90], [-180, -90]]))
    assert region.contains([-90, -80, -60], [0, 180, 0]).tolist() == [True, True, False]


def test_a_band_around_the_whole_earth():
    for ring in (
        box_ring(-180, -30, 180, 30),
        [[-180, -30], [0, -30], [180, -30], [180, 30], [0, 30], [-180, 30]],
    ):
        region = parse_region(polygon(ring))
        assert region.contains([0, 0, 0, 40], [0, 180, -180, 0]).tolist() == [True, True, True, False]


def test_ring_between_two_latitudes_around_a_pole():
    outer = [[lon, 60] for lon in range(-180, 180, 30)]
    hole = [[lon, 75] for lon in range(-180, 180, 30)]
    region = parse_region(polygon(outer, hole))
    assert region.contains([50, 65, 80, 90], [0, 179, 0, 0]).tolist() == [False, True, False, False]


def test_collections_features_and_names(tmp_path):
    square = {"type": "Polygon", "coordinates": [box_ring(0, 0, 10, 10)]}
    other = {"type": "MultiPolygon", "coordinates": [[box_ring(20, 0, 30, 10)]]}
    feature = {"type": "Feature", "properties": {"name": "Two squares"}, "geometry": {
        "type": "GeometryCollection", "geometries": [square, other]}}  # fmt: skip
    region = parse_region(json.dumps(feature))
    assert region.name == "Two squares"
    assert region.contains([5, 5, 5], [5, 15, 25]).tolist() == [True, False, True]
    empty = {"type": "Feature", "properties": None, "geometry": None}
    path = tmp_path / "my area.geojson"
    path.write_text("\ufeff" + json.dumps({"type": "FeatureCollection", "features": [feature, empty]}))
    region = parse_region(str(path))
    assert region.name == "my area"
    assert region.contains([5, 5, 5], [5, 15, 25]).tolist() == [True, False, True]
    back = parse_region(json.dumps(region.to_dict()["geometry"]))
    assert back.contains([5, 5, 5], [5, 15, 25]).tolist() == [True, False, True]


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "{}", '{"type": "Point", "coordinates": [1, 2]}', '{"type": "Polygon"}',
        '{"type": "Polygon", "coordinates": []}', '{"type": "Polygon", "coordinates": [[]]}',
        polygon([[0, 0], [1, 1]]), polygon([[0, 0], [1, 1], [0, 0], [1, 1]]),
        polygon([[0, 0], [1, 0], [2, 0]]),
        polygon([[0, 0], [1, "a"], [1, 1]]), polygon([[0, 0], [1, True], [1, 1]]),
        polygon([[0, 0], [1], [1, 1]]),
        polygon([[0, 0], [0, 91], [1, 1]]), polygon([[48.8, 150], [2.3, 160], [3, 155]]),
        polygon([[0, 0], [float("nan"), 1], [1, 1]]), polygon([[0, 0], [10**400, 1], [1, 1]]),
        polygon([[0, 0], [600, 1], [1, 1]]), '{"type": "Feature", "geometry": null}',
        '{"type": "FeatureCollection"}', '{"type": ["Polygon"]}', "[" * 100_000,
        '{"type": "GeometryCollection", "geometries": [' * 200,
        polygon([[lon % 360 - 180, 0.5 * (lon // 360)] for lon in range(0, 720, 30)]),
        json.dumps({"type": "Polygon", "crs": {"type": "name", "properties": {"name": "EPSG:3857"}},
                    "coordinates": [box_ring(0, 0, 1, 1)]}),
    ],
)  # fmt: skip
def test_refused_geojson(text):
    with pytest.raises(UsageError) as caught:
        parse_region(text)
    assert len(str(caught.value)) < 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.fixed_dictionaries(
            {"type": st.sampled_from(["Polygon", "MultiPolygon", "Feature", "FeatureCollection", "?"])},
            optional={"coordinates": inner, "geometry": inner, "features": inner, "properties": inner},
        )
    ),
    max_leaves=25,
)
RINGS = st.lists(st.lists(st.floats(-600, 600) | st.integers(-100, 100), min_size=1, max_size=3), max_size=7)


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=60)
    | JSON.map(json.dumps)
    | st.lists(RINGS, max_size=3).map(lambda rings: polygon(*rings))
    | st.lists(st.floats().map(str) | st.text(max_size=3), min_size=3, max_size=5).map(",".join)
    | st.lists(st.floats(-200, 200).map(str), min_size=4, max_size=4).map(",".join)
)
@example("\0")
@example("/" * 5000)
@example("~nobody-of-that-name/x.json")
@example("\ud800")
@example(".")
def test_whatever_the_text_only_usage_errors(text):
    with suppress(UsageError):
        region = parse_region(text)
        assert region.contains([0.0, 90.0, -90.0], [0.0, 180.0, -180.0]).dtype == bool
        json.dumps(region.to_dict())


def test_unreadable_files(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        parse_region(str(tmp_path / "missing.geojson"))
    binary = tmp_path / "picture.geojson"
    binary.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UsageError, match="cannot read"):
        parse_region(str(binary))


# ---- countries


def test_country_regions():
    region = parse_region("fj")
    assert region.name == "Fiji"
    assert region.to_dict() == {"name": "Fiji", "country_code": "FJ"}
    assert region.contains([-18.14, -16.85, -17.24, 48.9], [178.44, 179.98, -178.95, 2.3]).tolist() == [
        1,
        1,
        1,
        0,
    ]


def test_unknown_region_says_what_is_accepted():
    with pytest.raises(UsageError, match="GeoJSON") as caught:
        parse_region("Atlantis")
    assert "SOUTH,WEST,NORTH,EAST" in str(caught.value)


def test_no_positions_at_all():
    for text in ("FR", "0,0,1,1", polygon(box_ring(0, 0, 1, 1))):
        assert parse_region(text).contains([], []).shape == (0,)
