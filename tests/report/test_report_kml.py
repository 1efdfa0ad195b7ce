"""KML is read back by fastkml, and is well-formed XML whatever a photo is called."""

import pytest
from fastkml import KML, Folder, Placemark
from fastkml.utils import find_all
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree
from msgspec.structs import replace

from whyhere._text import printable
from whyhere.report import render

NS = {"k": "http://www.opengis.net/kml/2.2"}


def read(text):
    return KML.from_string(text.encode("utf-8"), strict=True)


def test_a_folder_a_photo_and_a_placemark_an_answer(everything, card):
    document = read(render(everything, "kml", card=card))
    folders = list(find_all(document, of_type=Folder))
    assert [folder.name for folder in folders] == [printable(p.photo) for p in everything]
    for folder, prediction in zip(folders, everything, strict=True):
        marks = list(find_all(folder, of_type=Placemark))
        assert len(marks) == len(prediction.answers) + (prediction.exif_gps is not None)
        for mark, answer in zip(marks, prediction.answers, strict=False):
            assert (mark.geometry.x, mark.geometry.y) == pytest.approx((answer.lon, answer.lat), abs=1e-6)
            assert mark.name.startswith(f"{answer.rank}. ")
            data = {item.name: item.value for item in mark.extended_data.elements}
            assert float(data["probability"]) == answer.probability
            assert data["photo"] == printable(prediction.photo)
        if prediction.exif_gps is not None:
            gps = prediction.exif_gps
            assert (marks[-1].geometry.x, marks[-1].geometry.y) == pytest.approx((gps.lon, gps.lat), abs=1e-6)


def test_discs_are_polygons_on_one_side_of_the_date_line(fiji, poles, card):
    document = read(render([fiji, poles], "kml", card=card, circles=True))
    discs = [m for m in find_all(document, of_type=Placemark) if "around answer" in m.name]
    assert len(discs) == len(fiji.answers) + len(poles.answers)
    assert len(list(discs[0].geometry.geoms)) == 2
    for disc in discs:
        for polygon in disc.geometry.geoms:
            longitudes = [x for x, _ in polygon.exterior.coords]
            assert -180 <= min(longitudes) <= max(longitudes) <= 180


def test_styles_that_are_used_exist(everything, card):
    root = etree.fromstring(render(everything, "kml", card=card, circles=True).encode("utf-8"))
    used = {element.text for element in root.iterfind(".//k:styleUrl", NS)}
    assert used == {"#" + element.get("id") for element in root.iterfind(".//k:Style", NS)}


def test_the_document_names_its_sources(kauai, card):
    root = etree.fromstring(render([kauai], "kml", card=card).encode("utf-8"))
    description = root.findtext("k:Document/k:description", namespaces=NS)
    assert all(sentence in description for sentence in card.attribution)


@given(name=st.text(st.characters()))
@example(name="]]></name><script/>&amp;\x00\x0b\udcff\ufffe\n")
def test_any_name_gives_well_formed_xml(name, kauai, card):
    text = render([replace(kauai, photo=name)], "kml", card=card)
    root = etree.fromstring(text.encode("utf-8"))
    assert (root.findtext(".//k:Folder/k:name", namespaces=NS) or "") == printable(name)


def test_the_surface_is_a_folder_of_cells(fiji, card):
    document = read(render([fiji], "kml", card=card, surface=True))
    _, inner = find_all(document, of_type=Folder)
    assert inner.name == "Probability by area"
    marks = list(find_all(inner, of_type=Placemark))
    data = [{item.name: item.value for item in mark.extended_data.elements} for mark in marks]
    assert [entry["cell"] for entry in data] == [cell.cell for cell in fiji.surface]
    assert [float(entry["probability"]) for entry in data] == [cell.probability for cell in fiji.surface]
    text = render([fiji], "kml", card=card, surface=True)
    used = set(etree.fromstring(text.encode()).xpath("//k:styleUrl/text()", namespaces=NS))
    assert {style.removeprefix("#") for style in used} <= set(
        etree.fromstring(text.encode()).xpath("//k:Style/@id", namespaces=NS)
    )
