"""Does a true hint help, and how much does a false one harm? For docs/text.md.

    python scripts/hint_effect.py --data TABLE [--data TABLE]

Nobody wrote hints for the sample photos, so open data speaks: a photo's true hint is the rarest concept of
the bank that a map confirms at its place (a climate, a region's thing; the photo is not looked at), its false
hint is the true hint of another photo that the map denies here. Each street-level photo is located by an
alignment fitted on the photos of other folds, without a hint and with either, as `whyhere locate` does.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from base_measure import STREET_FOLDS, add_photo_arguments, read_photos
from whyhere.concepts import load_bank, open_vocabulary
from whyhere.geo import great_circle_km
from whyhere.ranking import cell_probabilities, hint_log_prior, rank_places
from whyhere.references import references
from whyhere.releases import resolve
from whyhere.training import fit_base


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_photo_arguments(parser)
    workshop, photos = read_photos(parser.parse_args(arguments))
    gallery, cells = workshop.gallery, workshop.cells
    ranking = resolve("base").config.ranking
    street = np.flatnonzero([kind == "street" for kind in photos.kinds])
    fold_of = np.full(len(photos.files), -1)
    fold_of[street] = np.random.default_rng(0).permutation(len(street)) % STREET_FOLDS
    alignments = [
        fit_base(photos, np.flatnonzero(fold_of != fold), workshop)[0] for fold in range(STREET_FOLDS)
    ]
    vocabulary, bank = open_vocabulary(), load_bank()
    texts, here, share = {}, {}, {}
    for reference in references():
        words = [w for w in bank.find(reference.concept_id).words if w in vocabulary]
        if words and reference.directness == "direct" and reference.kind == "binary":
            texts[reference.concept_id] = vocabulary.direction(", ".join(words)).pattern
            here[reference.concept_id] = reference.values(photos.lat, photos.lon) > 0.5
            share[reference.concept_id] = float(np.nanmean(reference.values(gallery.lat, gallery.lon)))
    by_rarity = sorted(share, key=lambda key: share[key])
    count = len(photos.files)
    true = [next((key for key in by_rarity if here[key][row]), None) for row in range(count)]
    turn = np.random.default_rng(0).permutation(count)
    errors: dict[str, list[float]] = {"none": [], "true": [], "false": []}
    near: dict[str, list[float]] = {"none": [], "true": [], "false": []}
    for row in street.tolist():
        false = next((true[o] for o in np.roll(turn, row) if true[o] and not here[true[o]][row]), None)
        if true[row] is None or false is None:
            continue
        alignment = alignments[fold_of[row]]
        code = alignment.encode_image(photos.features[row].astype(np.float32))
        scores = alignment.scores(code, gallery.embeddings)
        km = great_circle_km(photos.lat[row], photos.lon[row], gallery.lat, gallery.lon)
        for kind, concept in (("none", None), ("true", true[row]), ("false", false)):
            prior = None
            if concept is not None:
                direction = alignment.location_direction(texts[concept])
                prior = hint_log_prior(alignment.location_cosines(direction, gallery.embeddings))
            probabilities = cell_probabilities(
                scores,
                cells,
                temperature=ranking["temperature"],
                background=ranking["background"],
                log_prior=prior,
            )
            (best,) = rank_places(probabilities, scores, cells, top=1, radius_km=ranking["radius_km"])
            errors[kind].append(float(km[best.point]))
            inside = np.bincount(cells.cell_of_point, km <= 750, len(cells.cells)) > 0
            near[kind].append(float(probabilities[inside].sum()))
    print(f"{len(errors['none'])} photos; hints: {len(set(true) - {None})} concepts")
    print("hint   within 750 km  within 2500 km  median km  mean probability of cells within 750 km")
    for kind, values in errors.items():
        km = np.array(values)
        print(
            f"{kind:6} {np.mean(km <= 750):12.1%} {np.mean(km <= 2500):14.1%} {np.median(km):11.0f} "
            f"{np.mean(near[kind]):12.1%}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
