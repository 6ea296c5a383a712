"""Where numbers leave a Tensor for a plain array or Python number, a gradient is lost: what is said then."""

from __future__ import annotations

import dis
import warnings
from contextvars import ContextVar
from types import FrameType

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
    if not frame.f_globals.get("__name__", "").startswith("scipy.sparse"):
        return False
    while "multiply" in frame.f_code.co_name and frame.f_back is not None:
        frame = frame.f_back  # a method that users call too
    return frame.f_code.co_name in ("_matmul_dispatch", "_divide", "__mul__", "__rmul__")


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
        if frame.f_globals.get("__name__", "").startswith(library):
            return f"write {other}"
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
