"""How an expression is written: in the notation that one writes by hand, with brackets only where they are needed."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from inspect import unwrap
from typing import Any

import numpy as np

from autodiff.arrays.activations import sigmoid
from autodiff.arrays.placement import scatter_add
from autodiff.arrays.sums import total
from autodiff.core.rule import Function
from autodiff.core.tape import pick
from autodiff.drawing.symbols import OpaqueError, Symbol, symbols_in
from autodiff.drawing.text import brief, function_name, index, is_number
from autodiff.drawing.tidying import is_the_number
from autodiff.rules.digits import cosine, logistic, one_less_square

Run = tuple[str, str]  # a piece of text, and how it is set: "" upright, "i" italic, "sup" raised, "sub" lowered

_CHOICE, _LOGIC, _SUM, _FACTOR, _SIGN, _POWER, _ATOM = range(7)  # how tightly things are bound

_COMPARED: dict[Function, str] = {
    np.equal: "=", np.not_equal: "≠", np.less: "<", np.less_equal: "≤", np.greater: ">", np.greater_equal: "≥",
}  # fmt: skip
_OPPOSITE = {"=": "≠", "≠": "=", "<": "≥", "≥": "<", ">": "≤", "≤": ">"}
_JOINED: dict[Function, str] = {
    np.logical_and: "and", np.bitwise_and: "and", np.logical_or: "or", np.bitwise_or: "or",
}  # fmt: skip
_MATRIX_PRODUCTS: set[Function] = (
    {np.matmul, np.linalg.matmul, np.dot, np.matvec, np.vecmat}
    if hasattr(np, "matvec")
    else {np.matmul, np.linalg.matmul, np.dot}
)
_SUMS: set[Function] = {np.sum, np.add.reduce, total}
_SYMBOLS: dict[Function, str] = {sigmoid: "σ", unwrap(logistic): "σ", scatter_add: "scatter", np.conjugate: "conj"}
_WITHOUT_SHAPE: set[Function] = {np.reshape, scatter_add}

# What needs no brackets: a word with dots, and what stands in brackets behind it, such as x.T, layers[0] and f(x).
_WORD = re.compile(r"[\w.⁽⁾'′]+(\([^()]*\)|\[[^][]*\])*|\([^()]*\)|\|[^|]*\|")

_Written = tuple[list[Run], int]


def runs_of(expression: Any, times: str = "·") -> tuple[Run, ...]:
    """Write an expression in mathematical notation.

    Args:
        expression: a symbol or a number.
        times: the sign of the product element by element.

    Raises:
        OpaqueError: there is no short notation for something in it.
    """
    return tuple(_merged(_write(expression, times)[0]))


def bracketed(expression: Any) -> tuple[Run, ...]:
    """Write an expression in brackets, if it needs them beside a sign of derivation."""
    return tuple(_at_least(expression, _ATOM, "·"))


def plain(runs: Sequence[Run]) -> str:
    """Give a formula as plain text, with raised numbers where Unicode has them."""
    return "".join(_SHIFTED.get(style, str)(text) for text, style in runs)


_RAISED = str.maketrans("0123456789−T", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵀ")


def raised(text: str) -> str:
    """Write a text as an exponent: raised where Unicode has its characters."""
    if all(ord(character) in _RAISED for character in text):
        return text.translate(_RAISED)
    return f"^{text}" if _WORD.fullmatch(text) else f"^({text})"


def _lowered(text: str) -> str:
    return text.translate(str.maketrans("0123456789−", "₀₁₂₃₄₅₆₇₈₉₋"))


_SHIFTED: dict[str, Callable[[str], str]] = {"sup": raised, "sub": _lowered}


def _merged(runs: Sequence[Run]) -> list[Run]:
    merged: list[Run] = []
    for text, style in runs:
        if merged and merged[-1][1] == style:
            merged[-1] = merged[-1][0] + text, style
        else:
            merged.append((text, style))
    return merged


def _write(x: Any, times: str) -> _Written:
    if not isinstance(x, Symbol):
        return _number(x)
    function: Any = x.function
    if function is None:
        return [(x.name, "i")], _ATOM if _WORD.fullmatch(x.name) else _CHOICE
    writer = _WRITERS.get(function)
    if function in _COMPARED or function in _JOINED or function is np.logical_not:
        return [("[", ""), *_condition(x, times), ("]", "")], _ATOM
    if writer is not None:
        result = writer(x, times)
        if result is not None:
            return result
    return _application(x, times)


def _number(x: Any) -> _Written:
    if is_number(x) or isinstance(x, bool):
        text = brief(x).replace("-", "−")
        is_sum = text.endswith("j") and any(sign in text[1:] for sign in "+−")
        return [(text, "")], _SUM if is_sum else _SIGN if text.startswith("−") else _ATOM
    if isinstance(x, np.ndarray) and x.ndim == 1 and x.dtype.kind == "i" and (x == np.arange(len(x))).all():
        return [(f"0…{len(x) - 1}", "")], _ATOM
    raise OpaqueError("an array without a name")


def _at_least(x: Any, tightness: int, times: str) -> list[Run]:
    """Write an operand, in brackets if it is bound less tightly."""
    runs, bound = _write(x, times)
    return runs if bound >= tightness else [("(", ""), *runs, (")", "")]


def _condition(x: Any, times: str, opposite: bool = False) -> list[Run]:
    """Write what stands in the brackets that are 1 where it holds, and 0 elsewhere."""
    function: Any = x.function if isinstance(x, Symbol) else None
    if function is np.logical_not:
        return _condition(x.args[0], times, not opposite)
    if function in _COMPARED:
        sign = _OPPOSITE[_COMPARED[function]] if opposite else _COMPARED[function]
        left, right = (_at_least(one, _SUM, times) for one in x.args)
        return [*left, (f" {sign} ", ""), *right]
    if function in _JOINED:
        word = _JOINED[function]
        word = {"and": "or", "or": "and"}[word] if opposite else word
        parts = []
        for one in x.args:
            part = _condition(one, times, opposite)
            is_joined = (
                isinstance(one, Symbol) and one.function in _JOINED and _JOINED[one.function] != _JOINED[function]
            )
            parts.append([("(", ""), *part, (")", "")] if is_joined else part)
        return [*parts[0], (f" {word} ", ""), *parts[1]]
    runs = _write(x, times)[0]
    return [("not ", ""), *runs] if opposite else runs


def _written_where(x: Symbol, times: str) -> _Written:
    condition, chosen, other = x.args
    for one, rest, opposite in ((chosen, other, False), (other, chosen, True)):
        if _write(rest, times)[0] == [("0", "")]:
            bracket: list[Run] = [("[", ""), *_condition(condition, times, opposite), ("]", "")]
            if _write(one, times)[0] == [("1", "")]:
                return bracket, _ATOM
            if isinstance(one, Symbol) and one.function is np.divide and is_the_number(one.args[0], 1):
                return [*bracket, (" / ", ""), *_at_least(one.args[1], _POWER, times)], _FACTOR
            return [*bracket, ("·", ""), *_at_least(one, _FACTOR, times)], _FACTOR
    parts = [_at_least(chosen, _LOGIC, times), _condition(condition, times), _at_least(other, _LOGIC, times)]
    return [*parts[0], (" if ", ""), *parts[1], (" else ", ""), *parts[2]], _CHOICE


def _written_sum(sign: str) -> Callable[[Symbol, str], _Written]:
    def write(x: Symbol, times: str) -> _Written:
        left, right = x.args
        return [*_at_least(left, _SUM, times), (f" {sign} ", ""), *_at_least(right, _FACTOR, times)], _SUM

    return write


def _written_product(x: Symbol, times: str) -> _Written:
    left, right = (_factor(one, x.function, times) for one in x.args)
    both = all(isinstance(one, Symbol) and one.ndim for one in x.args)
    sign = f" {times} " if times == "⊙" and both else "·"
    return [*left, (sign, ""), *right], _FACTOR


def _factor(x: Any, product: Any, times: str) -> list[Run]:
    """Write a factor; one that is a product of another kind stands in brackets."""
    kinds = ({np.multiply}, _MATRIX_PRODUCTS)
    same = isinstance(x, Symbol) and any(x.function in kind and product in kind for kind in kinds)
    return _at_least(x, _FACTOR if same else _POWER, times)


def _written_matrix_product(x: Symbol, times: str) -> _Written:
    left, right = (_factor(one, x.function, times) for one in x.args)
    return [*left, (" ", ""), *right], _FACTOR


def _written_quotient(x: Symbol, times: str) -> _Written:
    left, right = _write(x.args[0], times), _at_least(x.args[1], _POWER, times)
    above = left[0] if left[1] >= _FACTOR else [("(", ""), *left[0], (")", "")]
    short = len(plain(above)) + len(plain(right)) < 8
    return [*above, ("/" if short else " / ", ""), *right], _FACTOR


def _written_power(x: Symbol, times: str) -> _Written:
    base, exponent = x.args
    power: Run = plain(_write(exponent, times)[0]), "sup"
    function = base.function if isinstance(base, Symbol) else None
    if function is not None and function not in _WRITERS and function not in _COMPARED and is_number(exponent):
        runs = _application(base, times)[0]
        return [runs[0], power, *runs[1:]], _ATOM
    return [*_raisable(base, times), power], _POWER


def _raisable(x: Any, times: str) -> list[Run]:
    """Write what something raised stands behind: in brackets, if it ends with something raised itself."""
    runs = _at_least(x, _ATOM, times)
    return [("(", ""), *runs, (")", "")] if runs[-1][0].endswith("⁾") else runs


def _written_transpose(x: Symbol, times: str) -> _Written | None:
    axes = x.args[1:]
    if (x.function is np.transpose and (axes in ((), (None,)))) or sorted(axes) == [-2, -1]:
        return [*_raisable(x.args[0], times), ("T", "sup")], _POWER
    return None


def _written_total(x: Symbol, times: str) -> _Written:
    axis = x.args[1] if len(x.args) > 1 else x.kwargs.get("axis", 0 if x.function is np.add.reduce else None)
    axes = "" if axis is None else ", ".join(map(str, axis if isinstance(axis, tuple) else (axis,)))
    below: list[Run] = [(axes.replace("-", "−"), "sub")] if axes else []
    return [("Σ", ""), *below, (" ", ""), *_at_least(x.args[0], _POWER, times)], _FACTOR


def _written_index(x: Symbol, times: str) -> _Written:
    return [*_at_least(x.args[0], _ATOM, times), (f"[{index(x.args[1]).replace('...', '…')}]", "")], _ATOM


def _written_broadcast(x: Symbol, times: str) -> _Written:
    """Write what is repeated; which axes are new for that is of no matter."""
    inner = x.args[0]
    if isinstance(inner, Symbol) and inner.function is operator.getitem and _only_adds_axes(inner.args[1]):
        inner = inner.args[0]
    return [("broadcast(", ""), *_write(inner, times)[0], (")", "")], _ATOM


def _application(x: Symbol, times: str) -> _Written:
    """Write a call as one: the name of the function, and its arguments in brackets."""
    function: Any = x.function
    parts: list[list[Run]] = []
    args = x.args[:-1] if function in _WITHOUT_SHAPE else x.args
    for arg in args:
        if function is scatter_add and not isinstance(arg, Symbol):
            if _has_array(arg):
                raise OpaqueError("places that are an array without a name")
            parts.append([(f"[{index(arg).replace('...', '…')}]", "")])
        elif isinstance(arg, Symbol | np.ndarray) or is_number(arg):
            parts.append(_write(arg, times)[0])
        elif type(arg) in (list, tuple) and any(True for _ in symbols_in(arg)):
            items = [_write(one, times)[0] for one in arg]
            parts.append([("[", ""), *separated(items), ("]", "")])
        elif arg is not None:
            parts.append([(brief(arg), "")])
    for key, value in x.kwargs.items():
        if value is not None and value is not False and key != "keepdims":
            parts.append([(f"{key}={brief(value)}", "")])
    return [(_SYMBOLS.get(function) or function_name(function), ""), ("(", ""), *separated(parts), (")", "")], _ATOM


def separated(parts: Sequence[list[Run]]) -> list[Run]:
    """Join pieces by commas."""
    return [run for k, part in enumerate(parts) for run in ([(", ", "")] * (k > 0) + part)]


_WRITERS: dict[Function, Callable[[Symbol, str], _Written | None]] = {
    np.add: _written_sum("+"),
    np.subtract: _written_sum("−"),
    np.multiply: _written_product,
    np.divide: _written_quotient,
    np.negative: lambda x, times: ([("−", ""), *_at_least(x.args[0], _FACTOR, times)], _SIGN),
    np.power: _written_power,
    np.absolute: lambda x, times: ([("|", ""), *_write(x.args[0], times)[0], ("|", "")], _ATOM),
    np.sqrt: lambda x, times: ([("√", ""), *_at_least(x.args[0], _ATOM, times)], _ATOM),
    # What keeps digits is written as what it is.
    unwrap(one_less_square): lambda x, times: _write(1 - x.args[0] ** 2, times),
    unwrap(cosine): lambda x, times: _write(x.args[0] / x.args[2], times),
    np.linalg.inv: lambda x, times: ([*_raisable(x.args[0], times), ("−1", "sup")], _POWER),
    np.where: _written_where,
    np.broadcast_to: _written_broadcast,
    np.zeros_like: lambda x, times: _number(0),
    np.ones_like: lambda x, times: _number(1),
    np.transpose: _written_transpose,
    np.swapaxes: _written_transpose,
    np.matrix_transpose: lambda x, times: ([*_raisable(x.args[0], times), ("T", "sup")], _POWER),
    operator.getitem: _written_index,
    pick: _written_index,
    **dict.fromkeys(_MATRIX_PRODUCTS, _written_matrix_product),
    **dict.fromkeys(_SUMS, _written_total),
}


def _only_adds_axes(places: Any) -> bool:
    parts = places if isinstance(places, tuple) else (places,)
    return all(part is None or part is Ellipsis or part == slice(None) for part in parts)


def _has_array(places: Any) -> bool:
    parts = places if isinstance(places, tuple) else (places,)
    return any(isinstance(part, np.ndarray | list) for part in parts)


def subscript(number: int) -> str:
    """Write a number as the index of a name.

    Example:
        >>> "x" + subscript(12)
        'x₁₂'
    """
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
