"""The report is one page that loads nothing, escapes everything, and shows sums that a reader can check."""

import base64
import dataclasses
import hashlib
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import html
from msgspec.structs import replace

from whyhere._text import printable
from whyhere.geo import LatLon
from whyhere.report import render
from whyhere.report.geometry import local_land

LISTED = 5  # concepts for and against an answer that stand in its table


@pytest.fixture(scope="module")
def page(everything, card):
    return render(everything, "html", card=card)


@pytest.fixture(scope="module")
def tree(page):
    return html.document_fromstring(page)


def text_of(element):
    return " ".join(element.text_content().split())


def numbers_of(element):
    return [float(n.replace("−", "-")) for n in re.findall(r"[+−]?\d+\.\d+", text_of(element))]  # noqa: RUF001


def test_nothing_points_outside_the_page(tree):
    for element in tree.iter():
        for name, value in element.attrib.items():
            if name == "href" and element.tag == "a" and value.startswith("https://osm.org/?mlat="):
                # A link is opened by people alone, and then says nothing of where it stood.
                assert element.get("rel") == "noopener noreferrer"
            elif name.endswith(("href", "src")):
                assert value.startswith(("#", "data:")), (element.tag, name, value[:60])
    assert not tree.xpath("//script | //iframe | //object | //form | //link[@rel='stylesheet'] | //@style")
    assert not [name for element in tree.iter() for name in element.attrib if name.startswith("on")]
    style = tree.findtext(".//style")
    assert "@import" not in style
    assert "url(" not in style


def test_the_policy_allows_the_style_sheet_by_hash_and_images_in_the_page(tree):
    policy = tree.xpath("string(//meta[@http-equiv='Content-Security-Policy']/@content)")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(tree.findtext(".//style").encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_ids_are_unique_and_every_reference_has_its_target(tree):
    ids = tree.xpath("//@id")
    assert len(ids) == len(set(ids))
    targets = [value[1:] for value in tree.xpath("//@href") if value.startswith("#")]
    for value in tree.xpath("//@aria-labelledby"):
        targets += value.split()
    targets += re.findall(r"url\(#([^)]+)\)", html.tostring(tree, encoding="unicode"))
    assert set(targets) <= set(ids)


def test_landmarks_and_alternatives_for_those_who_do_not_see_it(tree, everything):
    assert [len(tree.findall(f".//{tag}")) for tag in ("main", "footer", "h1")] == [1, 1, 1]
    assert tree.get("lang") == "en"
    assert all(image.get("alt") for image in tree.iter("img"))
    for svg in tree.iter("svg"):
        hidden = svg.get("aria-hidden") == "true"
        labelled = svg.get("role") == "img" and (svg.get("aria-labelledby") or svg.get("aria-label"))
        assert hidden != bool(labelled)
    levels = [int(element.tag[1]) for element in tree.iter("h1", "h2", "h3", "h4")]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for number, prediction in enumerate(everything, start=1):
        described = tree.xpath(f"string(//*[@id='p{number}-map-d'])")
        assert all(f"{a.rank}: {a.area}, " in described for a in prediction.answers)


def test_all_photos_have_their_section_and_thumbnail(tree, everything):
    articles = tree.findall(".//article")
    assert len(articles) == len(everything)
    for article, prediction in zip(articles, everything, strict=True):
        assert printable(prediction.photo) in text_of(article)
        images = article.findall(".//img")
        if prediction.thumbnail is None:
            assert images == []
            assert "No preview" in text_of(article)
        else:
            assert base64.b64decode(images[0].get("src").split(",", 1)[1]) == prediction.thumbnail


def test_each_answer_says_where_how_likely_and_why(tree, everything):
    for number, prediction in enumerate(everything, start=1):
        for answer in prediction.answers:
            (section,) = tree.xpath(f"//section[@id='p{number}-a{answer.rank}']")
            text = text_of(section)
            assert f"{answer.lat + 0.0:.3f}, {answer.lon:.3f}" in text
            for concept in (*answer.reasons.speaking[:LISTED], *answer.reasons.against[:LISTED]):
                assert printable(concept.name) in text
                assert printable(concept.group) in text


def test_the_rows_of_the_table_add_up_to_the_score(tree, everything):
    tables = tree.xpath("//table[@class='why']")
    answers = [answer for prediction in everything for answer in prediction.answers]
    for table, answer in zip(tables, answers, strict=True):
        rows = [row for row in table.xpath(".//tr") if row.xpath("./td[@class='value']")]
        values = [numbers_of(row.xpath("./td[@class='value']")[0])[0] for row in rows]
        assert values[-1] == pytest.approx(answer.score, abs=6e-4)
        assert sum(values[:-1]) == pytest.approx(values[-1], abs=len(values) * 1e-4)


def test_the_equation_adds_up_to_the_score(tree, everything):
    equations = tree.xpath("//p[@class='equation']")
    answers = [answer for prediction in everything for answer in prediction.answers]
    for equation, answer in zip(equations, answers, strict=True):
        plus, minus, remainder, score = (float(b.text_content()) for b in equation.findall(".//b"))
        assert plus - minus + remainder == pytest.approx(score, abs=3e-4)
        assert score == pytest.approx(answer.score, abs=1e-4)


def test_all_concepts_are_there_for_who_asks(tree, kauai):
    rows = tree.xpath("//section[@id='p1-a1']//details//tr")
    shown = {row.findtext("th"): numbers_of(row.find("td"))[0] for row in rows}
    assert len(rows) == len(kauai.answers[0].concepts)
    for concept in kauai.answers[0].concepts:
        assert shown[concept.shown_as] == pytest.approx(concept.contribution, abs=6e-5)


def test_bars_are_to_scale_over_all_answers_of_a_photo(tree, kauai):
    lengths = {}
    for answer in kauai.answers:
        for row in tree.xpath(f"//section[@id='p1-a{answer.rank}']//table[@class='why']//tr[@class='bar']"):
            bar = row.xpath(".//*[@class='plus' or @class='minus']")[0]
            value = numbers_of(row.xpath("./td[@class='value']")[0])[0]
            assert bar.get("class") == ("plus" if value > 0 else "minus")
            lengths[value] = float(bar.get("width").rstrip("%"))
    scale = max(lengths.values()) / max(abs(value) for value in lengths)
    for value, length in lengths.items():
        assert length == pytest.approx(scale * abs(value), abs=0.35)


def test_probabilities_and_the_rest_make_one(tree, everything):
    for table, prediction in zip(tree.xpath("//table[@class='glance']"), everything, strict=True):
        widths = table.xpath(".//*[@class='part' or @class='other']/@width")
        assert len(widths) == len(prediction.answers) + 1
        assert sum(float(width.rstrip("%")) for width in widths) == pytest.approx(100, abs=0.4)


def test_the_card_and_the_warnings_are_shown(tree, card):
    text = text_of(tree)
    for sentence in (card.summary, card.accuracy, *card.limits, *card.attribution):
        assert sentence in text
    assert "hypotheses" in text
    assert "independent evidence" in text


def test_an_abstention_names_no_best_place(card, abstained, kauai):
    tree = html.document_fromstring(render([abstained], "html", card=card))
    assert [text_of(item) for item in tree.xpath("//p[@class='best']")] == ["No place stands out"]
    assert "Most likely" not in text_of(tree)
    assert 'class="abstained"' not in render([kauai], "html", card=card)


def test_hostile_text_stays_text(tree, page):
    assert "<script" not in page
    assert not tree.xpath("//img[@onerror] | //*[local-name()='script']")
    assert not [c for c in page if c != "\n" and not c.isprintable()]


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(), min_size=1))
@example(text="$style ${body} $$")
@example(text="\f")
@example(text="</title></style>&lt;")
def test_any_text_anywhere_leaves_the_structure_alone(text, hostile, card):
    def structure(prediction, release):
        parsed = html.document_fromstring(render([prediction, prediction], "html", card=release))
        return [(element.tag, element.get("id")) for element in parsed.iter() if isinstance(element.tag, str)]

    def with_text(words):
        answer = hostile.answers[0]
        concept = replace(answer.concepts[0], id=words, name=words, group=words)
        place = dataclasses.replace(answer.place, name=words, admin1=None, country=None)
        changed = replace(answer, place=place, concepts=(concept,))
        release = replace(card, name=words, summary=words, limits=(words,), attribution=(words,))
        return replace(hostile, photo=words, release=words, answers=(changed,)), release

    assert structure(*with_text(text)) == structure(*with_text("x"))


def test_badges_hide_neither_each_other_nor_the_points(kauai, card):
    spots = [(0.0, 0.0), (0.4, 0.5), (-0.4, 1.5), (-2.0, 0.0), (80.0, 179.0)]
    answers = [
        replace(answer, lat=lat, lon=lon) for answer, (lat, lon) in zip(kauai.answers, spots, strict=True)
    ]
    page = render([replace(kauai, answers=tuple(answers))], "html", card=card)
    chart = html.document_fromstring(page).xpath("//svg[@class='map']/g[@class='wide']")[0]

    def centres(xpath):
        return [np.array([float(c.get("cx")), float(c.get("cy"))]) for c in chart.xpath(xpath)]

    discs, points = centres("./g/circle"), centres("./circle")
    assert len(discs) == len(points) == 5
    width, height = (float(n) for n in chart.getparent().get("viewbox").split()[2:])
    for index, disc in enumerate(discs):
        assert 11 <= disc[0] <= width - 11
        assert 11 <= disc[1] <= height - 11
        assert all(np.linalg.norm(disc - other) >= 22 for other in discs[index + 1 :])
        assert all(np.linalg.norm(disc - point) > 11 for point in points)


def test_many_photos_get_an_overview_of_dots(kauai, card):
    small = replace(kauai, answers=kauai.answers[:1], surface=(), thumbnail=None)
    tree = html.document_fromstring(render([small] * 31, "html", card=card))
    section = tree.xpath("//section[@aria-labelledby='overview']")[0]
    assert len(section.xpath(".//li")) == 31
    assert section.xpath(".//*[contains(@class, 'badge')]") == []
    assert len(section.xpath(".//*[contains(@class, 'wide')]/*[contains(@class, 'dot')]")) == 31


@settings(max_examples=25, deadline=None)
@given(lat=st.floats(-90, 90), lon=st.floats(-180, 179.9), radius_km=st.floats(1, 20_000))
@example(lat=90.0, lon=0.0, radius_km=6000.0)
@example(lat=-90.0, lon=179.0, radius_km=50.0)
@example(lat=0.0, lon=-180.0, radius_km=2500.0)
def test_maps_can_be_drawn_anywhere(lat, lon, radius_km, kauai, card):
    moved = replace(kauai.answers[0], lat=lat, lon=lon, radius_km=radius_km)
    page = render([replace(kauai, answers=(moved,), exif_gps=LatLon(-lat, lon))], "html", card=card)
    assert not re.search(r"\b(nan|inf)\b", re.sub(r"base64,[^\"]+", "", page))
    assert 'class="inset"' in page


@pytest.mark.parametrize(
    ("lat", "lon", "dry"),
    [
        (48.86, 2.35, True),
        (46.0, -20.0, False),
        (-17.8, 177.9, True),
        (-16.85, -179.97, True),
        (-89.9, 0.0, True),
    ],
)
def test_land_around_a_point_is_land(lat, lon, dry):
    """The middle of the cut-out map lies in a polygon exactly where there is land."""
    import shapely

    data = local_land(lat, lon, reach_km=300.0, km_per_unit=1.0)
    inside = False
    for part in filter(None, data.split("M")):
        start, moves = part.rstrip("z").split("l")
        steps = [int(n) for n in re.findall(r"-?\d+", moves)]
        x, y = (int(n) for n in start.split())
        points = [(x, y)]
        for dx, dy in zip(steps[::2], steps[1::2], strict=True):
            points.append((points[-1][0] + dx, points[-1][1] + dy))
        if len(points) > 2 and shapely.Polygon(points).buffer(0).covers(shapely.Point(0, 0)):
            inside = True
    assert inside == dry
