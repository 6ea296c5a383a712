"""What the user calls the Tensors and arrays of a picture: variables that hold them, or held them in a function."""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import GetSetDescriptorType
from typing import Any

from autodiff.compiler.naming import Line, frames_until, names_of, target_of
from autodiff.core.tensor import Tensor
from autodiff.core.watch import Watch, module_of
from autodiff.drawing.nodes import Node

CALLER = "autodiff.drawing.subject"  # the module that calls the function
DEEPEST = 3  # containers and objects in each other that are looked into
MOST_PARTS = 1000  # of what a variable holds
_MRO, _DICT = (type.__dict__[name].__get__ for name in ("__mro__", "__dict__"))


class Words(Watch):
    """A watch that names the Tensors which a function computes by the variables that hold them."""

    def __init__(self) -> None:
        self._lines: dict[Tensor, list[Line]] = {}  # that made them, from the inside to the outside
        self._named: dict[str, Tensor] = {}  # the latest of each name

    def see_call(self, tensor: Any, function: Any, args: Any) -> None:
        """Look for variables that hold the arguments, and note the lines."""
        frames = list(frames_until(CALLER))
        unnamed = [arg for arg in args if isinstance(arg, Tensor) and arg in self._lines and arg.name is None]
        names = names_of(unnamed, frames, _itself) if unnamed else {}
        for arg in unnamed:
            self._name(arg, names.get(id(arg)))
        self._lines[tensor] = [Line.of(frame) for frame, is_users in frames if is_users]

    def name(self, results: Sequence[Tensor], taken: Iterable[str]) -> None:
        """Name those that no later call has used, as they were assigned, and take from all the names of inputs."""
        for result in results:
            inner_first = [target_of(line) for line in self._lines.get(result, [])]
            if result.name is None and inner_first:
                self._name(result, inner_first[0])
            # What a function of the user's gave is not named as it, but its variable holds no other any more.
            stale = [name for name in inner_first[1:] if name is not None and self._named.get(name) is not result]
            taken = [*taken, *stale]
        for name in taken:
            if name in self._named:
                self._named[name].name = None

    def _name(self, tensor: Tensor, name: str | None) -> None:
        """Name a Tensor, and no longer the one that the variable held before."""
        if name is not None:
            if name in self._named:
                self._named[name].name = None
            self._named[name] = tensor
            tensor.name = name


def words_of(nodes: Sequence[Node]) -> dict[int, str]:
    """Give the names of nodes that have none, by the identity of the Tensor or array: variables that hold them now.

    These are those of the functions at work in the user's script, notebook or package, the variables of comprehensions
    last, and also what their lists, dicts and objects hold: ``neuron.w[0]``. A name stands for one node only.
    """
    unnamed = [node.value for node in nodes if not node.name and (isinstance(node.value, Tensor) or _is_array(node))]
    frames = [frame for frame, is_users in frames_until("") if is_users]
    packages = {"__main__", *(_package(module_of(frame)) for frame in frames[:1])}
    own = [(frame, True) for frame in frames if _package(module_of(frame)) in packages]
    own.sort(key=lambda one: one[0].f_code.co_name.endswith(("comp>", "expr>")))
    taken = {node.name for node in nodes}
    names = {}
    for key, name in names_of(unnamed, own, functools.partial(_parts, packages=packages)).items():
        if name not in taken:
            names[key] = name
            taken.add(name)
    return names


def _package(module: str) -> str:
    return module.partition(".")[0]


def _is_array(node: Node) -> bool:
    return bool(getattr(node.value, "shape", ()))


def _itself(name: str, thing: Any) -> Iterable[tuple[str, Any]]:
    return ((name, thing),)


def _parts(name: str, thing: Any, packages: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Give a thing and what it holds, with how each is written, the shortest first."""
    pending: deque[tuple[str, Any, int]] = deque([(name, thing, 0)])
    for _ in range(MOST_PARTS):
        if not pending:
            return
        name, thing, depth = pending.popleft()
        yield name, thing
        if depth < DEEPEST:
            held = itertools.islice(_held(thing, packages), MOST_PARTS - len(pending))
            pending += ((f"{name}{place}", item, depth + 1) for place, item in held)


def _held(thing: Any, packages: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Give what a container or an object of the user's holds, and runs no code of the user's for that."""
    kind = type(thing)
    if kind is list or kind is tuple:
        yield from ((f"[{position}]", item) for position, item in enumerate(thing))
    elif kind is dict:
        yield from ((f"[{key!r}]", item) for key, item in _first(thing) if type(key) is str)
    elif type(module := _own(kind, "__module__")) is str and _package(module) in packages:
        attributes = _own(kind, "__dict__")
        if type(attributes) is GetSetDescriptorType:  # and no property of the user's
            held = _first(attributes.__get__(thing))
            yield from ((f".{key}", item) for key, item in held if type(key) is str and key.isidentifier())


def _first(held: Mapping[Any, Any]) -> tuple[tuple[Any, Any], ...]:
    return tuple(itertools.islice(held.items(), MOST_PARTS))


def _own(kind: type, name: str) -> Any:
    """Give an attribute of a class as it stands there, whatever a metaclass makes of it."""
    return next((_DICT(base)[name] for base in _MRO(kind) if name in _DICT(base)), None)
