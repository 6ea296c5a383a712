"""Where the state of a step lies: the arrays, numbers and generators that a run finds, and leaves changed."""

from __future__ import annotations

import contextlib
import copy
import operator
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from autodiff.core.hooks import HOOKS, hooks_of
from autodiff.core.record import data_of
from autodiff.core.tensor import Tensor
from autodiff.transforms.containers import walk

LARGE = 2**18  # bytes of arrays whose copies lie in a file


@dataclass(frozen=True)
class Place:
    """Where one piece of state lies.

    Attributes:
        name: how the program calls it.
        get: gives what lies there: an array, a number or a Generator.
        set: puts something else there.
        tensor: the Tensor whose data it is, or None.
        tie: where other places have the same, there lies the same number, before a step if not after it.
        key: by what a place is found again that is no part of the state, but only read; None for the state.
        is_setting: whether a number lies there into which a step may look: a program may be for one value of it.
    """

    name: str
    get: Callable[[], Any]
    set: Callable[[Any], None]
    tensor: Tensor | None = None
    tie: Hashable = None
    key: Hashable = None
    is_setting: bool = False

    @classmethod
    def of_tensor(cls, name: str, tensor: Tensor, key: Hashable = None) -> Place:
        """Make the place of a Tensor's data."""
        return cls(name, lambda: tensor._array, lambda data: setattr(tensor, "data", data), tensor, key=key)

    @classmethod
    def of_attribute(cls, name: str, holder: Any, attribute: str) -> Place:
        """Make the place of an attribute."""
        return cls(name, lambda: getattr(holder, attribute), lambda value: setattr(holder, attribute, value))

    @classmethod
    def of_setting(cls, name: str, holder: Any, attribute: str) -> Place:
        """Make the place of a number into which a step may look, an attribute of what it is a setting of."""
        place = cls.of_attribute(name, holder, attribute)
        return replace(place, tie=(Itself(holder), attribute), is_setting=True)

    @classmethod
    def of_itself(cls, name: str, thing: Any, key: Hashable = None) -> Place:
        """Make the place of an array or Generator that the step refers to by a name of its own."""
        return cls(name, lambda: thing, lambda value: None, key=key)


class Stateful(ABC):
    """What can be part of the state beside Tensors, arrays and Generators: all with these methods, as a module has."""

    @abstractmethod
    def places(self) -> list[Place]:
        """List where its state lies, and make what of it would be made later."""

    @abstractmethod
    def settings(self) -> Hashable:
        """Give all else that a step may depend on, beside what lies in places: with others it is another program."""

    @abstractmethod
    def watch(self) -> Callable[[], bool]:
        """Give a function that says whether the settings are surely as they are now, faster than by looking at them."""

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        """Ask the class: an object may answer to any name, as dicts do whose keys are attributes."""
        return all(hasattr(other, name) for name in cls.__abstractmethods__)


class Itself:
    """A thing as a key: equal to nothing else, and kept, so that no other thing comes to have its ``id``."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


class Unkept:
    """What is left in the place of a gradient that a compiled step has used, and not kept: any use of it is refused."""

    __slots__ = ("_step", "_whose")

    def __init__(self, whose: str, step: str) -> None:
        self._whose = whose
        self._step = step

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            f"grad: the compiled step {self._step} has changed {self._whose} by its gradient, and has not kept that: "
            "return it from the step, or set it to None"
        )

    __array__ = __array_ufunc__ = __array_function__ = __float__ = __len__ = __iter__ = __getitem__ = _refuse
    __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __matmul__ = _refuse
    __rmatmul__ = __pow__ = __rpow__ = __neg__ = __abs__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = (
        __bool__
    ) = _refuse
    __hash__ = object.__hash__

    def __add__(self, other: Any) -> Unkept:
        """Give what `backward` makes of it: that is not known either."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def __reduce__(self) -> Any:
        return Unkept, (self._whose, self._step)

    def __repr__(self) -> str:
        return f"<gradient of {self._whose} that the compiled step {self._step} has not kept>"


_PLAIN = int, float, complex, str, bytes, np.generic, type(None)


def form_of(value: Any) -> Hashable:
    """Give a key of a value: of numbers and texts by type and value, of containers by their items, of others itself."""
    if isinstance(value, _PLAIN):
        return type(value), repr(value)
    if isinstance(value, list | tuple):
        return type(value), tuple(map(form_of, value))
    if isinstance(value, dict):
        return type(value), tuple(map(form_of, value)), tuple(map(form_of, value.values()))
    if isinstance(value, Set):
        return type(value), frozenset(map(form_of, value))
    if isinstance(value, partial):
        return type(value), form_of(value.func), form_of(value.args), form_of(value.keywords)
    return Itself(value)


def views_of(value: Any) -> Iterator[Iterable[Any]]:
    """Give all containers in a value, itself among them, whose items may be others later; of dicts keys and values."""
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        inner = value.values()
        yield from (value.keys(), inner)
    elif isinstance(value, list | tuple | Set):
        inner = value
        if not isinstance(value, tuple):
            yield value
    elif isinstance(value, partial):
        inner = (value.args, value.keywords)
    for item in inner:
        yield from views_of(item)


def watch_of(views: Iterable[Iterable[Any]], holder: Any = None, *names: str) -> Callable[[], bool]:
    """Give a function that says whether containers hold the very things that they hold now, in the same order.

    And whether attributes of a holder, by dotted names, are equal to what they are now: functions and methods.
    """
    lists: list[list[Any]] = []
    others: list[Iterable[Any]] = []
    for view in views:
        if isinstance(view, list) and all(map(_is_equal_to_itself_alone, view)):
            lists.append(view)
        else:
            others.append(view)
    copies, end = list(map(list, lists)), (object(),)
    things = [*chain(*others, end)] if others else None
    attributes_of = operator.attrgetter("__class__", *names)
    attributes = attributes_of(holder)

    def is_unchanged() -> bool:
        try:
            if lists != copies or attributes_of(holder) != attributes:
                return False
            return things is None or all(map(operator.is_, chain(*others, end), things))
        except (AttributeError, TypeError, ValueError):  # a method was deleted, or arrays were compared
            return False

    return is_unchanged


def _is_equal_to_itself_alone(thing: Any) -> bool:
    """Whether a comparison, which is fast for what is the same, says of all else that it differs, or raises."""
    equal: Any = type(thing).__eq__
    return equal is object.__eq__ or (isinstance(thing, Tensor) and thing.size > 1)


def numbers_of(places: Iterable[Place]) -> dict[Hashable, float]:
    """Give the numbers among the settings."""
    return {place.tie: place.get() for place in places if place.is_setting}


def stateful_parts(state: Any) -> list[Stateful]:
    """List the modules, optimizers and the like in a state, and in that of compiled steps among them."""
    parts: list[Any] = [part for _, part in walk(state) if isinstance(part, Stateful)]
    inner = [part.stateful_parts() for part in parts if hasattr(type(part), "stateful_parts")]
    return [*parts, *(part for some in inner for part in some)]


def places_of(state: Any, called: Mapping[int, str] = MappingProxyType({})) -> list[Place]:
    """List where all state lies, each place once and under a name of its own.

    Args:
        state: modules, optimizers, Tensors, arrays and so on, and lists of them.
        called: how Tensors and arrays that have no name are called, by their ids.

    Raises:
        TypeError: a part of the state is none.
    """
    places: list[Place] = []
    for path, part in walk(state):
        name = called.get(id(part), f"state{path}")
        if isinstance(part, Stateful):
            places += part.places()
        elif isinstance(part, Tensor):
            places.append(Place.of_tensor(part.name or name, part))
        elif isinstance(part, np.ndarray | np.random.Generator):
            places.append(Place.of_itself(name, part))
        else:
            raise TypeError(
                f"compile: state must be modules, optimizers, schedules, Tensors, arrays and Generators, or lists of "
                f"them, got {part!r}"
            )
    return sorted(_distinct(places), key=lambda place: place.tensor is None)


def _distinct(places: list[Place]) -> list[Place]:
    """Keep one place for each Tensor, and join those where the same Generator lies."""
    names: set[str] = set()
    distinct: dict[int, Place] = {}
    for place in places:
        lies = place.get()
        one = id(lies if isinstance(lies, np.random.Generator) else place if place.tensor is None else place.tensor)
        if one not in distinct:
            name = place.name
            while name in names:
                name += "_"
            names.add(name)
            distinct[one] = replace(place, name=name)
        elif place.tensor is None:
            distinct[one] = _joined(distinct[one], place)
    return list(distinct.values())


def _joined(one: Place, other: Place) -> Place:
    def set_both(value: Any) -> None:
        one.set(value)
        other.set(value)

    return replace(one, set=set_both)


@contextlib.contextmanager
def restoring(places: Sequence[Place], read: Sequence[Place] = ()) -> Iterator[Callable[[], None]]:
    """Put everything back that a block changes in the state: what lies in a place, and what it holds.

    The block is given a function that does so before its end. It cannot write into what lies in places that are read.
    """
    put_back, lent = saving(places), [(place, place.get()) for place in read]
    tensors = [place.tensor for place in (*places, *read) if place.tensor is not None]
    marks = [(tensor, tensor._age, tensor._grad, hooks_of(tensor)) for tensor in tensors]

    def restore() -> None:
        put_back()
        for place, original in lent:
            place.set(original)
        for tensor, age, gradient, hooks in marks:
            tensor._age, tensor._grad = age, gradient
            if hooks_of(tensor) != hooks:
                tensor._hooks = hooks
                HOOKS.update(hooks)

    try:
        yield restore
    finally:
        restore()


def saving(places: Sequence[Place]) -> Callable[[], None]:
    """Give a function that puts back what lies in places now, and what it holds."""
    originals = [place.get() for place in places]
    arrays = list(map(data_of, originals))  # a gradient may be a Tensor
    copies = copied(arrays)

    def put_back() -> None:
        for place, original, array, saved in zip(places, originals, arrays, copies):
            if isinstance(array, np.random.Generator):
                array.bit_generator.state = saved.bit_generator.state
            elif isinstance(array, np.ndarray) and array.flags.writeable:
                np.copyto(array, saved)
            place.set(original)

    return put_back


def copied(values: Sequence[Any]) -> list[Any]:
    """Copy the arrays and Generators among some values, and give all else as it is.

    Large arrays are copied to a temporary file, if there is room: a state, what a step makes of it and what a program
    does, all in memory, would be more than twice what the step itself needs.
    """
    arrays = [value for value in values if isinstance(value, np.ndarray) and not value.dtype.hasobject]
    copies: dict[int, Any] = {}
    if sum(array.nbytes for array in arrays) > LARGE:
        with contextlib.suppress(OSError), tempfile.TemporaryFile() as file:
            for array in arrays:
                file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            rest = np.asarray(np.memmap(file, np.uint8, "r"))
            for array in arrays:
                piece, rest = np.split(rest, [array.nbytes])
                copies[id(array)] = piece.view(array.dtype).reshape(array.shape)
    for value in values:
        if id(value) not in copies:
            copies[id(value)] = copy.deepcopy(value) if isinstance(value, np.ndarray | np.random.Generator) else value
    return [copies[id(value)] for value in values]
