"""What a function calls the Tensors that it computes, for their picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodiff.compiler.naming import Line, frames_until, names_of, target_of
from autodiff.core.tensor import Tensor
from autodiff.core.watch import Watch

CALLER = "autodiff.drawing.subject"  # the module that calls the function


class Words(Watch):
    """A watch that names the Tensors which a function computes by the variables that hold them."""

    def __init__(self) -> None:
        self._lines: dict[Tensor, Line | None] = {}  # that made them

    def see_call(self, tensor: Any, function: Any, args: Any) -> None:
        """Look for variables that hold the arguments, and note the line."""
        frames = list(frames_until(CALLER))
        unnamed = [arg for arg in args if isinstance(arg, Tensor) and arg in self._lines and arg.name is None]
        names = names_of((arg._array for arg in unnamed), frames) if unnamed else {}
        for arg in unnamed:
            arg.name = names.get(id(arg._array))
        self._lines[tensor] = next((Line.of(frame) for frame, is_users in frames if is_users), None)

    def name(self, results: Sequence[Tensor]) -> None:
        """Name those that no later call has used, as they were assigned."""
        for result in results:
            line = self._lines.get(result)
            if result.name is None and line is not None:
                result.name = target_of(line)
