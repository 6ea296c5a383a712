"""What a step is from its recording to its text: a straight list of calls on values, each value made once.

A `Value` stands for an array or number of known shape and dtype. It is of one of four kinds: an **input**, which each
run is given; a piece of the **state**, as a run finds it; a **constant**, an array that all runs share; or what a
**call** gives. Numbers that all runs share are no values: they stand where they are used.

A `Call` is a function, its arguments and what it gives. A value is made before it is used, and never written into: so
two calls of one function on the same values give the same, and what nobody uses may be left out. The exception is a
call with an **effect**, which draws from a Generator, or raises where a condition does not hold: all stay, in order.

A `Program` ends with its **results**, and with the value that each piece of **state** becomes, of the same shape and
dtype; what does not change is paired with itself.

Values are what NumPy gives, but that a call of one result gives a number where NumPy gives an array without axes. Names
are for readers, and a simplification may change them in the program that it is given, too; nothing else is changed. All
this may be assumed of a program; `Program.check` says where it does not hold. Printed, a program has a line for each
value that is given and for each call, and then says how it ends:

    >>> from autodiff.compiler.program import Call, Program, Value
    >>> f4 = np.dtype("float32")
    >>> x, rate = Value("input", (3, 2), f4, True, "x"), Value("input", (), float, False, "rate")
    >>> w, total = Value("state", (2,), f4, True, "w"), Value("call", (3,), f4, True, "total")
    >>> scaled, new = Value("call", (2,), f4, True), Value("call", (2,), f4, True)
    >>> calls = [Call(np.matmul, (x, w), {}, [total]), Call(np.multiply, (rate, w), {}, [scaled])]
    >>> program = Program([x, rate], [(w, new)], [*calls, Call(np.subtract, (w, scaled), {}, [new])], [total])
    >>> print(program)
    x: float32 (3, 2) = input
    rate: float = input
    w: float32 (2,) = state
    total: float32 (3,) = np.matmul(x, w)
    v1: float32 (2,) = np.multiply(rate, w)
    v2: float32 (2,) = np.subtract(w, v1)
    return total
    w becomes v2
    >>> program.check()
    >>> program.calls.reverse()
    >>> program.check()
    Traceback (most recent call last):
    ValueError: v1: float32 (2,) is used before it is made, in v2: float32 (2,) = np.subtract(w, v1)
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any, Literal

import numpy as np

from autodiff.compiler.naming import identifier, line
from autodiff.core.rule import Array, Function, name_of

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
        after: a word and the value after which it is called, as ``("d", h)`` for the gradient of h; or None.
    """

    kind: ValueKind
    shape: tuple[int, ...]
    dtype: Any
    is_array: bool
    name: str | None = None
    data: Array = None
    axes: tuple[int, ...] | None = None
    after: tuple[str, Value] | None = None

    @classmethod
    def of(cls, data: Array, kind: ValueKind, name: str | None = None) -> Value:
        """Describe an array or number."""
        dtype = data.dtype if hasattr(data, "dtype") else type(data)
        constant = data if kind == "constant" else None
        return cls(kind, np.shape(data), dtype, isinstance(data, np.ndarray), name, constant, memory_order(data))

    @property
    def form(self) -> Any:
        """What NumPy tells values apart by, beside their elements; a Python number is none of NumPy's."""
        return self.shape, self.dtype, isinstance(self.dtype, type), self.is_array

    def take_words(self, other: Value) -> None:
        """Let it be called as another value that it takes the place of, where the user does not call it anything."""
        self.name = self.name or other.name
        if self.after is None or self.after[1].name is None:
            self.after = other.after or self.after

    def wish(self, names: Mapping[Any, str]) -> str | None:
        """Say how it is to be called, given how others are."""
        if self.name or self.after is None:
            return identifier(self.name) if self.name else None
        word, value = self.after
        name = names.get(value, "")  # or an expression
        name = name if name.isidentifier() else value.name or ""
        return f"{word}_{name}" if name else None

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
    _operands: tuple[Value, ...] | None = field(default=None, init=False, repr=False)

    @property
    def output(self) -> Value:
        """The value that the call gives, or the first of several."""
        return self.outputs[0]

    def operands(self) -> tuple[Value, ...]:
        """Give every value that the call uses, one used twice twice."""
        if self._operands is None:  # which each pass asks for several times
            self._operands = tuple(values_in((*self.args, *self.kwargs.values())))
        return self._operands

    def with_values(self, new: Mapping[Value, Any]) -> Call:
        """Give the same call on other values, or numbers."""
        if new.keys().isdisjoint(self.operands()):
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

    def use_counts(self) -> Counter[Value]:
        """Count how often each value is used, as an argument or as an outcome."""
        return Counter([*values_in(self.outcomes()), *(value for call in self.calls for value in call.operands())])

    def replacing(self, calls: Iterable[Call], new: Mapping[Value, Any]) -> Program:
        """Give the program with other calls, and with other values or numbers for some of its outcomes."""
        state = [(before, replaced(after, new)) for before, after in self.state]
        return Program(self.inputs, state, list(calls), [replaced(value, new) for value in self.results])

    def __str__(self) -> str:
        names = self.names()
        lines = [f"{declared(value, names)} = {value.kind}" for value in names if value.kind != "call"]
        lines += [_line(call, names) for call in self.calls]
        if self.results:
            lines.append(f"return {', '.join(written(value, names) for value in self.results)}")
        changes = {before: after for before, after in self.state if after is not before}
        return "\n".join([*lines, *(f"{names[old]} becomes {written(new, names)}" for old, new in changes.items())])

    def names(self) -> dict[Value, str]:
        """Name all values, no two alike: as the user does, or by a number."""
        used = (value for call in self.calls for value in (*call.operands(), *call.outputs))
        names: dict[Value, str] = {}
        taken: set[str] = set()
        numbers = itertools.count(1)
        for value in values_in([*self.inputs, *(before for before, _ in self.state), *used, *self.outcomes()]):
            if value not in names:
                wish = value.wish(names) or f"v{next(numbers)}"
                others = (f"{wish}_{number}" for number in itertools.count(2))
                names[value] = next(name for name in itertools.chain([wish], others) if name not in taken)
                taken.add(names[value])
        return names

    def check(self, before: Program | None = None) -> None:
        """See whether this is a program as defined above.

        Calls without effect, of functions that are NumPy's, Python's or ours, are made to see what they give.

        Args:
            before: the program that this was made of: it must be given the same, give as much, and have the same
                effects. What calls give that both have is not looked at again.

        Raises:
            ValueError: it is none; the message names the value and the call.
        """
        there, known = {*self.inputs, *(value for value, _ in self.state)}, set(before.calls if before else ())
        with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
            for call in self.calls:
                for value in call.operands():
                    if value.kind != "constant":
                        self._expect(value in there, value, "is used before it is made", call)
                    else:
                        self._expect(value.form == _form(value.data), value, "has other data", call)
                for value in call.outputs:
                    self._expect(value not in there and value.kind == "call", value, "is made twice", call)
                problem = None if call in known else _misfit(call)
                self._expect(problem is None, call.output, problem, call)
                there.update(call.outputs)
        for value in values_in(self.outcomes()):
            self._expect(value.kind == "constant" or value in there, value, "is wanted at the end and never made")
        for old, after in self.state:
            self._expect(_form(old)[:2] == _form(after)[:2], after, f"is what {old.form} of the state becomes")
        effects = [call for call in self.calls if call.effect]
        for call, later in itertools.pairwise(effects):
            self._expect(call.stamp >= later.stamp, later.output, "has its effect too late", later)
        if before is not None:
            for what, its in before._frame().items():
                self._expect(self._frame()[what] == its, "the program", f"has other {what}")

    def _expect(self, holds: bool, subject: Any, problem: str | None, call: Call | None = None) -> None:
        """Raise an error that says what is wrong, and in which call, unless something holds."""
        if not holds:
            names = self.names()
            named = declared(subject, names) if isinstance(subject, Value) else subject
            raise ValueError(f"{named} {problem}{f', in {_line(call, names)}' if call else ''}")

    def _frame(self) -> dict[str, Any]:
        """Give what a simplification must leave as it is."""
        return {
            "inputs": self.inputs,
            "state": [old for old, _ in self.state],
            "results": [*map(_form, self.results)],
            "effects": [call.outputs for call in self.calls if call.effect],
        }


class _Text(str):
    """A text that is shown as it is, also within a list."""

    __slots__ = ()
    __repr__ = str.__str__


def written(arg: Any, names: Mapping[Value, str]) -> str:
    """Write an argument, in one line."""

    def write(item: Any) -> Any:
        if isinstance(item, Value):
            return _Text(names[item])
        if callable(item):
            return _Text(_dotted(item))
        if isinstance(item, np.dtype):
            return _Text(f"np.{item!r}")
        is_plain = isinstance(item, str | bytes | int | float | complex | np.generic | EllipsisType | None)
        return item if is_plain else _Text(f"<{type(item).__name__}>")

    return repr(mapped(arg, write))


def _dotted(function: Function) -> str:
    """Name a function with its module, if that is NumPy or of Python's operators."""
    name = line(name_of(function))
    in_numpy = getattr(np, name.partition(".")[0], name)
    if in_numpy is function or in_numpy is getattr(function, "__self__", None):
        return f"np.{name}"
    module = str(getattr(function, "__module__", "")).replace("numpy", "np").lstrip("_")
    return f"{module}.{name}" if module in ("operator", "np.linalg", "np.fft") else name


def declared(value: Value, names: Mapping[Value, str]) -> str:
    """Write the name of a value with its dtype, shape and order in memory."""
    kind = getattr(value.dtype, "name", None) or value.dtype.__name__
    order = "" if value.axes is None else f" by axes {value.axes}"
    return f"{names[value]}: {kind}{f' {value.shape}' if value.is_array else ''}{order}"


def _line(call: Call, names: Mapping[Value, str]) -> str:
    """Write a call as a line."""
    outputs = ", ".join(declared(value, names) for value in call.outputs)
    comma, effect = "," if call.several and len(call.outputs) == 1 else "", "  # effect" if call.effect else ""
    return f"{outputs}{comma} = {called(call, names)}{effect}"


def called(call: Call, names: Mapping[Value, str]) -> str:
    """Write a call without what it gives."""
    args = [*(written(arg, names) for arg in call.args)]
    args += [f"{line(name)}={written(arg, names)}" for name, arg in call.kwargs.items()]
    return f"{_dotted(call.function)}({', '.join(args)})"


def _form(arg: Any) -> Any:
    """Give the form of a value, or of what is none."""
    return (arg if isinstance(arg, Value) else Value.of(arg, "call")).form


def _misfit(call: Call) -> str | None:
    """Say what a call gives, if that is of other forms than its outputs, and the same for any numbers."""
    module = str(getattr(call.function, "__module__", None) or "numpy").lstrip("_").partition(".")[0]
    if call.effect or module not in ("numpy", "scipy", "operator", "builtins", "autodiff"):
        return None
    wanted = [value.form for value in call.outputs] if call.several else call.output.form
    found = _given(call, 0)
    if found in (None, wanted) or found != _given(call, 1):
        return None
    return found if isinstance(found, str) else f"should be {found}"


def _given(call: Call, least: int) -> Any:
    """Give the forms of what a call gives, or else what is wrong with it, or None if numbers do not suit it.

    It is made with the integer ``least`` and floats that are a little larger.
    """

    def stand_in(item: Any) -> Any:
        if not isinstance(item, Value):
            return item
        if item.kind == "constant":
            return np.broadcast_to(item.data, item.shape)  # which cannot be written into
        numbers = least + 0.75 + 0.2 * np.sin(np.arange(math.prod(item.shape)) ** 2.0)  # matrices of full rank
        numbers = (numbers > 1 if item.dtype == bool else numbers).reshape(item.shape).astype(item.dtype)
        return numbers if item.is_array else numbers.item() if isinstance(item.dtype, type) else numbers[()]

    try:
        args, kwargs = mapped(list(call.args), stand_in), {k: mapped(v, stand_in) for k, v in call.kwargs.items()}
        result = call.function(*args, **kwargs)
    except (ArithmeticError, np.linalg.LinAlgError):
        return None
    except Exception as error:
        return f"cannot be computed ({error})"
    if isinstance(result, list | tuple):
        return [*map(_form, result)]
    return _form(result[()] if isinstance(result, np.ndarray) else result)


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


def replaced(arg: Any, new: Mapping[Value, Any]) -> Any:
    """Put other values, or numbers, in an argument."""
    return mapped(arg, lambda item: new.get(item, item) if isinstance(item, Value) else item)
