"""What a program says in the user's words: names and comments. All else in it is ours, or the `repr` of a string."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import keyword
import linecache
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

from autodiff.core.tape import Entry
from autodiff.core.watch import LIBRARIES

_TAKEN = {*dir(builtins), *keyword.kwlist}
LONGEST_NAME, LONGEST_LINE = 64, 100  # characters


def identifier(text: str) -> str:
    """Make a Python name of a text, as Python reads it, and none that already means something.

    Example:
        >>> identifier("encoder.weight"), identifier("batch['images']"), identifier("1st"), identifier("lambda")
        ('encoder_weight', 'batch_images', 'x_1st', 'lambda_')
    """
    normal = unicodedata.normalize("NFKC", text)[:LONGEST_NAME]
    name = "_".join("".join(c if f"_{c}".isidentifier() else " " for c in normal).split())
    name = name if name.isidentifier() else f"x_{name}"
    return f"{name}_" if name in _TAKEN else name


def line(text: str) -> str:
    r"""Make a line of a text that can stand in a comment or a docstring, as it can end neither.

    Example:
        >>> line('Linear(2, 3)\r"; import os')
        "Linear(2, 3) '; import os"
    """
    shown = "".join(c if c.isprintable() else " " for c in text.translate({ord('"'): "'", ord("\\"): "/"}))
    return " ".join(shown.split())[:LONGEST_LINE]


def is_plain(*names: str) -> bool:
    """Whether names can stand in a program as they are."""
    return all(name.isascii() and name.isidentifier() and not keyword.iskeyword(name) for name in names)


# What the running code calls things, and what it says


class Line(NamedTuple):
    """A line of the user's that is being run, of some code of which it is a part."""

    code: CodeType
    number: int


class Statement(NamedTuple):
    """What the user wrote: a text in one line, and the variable that is assigned to, if it is one."""

    text: str
    target: str | None


def frames_until(module: str) -> Iterator[tuple[FrameType, bool]]:
    """Give what is being run, from the inside to the outside: the user's functions, and those of ``nn``, which are not.

    Args:
        module: the name of the module that has called it all, where this ends.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (name := frame.f_globals.get("__name__", "")) != module:
        package = name.partition(".")[0]
        if package == "nn" or package not in LIBRARIES:
            yield frame, package != "nn"
        frame = frame.f_back


def names_of(things: Iterable[Any], frames: Iterable[tuple[FrameType, bool]]) -> dict[int, str]:
    """Say how running code calls arrays, or Tensors of them, by their ids: by a variable, or else by a parameter.

    A function of the user's comes before one of ``nn``, whose parameters say nothing, and an inner one before others.
    """
    wanted = set(map(id, things))
    found: dict[int, tuple[int, str]] = {}
    for frame, is_users in frames:
        code = frame.f_code
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
        parameters = code.co_varnames[:count]
        for name, thing in frame.f_locals.items():
            key = id(thing._array if issubclass(type(thing), Entry) else thing)  # nothing is asked for its class
            if key in wanted and name.isidentifier():
                rank = (name in parameters) + 2 * (not is_users)
                if rank < found.get(key, (3, ""))[0]:
                    found[key] = rank, name
    return {key: name for key, (_, name) in found.items()}


def statement_of(line: Line) -> Statement:
    """Give what the user wrote, of which a line is a part.

    Example:
        >>> from autodiff.compiler.naming import Line, statement_of
        >>> def step(x):
        ...     y = np.exp(
        ...         x)
        ...     return y
        >>> statement_of(Line(step.__code__, step.__code__.co_firstlineno + 2))
        Statement(text='y = np.exp(x)', target='y')
    """
    code, number = line
    return _statements(code).get(number) or Statement(linecache.getline(code.co_filename, number).strip(), None)


@functools.lru_cache(maxsize=256)
def _statements(code: CodeType) -> dict[int, Statement]:
    """Give the statement of each line of some code, the innermost; of others than simple ones what they begin with."""
    lines = linecache.getlines(code.co_filename)[max(0, code.co_firstlineno - 1) :]
    found: dict[int, Statement] = {}
    try:
        block = lines if code.co_name == "<module>" else inspect.getblock(lines)
        nodes = [node for node in ast.walk(ast.parse(textwrap.dedent("".join(block)))) if isinstance(node, ast.stmt)]
    except (SyntaxError, IndexError):
        return found
    for node in nodes:
        is_simple = not hasattr(node, "body")
        is_long = is_simple and node.end_lineno != node.lineno
        text = ast.unparse(node) if is_long else block[node.lineno - 1].strip()
        target = None if code.co_name.startswith("<") else _target(node)
        end = (node.end_lineno or node.lineno) if is_simple else node.lineno
        for number in range(node.lineno, end + 1):
            found[code.co_firstlineno - 1 + number] = Statement(text, target)
    return found


def _target(node: ast.stmt) -> str | None:
    """Give the one variable to which a statement assigns what it computes."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target: ast.expr | None = node.targets[0]
    else:
        target = node.target if isinstance(node, ast.AnnAssign | ast.AugAssign) else None
    is_of_many = isinstance(getattr(node, "value", None), ast.Tuple | ast.List | ast.Dict)
    return target.id if isinstance(target, ast.Name) and not is_of_many else None
