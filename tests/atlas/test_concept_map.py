"""Concept maps: what they say depends on neither the region nor the order of the gallery."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import unescape

import geojson
import numpy as np
import pytest
from tiny_atlas import make_atlas, places

from whyhere.atlas import ConceptMap, map_page, map_table
from whyhere.errors import UsageError
from whyhere.geo import cell_number, cells_of, great_circle_km, lat_lon_of, parse_region, unit_vectors

FIJI = "-20,175,-15,-175"


def by_cell(found: ConceptMap):
    return {cell.cell: cell for cell in found.cells}


def test_a_cell_shows_the_mean_of_its_places(atlas):
    lat, lon = places()
    row = [concept.id for concept in atlas.concepts].index("desert")
    values = atlas.values[:, row]
    cells = cells_of(lat, lon, 3)
    found = atlas.map("desert")
    assert {cell_number(cell.cell) for cell in found.cells} == set(cells.tolist())
    for cell in found.cells:
        mine = cells == cell_number(cell.cell)
        assert cell.points == mine.sum()
        assert cell.value == pytest.approx(values[mine].mean(), abs=1e-6)
        assert great_circle_km(cell.lat, cell.lon, lat[mine], lon[mine]).max() < 160


def test_percentiles_rise_with_the_values_and_the_highest_comes_first(atlas):
    cells = atlas.map("forest").cells
    values, shares = [c.value for c in cells], [c.percentile for c in cells]
    assert values == sorted(values, reverse=True)
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] < shares[0] < 100
    assert np.mean(shares) == pytest.approx(50)


@pytest.mark.parametrize("region", [FIJI, "France", "-90,-180,0,180"])
def test_the_map_of_a_region_is_the_map_of_the_world_cut_out(atlas, region):
    world, cut = by_cell(atlas.map("coast")), atlas.map("coast", region=region)
    lat, lon = places()
    inside = parse_region(region).contains(lat, lon)
    assert {cell_number(c.cell) for c in cut.cells} == set(cells_of(lat[inside], lon[inside], 3).tolist())
    for cell in cut.cells:
        whole = world[cell.cell]
        assert (cell.value, cell.percentile, cell.reference) == (
            whole.value,
            whole.percentile,
            whole.reference,
        )
    assert len(cut.cells) < len(world)


@pytest.mark.parametrize("region", [FIJI, "France", "-90,-180,0,180"])
def test_cells_of_a_region_lie_where_their_places_in_it_lie(atlas, region):
    lat, lon = places()
    inside = parse_region(region).contains(lat, lon)
    cells = cells_of(lat, lon, 3)
    vectors = unit_vectors(lat, lon)
    cut = atlas.map("coast", region=region)
    assert sum(cell.points for cell in cut.cells) == inside.sum()
    for cell in cut.cells:
        mine = inside & (cells == cell_number(cell.cell))
        assert cell.points == mine.sum()
        middle = lat_lon_of(vectors[mine].mean(axis=0))
        assert great_circle_km(cell.lat, cell.lon, *middle) == pytest.approx(0, abs=1e-3)


def test_no_cell_of_a_region_lies_outside_it(atlas):
    cut = atlas.map("coast", region="46.5,0,49,6")
    across = [cell for cell in atlas.map("coast").cells if cell.cell in by_cell(cut) and cell.lat < 46.5]
    assert across  # the southern edge cuts through cells
    assert min(cell.lat for cell in cut.cells) >= 46.5


def test_the_order_of_the_gallery_does_not_matter():
    order = np.random.default_rng(3).permutation(len(places()[0]))
    a, b = make_atlas().map("desert"), make_atlas(order).map("desert")
    assert [c.cell for c in a.cells] == [c.cell for c in b.cells]
    assert [c.value for c in a.cells] == pytest.approx([c.value for c in b.cells], abs=1e-7)
    assert [c.percentile for c in a.cells] == [c.percentile for c in b.cells]


def test_the_questions_before_do_not_matter():
    asked = make_atlas()
    asked.map("forest", resolution=1)
    asked.compare("France", "Spain")
    asked.place(10, 20)
    assert asked.map("coast", region="France") == make_atlas().map("coast", region="France")


@pytest.mark.parametrize("name", ["rice-paddy", "Rice Paddy", "rice_paddy", "rice field"])
def test_a_concept_is_found_by_id_name_and_synonym(atlas, name):
    from whyhere.concepts import load_bank

    if name == "rice field":
        bank = {c.id: c.synonyms for c in load_bank()}
        name = bank["rice-paddy"][0]
    assert atlas.map(name).concept_id == "rice-paddy"


@pytest.mark.parametrize(
    ("concept", "said"),
    [
        ("dessert", "did you mean desert"),
        ("waterfall", "the bank of concepts has it, but this release does not use it"),
        ("", "no concept"),
        ("x" * 500, "no concept"),
    ],
)
def test_a_concept_that_is_not_there_is_named(atlas, concept, said):
    with pytest.raises(UsageError, match=said) as caught:
        atlas.map(concept)
    assert len(str(caught.value)) < 400


def test_other_wrong_arguments_are_refused(atlas):
    with pytest.raises(UsageError, match="resolution"):
        atlas.map("desert", resolution=9)
    with pytest.raises(UsageError, match=r"none of the 600 places that tiny 1\.0 knows lies in box"):
        atlas.map("desert", region="0,0,0.001,0.001")
    with pytest.raises(UsageError, match="country"):
        atlas.map("desert", region="Atlantis")


def test_a_text_is_mapped_along_its_own_direction(atlas):
    found = atlas.map_text("  sand xyzzy ")
    alignment = atlas.alignment
    vector = np.eye(16, dtype=np.float32)[4]  # "sand" has four letters; see read_text
    direction = alignment.head @ vector / np.linalg.norm(alignment.head @ vector)
    centred = atlas.gallery.embeddings - alignment.location_mean
    cosines = centred @ direction / np.linalg.norm(centred, axis=1)
    lat, lon = places()
    best = found.cells[0]
    mine = cells_of(lat, lon, 3) == cell_number(best.cell)
    assert best.value == pytest.approx(cosines[mine].mean(), abs=1e-5)
    assert found.unknown_words == ("xyzzy",)
    assert (found.name, found.concept_id, found.reference) == ("sand", None, None)


@pytest.mark.parametrize("text", ["", "   ", "xyzzy xx"])
def test_a_text_without_a_known_word_is_refused(atlas, text):
    with pytest.raises(UsageError):
        atlas.map_text(text)


def test_peaks_are_the_highest_cells_apart(atlas):
    found = atlas.map("desert")
    peaks = found.peaks(6, apart_km=1500)
    assert peaks[0] == found.cells[0]
    for row, peak in enumerate(peaks):
        for other in peaks[:row]:
            assert great_circle_km(peak.lat, peak.lon, other.lat, other.lon) >= 1500
    skipped = [cell for cell in found.cells if cell.value > peaks[-1].value and cell not in peaks]
    for cell in skipped:
        assert min(great_circle_km(cell.lat, cell.lon, p.lat, p.lon) for p in peaks) < 1500


@dataclass(frozen=True)
class North:
    """A reference that says how far north a place is; unknown beyond 60 degrees."""

    concept_id: str = "desert"
    name: str = "northness"
    kind: str = "continuous"
    unit: str = "degrees"
    higher_means_more: bool = True
    threshold: float = 0.0
    directness: str = "direct"
    source: str = "a test"
    licence: str = "none"
    note: str = ""
    described: str = "northness"

    def values(self, lat, lon):
        return np.where(np.abs(lat) > 60, np.nan, lat)

    def present(self, values):
        return np.where(np.isnan(values), np.nan, values >= self.threshold)


def test_a_reference_stands_beside_the_map_in_the_same_cells():
    lat, lon = places()
    cells = cells_of(lat, lon, 3)
    found = make_atlas(reference=North()).map("desert")
    unknown = 0
    for cell in found.cells:
        mine = lat[cells == cell_number(cell.cell)]
        mine = mine[np.abs(mine) <= 60]
        if len(mine):
            assert cell.reference == pytest.approx(mine.mean())
        else:
            assert cell.reference is None
            unknown += 1
    assert unknown > 5
    assert found.reference.cells == len(found.cells) - unknown
    assert "Spearman" in found.reference.agreement_text
    assert "northness" in "".join(map_table(found))


@pytest.mark.parametrize("learned", [True, False])
def test_an_agreement_that_was_fitted_is_called_no_test_everywhere(learned):
    asked = make_atlas(grounded=("desert", "forest") if learned else ("forest",), reference=North())
    found = asked.map("desert")
    said = "part of the concept's direction was fitted to this reference: no test"
    assert found.reference.learned is learned
    assert found.to_dict()["reference"]["learned"] is learned
    assert found.to_geojson()["reference"]["learned"] is learned
    assert (said in found.reference.agreement_text) is learned
    assert (said in "".join(map_table(found))) is learned
    assert (said in unescape(found.plot().svg)) is learned
    assert (said.encode() in unescape(map_page(found)).encode()) is learned


def test_agreement_is_that_of_the_references_package_over_the_places_of_the_map():
    from whyhere.references import agreement

    atlas = make_atlas(reference=North())
    lat, lon = places()
    values = atlas.values[:, 0]
    for region in (None, "-90,-180,90,0"):
        inside = np.ones(len(lat), bool) if region is None else parse_region(region).contains(lat, lon)
        wanted = agreement(values[inside], North(), lat=lat[inside], lon=lon[inside])
        found = atlas.map("desert", region=region).reference
        assert (found.auroc, found.spearman, found.cells) == (wanted.auroc, wanted.spearman, wanted.cells)


def test_where_too_few_cells_are_known_the_map_says_so():
    found = make_atlas(reference=North()).map("desert", region=FIJI)
    assert found.reference.auroc is None
    assert "too few cells" in found.reference.agreement_text
    json.dumps(found.to_dict(), allow_nan=False)


def test_geojson_is_valid_and_holds_the_map(atlas):
    found = atlas.map("tundra")
    text = json.dumps(found.to_geojson(), allow_nan=False)
    collection = geojson.loads(text)
    assert collection.is_valid
    assert len(collection.features) == len(found.cells)
    split = 0
    for feature, cell in zip(collection.features, found.cells, strict=True):
        assert feature["properties"]["cell"] == cell.cell
        assert feature["properties"]["percentile"] == pytest.approx(cell.percentile, abs=1e-3)
        points = np.array(list(geojson.utils.coords(feature)))
        assert (np.abs(points) <= (180, 90)).all()
        assert np.ptp(points[:, 0]) < 350 or feature.geometry.type == "MultiPolygon" or abs(cell.lat) > 80
        split += feature.geometry.type == "MultiPolygon"
    assert split > 0  # Fiji lies across the date line


def test_golden_geojson_and_table(atlas, check_golden):
    found = atlas.map("tundra", region="-19,176,-15,-178")
    collection = found.to_geojson()
    # Cosines are float32 products: their last digits belong to the machine, not to the format.
    for feature in collection["features"]:
        feature["properties"]["value"] = round(feature["properties"]["value"], 3)
    check_golden("fiji.geojson", json.dumps(collection, indent=1) + "\n")
    check_golden("fiji.txt", "".join(map_table(found)))
