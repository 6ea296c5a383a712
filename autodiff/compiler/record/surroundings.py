"""What a step finds around it by name, beside its arguments and its state: it must stay as it was.

Of code only the names and texts in it are read, and nothing of the user's runs: no property, no ``__getattr__``. So
what is found is more than the step reads, and less than all: if a number changes, the record says whether it matters.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autodiff.compiler.state import Stateful
from autodiff.core.record import data_of
from autodiff.core.tensor import Tensor
from autodiff.transforms.containers import flatten, walk

LONGEST_TEXT = 60  # of a value in a message
_LONGEST = 150  # text of two of them
_FEW = 16  # items of a container that are all watched, if none is named
_MOST = 1000  # things that are looked into
_MOST_LEAVES = 10_000  # of a container
_DEEPEST = 50  # containers in each other
_PATIENCE = 8  # changes of a variable that did not matter, after which others are taken for such
_KNOWN = {"", "autodiff", "nn", "numpy", "scipy", *sys.stdlib_module_names}  # packages whose code stays as it is
_NUMBERS = int, float, complex, str, bytes, np.generic, type(None)
_ARRAYS = Tensor, np.ndarray, np.random.Generator
_FIELD = types.GetSetDescriptorType | types.MemberDescriptorType  # of Python's own: they run no code of the user's
_CELL = types.CellType.__dict__["cell_contents"]
_DEFAULTS = [types.FunctionType.__dict__[name] for name in ("__defaults__", "__kwdefaults__")]
# Attributes that lead to what runs without being named.
_UNNAMED = ["__call__", "forward", "__getitem__", "__getattr__", "__wrapped__", "__func__", "__self__", "fget"]
_UNNAMED += ["func", "args", "keywords"]


class _Absent:
    def __repr__(self) -> str:
        return "not set"


ABSENT = _Absent()


@dataclass(eq=False)
class Variable:
    """Something that a step may read by name.

    Attributes:
        name: as it is read: ``rate``, ``settings['rate']`` or ``self.rate``.
        holder: where it is found: a dict, a list, a class, or what another key is for.
        key: a key, an index, an attribute of a class, a field of Python's own, or a function of the holder.
        is_set: whether the step sets it to something new, so that it may change.
        value: what it was when the step was compiled, or `ABSENT`.
        changes: how often it has become something else, and that did not matter.
    """

    name: str
    holder: Any
    key: Any
    is_set: bool = False
    value: Any = field(init=False)
    changes: int = 0

    def __post_init__(self) -> None:
        self.value = self.read()

    def reader(self) -> tuple[Callable[[Any], Any], Any]:
        """Give a function that reads it, and the argument of that."""
        if callable(self.key):
            return self.key, self.holder
        if isinstance(self.key, _FIELD):
            return self.key.__get__, self.holder
        if is_a(self.holder, type):
            return vars(self.holder).__getitem__, self.key
        return _base(self.holder).__getitem__.__get__(self.holder), self.key

    def read(self) -> Any:
        """Give what it is now, or `ABSENT`."""
        function, argument = self.reader()
        try:
            return function(argument)
        except (AttributeError, LookupError, ValueError):
            return ABSENT

    def write(self, value: Any) -> None:
        """Put something else there, or nothing; of the keys of a dict, which are a set, take others away."""
        holder, key = self.holder, self.key
        if key is set:
            for name in set(holder) - value:
                holder.pop(name, None)
        elif isinstance(key, _FIELD):
            key.__delete__(holder) if value is ABSENT else key.__set__(holder, value)
        elif is_a(holder, type):
            type.__delattr__(holder, key) if value is ABSENT else type.__setattr__(holder, key, value)
        elif value is ABSENT:
            dict.pop(holder, key, None)
        elif not callable(key):
            _base(holder).__setitem__(holder, key, value)

    def is_same(self, one: Any, other: Any) -> bool:
        """Whether it has not changed between two values."""
        return bool(one == other) if callable(self.key) else one is other

    def condition(self, value: str, named: Callable[[Any, str], str]) -> str:
        """Write an expression which is true if it is what it was, and may raise an error of a look-up."""
        function, argument = self.reader()
        if self.value is ABSENT and is_a(self.holder, dict | type):
            space = vars(self.holder) if is_a(self.holder, type) else self.holder
            return f"{named(self.key, 'key')} not in {named(space, 'space')}"
        if self.value is ABSENT:
            return f"{named(self.read, 'read')}() is {value}"
        if self.key in (_CELL, *_DEFAULTS):  # the commonest, in the fastest way
            return f"{named(self.holder, 'holder')}.{self.key.__name__} is {value}"
        if type(self.holder) in (dict, list) and not callable(self.key):
            return f"{named(self.holder, 'holder')}[{named(self.key, 'key')}] is {value}"
        return f"{named(function, 'get')}({named(argument, 'of')}) {'==' if callable(self.key) else 'is'} {value}"


class Surroundings:
    """The variables around a step that it may read.

    Args:
        variables: as `variables_of` finds them, after the step has run once.
        stateful: modules, optimizers and the like that are looked after elsewhere.

    Attributes:
        watched: those that it does not set.
        parts: other modules, optimizers and the like among the variables.
    """

    def __init__(self, variables: Sequence[Variable], stateful: Sequence[Stateful]) -> None:
        self.watched = [variable for variable in variables if not variable.is_set]
        leaves = [(v.name + path, part) for v in self.watched for path, part in leaves_in(v.value)]
        parts = {id(part): (name, part) for name, part in reversed(leaves) if is_a(part, Stateful)}
        for part in stateful:
            parts.pop(id(part), None)
        self.parts = [part for _, part in parts.values()]
        self._settings = [Variable(name, part, operator.methodcaller("settings")) for name, part in parts.values()]

    def check(self, compare: Callable[[], None]) -> None:
        """Refuse a change of a variable, unless it is one of numbers and the like, and does not matter.

        Args:
            compare: raises a RuntimeError if the step does something else than when it was compiled.

        Raises:
            RuntimeError: one is not what it was.
        """
        read = [(v, v.read()) for v in (*self.watched, *self._settings)]
        changes = [(v, now) for v, now in read if not v.is_same(v.value, now)]
        told = [(_is_slight(v, now), v.changes, v, now) for v, now in changes if not same_number(v.value, now)]
        if told:
            is_slight, patience, variable, now = min(told, key=operator.itemgetter(0, 1))
            change = f"is another {type(now).__name__} than when it was compiled"
            if variable.key is np.ndarray.tobytes or variable in self._settings:
                change = "has changed since it was compiled"
            elif is_slight and not is_a(now, _ARRAYS):
                texts = f"was {variable.value!r} when it was compiled and is now {now!r}"
                change = texts if len(texts) < _LONGEST else change
            problem = RuntimeError(
                f"compile: the step reads {variable.name!r}, which {change}: make it an argument of the step, or "
                "compile again"
            )
            if not is_slight:
                raise problem
            if patience < _PATIENCE:
                try:
                    compare()
                except RuntimeError as difference:
                    raise problem from difference
        for _, _, variable, _ in told:
            variable.changes += 1
        for variable, now in changes:
            variable.value = now


def _is_slight(variable: Variable, now: Any) -> bool:
    """Whether a change is one of numbers, or of how much there is of something: a record shows whether it matters."""
    if is_a(variable.value, Tensor | np.ndarray) and is_a(now, Tensor | np.ndarray):
        one, other = data_of(variable.value), data_of(now)  # between equal ones a record does not tell
        return one.dtype != other.dtype or not np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    return callable(variable.key) or all(one is ABSENT or same_number(one, one) for one in (variable.value, now))


def variables_of(*steps: Any) -> list[Variable]:
    """Find what functions, methods or objects that are called may read by name.

    It is what they name, and what functions of the user's that are found so name in turn; and under all those names the
    attributes and items of what is found, but for those of arrays, and of modules, optimizers and the like.
    """
    names, size = dict.fromkeys(_UNNAMED), 0
    while size != len(names):
        size, variables = len(names), _found(steps, names)
    return variables


def _found(steps: Sequence[Any], names: dict[str, None]) -> list[Variable]:
    """Find variables by names, to which those are added that functions name which are found."""
    found = [Variable("step", steps, position) for position in range(len(steps))]
    seen: set[int] = set()
    by_place: dict[Any, Variable] = {}
    for variable in found:  # which becomes longer
        if not isinstance(variable.holder, tuple) and not is_a(variable.value, types.ModuleType):
            by_place.setdefault((id(variable.holder), variable.key), variable)
        thing = variable.value
        is_whole = callable(variable.key) or is_a(thing, _NUMBERS + _ARRAYS)
        if not is_whole and id(thing) not in seen and len(seen) < _MOST:
            seen.add(id(thing))
            found += _parts(variable.name, thing, names, variable.holder is steps)
    return list(by_place.values())


def _parts(name: str, thing: Any, names: dict[str, None], is_step: bool) -> Iterator[Variable]:
    """Find what is in a thing under names; what cannot change is in a tuple."""
    if is_a(thing, types.ModuleType):
        if _is_users(vars(thing)):
            yield from (Variable(f"{name}.{key}", vars(thing), key) for key in _common(vars(thing), names))
    elif is_a(thing, Stateful):
        modules = [one for _, one in thing.named_modules()] if hasattr(type(thing), "named_modules") else [thing]
        for part in itertools.chain.from_iterable(_attributes(name, one, names) for one in modules):
            if not callable(part.key) and not is_a(part.value, list | dict | Stateful):  # which its settings tell
                yield Variable(part.name, (part.value,), 0)
    else:
        if is_a(thing, types.FunctionType):
            yield from _of_function(thing, names, is_step)
        elif is_a(thing, dict | list | tuple | set):
            yield from _items(name, thing, names)
        elif is_a(thing, functools.partial):
            yield from _items(name, thing.keywords, ())
        yield from _attributes(name, thing, names)


def _of_function(function: types.FunctionType, names: dict[str, None], is_step: bool) -> Iterator[Variable]:
    """Find what a function reads, if it is the user's or a step, and add what it names to the names."""
    space, code = function.__globals__, function.__code__
    if is_step or _is_users(space):
        own = dict.fromkeys(_named_in(code))
        names.update(own)
        for name, cell in zip(code.co_freevars, function.__closure__ or ()):
            yield Variable(name, cell, _CELL)
        yield from (Variable(name, space, name) for name in own if name in space and _is_users(space))
        for key in _DEFAULTS:
            if key.__get__(function):
                yield Variable(f"{function.__name__}.{key.__name__}", function, key)
        if function.__kwdefaults__:
            yield from _items(function.__name__, function.__kwdefaults__, ())


def _items(name: str, thing: Any, names: Collection[str]) -> Iterator[Variable]:
    """Find the items of a container that are named, or all of a small one."""
    kind = _base(thing)
    size = kind.__len__(thing)
    keys: Sequence[Any] = _common(dict.keys(thing), names) if kind is dict else ()
    if not keys and type(thing) in (dict, list, set):
        yield Variable(f"len({name})", thing, len)
    if not keys and size <= _FEW:
        if kind is dict:
            keys = [key for key in dict.keys(thing) if type(key) in (str, int, float, bool)]
        elif kind is not set:
            keys = range(size)
        elif all(is_a(item, _NUMBERS) for item in set.__iter__(thing)):
            yield Variable(name, thing, frozenset)
    for key in keys:
        yield Variable(f"{name}[{key!r}]", thing, key)


def _attributes(name: str, thing: Any, names: dict[str, None]) -> Iterator[Variable]:
    """Find named attributes of an object and of its class, or of a class, and where others would hide them."""
    is_class = is_a(thing, type)
    kinds, space = type.mro(thing if is_class else type(thing)), None if is_class else _space_of(thing)
    spaces: list[tuple[Any, Mapping[str, Any]]] = [(kind, vars(kind)) for kind in kinds if _is_users(vars(kind))]
    if space is not None:
        yield Variable(name, space, set, is_set=True)
        spaces.insert(0, (space, space))
    for kind in kinds if not is_class else ():
        for key in _common(vars(kind), names):
            if type(vars(kind)[key]) is types.MemberDescriptorType:
                path = "self" if key == "__self__" else f"{name}.{key}"
                yield Variable(path, thing, vars(kind)[key], is_set=not _is_users(vars(kind)))
    for key in dict.fromkeys(key for _, own in spaces for key in _common(own, names)):
        last = 0 if space and key in space else max(place for place, (_, own) in enumerate(spaces) if key in own)
        for holder, own in spaces[: last + 1]:
            if type(own.get(key)) is not types.MemberDescriptorType:
                yield Variable(f"{name}.{key}", holder, key)


def _space_of(thing: Any) -> dict[str, Any] | None:
    """Give the dict of an object's attributes, unless its class means something else by that name."""
    fields = [vars(owner)["__dict__"] for owner in type(thing).__mro__ if "__dict__" in vars(owner)]
    space = fields[0].__get__(thing) if fields and isinstance(fields[0], _FIELD) else None
    return space if type(space) is dict else None


def _common(space: Collection[Any], names: Collection[str]) -> list[str]:
    """List the keys that are names, looking into the smaller of both."""
    if len(space) > len(names):
        return [name for name in names if name in space]
    return [key for key in list(space) if type(key) is str and key in names]


def _named_in(constant: Any) -> list[str]:
    """List all names and texts in code, and in code within it."""
    if isinstance(constant, str):
        return [constant]
    is_code = isinstance(constant, types.CodeType)
    inner = constant.co_consts if is_code else constant if isinstance(constant, tuple | frozenset) else ()
    return [*(constant.co_names if is_code else ()), *(name for one in inner for name in _named_in(one))]


def _is_users(space: Mapping[str, Any]) -> bool:
    """Whether a module or a class, given its attributes, is none of a package that stays as it is."""
    name = space.get("__module__", space.get("__name__"))
    package = name.partition(".")[0] if isinstance(name, str) else ""
    return package not in _KNOWN and "site-packages" not in str(getattr(sys.modules.get(package), "__file__", ""))


def is_a(thing: Any, kind: Any) -> bool:
    """Whether something is of a class, without asking it."""
    return issubclass(type(thing), kind)


def _base(container: Any) -> Any:
    """Give the class of Python's own that a container is of, whose methods run no code of the user's."""
    return next(kind for kind in (dict, list, tuple, set) if is_a(container, kind))


def leaves_in(value: Any) -> list[tuple[str, Any]]:
    """List state and Stateful things in a container with the ways to them, or none if it is large or of itself."""
    try:
        leaves = list(itertools.islice(walk(value), _MOST_LEAVES + 1)) if _is_shallow(value, itertools.count()) else []
    except Exception:  # of any kind, since code of the user's runs where a field is a property
        return []
    return [one for one in leaves if is_a(one[1], (*_ARRAYS, Stateful))] if len(leaves) <= _MOST_LEAVES else []


def _is_shallow(value: Any, looked_at: Iterator[int], depth: int = 0) -> bool:
    """Whether a container, of few things, has no more than some containers in each other, and so is not in itself."""
    if not is_a(value, list | tuple | dict):
        return True
    inner = dict.values(value) if is_a(value, dict) else value
    if depth == _DEEPEST or len(inner) > _MOST_LEAVES:
        return False
    return all(next(looked_at) <= _MOST_LEAVES and _is_shallow(one, looked_at, depth + 1) for one in inner)


@contextlib.contextmanager
def substituting(variables: Sequence[Variable], others: Mapping[int, Any]) -> Iterator[None]:
    """Put something else in place of some arrays and generators for a while, by the id of each.

    They may be variables, or be in lists and dicts that are. Afterwards all variables are what they were, and marked if
    they were set.
    """
    before = placed = [variable.read() for variable in variables]
    try:
        for variable, value in zip(variables, before):
            if any(id(leaf) in others for _, leaf in leaves_in(value)):
                leaves, rebuild = flatten(value)
                variable.write(rebuild([others.get(id(leaf), leaf) for leaf in leaves]))
        placed = [variable.read() for variable in variables]
        yield
    finally:
        after = [variable.read() for variable in variables]
        for variable, was, put, now in zip(variables, before, placed, after):
            variable.is_set |= not variable.is_same(put, now)
            if not variable.is_same(was, now):
                variable.write(was)


def content(cell: types.CellType) -> Any:
    """Give what is in a cell, or `ABSENT` if it is empty."""
    return Variable("", cell, _CELL).value


def same_number(one: Any, other: Any) -> bool:
    """Whether two values are numbers, texts or tuples of them, of the same type and equal."""
    if type(one) is not type(other) or not isinstance(one, (tuple, *_NUMBERS)):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same_number, one, other))
    return bool(one == other or (one != one and other != other))
