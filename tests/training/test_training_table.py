"""Tables: bad rows are named by line and never trained on, whatever is wrong with them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.errors import MissingFileError, UsageError
from whyhere.training import features_from_file, read_table


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


LAND = [(48.85, 2.35), (40.71, -74.0), (-33.87, 151.2), (35.68, 139.69), (19.43, -99.13), (55.75, 37.62)]


def test_every_kind_of_bad_row_is_named_by_its_line(tmp_path):
    rows = [
        "file,lat,lon",
        "good1.jpg,48.85,2.35",
        "lat91.jpg,91,10",
        "swapped.jpg,151.2,-33.87",
        "nan.jpg,nan,10",
        "inf.jpg,10,inf",
        "words.jpg,north,10",
        "empty.jpg,,",
        "lon.jpg,10,181",
        "null.jpg,0,0",
        ",10,10",
        "short.jpg",
        "good1.jpg,40.71,-74.0",
        "",
        '"good, 2.jpg",40.71,-74.0',
        *(f"more{i}.jpg,{lat},{lon}" for i, (lat, lon) in enumerate(LAND * 2)),
    ]
    table = read_table(write(tmp_path / "t.csv", "\n".join(rows)))
    reasons = {problem.line: problem.reason for problem in table.problems}
    assert sorted(reasons) == list(range(3, 14))
    assert "latitude 91.0" in reasons[3]
    assert "swapped" in reasons[4]
    assert "not finite" in reasons[5]
    assert "not finite" in reasons[6]
    assert "no numbers" in reasons[7]
    assert "no numbers" in reasons[8]
    assert "longitude 181.0" in reasons[9]
    assert "0, 0" in reasons[10]
    assert "no photo" in reasons[11]
    assert "1 of 3 columns" in reasons[12]
    assert "same photo as line 2" in reasons[13]
    assert table.file[:2] == ("good1.jpg", "good, 2.jpg")
    assert list(table.line[:2]) == [2, 15]
    assert table.total == len(table) + len(table.problems)


def test_row_numbers_count_every_data_row(tmp_path):
    text = "IMG_ID,LAT,LON\na,48.85,2.35\nb,91,0\nc,40.71,-74.0\n"
    table = read_table(write(tmp_path / "t.csv", text))
    assert table.row.tolist() == [0, 2]
    assert table.file == ("a", "c")


@pytest.mark.parametrize(
    "header",
    ["IMG_ID,LAT,LON", "filename,Latitude,Longitude", "\ufefffile,lat,lng", "image, lat , long "],
)
def test_columns_are_found_under_their_usual_names(tmp_path, header):
    table = read_table(write(tmp_path / "t.csv", f"{header}\nx.jpg,48.85,2.35\n"))
    assert (table.lat[0], table.lon[0]) == (48.85, 2.35)


def test_features_need_no_file_column(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "lat,lon\n48.85,2.35\n48.85,2.35\n"), need_files=False)
    assert len(table) == 2
    with pytest.raises(UsageError, match="no column for the photo"):
        read_table(tmp_path / "t.csv")


def test_swapped_columns_are_refused(tmp_path):
    rows = "\n".join(f"{i}.jpg,{lat},{lon}" for i, (lat, lon) in enumerate(LAND * 3))
    read_table(write(tmp_path / "right.csv", f"file,lat,lon\n{rows}"))
    with pytest.raises(UsageError, match="look swapped"):
        read_table(write(tmp_path / "wrong.csv", f"file,lon,lat\n{rows}"))


def test_swapped_columns_are_refused_where_every_number_is_a_latitude(tmp_path):
    europe = [(48.8, 2.3), (52.5, 13.4), (41.9, 12.5), (50.1, 14.4), (59.3, 18.1), (47.5, 19.0)] * 2
    rows = "\n".join(f"{i}.jpg,{lon},{lat}" for i, (lat, lon) in enumerate(europe))
    with pytest.raises(UsageError, match="look swapped"):
        read_table(write(tmp_path / "wrong.csv", f"file,lat,lon\n{rows}"))


def test_tables_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match="--data"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="latitude"):
        read_table(write(tmp_path / "a.csv", "file,x,y\na,1,2\n"))
    with pytest.raises(UsageError, match="none of 1 rows"):
        read_table(write(tmp_path / "b.csv", "file,lat,lon\na,99,2\n"))
    with pytest.raises(UsageError, match="no header"):
        read_table(write(tmp_path / "c.csv", ""))


def test_parquet_gives_what_csv_gives(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    lat, lon = [48.85, 91.0, None, 40.71], [2.35, 0.0, 1.0, -74.0]
    columns = {"IMG_ID": ["a", "b", "c", "d"], "other": [1, 2, 3, 4], "LAT": lat, "LON": lon}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.file == ("a", "d")
    assert [problem.line for problem in table.problems] == [3, 4]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(allow_nan=True), st.floats(allow_nan=True)), min_size=1, max_size=9))
def test_what_is_kept_is_a_position_on_earth(tmp_path_factory, places):
    rows = "\n".join(f"{i}.jpg,{lat!r},{lon!r}" for i, (lat, lon) in enumerate(places))
    path = write(tmp_path_factory.mktemp("t") / "t.csv", f"file,lat,lon\n{rows}\n")
    try:
        table = read_table(path)
    except UsageError:
        return
    assert (np.abs(table.lat) <= 90).all()
    assert (np.abs(table.lon) <= 180).all()
    for row, lat, lon in zip(table.row, table.lat, table.lon, strict=True):
        assert (lat, lon) == places[row]
        assert math.isfinite(lat)


def test_given_features_must_fit_the_table(tmp_path):
    np.save(tmp_path / "f.npy", np.zeros((3, 4), np.float32))
    assert features_from_file(tmp_path / "f.npy", rows=3).shape == (3, 4)
    with pytest.raises(UsageError, match="each of the 4 rows"):
        features_from_file(tmp_path / "f.npy", rows=4)
    with pytest.raises(MissingFileError, match="--features"):
        features_from_file(tmp_path / "none.npy", rows=4)
