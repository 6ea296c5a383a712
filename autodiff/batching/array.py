"""The batched array: it holds one array with a batch along its first axis, and shows the shape of one member.

NumPy's protocols bring every call to it. How the function acts on a batch is looked up in the table; what has no line
there runs member by member.

A Tensor stands outside of it, ``Tensor(Batched(array))``, and of two batches the younger, ``Batched(Batched(array))``.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NoReturn

import numpy as np

from autodiff.arrays.draws import Sources
from autodiff.arrays.foreign import PLAIN, is_sparse, taken_in
from autodiff.arrays.sums import total
from autodiff.arrays.whole import is_lazy
from autodiff.core.clock import tick
from autodiff.core.hooks import hooks_of
from autodiff.core.leaving import is_operator_of_sparse
from autodiff.core.record import data_of, record
from autodiff.core.rule import Array, Function, defvjp, facts_of, name_of, share
from autodiff.core.tape import Entry, running

Randomness = Literal["error", "same", "different"]


class Level:
    """One batch that is computed: which of several batches an array belongs to.

    Attributes:
        size: how many members it has.
        age: since when. Of two batches, the arrays of the younger stand outside.
        end: an age: when its function ended. While it runs, as `age`.
        randomness: what becomes of numbers that its function draws.
        sources: the generators that it may draw from by itself, where these are watched.
    """

    __slots__ = ("age", "end", "randomness", "size", "sources")

    def __init__(
        self, size: int, age: int | None = None, randomness: Randomness = "error", sources: Sources | None = None
    ) -> None:
        self.size, self.randomness, self.sources = size, randomness, sources
        self.age = self.end = tick() if age is None else age

    def for_each(self, gradient: Array) -> Any:
        """Give a gradient that a user wrote down as one for each member."""
        return each(gradient, self)

    def total(self, gradient: Array, entry: Entry) -> Any:
        """Sum the gradients that a walk back of each member has left, if the entry was there before the batch."""
        is_shared = entry._age > self.age and self in levels_of(data_of(gradient))
        return merged(gradient, self) if is_shared else gradient

    def check_own(self, entry: Entry, value: Array = None) -> None:
        """Refuse that what all members share is asked for its gradient, or given a value, as if each had its own."""
        if entry._age > self.age and (value is None or self in levels_of(value)):
            raise RuntimeError(
                f"vmap: {entry._label()} is the same for all members, and so are its data and grad: take a member's "
                "gradient by ad.grad, or give vmap an array of them all"
            )


class NotOneNumberError(TypeError):
    """A batched array is asked for something that each of its members answers in its own way."""


class Batched:
    """An array for each member of a batch, which computes as one of them does.

    Attributes:
        array: all of them, along the first axis.
        level: the batch.
    """

    __slots__ = ("__weakref__", "array", "level")

    array: Any
    level: Level
    item: Callable[..., NoReturn]

    takes_all_of_numpy = True
    __pandas_priority__ = 5000  # so that the operators of pandas' tables leave the call to it

    def __init__(self, array: Array, level: Level) -> None:
        self.array, self.level = array, level

    # What it is, which is the same for each member

    shape = property(lambda self: self.array.shape[1:])
    ndim = property(lambda self: len(self.array.shape) - 1)
    dtype = property(lambda self: self.array.dtype)
    itemsize = property(lambda self: self.array.dtype.itemsize)
    members = property(lambda self: self.array)
    nbytes = property(lambda self: self.size * self.itemsize)
    flags = property(lambda self: self.array.flags)
    strides = property(lambda self: self.array.strides[1:])

    @property
    def size(self) -> int:
        """Number of elements of a member."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a batched array without axes")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        return (self[position] for position in range(len(self)))

    def __repr__(self) -> str:
        return f"<batch of {self.level.size} arrays of shape {self.shape} and dtype {self.dtype}>"

    def holding(self, array: Array) -> Batched:
        """Give a batch of the same members with other arrays."""
        return Batched(array, self.level)

    # NumPy's dispatch

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        for one in inputs:
            if isinstance(one, Entry):
                return NotImplemented  # the Tensor records the call itself
        if out is not None or method == "at":
            raise in_place(f"{ufunc.__name__}{'.at' if method == 'at' else ' with out='}")
        if len(inputs) == 2 and method == "__call__" and not kwargs and ufunc.nout == 1 and not ufunc.signature:
            result = of_two(ufunc, *inputs)
            if result is not NotImplemented:
                return result
        return call(ufunc if method == "__call__" else getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function: Function, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for kind in types:
            if issubclass(kind, Entry):
                return NotImplemented
        if function in _FORMS and len(args) == 1 and type(args[0]) is Batched:
            return _FORMS[function](args[0])  # at once, since rules ask for it all the time
        if kwargs.pop("out", None) is not None or function in _WRITERS:
            raise in_place(name_of(function))
        return call(function, args, kwargs)

    def __array_call__(self, function: Function, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """Answer functions of Python that are offered whole."""
        return call(function, args, kwargs)

    # Operators and methods

    def __getitem__(self, index: Any) -> Any:
        return call(operator.getitem, (self, index), {})

    def __divmod__(self, other: Any) -> Any:
        return call(np.divmod, (self, other), {})

    def __rdivmod__(self, other: Any) -> Any:
        return call(np.divmod, (other, self), {})

    def __copy__(self) -> Batched:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Batched:
        return self.copy()

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        if is_operator_of_sparse(sys._getframe(1)):
            return np.array(None, dtype=object)  # which leaves the call to the other operand, as a Tensor does
        return self.item()

    def copy(self, order: str = "C") -> Batched:
        """Copy the arrays."""
        # NumPy's function would compute an array that is lazy.
        return Batched(self.array.copy() if is_lazy(self.array) else np.copy(self.array), self.level)

    def astype(self, dtype: Any, *args: Any, copy: bool = True, **kwargs: Any) -> Batched:
        """Convert to another dtype."""
        return Batched(self.array.astype(dtype), self.level)

    def reshape(self, *shape: Any, order: Any = "C") -> Any:
        """Give the same elements another shape."""
        options = {} if order == "C" else {"order": order}
        return call(np.reshape, (self, shape[0] if len(shape) == 1 else shape), options)

    def transpose(self, *axes: Any) -> Any:
        """Permute the axes."""
        if len(axes) == 1 and not isinstance(axes[0], int):
            axes = axes[0]
        return call(np.transpose, (self, axes or None), {})

    T = property(lambda self: call(np.transpose, (self,), {}), doc="The array with its axes reversed.")
    mT = property(lambda self: call(np.swapaxes, (self, -1, -2), {}), doc="The array with its last axes swapped.")  # noqa: N815
    real = property(lambda self: call(np.real, (self,), {}), doc="Real part of each element.")
    imag = property(lambda self: call(np.imag, (self,), {}), doc="Imaginary part of each element.")
    flat = property(lambda self: call(np.ravel, (self,), {}), doc="The elements as one axis.")

    __hash__ = object.__hash__

    def for_each(self, gradient: Array) -> Any:
        """Give what a user's function put in place of this gradient, or made of it, as one for each member."""
        for level in levels_of(self):
            gradient = level.for_each(gradient)
        return gradient

    def summed_for(self, gradient: Array, value: Array, entry: Entry) -> Any:
        """Sum a gradient over batches to which the value of its entry does not belong, if the members share the entry.

        While the function runs, each member walks back by itself. Once it has ended, what was there before, or was made
        in it and has no batch, is one for all: it may be used outside too, where its gradient is one. Only functions
        that were registered for it see that of each member. What came into being after the end is of a function that a
        walk back runs again: there for each member, as then.
        """
        if type(self.array) is not Batched and entry._age <= self.level.end:
            return gradient  # told first, as it is most often so
        own = levels_of(value)
        for level in levels_of(self):
            is_made = entry._age > level.end and (entry._function is None or not any(hooks_of(entry).values()))
            if level not in own and level not in running.get() and (is_made or entry._age > level.age):
                gradient = merged(gradient, level)
        return gradient


def levels_of(x: Any) -> list[Level]:
    """List the batches that an array is a member of, the youngest first."""
    levels = []
    while type(x) is Batched:
        levels.append(x.level)
        x = x.array
    return levels


def innermost(thing: Any) -> Any:
    """Give the array in a Tensor, of all members if it is one of a batch; and anything else as it is."""
    if issubclass(type(thing), Entry):  # nothing is asked for its class
        thing = thing._array
    while type(thing) is Batched:
        thing = thing.array
    return thing


def in_place(name: str) -> TypeError:
    """Make the error for a write into an array of which each member would need its own."""
    return TypeError(
        f"{name}: a batched array is not written into, nor does another take one in: write y = f(x), np.where, or "
        "y = x.at[index].set(value) of a Tensor"
    )


_FORMS: dict[Function, Callable[[Any], Any]] = {
    np.ndim: operator.attrgetter("ndim"),
    np.shape: operator.attrgetter("shape"),
}
_WRITERS = {np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis}


# The way in and out of a batch


def _of_tensors(function: Function) -> Function:
    """Make a function that is recorded where it is called with a Tensor."""

    @functools.wraps(function)
    def call(x: Array, *args: Any) -> Any:
        return record(function, (x, *args)) if isinstance(x, Entry) else function(x, *args)

    share(function, call)
    return call


@_of_tensors
def inside(x: Array, axis: int, level: Level) -> Batched:
    """Give an array as the batch that lies along one of its axes."""
    return Batched(x if axis == 0 else np.moveaxis(x, axis, 0), level)


@_of_tensors
def outside(x: Array, axis: int, level: Level) -> Any:
    """Give the arrays of all members in one, the batch along an axis; what does not depend on it, as often."""
    array = stacked(x, level)
    return array if axis == 0 else np.moveaxis(array, 0, axis)


def stacked(x: Array, level: Level) -> Any:
    """Give the arrays of all members along a first axis."""
    if type(x) is Batched:
        if x.level is level:
            return x.array
        if x.level.age < level.age:
            raise RuntimeError(f"vmap: {x!r} is left over from a batch that has ended: return it from the function")
    return np.broadcast_to(x, (level.size, *np.shape(x)))


@_of_tensors
def merged(x: Array, level: Level) -> Any:
    """Sum over the members of a batch; what has no batch is the same for each."""
    if level not in levels_of(x):
        return x * level.size
    return total(x.array, 0) if x.level is level else Batched(merged(x.array, level), x.level)


@_of_tensors
def spread(x: Array, level: Level) -> Batched:
    """Give each member the same."""
    if type(x) is Batched and x.level.age < level.age:
        return Batched(spread(x.array, level), x.level)
    return Batched(stacked(x, level), level)


@_of_tensors
def each(x: Array, level: Level) -> Batched:
    """Give an array that is there for each member as one of all members."""
    return spread(x, level)  # type: ignore[no-any-return]


merged.__wrapped__.__name__ = "sum"  # type: ignore[attr-defined] # as it is called in pictures
defvjp(inside, lambda g, out, x, axis, level: outside(g, axis, level))
defvjp(outside, lambda g, out, x, axis, level: inside(g, axis, level))
defvjp(merged, lambda g, out, x, level: spread(g, level))
defvjp(spread, lambda g, out, x, level: merged(g, level))
defvjp(each, lambda g, out, x, level: g)


# Randomness


def drawn(draw: Callable[[tuple[int, ...]], Array], shape: tuple[int, ...], beside: Any = None) -> Any:
    """Draw numbers, in a batch as it is said there: the same ones for all members, or others for each.

    Args:
        draw: gives an array of random numbers for its shape.
        shape: of what one member draws.
        beside: the array that the numbers are used with, perhaps a Tensor; a batch that it belongs to counts, too.

    Raises:
        RuntimeError: in a batch, it is not said which.
    """
    levels = sorted({*running.get(), *levels_of(data_of(beside))}, key=lambda level: level.age)  # the youngest first
    if any(level.randomness == "error" for level in levels):
        raise RuntimeError(
            'vmap: the function draws random numbers: write ad.vmap(..., randomness="different") if each member is to '
            'draw its own, or randomness="same" if all are to have the same'
        )
    watched = [level.sources for level in levels if level.sources is not None]
    if any(level.randomness == "same" and level.sources is not None for level in levels):
        raise RuntimeError(
            "vmap: with chunk_size, the parts of the batch would not draw the same numbers: draw before, and give them "
            "as an argument that is the same for each member"
        )
    for sources in watched:
        sources.look()
    own = [level for level in reversed(levels) if level.randomness == "different"]
    numbers = draw((*(level.size for level in own), *shape))
    for level in own:
        numbers = Batched(numbers, level)
    for sources in watched:
        sources.look(counts=False)
    return numbers


# Calls

# How a function acts on a batch: rule(level, args, kwargs) gives its result, with Batched arrays in it.
BatchRule = Callable[[Level, tuple[Any, ...], Mapping[str, Any]], Any]
RULES: dict[Function, BatchRule] = {}
FOUND_LATER: list[Callable[[Function], BatchRule | None]] = []  # what makes rules of functions that are met later
_KNOWN = PLAIN | {Batched}


def call(function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Let a function act on all members of the youngest batch among its arguments."""
    rule = RULES.get(function)
    if rule is None and facts_of(function).is_question:
        return function(*map(stand_in, args), **{name: stand_in(value) for name, value in kwargs.items()})
    if not _KNOWN.issuperset(map(type, args)):
        if function is np.matmul and any(map(is_sparse, args)):
            function = operator.matmul
        else:
            args = tuple(arg if type(arg) in _KNOWN else taken_in(arg, name_of(function)) for arg in args)
    level = youngest((*args, *kwargs.values()) if kwargs else args)
    if level is None:
        raise TypeError(f"{name_of(function)}: a batched array stands in a container that is not looked into")
    rule = RULES.get(function) or rule_of(getattr(function, "__wrapped__", function))  # of a primitive
    if rule is None and FOUND_LATER:
        rule = FOUND_LATER[0](function)
    return member_by_member(function, level, args, kwargs) if rule is None else rule(level, args, kwargs)


def keep_rule(function: Function, rule: BatchRule) -> None:
    """Write down how a user's function acts on a batch: on itself, so that the two go together."""
    with contextlib.suppress(AttributeError):  # where it takes none
        function._autodiff_batch_rule = function, rule  # type: ignore[attr-defined]
        return
    RULES[function] = rule


def rule_of(function: Function) -> BatchRule | None:
    """Give the rule of a user's function, not one that it was given by a function around it."""
    of, rule = getattr(function, "_autodiff_batch_rule", (None, None))
    return rule if of is function else RULES.get(function)


def youngest(args: Any) -> Level | None:
    """Give the youngest batch among arguments, also in lists and tuples."""
    found = None
    for arg in args:
        level = arg.level if type(arg) is Batched else youngest(arg) if type(arg) in (list, tuple) else None
        if level is not None and (found is None or level.age < found.age):
            found = level
    return found


def mapped(arg: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to an argument, or to each item of a list or tuple."""
    if type(arg) in (list, tuple):
        return type(arg)([mapped(item, function) for item in arg])
    return function(arg)


def member_by_member(function: Function, level: Level, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Run a function on one member after the other, and stack what it gives: the way of those without a rule."""

    def result_of(position: int) -> Any:
        def member(x: Any) -> Any:
            if type(x) is not Batched or x.level is not level:
                return x
            return x.array[position] if level.size else _any_array(x)

        return function(
            *(mapped(arg, member) for arg in args), **{name: mapped(value, member) for name, value in kwargs.items()}
        )

    return _joined([result_of(position) for position in range(max(1, level.size))], level, function)


def _any_array(x: Batched) -> Any:
    """Give an array like the members of a batch that has none; a matrix can be inverted."""
    one = np.ones(x.shape, x.dtype)
    return one + np.eye(*x.shape[-2:], dtype=x.dtype) if x.ndim > 1 else one[()]


def _joined(results: list[Any], level: Level, function: Function) -> Any:
    """Give results of all members as one, in the same containers."""
    first = results[0]
    if first is None:
        return None
    if isinstance(first, list | tuple):
        items = [_joined(list(items), level, function) for items in zip(*results, strict=True)]
        return first._make(items) if hasattr(first, "_make") else type(first)(items)
    if any(level in levels_of(one) for one in results):
        raise TypeError(
            f"vmap: {name_of(function)} runs on one member after the other, and uses a batched array that it is not "
            "given: pass it as an argument"
        )
    shapes = {np.shape(one) for one in results}
    if len(shapes) > 1:
        raise ValueError(
            f"vmap: {name_of(function)} gives shapes {', '.join(map(str, sorted(shapes)))} for members of one "
            "batch, since their sizes depend on values: write np.where(mask, x, other)"
        )
    return Batched(np.stack(results)[: level.size], level)


def stand_in(arg: Any) -> Any:
    """Give an array of the same form as a member, for functions that ask for no more."""
    return mapped(arg, _stand_in)


def _stand_in(x: Any) -> Any:
    if type(x) is not Batched:
        return x
    shape, dtype = x.shape, x.dtype
    return np.ndarray(shape, dtype, np.zeros((), dtype), strides=(0,) * len(shape))


# Operators


def of_two(operate: Function, x: Any, y: Any) -> Any:
    """Let what acts on each element act on two operands as they are; NotImplemented where they must be lined up."""
    try:
        if type(x) is Batched:
            level, array = x.level, x.array
            if type(y) is Batched:
                if y.level is level and len(y.array.shape) == len(array.shape):
                    return Batched(operate(array, y.array), level)
            elif (type(y) is np.ndarray and y.ndim < len(array.shape)) or type(y) in _NUMBERS:
                return Batched(operate(array, y), level)
        elif type(y) is Batched and ((type(x) is np.ndarray and x.ndim < len(y.array.shape)) or type(x) in _NUMBERS):
            return Batched(operate(x, y.array), y.level)
    except ValueError:  # `call` says it of a member
        pass
    return NotImplemented


_NUMBERS = {float, int, bool, complex}
_NUMBERS |= {kind for kind in np.sctypeDict.values() if issubclass(kind, np.number | np.bool_)}


def _define_operator(name: str, function: np.ufunc) -> None:
    operate = getattr(operator, name)
    word = name.rstrip("_")

    def method(self: Batched, other: Any) -> Any:
        if isinstance(other, Entry):
            return NotImplemented
        result = of_two(operate, self, other) if function is not np.matmul else NotImplemented
        return call(function, (self, other), {}) if result is NotImplemented else result

    def reflected(self: Batched, other: Any) -> Any:
        result = of_two(operate, other, self) if function is not np.matmul else NotImplemented
        return call(function, (other, self), {}) if result is NotImplemented else result

    def in_place_operator(self: Batched, other: Any) -> Any:
        if self.shape:
            raise in_place(f"{word}=")
        return NotImplemented  # a number is not changed: Python computes another

    setattr(Batched, f"__{word}__", method)
    if word not in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(Batched, f"__r{word}__", reflected)
        setattr(Batched, f"__i{word}__", in_place_operator)


def _define_method(name: str, function: Function) -> None:
    setattr(Batched, name, lambda self, *args, **kwargs: call(function, (self, *args), kwargs))


def _define_refusal(name: str, make: Callable[[Batched], Exception]) -> None:
    def method(self: Batched, *args: Any, **kwargs: Any) -> NoReturn:
        raise make(self)

    setattr(Batched, name, method)


for _name, _ufunc in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "floordiv": np.floor_divide,
    "mod": np.remainder, "pow": np.power, "matmul": np.matmul, "and_": np.bitwise_and, "or_": np.bitwise_or,
    "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
}.items():  # fmt: skip
    _define_operator(_name, _ufunc)
for _operate in (operator.neg, operator.pos, operator.abs, operator.invert):
    setattr(Batched, f"__{_operate.__name__}__", lambda self, f=_operate: Batched(f(self.array), self.level))
for _name in (
    "sum", "prod", "mean", "var", "std", "max", "min", "all", "any", "argmax", "argmin", "argsort", "argpartition",
    "cumsum", "cumprod", "clip", "choose", "compress", "diagonal", "dot", "nonzero", "ravel", "repeat", "round",
    "searchsorted", "squeeze", "swapaxes", "take", "trace", "conj",
):  # fmt: skip
    _define_method(_name, getattr(np, _name))
_define_method("flatten", np.ravel)
_define_method("conjugate", np.conjugate)
_define_refusal(
    "__bool__",
    lambda self: NotOneNumberError(
        f"bool() of {self!r}: each member has its own, so if, while, and, or, not cannot decide: use np.where, "
        "np.logical_and and the like"
    ),
)
for _name in ("__float__", "__int__", "__index__", "__complex__", "__reduce__", "item", "tolist", "tobytes"):
    _define_refusal(
        _name,
        lambda self: NotOneNumberError(
            f"{self!r} is made a number or a plain array, and each member has its own: compute with NumPy's functions "
            "(np.where for if, np.sin for math.sin, np.stack for np.array of a list or out[i] = x, and for "
            "table[i] np.take_along_axis(table, i, 0)); of a function that needs numbers, make one call by ad.primitive"
        ),
    )
for _name in ("__setitem__", "fill", "put", "sort", "partition", "resize", "setfield", "byteswap", "itemset"):
    _define_refusal(_name, lambda self: in_place("x[i] = v, or a method that writes"))
