"""Where numbers leave a Tensor for a plain array or Python number, a gradient is lost: what is said then."""

from __future__ import annotations

import dis
import importlib
import warnings
from contextvars import ContextVar
from importlib.util import find_spec
from types import FrameType
from typing import Any

import numpy as np

# Whether a transform, such as `grad`, is running a function: then no number is taken out of it on purpose.
in_transform: ContextVar[bool] = ContextVar("in_transform", default=False)

_WRITE = {
    "dot": "X @ W",
    "RClass": "np.concatenate([a, b])",
    "CClass": "np.column_stack([a, b])",
    "full": "np.broadcast_to(x, shape)",
    "full_like": "np.broadcast_to(x, shape)",
    "array": "np.stack([a, b]) for a list, or x itself",
    "asarray": "np.stack([a, b]) for a list, or x itself",
    "int64": "x.astype(int)",
    "int32": "x.astype(int)",
}
_LIBRARIES = {
    "numpy.ma": "m.data * x for a masked array m, and np.where with its .mask",
    "numpy.testing": "x.data in a test",
    "pandas": "df.to_numpy() @ x, and the like",
}


def is_store(frame: FrameType) -> bool:
    """Whether the instruction that a frame is at is an assignment such as ``out[i] = x``."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "STORE_SUBSCR"


def is_formatting(frame: FrameType) -> bool:
    """Whether the instruction that a frame is at is an operator, such as that of ``"%.2f" % x``."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "BINARY_OP"


def is_operator_of_sparse(frame: FrameType) -> bool:
    """Whether a frame is that of an operator of SciPy's sparse arrays, which looks at its other operand."""
    if not _module_of(frame).startswith("scipy.sparse"):
        return False
    while "multiply" in frame.f_code.co_name and frame.f_back is not None:
        frame = frame.f_back  # a method that users call too
    return frame.f_code.co_name in ("_matmul_dispatch", "_divide", "__mul__", "__rmul__")


def in_place_of_scipys(frame: FrameType | None) -> str | None:
    """Name what takes Tensors in place of the function of SciPy that users called, if there is one.

    It is around the frame where an array is made, and may itself be wrapped in another, or be a method.
    """
    found = None
    while frame is not None and _module_of(frame).startswith(("scipy.", "numpy.")):
        called = [(_module_of(frame), frame.f_code.co_name)]
        for one in frame.f_locals.values():
            its_class = type(one).__name__.removesuffix("_gen")  # that of a distribution
            name = getattr(one, "__name__", f"{its_class}.{frame.f_code.co_name}")
            called.append((str(getattr(one, "__module__", "")), str(name)))
        for module, name in called:
            found = _ours(module.split("."), name) or found
        frame = frame.f_back
    return found


def _scipys(frame: FrameType | None) -> str | None:
    """Name the function, method or class of SciPy that users called around a frame, if there is one."""
    found = None
    while frame is not None and (module := _module_of(frame)).startswith(("scipy.", "numpy.")):
        room, name = module.split(".")[1], frame.f_code.co_name
        if "self" in frame.f_locals:
            name = f"{type(frame.f_locals['self']).__name__.removesuffix('_gen')}.{name}".removesuffix(".__init__")
        if module.startswith("scipy."):  # of which some is only wrapped around others
            found = f"{name} of scipy.{room}" if room[0] != "_" else found or "the function of SciPy"
        frame = frame.f_back
    return found


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _ours(module: list[str], name: str) -> str | None:
    """Name the function or method of `autodiff.scipy`, or else of NumPy, that is called as SciPy's in a module."""
    if module[0] != "scipy" or len(module) < 2:
        return None
    room, numpys = f"autodiff.scipy.{module[1]}", getattr(np, module[1], None)
    if find_spec(room) is not None:
        rooms: Any = importlib.import_module(room)  # which stands on the core: looked into only here
        name, _, method = name.partition(".")
        method = "" if method.startswith("_") else method  # as where parameters are looked at
        if name in rooms.__all__ and (not method or method in vars(getattr(rooms, name))):
            return f"{room}.{name}.{method}".removesuffix(".")
    return f"np.{module[1]}.{name}" if not name.startswith("_") and hasattr(numpys, name) else None


def way_out(frame: FrameType) -> str:
    """Say what to write in place of the line that a frame is at, which makes a plain array of a Tensor."""
    if is_store(frame):
        return "write np.stack of the elements, or y = x.at[index].set(value) of a Tensor x; its number is value.item()"
    here = {
        instruction.argval
        for instruction in dis.get_instructions(frame.f_code)
        if instruction.positions is not None and instruction.positions.lineno == frame.f_lineno
    }
    for library, other in _LIBRARIES.items():
        if _module_of(frame).startswith(library):
            return f"write {other}"
    if ours := in_place_of_scipys(frame):
        return f"write {ours}, which takes Tensors; its numbers alone are x.data or x.detach()"
    if theirs := _scipys(frame):
        return (
            f"{theirs} has no rule: write it in NumPy's functions, or give it one with autodiff.primitive and "
            "autodiff.defvjp; its numbers alone are x.data or x.detach()"
        )
    here |= {frame.f_code.co_name}  # NumPy's own function, where it is written in Python
    here |= {type(frame.f_locals.get("self")).__name__}
    known = [other for name, other in _WRITE.items() if name in here]
    return f"write {known[0] if known else 'np.stack to join Tensors'}; its numbers alone are x.data or x.detach()"


def warn_of_number(label: str, frame: FrameType) -> None:
    """Warn, once a line, that a Python number is made of a Tensor within a function that a transform runs."""
    warnings.warn_explicit(
        f"{label} is made a Python number, through which no gradient flows: compute with NumPy's functions, as np.sin "
        "for math.sin, or say x.item() where a number is meant",
        UserWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )
