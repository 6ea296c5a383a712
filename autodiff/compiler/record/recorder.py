"""Recording arrays: they compute as arrays do, and write down each call that is made on them.

Put in the place of the arrays inside Tensors, optimizers and layers, they turn one run of a step into a `Program`.
Neither the engine nor the step knows.
"""

from __future__ import annotations

import copy
import operator
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from autodiff.arrays.foreign import other_array
from autodiff.arrays.whole import require
from autodiff.batching.array import Batched, in_place
from autodiff.compiler.naming import Line, frames_until, names_of
from autodiff.compiler.program import Call, Value, mapped
from autodiff.core.clock import tick
from autodiff.core.rule import Array, Function, describe, facts_of, name_of
from autodiff.core.tensor import Tensor, astype, is_complex
from autodiff.core.watch import user_frame

Axis = int | tuple[int, ...] | None

UFUNCS: dict[Function, np.ufunc] = {
    operator.add: np.add, operator.sub: np.subtract, operator.mul: np.multiply, operator.truediv: np.divide,
    operator.floordiv: np.floor_divide, operator.mod: np.remainder, operator.pow: np.power, operator.matmul: np.matmul,
    operator.and_: np.bitwise_and, operator.or_: np.bitwise_or, operator.xor: np.bitwise_xor,
    operator.lshift: np.left_shift, operator.rshift: np.right_shift,
    operator.lt: np.less, operator.le: np.less_equal, operator.gt: np.greater, operator.ge: np.greater_equal,
    operator.eq: np.equal, operator.ne: np.not_equal,
    operator.neg: np.negative, operator.pos: np.positive, operator.abs: np.absolute, operator.invert: np.invert,
}  # fmt: skip

OUTSIDE = (Tensor, Batched)  # what stands outside of recording arrays, and answers calls first
TRACING: ContextVar[bool] = ContextVar("tracing", default=False)  # whether a step is being recorded


class Constant(NamedTuple):
    """An array that a step used, and what stands for it in the program."""

    array: Any
    value: Value


RUNNER = "autodiff.compiler.record.tracing"  # the module that runs steps
PATIENCE = 60.0  # seconds that another thread waits for the end of a recording


class Recording:
    """The calls made so far on the recording arrays of one run, and other arrays that were used, by their ids.

    Another thread that meets the arrays, in a model that it uses too, waits for the end, and computes with what then
    lies where they lay.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.lines: dict[int, Line] = {}
        self.refused: TypeError | None = (
            None  # the last time that the step looked into a value: it may go on all the same
        )
        self.before_writing: int | None = None  # how many calls there were when the state was first changed in place
        self.constants: dict[int, Constant] = {}
        self.showing: defaultdict[int, list[ref[Recorded]]] = defaultdict(list)  # arrays, by whose memory they show
        self.end = threading.Event()
        self._thread = threading.get_ident()
        self._unnamed: list[Recorded] = []  # among the arguments of the call that is being made

    def is_elsewhere(self) -> bool:
        """Whether another thread than that of the step asks."""
        return threading.get_ident() != self._thread

    def original(self, arg: Any) -> Any:
        """Wait for the end, and give what lies then where the arrays in an argument lay.

        Raises:
            RuntimeError: the end does not come.
            TypeError: an array lay nowhere.
        """
        if not self.end.wait(PATIENCE):
            raise RuntimeError(
                "compile: a thread computes with arrays of a step that is being recorded: it must not be the step that "
                "computes in several threads"
            )

        def lying(item: Any) -> Any:
            if not isinstance(item, Recorded | RecordedGenerator):
                return item
            if item.place is None:
                raise refusal("a value of a step that was being recorded is used in another thread")
            return item.place()

        return mapped(arg, lying)

    def call(
        self,
        function: Function,
        args: Any,
        kwargs: Mapping[str, Any] | None = None,
        effect: bool = False,
        run: Function | None = None,
    ) -> Any:
        """Run a function, or what does the same in other memory, on what the arrays hold, and write the call down."""
        kwargs = kwargs or {}
        if self.is_elsewhere():
            return function(*map(self.original, args), **{name: self.original(arg) for name, arg in kwargs.items()})
        symbols = [mapped(arg, self.symbol) for arg in args]
        options = {name: mapped(arg, self.symbol) for name, arg in kwargs.items()}
        given = list(map(held, args))
        result = memory = (run or function)(*given, **{name: held(arg) for name, arg in kwargs.items()})
        # Complex numbers of which one is an array without axes are rounded as arrays are, and not as numbers.
        if isinstance(result, np.ndarray) or (is_complex(result) and any(isinstance(x, np.ndarray) for x in given)):
            if function is operator.pow and result.dtype == np.int8 and np.result_type(held(args[0])).kind == "b":
                function, symbols = np.square, symbols[:1]  # as NumPy does, while its power gives other integers
            if function is not operator.pow or not is_complex(result):  # whose squares and roots are more precise
                function = UFUNCS.get(function, function)
            result = result if result.ndim else result[()]
        several = isinstance(result, list | tuple)
        results = list(result) if several else [result]
        outputs = [Value.of(one, "call") for one in results]
        stamp = tick()
        self.calls.append(Call(function, tuple(symbols), options, outputs, several, stamp, effect))
        self._look_around(stamp)
        if not several:
            return Recorded(result, outputs[0], self, memory)
        wrapped = [Recorded(one, value, self) for one, value in zip(results, outputs, strict=True)]
        return result._make(wrapped) if hasattr(result, "_make") else type(result)(wrapped)

    def _look_around(self, stamp: int) -> None:
        """Write down which line of the user's has made a call, and what it calls arguments that have no name."""
        frames = list(frames_until(RUNNER))
        line = next((Line.of(frame) for frame, is_users in frames if is_users), None)
        if line is not None:
            self.lines[stamp] = line
        if self._unnamed:
            names = names_of(self._unnamed, frames)
            for one in self._unnamed:
                one.value.name = names.get(id(one))
            self._unnamed.clear()

    def write(self, target: Array, result: Array, casting: Any = "same_kind") -> None:
        """Put other contents into an array: from now on, what stands for it in the program is what they are."""
        if self.is_elsewhere():
            np.copyto(self.original(target), result)
            return
        data = target.data if isinstance(target, Recorded) else None
        if data is None or (isinstance(data, np.ndarray) and not data.flags.writeable):
            raise refusal(
                f"an array of shape {np.shape(target)} that is not part of the state is changed in place: name it in "
                "state="
            )
        if not isinstance(data, np.ndarray):
            raise refusal("a number cannot be changed in place")
        if result.shape != target.shape:
            result = self.call(np.broadcast_to, (result, target.shape))
        if result.dtype != target.dtype:
            if not np.can_cast(result.dtype, target.dtype, casting):
                raise refusal(f"an array of {target.dtype} cannot take {result.dtype} in place: convert by astype")
            result = self.call(astype, (result, target.dtype))
        np.copyto(data, result.data)
        if target.place is not None and self.before_writing is None:
            self.before_writing = len(self.calls)
        target.value = result.value
        target.changed = True
        owner = _owner(data)
        for key in (owner, _UNKNOWN) if owner != _UNKNOWN else list(self.showing):
            alive = [(one, other) for one in self.showing[key] if (other := one()) is not None]
            self.showing[key] = [one for one, _ in alive]
            for _, other in alive:
                if other is not target and other is not result and np.may_share_memory(other.memory, data):
                    other.stale = True

    def symbol(self, arg: Any) -> Any:
        """Give what stands in the program for an argument."""
        if isinstance(arg, RecordedGenerator):
            return arg.value
        if isinstance(arg, Recorded):
            if arg.stale:
                raise refusal("a view is used after the array that it shows was changed in place: copy it before")
            if arg.value.name is None:
                self._unnamed.append(arg)
            return arg.value
        if isinstance(arg, np.ndarray):
            if id(arg) not in self.constants:
                self.constants[id(arg)] = Constant(arg, Value.of(arg, "constant"))
                self.constants[id(arg)].value.data = None  # until it is known whether it may change
            return self.constants[id(arg)].value
        if isinstance(arg, Batched):
            np.asarray(arg)  # which it refuses, in words
        if other := other_array(arg):
            raise refusal(f"a {other} is used, and a program computes with NumPy's arrays: give it as one")
        return arg


def _of_known_size(function: Function, position: int, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    """Give arguments among which those that say of what shape a result is are the program's for ever.

    Raises:
        TypeError: they are none of the program's.
    """

    def fixed(item: Any) -> Any:
        if isinstance(item, Recorded):
            raise refusal(f"the size of what {name_of(function)} gives depends on values, and a program's may not")
        return item.copy() if isinstance(item, np.ndarray) else item

    sizes = [mapped(arg, fixed) for arg in args[position : position + 1]]
    options = {key: mapped(arg, fixed) if len(args) <= position else arg for key, arg in kwargs.items()}
    return (*args[:position], *sizes, *args[position + 1 :]), options


# Functions that give real or complex numbers as the values are: of real arguments, or of complex ones.
_BY_VALUES: dict[Function, bool] = {
    **dict.fromkeys((np.linalg.eig, np.linalg.eigvals, np.roots), False),
    **{getattr(np.emath, name): False for name in np.lib.scimath.__all__},
    **dict.fromkeys((np.real_if_close, np.poly), True),
}


def _refuse_by_values(function: Function, of_complex: bool | None, args: Any) -> None:
    if of_complex is not None and any(map(is_complex, args)) == of_complex:
        raise refusal(
            f"whether {name_of(function)} gives real or complex numbers depends on values, and in a program it may "
            f"not: {'take x.real' if of_complex else 'give it complex ones, as x.astype(complex)'}"
        )


def held(arg: Any) -> Any:
    """Give an argument with what the recording arrays in it hold."""
    return mapped(arg, lambda item: item.memory if isinstance(item, Recorded | RecordedGenerator) else item)


_UNKNOWN = 0  # the memory of what is no array of NumPy's, or is shared in other ways than by views


def _owner(array: Array) -> int:
    """Say whose memory an array shows, by its id: there are views of no other."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return id(array) if array.base is None and array.flags.owndata else _UNKNOWN


def refusal(problem: str) -> TypeError:
    """Make the error for what cannot be recorded, which names the line of the user's file."""
    frame = user_frame()
    return TypeError(f'compile: {problem} (File "{frame.filename}", line {frame.lineno}: {frame.line})')


class Recorded:
    """An array, or number, that writes down the calls made on it.

    Attributes:
        data: what it holds.
        memory: the same as NumPy gave it: for a number perhaps an array without axes, which may show another's memory.
        value: what stands for it in the program; another one once it was changed in place.
        changed: whether it was changed in place.
        stale: whether it is a view of something that was changed in place since.
        place: gives what lies in its place after the recording, or None if it has none.
    """

    __slots__ = ("__weakref__", "changed", "data", "memory", "place", "recording", "stale", "value")

    def __init__(self, data: Array, value: Value, recording: Recording, memory: Array = None) -> None:
        self.data = data
        self.memory = data if memory is None else memory
        self.value = value
        self.recording = recording
        self.changed = self.stale = False
        self.place: Callable[[], Any] | None = None
        if isinstance(self.memory, np.ndarray):
            recording.showing[_owner(self.memory)].append(ref(self))

    takes_all_of_numpy = True

    def __copy__(self) -> Any:
        """Give an array of the same contents, which keeps them when this one is changed in place."""
        if self.recording.is_elsewhere():
            return np.copy(self.recording.original(self))
        return Recorded(copy.copy(self.data), self.recording.symbol(self), self.recording)

    # What it is, which does not depend on its elements

    shape = property(lambda self: np.shape(self.data))
    ndim = property(lambda self: np.ndim(self.data))
    size = property(lambda self: int(np.size(self.data)))
    dtype = property(lambda self: np.asarray(self.data).dtype)
    nbytes = property(lambda self: self.data.nbytes)
    strides = property(lambda self: self.data.strides)
    flags = property(lambda self: self.data.flags)
    itemsize = property(lambda self: self.data.itemsize)

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[position] for position in range(len(self)))

    # NumPy's dispatch

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if any(isinstance(one, OUTSIDE) for one in inputs):
            return NotImplemented
        if method == "at":
            raise refusal(f"{ufunc.__name__}.at cannot be recorded: use x.at[index].add(v) of a Tensor")
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        return self._answer(function, inputs, kwargs, out[0] if out and len(out) == 1 else out)

    def __array_function__(self, function: Function, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if any(issubclass(kind, OUTSIDE) for kind in types):
            return NotImplemented
        return self._answer(function, args, {k: v for k, v in kwargs.items() if k != "out"}, kwargs.get("out"))

    def _answer(self, function: Function, args: Any, kwargs: Mapping[str, Any], out: Any) -> Any:
        """Answer NumPy's protocols."""
        facts = facts_of(function)
        if facts.is_question:
            return function(*held(list(args)), **{name: held(arg) for name, arg in kwargs.items()})
        _refuse_by_values(function, _BY_VALUES.get(function), args)
        if facts.sized_by is not None:
            args, kwargs = _of_known_size(function, facts.sized_by, args, kwargs)
        if function is np.copyto:
            self._copy_to(*args, **kwargs)
            return None
        if out is not None and (isinstance(out, tuple) or kwargs.get("where", True) is not True):
            raise refusal(f"{name_of(function)} with several out= or with where= cannot be recorded")
        result = self.recording.call(function, args, kwargs)
        if out is None:
            return result
        self.recording.write(out, result, kwargs.get("casting", "same_kind"))
        return out

    def _copy_to(self, dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
        """Do what `np.copyto` does."""
        if not np.can_cast(np.result_type(held(src)), np.result_type(held(dst)), casting):  # type: ignore[arg-type]
            raise TypeError(f"copyto: cannot cast from {src.dtype} to {dst.dtype} with casting={casting!r}")
        result = src if where is True else self.recording.call(np.where, (where, src, dst))
        result = result if isinstance(result, Recorded) else self.recording.call(np.asarray, (result,))
        self.recording.write(dst, result, "unsafe")

    def __array_call__(self, function: Function, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """Write a call down whose function looks into the arrays; of others, NumPy's calls within are written down."""
        if not hasattr(function, "is_whole") or any(isinstance(one, Batched) for one in (*args, *kwargs.values())):
            return NotImplemented
        _refuse_by_values(function, getattr(function, "is_complex_by_values", None), args)
        return self.recording.call(function, args, kwargs, effect=function is require)

    def as_float(self) -> Any:
        """Give the number as a Python number, which is recorded too."""
        return self if type(self.data) is float else self.recording.call(float, (self,))

    # Operators and methods

    def __getitem__(self, index: Any) -> Any:
        for item in index if isinstance(index, tuple) else (index,):
            if isinstance(item, Recorded) and item.dtype == bool and item.ndim:
                raise refusal(
                    "the size of x[mask] depends on values, and a program's may not: use np.where(mask, x, 0)"
                )

        def as_written(item: Any) -> Any:
            if isinstance(item, np.ndarray) and item.dtype == bool:  # a copy, whose size is known
                return item.copy()
            return item.item() if isinstance(item, np.generic) else item

        return self.recording.call(operator.getitem, (self, mapped(index, as_written)))

    def __setitem__(self, index: Any, value: Any) -> None:
        self.recording.write(self, self.recording.call(updated, (self, index, value)))

    def __divmod__(self, other: Any) -> Any:
        return self._answer(np.divmod, (self, other), {}, None)

    @property
    def T(self) -> Any:  # noqa: N802 (ndarray's name)
        """The array with its axes reversed."""
        return self.recording.call(np.transpose, (self,))

    @property
    def mT(self) -> Any:  # noqa: N802 (ndarray's name)
        """The array with its last two axes swapped."""
        return self.recording.call(np.swapaxes, (self, -1, -2))

    real = property(lambda self: self._answer(np.real, (self,), {}, None), doc="Real part of each element.")
    imag = property(lambda self: self._answer(np.imag, (self,), {}, None), doc="Imaginary part of each element.")

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Convert to another dtype."""
        return self.recording.call(astype, (self, np.dtype(dtype)))

    def copy(self, order: str = "C") -> Any:
        """Copy the array: its method does so into the order in which NumPy makes arrays, `np.copy` into its own."""
        return self._answer(np.copy, (self,), {"order": order} if self.value.axes else {}, None)

    def reshape(self, *shape: Any) -> Any:
        """Give the same elements another shape."""
        return self.recording.call(np.reshape, (self, shape[0] if len(shape) == 1 else shape))

    def transpose(self, *axes: Any) -> Any:
        """Permute the axes."""
        if len(axes) == 1 and not isinstance(axes[0], int):
            axes = axes[0]
        return self.recording.call(np.transpose, (self, axes or None))

    __hash__ = object.__hash__


def updated(array: Array, index: Any, value: Array) -> Array:
    """Give a copy of an array with some elements replaced."""
    copy = np.array(array)
    copy[index] = value
    return copy


describe(updated, is_new=True, takes_out=True)


def _define_operator(name: str) -> None:
    function = getattr(operator, name)
    word = name.rstrip("_")

    def method(self: Recorded, other: Any) -> Any:
        if isinstance(other, OUTSIDE):
            return NotImplemented
        return self.recording.call(function, (self, other))

    def reflected(self: Recorded, other: Any) -> Any:
        return self.recording.call(function, (other, self))

    def operate_in_place(self: Recorded, other: Any) -> Any:
        if isinstance(other, Batched):
            raise in_place(f"{UFUNCS[function].__name__} with out=")
        if isinstance(other, Tensor) or not isinstance(self.data, np.ndarray):
            return method(self, other)
        run = getattr(operator, f"i{word}") if _holds_what_it_gives(self.data, held(other)) else None
        self.recording.write(self, self.recording.call(function, (self, other), run=run))
        return self

    setattr(Recorded, f"__{word}__", method)
    if word not in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(Recorded, f"__r{word}__", reflected)
        setattr(Recorded, f"__i{word}__", operate_in_place)


def _holds_what_it_gives(array: Array, other: Any) -> bool:
    """Whether what an operator gives of two is like the first, so that it needs no memory of its own."""
    are_alike = np.shape(other) in ((), array.shape) and np.result_type(array, other) == array.dtype
    are_in_order = array.flags.c_contiguous and getattr(other, "flags", array.flags).c_contiguous
    return are_alike and are_in_order and array.dtype.kind == "f" and array.flags.writeable


_LEFT_OVER = (
    "a value is left over from the run in which the step was compiled: Python code such as appending to a list runs "
    "then and not later; return the value from the step"
)


def _define_refusal(name: str, problem: str) -> None:
    def method(self: Recorded, *args: Any, **kwargs: Any) -> Any:
        if self.recording.is_elsewhere():
            return getattr(np.asarray(self.recording.original(self)), name)(*args, **kwargs)
        self.recording.refused = refusal(_LEFT_OVER if self.recording.end.is_set() else problem)
        raise self.recording.refused

    setattr(Recorded, name, method)


def _define_method(name: str, function: Function) -> None:
    setattr(Recorded, name, lambda self, *args, **kwargs: self._answer(function, (self, *args), kwargs, None))


for _function in UFUNCS:
    if _function in (operator.neg, operator.pos, operator.abs, operator.invert):
        _define_method(f"__{_function.__name__}__", _function)
    else:
        _define_operator(_function.__name__)
for _name in (
    "sum", "prod", "mean", "var", "std", "max", "min", "all", "any", "argmax", "argmin", "argsort", "cumsum", "cumprod",
    "clip", "diagonal", "dot", "nonzero", "ravel", "repeat", "round", "searchsorted", "squeeze", "swapaxes",
    "take", "trace", "conj", "conjugate",
):  # fmt: skip
    _define_method(_name, getattr(np, _name))
_define_method("flatten", np.ravel)
_define_refusal(
    "__bool__",
    "the step branches on a value (bool, if, while, and, or, not), and a program takes one way only: use np.where, or "
    "decide outside of the step",
)
for _name in ("__float__", "__int__", "__index__", "__complex__", "__array__", "item", "tolist", "tobytes"):
    _define_refusal(
        _name,
        "a value is taken out of the step as a number or array (float(), int(), .item(), np.asarray(), also of a list "
        "of numbers), where it would be the same for ever: compute with NumPy functions of Tensors and arrays, or "
        "return it from the step",
    )
for _name in ("__str__", "__repr__", "__format__"):
    _define_refusal(_name, "a value is printed, or made text, within the step: return it, and print it there")


class RecordedGenerator(np.random.Generator):
    """A Generator that writes down what is drawn from it, so that each run of the program draws anew.

    Attributes:
        data: the Generator that draws.
        value: what stands for it in the program.
        place: gives what lies in its place after the recording.
    """

    place: Callable[[], Any] | None = None

    def __init__(self, data: np.random.Generator, value: Value, recording: Recording) -> None:
        super().__init__(data.bit_generator)
        self.data = self.memory = data
        self.value = value
        self.recording = recording


def _define_draw(name: str) -> None:
    draw = getattr(np.random.Generator, name)

    def method(self: RecordedGenerator, *args: Any, **kwargs: Any) -> Any:
        if name in ("shuffle", "spawn"):
            raise refusal(f"Generator.{name} cannot be recorded: call it outside of the step")
        if kwargs.get("out") is not None:
            raise refusal(f"Generator.{name} with out= cannot be recorded")
        return self.recording.call(draw, (self, *args), kwargs, effect=True)

    setattr(RecordedGenerator, name, method)


for _name in dir(np.random.Generator):
    if not _name.startswith("_") and _name != "bit_generator":
        _define_draw(_name)
