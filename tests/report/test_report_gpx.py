"""GPX is read back with lxml: a waypoint an answer, elements in the order of the schema, any name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from msgspec.structs import replace

from whyhere._text import printable
from whyhere.report import render

NS = {"g": "http://www.topografix.com/GPX/1/1"}


def waypoints(predictions, card):
    return etree.fromstring(render(predictions, "gpx", card=card).encode()).findall("g:wpt", NS)


def test_a_waypoint_an_answer(everything, card):
    found = waypoints(everything, card)
    answers = [answer for prediction in everything for answer in prediction.answers]
    assert len(found) == len(answers)
    for point, answer in zip(found, answers, strict=True):
        assert float(point.get("lat")) == pytest.approx(answer.lat, abs=1e-6)
        assert float(point.get("lon")) == pytest.approx(answer.lon, abs=1e-6)
        assert [etree.QName(child).localname for child in point] == ["name", "desc", "link", "type"]
        assert point.findtext("g:name", namespaces=NS).startswith(f"{answer.rank}. ")
        link = point.find("g:link", NS).get("href")
        assert link.startswith("https://osm.org/?mlat=")


@given(name=st.text(st.characters()))
def test_any_name_survives(name, kauai, card):
    for point in waypoints([replace(kauai, photo=name)], card):
        first = point.findtext("g:desc", namespaces=NS).split("\n")[0]
        assert first == printable(name)
