"""Tables of users: read as they are, or refused with the line of every fault."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.errors import MissingFileError, UsageError
from whyhere.evaluation.probing import Skipped, finished, read_table, station_tasks


def written(tmp_path, text, name="table.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_census_tracts(tmp_path):
    # As the Census Bureau writes its gazetteer: tabs, INTPTLAT and INTPTLONG, trailing blanks in the header.
    path = written(
        tmp_path,
        "GEOID\tINTPTLAT\tINTPTLONG \tmedian_income   \n01001020100\t32.47718\t-86.49007\t60563\n"
        "02013000100\t55.2\t-162.9\t75000.5\n",
    )
    task = read_table(path, "MEDIAN_INCOME", kind="value")
    assert (task.name, task.kind) == ("median_income", "value")
    np.testing.assert_array_equal(task.lat, [32.47718, 55.2])
    np.testing.assert_array_equal(task.lon, [-86.49007, -162.9])
    np.testing.assert_array_equal(task.target, [60563, 75000.5])


def test_inaturalist_observations(tmp_path):
    path = written(
        tmp_path,
        "id,observed_on,latitude,longitude,place_guess,scientific_name\n"
        '1,2024-05-01,-1.5,36.8,"Nairobi, Kenya",Turdus pelios\n'
        "2,2024-05-02,51.5,-0.1,London,Turdus merula\n",
    )
    task = read_table(path, "scientific_name")
    assert task.kind == "class"
    assert task.target.tolist() == ["Turdus pelios", "Turdus merula"]
    np.testing.assert_array_equal(task.lon, [36.8, -0.1])


def test_weather_stations(tmp_path):
    path = written(
        tmp_path,
        "Lon,Lat,nObs,SG_rmsep,meanT,meanP,G_rmsep,C_rmsep,PerMod_RMSEP\n"
        "7.82,36.83,0.975,0.75,18.025,694,0.76,0.81,-0.03\n3.25,36.72,0.98,0.9,18.08,672,0.94,0.99,0.02\n",
    )
    temperature, precipitation = station_tasks(path)
    assert (temperature.name, precipitation.name) == ("temperature", "precipitation")
    np.testing.assert_array_equal(temperature.lat, [36.83, 36.72])
    np.testing.assert_array_equal(temperature.target, [18.025, 18.08])
    np.testing.assert_array_equal(precipitation.target, [694, 672])


def test_no_stations_say_how_to_give_them():
    assert [(task.name, "--stations FILE" in task.reason) for task in station_tasks(None)] == [
        ("temperature", True),
        ("precipitation", True),
    ]


def test_bad_rows_are_named_with_their_lines(tmp_path):
    path = written(
        tmp_path,
        "lat,lon,value\n1,2,3\nnan,2,3\n1,181,3\n-91,120,3\n1,2\n1,2,\n1,2,NaN\n1,2,high\n1,2,-666666666\n4,5,6\n",
    )
    with pytest.raises(UsageError) as caught:
        read_table(path, "value", kind="value")
    text = str(caught.value)
    assert "8 of 10 rows are bad" in text
    assert "line 3: the latitude 'nan' is not a finite number" in text
    assert "line 4: longitude 181 lies outside -180 to 180" in text
    assert "line 5: latitude -91 lies outside -90 to 90" in text
    assert "line 6: 2 cells under 3 columns" in text
    assert "line 7: the target is empty" in text
    assert "and 3 more" in text
    assert "--skip-bad-rows" in text
    task = read_table(path, "value", kind="value", skip_bad_rows=True)
    assert task.target.tolist() == [3, 6]
    assert task.left_out[0].startswith("8 bad rows left out (line 3:")


def test_census_marks_are_no_incomes(tmp_path):
    path = written(tmp_path, "lat,lon,income\n1,2,3\n1,2,-666666666\n")
    with pytest.raises(UsageError, match="line 3: target -666666666 is the Census Bureau's mark"):
        read_table(path, "income")


def test_swapped_columns_are_recognised(tmp_path):
    path = written(tmp_path, "lat,lon,value\n-100.5,40,1\n-90.5,41,2\n2.3,48.8,3\n")
    with pytest.raises(
        UsageError, match=r"swapped: 2 of 3 latitudes lie beyond 90 .*line 2.*exchange the two column names"
    ):
        read_table(path, "value", skip_bad_rows=True)


def test_one_wild_latitude_is_not_a_swap(tmp_path):
    path = written(tmp_path, "lat,lon,value\n95,40,1\n-20,140,2\n30,-100,3\n")
    with pytest.raises(UsageError, match="1 of 3 rows are bad: line 2: latitude 95 lies outside"):
        read_table(path, "value")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("place,value\nParis,1\n", r"no column for a latitude \(lat, latitude,.*columns: place, value"),
        ("lat,value\n1,1\n", "no column for a longitude"),
        ("lat,lon,price\n1,1,1\n", "no column for --target value; columns: lat, lon, price"),
        ("lat,lon,value\n", "no row below the header"),
        ("", "the table is empty"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, said):
    with pytest.raises(UsageError, match=said):
        read_table(written(tmp_path, text), "value")


def test_binary_and_missing_files(tmp_path):
    (tmp_path / "photo.csv").write_bytes(b"lat,lon,value\n\xff\xd8\xff\x00,2,3\n")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        read_table(tmp_path / "photo.csv", "value")
    with pytest.raises(MissingFileError, match="no such table"):
        read_table(tmp_path / "nothing.csv", "value")


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.floats(-90, 90),
            st.floats(-180, 180),
            st.floats(-1e6, 1e6),
            st.sampled_from(("x,y", 'say "a"', "")),
        ),
        min_size=1,
        max_size=12,
    ),
    separator=st.sampled_from(",;\t"),
)
def test_what_is_written_is_read(tmp_path_factory, rows, separator):
    import csv

    path = tmp_path_factory.mktemp("table") / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(("note", "Latitude", "Longitude", "value"))
        writer.writerows((note, lat, lon, value) for lat, lon, value, note in rows)
    task = read_table(path, "value", kind="value")
    assert task.lat.tolist() == [row[0] for row in rows]
    assert task.lon.tolist() == [row[1] for row in rows]
    assert task.target.tolist() == [row[2] for row in rows]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([str(i % 4) for i in range(100)], "class"),
        ([str(i) for i in range(100)], "value"),
        ([f"{i % 4}.5" for i in range(100)], "value"),
        (["forest", "dune"] * 50, "class"),
        (["1.5"] * 97 + ["?"] * 3, "bad"),
    ],
)
def test_kind_is_guessed(tmp_path, values, kind):
    path = written(tmp_path, "lat,lon,value\n" + "".join(f"1,2,{value}\n" for value in values))
    if kind == "bad":
        with pytest.raises(UsageError, match=r"3 of 100 rows are bad: line 99: target '\?' is not a number"):
            read_table(path, "value")
    else:
        assert read_table(path, "value").kind == kind


def test_rare_classes_and_surplus_points_are_left_out_aloud(tmp_path):
    labels = ["oak"] * 150 + ["pine"] * 150 + ["yew"] * 5
    path = written(
        tmp_path, "lat,lon,tree\n" + "".join(f"{i / 9},{i / 9},{x}\n" for i, x in enumerate(labels))
    )
    task = finished(read_table(path, "tree"), points=1000, seed=0)
    assert set(task.target.tolist()) == {"oak", "pine"}
    assert task.left_out == ("1 of 3 classes with fewer than 20 points left out (5 points).",)
    drawn = finished(read_table(path, "tree"), points=200, seed=0)
    assert len(drawn.lat) <= 200
    assert drawn.left_out[0] == "200 of 305 points drawn at random."


def test_hopeless_tasks_say_why(tmp_path):
    few = written(tmp_path, "lat,lon,v\n" + "".join(f"1,2,{i / 7}\n" for i in range(50)))
    flat = written(tmp_path, "lat,lon,v\n" + "1,2,3.5\n" * 200, "flat.csv")
    one = written(tmp_path, "lat,lon,v\n" + "1,2,a\n" * 200, "one.csv")
    assert finished(read_table(few, "v"), points=99, seed=0) == Skipped(
        "v", "only 50 usable points; at least 100 are needed"
    )
    assert "same everywhere" in finished(read_table(flat, "v"), points=999, seed=0).reason
    assert "fewer than two classes" in finished(read_table(one, "v"), points=999, seed=0).reason
