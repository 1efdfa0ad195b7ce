"""Positions as people have them: from maps, cameras, gazetteers and links."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

from whyhere.errors import UsageError
from whyhere.geo._sphere import LatLon

POSITIONS = (
    "48.8582, 2.2945 or 48.8582N 2.2945E or 48\N{DEGREE SIGN}51'29.6\"N 2\N{DEGREE SIGN}17'40.2\"E or "
    "geo:48.8582,2.2945 or a link to OpenStreetMap, Google, Bing or Apple maps"
)
"""Examples of what `read_position` understands, for messages."""

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"  # one way to read any text: else matching takes for ever
_LONGEST, _LONGEST_LINK = 120, 4000  # characters; what is longer is no position
_SIGNED = rf"[-+]?{_NUMBER}"
_ANGLE = re.compile(
    rf"(?P<before>[NSEW])?\s*(?P<sign>[-+])?\s*(?P<degrees>{_NUMBER})\s*[\N{{DEGREE SIGN}}:]?"
    rf"(?:\s*(?P<minutes>{_NUMBER})\s*[':]?(?:\s*(?P<seconds>{_NUMBER})\s*\"?)?)?\s*(?P<after>[NSEW])?",
    re.ASCII,
)
_PAIR = re.compile(rf"\s*({_SIGNED})\s*,\s*({_SIGNED})\s*", re.ASCII)
_COMMAS = re.compile(r"[-+]?\d+,\d+(?:\s*;\s*|,?\s+)[-+]?\d+,\d+", re.ASCII)
_ISO_6709 = re.compile(r"([-+]\d{2}(?:\.\d+)?)([-+]\d{3}(?:\.\d+)?)(?:[-+]\d+(?:\.\d+)?)?/?", re.ASCII)
_GEO = re.compile(rf"geo:\s*({_SIGNED}),({_SIGNED})(?:,{_SIGNED})?(?:[;?].*)?", re.ASCII | re.IGNORECASE)
_ONLY = re.compile(r"[-+\d.,;:/'\"\N{DEGREE SIGN}NSEW\s]+", re.ASCII)
_LABEL = re.compile(r"\b(LATITUDE|LAT|LONGITUDE|LONG|LON|LNG)\b\s*[:=]?\s*", re.ASCII)
_SPELLINGS = (
    (re.compile(r"[\u2212\u2010\u2011\u2013]"), "-"),
    (re.compile(r"[\u00a0\u2007\u2009\u202f]"), " "),
    (re.compile(r"[\u00ba\u02da]|\s*\bDEG(?:REES?|S?)\b\.?|(?<=\d)DEG"), "\N{DEGREE SIGN}"),
    (re.compile(r"[\u2032\u2018\u2019\u00b4\u02b9`]"), "'"),
    (re.compile(r"''|[\u2033\u201c\u201d\u02ba\u3003]"), '"'),
)
_HOSTS = (
    r"(?:[\w-]+\.)*(?:openstreetmap\.org|osm\.org|google(?:\.[a-z]{2,3}){1,2}|apple\.com|bing\.com|goo\.gl)"
)
_LINK = re.compile(rf"https?://\S+|{_HOSTS}/\S*", re.IGNORECASE)
# Where links keep a position, the surest first: a marker or a searched place before the middle of the screen.
_IN_PATH = (
    re.compile(rf"!3d({_SIGNED})!4d({_SIGNED})", re.ASCII),
    re.compile(rf"/(?:place|search|dir/)/?({_SIGNED}),\+?\s*({_SIGNED})(?=[/?#]|$)", re.ASCII),
    re.compile(rf"[/@]@?({_SIGNED}),({_SIGNED})(?:,[\d.]+[zma])", re.ASCII),
    re.compile(rf"#?map=[\d.]+/({_SIGNED})/({_SIGNED})", re.ASCII),
)
_PAIRS = ("q", "query", "ll", "sll", "coordinate", "center", "destination", "daddr")


def read_position(text: str) -> LatLon | None:
    r"""Read a position as copied from a map, a camera, a gazetteer or a link; links are not opened.

    Latitude comes first unless letters or words say otherwise. Understood are decimal degrees with point or
    comma; degrees, minutes and seconds, with signs, words or spaces between; hemispheres as signs or letters;
    ISO 6709; `geo:` (RFC 5870); and links that hold a position.

    Args:
        text: What was written.

    Returns:
        The position; None where the text is no position at all, such as the name of a town.

    Raises:
        UsageError: It is a position, but none on Earth, or contradicts itself; or a link that holds none.

    Example:
        >>> read_position("48 deg 30' 0.00\" N, 2 deg 15' 0.00\" E")
        LatLon(lat=48.5, lon=2.25)
    """
    text = text.strip()
    if len(text) > _LONGEST_LINK:
        return None
    if found := _GEO.fullmatch(text):
        return _position(float(found[1]), float(found[2]), text)
    if _LINK.fullmatch(text):
        return _in_link(text)
    if len(text) > _LONGEST:
        return None
    plain = text.upper()
    for spelling, sign in _SPELLINGS:
        plain = spelling.sub(sign, plain)
    labels = [label[:2] for label in _LABEL.findall(plain)]
    plain = _LABEL.sub("", plain).strip(" ()[]")
    if labels not in ([], ["LA", "LO"], ["LO", "LA"]) or not _ONLY.fullmatch(plain):
        return None
    if found := _ISO_6709.fullmatch(plain):
        return _position(float(found[1]), float(found[2]), text)
    if _COMMAS.fullmatch(plain) or (";" in plain and "." not in plain):
        plain = plain.replace(",", ".") if ";" in plain else re.sub(r",(?=\d)", ".", plain).replace(",", " ")
    halves = _halves(plain)
    angles = [_ANGLE.fullmatch(half.strip()) for half in halves]
    if len(angles) != 2 or None in angles:
        return None
    (first, axis), (second, other) = (_degrees(angle, text) for angle in angles if angle is not None)
    if (axis is None) != (other is None) or (axis is not None and axis == other):
        raise UsageError(f"{text[:60]!r}: give a latitude, N or S, and a longitude, E or W")
    swapped = axis == "EW" or labels == ["LO", "LA"]
    return _position(*((second, first) if swapped else (first, second)), text)


def _halves(plain: str) -> list[str]:
    """Split a text in two coordinates: by letters, else by a separator, else by a second degree sign."""
    letters = [match.start() for match in re.finditer("[NSEW]", plain)]
    if len(letters) == 2:
        cut = letters[1] if letters[0] == 0 else letters[0] + 1
        return [part.strip(" ,;/") for part in (plain[:cut], plain[cut:])]
    for separator in (";", ",", "/", None):
        parts = [part for part in plain.split(separator) if part.strip()]
        if len(parts) == 2:
            return parts
    degrees = [match.start() for match in re.finditer(rf"{_SIGNED}\s*\N{{DEGREE SIGN}}", plain)]
    return [plain[: degrees[1]], plain[degrees[1] :]] if len(degrees) == 2 else [plain]


def _degrees(angle: re.Match[str], text: str) -> tuple[float, str | None]:
    """Return the degrees of one coordinate, and its axis ("NS" or "EW") where a letter tells it."""
    parts = [angle[name] for name in ("degrees", "minutes", "seconds") if angle[name] is not None]
    if any("." in part for part in parts[:-1]):
        raise UsageError(f"{text[:60]!r}: only the last of degrees, minutes and seconds may have decimals")
    if any(float(part) >= 60 for part in parts[1:]):
        raise UsageError(f"{text[:60]!r}: minutes and seconds lie below 60")
    value = sum(float(part) / 60**power for power, part in enumerate(parts))
    letters = [letter for letter in (angle["before"], angle["after"]) if letter]
    if len(letters) > 1 or (letters and angle["sign"]):
        raise UsageError(f"{text[:60]!r}: say the hemisphere once, by a sign or by a letter")
    if letters:
        return (-value if letters[0] in "SW" else value), "NS" if letters[0] in "NS" else "EW"
    return (-value if angle["sign"] == "-" else value), None


def _in_link(text: str) -> LatLon:
    _, _, query = text.partition("?")
    fields = dict(parse_qsl(query.partition("#")[0]))
    pairs = [(fields.get("mlat", ""), fields.get("mlon", ""))]
    whole = unquote(text)
    pairs += [(found[1], found[2]) for pattern in _IN_PATH[:2] if (found := pattern.search(whole))]
    values = [fields[name] for name in _PAIRS if name in fields] + [fields.get("cp", "").replace("~", ",")]
    pairs += [
        (found[1], found[2]) for value in values if (found := _PAIR.fullmatch(value.removeprefix("loc:")))
    ]
    pairs += [(found[1], found[2]) for pattern in _IN_PATH[2:] if (found := pattern.search(whole))]
    pairs += [(fields.get("lat", ""), fields.get("lon", ""))]
    for lat, lon in pairs:
        if re.fullmatch(_SIGNED, lat, re.ASCII) and re.fullmatch(_SIGNED, lon, re.ASCII):
            return _position(float(lat), float(lon), text)
    raise UsageError(
        f"{text[:120]}: this link holds no position, and whyhere opens no links; copy the coordinates instead"
    )


def _position(lat: float, lon: float, text: str) -> LatLon:
    try:
        return LatLon(lat, lon)
    except ValueError as error:
        raise UsageError(f"{text[:60]!r}: {error}") from error
