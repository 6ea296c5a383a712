"""What a program says in the user's words: names and comments. All else in it is ours, or the `repr` of a string."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import keyword
import linecache
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

from autodiff.batching.array import innermost
from autodiff.core.watch import LIBRARIES, module_of

_TAKEN = {*dir(builtins), *keyword.kwlist}
_LOOKING = {"locals", "vars", "dir", "eval", "exec", "f_locals"}  # what a function looks at its variables by
LONGEST_NAME, LONGEST_LINE = 64, 100  # characters
MOST_VARIABLES = 200  # of a function: all are looked at in each of its calls


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
    """A line of the user's that is being run, of some code of which it is a part, and where in that."""

    code: CodeType
    number: int
    instruction: int = -1  # its offset in bytes

    @classmethod
    def of(cls, frame: FrameType) -> Line:
        """Give the line at which a frame is."""
        return cls(frame.f_code, frame.f_lineno, frame.f_lasti)


class Written(NamedTuple):
    """What the user wrote: texts by their lines, variables by the instructions that compute what they are assigned."""

    texts: dict[int, str]
    targets: dict[int, str]


def frames_until(module: str) -> Iterator[tuple[FrameType, bool]]:
    """Give what is being run, from the inside to the outside: the user's functions, and those of ``nn``, which are not.

    Args:
        module: the name of the module that has called it all, where this ends.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (name := module_of(frame)) != module:
        package = name.partition(".")[0]
        if package == "nn" or package not in LIBRARIES:
            yield frame, package != "nn"
        frame = frame.f_back


Parts = Callable[[str, Any], Iterable[tuple[str, Any]]]


def _array_in(name: str, thing: Any) -> Iterable[tuple[str, Any]]:
    return ((name, innermost(thing)),)


def names_of(
    things: Iterable[Any], frames: Iterable[tuple[FrameType, bool]], parts: Parts = _array_in
) -> dict[int, str]:
    """Say how running code calls things, by their ids: by a variable, or else by a parameter; these come last.

    A function of the user's comes before one of ``nn``, whose parameters say nothing, and an inner one before others.
    Of two variables of a function, the first is taken. One without a letter, as ``_``, is no name.

    Args:
        things: arrays, say.
        frames: what is being run.
        parts: gives what can be called by a variable, with how it is called then: by default an array, or that in a
            Tensor.
    """
    wanted = set(map(id, things))
    found: dict[int, tuple[int, str]] = {}
    for frame, is_users in frames:
        code = frame.f_code
        is_function = bool(code.co_flags & inspect.CO_OPTIMIZED)
        if len(code.co_varnames) > MOST_VARIABLES or (is_function and not _LOOKING.isdisjoint(code.co_names)):
            continue  # it takes long, or what it was given would change, if it was locals()
        space = frame.f_locals
        if not (is_function or type(space) is dict):
            continue  # a mapping of the user's, as exec is given one, would run code of the user's
        count = code.co_argcount + code.co_kwonlyargcount
        parameters = code.co_varnames[:count]
        starred = code.co_varnames[count : count + bool(code.co_flags & inspect.CO_VARARGS)]
        for variable, held in tuple(space.items()):
            is_name = type(variable) is str and variable.isidentifier() and variable.strip("_0123456789")
            if not is_name or variable in starred:
                continue
            rank = (variable in parameters) + 2 * (not is_users)
            for name, thing in parts(variable, held):
                if id(thing) in wanted and rank < found.get(id(thing), (3, ""))[0]:
                    found[id(thing)] = rank, name
        if is_function and type(space) is dict and sys.gettrace() is None:  # and no debugger is at work in it
            space.clear()  # up to Python 3.12 a frame keeps it, and all that it holds
    return {key: name for key, (_, name) in sorted(found.items(), key=lambda one: one[1][0])}


def text_of(line: Line) -> str:
    """Give what the user wrote, of which a line is a part: a statement in one line, or what one begins with.

    Example:
        >>> from autodiff.compiler.naming import Line, text_of
        >>> def step(x):
        ...     y = np.exp(
        ...         x)
        ...     return y
        >>> text_of(Line(step.__code__, step.__code__.co_firstlineno + 2))
        'y = np.exp(x)'
    """
    code, number, _ = line
    text = _written(code).texts.get(number)
    return linecache.getline(code.co_filename, number).strip() if text is None else text


def target_of(line: Line) -> str | None:
    """Give the variable to which the user assigns the very expression that is being run, if there is one."""
    return _written(line.code).targets.get(line.instruction)


@functools.lru_cache(maxsize=256)
def _written(code: CodeType) -> Written:
    """Read the source of some code: the innermost statement of each line, and what is assigned."""
    first = max(1, code.co_firstlineno)
    lines = linecache.getlines(code.co_filename)[first - 1 :]
    texts: dict[int, str] = {}
    targets: dict[Any, str] = {}  # by where an expression stands
    try:
        block = lines if code.co_name == "<module>" else inspect.getblock(lines)
        is_indented = block[0][:1].isspace()
        tree = ast.parse("".join(["if True:\n"] * is_indented + block))
    except (SyntaxError, IndexError, ValueError):
        return Written({}, {})
    ast.increment_lineno(tree, first - 1 - is_indented)
    if not code.co_name.startswith("<") and not any(_begins_at(node, first, code.co_name) for node in ast.walk(tree)):
        return Written(dict.fromkeys(range(first, first + len(block)), ""), {})  # the file has changed since
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno >= first:
            is_simple = not hasattr(node, "body")
            is_long = is_simple and node.end_lineno != node.lineno
            text = ast.unparse(node) if is_long else block[node.lineno - first].strip()
            end = (node.end_lineno or node.lineno) if is_simple else node.lineno
            texts.update(dict.fromkeys(range(node.lineno, end + 1), text))
        for value, target in _assigned(node):
            targets[value.lineno, value.end_lineno, value.col_offset, value.end_col_offset] = target
    positions = enumerate(code.co_positions())
    return Written(texts, {2 * number: targets[span] for number, span in positions if span in targets})


def _begins_at(node: ast.AST, line: int, name: str) -> bool:
    """Whether a function or class of some name begins at a line, with its decorators."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return node.name == name and min(one.lineno for one in (node, *node.decorator_list)) == line


def _assigned(node: ast.AST) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    """Give the expressions, or a statement as ``x += y`` that is one, that are assigned to a variable."""
    target = (
        node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else getattr(node, "target", None)
    )
    if not isinstance(target, ast.Name):
        return
    values = [node if isinstance(node, ast.AugAssign) else getattr(node, "value", None)]
    while values:
        value = values.pop()
        if isinstance(value, ast.IfExp):
            values += [value.body, value.orelse]
        elif isinstance(value, ast.stmt | ast.expr):
            yield value, target.id
