"""Open references for concepts: where on Earth would a map say that a concept is there?

A `Reference` belongs to one concept of the bank and answers for any position: a Koeppen class, a share of
forest, a distance to the coast, a country's script. `agreement` compares it with what a release's location
side says. The concept's references were written down before any score was looked at, and nothing here is
fitted. A release may have learned from them, though: part of the direction of 130 concepts of `base` 0.3.0
was fitted to their references (`Alignment.grounded`), and takes part in explaining photos. For these,
agreement is no test; docs/references.md has what was held out.
"""

from whyhere.references._agreement import (
    CELL_RESOLUTION,
    LEAST_CELLS,
    Agreement,
    CellTable,
    StateAgreement,
    agreement,
    cell_table,
    forest_by_state,
)
from whyhere.references._grounding import Grounding
from whyhere.references._layers import LAYERS, country_sets, koppen_classes
from whyhere.references._reference import Reference, reference_for, references

__all__ = [
    "CELL_RESOLUTION",
    "LAYERS",
    "LEAST_CELLS",
    "Agreement",
    "CellTable",
    "Grounding",
    "Reference",
    "StateAgreement",
    "agreement",
    "cell_table",
    "country_sets",
    "forest_by_state",
    "koppen_classes",
    "reference_for",
    "references",
]
