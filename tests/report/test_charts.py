"""Charts of plain series: what is drawn stands where the numbers say, inside the picture."""

from __future__ import annotations

import io
import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from whyhere.prediction import ReleaseCard
from whyhere.report import BLUE, GREY, RED, Bar, Curve, Section, bars, curves, intervals, page, scatter

SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = st.integers(-(10**6), 10**6).map(lambda thousandths: thousandths / 1000)
NAN = math.nan


def drawn(picture):
    root = ElementTree.fromstring(picture.svg)
    assert "nan" not in picture.svg
    assert "inf" not in picture.svg
    _, _, width, height = map(float, root.get("viewBox").split())
    for text in root.iter(f"{SVG}text"):
        # Half an em a letter is less than any font needs.
        room = {None: 1.0, "middle": 0.5, "end": 0.0}[text.get("text-anchor")]
        length = 0.5 * float(text.get("font-size")) * len(text.text or "")
        if text.get("transform") is None:
            assert float(text.get("x")) - (1 - room) * length >= 0
            assert float(text.get("x")) + room * length <= width
        assert 0 <= float(text.get("y")) <= height
    for dot in root.iter(f"{SVG}circle"):
        assert 0 <= float(dot.get("cx")) <= width
        assert 0 <= float(dot.get("cy")) <= height
    return root


def dots(root, colour):
    found = [c for c in root.iter(f"{SVG}circle") if c.get("fill") == colour and c.get("r") != "4"]
    return [(float(c.get("cx")), float(c.get("cy"))) for c in found]


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=8))
def test_dots_of_a_curve_keep_their_order(points):
    root = drawn(curves("t", [Curve("name", points, RED)], x_label="x", y_label="y"))
    placed = dots(root, RED)
    assert len(placed) == len(points)
    for (x, y), (u, v) in zip(points, placed, strict=True):
        for (other_x, other_y), (other_u, other_v) in zip(points, placed, strict=True):
            assert x >= other_x or u <= other_u
            assert y >= other_y or v >= other_v


def test_ticks_that_are_given_set_the_axis():
    ticks = [(0.0, "0 %"), (1.0, "100 %")]
    line = Curve("", [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)], BLUE, dashed=True, band=[(0.0, 0.1)] * 3)
    root = drawn(curves("t", [line], x_label="x", y_label="y", x_ticks=ticks, y_ticks=ticks))
    (x0, y0), (x1, y1), (x2, y2) = dots(root, BLUE)
    assert (x1, y1) == pytest.approx(((x0 + x2) / 2, (y0 + y2) / 2), abs=0.2)
    assert [text.text for text in root.iter(f"{SVG}text")].count("100 %") == 2
    assert "stroke-dasharray" in ElementTree.tostring(root, encoding="unicode")


@given(st.lists(st.one_of(st.none(), st.tuples(NUMBERS, NUMBERS, NUMBERS)), min_size=2, max_size=2))
def test_an_interval_holds_its_dot(pair):
    cells = [None if one is None else (sorted(one)[1], min(one), max(one)) for one in pair]
    series = [("measured", BLUE), ("control", RED)]
    rows = [("a row", [cells]), ("nothing is known", [[(NAN, NAN, NAN), None]])]
    root = drawn(intervals("t", rows, series=series, panels=["x"], mark=0.0, mark_text="bar"))
    for one, (_, colour) in zip(cells, series, strict=True):
        assert len(dots(root, colour)) == (one is not None)


def test_what_lies_below_the_axis_is_an_arrow_at_its_edge():
    rows = [("far", [[(-9.0, -9.5, -8.5)]]), ("near", [[(0.5, 0.4, 0.6)]])]
    root = drawn(intervals("t", rows, series=[("", BLUE)], panels=["x"], low=0.0, high=1.0))
    assert len(dots(root, BLUE)) == 1
    assert any(path.get("fill") == BLUE for path in root.iter(f"{SVG}path"))


def test_a_plane_has_one_scale():
    groups = [("here", BLUE, [(0.0, 0.0), (2.0, 1.0)]), ("there", RED, [(1.0, 0.5)])]
    picture = scatter("t", groups, names=[((2.0, 1.0), "<name>")], links=[((0.0, 0.0), (1.0, 0.5))])
    (x0, y0), (x1, y1) = dots(drawn(picture), BLUE)
    assert (x1 - x0) == pytest.approx(2 * (y0 - y1), abs=0.2)
    drawn(scatter("nothing", [("none", GREY, [])]))


def test_bars_are_to_scale_on_both_sides_of_one_line():
    root = drawn(bars("t", [Bar("a", 0.2), Bar("b", -0.1, True)], notes=("how", "source"), foot="foot"))
    paths = [p for p in root.iter(f"{SVG}path") if p.get("fill") in ("#88b7af", "#a84815")]
    lengths = [float(p.get("d").split("l")[1].split(" ")[0]) for p in paths]
    assert lengths[0] == pytest.approx(2 * lengths[1], rel=0.01)


def test_a_chart_is_painted_too():
    picture = curves("t", [Curve("a", [(0.0, 0.0), (1.0, 1.0)], "#ff0000")], x_label="x", y_label="upwards")
    image = Image.open(io.BytesIO(picture.png())).convert("RGB")
    assert image.size == (784, 504)
    pixels = np.asarray(image)
    assert ((pixels[..., 0] > 200) & (pixels[..., 1] < 80)).any()


def test_a_page_of_sections_escapes_all_it_is_given():
    text = "<script>'\"&\u202e\x1b"
    picture = bars(text, [Bar(text, 1.0)], notes=(text, text))
    section = Section("id", text, picture=picture, head=[text], rows=[[text, text]], warning=text)
    card = ReleaseCard(text, text, text, text, (text,), (text,))
    found = page(title=text, heading=text, lede=text, sections=[section], card=card, notes=[(text, text)])
    assert "<script" not in found
    assert not [c for c in found if c != "\n" and not c.isprintable()]
    assert found.count("<svg") == 2
    assert "How to read this" in found
    bare = page(title="t", heading="h", lede="l", sections=[Section("id", "only a title")], card=card)
    assert "How to read this" not in bare
