"""`whyhere explain`: in process against a small world, and once as a real process with the real release."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import jsonschema
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from whyhere import Locator
from whyhere._parts import Parts
from whyhere.alignment import LinearAlignment
from whyhere.cli import app
from whyhere.concepts import ConceptLabel
from whyhere.errors import WhyhereError
from whyhere.gallery import Gallery
from whyhere.images import PreprocessSpec
from whyhere.prediction import ReleaseCard
from whyhere.ranking import RankingConfig
from whyhere.report import explanation_schema

PLACES, DIM = 200, 8
LABELS = tuple(
    ConceptLabel(name.replace(" ", "-"), name, group, "A test.", "text")
    for name, group in (
        ("palm tree", "plants"), ("vineyard", "plants"), ("volcano", "land"), ("plain", "land"),
        ("bus", "traffic"),
    )
)  # fmt: skip


class Tower:
    image_size, dim = 224, DIM

    def embed_only(self, pixels):
        return pixels.mean(axis=(2, 3)).repeat(3, axis=1)[:, :DIM] + np.arange(DIM, dtype=np.float32)


def small_world() -> Locator:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(PLACES, 512)).astype(np.float32)
    embeddings = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    directions = np.abs(rng.normal(size=(DIM, len(LABELS)))).astype(np.float32)
    alignment = LinearAlignment(
        concept_ids=tuple(label.id for label in LABELS),
        head=rng.normal(size=(512, DIM)).astype(np.float32),
        # Photos show less than the mean of some things.
        feature_mean=np.tile([0.6, 0.0], DIM // 2).astype(np.float32),
        location_mean=embeddings.mean(axis=0),
        directions=directions / np.linalg.norm(directions, axis=0),
        scale=1.0,
        penalty=0.001,
    )
    lat, lon = rng.uniform(36, 60, PLACES), rng.uniform(-10, 30, PLACES)
    return Locator(
        Parts(
            tower=Tower(),
            preprocessing=PreprocessSpec(views=1),
            gallery=Gallery(lat=lat, lon=lon, embeddings=embeddings, fingerprint="test"),
            alignment=alignment,
            ranking=RankingConfig(temperature=0.05, cell_resolution=3, radius_km=200.0, abstain_below=0.0),
            concepts=LABELS,
            card=ReleaseCard("tiny", "1.0", "A test.", "None.", ("Made up.",), ()),
        )
    )


def photo_bytes() -> bytes:
    pixels = np.random.default_rng(2).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((300, 240), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a photo.jpg"
    path.write_bytes(photo_bytes())
    return path


@pytest.fixture
def run(monkeypatch):
    """Run the command in this process; errors of whyhere come back as what `main` makes of them."""
    loads: list[str] = []

    def load(release, **options):
        loads.append(release)
        return small_world()

    monkeypatch.setattr("whyhere.locator.Locator.from_release", load)

    def run(*arguments, stdin=None):
        result = CliRunner().invoke(app, ["explain", *map(str, arguments)], input=stdin)
        error = result.exception
        if isinstance(error, WhyhereError):
            return error.exit_code, "", str(error), loads
        assert error is None or isinstance(error, SystemExit), error
        return result.exit_code, result.stdout, result.stderr, loads

    return run


def test_the_table_answers_all_three_questions(run, photo):
    code, out, _, _ = run(photo, "--versus", "2", "--without", "volcano", "--set", "bus=1.5")
    assert code == 0
    for words in ("a photo.jpg", "tiny 1.0", "Why ", " rather than ", "What if?", "before", "not proof"):
        assert words in out
    assert "unnamed remainder" in out
    assert "bus: strength" in out


def test_json_follows_the_schema_and_adds_up(run, photo):
    code, out, _, _ = run(photo, "--format", "json", "--at", "FR", "--versus", "50,10", "--only", "land")
    data = json.loads(out)
    assert code == 0
    jsonschema.validate(data, explanation_schema())
    for place in (data["here"], data["versus"]["there"], data["intervention"]["here"]):
        total = sum(group["contribution"] for group in place["groups"]) + place["remainder"]
        assert total == pytest.approx(place["score"], abs=1e-5)
    assert data["here"]["place"]["country_code"] == "FR"
    assert data["here"]["how"] == "best in"
    assert data["intervention"]["only"] == ["land"]


def test_a_page_beside_the_table_and_a_file_by_its_suffix(run, photo, tmp_path):
    page, file = tmp_path / "why.html", tmp_path / "why.json"
    code, out, err, _ = run(photo, "--html", page, "-o", file, "--no-remainder")
    assert (code, out) == (0, "")
    assert str(page) in err
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert "data:image/jpeg;base64," in page.read_text("utf-8")
    assert "no regions in the page" in err
    assert "no regions" not in run(photo, "--html", page, "--regions", "0")[2]
    assert json.loads(file.read_text("utf-8"))["intervention"]["remainder_removed"] is True


def test_less_of_a_thing_is_called_so(run, photo, tmp_path):
    code, out, _, _ = run(photo, "--concepts", "5", "--html", tmp_path / "why.html")
    data = json.loads(run(photo, "--format", "json")[1])
    parts = [part for group in data["here"]["groups"] for part in group["concepts"]]
    less = {part["name"] for part in parts if part["strength"] < 0 and part["contribution"]}
    more = {part["name"] for part in parts if part["strength"] > 0 and part["contribution"]}
    assert code == 0
    assert less
    assert more
    page = (tmp_path / "why.html").read_text("utf-8")
    assert all(f"less {name}" in page for name in less)
    assert "Less than usual: " in out or any(f"less {name}" in out for name in less)
    for text in (out, page):
        assert not any(f"less {name}" in text for name in more)
        assert "less than usual" in text or "less of it than usual" in text


def test_with_a_region_the_answers_are_conditional_and_said_to_be(run, photo, tmp_path):
    page = tmp_path / "why.html"
    code, out, err, _ = run(photo, "--region", "FR", "--html", page)
    assert code == 0
    assert "answers only inside France; probabilities assume that the photo was taken there" in err
    assert "Only inside: France." in out
    assert "Only inside: France." in page.read_text("utf-8")
    data = json.loads(run(photo, "--region", "FR", "--at", "52.5,13.4", "--format", "json")[1])
    assert data["assumptions"]["region"] == "France"
    assert {answer["place"]["country_code"] for answer in data["answers"]} == {"FR"}
    assert (data["here"]["place"]["country_code"], data["here"]["how"]) == ("FR", "nearest")
    code, _, err, _ = run(photo, "--region", "FR", "--at", "DE")
    assert (code, "lies in Germany" in err) == (2, True)
    assert json.loads(run(photo, "--format", "json")[1])["assumptions"]["region"] is None
    assert "only inside" not in run(photo)[2]


def test_regions_without_a_page_are_said_to_do_nothing(run, photo):
    code, _, err, _ = run(photo, "--regions", "2", "--format", "json")
    assert (code, "--regions 2: only a page shows regions" in err) == (0, True)
    assert "--regions" not in run(photo, "--regions", "0")[2]
    assert "--regions" not in run(photo)[2]


def test_a_photo_from_standard_input(run):
    code, out, _, _ = run("-", "--format", "json", stdin=photo_bytes())
    assert code == 0
    assert json.loads(out)["photo"] == "-"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "volcano"], "write CONCEPT=STRENGTH"),
        (["--set", "volcano=nan"], "write CONCEPT=STRENGTH"),
        (["--set", "=1"], "write CONCEPT=STRENGTH"),
        (["--set", "bus=1", "--set", "bus=2"], "set twice"),
        (["--at", "91,0"], "outside -90 to 90"),
        (["--versus", "Xqzzyville"], "no country or town"),
        (["--region", "nowhere-land"], "nowhere-land"),
        (["--format", "kml"], "no such format"),
        (["-o", "out.kml"], "names no format"),
        (["--html", "/nowhere/at/all.html"], "cannot write"),
        (["--html", "-"], "--html -: the page goes to a file"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_model_is_loaded(run, photo, arguments, words):
    code, _, err, loads = run(photo, *arguments)
    assert code == 2
    assert words in err
    assert loads == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--without", "volcanoe"], "did you mean volcano"),
        (["--only", "volcano"], "groups: land, plants, traffic"),
        (["--without", "plants", "--only", "plants", "--no-remainder"], "nothing is left to answer from"),
        (["--versus", "1"], "the very one that is explained"),
    ],
)
def test_what_the_release_does_not_know_is_refused(run, photo, arguments, words):
    code, _, err, _ = run(photo, *arguments)
    assert code == 2
    assert words in err


def test_photos_that_cannot_be_explained(run, photo, tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    code, _, err, _ = run(tmp_path / "empty.jpg")
    assert (code, "empty.jpg" in err) == (1, True)
    (tmp_path / "empty.jpg").write_bytes(photo.read_bytes())
    code, _, err, _ = run(tmp_path)
    assert (code, "several photos" in err) == (2, True)
    code, _, err, _ = run(photo, "-o", photo)
    assert (code, "that is a photo" in err) == (2, True)


@pytest.mark.weights
def test_a_real_process_with_the_real_release(base_release, photo, tmp_path):
    command = [sys.executable, "-W", "error", "-m", "whyhere", "explain", str(photo), "--versus", "Suva"]
    command += ["--no-remainder", "--format", "json", "--html", str(tmp_path / "why.html")]
    done = subprocess.run(command, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    data = json.loads(done.stdout)
    jsonschema.validate(data, explanation_schema())
    assert data["release"].startswith("base ")
    assert data["intervention"]["remainder_removed"]
    page = (tmp_path / "why.html").read_text("utf-8")
    parts = [part for group in data["here"]["groups"] for part in group["concepts"]]
    seen = [part for part in parts if part["contribution"] > 0 and part["strength"] > 0]
    assert page.count("data:image/png;base64,") == min(3, len(seen))
    assert "no regions" not in done.stderr.decode()


def test_every_option_in_the_documentation_is_known(run):
    import re
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
    mine = "\n".join(line for line in text.splitlines() if "benchmarks/" not in line)
    options = set(re.findall(r"(--[a-z][a-z-]+)", mine))
    assert len(options) > 8
    shown = CliRunner().invoke(app, ["explain", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert {option for option in options if option not in shown} == set()
