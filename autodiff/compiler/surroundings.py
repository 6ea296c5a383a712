"""What a step finds around it by name, beside its arguments and its state: it must stay as it was."""

from __future__ import annotations

import contextlib
import dis
import functools
import operator
import types
from collections import defaultdict
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.compiler.state import Stateful
from autodiff.tensor import Tensor
from autodiff.tree import flatten

_CODE = types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type, np.ufunc
_KEPT = Stateful, Tensor, np.ndarray, np.random.Generator  # whose insides are looked after elsewhere
_WATCHED = *_KEPT, int, float, str, bool, type(None), list, tuple, dict
_LOADED = "LOAD_ATTR", "LOAD_METHOD"
LONGEST_TEXT = 60  # of a value in a message
_CALLED = "__call__", "forward"  # what runs when an object is called, or a Module


@dataclass(frozen=True)
class Variable:
    """Something that a step reads by name.

    Attributes:
        name: as it is read: ``rate``, ``settings['rate']`` or ``self.rate``.
        holder: where it is found: the cell of a closure, or the dict of a module or an object, or another.
        key: under which key of the dict.
        value: what it was when the step was compiled.
    """

    name: str
    holder: types.CellType | dict[str, Any]
    key: str
    value: Any

    def read(self) -> Any:
        """Give what it is now, or None if there is nothing."""
        return self.holder.get(self.key) if isinstance(self.holder, dict) else _content(self.holder)

    def write(self, value: Any) -> None:
        """Put something else there."""
        if isinstance(self.holder, dict):
            self.holder[self.key] = value
        else:
            self.holder.cell_contents = value

    def condition(self, named: Callable[[Any, str], str]) -> str:
        """Write an expression which is true if it is what it was, with names that are given to things in it."""
        read = (
            f"{named(self.holder.get, 'get')}({self.key!r})"
            if isinstance(self.holder, dict)
            else f"{named(self.holder, 'cell')}.cell_contents"
        )
        return f"{read} is {named(self.value, 'value')}"


class Surroundings:
    """The variables around a function that it reads, and the arrays that were used as constants.

    Args:
        variables: what the step reads, as `variables_of` finds it before it runs.
        constants: arrays that the step used.

    Attributes:
        variables: these variables.
        constants: these arrays, with copies of their contents.
        runs: how often the copies were to be compared.
    """

    def __init__(self, variables: Sequence[Variable], constants: Sequence[Any]) -> None:
        self.variables = variables
        self._names = {id(variable.value): variable.name for variable in self.variables}
        self.constants = [(array, array.copy()) for array in constants]
        self.runs = 0

    def conditions(self, named: Callable[[Any, str], str]) -> list[str]:
        """Write expressions which are true if every variable is what it was.

        Args:
            named: gives something a name that the expressions can use.
        """
        return [variable.condition(named) for variable in self.variables]

    def check(self) -> None:
        """Refuse a change of a variable.

        Raises:
            RuntimeError: one is not what it was.
        """
        for variable in self.variables:
            now, value = variable.read(), variable.value
            if now is not value and not same_number(now, value):
                texts = repr(value), repr(now)
                change = f"was {texts[0]} when it was compiled and is now {texts[1]}"
                if max(map(len, texts)) > LONGEST_TEXT:
                    change = f"is another {type(now).__name__} than when it was compiled"
                raise RuntimeError(
                    f"compile: the step reads {variable.name!r}, which {change}: make it an argument of the step, or "
                    "compile again"
                )

    def check_constants(self) -> None:
        """Refuse a change of the contents of an array, which are compared in runs 1, 2, 4, 8 and so on.

        Raises:
            RuntimeError: they are not what they were.
        """
        self.runs += 1
        if self.runs & (self.runs - 1) == 0:
            for array, copy in self.constants:
                if not np.array_equal(array, copy, equal_nan=array.dtype.kind == "f"):
                    named = self._names.get(id(array))
                    called = repr(named) if named else f"an array of shape {array.shape}"
                    raise RuntimeError(
                        f"compile: the contents of {called}, which the step uses as a constant, have changed since it "
                        "was compiled: make it an argument of the step, or name it in state="
                    )


def variables_of(step: Callable[..., Any]) -> list[Variable]:
    """Find what a function, a method or an object that is called reads by name.

    It is what the step names itself, and what functions and methods of the same file name that it may call. Of dicts
    and objects, other than arrays and Stateful ones, also what lies under keys or attributes that are named.
    """
    functions = _functions_from(step)
    stored = {name for function, _ in functions for name in _named(function.__code__)["STORE_ATTR"]}
    followed = {id(function) for function, _ in functions}
    found: dict[Hashable, Variable] = {}
    for function, own in functions:
        named = _named(function.__code__)
        around = list(_around(function))
        variables = [one for one in around if not isinstance(one.value, _CODE) or id(one.value) in followed]
        for variable in around:
            variables += _inside(variable.name, variable.value, named, stored)
        if own is not None and function.__code__.co_varnames:
            variables += _inside(function.__code__.co_varnames[0], own, named, stored)
        for variable in variables:
            found.setdefault((id(variable.holder), variable.key), variable)
    return list(found.values())


@contextlib.contextmanager
def replaced(variables: Sequence[Variable], others: Mapping[int, Any]) -> Iterator[None]:
    """Put something else in place of some arrays and generators for a while, by the id of each.

    They may be variables, or be in lists and dicts that are.
    """
    changed = []
    for variable in variables:
        leaves, rebuild = flatten(variable.value)
        found = [others.get(id(leaf), leaf) for leaf in leaves]
        if not all(map(operator.is_, found, leaves)):
            changed.append((variable, rebuild(found)))
    try:
        for variable, value in changed:
            variable.write(value)
        yield
    finally:
        for variable, _ in changed:
            variable.write(variable.value)


def _functions_from(step: Any) -> list[tuple[types.FunctionType, Any]]:
    """List a step's function, and those of the same file that it may call, with the objects whose methods they are."""
    found = list(_functions_of(step, ()))
    file = found[-1][0].__globals__ if found else None  # the last is what a gradient is of, or a Module's own method
    for function, own in found:  # which becomes longer
        named = _named(function.__code__)
        attributes = [name for opname in _LOADED for name in named[opname]]
        values = [variable.value for variable in _around(function)]
        if own is not None:
            space = getattr(own, "__dict__", {})
            values += [own, *(space[name] for name in attributes if name in space)]
        for value in values:
            for one, its in _functions_of(value, attributes):
                if one.__globals__ is file and not any(one is f and its is o for f, o in found):
                    found.append((one, its))
    return found


def _functions_of(value: Any, attributes: Sequence[str]) -> Iterator[tuple[types.FunctionType, Any]]:
    """Find what may run when something is called, or when attributes of it are."""
    if isinstance(value, functools.partial):
        yield from _functions_of(value.func, attributes)
    elif isinstance(value, types.MethodType):
        if isinstance(value.__func__, types.FunctionType):
            yield value.__func__, value.__self__
    elif isinstance(value, types.FunctionType):
        yield value, None
        yield from _functions_of(vars(value).get("__wrapped__"), ())  # a function that is differentiated, say
    elif not isinstance(value, _CODE):
        for name in dict.fromkeys((*_CALLED, *attributes)):
            method = getattr(type(value), name, None)
            if isinstance(method, types.FunctionType):
                yield method, value


def _around(function: types.FunctionType) -> Iterator[Variable]:
    """Give the variables of the closure and of the module that a function names."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        yield Variable(name, cell, "cell_contents", _content(cell))
    space = function.__globals__
    for name in _named(function.__code__)["LOAD_GLOBAL"]:
        if name in space:
            yield Variable(name, space, name, space[name])


def _inside(
    name: str, value: Any, named: Mapping[str, Sequence[Any]], stored: Container[str], outer: tuple[Any, ...] = ()
) -> Iterator[Variable]:
    """Find the items of a dict, or attributes of an object, that a function reads and does not set."""
    if isinstance(value, _KEPT + _CODE) or any(value is one for one in outer):
        return
    if isinstance(value, dict):
        keys = [] if named["STORE_SUBSCR"] else [key for key in named["LOAD_CONST"] if isinstance(key, str)]
        space, written = value, "{}[{!r}]"
    else:
        keys = [key for opname in _LOADED for key in named[opname] if key not in stored]
        space, written = getattr(value, "__dict__", {}), "{}.{}"
    for key in dict.fromkeys(keys):
        if key in space:
            text, found = written.format(name, key), space[key]
            if isinstance(found, _WATCHED):
                yield Variable(text, space, key, found)
            yield from _inside(text, found, named, stored, (*outer, value))


def _named(code: types.CodeType) -> defaultdict[str, list[Any]]:
    """List what the instructions of a function, and of functions in it, name, by the kind of instruction."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for instruction in dis.get_instructions(code):
        found[instruction.opname].append(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for opname, names in _named(constant).items():
                found[opname] += names
    return found


def _content(cell: types.CellType) -> Any:
    """Give what is in a cell, or None if it is empty."""
    return getattr(cell, "cell_contents", None)


def same_number(one: Any, other: Any) -> bool:
    """Whether two values are numbers, or texts, of the same type and equal."""
    return type(one) is type(other) and isinstance(one, int | float | str | bool) and one == other
