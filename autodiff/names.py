"""What messages call things: the name of a function, and the line of the user's file that is being run."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

_LIBRARIES = {"autodiff", "nn", "numpy", "scipy", "contextlib", "functools"}


def name_of(function: Callable[..., Any]) -> str:
    """Name a function as a reader knows it: ``tanh``, ``add.reduce``, ``getitem``; a private one by its public name."""
    owner = getattr(function, "__self__", None)
    name: str = getattr(function, "__name__", repr(function)).lstrip("_")
    return f"{owner.__name__}.{name}" if isinstance(owner, np.ufunc) else name


def user_frame() -> traceback.FrameSummary:
    """Find the line of the user's file that is being run: the innermost one outside of this library and NumPy."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        frame = frame.f_back
    return traceback.extract_stack(frame, limit=1)[0]
