"""Open references for concepts: where on Earth would a map say that a concept is there?

A `Reference` belongs to one concept of the bank and answers for any position: a Koeppen class, a share of
forest, a distance to the coast, a country's script. `agreement` compares it with what a release's location
side says. The concept's references were written down before any score was looked at, and nothing here is
fitted. A release may have learned from them, though: part of the direction of 130 concepts of `base` 0.3.0
was fitted to their references (`Alignment.grounded`), and takes part in explaining photos. For these,
agreement is no test; docs/references.md has what was held out.
"""

from whyhere.references._agreement import Agreement, agreement
from whyhere.references._cells import CELL_RESOLUTION, CellTable, cell_table
from whyhere.references._read import reference_for, references
from whyhere.references._reference import Reference
from whyhere.references._states import StateAgreement, forest_by_state

__all__ = [
    "CELL_RESOLUTION",
    "Agreement",
    "CellTable",
    "Reference",
    "StateAgreement",
    "agreement",
    "cell_table",
    "forest_by_state",
    "reference_for",
    "references",
]
