"""What a step finds around it by name, beside its arguments and its state: it must stay as it was."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class Surroundings:
    """The variables around a function that it reads, and the arrays that were used as constants.

    Args:
        step: the function.
        constants: arrays that the step used.

    Attributes:
        constants: these, with copies of their contents.
        runs: how often these were asked for.
    """

    def __init__(self, step: Callable[..., Any], constants: Sequence[Any]) -> None:
        self._variables: list[tuple[str, types.CellType | dict[str, Any], Any]] = []
        if isinstance(step, types.FunctionType):
            for name, cell in zip(step.__code__.co_freevars, step.__closure__ or ()):
                self._watch(name, cell)
            for name in step.__code__.co_names:
                if name in step.__globals__:
                    self._watch(name, step.__globals__)
        self._names = {id(value): name for name, _, value in self._variables}
        self.constants = [(array, array.copy()) for array in constants]
        self.runs = 0

    def _watch(self, name: str, holder: types.CellType | dict[str, Any]) -> None:
        value = _read(name, holder)
        if not isinstance(value, types.ModuleType | types.FunctionType | types.BuiltinFunctionType | type | np.ufunc):
            self._variables.append((name, holder, value))

    def conditions(self, named: Callable[[Any, str], str]) -> list[str]:
        """Write expressions which are true if every variable is what it was.

        Args:
            named: gives something a name that the expressions can use.
        """
        return [
            f"{named(holder, 'cell')}.cell_contents is {named(value, 'value')}"
            if isinstance(holder, types.CellType)
            else f"{named(holder.get, 'get')}({name!r}) is {named(value, 'value')}"
            for name, holder, value in self._variables
        ]

    def check(self) -> None:
        """Refuse a change of a variable.

        Raises:
            RuntimeError: one is not what it was.
        """
        for name, holder, value in self._variables:
            now = _read(name, holder)
            if now is not value and not _same_number(now, value):
                raise RuntimeError(
                    f"compile: the step reads {name!r}, which was {_short(value)} when it was compiled and is now "
                    f"{_short(now)}: make it an argument of the step, or compile again"
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


def _read(name: str, holder: types.CellType | dict[str, Any]) -> Any:
    return holder.cell_contents if isinstance(holder, types.CellType) else holder.get(name)


def _same_number(one: Any, other: Any) -> bool:
    return type(one) is type(other) and isinstance(one, int | float | str | bool) and one == other


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"another {type(value).__name__}"
