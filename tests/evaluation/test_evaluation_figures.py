"""Every figure against a plain loop, a hand-made case or another library."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.errors import UsageError
from whyhere.evaluation import (
    Benchmark,
    Guess,
    Query,
    SystemPrediction,
    accuracy_figures,
    compare,
    geoscore,
    leaked_queries,
    read_gallery,
    reliability,
    risk_coverage,
    score,
    to_markdown,
)
from whyhere.stats import bootstrap_interval, interval, resample, resamples_for

KM_PER_DEGREE = math.pi * 6371.0088 / 180


def bench(*queries: Query) -> Benchmark:
    return Benchmark("hand-made", None, len(queries), queries, ())


def north(photo: str, km: float | None, **values) -> tuple[Query, SystemPrediction]:
    """A photo near Paris and an answer that lies `km` north of it."""
    query = Query(photo, 48.85, 2.35)
    if km is None:
        return query, SystemPrediction(photo, ())
    return query, SystemPrediction(photo, (Guess(48.85 - km / KM_PER_DEGREE, 2.35, **values),))


def run(*pairs, **options):
    return score([p for _, p in pairs], bench(*(q for q, _ in pairs)), **options)


def test_hand_made_accuracy():
    found = run(
        north("a", 0.5),
        north("b", 24.9),
        north("c", 25.1),
        north("d", 749),
        north("e", 3000),
        north("f", None),
    )
    shares = {name: found.accuracy[name].value for name in ("1 km", "25 km", "200 km", "750 km", "2500 km")}
    assert shares == pytest.approx(
        {"1 km": 100 / 6, "25 km": 200 / 6, "200 km": 300 / 6, "750 km": 400 / 6, "2500 km": 400 / 6}
    )
    assert (found.photos, found.answered) == (6, 5)
    assert found.accuracy["median km"].value == pytest.approx((25.1 + 749) / 2)
    assert found.accuracy["mean km"].value == pytest.approx((0.5 + 24.9 + 25.1 + 749 + 3000) / 5)
    expected = [5000 * math.exp(-km / 1492.7) for km in (0.5, 24.9, 25.1, 749, 3000)]
    assert found.accuracy["GeoScore"].value == pytest.approx(sum(expected) / 6)


def test_a_photo_that_the_system_leaves_out_is_wrong():
    (query, prediction), (silent, _) = north("a", 1), north("b", 1)
    found = score([prediction], bench(query, silent))
    assert found.accuracy["25 km"].value == 50.0
    assert found.accuracy["median km"].value == math.inf
    assert found.to_dict()["accuracy"]["median km"] == {"value": None, "low": pytest.approx(1), "high": None}


def test_geoscore_ends():
    assert geoscore(np.array([0.0, 1492.7, np.inf])) == pytest.approx([5000, 5000 / math.e, 0])


def test_best_of_five_looks_at_five_and_no_more():
    far, near = Guess(0.0, 0.0), Guess(48.85, 2.35)
    for place, value in ((4, 100.0), (5, 0.0)):
        guesses = [far] * 6
        guesses[place] = near
        found = score([SystemPrediction("a", tuple(guesses))], bench(Query("a", 48.85, 2.35)))
        assert found.best_of_five["1 km"].value == value
        assert found.accuracy["1 km"].value == 0.0
    assert run(north("a", 1)).best_of_five is None


# --- the bootstrap ---


def naive_bootstrap(values, statistic, resamples, seed):
    rng = np.random.default_rng(seed)
    return np.array([statistic(values[rng.integers(0, len(values), len(values))]) for _ in range(resamples)])


@pytest.mark.parametrize("photos", [1, 2, 7, 40])
def test_joint_bootstrap_is_the_plain_one(photos):
    rng = np.random.default_rng(photos)
    values, weights = rng.exponential(500, photos), rng.integers(0, 2, photos).astype(float)
    weights[0] = 1.0
    draws, medians = resample(photos, [(values, np.ones(photos))], [values], resamples=300, seed=5)
    assert draws[:, 0] == pytest.approx(naive_bootstrap(values, np.mean, 300, 5))
    assert medians[:, 0] == pytest.approx(naive_bootstrap(values, np.median, 300, 5))
    ratio, _ = resample(photos, [(values * weights, weights)], resamples=300, seed=5)
    rows = np.random.default_rng(5).integers(0, photos, (300, photos))
    with np.errstate(invalid="ignore"):
        expected = (values * weights)[rows].sum(1) / weights[rows].sum(1)
    assert ratio[:, 0] == pytest.approx(expected, nan_ok=True)


def test_sets_are_drawn_in_blocks_as_at_once():
    values, sets = np.random.default_rng(0).exponential(500, 50), 90_000  # more than one block of draws
    drawn = values[np.random.default_rng(3).integers(0, 50, (sets, 50))]
    draws, medians = resample(50, [(values, np.ones(50))], [values], resamples=sets, seed=3)
    np.testing.assert_allclose(draws[:, 0], drawn.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(medians[:, 0], np.median(drawn, axis=1), rtol=1e-12)
    found = bootstrap_interval(values, lambda some: some.mean(axis=-1), resamples=sets, seed=3)
    assert found == interval(float(values.mean()), drawn.mean(axis=1))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(200):
        values = (rng.random(120) < 0.3).astype(float)
        draws, _ = resample(120, [(values, np.ones(120))], resamples=400)
        found = interval(float(values.mean()), draws[:, 0])
        hits += found.low <= 0.3 <= found.high
    assert 178 <= hits <= 200  # 95 % of 200 is 190, give or take three standard errors


def test_infinite_errors_do_not_become_nan():
    errors = np.array([1.0, 2.0, np.inf, np.inf, np.inf])
    found = accuracy_figures(errors)["median km"]
    assert (found.value, found.high) == (math.inf, math.inf)
    assert found.low in (1.0, 2.0, math.inf)


def test_resamples_shrink_for_large_benchmarks():
    assert [resamples_for(n) for n in (10, 10_000, 50_000, 10**6)] == [10_000, 10_000, 2_000, 1_000]


# --- calibration ---


def test_reliability_by_hand():
    probability = np.array([0.05, 0.05, 0.95, 0.95, 1.0])
    right = np.array([False, True, True, True, False])
    found = reliability(probability, right)
    assert [(b.low, b.photos, b.probability, b.right) for b in found.bins] == [
        (0.0, 2, pytest.approx(0.05), 0.5),
        (0.9, 3, pytest.approx(2.9 / 3), pytest.approx(2 / 3)),
    ]
    assert found.ece.value == pytest.approx((2 * 0.45 + 3 * (2.9 / 3 - 2 / 3)) / 5)
    assert found.brier.value == pytest.approx(np.mean((probability - right) ** 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_expected_calibration_error_is_that_of_a_plain_loop(rows):
    bins: dict[int, list[tuple[float, bool]]] = {}
    for probability, right in rows:
        bins.setdefault(min(9, int(probability * 10)), []).append((probability, right))
    expected = sum(
        len(members)
        / len(rows)
        * abs(statistics.fmean(r for _, r in members) - statistics.fmean(p for p, _ in members))
        for members in bins.values()
    )
    found = reliability(np.array([p for p, _ in rows]), np.array([r for _, r in rows]))
    assert found.ece.value == pytest.approx(expected, abs=1e-12)
    assert 0 <= found.ece.low <= found.ece.high <= 1


def test_brier_score_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    probability = rng.random(50)
    right = rng.random(50) < probability
    assert reliability(probability, right).brier.value == pytest.approx(
        metrics.brier_score_loss(right, probability)
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=8))
def test_ties_count_as_in_the_mean_of_all_their_orders(rows):
    sureness, right = np.array([float(s) for s, _ in rows]), np.array([r for _, r in rows])
    found = risk_coverage(sureness, right, order="confidence")
    rng = np.random.default_rng(0)
    curves = []
    for _ in range(400):
        order = np.lexsort((rng.random(len(rows)), -sureness))
        curves.append(np.cumsum(right[order]) / np.arange(1, len(rows) + 1))
    mean = np.mean(curves, axis=0)
    for coverage, share in zip(found.coverage, found.right, strict=True):
        assert share == pytest.approx(mean[round(coverage * len(rows)) - 1], abs=0.13)
    assert found.right[0] == pytest.approx(right.mean())
    assert found.area == pytest.approx(float((1 - mean).mean()), abs=0.13)


def test_surest_first():
    found = risk_coverage(
        np.array([0.9, 0.1, 0.8, 0.2]), np.array([True, False, True, False]), order="probability"
    )
    assert dict(zip(found.coverage, found.right, strict=True))[0.5] == 1.0
    assert found.area == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_right_means_the_stated_radius_else_the_given_one():
    pairs = (
        north("a", 30, probability=0.9, radius_km=25.0),
        north("b", 30, probability=0.6, radius_km=50.0),
        north("c", 30, probability=0.3),
    )
    for radius, last in ((29.0, False), (31.0, True)):
        found = run(*pairs, radius_km=radius)
        assert [s.right for s in found.scores] == [False, True, last]
        assert found.calibration.stated_radius == 2


def test_confidence_levels_and_abstention():
    rows = [north("a", 1, confidence=5.0), north("b", 900, confidence=5.0), north("c", 5, confidence=1.0)]
    abstained = [False, True, None]
    predictions = [
        SystemPrediction(p.photo, p.guesses, abstained=flag)
        for (_, p), flag in zip(rows, abstained, strict=True)
    ]
    found = score(predictions, bench(*(q for q, _ in rows))).calibration
    assert [(c.confidence, c.photos, c.right) for c in found.confidence] == [(5.0, 2, 0.5), (1.0, 1, 1.0)]
    assert found.confidence[0].median_km == pytest.approx(450.5)
    assert found.reliability is None
    assert found.risk_coverage.order == "confidence"
    assert (found.abstention.photos, found.abstention.abstained) == (2, 1)
    assert (found.abstention.right_answered, found.abstention.right_abstained) == (1.0, 0.0)


def test_a_system_that_says_nothing_about_itself():
    found = run(north("a", 1)).calibration
    assert (found.reliability, found.confidence, found.risk_coverage, found.abstention) == (
        None,
        (),
        None,
        None,
    )


# --- leakage ---


def test_leakage_is_that_of_a_plain_loop():
    from whyhere.geo import great_circle_km, wrap_lon

    rng = np.random.default_rng(4)
    gallery = np.column_stack((rng.uniform(-90, 90, 400), rng.uniform(-180, 180, 400)))
    gallery[:4] = [[0, 179.99995], [89.9999, 10], [-17.0, -180], [51.0, 0.0]]
    rows = gallery[rng.integers(0, 400, 300)]
    lat = np.clip(rows[:, 0] + rng.normal(0, 1.5e-4, 300), -90, 90)
    lon = rows[:, 1] + rng.normal(0, 2e-4, 300)
    lat[:3], lon[:3] = [0.0, 89.9999, -17.0], [-179.9999, -170.0, 179.9999]
    found = leaked_queries(lat, lon, gallery_lat=gallery[:, 0], gallery_lon=gallery[:, 1])
    for row in range(300):
        km = great_circle_km(lat[row], lon[row], gallery[:, 0], gallery[:, 1])
        close = (np.abs(gallery[:, 0] - lat[row]) <= 1e-4) & (
            np.abs(wrap_lon(gallery[:, 1] - lon[row])) <= 1e-4
        )
        assert found[row] == bool(((km <= 0.025) | close).any())
    assert 20 < found.sum() < 290
    assert found[2]  # across the antimeridian
    assert not leaked_queries([1.0], [2.0], gallery_lat=[], gallery_lon=[]).any()


def test_accuracy_without_the_leaked_photos():
    pairs = [north("a", 0), north("b", 100), north("c", 400)]
    queries = [Query("a", 48.85, 2.35), Query("b", 48.86, 2.35), Query("c", 48.87, 2.35)]
    gallery = (np.array([48.85, 10.0]), np.array([2.35, 10.0]))
    found = score([p for _, p in pairs], bench(*queries), gallery=gallery)
    assert (found.leakage.gallery, found.leakage.leaked) == (2, 1)
    assert [s.leaked for s in found.scores] == [True, False, False]
    assert found.accuracy["1 km"].value == pytest.approx(100 / 3)
    assert found.leakage.without["1 km"].value == 0.0
    assert found.leakage.without["200 km"].value == 50.0
    everything = score([p for _, p in pairs[:1]], bench(*queries[:1]), gallery=gallery)
    assert everything.leakage.without == {}


def test_galleries_are_read_from_arrays_and_tables(tmp_path):
    np.save(tmp_path / "g.npy", np.array([[1.5, 2.5], [3.0, 4.0]]))
    (tmp_path / "g.csv").write_text("LAT,LON\n1.5,2.5\n3,4\n")
    for name in ("g.npy", "g.csv"):
        lat, lon = read_gallery(tmp_path / name)
        assert (lat.tolist(), lon.tolist()) == ([1.5, 3.0], [2.5, 4.0])


@pytest.mark.parametrize(
    "array", [np.zeros((3, 3)), np.array([["a", "b"]]), np.array([[1.0, np.nan]]), np.array([[120.0, 10.0]])]
)
def test_arrays_that_are_no_gallery(tmp_path, array):
    np.save(tmp_path / "g.npy", array)
    with pytest.raises(UsageError, match="npy"):
        read_gallery(tmp_path / "g.npy")


def test_tables_that_are_no_gallery(tmp_path):
    (tmp_path / "g.csv").write_text("LAT,LON\n1.5,2.5\n139,4\n")
    with pytest.raises(UsageError, match="line 3: 139, 4 is no position; are latitude and longitude swapped"):
        read_gallery(tmp_path / "g.csv")
    (tmp_path / "g.npy").write_bytes(b"no array")
    with pytest.raises(UsageError, match="NumPy"):
        read_gallery(tmp_path / "g.npy")


# --- names and groups ---

PARIS, LYON, ROME, SEA = (48.8566, 2.3522), (45.764, 4.8357), (41.9, 12.49), (0.0, -30.0)


def named(query: Query, guess: Guess | None):
    prediction = SystemPrediction("a", (guess,) if guess else ())
    found = score([prediction], bench(query))
    (photo,) = found.scores
    return photo.country_right, photo.region_right, photo.city_right


@pytest.mark.parametrize(
    ("query", "guess", "expected"),
    [
        (Query("a", *PARIS), Guess(*PARIS), (True, True, True)),
        (Query("a", *PARIS), Guess(*LYON), (True, False, False)),
        (Query("a", *PARIS), Guess(*ROME), (False, False, False)),
        (Query("a", *PARIS), None, (False, False, False)),
        (Query("a", *PARIS), Guess(country="france"), (True, False, False)),
        (Query("a", *PARIS), Guess(*PARIS, country="Italy"), (False, False, False)),
        (Query("a", *PARIS), Guess(*PARIS, country="Gallia", city="Lutetia"), (True, True, True)),
        # The table's names count where it has them, and are compared with what the system says.
        (
            Query("a", *PARIS, country="FR", region="Ile de France", city="PARIS"),
            Guess(*PARIS),
            (True, True, True),
        ),
        (Query("a", *PARIS, city="Paname"), Guess(*PARIS), (True, True, False)),
        (Query("a", *PARIS, city="Paname"), Guess(*PARIS, city="paname"), (True, True, True)),
        (Query("a", *PARIS, country="BE"), Guess(*PARIS), (False, False, False)),
        (Query("a", *SEA), Guess(*SEA), (None, None, None)),
    ],
)
def test_names(query, guess, expected):
    pairs = named(query, guess) if guess else named_silent(query)
    assert pairs == expected


def named_silent(query):
    other = Query("b", *PARIS)
    found = score([SystemPrediction("b", (Guess(*PARIS),))], bench(query, other))
    photo = found.scores[0]
    return photo.country_right, photo.region_right, photo.city_right


def test_groups_by_hand():
    rows = [
        ("a", PARIS, PARIS),
        ("b", PARIS, ROME),
        ("c", ROME, PARIS),
        ("d", SEA, PARIS),
        ("e", PARIS, (35.7, 139.7)),
    ]
    queries = [Query(photo, *truth) for photo, truth, _ in rows]
    found = score([SystemPrediction(photo, (Guess(*said),)) for photo, _, said in rows], bench(*queries))
    countries = {g.code or g.name: g for g in found.countries}
    assert [g.code for g in found.countries] == ["FR", "IT", None, "JP"]
    assert (countries["FR"].photos, countries["FR"].answered_here, countries["FR"].country_right) == (
        3,
        3,
        pytest.approx(100 / 3),
    )
    assert (countries["IT"].photos, countries["IT"].answered_here) == (1, 1)
    assert (countries["JP"].photos, countries["JP"].answered_here) == (0, 1)
    assert math.isnan(countries["JP"].median_km)
    assert countries["open sea"].photos == 1
    assert countries["FR"].within["1 km"].value == pytest.approx(100 / 3)
    assert countries["FR"].median_km == statistics.median(
        s.error_km for s in found.scores if s.true_country == "FR"
    )
    europe = found.continents[0]
    assert (europe.name, europe.photos, europe.answered_here) == ("Europe", 4, 4)
    assert europe.within["1 km"].value == 25.0
    assert 0 <= europe.within["1 km"].low <= 25.0 <= europe.within["1 km"].high <= 100
    assert europe.geoscore == pytest.approx(
        statistics.fmean(s.geoscore for s in found.scores if s.photo != "d")
    )


# --- matching and comparing ---


def test_unknown_and_repeated_photos_are_reported_and_the_first_counts():
    query, prediction = north("set/a.jpg", 1)
    _, again = north("a.jpg", 5000)
    _, unknown = north("z.jpg", 1)
    found = score([prediction, again, unknown], bench(query))
    assert [(p.kind, p.photo) for p in found.problems] == [
        ("repeated photo", "a.jpg"),
        ("unknown photo", "z.jpg"),
    ]
    assert found.accuracy["25 km"].value == 100.0


def test_predictions_for_other_photos_are_refused():
    query, _ = north("a", 1)
    _, other = north("b", 1)
    with pytest.raises(
        UsageError, match="no prediction is for any of its 1 photos; it calls the first 'a', the pred"
    ):
        score([other], bench(query))
    with pytest.raises(UsageError, match="no photo to score"):
        score([other], bench())
    with pytest.raises(UsageError, match="radius_km"):
        score([other], bench(query), radius_km=math.nan)


def test_comparison_by_hand():
    queries = [Query(str(i), 48.85, 2.35) for i in range(40)]
    rng = np.random.default_rng(6)
    km = rng.exponential(400, 40)

    def system(name, factor, silent=()):
        return score(
            [
                SystemPrediction(str(i), (Guess(48.85 - factor * d / KM_PER_DEGREE, 2.35),), system=name)
                for i, d in enumerate(km)
                if i not in silent
            ],
            bench(*queries),
        )

    near, far = system("near", 0.5), system("far", 1.0, silent=(0,))
    found = compare(near, far)
    assert (found.first, found.second, found.photos) == ("near", "far", 40)
    assert (found.closer, found.equal, found.farther) == (40, 0, 0)
    assert found.answered_by_both == found.to_dict()["answered_by_both"] == 39
    text = to_markdown(near, against=far, comparison=found)
    assert "Figures count these photos alone, and the mean the 39 that both answered" in text
    assert "| mean km (39 photos) |" in text
    gap = found.figures["GeoScore"]
    assert gap.first == pytest.approx(geoscore(km / 2).mean())
    assert gap.difference.value == pytest.approx(gap.first - gap.second)
    assert gap.resolved
    assert found.figures["mean km"].first == pytest.approx((km / 2)[1:].mean())  # photos that both answered
    # Paired: the same sets of photos on both sides.
    rows = np.random.default_rng(0).integers(0, 40, (10_000, 40))
    second = np.concatenate(([0.0], geoscore(km[1:])))
    draws = geoscore(km / 2)[rows].mean(1) - second[rows].mean(1)
    assert (gap.difference.low, gap.difference.high) == pytest.approx(
        tuple(np.percentile(draws, (2.5, 97.5)))
    )
    backwards = compare(far, near).figures["GeoScore"].difference
    assert backwards.value == pytest.approx(-gap.difference.value)
    same = compare(near, near)
    assert (same.closer, same.equal, same.farther) == (0, 40, 0)
    assert not any(figure.resolved for figure in same.figures.values())


def test_comparison_needs_common_photos():
    with pytest.raises(UsageError, match="share no photo"):
        compare(run(north("a", 1)), run(north("b", 1)))
