"""What a recorded step is: a straight list of calls on values, each value made once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from autodiff.core.rule import Array, Function

ValueKind = Literal["input", "state", "constant", "call"]


@dataclass(eq=False, slots=True)
class Value:
    """An array or a number of a program. Two values are the same only if they are one object.

    Attributes:
        kind: where it comes from: an argument of the step, its state, neither of them, or a call.
        shape: of the array; empty for a number.
        dtype: of the array or NumPy number; for a Python number its type: ``bool``, ``int`` or ``float``.
        is_array: whether it is an array, rather than a number; an array may have no axes.
        name: what the user calls it, or None.
        data: the constant itself; None for other kinds.
        axes: in which order the axes of an array lie in memory, the slowest first; None for the usual order.
    """

    kind: ValueKind
    shape: tuple[int, ...]
    dtype: Any
    is_array: bool
    name: str | None = None
    data: Array = None
    axes: tuple[int, ...] | None = None

    @classmethod
    def of(cls, data: Array, kind: ValueKind, name: str | None = None) -> Value:
        """Describe an array or number."""
        dtype = data.dtype if hasattr(data, "dtype") else type(data)
        constant = data if kind == "constant" else None
        return cls(kind, np.shape(data), dtype, isinstance(data, np.ndarray), name, constant, memory_order(data))

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return int(np.prod(self.shape, dtype=np.int64)) * int(np.dtype(self.dtype).itemsize)


@dataclass(eq=False, slots=True)
class Call:
    """A call of a NumPy function, or of another one that a program may call.

    Attributes:
        function: what is called.
        args: its arguments; `Value` objects stand for arrays and numbers, also in lists and tuples.
        kwargs: its keyword arguments, likewise.
        outputs: what it gives: one value, or as many as the tuple has that it returns.
        several: whether it returns a tuple.
        stamp: when it was made, by the clock that stamps Tensors.
        effect: whether it does more than give its outputs, so that it must stay, and stay in order.
    """

    function: Function
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: list[Value]
    several: bool = False
    stamp: int = 0
    effect: bool = False

    @property
    def output(self) -> Value:
        """The value that the call gives, or the first of several."""
        return self.outputs[0]

    def operands(self) -> Iterator[Value]:
        """Give every value that the call uses, one used twice twice."""
        for arg in (*self.args, *self.kwargs.values()):
            yield from values_in(arg)

    def with_values(self, new: Mapping[Value, Value]) -> Call:
        """Give the same call on other values."""
        if not any(value in new for value in self.operands()):
            return self
        args = tuple(replaced(arg, new) for arg in self.args)
        return dataclasses.replace(self, args=args, kwargs={k: replaced(v, new) for k, v in self.kwargs.items()})


@dataclass(eq=False)
class Program:
    """A step: what goes in, the calls in order, and what comes out.

    Attributes:
        inputs: the arrays and numbers that each run is given.
        state: for each piece of state its value before the step, and after it; the same where it did not change.
        calls: in order; each uses only values that are there by then.
        results: what the step returns.
    """

    inputs: list[Value]
    state: list[tuple[Value, Value]]
    calls: list[Call]
    results: list[Value] = field(default_factory=list)

    def outcomes(self) -> list[Value]:
        """List the values that are still wanted when the last call is done."""
        return [*self.results, *(after for before, after in self.state if after is not before)]

    def replacing(self, calls: Iterable[Call], new: Mapping[Value, Value]) -> Program:
        """Give the program with other calls, and with other values for some of its results."""
        return Program(
            self.inputs,
            [(before, new.get(after, after)) for before, after in self.state],
            list(calls),
            [new.get(value, value) for value in self.results],
        )


def memory_order(data: Array) -> tuple[int, ...] | None:
    """Give the axes of an array by their strides, None for the order in which NumPy makes an array.

    Example:
        >>> memory_order(np.ones((2, 3))), memory_order(np.ones((2, 3)).T)
        (None, (1, 0))
    """
    if not isinstance(data, np.ndarray) or data.flags.c_contiguous:
        return None
    axes = tuple(sorted(range(data.ndim), key=lambda axis: -abs(data.strides[axis])))
    return None if axes == tuple(range(data.ndim)) else axes


def values_in(arg: Any) -> Iterator[Value]:
    """Give the values in an argument, also those in lists, tuples and slices."""
    if isinstance(arg, Value):
        yield arg
    elif isinstance(arg, list | tuple):
        for item in arg:
            yield from values_in(item)
    elif isinstance(arg, slice):
        yield from values_in((arg.start, arg.stop, arg.step))


def mapped(arg: Any, change: Callable[[Any], Any]) -> Any:
    """Change everything in an argument that is no list, tuple or slice."""
    if type(arg) in (list, tuple):
        return type(arg)(mapped(item, change) for item in arg)
    if isinstance(arg, slice):
        return slice(mapped(arg.start, change), mapped(arg.stop, change), mapped(arg.step, change))
    return change(arg)


def replaced(arg: Any, new: Mapping[Value, Value]) -> Any:
    """Put other values in an argument."""
    return mapped(arg, lambda item: new.get(item, item) if isinstance(item, Value) else item)
