"""What the elements of a value are computed from: the basis on which calls are fused into loops.

An element of a view is an element of what it shows, at other indices. Most other calls compute each element of their
result from elements of their arguments, or reduce some axes. The rest, such as a decomposition of a matrix, are opaque.
"""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from autodiff.arrays.placement import is_basic
from autodiff.arrays.whole import require
from autodiff.compiler.program import Call, Program, Value
from autodiff.compiler.record.recorder import UFUNCS
from autodiff.compiler.simplify.exact import REDUCERS
from autodiff.compiler.simplify.rounding import added_product
from autodiff.core.rule import facts_of
from autodiff.core.tensor import astype

CallKind = Literal["view", "reshaped", "elementwise", "reduction", "gather", "product", "require", "opaque"]

DTYPES = {np.dtype(code) for code in "?bhilBHILfd"}

_FLOATS = "fd"
_REALS = "bhilqBHILQfd"
_ALL = "?" + _REALS
# How a call is written, and for which types of its arguments in the loop that NumPy would run.
TEMPLATES: dict[Any, tuple[str, str]] = {
    np.add: ("{} + {}", _REALS), np.subtract: ("{} - {}", _REALS), np.multiply: ("{} * {}", _REALS),
    np.divide: ("{} / {}", _FLOATS), np.negative: ("-{}", _REALS), np.positive: ("{}", _REALS),
    np.square: ("{0} * {0}", _REALS), np.absolute: ("abs({})", _FLOATS), np.reciprocal: ("1 / {}", _FLOATS),
    np.maximum: ("np.maximum({}, {})", _REALS), np.minimum: ("np.minimum({}, {})", _REALS),
    np.less: ("{} < {}", _REALS), np.less_equal: ("{} <= {}", _REALS), np.greater: ("{} > {}", _REALS),
    np.greater_equal: ("{} >= {}", _REALS), np.equal: ("{} == {}", _ALL), np.not_equal: ("{} != {}", _ALL),
    np.logical_and: ("{} and {}", "?"), np.logical_or: ("{} or {}", "?"), np.logical_not: ("not {}", "?"),
    np.bitwise_and: ("{} and {}", "?"), np.bitwise_or: ("{} or {}", "?"), np.bitwise_xor: ("{} != {}", "?"),
    np.invert: ("not {}", "?"), np.sqrt: ("np.sqrt({})", _FLOATS), np.exp: ("exp({})", _FLOATS),
    np.tanh: ("tanh({})", _FLOATS), np.isnan: ("{0} != {0}", _FLOATS),
    **{getattr(np, name): (f"np.{name}({{}})", _FLOATS) for name in (
        "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh",
        "cosh", "arcsinh", "arccosh", "arctanh", "floor", "ceil", "trunc", "sign", "isinf", "isfinite",
    )},
    **{getattr(np, name): (f"np.{name}({{}}, {{}})", _FLOATS) for name in (
        "power", "arctan2", "hypot", "logaddexp", "logaddexp2", "fmax", "fmin", "copysign",
    )},
}  # fmt: skip
_QUICK = {f"np.{name}" for name in (
    "maximum", "minimum", "fmax", "fmin", "sqrt", "floor", "ceil", "trunc", "sign", "copysign", "isinf", "isfinite",
)}  # fmt: skip


@dataclass(frozen=True)
class Index:
    """An index of an array within a loop nest: ``start + step * i``, where i counts along an axis of the nest.

    Attributes:
        axis: which axis, or None for an index that is ``start`` everywhere.
        start: the index where i is 0.
        step: what one more along the axis adds.
    """

    axis: int | None
    start: int = 0
    step: int = 1


Indices = tuple[Index, ...]
NOWHERE = Index(None)


def axis_indices(shape: tuple[int, ...]) -> Indices:
    """Give the indices of an array in a nest of its own axes; an axis of one element is no axis of the nest."""
    return tuple(NOWHERE if size == 1 else Index(axis) for axis, size in enumerate(shape))


class Elements:
    """Says of each value of a program how its elements are computed.

    Args:
        program: the program.
        fixed: values that are made once and are arrays in memory.
    """

    def __init__(self, program: Program, fixed: set[Value]) -> None:
        self.makers = {output: call for call in program.calls for output in call.outputs}
        self.kinds: dict[Call, CallKind] = {}
        self._fixed = fixed
        for call in program.calls:
            self.kinds[call] = self._kind(call)

    def kind_of(self, value: Value) -> CallKind | None:
        """Say how a value is made, None for one that is given."""
        maker = self.makers.get(value)
        return None if maker is None else self.kinds[maker]

    def root(self, value: Value) -> Value:
        """Give the value whose memory a view or an array of another shape shows."""
        while self.kind_of(value) in ("view", "reshaped"):
            value = self.makers[value].args[0]
        return value

    def look(self, value: Value, indices: Indices) -> tuple[Value, Indices]:
        """Give what an element of a value is an element of, looking through views."""
        while self.kind_of(value) == "view":
            call = self.makers[value]
            source = call.args[0]
            places = _through(call, source, indices)
            indices = tuple(NOWHERE if size == 1 else index for index, size in zip(places, source.shape, strict=True))
            value = source
        return value, indices

    def is_whole(self, value: Value) -> bool:
        """Whether a value is all of an array in memory, or its transpose."""
        root, indices = self.look(value, axis_indices(value.shape))
        whole = axis_indices(value.shape)
        return (root.shape == value.shape and indices == whole) or (
            root.shape == value.shape[::-1] and len(root.shape) == 2 and indices == whole[::-1]
        )

    def reads(self, call: Call) -> list[tuple[Value, Indices]]:
        """List the elements from which one element of an elementwise call or of a reduction is computed.

        The indices are along the axes of the result, or those of what is reduced.
        """
        if self.kinds[call] == "reduction":
            return [self.look(call.args[0], axis_indices(call.args[0].shape))]
        if self.kinds[call] == "gather":
            return [self.element(arg, call.output.shape) for arg in indices_of(call)]
        if call.function is operator.getitem:
            source = call.args[0]
            return [self._looked(source, _basic(source.shape, call.args[1], ()))]
        return [self.element(arg, call.output.shape) for arg in call.args if isinstance(arg, Value)]

    def element(self, value: Value, shape: tuple[int, ...]) -> tuple[Value, Indices]:
        """Give the element of an argument that NumPy's broadcasting brings to an element of the result."""
        skipped = len(shape) - len(value.shape)
        return self.look(
            value, tuple(NOWHERE if size == 1 else Index(axis + skipped) for axis, size in enumerate(value.shape))
        )

    def _looked(self, value: Value, indices: Indices) -> tuple[Value, Indices]:
        indices = tuple(NOWHERE if size == 1 else index for index, size in zip(indices, value.shape, strict=True))
        return self.look(value, indices)

    def _kind(self, call: Call) -> CallKind:
        if call.function is require:
            is_simple = all(not isinstance(arg, Value) or not arg.is_array for arg in call.args)
            return "require" if is_simple else "opaque"
        if call.several or call.effect or call.output in self._fixed:
            return "opaque"
        if added_product(call) or call.function is np.matmul:
            return "product" if _is_product(call) else "opaque"
        if not all(_is_known(value) for value in (*call.operands(), call.output)):
            return "opaque"
        x = call.args[0] if call.args else None
        if isinstance(x, Value):
            if call.output.is_array and _is_view(call, x):
                return "view"
            if call.output.is_array and x.is_array and _is_reshape(call):
                return "reshaped"
            if call.function in REDUCERS:
                return "reduction" if _is_reduction(call, x) else "opaque"
            parts = gathered(call)
            if parts is not None:
                whole = axis_indices(parts[0].shape)
                is_plain = self.look(parts[0], whole) == (self.root(parts[0]), whole)
                return "gather" if is_plain else "opaque"
        return "elementwise" if is_computable(call) else "opaque"


def _is_known(value: Value) -> bool:
    """Whether machine code has numbers of this type, and loops of this many axes."""
    if len(value.shape) > 6:
        return False
    if isinstance(value.dtype, type) and value.dtype in (bool, int, float):
        return True
    return isinstance(value.dtype, np.dtype) and value.dtype in DTYPES and value.dtype.isnative


def _is_product(call: Call) -> bool:
    matrices = list(call.operands()) if call.function is np.matmul else [call.args[0], *call.args[2:]]
    if call.kwargs or not all(isinstance(value, Value) for value in matrices) or not call.output.is_array:
        return False
    values = [*matrices, call.output]
    ranks = {(2, 2), (1, 2), (2, 1)} if call.function is np.matmul else {(2, 2, 2)}
    return (
        tuple(len(value.shape) for value in matrices) in ranks
        and len({value.dtype for value in values}) == 1
        and call.output.dtype in (np.float32, np.float64)
        and all(math.prod(value.shape) for value in values)
    )


# Views


def _is_view(call: Call, source: Value) -> bool:
    if facts_of(call.function).is_view:
        return source.is_array or call.function is np.broadcast_to or call.function is np.expand_dims
    if call.function is operator.getitem:
        return source.is_array and is_basic(call.args[1])
    if call.function in (np.reshape, np.ravel) and len(call.args) + len(call.kwargs) <= 2:
        same = [size for size in source.shape if size != 1] == [size for size in call.output.shape if size != 1]
        return same and "order" not in call.kwargs
    return False


def _is_reshape(call: Call) -> bool:
    return call.function in (np.reshape, np.ravel) and len(call.args) + len(call.kwargs) <= 2 and not call.kwargs


def _through(call: Call, source: Value, indices: Indices) -> Indices:
    """Give the indices of what a view shows for those of the view."""
    if call.function is operator.getitem:
        return _basic(source.shape, call.args[1], indices)
    if call.function in (np.transpose, np.swapaxes, np.moveaxis):
        sizes = tuple(range(2, 2 + len(source.shape)))  # all different, so that they tell the axes apart
        order = call.function(np.broadcast_to(0, sizes), *call.args[1:], **call.kwargs).shape
        return tuple(indices[order.index(size)] for size in sizes)
    if call.function is np.broadcast_to:
        return indices[len(indices) - len(source.shape) :]
    if call.function is np.expand_dims:
        axis = call.args[1] if len(call.args) > 1 else call.kwargs["axis"]
        rank = len(call.output.shape)
        new = {k % rank for k in (axis if isinstance(axis, tuple) else (axis,))}
        return tuple(index for k, index in enumerate(indices) if k not in new)
    longer = iter([index for index, size in zip(indices, call.output.shape, strict=True) if size != 1])
    return tuple(NOWHERE if size == 1 else next(longer) for size in source.shape)


def _basic(shape: tuple[int, ...], index: Any, indices: Indices) -> Indices:
    """Give the indices of an array for those of ``array[index]``."""
    items = list(index if isinstance(index, tuple) else (index,))
    named = sum(item is not None and item is not Ellipsis for item in items)
    if Ellipsis not in items:
        items.append(Ellipsis)
    place = items.index(Ellipsis)
    items[place : place + 1] = [slice(None)] * (len(shape) - named)
    of_result, sizes, of_array = iter(indices), iter(shape), []
    for item in items:
        if item is None:
            next(of_result)
        elif isinstance(item, slice):
            size, of_view = next(sizes), next(of_result)
            start, stop, step = item.indices(size)
            if len(range(start, stop, step)) == 1:
                of_view = NOWHERE
            of_array.append(Index(of_view.axis, start + step * of_view.start, step * of_view.step))
        else:
            of_array.append(Index(None, item % next(sizes)))
    return tuple(of_array)


# Gathers


def gathered(call: Call) -> tuple[Value, list[Value]] | None:
    """Give the array and the arrays of indices of a call that takes elements, or rows, at computed places."""
    x = call.args[0] if call.args else None
    if not isinstance(x, Value) or not x.is_array or not math.prod(x.shape):
        return None
    if call.function is operator.getitem:
        items = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
        is_whole = len(items) == len(x.shape)
    else:
        return None
    shape = call.output.shape
    if not (is_whole and call.output.is_array and all(isinstance(item, Value) and item.is_array for item in items)):
        return None
    if any(np.dtype(item.dtype).kind not in "iu" or item.shape != shape for item in items):
        return None
    return x, list(items)


def indices_of(call: Call) -> list[Value]:
    """List the arrays of indices of a call that takes elements at computed places."""
    parts = gathered(call)
    return [] if parts is None else parts[1]


# Elementwise calls and reductions


def reduced_by(call: Call) -> np.ufunc:
    """Give the ufunc by which a reduction reduces."""
    ufunc: np.ufunc = getattr(call.function, "__self__")  # noqa: B009 (a function's owner, which its type has not)
    return ufunc


def is_computable(call: Call) -> bool:
    """Whether machine code can compute an element of the result from elements of the arguments."""
    function, args = UFUNCS.get(call.function, call.function), call.args
    if any(not isinstance(arg, Value | bool | int | float | np.generic) for arg in args) and function is not astype:
        return function is operator.getitem and not call.output.is_array and is_basic(args[1])
    if any(isinstance(arg, np.generic) and arg.dtype not in DTYPES for arg in args):
        return False
    if function is np.copy:
        return not call.kwargs and len(args) == 1
    if function is astype:
        return isinstance(args[0], Value)
    if call.kwargs or not any(isinstance(arg, Value) for arg in args):
        return False
    if function is np.clip:
        return len(args) == 3 and all(_type_of(arg) in (np.dtype(call.output.dtype), int, float) for arg in args)
    if function is np.where:
        return len(args) == 3 and _type_of(args[0]) == np.dtype(bool)
    if function not in TEMPLATES:
        return False
    types = loop_types(call)
    return all(kind.char in TEMPLATES[function][1] for kind in types[:-1]) and types[-1] == np.dtype(call.output.dtype)


def is_polynomial(call: Call) -> bool:
    """Whether an element is computed by a polynomial, of which the processor computes several at once."""
    return UFUNCS.get(call.function, call.function) in (np.exp, np.tanh)


def work_of(call: Call) -> int:
    """Say about how long an element takes, with 1 for a sum: its function may be arithmetic, a polynomial, or in C."""
    template = TEMPLATES.get(UFUNCS.get(call.function, call.function), ("",))[0]
    if is_polynomial(call):
        return 10
    return 100 if template.startswith("np.") and template.split("(")[0] not in _QUICK else 1


def loop_types(call: Call) -> tuple[np.dtype[Any], ...]:
    """Give the types of the arguments and of the result in the loop that NumPy would run."""
    function: Any = UFUNCS.get(call.function, call.function)
    types = function.resolve_dtypes((*map(_type_of, call.args), None))
    return tuple(types)


def _type_of(arg: Any) -> Any:
    """Give the dtype of an argument, or the Python type of a number whose dtype its neighbours decide."""
    if isinstance(arg, Value):
        return arg.dtype if arg.dtype in (int, float) else np.dtype(arg.dtype)
    return type(arg) if type(arg) in (int, float) else np.dtype(type(arg))


def reduced_axes(call: Call) -> tuple[int, ...]:
    """List the axes that a reduction reduces."""
    axis = call.kwargs.get("axis", 0)
    rank = len(call.args[0].shape)
    axes = tuple(range(rank)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(k % rank for k in axes))


def _is_reduction(call: Call, x: Value) -> bool:
    ufunc = reduced_by(call)
    logical = ufunc in (np.logical_and, np.logical_or)
    initial = call.kwargs.get("initial", 0)
    return (
        x.is_array
        and len(x.shape) > 0
        and len(call.args) == 1
        and not call.kwargs.keys() - {"axis", "dtype", "initial"}
        and (not logical or x.dtype == bool)
        and isinstance(initial, bool | int | float)
        and math.prod(x.shape) > 0
        and not (np.dtype(call.output.dtype) == bool and not logical)
    )


def copies_for_products(program: Program) -> Program:
    """Copy what is multiplied, or given another shape, where it is only a part of an array in memory."""
    elements = Elements(program, set())
    counter = itertools.count()
    calls: list[Call] = []
    for call in program.calls:
        if elements.kinds[call] in ("product", "reshaped"):
            new: dict[Value, Value] = {}
            for value in dict.fromkeys(call.operands()):
                root, indices = elements.look(value, axis_indices(value.shape))
                is_all = root.shape == value.shape and indices == axis_indices(value.shape)
                if not (is_all or (elements.kinds[call] == "product" and elements.is_whole(value))):
                    new[value] = Value("call", value.shape, value.dtype, True, f"copy_{next(counter)}")
                    calls.append(Call(np.copy, (value,), {}, [new[value]], stamp=call.stamp))
            call = call.with_values(new)
        calls.append(call)
    return program.replacing(calls, {})
