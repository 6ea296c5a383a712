"""What difference quotients say of a derivative: that it exists, and which, or that there is a kink, a jump or a pole.

A function is given at a point and at three distances on either side of it. From each side the quotients settle at a
slope, or grow like the inverse of the distance (a jump, and beyond it a slope), or grow otherwise (an infinite slope).
Where a side does nothing of these clearly, because of rounding, nothing is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

RATIO = 7  # no power of two, with which the mantissa of a number would be the same at every distance
STEPS = (1e-3, 1e-3 / RATIO, 1e-3 / RATIO**2)

SETTLES, JUMPS, GROWS, OUTSIDE, UNCLEAR = range(5)


@dataclass
class Side:
    """What the quotients do on one side, for each element: the kind, the slope, and by how much it may be off."""

    kind: Any
    slope: Any
    error: Any
    quotients: list[Any]

    @property
    def is_finite(self) -> Any:
        return np.isin(self.kind, (SETTLES, JUMPS))


def one_side(here: Any, there: list[Any], sign: int, size: Any) -> Side:
    """Look at a function from one side: its values ``there`` are at the distances ``STEPS``, times the sign."""
    steps = [sign * step for step in STEPS]
    quotients = [(value - here) / step for value, step in zip(there, steps, strict=True)]
    noise = [rounding(size, quotient, step) for quotient, step in zip(quotients, STEPS, strict=True)]
    first, second, third = quotients
    moved, moves = np.abs(second - first), np.abs(third - second)
    slopes = [extrapolated(first, second, RATIO), extrapolated(second, third, RATIO)]
    pieces = [(there[k] - there[k + 1]) / (steps[k] - steps[k + 1]) for k in (0, 1)]
    kind = np.select(
        [
            ~np.isfinite(np.sum(there, axis=0)),
            (moves <= 0.6 * moved) | (moves <= 4 * noise[2]),
            np.abs(third) >= 0.9 * RATIO * np.abs(second),
            moves >= 0.9 * moved,
        ],
        [OUTSIDE, SETTLES, JUMPS, GROWS],
        UNCLEAR,
    )
    jumps = kind == JUMPS
    return Side(
        kind,
        np.where(jumps, pieces[1], slopes[1]),
        np.where(jumps, np.abs(pieces[1] - pieces[0]) + 8 * noise[1], np.abs(slopes[1] - slopes[0]) + noise[2]),
        quotients,
    )


def extrapolated(far: Any, near: Any, ratio: int) -> Any:
    """Richardson's extrapolation of two quotients to the distance 0."""
    return (ratio * near - far) / (ratio - 1)


def rounding(size: Any, quotient: Any, step: float) -> Any:
    """Say how far a quotient may be off because the numbers that it is made of are rounded."""
    return 64 * float(np.finfo(size.dtype).eps) * (size + np.abs(quotient)) / step


def faults(
    ours: Any, here: Any, right: list[Any], left: list[Any], size: Any, unit: Any, dtype: Any, rtol: float
) -> Any:
    """Hold derivatives in a direction, computed in ``dtype``, against the values of the function along it.

    ``size`` says how large the numbers are of which the values are made, ``unit`` how long the direction is: a
    derivative may be too large or too small for the dtype as it is, or by what it is for a length of one.

    Returns:
        For each element what is wrong with ours (an empty string if nothing is), what would be right, and whether
        anything is claimed of it.
    """
    around = np.fmax.reduce(np.abs([*right, *left]), axis=0)
    size = np.fmax(size, np.fmax(np.abs(here), around))
    plus, minus = one_side(here, right, 1, size), one_side(here, left, -1, size)
    smallest = 1e4 * float(np.finfo(dtype).tiny) * np.maximum(unit, 1)
    largest = float(np.finfo(dtype).max) / 1e4 * np.minimum(unit, 1)

    central = [(a + b) / 2 for a, b in zip(plus.quotients, minus.quotients, strict=True)]
    coarse, best = extrapolated(*central[:2], RATIO**2), extrapolated(*central[1:], RATIO**2)
    both = (plus.kind == SETTLES) & (minus.kind == SETTLES)
    steepest = np.maximum(np.abs(plus.slope), np.abs(minus.slope))
    exists = both & (np.abs(plus.slope - minus.slope) <= 8 * (plus.error + minus.error) + 1e-6 * steepest)
    allowed = rtol * np.abs(best) + 2 * np.abs(best - coarse) + 2 * rounding(size, best, STEPS[2]) + smallest
    allowed += (64 if dtype == np.float32 else 4) * float(np.finfo(dtype).eps) * size
    is_other = ~(np.abs(ours - best) <= allowed) & ~((np.abs(best) > largest) & ~np.isfinite(ours))

    low, high = np.full(here.shape, np.inf), np.full(here.shape, -np.inf)
    for side in (plus, minus):
        margin = side.error + rtol * np.abs(side.slope) + smallest
        low = np.where(side.is_finite, np.minimum(low, side.slope - margin), low)
        high = np.where(side.is_finite, np.maximum(high, side.slope + margin), high)
        grows = side.kind == GROWS
        low = np.where(grows & (side.quotients[2] < 0), -np.inf, low)
        high = np.where(grows & (side.quotients[2] > 0), np.inf, high)
    is_between = ~np.isfinite(ours) | ((low <= ours) & (ours <= high))
    is_pole = ((plus.kind == GROWS) | (minus.kind == GROWS)) & ~(plus.is_finite | minus.is_finite)

    outside = (plus.kind == OUTSIDE) & (minus.kind == OUTSIDE)
    is_absorbed = (np.asarray(unit) < 1e-20) & np.all([value == here for value in (*right, *left)], axis=0)
    claimed = np.isfinite(here) & ~is_absorbed & ~outside & (plus.kind != UNCLEAR) & (minus.kind != UNCLEAR)
    what = np.select(
        [~claimed, exists & is_other, exists, is_pole & np.isfinite(ours), is_pole, ~is_between],
        ["", "derivative", "", "finite, where it is infinite", "", "between the sides"],
        "",
    )
    return what, np.where(exists, best, np.where(is_pole, np.inf, plus.slope)), claimed
