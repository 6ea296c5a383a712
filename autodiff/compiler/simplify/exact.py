"""Simplifications of a program that keep every bit, each a function that gives another program."""

from __future__ import annotations

import itertools
import math
import operator
from typing import Any

import numpy as np

from autodiff.arrays.placement import is_basic, scatter_add
from autodiff.compiler.plan.lifetimes import is_view
from autodiff.compiler.program import Call, Program, Value, mapped
from autodiff.compiler.record.recorder import updated
from autodiff.compiler.simplify.rewriting import Makers, fresh, is_float, like, original, rewrite
from autodiff.compiler.simplify.views import shortened
from autodiff.core.rule import Function, is_elementwise

# What a longer name comes down to.
_REDUCTIONS: dict[Function, Any] = {
    np.sum: np.add.reduce, np.mean: np.add.reduce, np.prod: np.multiply.reduce,
    np.max: np.maximum.reduce, np.amax: np.maximum.reduce, np.min: np.minimum.reduce, np.amin: np.minimum.reduce,
    np.all: np.logical_and.reduce, np.any: np.logical_or.reduce,
}  # fmt: skip
REDUCERS = {*_REDUCTIONS.values()}
_OPTIONS = ("axis", "dtype", "out", "keepdims", "initial", "where")  # in the order in which they may be given


def lower(program: Program) -> Program:
    """Say what has a longer name as NumPy computes it.

    Requires nothing. Gives reductions by ufuncs, of one argument, over axes in order, without ``keepdims``; means as
    quotients; products, roots and quotients for powers; ones and zeros that depend on nothing; gradients of
    views as zeros of which a part is replaced. Keeps every bit.
    """

    def change(call: Call, _: Makers) -> Any:
        function, args, kwargs, output = call.function, call.args, dict(call.kwargs), call.output
        x = args[0] if args else None
        if not isinstance(x, Value):
            return None
        if function in (np.split, np.array_split):
            return _parts(call, x, kwargs.get("axis", (*args, 0)[2]))
        if (
            function in (np.ones_like, np.zeros_like)
            and [*args, *(kwargs.keys() - {"shape"})] == [x]
            and not output.axes
        ):
            dtype, is_one = output.dtype, function is np.ones_like
            if not output.is_array:
                return dtype.type(is_one)
            return [like(call, np.ones if is_one else np.zeros, (output.shape, dtype))]
        if function is np.swapaxes and len(x.shape) == 2 and sorted(k % 2 for k in args[1:]) == [0, 1]:
            return [like(call, np.transpose, (x,))]
        if function is np.square and x.is_array and x.form == output.form:
            return [like(call, np.multiply, (x, x), kwargs)]
        if function is np.power and not kwargs and is_float(x) and x.form == output.form:
            ways: Any = {2: (np.multiply, (x, x)), 0.5: (np.sqrt, (x,)), -1: (np.divide, (1, x))}
            way = ways.get(args[1]) if isinstance(args[1], int | float) else None
            return [like(call, *way)] if way else None
        if function is scatter_add and output.is_array and is_basic(args[1]):
            zeros = fresh(output)
            return [
                like(call, np.zeros, (*args[2:], np.dtype(zeros.dtype)), {}, zeros),
                like(call, updated, (zeros, args[1], x)),
            ]
        if function in _REDUCTIONS or (function in REDUCERS and (len(args) > 1 or kwargs.get("keepdims"))):
            return _reduced(call, x, kwargs)
        return None

    return rewrite(program, change)


def _parts(call: Call, x: Value, axis: int) -> list[Call] | None:
    """Cut an array into the parts that a call gives, each by itself, if they follow each other."""
    ends = [*itertools.accumulate((part.shape[axis] for part in call.outputs), initial=0)]
    if ends[-1] != x.shape[axis]:
        return None
    cuts = [slice(start or None, end if end < ends[-1] else None) for start, end in itertools.pairwise(ends)]
    before = (slice(None),) * (axis % len(x.shape))
    indices = [(*before, cut) if before else cut for cut in cuts]
    return [like(call, operator.getitem, (x, index), {}, part) for index, part in zip(indices, call.outputs)]


def _reduced(call: Call, x: Value, kwargs: dict[str, Any]) -> list[Call] | None:
    """Reduce by a ufunc and without keeping axes, which come back as a view."""
    reduce, is_mean = _REDUCTIONS.get(call.function, call.function), call.function is np.mean
    has_dtype = call.function == reduce or reduce in (np.add.reduce, np.multiply.reduce)
    given = dict(zip([name for name in _OPTIONS if has_dtype or name != "dtype"], call.args[1:])) | kwargs
    options = {name: value for name, value in given.items() if value is not None and value is not np._NoValue}
    keepdims = options.pop("keepdims", False)
    if is_mean and (options.keys() - {"axis"} or not x.is_array or x.dtype.kind != "f" or x.dtype.itemsize == 2):
        return None
    axis = given.get("axis", 0 if call.function == reduce else None)
    axes = tuple(range(len(x.shape))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(sorted(k % len(x.shape) for k in axes)) if x.shape else ()
    options["axis"] = axes[0] if len(axes) == 1 else None if len(axes) == len(x.shape) else axes
    total = fresh(call.output) if is_mean else call.output
    shape = tuple(n for k, n in enumerate(x.shape) if k not in axes)
    order = [k for k in total.axes or range(len(x.shape)) if k not in axes] if keepdims else []
    places = tuple(sorted(order).index(k) for k in order)
    in_memory = None if places == tuple(range(len(order))) else places
    reduced = Value("call", shape, total.dtype, bool(shape), axes=in_memory) if keepdims else total
    calls = [like(call, reduce, (x,), options, reduced)]
    if keepdims:
        view, argument = (np.expand_dims, axes) if shape else (np.reshape, total.shape)
        calls.append(like(call, view, (reduced, argument), {}, total))
    if is_mean:
        count = math.prod(x.shape) // max(1, math.prod(total.shape))
        calls.append(like(call, np.divide if total.is_array else operator.truediv, (total, count)))
    return calls


def dead(program: Program) -> Program:
    """Leave out calls whose values nobody uses.

    Requires nothing. Gives only calls with effects, and those on which they and the outcomes depend. Keeps every bit.
    """
    needs = {value for value in program.outcomes() if isinstance(value, Value)}
    calls = []
    for call in reversed(program.calls):
        if call.effect or any(output in needs for output in call.outputs):
            calls.append(call)
            needs.update(call.operands())
    return program.replacing(reversed(calls), {})


def repeated(program: Program) -> Program:
    """Make a call once that is made several times on the same values.

    Requires nothing, but sees more to be the same after `lower` and `neutral`. Gives no two calls that are the same,
    but for effects and those of several results. Keeps every bit.
    """
    outputs: dict[Any, Value] = {}

    def change(call: Call, _: Makers) -> Value | None:
        if call.effect or call.several:
            return None
        first = outputs.setdefault((call.function, _key((call.args, sorted(call.kwargs.items())))), call.output)
        return None if first is call.output else first

    return rewrite(program, change)


def _key(arg: Any) -> str:
    """Give a text that is the same only for the same argument: 1, 1.0 and True are different."""
    plain = str | int | float | complex | np.generic | np.dtype
    return repr(mapped(arg, lambda item: (type(item), item) if isinstance(item, plain) else id(item)))


def fold_constants(program: Program) -> Program:
    """Compute numbers that depend on nothing.

    Requires nothing. Gives numbers where they are used, and no calls of numbers that give one. Keeps every bit.
    """

    def change(call: Call, _: Makers) -> Any:
        if call.effect or call.several or call.output.is_array or call.operands():
            return None
        result = call.function(*call.args, **call.kwargs)
        return result[()] if isinstance(result, np.ndarray) else result

    return rewrite(program, change)


def views(program: Program) -> Program:
    """Say a chain of views, such as reshapes and transposes, as one view, or as the array that it shows all of.

    Requires nothing, but `lower` makes views, too. Gives views of arrays that are no views of all of another one, but
    of other shapes of what may have gaps in memory. Keeps every bit.
    """
    return shortened(program, exact=True)


def neutral(program: Program) -> Program:
    """Leave out what changes nothing: copies of what was computed, products with one, two signs.

    Requires nothing. Gives no copies but of what may have gaps in memory, as views and arrays of the user's, or lies
    in another order: sums and products of the copy may round in another way. Keeps every bit.
    """

    def change(call: Call, makers: Makers) -> Any:
        x = original(call, makers)
        maker = makers.get(x) if x else None
        is_dense = maker and (isinstance(maker.function, np.ufunc) or maker.function in REDUCERS)
        return x if x and (not x.is_array or (is_dense and x.axes == call.output.axes)) else None

    return rewrite(program, change)


def filled(program: Program) -> Program:
    """Leave it to NumPy to broadcast, in calls that do: a number in all places is that number.

    Requires that `lower` has made ones and zeros of a shape, and that `fold_constants` has run; of constants it sees
    which are ones. Gives elementwise calls of what is broadcast in place of what it becomes, which then may be of no
    use, where their results have the same shape. Keeps every bit.
    """
    constants = {value for call in program.calls for value in call.operands() if value.kind == "constant"}
    instead: dict[Value, Any] = {  # what gives the same when NumPy broadcasts it
        value: value.data.flat[0] for value in constants if value.data.size and (value.data == 1).all()
    }

    def change(call: Call, _: Makers) -> list[Call] | None:
        output, x = call.output, call.args[0] if call.args else None
        same = instead.get(x) if isinstance(x, Value) else x
        if call.function is np.broadcast_to and not call.kwargs and (isinstance(x, np.generic) or _is_typed(x)):
            instead[output] = x if same is None else same
        elif isinstance(same, np.generic) and is_view(call) and output.is_array:
            instead[output] = same
        elif call.function is operator.getitem and call.args[1] is None and _is_typed(x):
            instead[output] = x
        elif call.function in (np.ones, np.zeros) and len(call.args) == 2:
            instead[output] = np.dtype(output.dtype).type(call.function is np.ones)
        elif is_elementwise(call.function) and not (call.several or call.kwargs):
            exponent = call.args[1] if call.function is np.power else None  # an array of 2s does not square, as 2 does
            known = {one: instead[one] for one in call.operands() if one in instead and one is not exponent}
            simpler = call.with_values(known)
            others = simpler.operands()
            if not others and output.is_array:
                instead[output] = call.function(*simpler.args)[()]
            elif simpler is not call and np.broadcast_shapes(*(value.shape for value in others)) == output.shape:
                return [simpler]
        return None

    return rewrite(program, change)


def _is_typed(x: Any) -> bool:
    """Whether a value has a dtype of its own, as a number of Python has not."""
    return isinstance(x, Value) and isinstance(x.dtype, np.dtype)
