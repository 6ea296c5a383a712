"""Every public function of NumPy that a Tensor can reach is sorted: it has a rule, gives a plain array, or refuses.

What a new release of NumPy adds stands in none of the three, and fails here until somebody has decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from autodiff import Tensor
from autodiff.core.rule import facts_of, name_of

NAMESPACES = {"": np, "linalg.": np.linalg, "fft.": np.fft, "emath.": np.emath}
DISPATCHING = (np.ufunc, type(np.sum))  # what NumPy hands to the protocols

# What raises NotImplementedError when a Tensor comes, and why.
REFUSED: dict[str, str] = {
    "for integers, bits, dates or text": """
        bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
        busday_count busday_offset datetime_as_string gcd is_busday isnat lcm packbits ravel_multi_index unpackbits
        unravel_index
    """,
    "writes into an array": "copyto fill_diagonal place put put_along_axis putmask",
    "writes a file": "save savetxt savez savez_compressed",
    "hands parts of the array to a function of the caller's": "apply_along_axis apply_over_axes piecewise",
    "sorts out equal elements, whose number changes with the values": """
        intersect1d setdiff1d setxor1d trim_zeros union1d unique unique_all unique_counts unique_inverse unique_values
    """,
    "counts, and gives edges that depend on the values": "histogram histogram2d histogram_bin_edges histogramdd",
    "has a derivative, but no rule yet": "polydiv polyfit polymul",
}


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Give every public function that dispatches, once, by its shortest name."""
    seen: set[Any] = set()
    for prefix, module in NAMESPACES.items():
        for name in sorted(dir(module)):
            function = getattr(module, name)
            if not name.startswith("_") and isinstance(function, DISPATCHING) and function not in seen:
                seen.add(function)
                yield prefix + name, function


FUNCTIONS = dict(functions())
ALL_REFUSED = {name for names in REFUSED.values() for name in names.split()}


def has_rule(function: Callable[..., Any]) -> bool:
    facts = facts_of(function)
    return bool(facts.rules or facts.variadic or facts.recorded_as)


@pytest.mark.together("name", FUNCTIONS)
def test_every_function_is_sorted(name: str) -> None:
    function = FUNCTIONS[name]
    facts = facts_of(function)
    places = [has_rule(function) or facts.recorded_as is not None, facts.is_constant, name in ALL_REFUSED]
    assert sum(places) == 1, f"{name}: has a rule, gives a plain array, refuses: {places}"


def test_nothing_is_refused_that_does_not_exist() -> None:
    # Releases differ in what they have; in the newest one everything that is listed should be there.
    missing = {name for name in ALL_REFUSED if name not in FUNCTIONS}
    assert not missing


@pytest.mark.together("name", sorted(ALL_REFUSED & FUNCTIONS.keys()))
def test_what_is_refused_names_itself(name: str) -> None:
    function = FUNCTIONS[name]
    x = Tensor(np.ones((2, 2)))
    if isinstance(function, np.ufunc):
        call = lambda: x.__array_ufunc__(function, "__call__", *[x] * function.nin)  # noqa: E731
    else:
        call = lambda: x.__array_function__(function, (Tensor,), (x,), {})  # noqa: E731
    with pytest.raises(NotImplementedError, match=rf"^{name_of(function)} has no derivative rule"):
        call()


@pytest.mark.together("name", [name for name in FUNCTIONS if facts_of(FUNCTIONS[name]).is_constant])
def test_what_has_no_derivative_gives_plain_arrays(name: str) -> None:
    function, x = FUNCTIONS[name], Tensor(np.array([[1.0, 0.5], [0.25, 2.0]]))
    arguments: list[tuple[Any, ...]] = [
        (x,),
        (x, x),
        (x, 1),
        (np.arange(4.0), x),
        (x, np.arange(4.0)),
        (x, "float32"),
        (x > 1,),
        (np.arange(2), x[0] > 1),
        ("ij,jk", x, x),
    ]
    for args in arguments:
        try:
            result = function(*args)
        except (TypeError, ValueError, IndexError):
            continue
        parts = result if isinstance(result, list | tuple) else [result]
        assert not any(isinstance(part, Tensor) for part in parts)
        return
    pytest.fail(f"none of the calls fits {name}")
