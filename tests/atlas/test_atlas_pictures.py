"""Pictures: one drawing, as SVG that is well formed and as PNG that shows the same colours."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from whyhere.errors import UsageError
from whyhere.picture import Picture
from whyhere.report import (
    SCALE,
    WORLD_WIDTH,
    Frame,
    Label,
    Shape,
    lines_of,
    moved,
    path_data,
    picture,
    rectangle,
)

POINTS = st.lists(
    st.tuples(st.integers(-9999, 9999), st.integers(-9999, 9999)), min_size=2, max_size=9, unique=True
)


@given(st.lists(POINTS, min_size=1, max_size=4))
def test_path_data_is_read_back(lines):
    arrays = [np.array(line) / 10 for line in lines]
    back = lines_of(path_data(arrays))
    assert len(back) == len(arrays)
    for wanted, found in zip(arrays, back, strict=True):
        assert found == pytest.approx(wanted)


def opened(drawn: Picture) -> np.ndarray:
    image = Image.open(io.BytesIO(drawn.png()))
    image.load()
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


def has_colour(pixels: np.ndarray, colour: str) -> bool:
    return bool((np.abs(pixels.astype(int) - ImageColor.getrgb(colour)).max(axis=2) <= 2).any())


def test_both_back_ends_draw_holes_opacity_and_words():
    ring = np.array([(10.0, 10.0), (90.0, 10.0), (90.0, 90.0), (10.0, 90.0)])
    hole = 50 + (ring - 50) / 2
    items = [
        rectangle(0, 0, 200, 100, "#00ff00"),
        Shape([ring, hole], fill="#0000ff", holes=True),
        *moved([Shape([ring], fill="#ff0000", opacity=0.5)], 100, 0),
        Label(50, 55, "Ünïted <&>", 10, "middle", "#000000"),
    ]
    drawn = picture(items, width=200, height=100, title="a <test>", words="words & more")
    pixels = opened(drawn)
    assert pixels.shape == (140, 280, 3)
    assert tuple(pixels[28, 28]) == (0, 0, 255)  # in the ring
    assert tuple(pixels[42, 70]) == (0, 255, 0)  # in its hole
    assert pixels[70, 210] == pytest.approx([128, 127, 0], abs=2)  # red over green, half each
    assert (pixels[62:80, 45:95] < 60).all(axis=2).any()  # letters
    root = ET.fromstring(drawn.svg)
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["Ünïted <&>"]
    assert root.find("{http://www.w3.org/2000/svg}title").text == "a <test>"


@pytest.mark.parametrize("region", [None, "France", "FJ", "-90,-180,-50,180"])
def test_a_map_is_drawn_with_all_its_classes(atlas, region):
    found = atlas.map("desert", region=region)
    drawn = found.plot()
    pixels = opened(drawn)
    assert pixels.shape[1] == round(WORLD_WIDTH * 1.4)
    used = {min(9, int(cell.percentile / 10)) for cell in found.cells}
    for index in used:
        assert has_colour(pixels[40:-120], SCALE[index]), index
    fills = [node.get("fill") for node in ET.fromstring(drawn.svg).iter("{http://www.w3.org/2000/svg}path")]
    assert {SCALE[index] for index in used} <= set(fills)


def test_a_frame_holds_what_it_is_made_around():
    assert Frame.around(np.array([60.0, -60.0]), np.array([0.0, 180.0])).reach_km is None
    fiji = Frame.around(np.array([-17.0, -18.0]), np.array([177.0, -179.0]))
    assert abs(abs(fiji.lon) - 179) < 0.1
    assert 150 <= fiji.reach_km < 600


@pytest.mark.parametrize("limit", [1, 3, 20])
def test_flows_have_the_widths_of_the_percentiles(atlas, limit):
    found = atlas.compare("France", "Spain")
    drawn = found.plot(limit=limit)
    paths = list(ET.fromstring(drawn.svg).iter("{http://www.w3.org/2000/svg}path"))
    flows = [lines_of(p.get("d"))[0] for p in paths if p.get("fill-opacity")]
    shown = [*found.more_in_a(limit), *found.more_in_b(limit)[::-1]]
    assert len(flows) == 2 * len(shown)
    widths = [flow[-1, 1] - flow[0, 1] for flow in flows]
    wanted = [0.24 * share for concept in shown for share in (concept.percentile_a, concept.percentile_b)]
    assert widths == pytest.approx([max(w, 0.6) for w in wanted], abs=0.11)
    assert has_colour(opened(drawn), "#0072b2")


def test_the_picture_of_a_place_names_what_stands_out(atlas):
    found = atlas.place(48.86, 2.35)
    drawn = found.plot()
    said = " ".join(node.text or "" for node in ET.fromstring(drawn.svg).iter())
    for concept in (*found.highest(8), *found.lowest(8)):
        assert concept.name in said
    for place in found.similar:
        assert place.place.name in said
    assert opened(drawn).std() > 10


def test_saving_goes_by_the_suffix(atlas, tmp_path):
    drawn = atlas.map("coast", region="France").plot()
    for name, start in (("a.svg", b"<svg "), ("a.html", b"<!doctype html>"), ("a.PNG", b"\x89PNG")):
        path = drawn.save(tmp_path / name)
        assert path.read_bytes().startswith(start)
    assert drawn._repr_svg_() == (tmp_path / "a.svg").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match=r"one of \.svg, \.png, \.html, \.htm"):
        drawn.save(tmp_path / "a.gif")
    with pytest.raises(UsageError, match="cannot write"):
        drawn.save(tmp_path / "no" / "a.svg")
    with pytest.raises(UsageError, match=r"one of \.svg, \.html, \.htm$"):
        Picture("<svg/>").save(tmp_path / "b.png")
