"""Check gradients: numerical derivatives by central differences, and an assertion that says what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.core.record import data_of
from autodiff.core.rule import Array, name_of
from autodiff.core.tape import no_grad
from autodiff.core.tensor import Tensor, is_float
from autodiff.transforms.forward import jvp
from autodiff.transforms.reverse import grad, vjp


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
    directions: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Assert that the gradients of a function agree with central differences, in every element of every argument.

    Derivatives in forward direction (`jvp`) are checked against those in reverse. Several outputs are weighted with
    fixed random numbers before they are summed, so that errors would hardly cancel; the message gives the
    derivatives of that sum.

    Args:
        function: takes arrays or Tensors and returns a Tensor of any shape.
        args: the point: floats, and arrays or lists of them, are checked; integers and booleans are constants.
        order: up to which derivative; 2 checks the gradient of the gradient too, and so on.
        directions: for large arguments, check only the derivatives in so many random directions, in place of those by
            every element: two calls of the function each.
        rtol: relative tolerance, by default 1e-5 in float64 and 2e-2 in float32.
        atol: absolute tolerance, by default 1e-7 in float64 and 2e-3 in float32; it grows with the largest gradient.

    Raises:
        AssertionError: a derivative differs. The message names the order, the argument and the index, gives both
            numbers and the relative error, and says what could be wrong.
        TypeError: there is no argument of floating-point numbers.
        ValueError: the order, or the number of directions, is not a positive integer.

    Example:
        >>> import numpy as np
        >>> check_gradients(np.tanh, np.linspace(-3, 3, 10_000), directions=2)
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
    for name, number in (("order", order), ("directions", 1 if directions is None else directions)):
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"check_gradients: {name} must be a positive integer, got {number!r}")
    args = tuple(np.asarray(arg) if isinstance(arg, list) else arg for arg in args)
    positions = tuple(k for k, arg in enumerate(args) if is_float(arg))
    if not positions:
        raise TypeError("check_gradients: give at least one argument of floating-point numbers")
    point = [_as_float_array(arg) if k in positions else arg for k, arg in enumerate(args)]
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

    def weighted(*arrays: Array) -> Any:
        outputs = _several(function(*map(_as_tensor, arrays)))
        terms = [(output * weight).sum() for output, weight in zip(outputs, weights, strict=True)]
        return sum(terms[1:], terms[0])

    label = name_of(function)
    gradient = grad(weighted, argnums=positions)
    analytic = [np.asarray(data_of(value)) for value in gradient(*point)]
    if directions is None:
        for position, value in zip(positions, analytic, strict=True):
            _compare(label, weighted, point, position, value, rtol, atol, weight)
    for _ in range(directions or 1):
        tangents = [rng.normal(size=point[k].shape).astype(point[k].dtype)[()] for k in positions]
        if directions is not None:
            _compare_along(label, weighted, point, positions, tangents, analytic, rtol, atol)
        _compare_forward(label, weighted, point, positions, tangents, analytic)
    if order > 1:
        gradient.__name__ = f"gradient of {label}"
        check_gradients(gradient, *point, order=order - 1, directions=directions, rtol=rtol, atol=atol)


def assert_gradients_match(
    f: Callable[..., Any], g: Callable[..., Any], *args: Any, rtol: float | None = None, atol: float | None = None
) -> None:
    """Assert that two implementations of a function have the same gradients, in one line of a test.

    Either may be a function of arrays or Tensors, a gradient derived by hand (`by_hand`), or a function of PyTorch
    (`by_torch`). Two functions must agree in their values too.

    Args:
        f: one implementation.
        g: the other.
        args: the point: floats, and arrays or lists of them, are differentiated by; all else is handed on.
        rtol: relative tolerance, by default 1e-6 in float64 and 1e-3 in float32.
        atol: absolute tolerance, by default 1e-9 in float64 and 1e-5 in float32; it grows with the largest gradient.

    Raises:
        AssertionError: values or gradients differ; the message names the argument, the index and both numbers.
        TypeError: there is no argument of floating-point numbers.

    Example:
        >>> import numpy as np
        >>> x = np.array([0.5, -1.0])
        >>> assert_gradients_match(np.tanh, lambda x: 2 / (1 + np.exp(-2 * x)) - 1, x)
        >>> assert_gradients_match(np.tanh, by_hand(lambda x: 1 - np.tanh(x) ** 2), x)
        >>> assert_gradients_match(np.tanh, by_hand(lambda x: 1 - np.tanh(x)), x)
        Traceback (most recent call last):
        AssertionError: the gradients of tanh and <lambda> by hand differ in 2 of 2 elements
          argument 0, index (1,), where x = -1
          tanh                0.41997434161402...
          <lambda> by hand    1.761594155955764...
          relative error 0.762
    """
    args = tuple(np.asarray(arg) if isinstance(arg, list) else arg for arg in args)
    positions = tuple(k for k, arg in enumerate(args) if is_float(arg))
    if not positions:
        raise TypeError("assert_gradients_match: give at least one argument of floating-point numbers")
    point = [_as_float_array(arg) if k in positions else arg for k, arg in enumerate(args)]
    single = any(point[k].dtype.itemsize < 8 for k in positions)
    rtol = (1e-3 if single else 1e-6) if rtol is None else rtol
    atol = (1e-5 if single else 1e-9) if atol is None else atol
    both = [candidate if isinstance(candidate, _Candidate) else _Candidate(candidate) for candidate in (f, g)]
    # Weights of ones where a gradient was derived by hand, since that is the one of the sum.
    plain = any(isinstance(candidate, _ByHand) for candidate in both)
    results = [candidate.run(point, positions, plain) for candidate in both]
    names = [candidate.name for candidate in both]
    (values, gradients), (other_values, other_gradients) = results
    if values is not None and other_values is not None:
        if [np.shape(value) for value in values] != [np.shape(value) for value in other_values]:
            raise AssertionError(
                f"{names[0]} gives shapes {[np.shape(value) for value in values]}, "
                f"{names[1]} gives {[np.shape(value) for value in other_values]}"
            )
        for k, (value, other) in enumerate(zip(values, other_values, strict=True)):
            found = _worst(value, other, rtol, atol)
            if found:
                raise AssertionError(
                    f"the values of {names[0]} and {names[1]} differ in {found.elements} of {np.size(value)} elements\n"
                    f"  output {k}, index {found.place}\n{_two_lines(names, found)}"
                )
    for position, value, other in zip(positions, gradients, other_gradients, strict=True):
        x = point[position]
        if not np.shape(value) == np.shape(other) == x.shape:
            raise AssertionError(
                f"argument {position} has shape {x.shape}, its gradient by {names[0]} {np.shape(value)}, "
                f"by {names[1]} {np.shape(other)}"
            )
        found = _worst(value, other, rtol, atol)
        if found:
            raise AssertionError(
                f"the gradients of {names[0]} and {names[1]} differ in {found.elements} of {x.size} elements\n"
                f"  argument {position}, index {found.place}, where x = {float(x[found.place]):.17g}\n"
                f"{_two_lines(names, found)}"
            )


def by_hand(gradient: Callable[..., Any]) -> Callable[..., Any]:
    """Say that a function gives the gradient itself, for `assert_gradients_match`.

    It takes the arguments as arrays and returns the gradient of the sum of the outputs: one array, or for several
    floating-point arguments a tuple with one for each.
    """
    return _ByHand(gradient)


def by_torch(function: Callable[..., Any]) -> Callable[..., Any]:
    """Say that a function is written for PyTorch, for `assert_gradients_match`: it is given torch tensors.

    Example:
        >>> torch = __import__("pytest").importorskip("torch")
        >>> assert_gradients_match(np.tanh, by_torch(torch.tanh), np.array([0.5, -1.0]))
    """
    return _ByTorch(function)


def _weigh(outputs: Sequence[Array], plain: bool) -> list[Any]:
    """Give a weight for every output, so that a sum of all depends on each in its own way."""
    rng = np.random.default_rng(0)
    shapes = [tuple(output.shape) for output in outputs]
    return [np.ones(shape) if plain else np.array(rng.uniform(0.5, 1.5, shape)) for shape in shapes]


class _Candidate:
    """One of two implementations that are compared."""

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise TypeError(f"assert_gradients_match: an implementation must be a function, got {function!r}")
        self.function = function
        self.name = name_of(function)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def run(self, point: list[Any], positions: Sequence[int], plain: bool) -> tuple[list[Any] | None, list[Any]]:
        """Give the outputs, and the gradient of their weighted sum for each chosen argument, as arrays."""
        values, pull = vjp(lambda *xs: _several(self.function(*xs)), *point, argnums=positions)
        weights = [weight.astype(value.dtype) for value, weight in zip(values, _weigh(values, plain), strict=True)]
        return list(values), list(pull(tuple(weight[()] for weight in weights)))


class _ByHand(_Candidate):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.name += " by hand"

    def run(self, point: list[Any], positions: Sequence[int], plain: bool) -> tuple[list[Any] | None, list[Any]]:
        result = self.function(*point)
        gradients = result if isinstance(result, tuple) else (result,)
        if len(gradients) != len(positions):
            raise ValueError(f"by_hand: {self.name} gave {len(gradients)} gradients for {len(positions)} arguments")
        return None, [np.asarray(data_of(gradient)) for gradient in gradients]


class _ByTorch(_Candidate):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.name += " of PyTorch"

    def run(self, point: list[Any], positions: Sequence[int], plain: bool) -> tuple[list[Any] | None, list[Any]]:
        import torch  # only who compares with PyTorch needs it

        args = [torch.tensor(arg) if isinstance(arg, np.ndarray) else arg for arg in point]
        variables = [args[position].requires_grad_() for position in positions]
        outputs = _several(self.function(*args))
        weights = [torch.as_tensor(weight) for weight in _weigh(outputs, plain)]
        total = sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=True))
        gradients = torch.autograd.grad(total, variables, allow_unused=True, materialize_grads=True)
        return [output.numpy(force=True) for output in outputs], [gradient.numpy(force=True) for gradient in gradients]


def _several(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, list | tuple) else (result,)


def _as_tensor(arg: Any) -> Any:
    """Make a Tensor of an array of floating-point numbers, so that a function may call methods that arrays lack."""
    return Tensor(arg, requires_grad=False) if is_float(arg) and not isinstance(arg, Tensor) else arg


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
    found = _worst(analytic, numerical, rtol, atol)
    if found is None:
        return
    place = found.place
    a, n = found.actual, found.expected
    wrong = found.wrong
    suspicion = _suspicion(function, point, position, place, analytic[wrong], numerical[wrong])
    raise AssertionError(
        f"the gradient of {label} differs from central differences in {found.elements} of {x.size} elements\n"
        f"  argument {position}, index {place}, where x = {float(x[place]):.17g}\n"
        f"{'  of the sum of the outputs, weighted with fixed random numbers:' + chr(10) if weight is None else ''}"
        f"  autodiff   {a / (weight or 1):.17g}\n"
        f"  numerical  {n / (weight or 1):.17g}\n"
        f"  relative error {found.relative:.3g}: {suspicion}"
    )


class _Difference(NamedTuple):
    """Where two arrays differ most."""

    wrong: Any  # a mask
    elements: int
    place: tuple[int, ...]
    actual: float
    expected: float
    relative: float


def _worst(actual: Any, expected: Any, rtol: float, atol: float) -> _Difference | None:
    """Find the element that differs most, if one differs by more than the tolerances."""
    actual, expected = (np.asarray(data_of(array), dtype=np.float64) for array in (actual, expected))
    equal = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        error = np.abs(actual - expected)
    scale = max(1.0, float(np.max(np.abs(expected), initial=0, where=np.isfinite(expected))))
    wrong = ~(equal | (error <= atol * scale + rtol * np.abs(expected)))
    if not wrong.any():
        return None
    index = np.unravel_index(np.argmax(np.where(wrong, np.nan_to_num(error, nan=np.inf), -1)), actual.shape)
    place = tuple(int(k) for k in index)
    a, e = float(actual[place]), float(expected[place])
    relative = abs(a - e) / max(abs(a), abs(e)) if max(abs(a), abs(e)) else 0.0
    return _Difference(wrong, int(wrong.sum()), place, a, e, relative)


def _two_lines(names: list[str], found: _Difference) -> str:
    width = max(map(len, names)) + 2
    return (
        f"  {names[0]:{width}}  {found.actual:.17g}\n  {names[1]:{width}}  {found.expected:.17g}\n"
        f"  relative error {found.relative:.3g}"
    )


def _compare_along(
    label: str,
    function: Callable[..., Any],
    point: list[Any],
    positions: Sequence[int],
    tangents: list[Array],
    analytic: Sequence[Any],
    rtol: float | None,
    atol: float | None,
) -> None:
    """Assert that the derivative in one direction agrees with the difference quotient along it."""

    def along(t: Any) -> Any:
        moved = list(point)
        for position, tangent in zip(positions, tangents, strict=True):
            moved[position] = point[position] + tangent * t.astype(tangent.dtype)
        return function(*moved)

    single = any(point[k].dtype.itemsize < 8 for k in positions)
    # The points lie on a line, so the dtype of the narrowest argument bounds how well they are told apart.
    step = float(np.finfo(np.result_type(*(np.float32 if single else np.float64 for _ in positions))).eps) ** (1 / 3)
    numerical = numerical_gradient(along, 0.0, step=step)
    slope = sum(float(np.sum(g * v, dtype=np.longdouble)) for g, v in zip(analytic, tangents, strict=True))
    found = _worst(slope, numerical, (2e-2 if single else 1e-5) if rtol is None else rtol, _tolerance(single, atol))
    if found:
        raise AssertionError(
            f"the gradient of {label} differs from central differences in a random direction\n"
            f"  of the sum of the outputs, weighted with fixed random numbers:\n"
            f"  autodiff   {found.actual:.17g}\n  numerical  {found.expected:.17g}\n"
            f"  relative error {found.relative:.3g}: check a smaller argument without directions to see where"
        )


def _tolerance(single: bool, atol: float | None) -> float:
    return (2e-3 if single else 1e-7) if atol is None else atol


def _compare_forward(
    label: str,
    function: Callable[..., Any],
    point: list[Any],
    positions: Sequence[int],
    tangents: list[Array],
    analytic: Sequence[Any],
) -> None:
    """Assert that the derivative in one direction is the same in forward mode as in reverse."""
    _, forward = jvp(function, point, tangents, argnums=positions)
    reverse = sum(float(np.sum(g * v, dtype=np.longdouble)) for g, v in zip(analytic, tangents, strict=True))
    single = any(point[k].dtype.itemsize < 8 for k in positions)
    scale = sum(float(np.sum(np.abs(g * v))) for g, v in zip(analytic, tangents, strict=True))
    found = _worst(forward, reverse, 0.0, (1e-3 if single else 1e-9) * (1 + scale))
    if found:
        raise AssertionError(
            f"the derivative of {label} in forward direction (jvp) differs from that in reverse\n"
            f"  jvp        {found.actual:.17g}\n  gradient   {found.expected:.17g}\n"
            f"  relative error {found.relative:.3g}: a rule is not linear in g, or cannot be differentiated by it"
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
