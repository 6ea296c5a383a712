"""Random numbers that the function of a batch draws by itself: it runs once, so they are the same for all members.

They are noticed by how the generators stand before and after. What the library draws for the function, by `drawn`, is
drawn anew for each member where that is asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import struct
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType, MethodType
from typing import Any, NamedTuple

import numpy as np

_GLOBAL: Any = np.random.get_state.__self__  # type: ignore[attr-defined] # which the functions of np.random draw from
_KINDS = (np.random.Generator, np.random.RandomState)
_LIBRARIES = ("autodiff", "nn", "numpy", "scipy")
_HEAD = object.__basicsize__
_WORDS = 624  # of a Mersenne Twister, before its position


class Sources:
    """The generators that a function may draw from: those among its arguments, and those that it holds or names.

    Attributes:
        drawn_from: names of those that it drew from.
    """

    def __init__(self, function: Callable[..., Any], given: Iterable[Any]) -> None:
        self._generators = [_GLOBAL, *_generators((function, *given))]
        self._first = self._latest = list(map(_standing, self._generators))
        self.drawn_from: set[str] = set()

    def look(self, counts: bool = True) -> None:
        """Note which were drawn from since the last look, if that counts."""
        before, self._latest = self._latest, list(map(_standing, self._generators))
        for generator, one, other in zip(self._generators, before, self._latest, strict=True):
            if counts and one[:2] != other[:2]:
                self.drawn_from.add("np.random" if generator is _GLOBAL else f"a {type(generator).__name__}")

    def put_back(self) -> None:
        """Let the generators stand as they did at first."""
        for generator, first, latest in zip(self._generators, self._first, self._latest, strict=True):
            if first[:2] != latest[:2]:
                _put_back(generator, first)
        self._latest = self._first


def _generators(places: Iterable[Any]) -> Iterator[Any]:
    pending, seen = list(places), {id(_GLOBAL)}
    for one in pending:
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, _KINDS):
            yield one
        elif isinstance(one, functools.partial):
            pending += [one.func, *one.args, *one.keywords.values()]
        elif isinstance(one, MethodType):
            pending += [one.__func__, one.__self__, *vars(one.__self__).values()]
        elif isinstance(one, FunctionType):
            held = [getattr(one, "__wrapped__", None), *(one.__defaults__ or ())]
            if one.__module__.partition(".")[0] not in _LIBRARIES:
                held += map(one.__globals__.get, one.__code__.co_names)
            for cell in one.__closure__ or ():
                with contextlib.suppress(ValueError):  # of one that holds nothing yet
                    held.append(cell.cell_contents)
            pending += [x for x in held if isinstance(x, (*_KINDS, FunctionType))]


class _Standing(NamedTuple):
    """How a generator stands: what tells it from another time, and its state if that does not say all."""

    words: Any
    beside: bytes = b""
    state: Any = None


def _standing(generator: Any) -> _Standing:
    beside = b""
    if isinstance(generator, np.random.RandomState):
        # It makes normal numbers in pairs and keeps the second. Asking for its state takes twenty times as long.
        beside = ctypes.string_at(id(generator) + _HEAD, type(generator).__basicsize__ - _HEAD)
    bits = _bits(generator)
    if isinstance(bits, np.random.MT19937):
        return _Standing(ctypes.string_at(bits.ctypes.state_address, 4 * (_WORDS + 1)), beside)
    state = bits.state
    return _Standing(str(state), beside, state)


def _bits(generator: Any) -> Any:
    return generator._bit_generator if isinstance(generator, np.random.RandomState) else generator.bit_generator


def _put_back(generator: Any, standing: _Standing) -> None:
    bits, state = _bits(generator), standing.state
    if state is None:
        words = np.frombuffer(standing.words, np.uint32)
        state = {"bit_generator": "MT19937", "state": {"key": words[:_WORDS], "pos": int(words[_WORDS])}}
    bits.state = state
    if standing.beside:
        of_normal = _place_of_normal()
        has_gauss, gauss = struct.unpack_from("@id", standing.beside, of_normal)
        generator.set_state({**generator.get_state(legacy=False), "has_gauss": has_gauss, "gauss": gauss})


def _place_of_normal() -> int:
    """Find where a generator keeps its second normal number, after whether it has one."""
    generator = np.random.RandomState(0)
    generator.standard_normal()
    kept = struct.pack("d", generator.get_state(legacy=False)["gauss"])
    return _standing(generator).beside.index(kept) - struct.calcsize("@id") + len(kept)
