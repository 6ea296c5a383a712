"""What views show: which array, and of its memory what. A chain of reshapes, transposes and the like is one view."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from autodiff.compiler.plan.lifetimes import is_reshape, is_view, may_view, shows
from autodiff.compiler.program import Call, Program, Value
from autodiff.compiler.simplify.rewriting import Makers, like, rewrite
from autodiff.core.rule import Array, Function

_NOWHERE = np.empty((), np.int8)


def shortened(program: Program, exact: bool) -> Program:
    """Say views in fewer calls: as the array that they show all of, or as one view of it.

    Args:
        program: whose views these are.
        exact: whether arrays that may have gaps in memory keep their shape, as NumPy would copy them to change it.
    """
    shown: dict[Value, tuple[Value, Array]] = {}  # an array, and the same view of one without contents

    def change(call: Call, makers: Makers) -> Any:
        x, output = call.args[0] if call.args else None, call.output
        if not isinstance(x, Value) or call.operands() != (x,) or not shows(call):
            return None
        source, memory = shown.get(x) or (x, without_contents(x))
        view = view_of(call, memory)
        maker = makers.get(source)
        is_dense = maker is not None and not may_view(maker)
        is_same = call.function is np.reshape and _longer(x.shape) == _longer(output.shape)  # np.ravel leaves no gaps
        if view is None or not (is_dense or is_view(call) or is_same or not exact):
            return None
        shown[output] = source, view
        whole = without_contents(source)
        for older, its in ((source, whole), (x, memory)):
            if older.form == output.form and place(view) == place(its):
                return older
        for function, args in _single(whole, view) if source.is_array and output.is_array else ():
            other = like(call, function, (source, *args))
            if (source is not x or function is not np.reshape) and place(view_of(other, whole)) == place(view):
                return [other]
        return None

    return rewrite(program, change)


def without_contents(value: Value) -> Array:
    """Give an array of a value's shape, in its order, that is no more than its strides: its memory is not there."""
    strides, stride = [0] * len(value.shape), 1
    for axis in reversed(value.axes or range(len(value.shape))):
        strides[axis], stride = stride, stride * value.shape[axis]
    return np.lib.stride_tricks.as_strided(_NOWHERE, value.shape, strides, writeable=False)


def view_of(call: Call, memory: Array) -> Array | None:
    """Give the view of an array that a call makes of its first argument, or None where NumPy makes a copy."""
    if call.function is operator.getitem:
        items = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
        return memory[items if Ellipsis in items else (*items, ...)]  # an array, if one without axes
    if not is_reshape(call):
        return call.function(memory, *call.args[1:], **call.kwargs) if is_view(call) else None
    try:
        return memory.reshape(call.output.shape, copy=False)
    except ValueError:
        return None


def place(view: Array | None) -> Any:
    """Give what tells apart two views of one memory, and None for a copy."""
    if view is None:
        return None
    steps = [step for size, step in zip(view.shape, view.strides) if size != 1]
    return view.shape, steps, view.__array_interface__["data"][0]


def _longer(shape: tuple[int, ...]) -> list[int]:
    """Leave out axes of length one, which any array can lose and get."""
    return [size for size in shape if size != 1]


def _single(whole: Array, view: Array) -> Iterator[tuple[Function, tuple[Any, ...]]]:
    """List calls that may give a view: transposed, with new axes, or of another shape."""
    if view.ndim == whole.ndim:
        axes: list[int] = []
        for size, step in zip(view.shape, view.strides):
            left = (axis for axis in range(whole.ndim) if axis not in axes and whole.shape[axis] == size)
            axes += [axis for axis in left if size == 1 or whole.strides[axis] == step][:1]
        if len(axes) == whole.ndim:
            yield np.transpose, () if axes == [*range(whole.ndim)][::-1] else (tuple(axes),)
    index: list[Any] = []
    for size in view.shape:
        old = sum(item is not None for item in index)
        index.append(slice(None) if whole.shape[old : old + 1] == (size,) else None)
    if sum(item is not None for item in index) == whole.ndim < view.ndim:
        while index[-1] is not None:
            index.pop()
        yield operator.getitem, (tuple(index) if len(index) > 1 else None,)
    if whole.size == view.size:
        yield np.reshape, (view.shape,)
