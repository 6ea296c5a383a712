"""Check gradients: numerical derivatives by central differences, and an assertion that says what differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.tape import name_of, no_grad
from autodiff.tensor import Tensor, data_of
from autodiff.transforms import grad


def numerical_gradient(function: Callable[..., Any], *args: Any, argnum: int = 0, step: float | None = None) -> Any:
    """Estimate the gradient of a function by central differences, ``(f(x + h) - f(x - h)) / 2h``.

    Args:
        function: takes the arguments and returns an array or Tensor; one that is not a scalar is summed.
        args: numbers or arrays.
        argnum: which of them to differentiate by.
        step: ``h`` for an element of size one; it grows with the element. By default the cube root of the dtype's
            precision, which balances the error of the formula, ``h²``, against that of rounding, ``1/h``.

    Returns:
        An array of the argument's shape, in float64.

    Raises:
        TypeError: the argument is not an array of floating-point numbers (or Python numbers).

    Example:
        >>> numerical_gradient(lambda x: x**2, [1.0, 2.0, 3.0]).round(6)
        array([2., 4., 6.])
    """
    arrays = list(args)
    x = arrays[argnum] = _as_float_array(args[argnum])
    step = float(np.finfo(x.dtype).eps) ** (1 / 3) if step is None else step

    def total() -> np.longdouble:
        with no_grad():
            return np.sum(np.asarray(data_of(function(*arrays))), dtype=np.longdouble)

    slope = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        center = x[index]
        reach = step * max(1.0, abs(float(center)))
        x[index] = center + reach
        right, above = x[index], total()
        x[index] = center - reach
        left, below = x[index], total()
        x[index] = center
        slope[index] = (above - below) / (np.longdouble(right) - np.longdouble(left))
    return slope


def check_gradients(
    function: Callable[..., Any],
    *args: Any,
    order: int = 1,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Assert that the gradients of a function agree with central differences, in every element of every argument.

    Several outputs are weighted with fixed random numbers before they are summed, so that errors would hardly cancel;
    the message gives the derivatives of that sum.

    Args:
        function: takes arrays or Tensors and returns a Tensor of any shape.
        args: the point: floats, and arrays or lists of them, are checked; integers and booleans are constants.
        order: up to which derivative; 2 checks the gradient of the gradient too, and so on.
        rtol: relative tolerance, by default 1e-5 in float64 and 2e-2 in float32.
        atol: absolute tolerance, by default 1e-7 in float64 and 2e-3 in float32; it grows with the largest gradient.

    Raises:
        AssertionError: a derivative differs. The message names the order, the argument and the index, gives both
            numbers and the relative error, and says what could be wrong.
        TypeError: there is no argument of floating-point numbers.
        ValueError: the order is not a positive integer.

    Example:
        >>> import numpy as np
        >>> check_gradients(np.tanh, np.array([0.5, -1.0]), order=2)
        >>> from autodiff import primitive, defvjp
        >>> @primitive
        ... def double(x):
        ...     return 2 * x
        >>> defvjp(double, lambda g, out, x: 3 * g)
        >>> check_gradients(double, 0.5)
        Traceback (most recent call last):
        AssertionError: the gradient of double differs from central differences in 1 of 1 elements
          argument 0, index (), where x = 0.5
          autodiff   3
          numerical  ...
          relative error ...: the rule looks wrong by a factor of 1.5
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"check_gradients: order must be a positive integer, got {order!r}")
    args = tuple(np.asarray(arg) if isinstance(arg, list) else arg for arg in args)
    chosen = tuple(k for k, arg in enumerate(args) if _is_float(arg))
    if not chosen:
        raise TypeError("check_gradients: give at least one argument of floating-point numbers")
    point = [_as_float_array(arg) if k in chosen else arg for k, arg in enumerate(args)]
    with no_grad():
        outputs = _several(function(*map(_as_tensor, point)))
    rng = np.random.default_rng(0)
    # A scalar has a weight too, which finds a rule that forgets its g; the message divides by it again, exactly.
    weight = 2.0 if sum(np.size(output) for output in outputs) == 1 else None
    weights = [
        (rng.uniform(0.5, 1.5, np.shape(output)) if weight is None else np.full(np.shape(output), weight)).astype(
            np.result_type(output)
        )
        for output in outputs
    ]

    def weighted(*arrays: Any) -> Any:
        outputs = _several(function(*map(_as_tensor, arrays)))
        terms = [(output * weight).sum() for output, weight in zip(outputs, weights, strict=True)]
        return sum(terms[1:], terms[0])

    label = name_of(function)
    gradient = grad(weighted, argnums=chosen)
    analytic = gradient(*point)
    for position, value in zip(chosen, analytic, strict=True):
        _compare(label, weighted, point, position, value, rtol, atol, weight)
    if order > 1:
        gradient.__name__ = f"gradient of {label}"
        check_gradients(gradient, *point, order=order - 1, rtol=rtol, atol=atol)


def _several(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, list | tuple) else (result,)


def _is_float(arg: Any) -> bool:
    data = data_of(arg)
    return isinstance(data, float) or getattr(getattr(data, "dtype", None), "kind", "") == "f"


def _as_tensor(arg: Any) -> Any:
    """Make a Tensor of an array of floating-point numbers, so that a function may call methods that arrays lack."""
    return Tensor(arg, requires_grad=False) if _is_float(arg) and not isinstance(arg, Tensor) else arg


def _as_float_array(arg: Any) -> Any:
    """Copy an argument into an array whose elements can be moved."""
    array = np.array(data_of(arg))
    if array.dtype.kind in "iu" and not hasattr(arg, "dtype"):
        array = array.astype(np.float64)
    if array.dtype.kind != "f":
        raise TypeError(f"numerical_gradient: the argument must be floating-point numbers, got dtype {array.dtype}")
    return array


def _compare(
    label: str,
    function: Callable[..., Any],
    point: list[Any],
    position: int,
    analytic: Any,
    rtol: float | None,
    atol: float | None,
    weight: float | None,
) -> None:
    """Assert that one argument's gradient agrees with the numerical one."""
    x = point[position]
    single = x.dtype.itemsize < 8
    rtol = (2e-2 if single else 1e-5) if rtol is None else rtol
    atol = (2e-3 if single else 1e-7) if atol is None else atol
    analytic = np.asarray(data_of(analytic), dtype=np.float64)
    numerical = numerical_gradient(function, *point, argnum=position)
    if analytic.shape != x.shape:
        raise AssertionError(f"the gradient of {label} has shape {analytic.shape}, argument {position} has {x.shape}")
    error = np.abs(analytic - numerical)
    scale = max(1.0, float(np.max(np.abs(numerical), initial=0, where=np.isfinite(numerical))))
    wrong = ~(error <= atol * scale + rtol * np.abs(numerical))
    if not wrong.any():
        return
    index = np.unravel_index(np.argmax(np.where(wrong, np.nan_to_num(error, nan=np.inf), -1)), x.shape)
    place = tuple(int(k) for k in index)
    a, n = float(analytic[place]), float(numerical[place])
    relative = abs(a - n) / max(abs(a), abs(n)) if max(abs(a), abs(n)) else 0.0
    suspicion = _suspicion(function, point, position, place, analytic[wrong], numerical[wrong])
    raise AssertionError(
        f"the gradient of {label} differs from central differences in {int(wrong.sum())} of {x.size} elements\n"
        f"  argument {position}, index {place}, where x = {float(x[place]):.17g}\n"
        f"{'  of the sum of the outputs, weighted with fixed random numbers:' + chr(10) if weight is None else ''}"
        f"  autodiff   {a / (weight or 1):.17g}\n"
        f"  numerical  {n / (weight or 1):.17g}\n"
        f"  relative error {relative:.3g}: {suspicion}"
    )


def _suspicion(
    function: Callable[..., Any], point: list[Any], position: int, place: tuple[int, ...], analytic: Any, numerical: Any
) -> str:
    """Say what could be wrong, from what can be seen at the point and the derivatives that differ."""
    if not (np.isfinite(analytic).all() and np.isfinite(numerical).all()):
        return "a value is not finite; is the function defined here?"
    halves = []
    for side in (-1, 1):
        moved = [arg.copy() if isinstance(arg, np.ndarray) else arg for arg in point]
        reach = float(np.finfo(moved[position].dtype).eps) ** (1 / 3) * max(1.0, abs(float(moved[position][place])))
        with no_grad():
            before = float(np.sum(np.asarray(data_of(function(*moved)), dtype=np.float64)))
            moved[position][place] += side * reach
            after = float(np.sum(np.asarray(data_of(function(*moved)), dtype=np.float64)))
        halves.append(side * (after - before) / reach)
    left, right = halves
    if abs(right - left) > 0.01 * max(abs(left), abs(right)):
        return f"the slope is {left:.6g} to the left and {right:.6g} to the right: a kink near the point?"
    if point[position].dtype.itemsize < 8:
        return f"the point is {point[position].dtype}: try float64, where differences are a million times as exact"
    if not analytic.any():
        return "no gradient arrived: was the argument turned into a number, or written into a plain array?"
    if not numerical.any():
        return "the rule should give zero here"
    factors = analytic / np.where(numerical == 0, np.nan, numerical)
    if np.allclose(factors, factors[0], rtol=1e-3):
        return f"the rule looks wrong by a factor of {factors[0]:.6g}"
    return "the rule looks wrong"
