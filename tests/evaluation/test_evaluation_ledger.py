"""A run goes on from wherever it was killed: nothing is computed twice, lost or doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stub_locator import RUN, StubLocator, benchmark_of

from whyhere.errors import UsageError
from whyhere.evaluation import Guess, SystemPrediction, open_ledger, photos_of, predict, read_predictions

SCRIPT = Path(__file__).with_name("stub_locator.py")


@pytest.fixture
def folder(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(40):
        colour = tuple(rng.integers(0, 256, 3).tolist())
        Image.new("RGB", (8, 8), colour).save(tmp_path / "photos" / f"{number:02}.png")
    return tmp_path / "photos"


def whole_lines(out: Path) -> list[str]:
    path = out / "predictions.jsonl"
    data = path.read_bytes() if path.exists() else b""
    return [json.loads(line)["photo"] for line in data.split(b"\n")[:-1]]


def located(folder: Path, ledger=None, **options):
    benchmark, files = photos_of(benchmark_of(folder), folder)
    predictions, _ = predict(StubLocator(**options), benchmark, files, ledger=ledger)
    return [(p.photo, p.guesses, p.abstained) for p in predictions]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_anywhere_and_run_again(folder, tmp_path):
    out, notes = tmp_path / "out", tmp_path / "notes"
    command = [sys.executable, str(SCRIPT), str(folder), str(out), str(notes), "0.01"]
    kills = 0
    for after in (0, 1, 6, 13, 14, 30):
        before = whole_lines(out)
        seen = len(notes.read_text().splitlines()) if notes.exists() else 0
        process = subprocess.Popen(command)
        started = time.monotonic()
        while process.poll() is None and len(whole_lines(out)) < min(after, 39):
            assert time.monotonic() - started < 120
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        looked_at = notes.read_text().splitlines()[seen:] if notes.exists() else []
        assert not set(looked_at) & set(before)  # what was on disk is not computed again
        assert set(before) <= set(whole_lines(out))  # and not lost
    assert kills == 6
    assert 30 <= len(whole_lines(out)) < 40
    subprocess.run(command, check=True)
    assert sorted(whole_lines(out)) == sorted(path.name for path in folder.iterdir())
    with open_ledger(out, RUN) as ledger:
        resumed = located(folder, ledger, note=lambda name: pytest.fail(f"{name} was computed again"))
    assert resumed == located(folder)
    # At most the photo in work is lost with each kill.
    assert len(notes.read_text().splitlines()) <= 40 + kills


def test_a_line_cut_anywhere_is_dropped_and_the_rest_kept(folder, tmp_path):
    with open_ledger(tmp_path / "out", RUN) as ledger:
        located(folder, ledger)
    path = tmp_path / "out" / "predictions.jsonl"
    data = path.read_bytes()
    start = data[:-1].rfind(b"\n") + 1
    middle = range(start + 10, len(data) - 10, 37)
    for cut in (*range(start, start + 10), *middle, *range(len(data) - 10, len(data))):
        path.write_bytes(data[:cut])
        with open_ledger(tmp_path / "out", RUN) as ledger:
            assert ledger.get("39.png", size=1) is None
            assert ledger.get("38.png", size=(folder / "38.png").stat().st_size) is not None
        assert path.read_bytes() == data[:start]


def test_damage_in_the_middle_costs_only_those_photos(folder, tmp_path):
    with open_ledger(tmp_path / "out", RUN) as ledger:
        located(folder, ledger)
    path = tmp_path / "out" / "predictions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b"\x00" * 50 + b"\n"
    lines[5] = lines[4]
    path.write_bytes(b"".join(lines))
    computed: list[str] = []
    with open_ledger(tmp_path / "out", RUN) as ledger:
        assert located(folder, ledger, note=computed.append) == located(folder)
    assert [Path(name).name for name in computed] == ["03.png", "05.png"]
    assert sorted(whole_lines(tmp_path / "out")) == sorted(p.name for p in folder.iterdir())


def test_a_photo_that_changed_is_computed_again(folder, tmp_path):
    with open_ledger(tmp_path / "out", RUN) as ledger:
        located(folder, ledger)
    Image.new("RGB", (64, 8), (255, 0, 0)).save(folder / "07.png")
    computed: list[str] = []
    for _ in range(2):
        with open_ledger(tmp_path / "out", RUN) as ledger:
            assert located(folder, ledger, note=computed.append) == located(folder)
    assert [Path(name).name for name in computed] == ["07.png"]
    assert len(whole_lines(tmp_path / "out")) == 40  # the older line went away


def test_another_release_or_other_options_are_refused(tmp_path):
    with open_ledger(tmp_path, RUN):
        pass
    match = r"another run \(fingerprint 'abc', now 'xyz', top 5, now 3\); choose another folder"
    with (
        pytest.raises(UsageError, match=match),
        open_ledger(tmp_path, {**RUN, "fingerprint": "xyz", "top": 3}),
    ):
        pass
    with open_ledger(tmp_path, RUN):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_run_file_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match="another run"), open_ledger(tmp_path, RUN):
        pass


def test_predictions_of_unknown_making_are_refused(tmp_path):
    (tmp_path / "predictions.jsonl").write_text("")
    with pytest.raises(UsageError, match=r"without the run\.json"), open_ledger(tmp_path, RUN):
        pass


def test_two_at_once_are_refused(tmp_path):
    with open_ledger(tmp_path, RUN):
        code = (
            "from pathlib import Path; from whyhere.evaluation import open_ledger\n"
            f"with open_ledger(Path({str(tmp_path)!r}), {RUN!r}): pass\n"
        )
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "UsageError" in other.stderr
    assert "another whyhere evaluate is writing there" in other.stderr


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write there"), open_ledger(tmp_path / "file" / "out", RUN):
        pass


def test_the_ledger_is_a_file_of_predictions(tmp_path):
    prediction = SystemPrediction(
        "é\ud800.jpg", (Guess(1.0, 2.0, probability=0.5),), False, 0.25, None, "x 1"
    )
    with open_ledger(tmp_path, RUN) as ledger:
        ledger.add(prediction, size=3)
    assert read_predictions(tmp_path / "predictions.jsonl").predictions == (prediction,)


def test_unreadable_photos_are_problems_and_never_shift_the_answers(folder, tmp_path):
    for name in ("00.png", "04.png", "05.png", "11.png", "38.png", "39.png"):
        (folder / name).write_bytes(b"not a photo")
    benchmark, files = photos_of(benchmark_of(folder), folder)
    reported, steps = [], []
    predictions, scored = predict(
        StubLocator(),
        benchmark,
        files,
        on_error=reported.append,
        progress=lambda done, total: steps.append((done, total)),
    )
    bad = ["00.png", "04.png", "05.png", "11.png", "38.png", "39.png"]
    assert [problem.photo for problem in reported] == bad
    assert [(p.kind, p.photo) for p in scored.problems] == [("unreadable photo", name) for name in bad]
    assert [q.photo for q in scored.queries] == [p.photo for p in predictions]
    assert len(predictions) == 34
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == ((0, 40), (40, 40))
    for prediction in predictions:
        red = np.asarray(Image.open(folder / prediction.photo), np.float64)[0, 0, 0]
        assert prediction.guesses[0].lat == pytest.approx(red / 255 * 170 - 85)


def test_missing_photos_are_problems(folder):
    benchmark = benchmark_of(folder)
    (folder / "03.png").unlink()
    kept, files = photos_of(benchmark, folder)
    assert [(p.kind, p.photo, p.line) for p in kept.problems] == [("missing photo", "03.png", 1)]
    assert "03.png" not in files
    assert len(kept.queries) == 39
    with pytest.raises(UsageError, match="there is no such folder"):
        photos_of(benchmark, folder / "none")
    (folder / "empty").mkdir()
    with pytest.raises(UsageError, match=r"none of the 40 photos of stub is there; .* '00\.png'"):
        photos_of(benchmark, folder / "empty")
