"""How one element is computed in machine code: of the texts of what it is computed from, in NumPy's types."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.plan.elements import TEMPLATES, loop_types, reduced_axes, reduced_by
from autodiff.compiler.program import Call, Value
from autodiff.compiler.record.recorder import UFUNCS
from autodiff.compiler.write.texts import Texts
from autodiff.core.tensor import astype

MANY = 1024  # float32 numbers whose sum is taken in float64


def computed(texts: Texts, call: Call, reads: Iterable[str]) -> str:
    """Write an element of an elementwise call, given the texts of those elements that it reads."""
    function = UFUNCS.get(call.function, call.function)
    output = np.dtype(call.output.dtype)
    values = iter(reads)
    if function in (np.copy, operator.getitem):
        return next(values)
    if function is astype:
        return _cast(texts, next(values), call.args[0].dtype, output)
    if function is np.where:
        kinds: Sequence[Any] = (np.dtype(bool), output, output)
    else:
        kinds = [output] * len(call.args) if function is np.clip else loop_types(call)[:-1]
    operands = []
    for arg, kind in zip(call.args, kinds):
        text = next(values) if isinstance(arg, Value) else _literal(texts, arg)
        dtype = arg.dtype if isinstance(arg, Value) else type(np.asarray(arg).item())
        operands.append(_atom(_cast(texts, text, dtype, kind)))
    if function is np.where:
        return f"{operands[1]} if {operands[0]} else {operands[2]}"
    if function is np.clip:
        return f"np.minimum(np.maximum({_bare(operands[0])}, {_bare(operands[1])}), {_bare(operands[2])})"
    template = TEMPLATES[function][0]
    if template in ("exp({})", "tanh({})"):
        texts.kernels.add(template[:-4])
    if template.endswith(")"):
        operands = list(map(_bare, operands))
    text = template.format(*operands)
    is_right = output in (np.bool, np.int64, np.float64) or (function is not np.reciprocal and output.kind == "f")
    return text if is_right else f"{texts.dtype(output)}({text})"


def gathered(texts: Texts, array: str, call: Call, reads: Iterable[str], are_inside: Iterable[bool]) -> str:
    """Write an element at computed places, which are looked at where it isn't known that they are inside."""
    places = []
    for text, size, is_inside in zip(reads, call.args[0].shape, are_inside, strict=True):
        if not is_inside:
            texts.kernels.add("checked")
        places.append(text if is_inside else f"checked({text}, {size})")
    return f"{array}[{', '.join(places)}]"


def start(texts: Texts, call: Call) -> str:
    """Write what a reduction begins with."""
    dtype = np.dtype(call.output.dtype)
    ufunc = reduced_by(call)
    initial = call.kwargs.get("initial")
    if initial is None and ufunc in (np.maximum, np.minimum):
        if dtype.kind == "f":
            return f"{texts.dtype(dtype)}({'-' if ufunc is np.maximum else ''}np.inf)"
        info = np.iinfo(dtype)
        initial = info.min if ufunc is np.maximum else info.max
    elif initial is None:
        initial = ufunc.identity
    return repr(bool(initial)) if dtype.kind == "b" else f"{texts.dtype(dtype)}({texts.text(initial)})"


def accumulated(texts: Texts, call: Call, total: str, text: str, in_array: bool) -> str:
    """Write how an element is added to a total, which is a number or lies in an array."""
    dtype = np.dtype(call.output.dtype)
    wide = np.dtype(np.float64) if is_wide(call) and not in_array else dtype
    term = _cast(texts, text, call.args[0].dtype, wide)
    ufunc = reduced_by(call)
    if ufunc is np.add and dtype.kind == "f" and not in_array:
        texts.kernels.add("plus")
        return f"{total} = plus({total}, {_bare(term)})"
    if ufunc in (np.add, np.multiply):
        return f"{total} {'+' if ufunc is np.add else '*'}= {_bare(term)}"
    if ufunc in (np.logical_and, np.logical_or):
        return f"{total} = {total} {'and' if ufunc is np.logical_and else 'or'} {_atom(term)}"
    return f"{total} = np.{ufunc.__name__}({total}, {_bare(term)})"


def _literal(texts: Texts, arg: Any) -> str:
    return texts.text(arg.item() if isinstance(arg, np.generic) else arg)


def _cast(texts: Texts, text: str, dtype: Any, target: np.dtype[Any]) -> str:
    """Convert a number to the type that NumPy would convert it to."""
    if np.dtype(dtype) == target and (dtype not in (int, float) or target.itemsize == 8):
        return text
    return f"{_atom(text)} != 0" if target.kind == "b" else f"{texts.dtype(target)}({_bare(text)})"


def is_wide(call: Call) -> bool:
    """Whether a sum is of so many float32 numbers that it is taken in float64."""
    count = math.prod(call.args[0].shape[axis] for axis in reduced_axes(call))
    return call.function == np.add.reduce and call.output.dtype == np.float32 and count > MANY


def _atom(text: str) -> str:
    """Put parentheses around a text, if a sign beside it would part it."""
    return f"({text})" if text.startswith("-") or " " in _outside(text) else text


def _bare(text: str) -> str:
    """Leave out parentheses around all of a text."""
    return text[1:-1] if text.startswith("(") and _outside(text) == "(" else text


def _outside(text: str) -> str:
    """Leave out of a text what stands in parentheses and brackets, and the closing ones."""
    depth, outside = 0, ""
    for character in text:
        outside += character if depth == 0 else ""
        depth += (character in "([") - (character in ")]")
    return outside
