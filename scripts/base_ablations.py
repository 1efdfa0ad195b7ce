"""What the concept bank of release `base` is worth: every variant on the same folds.

    python scripts/base_ablations.py --photos FOLDER [--pool pool.npz] [--trained] [--json FILE]

Ten folds of random photos and ten of whole countries, each repeated with other seeds. In every fold the
recipe, the head, the patterns and whatever a variant learns come from the other photos. The answer is the
best-scoring place of the gallery. --pool (see concept_vectors.py) adds directions from activation vectors
alone, --trained adds the module trained with each of its losses (needs torch). Random banks and training
are costly and use the first seed alone.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from base_banks import Bank, named_bank, random_bank, text_bank, vector_bank
from base_recipe import SPARSITY, TrainingPhotos, fit_head, load_photos, open_base_gallery
from base_trained import TRAINED, trained_answers
from whyhere.evaluation import bootstrap_interval
from whyhere.gallery import Gallery, open_gallery
from whyhere.geo import great_circle_km
from whyhere.releases import asset_path, galleries_dir
from whyhere.training import Grounding, RidgeHead, closed_form_alignment

Doubles = NDArray[np.float64]
THRESHOLDS_KM = (25, 200, 750, 2500)
FOLDS, DRAWS = 10, 20
TOPS = (1, 5, 10, 20)
SMALL = (16, 32, 64)
BASE = "combined, grounded (= base)"
ALONE = "all concepts, no remainder"
CONTROLLED = (ALONE, "top 5", "top 10", "top 20")


@dataclass
class Errors:
    """Errors in km of every variant: one row a repetition, one column a photo."""

    photos: int
    repeats: int
    of: dict[str, Doubles] = field(default_factory=dict)

    def put(self, variant: str, repeat: int, rows: NDArray[np.intp], km: Doubles) -> None:
        """Keep the errors of some photos."""
        blank = np.full((self.repeats, self.photos), np.nan)
        self.of.setdefault(variant, blank)[repeat, rows] = km


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder with index.csv and photos")
    parser.add_argument("--pool", type=Path, help="photos with a teacher's scores, from concept_vectors.py")
    parser.add_argument("--trained", action="store_true", help="also train the module in every fold")
    parser.add_argument("--only-trained", action="store_true", help="nothing but the trained module")
    parser.add_argument("--repeats", type=int, default=2, help="seeds of the folds")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    gallery, _, places, table = open_base_gallery()
    photos = load_photos(arguments.photos, places)
    countries = read_countries(arguments.photos)
    single = open_single_places()
    banks = [named_bank(), text_bank()] + ([vector_bank(arguments.pool)] if arguments.pool else [])
    banks.insert(0, replace(banks[0], name=BASE, grounding=Grounding.build(gallery, banks[0].ids)))
    figures: dict[str, object] = {}
    for kind, groups in (("photos", np.arange(len(photos.files))), ("countries", countries)):
        errors = Errors(len(photos.files), arguments.repeats)
        told: dict[str, list[float]] = {}
        for repeat in range(1 if arguments.only_trained else arguments.repeats):
            folds = list(folds_of(groups, seed=repeat))
            for train, test in track(folds, f"{kind}, seed {repeat}", console=Console(stderr=True)):
                _, head = fit_head(photos.examples.take(train), table)
                fold = Fold(photos, train, test, head)
                if arguments.only_trained:
                    train_and_answer(errors, told, fold, banks[0], gallery)
                    continue
                queries, facts = closed_form_queries(fold, banks, controls=repeat == 0)
                for name, value in facts.items():
                    told.setdefault(name, []).append(value)
                answer(errors, repeat, fold, gallery, queries)
                answer(errors, repeat, fold, single, {"closed form, single places": fold.queries})
                nearest = photos.examples.features[test] @ photos.examples.features[train].T
                found = train[nearest.argmax(axis=1)]
                km = great_circle_km(photos.lat[test], photos.lon[test], photos.lat[found], photos.lon[found])
                errors.put("nearest training photo", repeat, test, km)
                if arguments.trained and repeat == 0:
                    train_and_answer(errors, told, fold, banks[0], gallery)
        figures[kind] = report(kind, errors, told)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def train_and_answer(
    errors: Errors, told: dict[str, list[float]], fold: Fold, bank: Bank, gallery: Gallery
) -> None:
    """Answer with the module trained on the other photos, once for every loss."""
    for variant in TRAINED:
        best, drift = trained_answers(variant, fold.photos, fold.train, fold.test, bank, gallery)
        put(errors, variant.name, 0, fold, gallery, best)
        told.setdefault(f"cos(B, E), {variant.name}", []).append(drift)


@dataclass(frozen=True)
class Fold:
    """Photos to learn from, photos to answer, and the head between them."""

    photos: TrainingPhotos
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    head: RidgeHead

    @property
    def queries(self) -> Doubles:
        """What the head says of the photos to answer, shape (photos, 512)."""
        return self.head.predict(self.photos.examples.features[self.test])


def closed_form_queries(
    fold: Fold, banks: list[Bank], *, controls: bool
) -> tuple[dict[str, Doubles], dict[str, float]]:
    """Return what every closed-form variant asks the gallery for, and what it says of itself."""
    queries = {"closed form (= base)": fold.queries}
    facts: dict[str, float] = {}
    for bank in banks:
        parts, share = bank_queries(fold, bank)
        facts[f"named part of the query, {bank.name}"] = share
        queries |= {f"{bank.name}: {name}": query for name, query in parts.items()}
    k, d = banks[0].directions.shape[1], banks[0].directions.shape[0]
    for draw in range(DRAWS * controls):
        for size in (k, *SMALL):
            bank = random_bank(d, size, seed=draw)
            parts, share = bank_queries(fold, bank)
            if size == k:
                facts[f"named part of the query, random {draw}"] = share
            kept = CONTROLLED if size == k else CONTROLLED[:2]
            queries |= {f"random {size} #{draw}: {name}": parts[name] for name in kept}
            if size != k:
                parts, _ = bank_queries(fold, banks[0].some(size, seed=draw))
                queries |= {f"named {size} #{draw}: {name}": parts[name] for name in kept}
    return queries, facts


def bank_queries(fold: Fold, bank: Bank) -> tuple[dict[str, Doubles], float]:
    """Ask by named concepts alone, by the largest contributions alone, and by the remainder alone."""
    features = fold.photos.examples.features
    alignment = closed_form_alignment(
        fold.head, bank.ids, bank.directions, features[fold.train], penalty=SPARSITY, grounding=bank.grounding
    )
    parts: dict[str, list[Doubles]] = {}
    shares = []
    for row in fold.test:
        code = alignment.encode_image(features[row].astype(np.float32))
        named = alignment.basis @ code.z_img
        query = named + code.residual
        # How much of the photo's own query each concept makes up: what orders its contributions.
        weight = np.abs(code.z_img * (query @ alignment.basis))
        order = np.argsort(-weight, kind="stable")
        parts.setdefault(ALONE, []).append(named)
        parts.setdefault("remainder alone", []).append(code.residual)
        for top in TOPS:
            kept = np.zeros_like(code.z_img)
            kept[order[:top]] = code.z_img[order[:top]]
            parts.setdefault(f"top {top}", []).append(alignment.basis @ kept)
        shares.append(float(named @ query / (query @ query)))
    return {name: np.array(rows, np.float64) for name, rows in parts.items()}, float(np.mean(shares))


def answer(errors: Errors, repeat: int, fold: Fold, gallery: Gallery, queries: dict[str, Doubles]) -> None:
    """Answer with the place whose centred embedding has the largest cosine with a query."""
    mean = fold.head.location_mean.astype(np.float32)
    # Up to a factor that all places of a query share, the cosine is product / norm.
    norms = np.sqrt(np.maximum(1 - 2 * gallery.embeddings @ mean + mean @ mean, 1e-12))
    stacked = np.concatenate(list(queries.values())).astype(np.float32)
    best = np.empty(len(stacked), np.intp)
    for start in range(0, len(stacked), 256):
        part = stacked[start : start + 256]
        best[start : start + 256] = ((gallery.embeddings @ part.T - part @ mean) / norms[:, None]).argmax(0)
    for name, found in zip(queries, np.split(best, len(queries)), strict=True):
        put(errors, name, repeat, fold, gallery, found)


def put(
    errors: Errors, name: str, repeat: int, fold: Fold, gallery: Gallery, found: NDArray[np.intp]
) -> None:
    """Keep the errors of answers."""
    lat, lon = fold.photos.lat[fold.test], fold.photos.lon[fold.test]
    km = great_circle_km(lat, lon, gallery.lat[found], gallery.lon[found])
    errors.put(name, repeat, fold.test, km)


def folds_of(groups: NDArray[np.intp], *, seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Divide photos into folds of like size that never part a group; yields training and test rows."""
    rng = np.random.default_rng(seed)
    names, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of, filled = {}, np.zeros(FOLDS)
    for number in order:
        smallest = np.flatnonzero(filled == filled.min())
        fold_of[names[number]] = int(rng.choice(smallest))
        filled[fold_of[names[number]]] += sizes[number]
    fold = np.array([fold_of[group] for group in groups])
    for number in range(FOLDS):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def read_countries(folder: Path) -> NDArray[np.intp]:
    """Return a number for the country of every photo of the index."""
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        countries = [row["country"] for row in csv.DictReader(file)]
    return np.unique(countries, return_inverse=True)[1]


def open_single_places() -> Gallery:
    """Open the gallery with the embeddings of single places."""
    assets = asset_path("geoclip")
    return open_gallery(assets / "gallery.npy", assets / "location_encoder.safetensors", galleries_dir())


def report(kind: str, errors: Errors, told: dict[str, list[float]]) -> dict[str, object]:
    """Print the tables of one kind of folds; return the figures."""
    print(f"\n## Folds of {kind}: {errors.photos} photos, ten folds, {errors.repeats} seeds\n")
    print("| variant | " + " | ".join(f"{t:,} km" for t in THRESHOLDS_KM) + " | median km |")
    print("|---" + "|--:" * 5 + "|")
    figures: dict[str, object] = {}
    for name, km in errors.of.items():
        if "#" in name:
            continue
        km = km[~np.isnan(km).any(axis=1)]
        cells = []
        for threshold in THRESHOLDS_KM:
            hits = 100.0 * (km <= threshold).mean(axis=0)
            interval = bootstrap_interval(hits, lambda sample: sample.mean(axis=-1))
            cells.append(f"{interval.value:.1f} ({interval.low:.0f} to {interval.high:.0f})")
            figures[f"{name}, {threshold} km"] = interval.to_dict()
        figures[f"{name}, median km"] = median = float(np.median(km))
        print(f"| {name} | " + " | ".join(cells) + f" | {median:,.0f} |")
    print("\n| bank | by | named | random: mean of 20 | 5th to 95th | beaten at 750 km | 2,500 km |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for size, kept in control_rows(errors):
        named = [rates(errors.of[name][:1]) for name in control_names("named", size, kept, errors)]
        drawn = [rates(errors.of[f"random {size} #{draw}: {kept}"][:1]) for draw in range(DRAWS)]
        named = named * (DRAWS // len(named))
        beaten = [sum(n[t] > r[t] for n, r in zip(named, drawn, strict=True)) for t in (2, 3)]
        at = np.array([row[2:] for row in drawn])
        low, high = np.percentile(at, (5, 95), axis=0)
        ours = np.mean([row[2:] for row in named], axis=0)
        print(
            f"| k = {size} | {kept} | {ours[0]:.1f} / {ours[1]:.1f} | {at[:, 0].mean():.1f} / "
            f"{at[:, 1].mean():.1f} | {low[0]:.0f} to {high[0]:.0f} / {low[1]:.0f} to {high[1]:.0f} | "
            f"{beaten[0]} | {beaten[1]} |"
        )
        figures[f"k = {size}, {kept}"] = {
            "named": ours.tolist(), "random": at.tolist(), "beaten": beaten
        }  # fmt: skip
    print()
    for name, values in told.items():
        if "random" not in name:
            print(f"{name}: {np.mean(values):.3f}")
        figures[name] = float(np.mean(values))
    if random := [value for name, values in told.items() if "random" in name for value in values]:
        print(f"named part of the query, random banks: {np.mean(random):.3f}")
    return figures


def control_rows(errors: Errors) -> list[tuple[int, str]]:
    """Return sizes and kinds of parts for which random banks were drawn."""
    found = {(int(name.split()[1]), name.split(": ")[1]) for name in errors.of if name.startswith("random ")}
    return sorted(found, key=lambda row: (-row[0], row[1]))


def control_names(kind: str, size: int, kept: str, errors: Errors) -> list[str]:
    """Return the named variants against the random banks of a size: subsets, or the bank itself."""
    some = [f"{kind} {size} #{draw}: {kept}" for draw in range(DRAWS)]
    return some if some[0] in errors.of else [f"{BASE}: {kept}"]


def rates(km: Doubles) -> list[float]:
    """Return percentages within the thresholds over photos and repetitions."""
    return [100.0 * float((km <= threshold).mean()) for threshold in THRESHOLDS_KM]


if __name__ == "__main__":
    main()
