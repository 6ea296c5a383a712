"""What a program says in the user's words: names and comments. All else in it is ours, or the `repr` of a string."""

from __future__ import annotations

import builtins
import keyword
import unicodedata

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
