"""The simplifications of a program, in the order in which they run."""

from __future__ import annotations

from autodiff.compiler.program import Program
from autodiff.compiler.simplify import exact, rewriting, rounding
from autodiff.compiler.simplify.rewriting import Pass

PASSES: dict[str, Pass] = {
    "variances": rounding.variances,
    "lower": exact.lower,
    "constant": exact.fold_constants,
    "filled": exact.filled,
    "neutral": exact.neutral,
    "copies": rounding.copies,
    "vectors": rounding.vectors,
    "powers": rounding.powers,
    "factors": rounding.factors,
    "sums_as_products": rounding.sums_as_products,
    "repeated": exact.repeated,
    "dead": exact.dead,
    "rates_first": rounding.rates_first,
    "scaled_products": rounding.scaled_products,
    "updates_as_products": rounding.updates_as_products,
}
INEXACT = {name for name, simplify in PASSES.items() if simplify in rewriting.INEXACT}
OF_BACKEND = {  # those that pay for one backend only
    **dict.fromkeys(["sums_as_products", "rates_first", "scaled_products"], "numpy"),
    "updates_as_products": "numba",
}


def simplified(program: Program, exact: bool, without: frozenset[str] = frozenset(), backend: str = "numpy") -> Program:
    """Run the passes."""
    for name, simplify in PASSES.items():
        if name not in without and OF_BACKEND.get(name, backend) == backend and not (exact and name in INEXACT):
            program = simplify(program)
    return program
