"""Batches: files that are whole whenever a run ends, going on with one, and what is said of it."""

from __future__ import annotations

import csv
import io
import json
import logging
import signal
import sys

import pytest

from whyhere.cli import main
from whyhere.cli._locate import duration, read_done
from whyhere.errors import PhotoError, UsageError
from whyhere.geo import PlaceName
from whyhere.prediction import Answer, ConceptContribution, Prediction, ReleaseCard, SurfaceCell

CARD = ReleaseCard("tiny", "1.0", "A test.", "None.", ("Made up.",), ())
PARTS = (
    ConceptContribution("palm", "palm", "plants", 0.3),
    ConceptContribution("snow", "snow", "climate", -0.1),
)


def prediction(name: str) -> Prediction:
    answer = Answer(1, 48.86, 2.35, 25.0, 0.4, PlaceName("Paris", None, "France", "FR"), 0.3, PARTS, 0.1)
    other = Answer(2, 50.0, 3.0, 25.0, 0.1, PlaceName("Lille", None, "France", "FR"), 0.2, PARTS, 0.0)
    return Prediction(name, "tiny 1.0", False, None, (answer, other), (SurfaceCell("831fb4fffffffff", 0.4),))


class Stub:
    """A locator that answers by name, fails on names with "bad", and can be interrupted at a photo."""

    card, release = CARD, "tiny 1.0"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.interrupt_at: int | None = None
        self.interrupt_after: int | None = None

    def locate_many(self, photos, *, on_error, **options):
        for photo in photos:
            self.asked.append(photo.name)
            if len(self.asked) == self.interrupt_at:
                signal.raise_signal(signal.SIGINT)
            if "bad" in photo.name:
                on_error(PhotoError(str(photo), "not a photo"))
                continue
            yield prediction(str(photo))


@pytest.fixture
def stub():
    return Stub()


@pytest.fixture
def run(stub, monkeypatch, capsysbinary):
    monkeypatch.setattr("whyhere.locator.Locator.from_release", lambda *_, **options: stub)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["whyhere", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        out, err = capsysbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


def photos(count: int) -> list[str]:
    return [f"p{number}.jpg" for number in range(count)]


READ = {
    "json": lambda text: [p["photo"] for p in json.loads(text)],
    "jsonl": lambda text: [json.loads(line)["photo"] for line in text.splitlines()],
    "csv": lambda text: list(dict.fromkeys(r["photo"] for r in csv.DictReader(io.StringIO(text)))),
    "geojson": lambda text: list(
        dict.fromkeys(f["properties"]["photo"] for f in json.loads(text)["features"])
    ),
    "kml": lambda text: [
        f"p{n}.jpg" for n in range(10) if f"<name>p{n}.jpg</name>" in text and "</kml>" in text
    ],
    "gpx": lambda text: [f"p{n}.jpg" for n in range(10) if f"p{n}.jpg\n" in text and "</gpx>" in text],
    "html": lambda text: [f"p{n}.jpg" for n in range(10) if f"p{n}.jpg" in text and "</html>" in text],
    "txt": lambda text: [f"p{n}.jpg" for n in range(10) if f"p{n}.jpg" in text and "hypotheses" in text],
}


@pytest.mark.parametrize("suffix", READ)
def test_an_interrupted_run_leaves_a_whole_file(run, stub, tmp_path, suffix):
    stub.interrupt_at = 4
    out = tmp_path / f"out.{suffix}"
    code, printed, said = run("locate", *photos(9), "-o", out)
    assert (code, printed) == (130, "")
    assert "interrupted: 3 located" in said
    assert READ[suffix](out.read_text("utf-8")) == photos(3)
    assert list(tmp_path.iterdir()) == [out]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interruption_before_the_first_answer_keeps_the_old_file(run, stub, tmp_path):
    stub.interrupt_at = 1
    out = tmp_path / "out.json"
    out.write_text("before")
    assert run("locate", *photos(3), "-o", out)[0] == 130
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_an_interrupted_run_on_standard_output_ends_its_document(run, stub):
    stub.interrupt_at = 3
    code, printed, _ = run("locate", *photos(9), "--format", "geojson")
    assert code == 130
    assert READ["geojson"](printed) == photos(2)


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "geojson", "kml", "gpx"])
def test_the_file_is_there_and_whole_while_the_run_goes_on(run, stub, tmp_path, suffix):
    out, seen = tmp_path / f"out.{suffix}", []
    answers = stub.locate_many

    def watched(sources, **options):
        for one in answers(sources, **options):
            seen.append(READ[suffix](out.read_text("utf-8")) if out.exists() else [])
            yield one

    stub.locate_many = watched
    assert run("locate", *photos(5), "-o", out)[0] == 0
    late = 1 if suffix == "json" else 0  # one photo behind
    assert seen == [photos(max(count - late, 0)) for count in range(5)]
    assert READ[suffix](out.read_text("utf-8")) == photos(5)


@pytest.mark.parametrize("format", ["jsonl", "csv"])
@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_run_is_gone_on_with(run, stub, tmp_path, format, cut):
    whole, out = tmp_path / f"whole.{format}", tmp_path / f"out.{format}"
    assert run("locate", *photos(6), "-o", whole)[0] == 0
    run("locate", *photos(3), "-o", out)
    if cut:  # as a run leaves it that is killed while it writes
        out.write_bytes(out.read_bytes()[:-cut])
    stub.asked.clear()
    code, _, said = run("locate", *photos(6), "-o", out, "--resume")
    assert code == 0
    assert out.read_bytes() == whole.read_bytes()
    assert stub.asked == photos(6)[2 if cut else 3 :]
    assert f"{4 if cut else 3} located, {2 if cut else 3} already there" in said


def test_what_could_not_be_read_is_tried_again(run, stub, tmp_path):
    out = tmp_path / "out.jsonl"
    names = ["p0.jpg", "bad.jpg", "p1.jpg"]
    code, _, said = run("locate", *names, "-o", out)
    assert code == 1
    assert "2 located, 1 unreadable, " in said.splitlines()[-1]
    stub.asked.clear()
    assert run("locate", *names, "-o", out, "--resume")[0] == 1
    assert stub.asked == ["bad.jpg"]
    assert READ["jsonl"](out.read_text()) == ["p0.jpg", "p1.jpg"]


def test_resume_without_a_file_starts_one(run, tmp_path):
    out = tmp_path / "out.jsonl"
    assert run("locate", "p0.jpg", "-o", out, "--resume")[0] == 0
    assert READ["jsonl"](out.read_text()) == ["p0.jpg"]


def test_resume_refuses_what_it_cannot_go_on_with(run, stub, tmp_path):
    out = tmp_path / "out.jsonl"
    for name, text in (
        ("a.jsonl", '{"no": 1}\n'),
        ("b.jsonl", "[]\n"),
        ("c.csv", "photo,lat\na,1\n"),
        ("d.csv", "x\n\n"),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(UsageError, match="name another file"):
            read_done(path, path.suffix[1:])
        assert path.read_text() == text
    code, _, said = run("locate", "p0.jpg", "-o", tmp_path / "x.kml", "--resume")
    assert code == 2
    assert "--resume needs --output FILE" in said
    assert run("locate", "p0.jpg", "--format", "jsonl", "--resume")[0] == 2
    run("locate", "p0.jpg", "-o", out)
    stub.release = "tiny 2.0"
    code, _, said = run("locate", "p1.jpg", "-o", out, "--resume")
    assert code == 2
    assert "answers of tiny 1.0" in said
    assert READ["jsonl"](out.read_text()) == ["p0.jpg"]


def test_circles_and_surface_are_written_where_they_can_be(run, tmp_path):
    text = run("locate", "p0.jpg", "--format", "geojson", "--circles", "--surface")[1]
    kinds = [feature["properties"]["kind"] for feature in json.loads(text)["features"]]
    assert kinds == ["answer", "radius", "answer", "radius", "cell"]
    code, _, said = run("locate", "p0.jpg", "--format", "csv", "--surface")
    assert code == 2
    assert "geojson and kml" in said


@pytest.mark.parametrize("where", ["before", "behind"])
def test_quiet_prints_errors_and_nothing_else(run, tmp_path, where):
    arguments = ["locate", "p0.jpg", "bad.jpg", "p1.jpg", "--format", "jsonl"]
    code, printed, said = run(*(["-q", *arguments] if where == "before" else [*arguments, "-q"]))
    assert code == 1
    assert len(printed.splitlines()) == 2
    assert said == "whyhere: bad.jpg: not a photo\n"
    assert "2 located, 1 unreadable" in run(*arguments)[2]


def test_one_photo_needs_no_summary(run):
    assert run("locate", "p0.jpg", "--format", "jsonl")[2] == ""


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (89, "89 s"), (179, "3 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations_are_said_as_people_do(seconds, said):
    assert duration(seconds) == said


@pytest.fixture
def _logging_as_before():
    logger = logging.getLogger("whyhere")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.usefixtures("_logging_as_before")
@pytest.mark.parametrize(("option", "lines"), [("-v", ["info"]), ("-vv", ["info", "debug"]), ("-q", [])])
def test_verbose_shows_the_log_and_quiet_does_not(run, stub, option, lines):
    answers = stub.locate_many

    def logged(sources, **options):
        logging.getLogger("whyhere.locator").info("an info line")
        logging.getLogger("whyhere.locator").debug("a debug line")
        return answers(sources, **options)

    stub.locate_many = logged
    _, _, said = run("locate", "p0.jpg", "--format", "jsonl", option)
    assert [level for level in ("info", "debug") if f"{level} line" in said] == lines


def test_h_is_help_and_completion_is_offered(run):
    code, printed, _ = run("-h")
    assert code == 0
    assert "--install-completion" in printed
    code, printed, _ = run("locate", "-h")
    assert code == 0
    assert "--resume" in printed
