"""Eigenvalues, singular values and their vectors, also where values are equal.

A vector turns towards another by ``N / (difference of their values)``, N being what the gradient says of the two. Where
values are equal, their vectors are any that span the same space, and have no derivative. A function of the matrix that
does not depend on their choice, as ``V f(w) Vᵀ``, has one all the same: N is zero there too, and the quotient is the
derivative of N by the difference (Daleckii and Krein 1951). So the gradient that flows back is itself differentiated by
the values. A function that does depend on the choice gets what a division by zero gives: an infinite gradient, or nan.

So it is where values are not equal, but their difference, or that of what the function makes of them, has lost most of
its digits, as for ``exp`` of a matrix near zero.

Values and vectors must come from one call for that. At equal values second derivatives are right too; the third, and
for what depends on values only the fourth, are refused.

Complex vectors multiplied by a number of magnitude one are vectors too. As in PyTorch, a function that depends on their
phases is refused. Formulas are those of the literature, conjugated, since a gradient flows as the derivative by a
complex variable; so ``Vᴴ`` stands there as ``Vᵀ``.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.arrays.whole import held_as, holds_any, is_numpy, looked_at, require
from autodiff.core.record import data_of, is_variable, variable
from autodiff.core.rule import Array, Rule, defvjp, describe
from autodiff.core.tape import conj, pullback
from autodiff.core.tensor import Tensor, as_array, is_complex
from autodiff.core.watch import unwatched
from autodiff.rules.limits import exact_to
from autodiff.rules.linalg import swap_last_axes
from autodiff.transforms.composition import defcomposition


def _ties(values: Array, to_zero: bool, tolerance: float) -> Any:
    """Tell which values are too near to each other for a quotient of differences, or the same but for rounding.

    Args:
        values: in their order along the last axis. If they cannot be looked at, none are tied.
        to_zero: tell also which are tied to zero.
        tolerance: how near, as a part of the largest; see `_nearness`.

    Returns:
        A symmetric matrix, which has ties to zero on its diagonal.
    """
    values, identity = data_of(values), np.eye(values.shape[-1], dtype=bool)
    if looked_at(values) is None:
        return np.zeros((*values.shape, values.shape[-1]), bool)
    row, column = values[..., None, :], np.where(identity, 0, values[..., :, None])
    return (np.abs(row - column) <= tolerance * _largest(values)) & (to_zero | ~identity)


def _nearness(values: Array, further: bool) -> float:
    """Give the tolerance at which a quotient has half its digits, or its derivative, if it is wanted, a third.

    A difference ``d`` leaves a quotient a relative error of ``precision / d`` and its derivative one of
    ``precision / d²``, and what takes their places one of ``d``.
    """
    return float(_precision(values) ** (1 / 3 if further else 1 / 2))


def _sameness(values: Array) -> float:
    """Give the tolerance for values that are the same but for rounding."""
    return float(values.shape[-1] * _precision(values))


def _spoilt(numerator: Array, divisor: Array, ties: Any, size: Any, others: Array | None, tolerance: float) -> Any:
    """Tell of which quotients rounding would leave too few digits, though no values are tied, as of ``exp`` near 0.

    Args:
        numerator: an antisymmetric matrix; if it cannot be looked at, none are.
        divisor: differences of values, and ones on the diagonal.
        ties: where they are tied.
        size: of the numbers that numerators are differences of.
        others: what the gradient consists of beside the quotients, if anything.
        tolerance: how few digits, as for `_ties`.
    """
    numerator, divisor = data_of(numerator), data_of(divisor)
    if looked_at(numerator) is None:
        return False
    limit = tolerance * size
    few = (np.abs(numerator) < limit) & ~(ties | np.eye(ties.shape[-1], dtype=bool))
    if not holds_any(few):
        return False
    scale = _largest(np.where(ties, 0, numerator / np.where(ties, 1, divisor)), -2)
    if others is not None:
        scale = np.maximum(scale, _largest(others))
    return few & (np.abs(divisor) * scale < limit)


def _differences(values: Array, identity: Array) -> Array:
    """Give the value of the column minus that of the row, and beside that on the diagonal what divides a zero."""
    return np.where(identity, _far(values), values[..., None, :] - values[..., :, None])


def _far(values: Array) -> float:
    """Give a number that is no difference of values, nor as small as their rounding."""
    return float(np.finfo(values.dtype).max ** 0.5)


def _precision(x: Array) -> float:
    return float(np.finfo(x.dtype).eps)


def _largest(x: Array, axis: int = -1) -> Any:
    """Give the largest magnitude in each member of a stack, as a matrix of one element."""
    x = np.abs(data_of(x))
    largest = np.max(x, axis=tuple(range(axis, 0))) if x.size else np.zeros(x.shape[:axis], x.dtype)
    return largest[..., None, None]


class _Place(NamedTuple):
    """Values with ties, and their vectors."""

    out: Tensor  # all of them
    position: int  # of the values
    ties: Any
    turned: Sequence[Array]  # a direction for each output, or None, in which vectors of equal values turn


class _Part(NamedTuple):
    """Quotients, in a matrix, that are 0 / 0 where values are tied."""

    numerator: Array  # a column belongs to a value
    divisor: Array  # a sum or difference of that of the column and that of the row, or the former alone
    tied: Any  # where the quotient may have to be another
    signs: Sequence[int]  # how a first and a second derivative by the divisor come of those by the columns' values


def _divided(parts: Sequence[_Part], values: Array) -> list[Array]:
    """Divide; what is zero but for rounding counts as zero, so that no quotient of rounding errors looks like one."""
    rounding = values.shape[-1] * _precision(values) * _largest(values)
    return [part.numerator / np.where(np.abs(data_of(part.divisor)) <= rounding, 0, part.divisor) for part in parts]


def _settled(
    parts: Sequence[_Part], gradient_of: Callable[[Sequence[Array]], Array], place: _Place, size: Any, further: bool
) -> Array:
    """Give the gradient by a matrix with ties, as the head of this file says.

    Args:
        parts: what is to be divided.
        gradient_of: makes the gradient of the quotients.
        place: the values and vectors.
        size: of the numbers that numerators are differences of.
        further: the result is to be differentiated.
    """
    out, position, ties, turned = place
    values = (*out,)[position]
    largest, rounding = _largest(values), values.shape[-1] * _precision(values)
    precision = _precision(values) ** (1 / 3)

    def by_columns(matrices: Sequence[Array]) -> list[Array]:
        """Differentiate each column of some matrices by its own value."""
        along = _derivative(matrices, out)
        sums: list[Array] = [0.0] * len(parts)
        for one in _one_by_one(ties):
            direction = [one.astype(values.dtype) if k == position else None for k in range(len(data_of(out)))]
            sums = [so_far + np.where(one[..., None, :], slope, 0) for so_far, slope in zip(sums, along(direction))]
        return sums

    numerators = [part.numerator for part in parts]
    columns = by_columns(numerators)
    firsts = [_symmetric(column, part.signs[0]) for part, column in zip(parts, columns)]
    quotients, masks = [], []
    for part, column, first, turning in zip(parts, columns, firsts, _derivative(numerators, out)(turned)):
        numerator, divisor = data_of(part.numerator), data_of(part.divisor)
        is_turned = np.abs(data_of(turning)) > precision * (size + _largest(column, -2) * largest)
        error = np.abs(numerator - data_of(first) * divisor)
        masks.append(part.tied & ~is_turned & (error <= 16 * rounding * size))
        is_zero = is_turned & (np.abs(divisor) <= rounding * largest)
        divisor = np.where(masks[-1], 1, np.where(is_zero, 0, part.divisor))
        quotient = first * exact_to(values, 2, "what depends on vectors of equal values")[..., None, :]
        quotients.append(np.where(masks[-1], quotient, part.numerator / divisor))
    gradient = gradient_of(quotients)
    scale = _largest(gradient, -2) + np.where(largest == 0, 0, size / np.where(largest == 0, 1, largest))
    changes = np.abs(data_of(_derivative([gradient], out)(turned)[0])) > precision * scale
    if further:  # by Taylor's formula, f(x) / x = f' - x f'' / 2, to the order x²
        for k, (part, mask, column) in enumerate(zip(parts, masks, by_columns(firsts))):
            quotients[k] = quotients[k] - np.where(mask, part.divisor * _symmetric(column, part.signs[1]) / 2, 0)
        gradient = gradient_of(quotients)
    return gradient * np.where(changes.any(axis=(-1, -2), keepdims=True), np.nan, 1) if holds_any(changes) else gradient


def _derivative(matrices: Sequence[Array], out: Tensor) -> Callable[[Sequence[Array]], list[Array]]:
    """Make the function that differentiates matrices in a direction of some outputs."""
    weights = [variable(np.ones_like(data_of(matrix))) for matrix in matrices]
    seeds = [(matrix, weight) for matrix, weight in zip(matrices, weights) if is_variable(matrix)]
    with unwatched():
        linear = pullback(seeds, True, (out,), "none").get(out, ())  # in the weights

    def along(direction: Sequence[Array]) -> list[Array]:
        pairs = [(one, d) for one, d in zip(linear, direction) if one is not None and d is not None]
        with unwatched():
            slopes = pullback(pairs, True, weights, "none")
        return [slopes.get(weight, np.zeros_like(data_of(weight))) for weight in weights]

    return along


def _symmetric(x: Array, sign: int = 1) -> Array:
    """Give the symmetric (Hermitian) part of matrices, with -1 the antisymmetric one, and with 0 the matrices."""
    return (x + sign * conj(swap_last_axes(x))) / 2 if sign else x


def _one_by_one(ties: Any) -> Iterator[Any]:
    """Give each value that is tied by itself, in all members of a stack at once that have the same ties."""
    count, array = ties.shape[-1], looked_at(ties)
    patterns, which = np.unique(array.reshape(-1, count * count), axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        for k in np.flatnonzero(pattern.reshape(count, count).any(axis=0)):
            one = np.zeros((len(which), count), bool)
            one[which == number, k] = True
            yield held_as(one.reshape(array.shape[:-1]), ties)


def _angles(ties: Any, dtype: Any, shift: int = 0) -> Any:
    """Give an antisymmetric matrix of some numbers, 0 where values are not tied: a turn of the vectors that are."""
    angles = _some((ties.shape[-1], ties.shape[-1]), dtype, shift)
    return np.where(ties, angles - conj(angles.T), 0)


def _some(shape: tuple[int, ...], dtype: Any, shift: int = 0) -> Any:
    """Give numbers of which no function is made that happens not to change in their direction."""
    phases = np.arange(1.0 + shift, math.prod(shape) + 1 + shift).reshape(shape)
    return (np.sin(phases) + (1j * np.cos(2 * phases) if np.dtype(dtype).kind == "c" else 0)).astype(dtype)


def _turning(name: str, inner: Array, values: Array, *gradients: Array) -> Array:
    """Give the antisymmetric part of products of vectors with their gradients, without what only phases have there."""
    turning = _symmetric(inner, -1)
    if not is_complex(turning):
        return turning
    return np.where(np.eye(turning.shape[-1], dtype=bool), 0, turning) + _phases(name, inner, values, *gradients)


def _phases(name: str, inner: Array, values: Array, *gradients: Array) -> Any:
    """Refuse a function that changes with the phases of vectors: products with their gradients tell it by the diagonal.

    What the function makes of the values is rounded as their size is, and zero but for that.
    """
    phases = np.abs(np.imag(np.diagonal(data_of(inner), axis1=-2, axis2=-1)))
    rounding = 100 * phases.shape[-1] * _precision(phases) * np.maximum(1, _largest(values)[..., 0]) ** 2
    counts = phases > _precision(phases) ** 0.5 * sum(_largest(g, -2) for g in gradients)[..., 0] + rounding
    return _refused(
        counts,
        ValueError,
        f"{name}: the function to differentiate depends on the phases of complex vectors, which are any: with v, "
        "v * exp(1j * t) is one too; use what does not, as abs(v), v * conj(v[..., :1, :]) or (v * w) @ v.conj().T",
    )[..., None, :]


def _refused(condition: Array, error: type[Exception], message: str) -> Any:
    """Raise an error where a condition holds anywhere, and give zeros; where that cannot be looked into, NaN."""
    array = condition
    while hasattr(array, "members"):
        array = array.members
    if is_numpy(array):
        require(np.logical_not(array), error, message)
    return np.where(condition, np.nan, 0)


def _turn(g: Any, out: Any, further: bool) -> tuple[_Part, Any]:
    """Give the quotients ``F ∘ Vᵀ gV`` of `_eigh`, and the size of the numbers that numerators are differences of."""
    (w, v), (g_w, g_v) = out, g
    inner, identity = swap_last_axes(v) @ g_v, np.eye(w.shape[-1], dtype=bool)
    numerator, divisor = _turning("eigh", inner, w, g_v), _differences(w, identity)
    tolerance, size = _nearness(w, further), _largest(inner, -2)
    ties = _ties(w, False, tolerance)
    return _Part(numerator, divisor, ties | _spoilt(numerator, divisor, ties, size, g_w, tolerance), (1, -1)), size


def _eigh(g: Any, out: Any, further: bool = True) -> Array:
    """The symmetric part of ``conj(V) (diag(gw) + F ∘ Vᵀ gV) Vᵀ``, where F = 1 / (wⱼ - wᵢ) (Giles 2008)."""
    (w, v), (g_w, g_v) = out, g
    left, vt = conj(v), swap_last_axes(v)
    if g_v is None:
        return (left * g_w[..., None, :]) @ vt
    part, size = _turn(g, out, further)

    def gradient_of(quotients: Sequence[Array]) -> Array:
        identity = np.eye(w.shape[-1], dtype=bool)
        return left @ (quotients[0] if g_w is None else np.where(identity, g_w[..., None, :], quotients[0])) @ vt

    if not isinstance(out, Tensor) or not holds_any(part.tied):
        return gradient_of(_divided([part], w))
    turned = data_of(v) @ _angles(_ties(w, False, _sameness(w)), v.dtype)
    return _settled([part], gradient_of, _Place(out, 0, part.tied, (None, turned)), size, further)


def _svd(g: Any, out: Any, a: Array, compute_uv: bool, further: bool = True) -> Array:
    """Give the gradient for U, s and V, as in Townsend 2016, Differentiating the singular value decomposition.

    It is ``U (J ∘ F s + s K ∘ F + diag(gs)) Vᵀ``, where J and K are the antisymmetric parts of ``Uᵀ gU`` and
    ``Vᵀ gV`` and F = 2 / (sⱼ² - sᵢ²), and what ``gU`` and ``gV`` have outside of the spaces of U and V. The first two
    terms are ``(J + K) / (sⱼ - sᵢ) + (J - K) / (sⱼ + sᵢ)``, so that what turns U and V alike, as in ``U Vᵀ``, has a
    derivative also where singular values are equal. Complex vectors also turn by their phases: the imaginary diagonals
    of J and K, of which ``J + K`` must have none, and those of U and V against each other count as the rest does.
    """
    if not compute_uv:
        return values_gradient(g, a)
    (u, s, vt), (g_u, g_s, g_vt) = out, g
    rows, columns = a.shape[-2:]
    if g_u is None and g_vt is None:
        return conj((u * g_s[..., None, :]) @ vt)
    left, right = conj(u), conj(vt)
    v = swap_last_axes(right)
    g_u = np.zeros_like(u) if g_u is None else g_u
    g_v = np.zeros_like(v) if g_vt is None else conj(swap_last_axes(g_vt))
    in_u, in_v = swap_last_axes(u) @ g_u, right @ g_v
    row, column, identity = s[..., None, :], s[..., :, None], np.eye(s.shape[-1], dtype=bool)
    nearness, is_tall, has_phases = _nearness(s, further), rows > columns, is_complex(u)
    ties = _ties(s, rows != columns or has_phases, nearness)
    zero, both_zero = _zeros(_ties(s, True, nearness))
    alike, apart = _turning("svd", in_u + in_v, s, g_u, g_v), _symmetric(in_u - in_v, -1)
    if has_phases:  # on the diagonal s is half of the divisor s + s, and so has half the numerator
        apart = apart - np.where(identity, apart, 0) / 2
    sums = np.where(identity, row if has_phases else _far(s), row + column)
    parts = [
        _Part(alike, _differences(s, identity), ties & ~identity, (1, -1)),
        _Part(apart, sums, both_zero & (has_phases | ~identity), (-1, -1)),
    ]
    if rows != columns:
        parts.append(_Part(g_u - left @ in_u if is_tall else g_v - conj(v) @ in_v, row, zero, (0, 0)))

    def gradient_of(quotients: Sequence[Array]) -> Array:
        inner = (quotients[0] if g_s is None else np.where(identity, g_s[..., None, :], quotients[0])) + quotients[1]
        gradient = left @ inner @ right
        for outside in quotients[2:]:
            gradient = gradient + (outside @ right if is_tall else left @ conj(swap_last_axes(outside)))
        return gradient

    if not isinstance(out, Tensor) or not holds_any(ties):
        return gradient_of(_divided(parts, s))
    # Where singular values are equal, U and V turn alike; where they are zero, each by itself, and outwards.
    equal = _ties(s, True, _sameness(s))
    zero, both_zero = _zeros(equal)
    same = _angles(equal & ~both_zero, u.dtype)
    turns = [data_of(x) @ (same + _angles(both_zero, u.dtype, shift)) for shift, x in ((1, u), (2, v))]
    if rows != columns:
        basis = data_of(u if is_tall else v)
        outwards = _some(basis.shape[-2:], u.dtype)
        outwards = np.where(zero, outwards - basis @ (conj(swap_last_axes(basis)) @ outwards), 0)
        turns[not is_tall] = turns[not is_tall] + outwards
    place = _Place(out, 1, ties, (turns[0], None, conj(swap_last_axes(turns[1]))))
    return _settled(parts, gradient_of, place, np.maximum(_largest(g_u, -2), _largest(g_v, -2)), further)


def _refuse_svd(a: Array, full_matrices: bool = True, compute_uv: bool = True) -> None:
    if compute_uv and full_matrices and a.shape[-2] != a.shape[-1]:
        raise NotImplementedError(
            f"svd of shape {a.shape} with full_matrices=True has no derivative rule, since some of its vectors are any "
            "that complete the basis: use full_matrices=False, or svdvals"
        )


def _zeros(ties: Any) -> tuple[Any, Any]:
    """Tell which values are tied to zero, as a row, and which pairs are."""
    zero = np.diagonal(ties, axis1=-2, axis2=-1)[..., None, :]
    return zero, zero & swap_last_axes(zero)


def values_gradient(g: Array, x: Array) -> Array:
    """``U diag(g) Vᵀ``, the gradient of singular values that were computed without their vectors."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    gradient = conj((u * g[..., None, :]) @ vt)
    if not holds_any(_ties(s, False, _nearness(s, False))):
        return gradient
    return gradient * exact_to(x, 0, "the gradient of equal singular values without their vectors")


def _eig(g: Any, out: Any) -> Array:
    """``V⁻ᵀ (diag(gw) + F ∘ (Vᵀ gV - Vᵀ conj(V) diag(Re Vᵀ gV))) Vᵀ``, where F = 1 / (wⱼ - wᵢ).

    The second term in the brackets keeps the vectors' length at one (Boeddeker et al. 2017, On the computation of
    complex-valued gradients). Vectors of equal eigenvalues have no derivative: that is infinite or nan.

    Raises:
        LinAlgError: there are fewer vectors than rows, so that a value has no derivative either.
    """
    (w, v), (g_w, g_v) = out, g
    vt = swap_last_axes(v)
    inverse = np.linalg.inv(vt)
    few = w.shape[-1] * _precision(v) ** (2 / 3) * _largest(inverse, -2) > 1
    inverse = inverse + _refused(few, np.linalg.LinAlgError, "eig: some eigenvectors are the same, but for rounding")
    if g_v is None:
        return inverse @ (g_w[..., :, None] * vt)
    inner, identity = vt @ g_v, np.eye(w.shape[-1], dtype=bool)
    lengths = np.diagonal(inner, axis1=-2, axis2=-1)[..., None, :]
    lengths = np.real(lengths) + _phases("eig", inner, w, g_v) if is_complex(v) else lengths
    turning = inner - (vt @ conj(v)) * lengths
    quotient = _divided([_Part(turning, _differences(w, identity), False, ())], w)[0]
    return inverse @ (np.where(identity, 0 if g_w is None else g_w[..., None, :], quotient) @ vt)


def _roots(g: Array, out: Array, p: Array) -> Array:
    """``-g x^k / p'(x)`` for the coefficient of ``x^k``, summed over the roots."""
    slopes = np.polyval(np.polyder(p), out)
    return -(g / slopes) @ np.vander(out, p.shape[0])


def _poly(seq_of_zeros: Array) -> Array:
    """Multiply factors ``x - zero``; of a matrix, as Le Verrier and Faddeev do, whose coefficients come of traces."""
    x = as_array(seq_of_zeros)
    x = x if x.ndim else np.reshape(x, 1)
    result = one = np.ones(1, x.dtype)
    if x.ndim == 1:
        for k in range(x.shape[0]):
            result = np.convolve(result, np.concatenate([one, -x[k : k + 1]]))
        return result
    identity, power = np.eye(x.shape[0], dtype=x.dtype), x
    for k in range(x.shape[0]):
        coefficient = np.trace(power) / -(k + 1)
        result = np.concatenate([result, np.reshape(coefficient, 1)])
        power = x @ (power + coefficient * identity)
    return result


def _eigh_at_ties(g: Any, out: Any) -> Rule | None:
    if g[1] is None or not holds_any(_turn(g, out, False)[0].tied):
        return None
    return lambda g, out, a, UPLO="L": _eigh(g, out, further=False)


def _svd_at_ties(g: Any, out: Any) -> Rule | None:
    if g[0] is None and g[2] is None:
        return None
    to_zero = out[0].shape[-2] != out[2].shape[-1] or is_complex(out[0])
    if not holds_any(_ties(out[1], to_zero, _nearness(out[1], False))):
        return None
    return lambda g, out, a, full_matrices=True, compute_uv=True: _svd(g, out, a, compute_uv, False)


describe(np.linalg.eigh, rule_with_graph=_eigh_at_ties)
describe(np.linalg.svd, rule_with_graph=_svd_at_ties, refuses=_refuse_svd)
describe(np.linalg.eig, rule_with_graph=lambda g, out: None)  # its rule knows what to do without a gradient
describe(np.linalg.eigvals, recorded_as=lambda a: np.linalg.eig(a)[0])
describe(np.linalg.eigvalsh, recorded_as=lambda a, UPLO="L": np.linalg.eigh(a, UPLO)[0])
describe(np.linalg.svdvals, recorded_as=lambda x, /: np.linalg.svd(x, full_matrices=False)[1])
defvjp(np.roots, _roots)
defcomposition(np.poly, _poly)
defvjp(np.linalg.eig, lambda g, out, a: _eig(g, out))
defvjp(np.linalg.eigh, lambda g, out, a, UPLO="L": _eigh(g, out))
defvjp(np.linalg.svd, lambda g, out, a, full_matrices=True, compute_uv=True: _svd(g, out, a, compute_uv))
