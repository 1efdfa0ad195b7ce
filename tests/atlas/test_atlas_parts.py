"""What an atlas is assembled from: the right files, the right words, and never an image tower."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_atlas import embed, places

from whyhere.atlas import Atlas, read_text
from whyhere.concepts import open_vocabulary
from whyhere.errors import MissingFileError, UsageError
from whyhere.gallery import Gallery, interpolate
from whyhere.geo import great_circle_km
from whyhere.releases import resolve


def release_with(**image_tower):
    tower = SimpleNamespace(asset="", **image_tower)
    return SimpleNamespace(config=SimpleNamespace(name="mine", text_tower=None, image_tower=tower))


def test_base_reads_texts_with_the_words_of_its_image_tower():
    query = read_text(resolve("base"), "palm beach zzxqv")
    wanted = open_vocabulary().direction("palm beach zzxqv")
    assert np.array_equal(query.vector, wanted.pattern)  # how embeddings change, not what detects
    assert (query.known, query.unknown, query.uncertain) == (wanted.known, wanted.unknown, wanted.uncertain)
    assert "zzxqv" in query.unknown
    with pytest.raises(UsageError):
        read_text(resolve("base"), "zzxqv")


def test_a_release_with_a_text_tower_reads_whole_texts(monkeypatch):
    release = release_with()
    release.config.text_tower = object()
    tower = SimpleNamespace(embed=lambda texts: np.array([[len(text), 1.0] for text in texts], np.float32))
    monkeypatch.setattr("whyhere.releases.load_text_tower", lambda given: tower if given is release else None)
    query = read_text(release, "a whole sentence")
    assert query.vector.tolist() == [16.0, 1.0]
    assert query.unknown == ()


def test_a_release_without_directions_of_texts_says_so():
    with pytest.raises(MissingFileError, match="mine has no directions of texts"):
        read_text(release_with(), "palm beach")


def test_an_unknown_release_is_named():
    with pytest.raises(MissingFileError, match="nowhere"):
        Atlas.from_release("nowhere")


@pytest.mark.weights
def test_the_embedding_of_a_gallery_point_is_its_own(base_release):
    atlas = Atlas.from_release(base_release.directory)
    gallery = atlas.gallery
    rows = [0, 777, len(gallery) - 1]
    again = atlas.embed(gallery.lat[rows], gallery.lon[rows])
    assert (again * gallery.embeddings[rows]).sum(axis=1) == pytest.approx(1, abs=1e-5)
    profile = atlas.place(float(gallery.lat[777]), float(gallery.lon[777]), similar=0)
    assert profile.nearest_km == pytest.approx(0, abs=1e-6)


def test_between_places_the_nearest_ones_speak():
    lat, lon = places()
    gallery = Gallery(lat=lat, lon=lon, embeddings=embed(lat, lon), fingerprint="test")
    own = interpolate(gallery, lat[:5], lon[:5])
    assert own == pytest.approx(gallery.embeddings[:5], abs=1e-5)
    spots = np.array([[46.5, 3.0], [40.0, -4.0], [-17.2, 180.0], [-17.2, -180.0]])
    found = interpolate(gallery, *spots.T)
    assert (found * embed(*spots.T)).sum(axis=1).min() > 0.999
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-6)
    assert (found[2] == found[3]).all()


@pytest.mark.weights
def test_places_of_base_that_are_held_out_are_told_from_the_others(base_release):
    gallery = Atlas.from_release("base").gallery
    chosen = np.random.default_rng(0).choice(len(gallery), 40, replace=False)
    cosines = []
    for row in chosen:
        km = great_circle_km(gallery.lat[row], gallery.lon[row], gallery.lat, gallery.lon)
        others = np.flatnonzero(km > 10)
        rest = Gallery(gallery.lat[others], gallery.lon[others], gallery.embeddings[others], "test")
        (told,) = interpolate(rest, gallery.lat[[row]], gallery.lon[[row]])
        cosines.append(float(told @ gallery.embeddings[row]))
    assert np.median(cosines) > 0.99


@pytest.mark.weights
@pytest.mark.usefixtures("base_release")
def test_no_question_loads_an_image_tower_or_torch():
    code = (
        "import sys\nfrom whyhere.atlas import Atlas\natlas = Atlas.from_release('base')\n"
        "atlas.place(48.86, 2.35).plot().svg\natlas.map('desert').to_geojson()\n"
        "atlas.map_text('palm beach').plot().svg\natlas.compare('France', 'Spain').plot().svg\n"
        "print(sorted({'torch', 'onnxruntime', 'matplotlib', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")
