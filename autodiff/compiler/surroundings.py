"""What a step finds around it by name, beside its arguments and its state: it must stay as it was."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class Surroundings:
    """The variables around a function that it reads, and the arrays that were used as constants.

    Args:
        step: the function.
        constants: arrays that the step used.
    """

    def __init__(self, step: Callable[..., Any], constants: Sequence[Any]) -> None:
        self._readers: list[tuple[str, Callable[[], Any], Any]] = []
        if isinstance(step, types.FunctionType):
            for name, cell in zip(step.__code__.co_freevars, step.__closure__ or ()):
                self._watch(name, functools.partial(getattr, cell, "cell_contents"))
            space = step.__globals__
            for name in step.__code__.co_names:
                if name in space:
                    self._watch(name, functools.partial(space.get, name))
        self._names = {id(value): name for name, _, value in self._readers}
        self._constants = [(array, array.copy()) for array in constants]
        self._calls = 0

    def _watch(self, name: str, read: Callable[[], Any]) -> None:
        value = read()
        if not isinstance(value, types.ModuleType | types.FunctionType | types.BuiltinFunctionType | type | np.ufunc):
            self._readers.append((name, read, value))

    def check(self) -> None:
        """Refuse a change. The contents of arrays are compared in runs 1, 2, 4, 8 and so on.

        Raises:
            RuntimeError: something is not as it was.
        """
        for name, read, value in self._readers:
            now = read()
            if now is not value and not _same_number(now, value):
                raise RuntimeError(
                    f"compile: the step reads {name!r}, which was {_short(value)} when it was compiled and is now "
                    f"{_short(now)}: make it an argument of the step, or compile again"
                )
        self._calls += 1
        if self._calls & (self._calls - 1) == 0:
            for array, copy in self._constants:
                if not np.array_equal(array, copy, equal_nan=array.dtype.kind == "f"):
                    named = self._names.get(id(array))
                    called = repr(named) if named else f"an array of shape {array.shape}"
                    raise RuntimeError(
                        f"compile: the contents of {called}, which the step uses as a constant, have changed since it "
                        "was compiled: make it an argument of the step, or name it in state="
                    )


def _same_number(one: Any, other: Any) -> bool:
    return type(one) is type(other) and isinstance(one, int | float | str | bool) and one == other


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"another {type(value).__name__}"
