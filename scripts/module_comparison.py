"""Trains the module by its contrastive loss on the photos of `base` and compares it with the closed form.

    python scripts/module_comparison.py --data TABLE [--data TABLE] [--protocol new-places] [--only NAME ...]

Same photos, folds, targets (neighbourhoods) and gallery for every variant; answers are best-scoring points,
without landmarks. Learning rate and number of epochs are chosen by an inner split of the training side of
each fold, once for each space and head; then all of that side is trained on. Intervals: whole clusters of
50 km drawn. The tables are in docs/training.md. A variant takes one to four minutes on one core; the first
run encodes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from msgspec import structs
from numpy.typing import NDArray
from torch.nn.functional import normalize

from base_measure import STREET_FOLDS, add_photo_arguments, read_photos
from whyhere.alignment import RidgeHead, fit_ridge
from whyhere.evaluation import (
    asked_about,
    assign_folds,
    geoscore,
    near_duplicates,
    place_clusters,
    read_protocol,
)
from whyhere.gallery import interpolate
from whyhere.geo import EARTH_RADIUS_KM, great_circle_km, unit_vectors
from whyhere.training import (
    DIVERGENCES,
    BasePhotos,
    ConceptAlignmentModule,
    Start,
    TrainConfig,
    Workshop,
    contrastive_loss,
    country_weights,
    jitter,
    median_distance,
)

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Rows = NDArray[np.intp]
BATCH, EPOCHS, PATIENCE = 256, 25, 5
SAME_PLACE_KM, HARD_KM = 100.0, 1500.0
THRESHOLDS_KM = (25, 200, 750, 2500)


@dataclass(frozen=True)
class Variant:
    """What is trained: space of the loss, rates to choose from, divergence, negatives, noise, starts."""

    space: str = "concept"
    rates: tuple[float, ...] = (1e-3, 3e-3)
    divergence: str = "none"
    weight: float = 0.0
    queue: int = 1024
    hard: float = 0.0
    noise_km: float = 0.0
    tuned: bool = True
    random: bool = False
    mlp: bool = False
    hidden: int = 64
    seeds: int = 1


HEAD = Variant("feature", rates=(3e-5, 1e-4, 3e-4), hidden=0)
CONCEPT = Variant()
VARIANTS = {
    "without the module: linear head": HEAD,
    "without the module: linear head, 5 seeds": replace(HEAD, seeds=5),
    "without the module: residual head": replace(HEAD, hidden=64),
    "without the module: GeoCLIP's MLP": replace(HEAD, rates=(1e-3, 3e-3), mlp=True, hidden=512),
    "linear head, no queue": replace(HEAD, queue=0),
    "linear head, half the queue from 100 to 1,500 km": replace(HEAD, hard=0.5),
    "linear head, GPS noise of 25 km": replace(HEAD, noise_km=25.0),
    "with the module: concept space": CONCEPT,
    "with the module: both spaces": Variant("both", rates=(1e-4, 1e-3)),
    "concept space + mean, 10": replace(CONCEPT, divergence="mean", weight=10.0),
    "concept space + Cauchy-Schwarz, 0.1": replace(CONCEPT, divergence="cauchy-schwarz", weight=0.1),
    "concept space + Cauchy-Schwarz, 10": replace(CONCEPT, divergence="cauchy-schwarz", weight=10.0),
    "concept space + MMD, 10": replace(CONCEPT, divergence="mmd", weight=10.0),
    "concept space, no queue": replace(CONCEPT, queue=0),
    "concept space, half the queue from 100 to 1,500 km": replace(CONCEPT, hard=0.5),
    "concept space, GPS noise of 25 km": replace(CONCEPT, noise_km=25.0),
    "concept space, 5 seeds": replace(CONCEPT, seeds=5),
    "concept space, Delta frozen": replace(CONCEPT, tuned=False),
    "concept space, random directions": replace(CONCEPT, random=True),
}


class Comparison:
    """Photos, gallery and folds that all variants share."""

    def __init__(self, photos: BasePhotos, workshop: Workshop, protocol_name: str) -> None:
        protocol = read_protocol(protocol_name)
        if not protocol.folds:
            protocol = structs.replace(protocol, folds=STREET_FOLDS)
        same = near_duplicates(photos.features, cosine=protocol.duplicate_cosine)
        self.folds = assign_folds(protocol, photos.lat, photos.lon, kinds=photos.kinds, groups=same)
        self.asked = np.flatnonzero((self.folds >= 0) & asked_about(protocol, photos.kinds))
        self.clusters = place_clusters(photos.lat, photos.lon, within_km=50.0, groups=same)
        self.photos, self.gallery, self.directions = photos, workshop.gallery, workshop.directions
        self.known = protocol_name == "known-places"
        self.features = photos.features.astype(np.float32)
        self.targets = photos.targets.astype(np.float32)
        self.here = unit_vectors(photos.lat, photos.lon).astype(np.float32)
        self.there = unit_vectors(self.gallery.lat, self.gallery.lon).astype(np.float32)
        self.few = np.arange(0, len(self.gallery), 25)  # places that choices are made by
        self.choices: dict[tuple[Variant, int], tuple[float, int]] = {}
        self._moved: dict[float, Floats] = {}

    def weights(self, rows: Rows) -> Doubles:
        """Weigh photos by their countries."""
        return country_weights([self.photos.countries[row] for row in rows.tolist()])

    def ridge(self, rows: Rows) -> RidgeHead:
        """Fit the closed form, as for `base`."""
        return fit_ridge(
            self.photos.features[rows], self.photos.targets[rows], penalty=1.0, weights=self.weights(rows)
        )

    def moved(self, km: float) -> Floats:
        """Return four targets of every photo, its position moved by noise, shape (n, 4, 512)."""
        if km not in self._moved:
            draws = []
            for draw in range(4):
                rng = np.random.default_rng(draw)
                lat, lon = jitter(self.photos.lat, self.photos.lon, sigma_m=1000 * km, rng=rng)
                draws.append(interpolate(self.gallery, lat, lon))
            self._moved[km] = np.stack(draws, axis=1)
        return self._moved[km]

    def inner(self, rows: Rows, seed: int) -> tuple[Rows, Rows]:
        """Split a training side: whole clusters are kept for choices, or single photos for known places."""
        rng = np.random.default_rng((seed, 99))
        group = np.arange(len(rows)) if self.known else self.clusters[rows]
        kept, room = [], 0.15 * len(rows)
        for number in rng.permutation(np.unique(group)):
            size = int((group == number).sum())
            if size <= room:
                kept.append(number)
                room -= size
        held = np.isin(group, kept)
        return rows[~held], rows[held]

    def error_km(self, rows: Rows, points: Rows) -> Doubles:
        """Return how far points of the gallery lie from photos."""
        lat, lon = self.photos.lat[rows], self.photos.lon[rows]
        return np.asarray(great_circle_km(lat, lon, self.gallery.lat[points], self.gallery.lon[points]))

    def scores(self, module: ConceptAlignmentModule, rows: Rows, places: Rows | None = None) -> Floats:
        """Score places, all by default, for photos: cosines weighed by their learned temperatures."""
        with torch.no_grad():
            images = module.encode_images(torch.from_numpy(self.features[rows]))
            concept, feature = (float(scale) for scale in module.scales())
            temperature = concept * (module.space != "feature") + feature * (module.space != "concept")
            points = np.arange(len(self.gallery)) if places is None else places
            scores = np.empty((len(rows), len(points)), np.float32)
            for start in range(0, len(points), 16384):
                part = points[start : start + 16384]
                encoded = module.encode_places(torch.from_numpy(self.gallery.embeddings[part].copy()))
                terms = [term for term in module.logits(images, encoded) if term is not None]
                scores[:, start : start + 16384] = (torch.stack(terms).sum(dim=0) / temperature).numpy()
        return scores

    def judge(self, module: ConceptAlignmentModule, rows: Rows) -> float:
        """Return the mean GeoScore over a few places."""
        best = self.few[self.scores(module, rows, self.few).argmax(axis=1)]
        return float(geoscore(self.error_km(rows, best)).mean())


def epochs_of(
    world: Comparison, rows: Rows, variant: Variant, rate: float, seed: int
) -> Iterator[ConceptAlignmentModule]:
    """Yield the module as it starts and after every epoch."""
    config = TrainConfig(
        contrast_space=variant.space,
        hidden=variant.hidden,
        feature_head="mlp" if variant.mlp else "residual",
        seed=seed,
    )
    directions, head = world.directions, world.ridge(rows)
    if variant.random:
        drawn = np.random.default_rng(1).standard_normal(directions.T.shape)
        directions = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).T
    start = Start(
        np.ascontiguousarray(directions, np.float32),
        head.feature_mean.astype(np.float32),
        world.photos.targets[rows].mean(axis=0).astype(np.float32),
        head,
    )
    module = ConceptAlignmentModule(start, config)
    module.delta.requires_grad_(variant.tuned)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.1)
    rng = np.random.default_rng((seed, 7))
    chance = world.weights(rows)
    chance /= chance.sum()
    near, far = np.cos(np.array([SAME_PLACE_KM, HARD_KM]) / EARTH_RADIUS_KM)
    for epoch in range(EPOCHS + 1):
        yield module
        optimiser.param_groups[0]["lr"] = rate * 0.93**epoch
        for _ in range(len(rows) // BATCH):
            batch = rng.choice(rows, BATCH, p=chance)
            queue = rng.integers(len(world.gallery), size=int(variant.queue * (1 - variant.hard)))
            for photo in rng.choice(batch, variant.queue - len(queue)):
                cosines = world.there @ world.here[photo]
                hard = np.flatnonzero((cosines < near) & (cosines > far))
                queue = np.append(queue, rng.choice(hard))
            targets = world.targets[batch]
            if variant.noise_km:
                targets = world.moved(variant.noise_km)[batch, rng.integers(4, size=BATCH)]
            images = module.encode_images(torch.from_numpy(world.features[batch]))
            own = module.encode_places(torch.from_numpy(targets))
            further = module.encode_places(torch.from_numpy(world.gallery.embeddings[np.sort(queue)]))
            places = (torch.cat((own[0], further[0])), torch.cat((own[1], further[1])))
            spots = np.concatenate((world.here[batch], world.there[np.sort(queue)]))
            left_out = torch.from_numpy(world.here[batch] @ spots.T > near)
            terms = [
                contrastive_loss(logits, left_out=left_out)
                for logits in module.logits(images, places)
                if logits is not None
            ]
            if variant.divergence != "none":
                sigma = median_distance(images[0], own[0])
                terms.append(variant.weight * DIVERGENCES[variant.divergence](images[0], own[0], sigma=sigma))
            optimiser.zero_grad(set_to_none=True)
            torch.stack(terms).sum().backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()


def chosen(world: Comparison, rows: Rows, variant: Variant, fold: int) -> tuple[float, int]:
    """Choose rate and epochs by photos of the training side alone."""
    plain = Variant(variant.space, variant.rates, mlp=variant.mlp, hidden=variant.hidden)
    if (plain, fold) not in world.choices:
        training, kept = world.inner(rows, fold)
        best = (-np.inf, 0.0, 0)
        for rate in plain.rates:
            highest, waited = -np.inf, 0
            for epoch, module in enumerate(epochs_of(world, training, plain, rate, 0)):
                found = world.judge(module, kept)
                highest, waited = max(found, highest), 0 if found > highest else waited + 1
                best = max(best, (found, rate, epoch), key=lambda one: one[0])
                if waited >= PATIENCE:
                    break
        world.choices[plain, fold] = best[1:]
    return world.choices[plain, fold]


def answers(world: Comparison, variant: Variant | None, other: float = 0.0) -> Doubles:
    """Return errors in km of the best-scoring points, one a photo asked about; None is the closed form.

    Args:
        world: What is shared.
        variant: What is trained.
        other: Share of the closed form in an average, both at equal spread over the gallery.
    """
    km = np.full(len(world.photos.lat), np.nan)
    for fold in np.unique(world.folds[world.asked]).tolist():
        rows = np.flatnonzero(world.folds != fold)
        test = world.asked[world.folds[world.asked] == fold]
        head = world.ridge(rows)
        closed = _closed_scores(world, head, test)
        scores = closed
        if variant is not None:
            rate, count = chosen(world, rows, variant, fold)
            scores = np.zeros_like(closed)
            for seed in range(variant.seeds):
                run = epochs_of(world, rows, variant, rate, seed)
                module = next(module for epoch, module in enumerate(run) if epoch == count)
                scores += world.scores(module, test)
            if other:
                scores *= closed.std(axis=1).mean() / scores.std(axis=1).mean()
                scores = (1 - other) * scores + other * closed
        km[test] = world.error_km(test, scores.argmax(axis=1))
    return km[world.asked]


def _closed_scores(world: Comparison, head: RidgeHead, rows: Rows) -> Floats:
    x = torch.from_numpy(world.features[rows] - head.feature_mean.astype(np.float32))
    y = torch.from_numpy(world.gallery.embeddings - head.location_mean.astype(np.float32))
    query = normalize(normalize(x) @ torch.from_numpy(head.weights.T.astype(np.float32)))
    scores: Floats = (query @ normalize(y).T).numpy()
    return scores


def difference(world: Comparison, values: Doubles) -> str:
    """Return a mean over photos and its 95 % interval, whole clusters drawn with replacement."""
    _, cluster = np.unique(world.clusters[world.asked], return_inverse=True)
    sums, counts = np.bincount(cluster, values), np.bincount(cluster)
    rng = np.random.default_rng(0)
    times = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=4000)
    low, high = np.percentile((times @ sums) / (times @ counts), (2.5, 97.5))
    return f"{values.mean():+.1f} ({low:+.1f} to {high:+.1f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_photo_arguments(parser)
    parser.add_argument("--protocol", default="new-places", help="name of a shipped protocol")
    parser.add_argument("--only", action="append", choices=list(VARIANTS), help="all by default")
    parser.add_argument("--average", type=float, default=0.0, help="share of the closed form in an average")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    workshop, photos = read_photos(arguments)
    world = Comparison(photos, workshop, arguments.protocol)
    heads = [f"{limit:,} km" for limit in THRESHOLDS_KM]
    print(f"| | {' | '.join(heads)} | median km | 750 km, difference | GeoScore, difference |")
    print("|---|" + "--:|" * 7)
    base = answers(world, None)
    for name in ["closed form", *(arguments.only or VARIANTS)]:
        km = base if name == "closed form" else answers(world, VARIANTS[name], arguments.average)
        shares = " | ".join(f"{100 * (km <= limit).mean():.1f}" for limit in THRESHOLDS_KM)
        within = difference(world, 100.0 * ((km <= 750).astype(float) - (base <= 750)))
        points = difference(world, geoscore(km) - geoscore(base))
        print(f"| {name} | {shares} | {np.median(km):,.0f} | {within} | {points} |", flush=True)


if __name__ == "__main__":
    main()
