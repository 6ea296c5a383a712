"""Check gradients: numerical derivatives by central differences, and assertions that say what differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.record import data_of
from autodiff.core.rule import name_of
from autodiff.core.tape import no_grad
from autodiff.core.tensor import Tensor, is_complex, is_inexact
from autodiff.hints import hint, hint_of_shape
from autodiff.transforms.containers import flatten, walk
from autodiff.transforms.forward import jvp
from autodiff.transforms.reverse import grad
from autodiff.transforms.run import Argnums, Function, Plan


def numerical_gradient(function: Function, *args: Any, argnums: Argnums = 0, step: float | None = None) -> Any:
    """Estimate the gradient of a function by central differences, ``(f(x + h) - f(x - h)) / 2h``.

    Args:
        function: takes the arguments and returns an array or Tensor, or a container of them; all elements are summed.
        args: numbers, arrays, lists of numbers, which count as arrays, and other containers as in `grad`.
        argnums: which of them to differentiate by, or several.
        step: ``h`` for an element of size one; it grows with the element. By default the cube root of the dtype's
            precision, which balances the error of the formula, ``h²``, against that of rounding, ``1/h``.

    Returns:
        An array of the argument's shape, in float64, in the argument's container; a tuple for several ``argnums``. By
        complex numbers ``x + iy`` it is, as in `grad`, ``∂f/∂x + i ∂f/∂y``.

    Raises:
        TypeError: an argument is not of floating-point or complex numbers, or the result not of real ones.
        ValueError: an argnum is out of range.

    Example:
        >>> from autodiff.testing import numerical_gradient
        >>> numerical_gradient(lambda x: x**2, [1.0, 2.0, 3.0]).round(6)
        array([2., 4., 6.])
    """
    point = _Point("numerical_gradient", function, args, argnums)
    slopes = {k: _differences(point.function, point.leaves, k, step) for k in point.positions}
    packed = point.rebuild([slopes.get(k, leaf) for k, leaf in enumerate(point.leaves)])
    chosen = tuple(packed[number] for number in point.numbers)
    return chosen if isinstance(argnums, Sequence) else chosen[0]


def check_gradients(
    function: Function,
    *args: Any,
    argnums: Argnums | None = None,
    order: int = 1,
    directions: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Assert that the gradients of a function agree with central differences, in every element of every argument.

    Derivatives in forward direction (`jvp`) are checked against those in reverse. Several outputs are summed with fixed
    random weights, so that errors would hardly cancel; the message gives the derivatives of that sum. Of complex
    outputs, weighted with complex numbers, it is the sum of the real parts.

    Args:
        function: takes arrays or Tensors and returns a Tensor of any shape, or a container of them.
        args: the point: numbers, arrays, lists of numbers, which count as arrays, and other containers as in `grad`.
        argnums: which of them to check, or several; by default all floats, also in containers, and no integers.
        order: up to which derivative; 2 checks the gradient of the gradient too, and so on.
        directions: for large arguments, check only so many random directions, by two calls each, not every element.
        rtol: relative tolerance, by default 1e-5 in float64 and 2e-2 in float32.
        atol: absolute tolerance, by default 1e-7 in float64 and 2e-3 in float32; it grows with the largest gradient.

    Raises:
        AssertionError: a derivative differs. The message says which and where, by how much, and what could be wrong.
        TypeError: there is no argument of floating-point numbers, or one of ``argnums`` is of others.
        ValueError: the order, or the number of directions, is not a positive integer, or an argnum is out of range.

    Example:
        >>> import numpy as np, autodiff as ad
        >>> from autodiff.testing import check_gradients
        >>> check_gradients(np.tanh, np.linspace(-3, 3, 10_000), directions=2)
        >>> check_gradients(lambda layer, X: np.tanh(X @ layer["w"]), {"w": np.ones(2)}, np.eye(2), argnums=0, order=2)
        >>> check_gradients(lambda x: x * ad.stop_gradient(x), 3.0)
        Traceback (most recent call last):
        AssertionError: the gradient of <lambda> differs from central differences in 1 of 1 elements
          argument 0, index (), where x = 3
          autodiff   3
          numerical  ...
          relative error 0.5: the rule looks wrong by a factor of 0.5: is the 2 of a square forgotten?
    """
    for name, number in (("order", order), ("directions", 1 if directions is None else directions)):
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"check_gradients: {name} must be a positive integer, got {number!r}")
    point = _Point("check_gradients", function, args, argnums)
    for _ in range(order):
        point.function = _checked(point, directions, rtol, atol)
        point.label = f"gradient of {point.label}"


def assert_gradients_match(
    f: Any, g: Any, *args: Any, argnums: Argnums | None = None, rtol: float | None = None, atol: float | None = None
) -> None:
    """Assert that two implementations of a function have the same gradients, in one line of a test.

    Either may be a function of arrays or Tensors, a gradient derived by hand (`by_hand`), or a function of PyTorch
    (`by_torch`). Two functions must agree in their values too.

    Args:
        f: one implementation.
        g: the other.
        args: the point, as `check_gradients` takes it.
        argnums: by which of them to differentiate, or several; by default all floats, also in containers.
        rtol: relative tolerance, by default 1e-6 in float64 and 1e-3 in float32.
        atol: absolute tolerance, by default 1e-9 in float64 and 1e-5 in float32; it grows with the largest gradient.

    Raises:
        AssertionError: values or gradients differ. The message says where, by how much, and what could be wrong.
        TypeError: there is no argument of floating-point numbers, or one of ``argnums`` is of others.
        ValueError: a gradient by hand does not have the form of the arguments, or an argnum is out of range.

    Example:
        >>> import numpy as np
        >>> from autodiff.testing import assert_gradients_match, by_hand
        >>> x, y = np.array([0.5, -1.0]), np.array([2.0, 2.0])
        >>> assert_gradients_match(np.tanh, by_hand(lambda x: 1 - np.tanh(x) ** 2), x)
        >>> assert_gradients_match(lambda x, y: (x - y) ** 2, by_hand(lambda x, y: x - y), x, y, argnums=0)
        Traceback (most recent call last):
        AssertionError: the gradients of <lambda> and <lambda> by hand differ in 2 of 2 elements
          argument 0, index (1,), where x = -1
          <lambda>            -6
          <lambda> by hand    -3
          relative error 0.5: <lambda> by hand looks wrong by a factor of 0.5: is the 2 of a square forgotten?
    """
    both = [candidate if isinstance(candidate, _Candidate) else _Candidate(candidate) for candidate in (f, g)]
    point = _Point("assert_gradients_match", both[0].function, args, argnums)
    tolerances = _either(rtol, 1e-3 if point.is_single else 1e-6), _either(atol, 1e-5 if point.is_single else 1e-9)
    # Weights of ones where a gradient was derived by hand, since that is the one of the sum.
    plain = any(isinstance(candidate, by_hand) for candidate in both)
    (values, gradients), (other_values, other_gradients) = [candidate._run(point, plain) for candidate in both]
    names = [candidate.name for candidate in both]
    if values is not None and other_values is not None:
        shapes, other_shapes = ([np.shape(value) for value in some] for some in (values, other_values))
        if shapes != other_shapes:
            raise AssertionError(f"{names[0]} gives shapes {shapes}, {names[1]} gives {other_shapes}")
        for k, (value, other) in enumerate(zip(values, other_values, strict=True)):
            if (found := _Difference(value, other, tolerances)).elements:
                raise AssertionError(
                    f"the values of {names[0]} and {names[1]} differ in {found.elements} of {np.size(value)} elements\n"
                    f"  output {k}, index {found.place}\n{found.lines(names)}"
                )
    is_lost = not any(map(np.any, gradients))  # by the first, which is then the one to doubt, and else the second
    suspect = min((not is_lost, is_lost), key=lambda k: (by_hand.kind, "", by_torch.kind).index(both[k].kind))
    right = dict(zip(point.positions, gradients if suspect else other_gradients, strict=True))
    for k, one, other in zip(point.positions, gradients, other_gradients, strict=True):
        x, actual = point.leaves[k], (one, other)[suspect]
        if not one.shape == other.shape == x.shape:
            raise AssertionError(
                f"{point.names[k]} has shape {x.shape}, its gradient by {names[0]} {one.shape}, "
                f"by {names[1]} {other.shape}{hint_of_shape(actual, right[k])}"
            )
        if (found := _Difference(one, other, tolerances)).elements:
            text = point.hint(names[suspect], k, actual, found.wrong, right)
            raise AssertionError(
                f"the gradients of {names[0]} and {names[1]} differ in {found.elements} of {x.size} elements\n"
                f"  {point.names[k]}, index {found.place}, where x = {x[found.place].item():.17g}\n"
                f"{found.lines(names)}{text and f': {text}'}"
            )


class _Point:
    """The arguments of a function as a list of leaves, with what messages call them, and those to differentiate by."""

    def __init__(self, caller: str, function: Function, args: tuple[Any, ...], argnums: Argnums | None) -> None:
        plan = Plan(caller, function, 0 if argnums is None else argnums)
        numbers = range(len(args)) if argnums is None else plan.positions
        if not all(-len(args) <= number < len(args) for number in numbers):
            raise ValueError(f"{plan.called}: argnums {argnums} is out of range for {len(args)} positional arguments")
        args = tuple(np.asarray(arg) if _is_table(arg) else arg for arg in args)
        self.leaves, self.rebuild = flatten(args)
        self.label = name_of(function)
        self.function: Function = lambda *leaves: function(*self.rebuild(leaves))
        self.names, owners, self.positions = list[str](), list[int](), list[int]()
        for k, (path, leaf) in enumerate(walk(args)):
            number, _, rest = path[1:].partition("]")
            self.names.append(f"argument {number}{rest}")
            owners.append(int(number))
            if is_inexact(leaf) if argnums is None else owners[k] in [one % len(args) for one in numbers]:
                self.leaves[k] = _as_float_array(leaf, f"{caller}: {self.names[k]}")
                self.positions.append(k)
        if not self.positions:
            raise TypeError(f"{caller}: give at least one argument of floating-point numbers")
        self.numbers = [one % len(args) for one in numbers if one % len(args) in [owners[k] for k in self.positions]]
        self.is_single = any(_is_single(self.leaves[k].dtype) for k in self.positions)

    def hint(self, who: str, k: int, actual: Any, wrong: Any, right: dict[int, Any]) -> str:
        """Say what could be wrong with the gradient by a leaf, or nothing, given the right ones by all."""
        x, arrays = self.leaves[k], {j: data_of(leaf) for j, leaf in enumerate(self.leaves) if hasattr(leaf, "shape")}
        alike = [j for j, array in arrays.items() if j != k and array.shape == x.shape and is_inexact(array)]
        others = {self.names[j]: arrays[j] for j in alike}
        others |= {f"the gradient of {self.names[j]}": g for j, g in right.items() if j in alike and g.shape == x.shape}
        counts = {n for array in arrays.values() for n in (*array.shape[:1], array.size)}
        return hint(who, actual, right[k], wrong, x, others, counts)


def _is_table(arg: Any) -> bool:
    """Whether an argument is a list of numbers, or of lists of them."""
    number = int, float, complex, np.generic
    return isinstance(arg, list) and all(isinstance(one, number) or _is_table(one) for one in arg)


def _as_float_array(arg: Any, what: str) -> Any:
    """Copy an argument into an array whose elements can be moved."""
    array = np.array(data_of(arg))
    if array.dtype.kind in "iu" and not hasattr(arg, "dtype"):
        array = array.astype(np.float64)
    if array.dtype.kind not in "fc":
        raise TypeError(f"{what} must be floating-point numbers, got dtype {array.dtype}")
    return array


def _is_single(dtype: Any) -> bool:
    """Whether numbers of a dtype, or their real and imaginary parts, have fewer digits than float64."""
    return dtype.kind in "fc" and np.finfo(dtype).bits < 64


def _either(tolerance: float | None, default: float) -> float:
    return default if tolerance is None else tolerance


class _Candidate:
    """One of two implementations that are compared."""

    kind = ""

    def __init__(self, function: Function) -> None:
        if not callable(function):
            raise TypeError(f"assert_gradients_match: an implementation must be a function, got {function!r}")
        self.function = function
        self.name = name_of(function) + self.kind

    def _run(self, point: _Point, plain: bool) -> tuple[list[Any] | None, list[Any]]:
        """Give the outputs, and the gradient of their weighted sum for each leaf, as arrays."""
        outputs, weighted, unit = _weighted(lambda *leaves: self.function(*point.rebuild(leaves)), point, plain)
        return outputs, [g / unit for g in grad(weighted, argnums=point.positions)(*point.leaves)]


class by_hand(_Candidate):  # noqa: N801 (a wrapper)
    """Say that a function gives the gradient itself, for `assert_gradients_match`.

    It takes arrays and returns the gradient of the sum of the outputs, in the argument's container, or for several
    arguments a tuple with one for each.
    """

    kind = " by hand"

    def _run(self, point: _Point, plain: bool) -> tuple[list[Any] | None, list[Any]]:
        result = self.function(*point.rebuild(point.leaves))
        heads = [f"argument {number}" for number in point.numbers]
        gradients = result if isinstance(result, tuple) and (len(heads) > 1 or heads[0] in point.names) else (result,)
        if len(gradients) != len(heads):
            counts = f"{len(gradients)} gradients for {len(heads)} arguments"
            raise ValueError(f"by_hand: {self.name} gave {counts}; say by which they are, as argnums=0")
        pieces: dict[str, Any] = {}
        for head, gradient in zip(heads, gradients, strict=True):
            pieces |= {head + path: x for path, x in ([("", gradient)] if head in point.names else walk(gradient))}
        wanted = {point.names[k]: is_complex(point.leaves[k]) for k in point.positions}
        if not set(wanted) <= pieces.keys() <= set(point.names):
            raise ValueError(f"by_hand: {self.name} gave gradients by {', '.join(pieces)}, not {', '.join(wanted)}")
        return None, [_real(pieces[name], f"by_hand: the gradient by {name}", one) for name, one in wanted.items()]


class by_torch(_Candidate):  # noqa: N801 (a wrapper)
    """Say that a function is written for PyTorch, for `assert_gradients_match`: it is given torch tensors.

    Example:
        >>> import numpy as np
        >>> from autodiff.testing import assert_gradients_match, by_torch
        >>> torch = __import__("pytest").importorskip("torch")
        >>> assert_gradients_match(np.tanh, by_torch(torch.tanh), np.array([0.5, -1.0]))
    """

    kind = " of PyTorch"

    def _run(self, point: _Point, plain: bool) -> tuple[list[Any] | None, list[Any]]:
        import torch  # only who compares with PyTorch needs it

        leaves = [torch.tensor(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in point.leaves]
        variables = [leaves[k].requires_grad_() for k in point.positions]
        outputs = flatten(self.function(*point.rebuild(leaves)))[0]
        weights, unit = _weights(outputs, plain)
        total = sum((output * torch.as_tensor(w)).real.sum() for output, w in zip(outputs, weights, strict=True))
        gradients = torch.autograd.grad(total, variables, allow_unused=True, materialize_grads=True)
        return [output.numpy(force=True) for output in outputs], [g.numpy(force=True) / unit for g in gradients]


def _weights(outputs: Sequence[Any], plain: bool) -> tuple[list[Any], float]:
    """Give a weight for every element, so that the sum of all depends on each in its own way, and their unit.

    A single number has one too, which finds a rule that forgets its g; what comes out is divided by it again, exactly.
    Complex numbers have complex ones, of which the sum takes the real part.
    """
    rng, shapes = np.random.default_rng(0), [tuple(np.shape(output)) for output in outputs]
    are_complex = ["complex" in str(getattr(output, "dtype", "")) for output in outputs]  # also of PyTorch
    if plain and any(are_complex):
        raise TypeError("by_hand: the sum of complex results has no gradient; let the function return real numbers")
    unit = 2.0 if sum(map(np.prod, shapes)) == 1 and not plain and not any(are_complex) else 1.0
    if plain or unit == 2:
        return [np.full(shape, unit) for shape in shapes], unit
    weights = [np.array(rng.uniform(0.5, 1.5, shape)) for shape in shapes]
    return [w * (1 + 1j * w) if one else w for w, one in zip(weights, are_complex, strict=True)], unit


def _weighted(function: Function, point: _Point, plain: bool = False) -> tuple[list[Any], Function, float]:
    """Give the outputs of a function of leaves, the function that sums them with weights, and the weights' unit."""

    def run(leaves: Sequence[Any]) -> list[Any]:
        # It is given Tensors, so that it may call methods that arrays lack.
        is_open = [k not in point.positions or isinstance(x, Tensor) for k, x in enumerate(leaves)]
        given = (x if is_one else Tensor(x, requires_grad=False) for x, is_one in zip(leaves, is_open))
        return flatten(function(*given))[0]

    def weighted(*leaves: Any) -> Any:
        products = [output * weight for output, weight in zip(run(leaves), weights, strict=True)]
        terms = [(np.real(one) if is_complex(one) else one).sum() for one in products]
        return sum(terms[1:], terms[0])

    with no_grad():
        outputs = [data_of(output) for output in run(point.leaves)]
    if not outputs:
        raise TypeError(f"{point.label}: the function must return Tensors, got None")
    weights, unit = _weights(outputs, plain)
    weights = [weight.astype(np.result_type(output)) for weight, output in zip(weights, outputs, strict=True)]
    return outputs, weighted, unit


def _real(x: Any, what: str, or_complex: bool = False) -> Any:
    array = np.asarray(data_of(x))
    if array.dtype.kind not in ("fiubc" if or_complex else "fiub"):
        raise TypeError(f"{what} must be {'' if or_complex else 'real '}numbers, got dtype {array.dtype}")
    return array


def _sum(outputs: Any) -> Any:
    """Sum all elements of a function's output."""
    arrays = [_real(output, "numerical_gradient: what the function returns") for output in flatten(outputs)[0]]
    return sum(np.sum(array, dtype=np.longdouble) for array in arrays)


def _reach(x: Any, place: tuple[int, ...], step: float | None = None) -> float:
    return _either(step, float(np.finfo(x.dtype).eps) ** (1 / 3)) * max(1.0, float(abs(x[place])))


def _differences(function: Function, leaves: list[Any], position: int, step: float | None = None) -> Any:
    """Give the central difference for each element of a leaf; for a complex one, along its real and imaginary part."""
    x = leaves[position]
    slope = np.zeros(x.shape, np.result_type(x, np.float64))
    parts = [(x, slope)] if not is_complex(x) else [(x.real, slope.real), (x.imag, slope.imag)]
    with no_grad():
        for part, slopes in parts:
            for index in np.ndindex(x.shape):
                center, reach = part[index], _reach(x, index, step)
                part[index] = center + reach
                right, above = part[index], _sum(function(*leaves))
                part[index] = center - reach
                left, below = part[index], _sum(function(*leaves))
                part[index] = center
                slopes[index] = (above - below) / (np.longdouble(right) - np.longdouble(left))
    return slope


def _checked(point: _Point, directions: int | None, rtol: float | None, atol: float | None) -> Function:
    """Check the first derivatives of the function of leaves, and give the function of them."""
    _, weighted, unit = _weighted(point.function, point)
    gradient: Function = grad(weighted, argnums=point.positions)
    analytic = [_in_double(value) for value in gradient(*point.leaves)]
    unweighted: Function = lambda *leaves: weighted(*leaves) / unit  # noqa: E731
    tolerances = [(_either(rtol, r), _either(atol, a)) for r, a in ((1e-5, 1e-7), (2e-2, 2e-3))]  # by is_single
    note = "" if unit == 2 else "  of the sum of the outputs, weighted with fixed random numbers:\n"
    for k, actual in zip(point.positions, analytic, strict=True) if directions is None else ():
        x, actual, numerical = point.leaves[k], actual / unit, _differences(unweighted, point.leaves, k)
        if (found := _Difference(actual, numerical, tolerances[_is_single(x.dtype)])).elements:
            raise AssertionError(
                f"the gradient of {point.label} differs from central differences in {found.elements} of {x.size} "
                f"elements\n  {point.names[k]}, index {found.place}, where x = {x[found.place].item():.17g}\n"
                f"{note}{found.lines(['autodiff', 'numerical'])}: "
                f"{_suspicion(point, unweighted, k, found, actual, numerical)}"
            )

    def along(t: Any, *tangents: Any) -> Any:
        moves = dict(zip(point.positions, tangents, strict=True))
        return weighted(*(x + moves[k] * t.astype(x.dtype) if k in moves else x for k, x in enumerate(point.leaves)))

    rng = np.random.default_rng(1)
    for _ in range(directions or 1):
        tangents = [_direction(rng, point.leaves[k]) for k in point.positions]
        products = [np.real(np.conj(g) * v) for g, v in zip(analytic, tangents, strict=True)]
        slope = float(sum(np.sum(product, dtype=np.longdouble) for product in products))
        if directions is not None:
            # The dtype of the narrowest argument bounds how well points on a line are told apart.
            numerical = _differences(along, [np.zeros((), np.float32 if point.is_single else float), *tangents], 0)
            if (found := _Difference(slope, numerical, tolerances[point.is_single])).elements:
                raise AssertionError(
                    f"the gradient of {point.label} differs from central differences in a random direction\n{note}"
                    f"{found.lines(['autodiff', 'numerical'])}: check a smaller argument, to see where, by elements"
                )
        _, forward = jvp(weighted, point.leaves, tangents, argnums=point.positions)
        near = (1e-3 if point.is_single else 1e-9) * (1 + sum(float(np.sum(np.abs(product))) for product in products))
        if (found := _Difference(forward, slope, (0.0, near))).elements:
            raise AssertionError(
                f"the derivative of {point.label} in forward direction (jvp) differs from that in reverse\n"
                f"{found.lines(['jvp', 'gradient'])}: a rule is not linear in g, or cannot be differentiated by it"
            )
    return gradient


def _direction(rng: np.random.Generator, x: Any) -> Any:
    """Draw a direction of the shape and dtype of an array."""
    direction = rng.normal(size=x.shape)
    return (direction + 1j * rng.normal(size=x.shape) if is_complex(x) else direction).astype(x.dtype)[()]


def _in_double(x: Any) -> Any:
    array = np.asarray(data_of(x))
    return array.astype(np.complex128 if is_complex(array) else np.float64)


class _Difference:
    """In how many elements two arrays differ by more than the tolerances, and where most."""

    def __init__(self, actual: Any, expected: Any, tolerances: tuple[float, float]) -> None:
        actual, expected = map(_in_double, (actual, expected))
        equal = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        with np.errstate(invalid="ignore"):
            error = np.abs(actual - expected)
        scale = max(1.0, float(np.max(np.abs(expected), initial=0, where=np.isfinite(expected))))
        self.wrong = ~(equal | (error <= tolerances[1] * scale + tolerances[0] * np.abs(expected)))
        self.elements = int(self.wrong.sum())
        if self.elements:
            index = np.unravel_index(np.argmax(np.where(self.wrong, np.nan_to_num(error, nan=np.inf), -1)), error.shape)
            self.place = tuple(map(int, index))
            self.numbers = actual[self.place].item(), expected[self.place].item()

    def lines(self, names: list[str]) -> str:
        (a, e), width = self.numbers, max(map(len, names)) + 2
        relative = abs(a - e) / (max(abs(a), abs(e)) or 1.0)
        return f"  {names[0]:{width}}{a:.17g}\n  {names[1]:{width}}{e:.17g}\n  relative error {relative:.3g}"


def _suspicion(point: _Point, function: Function, k: int, found: _Difference, actual: Any, numerical: Any) -> str:
    """Say what could be wrong, from what can be seen at the point and the derivatives that differ."""
    if not (np.isfinite(actual).all() and np.isfinite(numerical).all()):
        return "a value is not finite; is the function defined here?"
    x, place, values = point.leaves[k], found.place, []
    if is_complex(x):
        return point.hint("the rule", k, actual, found.wrong, {k: numerical}) or "the rule looks wrong"
    center, reach = x[place], _reach(x, place)
    with no_grad():
        for side in (-1, 0, 1):
            x[place] = center + side * reach
            values.append(float(_sum(function(*point.leaves))) / reach)
    x[place] = center
    left, right = values[1] - values[0], values[2] - values[1]
    dtype = x.dtype if point.is_single else np.result_type(data_of(function(*point.leaves)))
    if abs(right - left) > abs(actual[place] - numerical[place]) and point.is_single >= _is_single(dtype):
        return f"the slope is {left:.6g} to the left and {right:.6g} to the right: a kink near the point?"
    if _is_single(dtype):
        return f"the {'point' if point.is_single else 'result'} is {dtype}: try float64, a million times as exact"
    if not actual.any():
        return "no gradient arrived: was the argument turned into a number, or written into a plain array?"
    others = {j: _differences(function, point.leaves, j) for j in point.positions if point.leaves[j].shape == x.shape}
    return point.hint("the rule", k, actual, found.wrong, others) or "the rule looks wrong"
