"""Whether this runs in a notebook, which is asked without importing IPython."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def notebook_display() -> Callable[..., Any] | None:
    """Give the function that shows something below a notebook's cell; None where there is no notebook.

    Example:
        >>> notebook_display() is None
        True
    """
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    return ipython.display.display  # type: ignore[no-any-return]


def after_cell(function: Callable[[], Any]) -> None:
    """Call a function once the notebook's cell has come to its end."""
    events = sys.modules["IPython"].get_ipython().events

    def call(*_: Any) -> None:
        events.unregister("post_run_cell", call)
        function()

    events.register("post_run_cell", call)
