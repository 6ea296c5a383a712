"""What a step finds around it by name, beside its arguments and its state: it must stay as it was."""

from __future__ import annotations

import contextlib
import dataclasses
import dis
import functools
import inspect
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.compiler.state import Stateful
from autodiff.core.tensor import Tensor
from autodiff.transforms.containers import flatten, is_record, walk

_CODE = types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type, np.ufunc
_KEPT = Stateful, Tensor, np.ndarray, np.random.Generator  # whose insides are looked after elsewhere
_WATCHED = *_KEPT, int, float, str, bool, type(None), list, tuple, dict
_LOADED = "LOAD_ATTR", "LOAD_METHOD"
LONGEST_TEXT = 60  # of a value in a message
_CALLED = "__call__", "forward"  # what runs when an object is called, or a Module


class _Absent:
    def __repr__(self) -> str:
        return "not set"


ABSENT = _Absent()


@dataclass(frozen=True)
class Variable:
    """Something that a step reads by name.

    Attributes:
        name: as it is read: ``rate``, ``settings['rate']`` or ``self.rate``.
        holder: where it is found: the cell of a closure, or the dict of a module or an object, or another.
        key: under which key of the dict.
        value: what it was when the step was compiled, or `ABSENT`.
        is_set: whether the step sets it to something new, so that it may change.
    """

    name: str
    holder: types.CellType | dict[str, Any]
    key: str
    value: Any
    is_set: bool = False

    def read(self) -> Any:
        """Give what it is now, or `ABSENT`."""
        if isinstance(self.holder, dict):
            return self.holder.get(self.key, ABSENT)
        return content(self.holder)

    def write(self, value: Any) -> None:
        """Put something else there, or nothing."""
        if isinstance(self.holder, dict):
            if value is ABSENT:
                self.holder.pop(self.key, None)
            else:
                self.holder[self.key] = value
        elif value is ABSENT:
            del self.holder.cell_contents
        else:
            self.holder.cell_contents = value

    def condition(self, named: Callable[[Any, str], str]) -> str:
        """Write an expression which is true if it is what it was, with names that are given to things in it."""
        if isinstance(self.holder, dict):
            read = f"{named(self.holder.get, 'get')}({self.key!r})"
        elif self.value is ABSENT:
            read = f"{named(content, 'content')}({named(self.holder, 'cell')})"
        else:
            read = f"{named(self.holder, 'cell')}.cell_contents"
        return f"{read} is {named(self.value, 'value')}"


class Surroundings:
    """The variables around a function that it reads.

    Args:
        variables: what the step reads, as `variables_of` finds it before it runs.

    Attributes:
        variables: those of them that it does not set.
    """

    def __init__(self, variables: Sequence[Variable]) -> None:
        self.variables = [variable for variable in variables if not variable.is_set]

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


def variables_of(*steps: Any) -> list[Variable]:
    """Find what functions, methods or objects that are called read by name, and which attributes they set.

    It is what a step names itself, and what functions and methods of the same file name that it may call. Of dicts
    and objects, other than arrays and Stateful ones, also what lies under keys or attributes that are named.
    """
    functions = [function for step in steps for function in _functions_from(step)]
    followed = {id(function) for function, _ in functions}
    stored = {name for function, _ in functions for name in _named(function.__code__)["STORE_ATTR"]}
    by_place: dict[Hashable, Variable] = {}
    for function, own in functions:
        named = _named(function.__code__)
        around = list(_around(function))
        variables = [one for one in around if not isinstance(one.value, _CODE) or id(one.value) in followed]
        roots = [(variable.name, variable.value) for variable in around]
        if own is not None and function.__code__.co_varnames:
            roots.append((function.__code__.co_varnames[0], own))
        for variable in [*variables, *_inside(roots, named, stored)]:
            by_place.setdefault((id(variable.holder), variable.key), variable)
    return list(by_place.values())


def leaves_in(value: Any) -> list[tuple[str, Any]]:
    """List the leaves of a container with the ways to them, or none if it contains itself or is half made."""
    return list(walk(value)) if _is_tree(value, ()) else []


def _is_tree(value: Any, outer: tuple[Any, ...]) -> bool:
    """Whether one can walk through a container that is in others."""
    if isinstance(value, list | tuple):
        inner = list(value)
    elif isinstance(value, dict):
        inner = list(value.values())
    elif is_record(value):
        inner = [getattr(value, field.name, ABSENT) for field in dataclasses.fields(value)]
    else:
        return value is not ABSENT
    return all(value is not one for one in outer) and all(_is_tree(one, (*outer, value)) for one in inner)


@contextlib.contextmanager
def substituting(variables: Sequence[Variable], others: Mapping[int, Any]) -> Iterator[None]:
    """Put something else in place of some arrays and generators for a while, by the id of each.

    They may be variables, or be in lists and dicts that are. Afterwards all variables are what they were.
    """
    values = []
    for variable in variables:
        if any(id(leaf) in others for _, leaf in leaves_in(variable.value)):
            leaves, rebuild = flatten(variable.value)
            values.append((variable, rebuild([others.get(id(leaf), leaf) for leaf in leaves])))
    try:
        for variable, value in values:
            variable.write(value)
        yield
    finally:
        for variable in variables:
            if variable.read() is not variable.value:
                variable.write(variable.value)


def _functions_from(step: Any) -> list[tuple[types.FunctionType, Any]]:
    """List a step's function, and those of the same file that it may call, with the objects whose methods they are."""
    functions = list(_functions_of(step, ()))
    file = _file_of(step)
    for function, own in functions:  # which becomes longer
        named = _named(function.__code__)
        attributes = [name for opname in _LOADED for name in named[opname]]
        values = [variable.value for variable in _around(function)]
        if own is not None:
            space = getattr(own, "__dict__", {})
            values += [own, *(space[name] for name in attributes if name in space)]
        for value in values:
            for one, its in _functions_of(value, attributes):
                if one.__globals__ is file and not any(one is f and its is o for f, o in functions):
                    functions.append((one, its))
    return functions


def _file_of(step: Any) -> Any:
    """Give the variables of the module in which a step was written, or the function that it differentiates."""
    if isinstance(step, functools.partial):
        return _file_of(step.func)
    if isinstance(step, types.MethodType):
        return _file_of(step.__func__)
    if isinstance(step, types.FunctionType):
        return inspect.unwrap(step).__globals__
    return getattr(sys.modules.get(type(step).__module__), "__dict__", None)


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
        modules = [module for _, module in value.named_modules()] if hasattr(type(value), "named_modules") else [value]
        for one in modules:
            for name in dict.fromkeys((*_CALLED, *attributes)):
                method = getattr(type(one), name, None)
                if isinstance(method, types.FunctionType):
                    yield method, one


def _around(function: types.FunctionType) -> Iterator[Variable]:
    """Give the variables of the closure and of the module that a function names."""
    named = _named(function.__code__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        is_set = not any(name in names for opname, names in named.items() if opname != "STORE_DEREF")
        yield Variable(name, cell, "cell_contents", content(cell), is_set)
    space = function.__globals__
    for name in named["LOAD_GLOBAL"]:
        if name in space:
            yield Variable(name, space, name, space[name])


def _inside(roots: list[tuple[str, Any]], named: Mapping[str, Sequence[Any]], stored: Container[str]) -> list[Variable]:
    """Find the items of dicts, and attributes of objects, that a function reads or sets.

    Args:
        roots: where to begin: names and what they stand for. What is found is appended.
        named: what the function names.
        stored: the attributes that it and others set.
    """
    variables = []
    visited: set[int] = set()
    strings = [key for key in named["LOAD_CONST"] if isinstance(key, str)]
    items = [] if named["STORE_ITEM"] else [key for key in strings if key not in named["STORE_KEY"]]
    attributes = [key for opname in (*_LOADED, "STORE_ATTR") for key in named[opname]]
    for name, value in roots:
        if isinstance(value, _KEPT + _CODE) or id(value) in visited:
            continue
        visited.add(id(value))
        is_dict = isinstance(value, dict)
        space = value if is_dict else getattr(value, "__dict__", {})
        for key in dict.fromkeys([*items, *attributes] if is_dict else attributes):
            there = space.get(key, ABSENT)
            text = f"{name}[{key!r}]" if key in items and is_dict else f"{name}.{key}"
            is_set = key in stored
            if is_set or isinstance(there, _WATCHED):
                variables.append(Variable(text, space, key, there, is_set))
            if there is not ABSENT and not is_set:
                roots.append((text, there))
    return variables


def _named(code: types.CodeType) -> defaultdict[str, list[Any]]:
    """List what the instructions of a function, and of functions in it, name, by the kind of instruction.

    Under ``STORE_KEY`` are constant indices of what is assigned to, and under ``STORE_ITEM`` is something for others.
    """
    by_kind: defaultdict[str, list[Any]] = defaultdict(list)
    before = None
    for instruction in dis.get_instructions(code):
        by_kind[instruction.opname].append(instruction.argval)
        if instruction.opname == "STORE_SUBSCR":  # the index was the last that was loaded
            is_known = before is not None and before.opname == "LOAD_CONST"
            by_kind["STORE_KEY" if is_known else "STORE_ITEM"].append(before and before.argval)
        before = instruction
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for opname, names in _named(constant).items():
                by_kind[opname] += names
    return by_kind


def content(cell: types.CellType) -> Any:
    """Give what is in a cell, or `ABSENT` if it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return ABSENT


def same_number(one: Any, other: Any) -> bool:
    """Whether two values are numbers, texts or tuples of them, of the same type and equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same_number, one, other))
    if not isinstance(one, int | float | str | np.generic):
        return one is None
    return bool(one == other or (one != one and other != other))
