"""Benchmark tables: layouts are recognised, bad rows named with their lines, swapped columns refused."""

from __future__ import annotations

import contextlib
import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from whyhere.errors import MissingFileError, UsageError
from whyhere.evaluation import parse_columns, read_benchmark

CITIES = {
    "paris": (48.857, 2.352, "FR"),
    "berlin": (52.52, 13.405, "DE"),
    "madrid": (40.417, -3.704, "ES"),
    "rome": (41.9, 12.5, "IT"),
    "cairo": (30.044, 31.236, "EG"),
    "nairobi": (-1.286, 36.817, "KE"),
    "lagos": (6.455, 3.394, "NG"),
    "warsaw": (52.23, 21.01, "PL"),
    "athens": (37.984, 23.728, "GR"),
    "oslo": (59.913, 10.752, "NO"),
    "kyiv": (50.45, 30.523, "UA"),
    "ankara": (39.93, 32.86, "TR"),
}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "layout", "photo", "country"),
    [
        ("IMG_ID,AUTHOR,LAT,LON,S3_Label\n42_a.jpg,me,48.8,2.3,1\n", "Im2GPS", "42_a.jpg", None),
        ("IMG_FILE,LAT,LON\n3f/5b/1.jpg,48.8,2.3\n", "Im2GPS", "3f/5b/1.jpg", None),
        ("IMG_ID,LAT,LON,Prob_indoor\n3f/5b/1.jpg,48.8,2.3,.2\n", "MP-16", "3f/5b/1.jpg", None),
        (
            "id,latitude,longitude,thumb_original_url,country,sequence,lon_bin,lat_bin,region,sub-region,city\n"
            "385,48.8,2.3,,FR,x,8,8,Île-de-France,Paris,Paris\n",
            "OSV-5M",
            "385",
            "FR",
        ),
        ("file,lat,lon,country\nimages/1.jpg,48.8,2.3,FR\n", "photo, latitude", "images/1.jpg", "FR"),
        ("panoid,lat,lng,heading,city,country\nXy_9,48.8,2.3,180,Paris,France\n", "GWS15k", "Xy_9", "France"),
    ],
)
def test_layouts_of_the_field_are_recognised(tmp_path, text, layout, photo, country):
    benchmark = read_benchmark(write(tmp_path / "t.csv", text))
    (query,) = benchmark.queries
    assert layout in benchmark.columns.layout
    assert (query.photo, query.lat, query.lon, query.country) == (photo, 48.8, 2.3, country)
    assert query.line == 2
    assert not benchmark.problems


def test_osv5m_keeps_region_and_city(tmp_path):
    text = "id,latitude,longitude,country,region,sub-region,city\n7,48.8,2.3,FR,Île-de-France,Paris 1,Paris\n"
    (query,) = read_benchmark(write(tmp_path / "test.csv", text)).queries
    assert (query.region, query.city) == ("Île-de-France", "Paris")


@pytest.mark.parametrize(("sign", "name"), [("\t", "t.tsv"), ("\t", "t.csv"), (";", "t.csv"), ("|", "t.txt")])
def test_other_separators_and_a_byte_order_mark(tmp_path, sign, name):
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + sign.join(["photo", "lat", "lon"]).encode() + b"\r\n")
    with path.open("ab") as file:
        file.write(sign.join(['"a, b.jpg"', "-1.5", "179.5"]).encode() + b"\r\n")
    (query,) = read_benchmark(path).queries
    assert (query.photo, query.lat, query.lon) == ("a, b.jpg", -1.5, 179.5)


def test_parquet_gives_what_csv_gives(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"id": [12, 13], "latitude": [48.5, None], "longitude": [2.25, 3.0], "country": ["FR", None]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    benchmark = read_benchmark(tmp_path / "t.parquet")
    (query,) = benchmark.queries
    assert (query.photo, query.lat, query.lon, query.country, query.line) == ("12", 48.5, 2.25, "FR", 1)
    assert [(p.kind, p.line) for p in benchmark.problems] == [("bad row", 2)]


def test_damaged_parquet_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    with pytest.raises(UsageError, match="Parquet"):
        read_benchmark(write(tmp_path / "t.parquet", "PAR1 but no more"))


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(UsageError, match=r"pip install \"whyhere\[parquet\]\""):
        read_benchmark(write(tmp_path / "t.parquet", ""))


def test_columns_can_be_named_or_numbered(tmp_path):
    path = write(tmp_path / "t.csv", "name,y,x\na.jpg,48.8,2.3\n")
    (query,) = read_benchmark(path, columns=parse_columns("photo=name, lat=Y, lon=x")).queries
    assert (query.photo, query.lat, query.lon) == ("a.jpg", 48.8, 2.3)
    path = write(tmp_path / "info.txt", "12\t2.3\t48.8\n13\t2.4\t48.9\n")
    benchmark = read_benchmark(path, columns=parse_columns("photo=1,lon=2,lat=3"))
    assert [(q.photo, q.lat, q.line) for q in benchmark.queries] == [("12", 48.8, 1), ("13", 48.9, 2)]


@pytest.mark.parametrize(
    "text", ["", "photo", "photo=", "where=x", "photo=a,photo=b", "=x", ",", "lat=a,,lon=b"]
)
def test_columns_that_make_no_sense(text):
    with pytest.raises(UsageError, match="--columns"):
        parse_columns(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        (
            "name,x,y\n1,2,3\n",
            "no column for photo and lat and lon is recognised; the table has 'name', 'x', 'y'",
        ),
        ("file,lat,latitude,lon\na,1,1,2\n", "both 'lat' and 'latitude'"),
        ("file,lat,lon\n", "none of its 0 rows"),
        (
            "file,lat,lon\na.jpg,x,2\n",
            "none of its 1 rows can be used; line 2: the latitude 'x' is not a number",
        ),
    ],
)
def test_useless_tables_say_why(tmp_path, text, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        read_benchmark(write(tmp_path / "t.csv", text))


def test_missing_table_is_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.csv"):
        read_benchmark(tmp_path / "none.csv")


def test_not_utf8_says_so(tmp_path):
    (tmp_path / "t.csv").write_bytes("file,lat,lon\ncafé.jpg,1,2\n".encode("latin-1"))
    with pytest.raises(UsageError, match="UTF-8"):
        read_benchmark(tmp_path / "t.csv")


def test_bad_rows_are_named_with_their_lines(tmp_path):
    rows = [
        ("a.jpg", "48.8", "2.3"),  # line 2, good
        ("b.jpg", "nan", "2.3"),
        ("c.jpg", "48.8", ""),
        ("", "48.8", "2.3"),
        ("d.jpg", "inf", "2.3"),
        ("e.jpg", "1_0", "2.3"),
        ("f.jpg", "12", "500"),
        ("g.jpg", "0", "0.0"),
        ("a.jpg", "48.8", "2.3"),  # line 10, again
        ("h.jpg", "-500", "2"),
        ("i.jpg", "1", "2"),  # line 12
        ("i.jpg", "1", "3"),  # line 13, another position
        ("j.jpg", "-17.5", "181"),  # line 14, good: longitudes wrap
    ]
    text = "file,lat,lon\n" + "".join(",".join(row) + "\n" for row in rows) + "k.jpg\n"
    benchmark = read_benchmark(write(tmp_path / "t.csv", text))
    assert [(q.photo, q.lat, q.lon) for q in benchmark.queries] == [
        ("a.jpg", 48.8, 2.3),
        ("j.jpg", -17.5, -179.0),
    ]
    assert [(p.kind, p.line) for p in benchmark.problems] == [
        *(("bad row", line) for line in (3, 4, 5, 6, 7, 8, 9)),
        ("duplicate", 10),
        ("bad row", 11),
        ("conflict", 13),
        ("bad row", 15),
    ]
    assert benchmark.rows == 14
    assert benchmark.to_dict()["problems"] == {"bad row": 9, "duplicate": 1, "conflict": 1}


def test_line_numbers_count_lines_not_records(tmp_path):
    text = 'file,lat,lon,note\n\na.jpg,1,2,"two\nlines"\nb.jpg,x,2,\n'
    benchmark = read_benchmark(write(tmp_path / "t.csv", text))
    assert benchmark.queries[0].line == 3
    assert benchmark.problems[0].line == 5


def table(rows, header="file,lat,lon,country"):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return f"{header}\n{text.getvalue()}"


def test_latitudes_beyond_90_are_refused_with_the_option_that_helps(tmp_path):
    path = write(tmp_path / "im2gps.csv", "IMG_ID,LAT,LON\na,2.3,48.8\nb,139.7,35.7\n")
    with pytest.raises(UsageError, match=r"swapped: 1 of 2 latitudes.*139\.7, line 3.*--swap-lat-lon"):
        read_benchmark(path)
    queries = read_benchmark(path, swap_lat_lon=True).queries
    assert [(q.lat, q.lon) for q in queries] == [(48.8, 2.3), (35.7, 139.7)]


def test_swapping_a_table_that_is_right_is_refused_too(tmp_path):
    path = write(tmp_path / "t.csv", "IMG_ID,LAT,LON\na,48.8,2.3\nb,35.7,139.7\n")
    with pytest.raises(UsageError, match="leave out --swap-lat-lon"):
        read_benchmark(path, swap_lat_lon=True)
    assert len(read_benchmark(path).queries) == 2


def test_one_impossible_latitude_in_a_good_table_is_a_bad_row(tmp_path):
    rows = [("a", 48.8, 2.3, ""), ("b", 35.7, 139.7, ""), ("c", 33.0, -118.0, ""), ("d", 95.0, 10.0, "")]
    benchmark = read_benchmark(write(tmp_path / "t.csv", table(rows)))
    assert [p.line for p in benchmark.problems] == [5]


def test_swapped_headers_are_found_by_the_countries_where_all_values_fit_either_way(tmp_path):
    swapped = [(name, lon, lat, code) for name, (lat, lon, code) in CITIES.items()]
    with pytest.raises(
        UsageError, match=r"swapped: of 12 rows looked at, 1 lie in the country .*, and 12 the"
    ):
        read_benchmark(write(tmp_path / "t.csv", table(swapped)))
    right = [(name, lat, lon, code) for name, (lat, lon, code) in CITIES.items()]
    assert len(read_benchmark(write(tmp_path / "u.csv", table(right))).queries) == len(CITIES)


def test_swapped_headers_are_found_by_the_sea_where_no_country_is_given(tmp_path):
    # Western Europe, mirrored, lies in the Gulf of Guinea and the Indian Ocean.
    europe = [(f"{i}.jpg", 43.5 + i, -8.0 + 0.3 * i, "") for i in range(6)]
    europe += [(f"{i}.jpg", 44.0 + i / 2, 1.0 + i / 9, "") for i in range(6, 18)]
    europe = [row for row in europe if on_land(row[1], row[2]) and not on_land(row[2], row[1])]
    assert len(europe) >= 10
    with pytest.raises(UsageError, match=r"swapped: of \d+ rows looked at, 0 lie on land"):
        read_benchmark(write(tmp_path / "t.csv", table([(a, lon, lat, "") for a, lat, lon, _ in europe])))
    assert len(read_benchmark(write(tmp_path / "u.csv", table(europe))).queries) == len(europe)


def on_land(lat, lon):
    from whyhere.geo import country_codes

    return country_codes([lat], [lon])[0] is not None


cells = st.one_of(
    st.text(max_size=12),
    st.floats().map(str),
    st.integers(-400, 400).map(str),
    st.sampled_from(["", "nan", "1e400", "-0", "٣", "1,5", "\x00", '"', "90.0000001", "None"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.text(max_size=8), cells, cells, cells), max_size=14),
    sign=st.sampled_from(",;\t|"),
)
@example(rows=[("a", "1", "2", "XX")], sign=",")
def test_any_cells_give_a_benchmark_or_a_usage_error(tmp_path, rows, sign):
    text = io.StringIO()
    csv.writer(text, delimiter=sign).writerows([("file", "lat", "lon", "country"), *rows])
    path = tmp_path / "t.csv"
    path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    try:
        benchmark = read_benchmark(path)
    except UsageError:
        return
    for query in benchmark.queries:
        assert -90 <= query.lat <= 90
        assert -180 <= query.lon < 180
        assert query.photo
    assert len({q.photo for q in benchmark.queries}) == len(benchmark.queries)
    assert len(benchmark.queries) <= benchmark.rows


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=200), prefix=st.sampled_from([b"", b"file,lat,lon\n", b"IMG_ID\tLAT\tLON\r\n"])
)
def test_any_bytes_give_a_benchmark_or_a_usage_error(tmp_path, data, prefix):
    path = tmp_path / "t.csv"
    path.write_bytes(prefix + data)
    with contextlib.suppress(UsageError):
        read_benchmark(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 179.9)), min_size=1, max_size=9))
def test_numbers_survive_exactly(tmp_path, places):
    places = [place for place in places if place != (0.0, 0.0)] or [(1.0, 1.0)]
    rows = [(f"{row}.jpg", repr(lat), repr(lon), "") for row, (lat, lon) in enumerate(places)]
    queries = read_benchmark(write(tmp_path / "t.csv", table(rows))).queries
    assert [(q.lat, q.lon) for q in queries] == places
    assert not any(math.isnan(q.lat) for q in queries)
    assert np.isfinite([q.lon for q in queries]).all()
