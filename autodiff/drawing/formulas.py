"""The formula of a local derivative, read off the rule that computes it.

A rule is written in NumPy calls, so what flows through it decides what comes out. Here it is symbols: arrays that
remember the calls they were made by. What the rule gives for them is tidied up and written as one writes it by hand.
"""

from __future__ import annotations

import contextlib
import operator
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.core.record import data_of, is_variable
from autodiff.core.rule import Array, Function, facts_of, is_elementwise
from autodiff.core.tape import Outputs, arguments
from autodiff.core.tensor import Tensor, is_complex
from autodiff.drawing.gradients import shown
from autodiff.drawing.nodes import Node, are_axes, is_several, parameter
from autodiff.drawing.notation import Run, bracketed, plain, raised, runs_of, separated, subscript
from autodiff.drawing.phrases import phrase
from autodiff.drawing.symbols import OpaqueError, Symbol, call, symbols_in, values_of
from autodiff.drawing.text import WAYS, function_name, is_number
from autodiff.drawing.tidying import SPREADING, conjugated, tidied

LONGEST_FORMULA = 56  # characters of one side; what is longer is not read
_MOST_CALLS = 100  # in an expression; a larger one would be too long in any case


@dataclass(frozen=True)
class Formula:
    """How the gradient comes through one argument of a call.

    Attributes:
        left: what the formula is of: ``∂(x·w)/∂w``, or ``g`` where it says what becomes of the gradient g.
        right: the local derivative, or what ``g`` becomes, as gradients of complex numbers are shown; or that in words.
        product: what ``g`` becomes, as numbers; where an argument was broadcast, not yet summed to its shape, and where
            it is real, with the imaginary part that is dropped. None of what is said in words.
        derivative: the local derivative as numbers, whose conjugate ``g`` is multiplied with element by element and
            which broadcasts against it; None where there is none, as for a matrix product, or a real function of a
            complex number.
    """

    left: tuple[Run, ...]
    right: tuple[Run, ...]
    product: Array = None
    derivative: Array = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """The whole formula."""
        sign = " = " if self.derivative is not None else " ↦ " if self.product is not None else " "
        return (*self.left, (sign, ""), *self.right)

    @property
    def text(self) -> str:
        """The whole formula in plain text."""
        return plain(self.runs)


def formulas(
    call: Tensor,
    name_of: Callable[[Any], str | None],
    gradient: Array = None,
    reserved: Collection[str] = (),
    is_written_out: bool = False,
) -> list[tuple[Tensor, Formula]]:
    """Derive the formula of each argument of a recorded call that a gradient flows back to.

    Args:
        call: a Tensor that a call made.
        name_of: gives the name of a Tensor or an array, or None; then it is called as its rule calls it.
        gradient: the numbers that stand for ``g``: the gradient of the call, as it is shown; ones by default.
        reserved: names that arguments without one must not get, as they mean something else.
        is_written_out: whether the call is written with its arguments, also if it has a name, unless that is too long.

    Returns:
        The Tensors among the arguments that require a gradient, in the order of the arguments, each with its formula;
        in words where the rule needs the numbers themselves, or the formula would be too long to be read.

    Example:
        >>> x, w = ad.Tensor(2.0, name="x"), ad.Tensor(3.0, name="w")
        >>> [formula.text for _, formula in formulas(x * w, lambda one: one.name)]
        ['∂(x·w)/∂x = w', '∂(x·w)/∂w = x']
        >>> [formula.text for _, formula in formulas(np.tanh(x), lambda one: one.name)]
        ['∂tanh(x)/∂x = 1 − tanh²(x)']
    """
    function: Any = call._function
    args = _named(call, name_of, reserved)
    names = {one.name for one in symbols_in(args)}
    name = name_of(call)
    result = Symbol(call._array, function=function, args=args, kwargs=call._kwargs)
    rules = facts_of(function).rules
    if other := WAYS.get(function):  # symbols do not stand outside of batches
        rules = (lambda g, out, x, *way: Symbol(other(g.value, *way), function=other, args=(g,)),)
    # The output is written as the call itself, if that is not too long.
    named = name if name and name not in names else None
    outs = [result] * (is_written_out or not named) + [Symbol(call._array, named or "out")]
    g = _gradient(call, "g" if "g" not in names and "g" not in reserved else "ḡ", gradient)
    derivations: list[tuple[Tensor, Formula]] = []
    for position, (rule, arg, symbol) in enumerate(zip(rules, arguments(call), args)):
        variables = list(_variables(arg, symbol, None))
        for out in outs if variables else ():
            derived = _variables(arg, symbol, _derive(rule, g, out, args, call._kwargs))
            attempts = [_formula(piece, g, out if out.name else result, one) for _, one, piece in derived]
            variables = [(one, of, new or old) for (one, of, old), new in zip(variables, attempts, strict=True)]
            if None not in attempts:
                break
        words = phrase(function, position)
        derivations += ((one, formula or _in_words(words, g, of)) for one, of, formula in variables)
    return derivations


def expression(call: Tensor, name_of: Callable[[Any], str | None]) -> tuple[Run, ...]:
    """Write a recorded call, or only the name of its function where the whole would be too long.

    Example:
        >>> x = ad.Tensor(2.0, name="x")
        >>> "".join(text for text, _ in expression(x * x, lambda one: one.name))
        'x·x'
    """
    function: Any = call._function
    try:
        args = _named(call, name_of, (), numbered=False)
        runs = runs_of(Symbol(call._array, function=function, args=args, kwargs=call._kwargs))
    except OpaqueError:
        runs = ()
    return runs if 0 < len(plain(runs)) <= LONGEST_FORMULA else ((f"{function_name(function)}(…)", ""),)


def operand_formulas(
    node: Node,
    nodes: Mapping[str, Node],
    name_of: Callable[[Any], str | None],
    gradient: Array = None,
    reserved: Collection[str] = (),
    is_written_out: bool = False,
) -> list[tuple[int, Tensor, Formula]]:
    """Derive what `formulas` does for a call of a graph, with the position of each operand, counted from one."""
    derived = formulas(node.value, name_of, gradient, reserved, is_written_out)
    return [(position, *one) for position, one in zip(variable_positions(node, nodes, derived), derived)]


def variable_positions(node: Node, nodes: Mapping[str, Node], variables: Iterable[tuple[Tensor, Any]]) -> list[int]:
    """Find the operand, counted from one, that each of the Tensors is that a gradient flows back to."""
    places: dict[int, list[int]] = {}
    for position, key in enumerate(node.operands, start=1):
        places.setdefault(id(nodes[key].value), []).append(position)
    return [places[id(tensor)].pop(0) for tensor, _ in variables]


def _variables(arg: Any, symbol: Any, piece: Any) -> Iterator[tuple[Tensor, Any, Any]]:
    """Give each Tensor in an argument that a gradient flows back to, with its symbol and its piece of the gradient."""
    if is_variable(arg):
        yield arg, symbol, piece
    elif type(symbol) in (list, tuple):
        pieces = piece if type(piece) is list and len(piece) == len(arg) else [None] * len(arg)
        for parts in zip(arg, symbol, pieces, strict=True):
            yield from _variables(*parts)


def _named(
    call: Tensor, name_of: Callable[[Any], str | None], reserved: Collection[str], numbered: bool = True
) -> tuple[Any, ...]:
    """Give the arguments of a call, with symbols for its arrays; those of equal names with the argument's number."""
    function: Any = call._function
    facts = facts_of(function)
    free = (letter for letter in "uvpqst" if letter not in reserved)

    def named(arg: Any, parameter: str) -> Any:
        if is_several(function, arg):
            return type(arg)(named(one, f"{parameter}{subscript(k + 1)}") for k, one in enumerate(arg))
        places.append(arg)
        value = np.asarray(arg) if type(arg) in (list, tuple) else data_of(arg)
        name = name_of(arg)
        if not hasattr(value, "dtype") or (name is None and is_number(value) and not is_variable(arg)):
            return value
        symbol = Symbol(value, name or (next(free, parameter) if parameter in reserved else parameter))
        symbols.append((len(places), symbol))
        return symbol

    args = []
    places: list[Any] = []  # the operands, of which some are numbers
    symbols: list[tuple[int, Symbol]] = []
    for position, arg in enumerate(arguments(call)):
        is_array = facts.broadcasts or facts.has_rule(position) or isinstance(arg, Tensor)
        is_none = arg is None or are_axes(function, arg)
        called = parameter(function, position) or f"x{subscript(position + 1)}"
        args.append(named(arg, called) if is_array and not is_none else arg)
    names = [one.name for _, one in symbols]
    for number, one in symbols:
        if numbered and names.count(one.name) > 1:
            one.name += f"⁽{raised(str(number))}⁾"
    return tuple(args)


def _gradient(call: Tensor, name: str, gradient: Array) -> Any:
    """Give the gradient of a call as a symbol, or as several."""
    out = call._array
    if type(out) is Outputs:
        numbers = [None] * len(out) if gradient is None else shown(gradient.filled(out))
        return Outputs(
            Symbol(np.ones_like(one) if g is None else g, f"{name}{subscript(k)}")
            for k, (one, g) in enumerate(zip(out, numbers, strict=True), start=1)
        )
    return Symbol(np.ones_like(out) if gradient is None else shown(gradient), name)


def _derive(rule: Any, g: Any, out: Symbol, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Let symbols flow through a rule, and give what comes out, or None if they do not."""
    outputs: Any = out
    if type(g) is Outputs:
        outputs = Outputs(Symbol(one, function=operator.getitem, args=(out, k)) for k, one in enumerate(out.value))
    with _reading():
        return rule(g, outputs, *args, **kwargs)


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Leave the block at any error, and give nothing.

    A rule is anybody's code and calls anything in any way, and a symbol is a kind of array that it may not have been
    written for: whatever goes wrong, there is no formula to be read off it.
    """
    with contextlib.suppress(Exception), np.errstate(all="ignore"):
        yield


def _formula(vjp: Any, g: Any, out: Symbol, argument: Any) -> Formula | None:
    """Write down what a rule gave; None where that would be too long."""
    if not isinstance(vjp, Symbol) or not isinstance(argument, Symbol) or vjp.calls > _MOST_CALLS:
        return None
    with _reading():
        has_derivative = isinstance(g, Symbol) and (is_complex(g) or not is_complex(argument))
        if has_derivative and _is_pointwise(vjp, g.name, set() if g.shape else SPREADING):
            formula = _of_derivative(vjp, g, out, argument)
        else:
            gradients = _gradients_in(g)
            if _has_complex([vjp]):
                vjp = conjugated(vjp, {one.name for one in gradients})
                vjp = call(np.real, vjp) if is_complex(vjp) and not is_complex(argument) else vjp
            product = tidied(vjp, {})
            formula = Formula(_names(gradients), runs_of(product, "⊙"), values_of(product))
        return formula if max(len(plain(formula.left)), len(plain(formula.right))) <= LONGEST_FORMULA else None
    return None


def _in_words(words: str, g: Any, argument: Any) -> Formula:
    """Say what becomes of the gradient."""
    if is_complex(argument):
        words = re.sub("^times the ", "times the conjugated ", words)
    before, *after = words.split("{}")
    of = bracketed(argument) if isinstance(argument, Symbol) else (("it", ""),)
    return Formula(_names(_gradients_in(g)), ((before, ""), *(run for text in after for run in (*of, (text, "")))))


def _gradients_in(g: Any) -> list[Symbol]:
    return [*symbols_in([*g] if type(g) is Outputs else [g])]


def _names(symbols: Sequence[Symbol]) -> tuple[Run, ...]:
    return tuple(separated([[(one.name, "i")] for one in symbols]))


def _of_derivative(vjp: Symbol, g: Symbol, out: Symbol, argument: Symbol) -> Formula:
    """Write the local derivative: what a rule, which is linear in g, makes of 1, if it takes each element by itself."""
    derivative = tidied(vjp, {g.name: 1})
    left = [("∂", ""), *bracketed(out), ("/∂", ""), *bracketed(argument)]
    factor = values_of(derivative)
    return Formula(
        tuple(left), runs_of(derivative), shown(vjp.value), factor if hasattr(factor, "dtype") else np.asarray(factor)
    )


def _has_complex(items: Any) -> bool:
    return any(is_complex(one) or _has_complex(one.args) for one in symbols_in(items))


def _mentions(vjp: Any, name: str) -> bool:
    return any(one.name == name or _mentions(one.args, name) for one in symbols_in([vjp]))


def _is_pointwise(vjp: Symbol, gradient: str, allowed: set[Function]) -> bool:
    """Whether each element of the result has to do with one element of the gradient only, and by what factor."""
    function: Any = vjp.function
    if function is None or not _mentions(vjp, gradient):
        return True
    if not (is_elementwise(function) or facts_of(function).is_copy or function in allowed):
        return False
    if function is np.conjugate and is_complex(vjp):
        return False
    return all(_is_pointwise(one, gradient, allowed) for one in symbols_in(vjp.args))
