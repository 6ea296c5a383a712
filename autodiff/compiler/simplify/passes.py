"""The simplifications of a program, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass

from autodiff.compiler.program import Program
from autodiff.compiler.simplify import exact, products, rewriting, rounding
from autodiff.compiler.simplify.rewriting import Pass

PASSES: dict[str, Pass] = {
    "variances": rounding.variances,
    "lower": exact.lower,
    "products": products.products,
    "constant": exact.fold_constants,
    "views": exact.views,
    "filled": exact.filled,
    "neutral": exact.neutral,
    "copies": rounding.copies,
    "powers": rounding.powers,
    "repeated": exact.repeated,
    "dead": exact.dead,
    "factors": rounding.factors,
    "signs": rounding.signs,
    "sums_as_products": rounding.sums_as_products,
    "rates_first": rounding.rates_first,
    "increments": rounding.increments,
    "updates_as_products": rounding.updates_as_products,
}
INEXACT = {name for name, change in PASSES.items() if change in rewriting.INEXACT}
OF_BACKEND = {  # those that pay for one backend only
    **dict.fromkeys(["sums_as_products", "rates_first"], "numpy"),
    "updates_as_products": "numba",
}


@dataclass(frozen=True)
class Options:
    """How a program is to be made.

    Attributes:
        exact: whether every bit is to be kept.
        without: the passes that are left out.
        backend: ``"numpy"`` or ``"numba"``.
    """

    exact: bool = False
    without: frozenset[str] = frozenset()
    backend: str = "numpy"


def simplify(program: Program, options: Options) -> Program:
    """Run the passes."""
    for name, change in PASSES.items():
        is_for_it = OF_BACKEND.get(name, options.backend) == options.backend
        if is_for_it and name not in options.without and not (options.exact and name in INEXACT):
            program = change(program)
    return program
