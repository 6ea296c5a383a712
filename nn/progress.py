"""The progress of a training: a bar on a terminal and in a notebook, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

from autodiff.notebook import notebook_display

Show = Callable[[Mapping[str, float]], None]

SECONDS = 5.0  # between two lines
_FIRST = ("loss", "validation accuracy", "validation loss")  # the rest goes where there is room


@contextlib.contextmanager
def progress(done: int, total: int, quiet: bool) -> Iterator[Show]:
    """Give the function that is to be told the numbers of each epoch, after so many that are done of all.

    It shows nothing if it is to be quiet, or where the variable TQDM_DISABLE of the environment is set.
    """
    display = notebook_display()
    stream: Any = _Listening(sys.stderr) if display is None else _Below(display)
    if quiet or os.environ.get("TQDM_DISABLE") or (display is None and sys.stderr is None):
        yield lambda numbers: None
    elif display is not None or stream.isatty():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ipywidgets, which are missing: the bar is text then
            from tqdm.auto import tqdm
        options: dict[str, Any] = {"initial": done, "total": total, "file": stream, "disable": False, "nrows": 24}
        # What says how wide a notebook's bar is to be is for its widget only.
        options |= {"ncols": _columns(stream)} if display is None else {}
        with tqdm(**options, bar_format=_format(100, total, {})) as bar:

            def update(numbers: Mapping[str, float]) -> None:
                bar.ncols = _columns(stream) if display is None else 100
                bar.bar_format = _format(bar.ncols, total, numbers)
                bar.update()

            yield update
            if bar.gui:  # a widget, which would be red after a training that ended early
                bar.total = bar.n
    else:
        pending, epoch, last = "", done, time.monotonic()

        def note(numbers: Mapping[str, float]) -> None:
            nonlocal pending, epoch, last
            epoch += 1
            pending = f"epoch {epoch}/{total}: {', '.join(_texts(numbers))}\n"
            if time.monotonic() - last >= SECONDS:
                write()
                last = time.monotonic()

        def write() -> None:
            nonlocal pending
            stream.write(pending)
            stream.flush()
            pending = ""

        try:
            yield note
        finally:
            write()


class _Listening:
    """A stream on which what cannot be written is lost: no training ends because nobody listens any more."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __eq__(self, other: object) -> bool:
        """Whether it writes there, by which tqdm knows what else is written beside a bar."""
        return other is self or other is self._stream

    def isatty(self) -> bool:
        """Whether it is a terminal, and open."""
        with contextlib.suppress(AttributeError, ValueError):
            return bool(self._stream.isatty())
        return False

    def write(self, text: str) -> None:
        """Write a text, if that can be."""
        with contextlib.suppress(OSError, ValueError):  # closed, or without such letters
            self._stream.write(text)

    def flush(self) -> None:
        """Hand on what was written, if that can be."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _Below:
    """A file whose last line stands below a notebook's cell, also once the notebook is saved; a widget needs none."""

    encoding = "utf-8"

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None

    def write(self, text: str) -> None:
        """Show a line in the place of the one before."""
        if not text.startswith("\r"):  # the end, or how to get to the line
            return
        data = {"text/plain": text.strip()}
        if self._handle is None:
            self._handle = self._display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def flush(self) -> None:
        """Do nothing: all is shown."""


def _columns(stream: TextIO) -> int:
    """Give how many columns a terminal has, but for the last one; 79 if it does not say."""
    try:
        return (os.get_terminal_size(stream.fileno()).columns or 80) - 1
    except (OSError, ValueError):
        return 79


def _texts(numbers: Mapping[str, float], places: int = 4) -> list[str]:
    """Write numbers behind their names, which are shortened, the most important first."""
    names = [*(name for name in _FIRST if name in numbers), *(name for name in numbers if name not in _FIRST)]
    short = [name.replace("validation ", "val_").replace("accuracy", "acc") for name in names]
    return [f"{name} {brief(numbers[full], places)}" for name, full in zip(short, names)]


def _format(width: int, total: int, numbers: Mapping[str, float]) -> str:
    """Give a format for tqdm of at most so many columns: a bar, and the numbers that leave it room."""
    is_narrow = width < 60
    texts, gap = _texts(numbers, 3 if is_narrow else 4), " " if is_narrow else "  "
    times = "" if is_narrow else " [{elapsed}<{remaining}]"
    room = width - 2 * len(str(total)) - len("/ || ") - (0 if is_narrow else len(" [00:00<00:00]"))
    while texts and room - len(gap.join(texts)) < (10 if len(texts) > 2 else 3):
        texts = texts[:-1]
    said = gap.join(texts).replace("{", "{{").replace("}", "}}")
    return f"{{n_fmt}}/{total}{times} |{{bar}}| {said}"


def brief(x: float, places: int = 4) -> str:
    """Write a number with so many decimals, or as many figures.

    Example:
        >>> brief(0.51), brief(12345.678), brief(1.5e-6)
        ('0.5100', '1.235e+04', '1.5e-06')
    """
    return f"{x:.{places}f}" if x == 0 or 1e-3 <= abs(x) < 10 else f"{x:.{places}g}"
