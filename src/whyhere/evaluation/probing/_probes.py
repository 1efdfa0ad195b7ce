"""From positions to predictions: the features that probes see, the folds that they learn in, the probes.

Features are fixed functions of a position: nothing is fitted on a task's points, so nothing can leak between
the parts of a split. Neighbouring places are alike, so a random split asks for little more than
interpolation; a blocked split tests on regions that were not seen, and leaves a margin around them.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyhere._record import Record
from whyhere.alignment import Alignment
from whyhere.encoders import LocationEncoder
from whyhere.errors import UsageError
from whyhere.evaluation.probing._tasks import Doubles, land_points, nearest_km
from whyhere.geo import cells_of, unit_vectors, wrap_lon

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Features = Floats | Doubles

SINE_OCTAVES = 7
"""Waves of 360 degrees and its halves, down to 5.6 degrees."""

HARMONIC_DEGREE = 20
"""441 functions, nearly as many as the embedding has numbers; the finest are 18 degrees long."""

EMBEDDING, CONCEPTS = "geoclip", "concepts"
"""The two whose ratio says what the concept space keeps."""

FEATURES = ("coordinates", "sines", "harmonics", EMBEDDING, f"{EMBEDDING}+{CONCEPTS}", CONCEPTS)
"""What is always compared."""

CONTROLS = ("random", "pca")
"""As many directions as the concept space has dimensions: random ones, and those of most variance."""

SAME_PLACE_DEG = 1e-4
"""Random folds never part positions that round to the same multiple of this (11 m)."""

RIDGE_PENALTIES = tuple(float(value) for value in np.geomspace(1e-9, 1e2, 23))
"""Per point, for columns of unit variance."""

LOGISTIC_STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""scikit-learn's C: a larger one fits closer."""

WEIGHT_DECAYS = (1e-3, 3.0)
"""What the points set aside choose from: wide inputs need a strong one, raw coordinates a weak one."""

_RANK_TOLERANCE = 1e-4  # relative to the largest singular value; float32 weights are good to about 1e-6
_LOGISTIC_STEPS = 200
_HIDDEN, _LEARNING_RATE, _EPOCHS, _PATIENCE, _BATCH = (64,), 3e-3, 80, 6, 100  # of the network


def concept_space(alignment: Alignment, embeddings: Floats) -> Floats:
    """Return z_loc, the k named numbers of each place (arXiv 2509.01910, Eq. 3): float32, shape (n, k).

    Args:
        alignment: The alignment of a release.
        embeddings: Location embeddings of unit length, float32, shape (n, 512).
    """
    return np.asarray((embeddings - alignment.location_mean) @ alignment.basis, np.float32)


class ConceptSpace(Record, frozen=True):
    """The shape of a concept space over places on land that are in no task.

    Attributes:
        concepts: k.
        embedding_dims: Width of the location embedding.
        rank: Dimensions that the k numbers span.
        dims_90: Dimensions that hold 90 % of their variance.
        dims_99: Dimensions that hold 99 %.
        embedding_variance: Share of the embedding's variance that lies in the span.
    """

    concepts: int
    embedding_dims: int
    rank: int
    dims_90: int
    dims_99: int
    embedding_variance: float

    @classmethod
    def measure(cls, codes: Doubles, centred: Doubles) -> ConceptSpace:
        """Measure it on codes (n, k) and centred embeddings (n, d) of the same places."""
        left, singular, _ = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
        rank = int((singular > _RANK_TOLERANCE * singular[0]).sum())
        share = np.cumsum(singular**2) / (singular**2).sum()
        inside = left[:, :rank].T @ centred
        return cls(
            concepts=codes.shape[1],
            embedding_dims=centred.shape[1],
            rank=rank,
            dims_90=int(np.searchsorted(share, 0.90)) + 1,
            dims_99=int(np.searchsorted(share, 0.99)) + 1,
            embedding_variance=float((inside**2).sum() / (centred**2).sum()),
        )


class FeatureMaker:
    """Makes the features of positions for one release.

    Attributes:
        names: Names of the features it makes.
        space: The shape of the concept space.
    """

    def __init__(
        self,
        encoder: LocationEncoder,
        alignment: Alignment,
        *,
        controls: bool = True,
        reference_points: int = 2000,
        seed: int = 0,
    ) -> None:
        self._encoder, self._alignment = encoder, alignment
        self.names = FEATURES + (CONTROLS if controls else ())
        # Own points: what is learned about the embedding here comes from no point of a task.
        unit = self._unit_embeddings(*land_points(reference_points, seed=seed + 1_000_003))
        self._mean = unit.mean(axis=0)
        centred = (unit - self._mean).astype(np.float64)
        self.space = ConceptSpace.measure(concept_space(alignment, unit).astype(np.float64), centred)
        _, _, rows = np.linalg.svd(centred, full_matrices=False)
        draw = np.random.default_rng(seed).normal(size=(centred.shape[1], self.space.rank))
        self._directions = {"pca": rows[: self.space.rank].T, "random": np.linalg.qr(draw)[0]}

    def __call__(self, lat: Doubles, lon: Doubles) -> dict[str, Floats]:
        """Return the features of positions by name, each float32, shape (n, columns)."""
        unit = self._unit_embeddings(lat, lon)
        z_loc = concept_space(self._alignment, unit)
        made: dict[str, NDArray[Any]] = {
            "coordinates": np.column_stack((lat, lon)),
            "sines": sines(lat, lon),
            "harmonics": spherical_harmonics(lat, lon, degree=HARMONIC_DEGREE),
            EMBEDDING: unit,
            f"{EMBEDDING}+{CONCEPTS}": np.hstack((unit, z_loc)),
            CONCEPTS: z_loc,
        }
        for name, directions in self._directions.items():
            made[name] = (unit - self._mean) @ directions
        return {name: made[name].astype(np.float32) for name in self.names}

    def _unit_embeddings(self, lat: Doubles, lon: Doubles) -> Floats:
        raw = self._encoder.embed(lat, lon)
        unit: Floats = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        return unit


def sines(lat: Doubles, lon: Doubles) -> Doubles:
    """Encode positions in degrees by waves of rising frequency, shape (n, 4 * SINE_OCTAVES)."""
    angles = np.radians(np.stack((lat, lon), axis=1))[:, :, None] * 2.0 ** np.arange(SINE_OCTAVES)
    return np.concatenate((np.sin(angles), np.cos(angles)), axis=2).reshape(len(lat), -1)


def spherical_harmonics(lat: ArrayLike, lon: ArrayLike, *, degree: int) -> Doubles:
    """Evaluate all real spherical harmonics up to a degree at positions in degrees.

    Returns:
        Shape (n, (degree + 1) ** 2), orthonormal on the unit sphere, without the Condon-Shortley phase;
        column l * l + l + m has degree l and order m, with sines for m < 0.
    """
    from scipy.special import sph_harm_y

    colatitude, azimuth = np.radians(90.0 - np.asarray(lat, np.float64)), np.radians(lon)
    out = np.empty((len(colatitude), (degree + 1) ** 2))
    for n in range(degree + 1):
        orders = np.arange(n + 1)
        values = sph_harm_y(n, orders, colatitude[:, None], azimuth[:, None])
        values *= np.where(orders == 0, 1.0, np.sqrt(2)) * (-1.0) ** orders
        middle = n * n + n
        out[:, middle - orders] = values.imag
        out[:, middle + orders] = values.real
    return out


class Fold(NamedTuple):
    """One division of the points: numbers of those to learn from, and of those to test on."""

    train: Integers
    test: Integers


class Splitter(NamedTuple):
    """Makes folds of one kind.

    Attributes:
        kind: "random" or "blocked".
        resolution: Blocks are H3 cells of this resolution: 0 is 4.4 million km2, 1 is 0.6 million km2.
        buffer_km: In blocked folds, nothing is learned from points nearer than this to a tested one.
    """

    kind: Literal["random", "blocked"]
    resolution: int = 1
    buffer_km: float = 100.0

    def folds(self, lat: Doubles, lon: Doubles, *, count: int, seed: int) -> list[Fold]:
        """Divide points so that each is tested exactly once.

        Args:
            lat: Latitudes in degrees, shape (n,).
            lon: Longitudes in degrees, shape (n,).
            count: Number of folds, 2 or more.
            seed: Seed of the division.

        Returns:
            The folds. In a random one, equal positions are on the same side; in a blocked one, so are whole
            cells, and points within `buffer_km` of a tested one are on neither.

        Raises:
            UsageError: There are fewer places or blocks than folds, or nothing is left to learn from.
        """
        blocked = self.kind == "blocked"
        group = blocks(lat, lon, resolution=self.resolution) if blocked else _places(lat, lon)
        fold_of = _deal(group, count, seed, what="blocks" if blocked else "different positions")
        folds = []
        for number in range(count):
            test, train = np.flatnonzero(fold_of == number), np.flatnonzero(fold_of != number)
            if blocked and self.buffer_km > 0:
                train = train[~_within(self.buffer_km, lat, lon, train, test)]
            if not len(train):
                raise UsageError(
                    "a blocked fold leaves nothing to learn from: all points lie within "
                    f"{self.buffer_km:g} km of a tested one; lower --buffer-km"
                )
            folds.append(Fold(train, test))
        return folds


def blocks(lat: Doubles, lon: Doubles, *, resolution: int) -> Integers:
    """Number the H3 cells that hold the points, from 0, shape (n,)."""
    _, number = np.unique(cells_of(lat, lon, resolution), return_inverse=True)
    return number.astype(np.int64).ravel()


def _places(lat: Doubles, lon: Doubles) -> Integers:
    """Number the different positions from 0; at a pole every longitude is the same place."""
    y = np.round(lat / SAME_PLACE_DEG).astype(np.int64)
    x = np.round(wrap_lon(lon) / SAME_PLACE_DEG).astype(np.int64) % round(360 / SAME_PLACE_DEG)
    x = np.where(np.abs(y) >= round(90 / SAME_PLACE_DEG), 0, x)
    _, number = np.unique(np.column_stack((y, x)), axis=0, return_inverse=True)
    return number.astype(np.int64).ravel()


def _deal(group: Integers, count: int, seed: int, *, what: str) -> Integers:
    """Deal whole groups to folds in random order, each to the fold with the fewest points so far."""
    sizes = np.bincount(group)
    if len(sizes) < count:
        raise UsageError(f"{len(sizes)} {what} cannot make {count} folds; give more points or fewer --folds")
    fold_of_group, filled = np.empty(len(sizes), np.int64), np.zeros(count, np.int64)
    for number in np.random.default_rng(seed).permutation(len(sizes)):
        fold_of_group[number] = np.argmin(filled)
        filled[fold_of_group[number]] += sizes[number]
    return fold_of_group[group]


def _within(km: float, lat: Doubles, lon: Doubles, points: Integers, others: Integers) -> NDArray[np.bool_]:
    """Tell which points lie nearer than a distance to any of others."""
    from scipy.spatial import cKDTree

    tree = cKDTree(unit_vectors(lat[others], lon[others]))
    near: NDArray[np.bool_] = nearest_km(tree, lat[points], lon[points]) < km
    return near


def standardise(train: Features, *others: Features) -> tuple[Doubles, ...]:
    """Shift and scale columns so that those of `train` have mean 0 and variance 1; others follow."""
    mean, scale = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    scale = np.where(scale > 1e-12, scale, 1.0)
    return tuple((part - mean) / scale for part in (train, *others))


def ridge_predictions(
    x: Features, y: Doubles, x_test: Features, *, inner: list[Fold]
) -> tuple[Doubles, dict[str, float]]:
    """Learn from a training part and predict for a test part.

    Args:
        x: Features of the training part, shape (n, p).
        y: Targets, shape (n,).
        x_test: Features of the test part, shape (m, p).
        inner: Divisions of the training part by which the penalty is chosen.

    Returns:
        Predictions, shape (m,), and the penalty chosen.
    """
    errors = np.zeros(len(RIDGE_PENALTIES))
    for fold in inner:
        path = _ridge_path(x[fold.train], y[fold.train], x[fold.test])
        errors += ((path - y[fold.test]) ** 2).sum(axis=1)
    best = int(np.argmin(errors))
    return _ridge_path(x, y, x_test)[best], {"penalty": RIDGE_PENALTIES[best]}


def _ridge_path(x: Features, y: Doubles, x_test: Features) -> Doubles:
    """Predict with every penalty, shape (penalties, m), from one decomposition."""
    x, x_test = standardise(x, x_test)
    mean = y.mean()
    eigenvalues, vectors = np.linalg.eigh(x.T @ x / len(x))
    along = vectors.T @ (x.T @ (y - mean)) / len(x)
    weights = along / (np.maximum(eigenvalues, 0.0) + np.array(RIDGE_PENALTIES)[:, None])
    predicted: Doubles = mean + weights @ (x_test @ vectors).T
    return predicted


def logistic_predictions(
    x: Features, y: Integers, x_test: Features, *, inner: list[Fold]
) -> tuple[Integers, dict[str, float]]:
    """Learn classes from a training part and predict those of a test part; see `ridge_predictions`.

    Only the first inner division is used: a fit is slow.
    """
    fold = inner[0]
    tried = _logistic_path(x[fold.train], y[fold.train], x[fold.test], LOGISTIC_STRENGTHS)
    best = int(np.argmax([(predicted == y[fold.test]).mean() for predicted in tried]))
    *_, predicted = _logistic_path(x, y, x_test, LOGISTIC_STRENGTHS[best : best + 1])
    return predicted, {"strength": LOGISTIC_STRENGTHS[best]}


def _logistic_path(
    x: Features, y: Integers, x_test: Features, strengths: tuple[float, ...]
) -> list[Integers]:
    """Predict with every strength, each fit starting from the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(y)) < 2:
        return [np.full(len(x_test), y[0]) for _ in strengths]
    x, x_test = (part.astype(np.float32) for part in standardise(x, x_test))
    model: Any = LogisticRegression(warm_start=True, max_iter=_LOGISTIC_STEPS, tol=1e-3)
    predictions = []
    for strength in strengths:
        model.set_params(C=strength)
        with warnings.catch_warnings():
            # Stopping early is a regularisation of its own, and the same for all features.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, y)
        predictions.append(model.predict(x_test))
    return predictions


def mlp_predictions(
    x: Features, y: NDArray[Any], x_test: Features, *, inner: list[Fold], classes: bool, seed: int
) -> tuple[NDArray[Any], dict[str, float]]:
    """Learn from a training part and predict for a test part; see `ridge_predictions`.

    One hidden layer of 64 ReLUs, Adam, mean squared error or cross-entropy. The first inner division sets
    points aside; they choose weight decay and epoch. The network is not fitted again with them.
    """
    fold = inner[0]
    learn, check, test = (
        part.astype(np.float32) for part in standardise(x[fold.train], x[fold.test], x_test)
    )
    targets, aside = y[fold.train], y[fold.test]
    if classes and len(np.unique(targets)) < 2:
        return np.full(len(x_test), targets[0]), {"epochs": 0.0}
    mean, scale = (0.0, 1.0) if classes else (float(targets.mean()), float(targets.std()) or 1.0)
    if not classes:
        targets, aside = ((part - mean) / scale for part in (targets, aside))
    best, predicted, chosen = np.inf, np.zeros(len(x_test)), {"epochs": 0.0}
    for decay in WEIGHT_DECAYS:
        loss, outputs, epochs = _train_mlp(learn, targets, check, aside, test, decay, classes, seed)
        if loss < best:
            best, predicted, chosen = loss, outputs, {"weight_decay": decay, "epochs": float(epochs)}
    return (predicted if classes else mean + scale * predicted), chosen


def _train_mlp(
    x: Floats,
    y: NDArray[Any],
    x_check: Floats,
    y_check: NDArray[Any],
    x_test: Floats,
    decay: float,
    classes: bool,
    seed: int,
) -> tuple[float, NDArray[Any], int]:
    """Train until the checked loss has not fallen for a while; return it, test predictions and epochs."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind: Any = MLPClassifier if classes else MLPRegressor
    model = kind(
        hidden_layer_sizes=_HIDDEN,
        alpha=decay,
        learning_rate_init=_LEARNING_RATE,
        batch_size=min(_BATCH, len(x)),
        random_state=seed,
    )
    names, counts = np.unique(y, return_counts=True)

    def loss_of(outputs: NDArray[Any]) -> float:
        if classes:
            return _cross_entropy(outputs, y_check, names)
        return float(np.mean((outputs - y_check) ** 2))

    # Epoch 0 knows no features: it answers the mean or the commonest class, so noise scores 0, not less.
    best = loss_of(np.tile(counts / counts.sum(), (len(y_check), 1)) if classes else np.zeros(len(y_check)))
    outputs: NDArray[Any] = np.full(len(x_test), names[np.argmax(counts)] if classes else 0.0)
    at, first = 0, {"classes": names} if classes else {}
    for epoch in range(1, _EPOCHS + 1):
        model.partial_fit(x, y, **(first if epoch == 1 else {}))
        loss = loss_of(model.predict_proba(x_check) if classes else model.predict(x_check))
        if loss < best:
            best, outputs, at = loss, model.predict(x_test), epoch
        elif epoch - at >= _PATIENCE:
            break
    return best, outputs, at


def _cross_entropy(probabilities: NDArray[Any], y: Integers, names: Integers) -> float:
    """Mean negative log probability of the truths that the network knows a class for."""
    column = np.searchsorted(names, y).clip(0, len(names) - 1)
    known = names[column] == y
    if not known.any():
        return float(-probabilities.max(axis=1).mean())
    return float(-np.log(np.maximum(probabilities[known, column[known]], 1e-9)).mean())
