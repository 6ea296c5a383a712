"""The table of cases: a function of arrays, a point where its derivative is defined, and what PyTorch calls it.

Every suite runs over this one table, so that a new function needs one more line and no more. Arguments that are arrays
of floating-point numbers are differentiated; all others (booleans, integers) are constants.
"""

from tests.cases import (
    compositions,
    creation,
    decompositions,
    elementwise,
    fourier,
    indexing,
    linalg,
    numerics,
    reductions,
    scipys,
    shape,
    special,
    trigonometric,
)
from tests.cases.case import Case

CASES: list[Case] = [
    *elementwise.CASES,
    *linalg.CASES,
    *decompositions.CASES,
    *reductions.CASES,
    *special.CASES,
    *scipys.CASES,
    *shape.CASES,
    *indexing.CASES,
    *creation.CASES,
    *numerics.CASES,
    *fourier.CASES,
    *compositions.CASES,
    *trigonometric.CASES,
]

__all__ = ["CASES", "Case"]
