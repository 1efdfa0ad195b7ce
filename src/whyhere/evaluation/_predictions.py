"""What any system answered, in one form: read from JSON lines, made from a `Prediction`, or kept in a ledger.

The ledger of a run is on disk as answers come, so that a run that ends anywhere goes on from there.
`predictions.jsonl` is a file of predictions like any other (`read_predictions` reads it), one appended line a
photo. `run.json` says what made it; another release or other options never add to it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from whyhere._io import exclusive, plain, write_atomically
from whyhere._record import Record
from whyhere.errors import MissingFileError, UsageError
from whyhere.geo import LatLon
from whyhere.prediction import Prediction
from whyhere.tables import Problem

LEDGER_FILE = "predictions.jsonl"
RUN_FILE = "run.json"
_LOCK_FILE = ".lock"


class Guess(Record, frozen=True):
    """One place that a system named; None for what it does not say.

    Attributes:
        lat: Latitude in degrees.
        lon: Longitude in degrees.
        probability: What it says the probability is that the truth lies within `radius_km`.
        confidence: What it says its confidence is, 1 (least) to 5.
        radius_km: Radius that the probability speaks of.
        country: Country, by name or code.
        region: First-level unit.
        city: City.
    """

    lat: float | None = None
    lon: float | None = None
    probability: float | None = None
    confidence: float | None = None
    radius_km: float | None = None
    country: str | None = None
    region: str | None = None
    city: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is known as a plain dictionary; `lat` and `lon` always."""
        values = super().to_dict().items()
        return {name: value for name, value in values if value is not None or name in ("lat", "lon")}


class SystemPrediction(Record, frozen=True):
    """What a system said about one photo.

    Attributes:
        photo: The photo as the system named it.
        guesses: Places, the likeliest first; empty where it gave none.
        abstained: Whether it said that no place stands out; None where it does not say.
        seconds: Wall-clock time it took, or None.
        reasoning: Its words, or None; kept, never scored.
        system: Name of the system, or None.
    """

    photo: str
    guesses: tuple[Guess, ...]
    abstained: bool | None = None
    seconds: float | None = None
    reasoning: str | None = None
    system: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as `read_predictions` reads it, a line of JSON lines."""
        names = ("photo", "system", "abstained", "seconds", "reasoning")
        known = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {**known, "answers": [guess.to_dict() for guess in self.guesses]}


def system_prediction(
    prediction: Prediction, *, photo: str | None = None, seconds: float | None = None
) -> SystemPrediction:
    """Turn a `Prediction` into the form that all systems are scored in.

    Args:
        prediction: The prediction.
        photo: Name of the photo in the benchmark; the prediction's by default.
        seconds: Wall-clock time it took.
    """
    guesses = tuple(
        Guess(
            lat=answer.lat,
            lon=answer.lon,
            probability=answer.probability,
            radius_km=answer.radius_km,
            country=answer.place.country_code,
            region=answer.place.admin1,
            city=answer.place.name,
        )
        for answer in prediction.answers
    )
    name = prediction.photo if photo is None else photo
    return SystemPrediction(name, guesses, prediction.abstained, seconds, None, prediction.release)


class PredictionFile(Record, frozen=True):
    """Predictions read from a file.

    Attributes:
        name: Name of the system, from the predictions, else from the file.
        predictions: One a usable line.
        problems: Lines and values that could not be used.
    """

    name: str
    predictions: tuple[SystemPrediction, ...]
    problems: tuple[Problem, ...]


def read_predictions(path: str | os.PathLike[str]) -> PredictionFile:
    """Read the predictions of any system from JSON lines.

    Each line is an object with `photo` and one place (`lat`, `lon` in degrees) or several (`answers`, a list
    of such places, the likeliest first). A place may have `probability` (0 to 1, with `radius_km`),
    `confidence` (1 to 5), `country`, `region` and `city`; the line `abstained`, `seconds`, `reasoning` and
    `system`. What `whyhere locate --format jsonl` writes is read too. Numbers may be written as strings.

    Values that make no sense are left out, lines that make none as well; both are kept as problems.

    Args:
        path: The file, UTF-8.

    Raises:
        MissingFileError: There is no such file.
        UsageError: No line of it can be used.
    """
    path = Path(path)
    predictions: list[SystemPrediction] = []
    problems: list[Problem] = []
    for line, text in _lines(path):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            problems.append(Problem("bad line", line, None, "it is not JSON"))
            continue
        complaints: list[str] = []
        parsed = parse_prediction(value, complaints)
        if isinstance(parsed, str):
            problems.append(Problem("bad line", line, None, parsed))
            continue
        predictions.append(parsed)
        problems += [Problem("bad value", line, parsed.photo, complaint) for complaint in complaints]
    if not predictions:
        why = f"; line {problems[0].line}: {problems[0].reason}" if problems else "; it is empty"
        raise UsageError(
            f"{path}: no prediction in it: expected JSON lines, each an object such as "
            f'{{"photo": "a.jpg", "lat": 48.86, "lon": 2.29}}{why}'
        )
    names = {prediction.system for prediction in predictions if prediction.system}
    return PredictionFile(names.pop() if len(names) == 1 else path.stem, tuple(predictions), tuple(problems))


def predictions_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one line of a file of predictions.

    Reading is more lenient: numbers may be strings, and what does not fit is left out and reported.
    """
    text = files("whyhere.evaluation").joinpath("predictions.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank; bytes that are not UTF-8 become U+FFFD and spoil one line only."""
    try:
        with plain(path).open("rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace").strip()
                if text:
                    yield number, text
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: there is no such file of predictions") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error


def parse_prediction(value: object, complaints: list[str]) -> SystemPrediction | str:
    """Turn the object of one line into a prediction.

    Args:
        value: Parsed JSON.
        complaints: Receives a sentence for every value that was left out.

    Returns:
        The prediction, or what is wrong with the whole line.
    """
    if not isinstance(value, dict):
        return "it is not an object"
    photo = value.get("photo")
    if isinstance(photo, int) and not isinstance(photo, bool):
        photo = str(photo)  # ids of Flickr and OSV-5M are numbers
    if not isinstance(photo, str) or not photo.strip():
        return 'it has no "photo", the name of the photo'
    answers = value.get("answers")
    if answers is None:
        has_place = any(value.get(name) is not None for name in ("lat", "lon", "country", "region", "city"))
        answers = [value] if has_place else []
    elif not isinstance(answers, list):
        complaints.append("answers must be a list")
        answers = []
    guesses = []
    for answer in answers:
        if isinstance(answer, dict):
            guesses.append(_guess(answer, complaints))
        else:
            complaints.append("an answer must be an object")
    abstained = value.get("abstained")
    if abstained is not None and not isinstance(abstained, bool):
        complaints.append("abstained must be true or false")
        abstained = None
    return SystemPrediction(
        photo,
        tuple(guesses),
        abstained,
        _number(value, "seconds", complaints, low=0.0, high=1e9),
        _text(value, "reasoning", complaints),
        _text(value, "system", complaints) or _text(value, "release", complaints),
    )


def _guess(value: Mapping[str, Any], complaints: list[str]) -> Guess:
    lat = _number(value, "lat", complaints, low=-90.0, high=90.0)
    lon = _number(value, "lon", complaints, low=-360.0, high=360.0)
    if (lat is None) != (lon is None):
        lat = lon = None
    place = value.get("place")
    named = place if isinstance(place, dict) else {}  # whyhere's own form
    return Guess(
        lat=lat,
        lon=None if lat is None or lon is None else LatLon(lat, lon).lon,
        probability=_number(value, "probability", complaints, low=0.0, high=1.0),
        confidence=_number(value, "confidence", complaints, low=1.0, high=5.0),
        radius_km=_number(value, "radius_km", complaints, low=1e-3, high=20_100.0),
        country=_text(value, "country", complaints) or _text(named, "country_code", complaints),
        region=_text(value, "region", complaints) or _text(named, "admin1", complaints),
        city=_text(value, "city", complaints) or _text(named, "name", complaints),
    )


def _number(
    value: Mapping[str, Any], name: str, complaints: list[str], *, low: float, high: float
) -> float | None:
    given = value.get(name)
    if given is None or given == "":
        return None
    try:
        number = math.nan if isinstance(given, (bool, list, dict)) else float(given)
    except (ValueError, OverflowError):
        number = math.nan
    if low <= number <= high:
        return number
    swapped = "; are latitude and longitude swapped?" if name == "lat" and abs(number) <= 360.0 else ""
    complaints.append(f"{name} must be a number from {low:g} to {high:g}, not {str(given)[:40]!r}{swapped}")
    return None


def _text(value: Mapping[str, Any], name: str, complaints: list[str]) -> str | None:
    given = value.get(name)
    if given is None:
        return None
    if isinstance(given, str):
        return given.strip() or None
    complaints.append(f"{name} must be text, not {str(given)[:40]!r}")
    return None


class Ledger:
    """Predictions of one run; `open_ledger` makes one.

    Each line is written by one call and counts once its newline is there: what a killed process leaves behind
    is a shorter line, which is dropped.
    """

    def __init__(self, path: Path, records: dict[str, tuple[int, SystemPrediction]]) -> None:
        self._records = records
        self._handle = os.open(
            path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644
        )

    def get(self, photo: str, *, size: int) -> SystemPrediction | None:
        """Return what was answered for a photo, or None.

        Args:
            photo: Name of the photo in the benchmark.
            size: Size of its file now, in bytes: where it differs, the photo is another one.
        """
        known = self._records.get(photo)
        return known[1] if known and known[0] == size else None

    def add(self, prediction: SystemPrediction, *, size: int) -> None:
        """Append the answer for a photo; a later line for the same photo counts instead of an earlier one."""
        line = json.dumps({**prediction.to_dict(), "bytes": size}, allow_nan=False) + "\n"
        data = line.encode()
        while data:
            data = data[os.write(self._handle, data) :]
        self._records[prediction.photo] = (size, prediction)

    def close(self) -> None:
        """Make sure that everything is on disk, and close the file."""
        os.fsync(self._handle)
        os.close(self._handle)


@contextmanager
def open_ledger(folder: Path, run: Mapping[str, Any]) -> Iterator[Ledger]:
    """Open the ledger in a folder for writing, and go on where an earlier run ended.

    Args:
        folder: Output folder; made where absent.
        run: What makes the predictions: JSON values, release and options. Must be the same as before.

    Raises:
        UsageError: The folder holds the predictions of another run, another process is writing to it, or it
            cannot be written.
    """

    def busy() -> None:
        raise UsageError(f"--out {folder}: another whyhere evaluate is writing there; wait for it to end")

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / _LOCK_FILE, waiting=busy):
            _check_run(folder, run)
            records = _load(folder / LEDGER_FILE)
            ledger = Ledger(folder / LEDGER_FILE, records)
            try:
                yield ledger
            finally:
                ledger.close()
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot write there: {error.strerror or error}") from error


def _check_run(folder: Path, run: Mapping[str, Any]) -> None:
    """Compare with what made the ledger, or write it down before the first prediction."""
    wanted = json.loads(json.dumps(dict(run)))
    path = folder / RUN_FILE
    try:
        known = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        known = None
    except ValueError:
        known = {}
    if known is None:
        if (folder / LEDGER_FILE).exists():
            raise UsageError(
                f"--out {folder}: holds {LEDGER_FILE} without the {RUN_FILE} that says what made it; "
                "choose another folder"
            )
        write_atomically(path, json.dumps(wanted, indent=2, sort_keys=True) + "\n")
    elif known != wanted:
        known = known if isinstance(known, dict) else {}
        names = sorted(name for name in {*known, *wanted} if known.get(name) != wanted.get(name))
        was = ", ".join(f"{name} {known.get(name)!r}, now {wanted.get(name)!r}" for name in names)
        raise UsageError(
            f"--out {folder}: holds predictions of another run ({was}); choose another folder, or delete it"
        )


def _load(path: Path) -> dict[str, tuple[int, SystemPrediction]]:
    """Read the whole lines; where others are among them, rewrite the file without those."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    records: dict[str, tuple[int, SystemPrediction]] = {}
    kept: dict[str, bytes] = {}
    for line in lines[:-1]:  # what follows the last newline was not written to its end
        parsed = _parsed(line)
        if parsed is not None:
            records[parsed[1].photo] = parsed
            kept[parsed[1].photo] = line
    if len(kept) != len(lines) - 1 or lines[-1]:
        write_atomically(path, b"".join(line + b"\n" for line in kept.values()))
    return records


def _parsed(line: bytes) -> tuple[int, SystemPrediction] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    complaints: list[str] = []
    prediction = parse_prediction(value, complaints)
    if isinstance(prediction, str) or complaints or not isinstance(value.get("bytes"), int):
        return None
    return value["bytes"], prediction
