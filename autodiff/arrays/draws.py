"""Random numbers that the function of a batch draws by itself: it runs once, so they are the same for all members.

They are noticed by how the generators stand before and after. What the library draws for the function, by `drawn`, is
drawn anew for each member where that is asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import pickle
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

import numpy as np

_GLOBAL: Any = np.random.get_state.__self__  # type: ignore[attr-defined] # which the functions of np.random draw from
_bits_of_global: Callable[[], Any] = np.random.get_bit_generator  # type: ignore[attr-defined]
_KINDS = (np.random.Generator, np.random.RandomState)
_LIBRARIES = ("autodiff", "nn", "numpy", "scipy")
_WORDS = 624  # of a Mersenne Twister, before its position


class Sources:
    """The generators that a function may draw from: those among its arguments, and those that it holds or names.

    Attributes:
        drawn_from: names of those that it drew from.
    """

    def __init__(self, function: Callable[..., Any], given: Iterable[Any]) -> None:
        self._generators = [None, *_generators((function, *given))]  # None is np.random, of which any may draw
        self._first = self._latest = list(map(_standing, self._generators))
        self.drawn_from: set[str] = set()

    def look(self, counts: bool = True) -> None:
        """Note which were drawn from since the last look, if that counts."""
        before, self._latest = self._latest, list(map(_standing, self._generators))
        for generator, one, other in zip(self._generators, before, self._latest, strict=True):
            if counts and one != other:
                is_global = generator is None or generator is _GLOBAL
                self.drawn_from.add("np.random" if is_global else f"a {type(generator).__name__}")

    def put_back(self) -> None:
        """Let the generators stand as they did at first."""
        for generator, first, latest in zip(self._generators, self._first, self._latest, strict=True):
            if first != latest:
                _put_back(generator, first)
        self._latest = self._first


def _generators(places: Iterable[Any]) -> Iterator[Any]:
    pending, seen = list(places), set[int]()
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
            if (one.__module__ or "").partition(".")[0] not in _LIBRARIES:
                names = one.__code__.co_names
                held += [*map(one.__globals__.get, names), _GLOBAL if "random" in names else None]
            for cell in one.__closure__ or ():
                with contextlib.suppress(ValueError):  # of one that holds nothing yet
                    held.append(cell.cell_contents)
            held += [getattr(x, "__self__", None) for x in held if isinstance(x, BuiltinMethodType)]
            pending += [x for x in held if isinstance(x, (*_KINDS, FunctionType))]


def _standing(generator: Any) -> bytes:
    """Say how a generator stands. Of np.random, the words do, in a twentieth of the time.

    They do not tell of the second of two normal numbers, which is kept; so where a function names it, it is among the
    generators too.
    """
    bits = _bits_of_global() if generator is None else None
    if isinstance(bits, np.random.MT19937):
        return ctypes.string_at(bits.ctypes.state_address, 4 * (_WORDS + 1))
    is_legacy = isinstance(generator, np.random.RandomState)
    return pickle.dumps(generator.get_state(legacy=False) if is_legacy else (bits or generator.bit_generator).state)


def _put_back(generator: Any, standing: bytes) -> None:
    bits = _bits_of_global() if generator is None else None
    if isinstance(bits, np.random.MT19937):
        words = np.frombuffer(standing, np.uint32)
        bits.state = {"bit_generator": "MT19937", "state": {"key": words[:_WORDS], "pos": int(words[_WORDS])}}
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(pickle.loads(standing))
    else:
        (bits or generator.bit_generator).state = pickle.loads(standing)
