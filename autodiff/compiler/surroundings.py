"""What a step finds around it by name, beside its arguments and its state: it must stay as it was."""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.compiler.state import Stateful
from autodiff.tensor import Tensor

_CODE = types.ModuleType | types.FunctionType | types.MethodType | types.BuiltinFunctionType | type | np.ufunc
_NUMBERS = int | float | str | bool | None


@dataclass(frozen=True)
class Variable:
    """Something that a step reads by name.

    Attributes:
        name: as it is read: ``rate``, ``settings['rate']`` or ``self.rate``.
        read: gives what it is now.
        holder: in which object it is found.
        access: the text that follows the holder's name to read it there.
        value: what it was when the step was compiled.
    """

    name: str
    read: Callable[[], Any]
    holder: Any
    access: str
    value: Any


class Surroundings:
    """The variables around a function that it reads, and the arrays that were used as constants.

    Of a dict, or an object that is no array or part of the state, the numbers and texts are watched whose keys or
    attributes are named in the step itself.

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
        return [f"{named(v.holder, 'holder')}{v.access} is {named(v.value, 'value')}" for v in self.variables]

    def check(self) -> None:
        """Refuse a change of a variable.

        Raises:
            RuntimeError: one is not what it was.
        """
        for variable in self.variables:
            now, value = variable.read(), variable.value
            if now is not value and not same_number(now, value):
                raise RuntimeError(
                    f"compile: the step reads {variable.name!r}, which was {_short(value)} when it was compiled and is "
                    f"now {_short(now)}: make it an argument of the step, or compile again"
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


def variables_of(step: Callable[..., Any]) -> Iterator[Variable]:
    """Find what a function, a method or an object that is called reads by name."""
    function: Any = step.func if isinstance(step, functools.partial) else step
    own = None
    if isinstance(function, types.MethodType):
        function, own = function.__func__, function.__self__
    elif not isinstance(function, types.FunctionType):
        function, own = type(function).__call__, function
    if not isinstance(function, types.FunctionType):
        return
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or ()):
        read = functools.partial(getattr, cell, "cell_contents", None)
        yield from _watched(Variable(name, read, cell, ".cell_contents", read()), code)
    for name in code.co_names:
        if name in function.__globals__:
            read = functools.partial(function.__globals__.get, name)
            yield from _watched(Variable(name, read, function.__globals__.get, f"({name!r})", read()), code)
    if own is not None and code.co_varnames:
        yield from _inside(code.co_varnames[0], own, code)


def _watched(variable: Variable, code: types.CodeType) -> Iterator[Variable]:
    """Give a variable, unless it is a function or the like, and what is read in it."""
    if not isinstance(variable.value, _CODE):
        yield variable
        yield from _inside(variable.name, variable.value, code)


def _inside(name: str, value: Any, code: types.CodeType) -> Iterator[Variable]:
    """Find the items of a dict, or attributes of an object, that a function reads and does not set."""
    if isinstance(value, Stateful | Tensor | np.ndarray | np.random.Generator):
        return
    instructions = list(dis.get_instructions(code))
    if isinstance(value, dict):
        if not any(one.opname == "STORE_SUBSCR" for one in instructions):
            for key in code.co_consts:
                if isinstance(key, str) and key in value and isinstance(value[key], _NUMBERS):
                    read = functools.partial(value.get, key)
                    yield Variable(f"{name}[{key!r}]", read, value.get, f"({key!r})", read())
        return
    stored = {one.argval for one in instructions if one.opname == "STORE_ATTR"}
    for attribute in dict.fromkeys(one.argval for one in instructions if one.opname in ("LOAD_ATTR", "LOAD_METHOD")):
        if attribute in getattr(value, "__dict__", {}) and attribute not in stored:
            found = getattr(value, attribute)
            if isinstance(found, _NUMBERS | Stateful | Tensor | np.random.Generator):
                read = functools.partial(getattr, value, attribute, None)
                yield Variable(f"{name}.{attribute}", read, vars(value).get, f"({attribute!r})", found)


def same_number(one: Any, other: Any) -> bool:
    """Whether two values are numbers, or texts, of the same type and equal."""
    return type(one) is type(other) and isinstance(one, int | float | str | bool) and one == other


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"another {type(value).__name__}"
