"""The names of a program, and the texts of the arguments in it, for both backends."""

from __future__ import annotations

import functools
import math
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from autodiff.compiler.naming import identifier, is_plain
from autodiff.compiler.program import Value
from autodiff.core.rule import Function, name_of

WIDTH = 108  # characters of a line, before it is indented
_PART = re.compile(r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^'"])+?(?:, |$)""")  # up to a comma that is in no quotes


class Texts(dict[Any, str]):
    """Names, or short texts, by what they stand for: values, buffers, numbers and all that has a name of its own.

    Attributes:
        fixed: lines of ``build``, which make what all runs use.
        imports: lines that import modules.
        given: what cannot be written, and is given to ``build`` after the constants.
        kernels: which functions of ours machine code calls.
        addressed: the names of the arrays that machine code finds by their addresses.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        super().__init__()
        self._in_use = dict.fromkeys(["np", "build", "step", *taken], 1)  # names, and how many have them as their base
        self.fixed: list[str] = []
        self.imports = {"import numpy as np"}
        self.given: list[Any] = []
        self.kernels: set[str] = set()
        self.addressed: dict[Any, str] = {}

    def name(self, key: Any, wish: str) -> str:
        """Give something a name that nothing else has."""
        base = identifier(wish)
        name = base
        while name in self._in_use:
            self._in_use[base] += 1
            name = f"{base}_{self._in_use[base]}"
        self._in_use[name] = 1
        self[key] = name
        return name

    def named(self, key: Any, wish: str, text: str) -> str:
        """Give the name of what a text makes, which is made once, in ``build``."""
        if key not in self:
            self.fixed.append(f"{self.name(key, wish)} = {text}")
        return self[key]

    def address(self, key: Any, name: str) -> int:
        """Give the number of an array among the addresses, of which the first two are those of BLAS."""
        self.addressed.setdefault(key, name)
        return list(self.addressed).index(key) + 2

    def dtype(self, dtype: Any) -> str:
        """Write a dtype."""
        dtype = np.dtype(dtype)
        is_public = dtype.kind in "biufc" and dtype == getattr(np, dtype.name)
        return f"np.{dtype.name}" if is_public else self._as_argument(dtype)

    def operand(self, arg: Any) -> str:
        """Write what stands beside a sign."""
        text = self.text(arg)
        return f"({text})" if text.startswith("-") or " " in text else text

    def text(self, arg: Any) -> str:
        """Write an argument."""
        if isinstance(arg, Value):
            return self[arg]
        if isinstance(arg, tuple | list):
            items = ", ".join(map(self.text, arg))
            return f"[{items}]" if isinstance(arg, list) else f"({items}{',' if len(arg) == 1 else ''})"
        if isinstance(arg, np.generic) and not isinstance(arg, np.clongdouble):  # whose digits no text keeps
            # It takes longer to make than what is done with it.
            value = repr(str(arg)) if isinstance(arg, np.longdouble) else self.text(arg.item())
            return self.named((type(arg), repr(arg)), "number", f"{self.dtype(arg.dtype)}({value})")
        if type(arg) is float and not math.isfinite(arg):
            return {math.inf: "np.inf", -math.inf: "-np.inf"}.get(arg, "np.nan")
        if type(arg) is complex:
            if 0 < arg.imag < math.inf and repr(arg.real) == "0.0":
                return repr(arg)
            return f"complex({self.text(arg.real)}, {self.text(arg.imag)})"
        if isinstance(arg, np.dtype) or (isinstance(arg, type) and issubclass(arg, np.generic)):
            return self.dtype(arg)
        if isinstance(arg, slice):
            return f"slice({self.text(arg.start)}, {self.text(arg.stop)}, {self.text(arg.step)})"
        if arg is Ellipsis:
            return "..."
        if type(arg) in (str, bytes, bool, int, float, type(None)):
            return repr(arg)
        return self.dotted(arg) if callable(arg) else self._as_argument(arg)

    def index(self, index: Any) -> str:
        """Write what stands between brackets."""
        if isinstance(index, tuple) and index:
            return ", ".join(map(self.index, index)) + ("," if len(index) == 1 else "")
        if isinstance(index, slice):
            ends = ["" if end is None else self.text(end) for end in (index.start, index.stop)]
            return ":".join(ends) + ("" if index.step is None else f":{self.text(index.step)}")
        return self.text(index)

    def keywords(self, kwargs: Mapping[str, Any]) -> list[str]:
        """Write keyword arguments, in quotes those whose names may not stand there."""
        texts = ((str.__str__(key), self.text(value)) for key, value in kwargs.items())
        return [f"{key}={text}" if is_plain(key) else f"**{{{key!r}: {text}}}" for key, text in texts]

    def dotted(self, function: Function) -> str:
        """Name a function as a program calls it, and import its module."""
        path = _public_names().get(function)
        if path is not None:
            return path
        owner = getattr(function, "__self__", None)
        if isinstance(owner, np.ufunc):
            return f"{self.dotted(owner)}.{function.__name__}"
        name = str(getattr(function, "__name__", ""))
        for module in (getattr(function, "__module__", None), "scipy.special", "scipy.special._ufuncs"):
            there = vars(sys.modules.get(str(module), np)).get(name)
            if there is function and is_plain(*str(module).split("."), name):
                if module == "builtins":
                    return name
                self.imports.add(f"import {module}")
                return f"{module}.{name}"
        return self._as_argument(function)

    def _as_argument(self, thing: Any) -> str:
        """Name what has no text, as a function that no module has: it is given to ``build``, as constants are."""
        key = "given", id(thing)
        if key not in self:
            self.name(key, name_of(thing) if callable(thing) else type(thing).__name__)
            self.given.append(thing)
        return self[key]

    def names_of_given(self) -> list[str]:
        """List the names of what has no text."""
        return [self["given", id(thing)] for thing in self.given]


@functools.cache
def _public_names() -> dict[Function, str]:
    """Find under which names NumPy has its functions."""
    names: dict[Function, str] = {}
    for prefix, module in (("np.fft", np.fft), ("np.linalg", np.linalg), ("np", np)):
        for name, function in sorted(vars(module).items()):  # `dir` also names modules that are not imported yet
            if callable(function) and not isinstance(function, type) and not name.startswith("_"):
                preferred = name == getattr(function, "__name__", name)
                if preferred or function not in names:
                    names[function] = f"{prefix}.{name}"
    return names


def wrapped(line: str) -> list[str]:
    """Break a long call after the commas between its arguments."""
    if len(line) <= WIDTH or "(" not in line:
        return [line]
    head, _, rest = line.partition("(")
    lines, current = [], head + "("
    for part in _PART.findall(rest):
        if len(current) + len(part) > WIDTH + 2:
            lines.append(current.rstrip())
            current = "    "
        current += part
    return [*lines, current]
