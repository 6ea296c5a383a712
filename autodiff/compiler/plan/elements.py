"""What the elements of a value are computed from: the basis on which calls are fused into loops.

An element of a view is an element of what it shows, at other indices. Most other calls compute each element of their
result from elements of their arguments, or reduce some axes. The rest, such as a decomposition of a matrix, are opaque.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from autodiff.arrays.placement import is_basic
from autodiff.arrays.whole import require
from autodiff.compiler.plan.lifetimes import is_reshape, is_view
from autodiff.compiler.program import Call, Program, Value
from autodiff.compiler.record.recorder import UFUNCS
from autodiff.compiler.simplify.exact import REDUCERS
from autodiff.compiler.simplify.rounding import add_product
from autodiff.compiler.simplify.views import view_of
from autodiff.core.tensor import astype

LETTERS = "ijklmn"  # of the axes of a nest
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

    def __str__(self) -> str:
        """Write it as in a program."""
        if self.axis is None:
            return str(self.start)
        letter = LETTERS[self.axis]
        if self.step == -1:
            return f"{self.start} - {letter}"
        text = letter if self.step == 1 else f"{self.step} * {letter}"
        return text if not self.start else f"{text} + {self.start}"


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

    Attributes:
        makers: the call that makes each value.
        kinds: of each call.
    """

    def __init__(self, program: Program, fixed: Collection[Value] = ()) -> None:
        self.makers = {output: call for call in program.calls for output in call.outputs}
        self.kinds: dict[Call, CallKind] = {}
        self._fixed = fixed
        self._shown: dict[Call, Indices] = {}  # where in its source a view is, for indices along the axes of the view
        for call in program.calls:
            self.kinds[call] = self._kind(call)

    def kind_of(self, value: Value) -> CallKind | None:
        """Say how a value is made, None for one that is given."""
        maker = self.makers.get(value)
        return None if maker is None else self.kinds[maker]

    def is_view(self, value: Value) -> bool:
        """Whether a value is a view, or an array of another shape in the same memory."""
        return self.kind_of(value) in ("view", "reshaped")

    def root(self, value: Value) -> Value:
        """Give the value whose memory a view or an array of another shape shows."""
        while self.is_view(value):
            value = self.makers[value].args[0]
        return value

    def look(self, value: Value, indices: Indices) -> tuple[Value, Indices]:
        """Give what an element of a value is an element of, looking through views."""
        while self.kind_of(value) == "view":
            call = self.makers[value]
            value, indices = call.args[0], self._through(call, indices)
        return value, indices

    def is_whole(self, value: Value, transposed: bool = False) -> bool:
        """Whether a value is all of an array in memory, or else its transpose if that will do as well."""
        root, indices = self.look(value, axis_indices(value.shape))
        whole = axis_indices(value.shape)
        return (root.shape == value.shape and indices == whole) or (
            transposed and root.shape == value.shape[::-1] and len(root.shape) == 2 and indices == whole[::-1]
        )

    def space(self, call: Call) -> tuple[int, ...]:
        """Give the shape over which a call runs: that of its result, or of what it reduces."""
        shape: tuple[int, ...] = (call.args[0] if self.kinds[call] == "reduction" else call.output).shape
        return shape

    def reads(self, call: Call) -> list[tuple[Value, Indices]]:
        """List the elements from which one element of an elementwise call or of a reduction is computed.

        The indices are along the axes of the result, or those of what is reduced.
        """
        if call.function is operator.getitem and self.kinds[call] == "elementwise":
            return [self.look(call.args[0], self._through(call, ()))]
        arrays = gathered_at(call) if self.kinds[call] == "gather" else call.args
        return [self.element(arg, self.space(call)) for arg in arrays if isinstance(arg, Value)]

    def element(self, value: Value, shape: tuple[int, ...]) -> tuple[Value, Indices]:
        """Give the element of an argument that NumPy's broadcasting brings to an element of the result."""
        skipped = len(shape) - len(value.shape)
        places = (NOWHERE if size == 1 else Index(axis + skipped) for axis, size in enumerate(value.shape))
        return self.look(value, tuple(places))

    def _through(self, call: Call, indices: Indices) -> Indices:
        """Give the indices of what a view shows for those of the view."""
        if call not in self._shown:
            self._shown[call] = _shown_by(call)
        places = []
        for one in self._shown[call]:
            of_view = NOWHERE if one.axis is None else indices[one.axis]
            step = 1 if of_view.axis is None else one.step * of_view.step
            places.append(Index(of_view.axis, one.start + one.step * of_view.start, step))
        return tuple(places)

    def _kind(self, call: Call) -> CallKind:
        if call.function is require:
            is_simple = all(not isinstance(arg, Value) or not arg.is_array for arg in call.args)
            return "require" if is_simple else "opaque"
        if call.several or call.effect or call.output in self._fixed:
            return "opaque"
        if call.function in (add_product, np.matmul):
            return "product" if _is_product(call) else "opaque"
        if not all(_is_known(value) for value in (*call.operands(), call.output)):
            return "opaque"
        x = call.args[0] if call.args else None
        if isinstance(x, Value):
            if call.output.is_array and _is_plain_view(call, x):
                return "view"
            if call.output.is_array and x.is_array and is_reshape(call):
                return "reshaped"
            if call.function in REDUCERS:
                return "reduction" if _is_reduction(call, x) else "opaque"
            if gathered_at(call):
                whole = axis_indices(x.shape)
                return "gather" if self.look(x, whole) == (self.root(x), whole) else "opaque"
        return "elementwise" if is_computable(call) else "opaque"


def _is_known(value: Value) -> bool:
    """Whether machine code has numbers of this type, and loops of this many axes."""
    return len(value.shape) <= len(LETTERS) and value.dtype in {bool, int, float, *DTYPES}


def _is_product(call: Call) -> bool:
    matrices = list(call.operands()) if call.function is np.matmul else [call.args[0], *call.args[2:]]
    if call.kwargs or not all(isinstance(value, Value) for value in matrices) or not call.output.is_array:
        return False
    ranks = {(2, 2), (1, 2), (2, 1)} if call.function is np.matmul else {(2, 2, 2)}
    return (
        tuple(len(value.shape) for value in matrices) in ranks
        and {value.dtype for value in (*matrices, call.output)} in ({np.dtype("f")}, {np.dtype("d")})
        and all(math.prod(value.shape) for value in (*matrices, call.output))
    )


# Views


def _is_plain_view(call: Call, source: Value) -> bool:
    """Whether elements of the result are elements of the source, each at an index along one of the axes."""
    if not math.prod(source.shape):
        return False  # there are none, and no strides that would say which
    if is_view(call):
        return source.is_array or call.function in (np.broadcast_to, np.expand_dims)
    same = [size for size in source.shape if size != 1] == [size for size in call.output.shape if size != 1]
    return is_reshape(call) and same


def _shown_by(call: Call) -> Indices:
    """Give the index in the source of a view for each axis, found by the strides of the same view of no real array."""
    shape = call.args[0].shape
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * 2 * size)  # each larger than any way along the later axes
    source = np.lib.stride_tricks.as_strided(np.empty((), np.int8), shape, strides[: len(shape)])
    view: Any = view_of(call, source)
    offset = view.__array_interface__["data"][0] - source.__array_interface__["data"][0]
    axes = {axis: step for axis, step in enumerate(view.strides) if view.shape[axis] != 1 and step}
    indices = []
    for stride in strides[: len(shape)]:
        start, offset = divmod(offset, stride)
        axis = next((axis for axis, step in axes.items() if abs(step) >= stride), None)
        indices.append(Index(None, start) if axis is None else Index(axis, start, axes.pop(axis) // stride))
    return tuple(indices)


# Gathers


def gathered_at(call: Call) -> list[Value]:
    """List the arrays of indices, one an axis, of a call that takes elements at computed places; else nothing."""
    if call.function is not operator.getitem or not call.output.is_array:
        return []
    x, index = call.args
    items = list(index) if isinstance(index, tuple) else [index]
    are_places = all(
        isinstance(item, Value)
        and item.is_array
        and item.shape == call.output.shape
        and np.dtype(item.dtype).kind in "iu"
        for item in items
    )
    return items if are_places and x.is_array and len(items) == len(x.shape) and math.prod(x.shape) else []


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
    return tuple(function.resolve_dtypes((*map(_type_of, call.args), None)))


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
    """Copy what is multiplied, or given another shape, where it is only a part of an array in memory.

    Requires nothing; gives a program in which BLAS finds each matrix, or its transpose, whole. It keeps every bit but
    for products, of which BLAS may add in another order.
    """
    elements = Elements(program)
    counter = itertools.count()
    calls: list[Call] = []
    for call in program.calls:
        kind = elements.kinds[call]
        values = dict.fromkeys(call.operands()) if kind in ("product", "reshaped") else ()
        parts = [value for value in values if not elements.is_whole(value, transposed=kind == "product")]
        new = {value: Value("call", value.shape, value.dtype, True, f"copy_{next(counter)}") for value in parts}
        calls += [Call(np.copy, (value,), {}, [new[value]], stamp=call.stamp) for value in parts]
        calls.append(call.with_values(new))
    return program.replacing(calls, {})
