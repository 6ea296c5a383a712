"""What a run computes with beside its state: numbers, functions and the like, told in texts that do for comparing runs.

Nothing here is read back: a text says whether something is the same, and to a person what it is.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.compiler.record.surroundings import variables_of
from nn.io import digest

_KNOWN = ("autodiff", "nn", "numpy", "scipy", "sklearn")  # packages whose functions do what their names say
_LONGEST = 80  # text of a value
_MOST = 50  # parts that are told one by one


def constants(path: str, value: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Give something and all that it is made of, each with its path.

    Of a function that is its code, the defaults of its arguments, and the variables of its closure and its module that
    it reads; of a ``partial`` its arguments, and of an object its attributes, unless its ``repr`` tells what it is.
    What the methods of a class do is not looked at.

    What holds very many parts is told by a digest of them, with its path and a star; but generators are always given.

    Args:
        path: of the value.
        value: anything.
        seen: ids of what is passed over, since it is known or was given before; what is looked into is added.
    """
    if id(value) in seen:
        return
    inside = _inside(value)
    if inside and not isinstance(value, tuple):  # Python may make equal tuples one
        seen.add(id(value))
    yield path, value
    parts = [leaf for name, part in inside.items() for leaf in constants(f"{path}.{name}", part, seen)]
    if len(inside) > _MOST:
        yield f"{path}.*", _short(repr([(name, told(part)) for name, part in parts]).encode())
        parts = [(name, part) for name, part in parts if isinstance(part, np.random.Generator)]
    yield from parts


def told(value: Any) -> str:
    """Say what a value is, the same in every process, without what `constants` gives beside it."""
    if isinstance(value, ad.Tensor) and value.is_leaf:
        value = value.data
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        numbers = value.tolist() if value.size < 10 else f"with digest {digest(value)[:16]}"
        return f"{value.dtype} of shape {value.shape} {numbers}"
    if isinstance(value, list | tuple | dict):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(told, value)))}}}"
    if callable(value) or isinstance(value, types.ModuleType | ad.Tensor):
        return str(getattr(value, "__name__", type(value).__name__))
    text = re.sub(" at 0x[0-9a-fA-F]+", "", repr(value.item() if isinstance(value, np.generic) else value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... with digest {_short(text.encode())}"


def _inside(value: Any) -> dict[Any, Any]:
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if isinstance(value, dict):
        return value
    if isinstance(value, functools.partial):
        return {"__func__": value.func, **dict(enumerate(value.args)), **value.keywords}
    if isinstance(value, types.MethodType):
        return {"__func__": value.__func__, "__self__": value.__self__}
    if isinstance(value, type | types.ModuleType | ad.Tensor | np.ndarray | np.random.Generator):
        return {}
    if isinstance(value, types.FunctionType):
        inside = _of_function(value)
    elif hasattr(value, "__wrapped__") and type(value).__module__.startswith("autodiff."):
        return {"__wrapped__": value.__wrapped__}  # what it counts and keeps is no constant
    elif callable(value) or dataclasses.is_dataclass(value) or repr(value) == object.__repr__(value):
        inside = {}
    else:
        return {}
    attributes = getattr(value, "__dict__", {})
    return inside | {name: attributes[name] for name in attributes if name == "__wrapped__" or name[:2] != "__"}


def _of_function(function: types.FunctionType) -> dict[str, Any]:
    """Give a function's constants, the digest of its code, and what it reads when it is called."""
    if str(function.__globals__.get("__name__")).partition(".")[0] in _KNOWN:
        cells = zip(function.__code__.co_freevars, function.__closure__ or ())
        return {name: cell.cell_contents for name, cell in cells if cell != types.CellType()}
    codes = [function.__code__]
    for code in codes:  # which becomes longer
        codes += [inner for inner in code.co_consts if isinstance(inner, types.CodeType)]
    fixed = [one for code in codes for one in code.co_consts if not isinstance(one, types.CodeType | types.NoneType)]
    texts = [repr(one) if isinstance(one, tuple) else told(one) for one in fixed if one != function.__doc__]
    python = f"code in Python {sys.version_info[0]}.{sys.version_info[1]}"
    parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    variables = [variable for variable in variables_of(function) if not variable.is_set]
    # Of a dict or an object of which single items are read, the others may be what they will.
    holders = {id(variable.holder) for variable in variables}
    read = [one for one in variables if not {id(one.value), id(getattr(one.value, "__dict__", one))} & holders]
    return {
        "constants": ", ".join(texts),
        python: _short(b"".join(code.co_code + repr((code.co_names, code.co_varnames)).encode() for code in codes)),
        **{one.name: one.default for one in parameters if one.default is not one.empty},
        **{one.name: one.value for one in reversed(read)},  # its own come first, and are kept
    }


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
