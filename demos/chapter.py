"""What the chapters share: their flags, how they are run cell by cell in a terminal, and showing what they draw.

A chapter is a script in jupytext's percent format: cells of prose (``# %% [markdown]``, comments with formulas in
LaTeX) and cells of code (``# %%``). The same file is run in three ways: ``python -m demos.NAME`` prints the prose of
each cell before what its code prints, and saves the pictures; opened as a notebook, it shows both; and :func:`run` is
for tests.
"""

from __future__ import annotations

import argparse
import atexit
import codeop
import contextlib
import functools
import io
import shutil
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import autodiff as ad
from autodiff.extras import install
from demos import prose

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers tell apart.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"

T = TypeVar("T")

FOLDER = Path(__file__).resolve().parent
MARK = "# %%"
WIDEST = 100  # of the lines of prose


class Parser(argparse.ArgumentParser):
    """The flags of a chapter, ``--seed`` and ``--output``; it says what is wrong in one line."""

    def __init__(self, name: str) -> None:
        super().__init__(prog=f"python -m demos.{name}", description=title(name))
        add = self.add_argument
        add("--seed", type=natural, default=0, metavar="N", help="of all that is random (default: 0)")
        output = FOLDER / "output"
        add("--output", type=Path, default=output, metavar="FOLDER", help="for what it writes (default: demos/output)")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Read the flags, and make the folder that the chapter writes to."""
        options = self.parse_args(arguments)
        try:
            options.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.error(f"argument --output: cannot write to {options.output}: {error.strerror}")
        return options

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def natural(text: str) -> int:
    """Read an integer from 0 to 2³² - 1, as scikit-learn takes for a seed."""
    if not text.isascii() or not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"must be an integer from 0 to 2**32 - 1, got {text!r}")
    return int(text)


def positive(text: str) -> int:
    """Read a positive integer."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


class Run:
    """A chapter that runs in a terminal: its flags, and the prose that waits for them to be read.

    It stands in for the standard output, to see whether there is something to keep a distance from.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = arguments
        self.parser: Parser | None = None
        self.output = Path()
        self.waiting: list[str] = []
        self.entered = contextlib.ExitStack()
        self.stdout = sys.stdout
        self.is_written = self.is_quiet = False

    def write(self, text: str) -> int:
        """Write to the standard output."""
        self.is_written = True
        return len(text) if self.is_quiet else self.stdout.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stdout, name)

    def print_prose(self) -> None:
        """Print what waits, between blank lines, unless the flags are yet to be read."""
        if self.parser is None:
            return
        width = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
        for text in self.waiting:
            print("\n" * self.is_written + prose.plain(text, width), end="\n\n")
            self.is_written = False
        self.waiting.clear()


_running: Run | None = None  # None in a notebook


def begin(name: str, *flags: tuple[str, dict[str, Any]]) -> argparse.Namespace:
    """Give the options of a chapter, at the end of its first cell of code.

    In a terminal they come from the command line, and the chapter is run cell by cell, which this call waits for; in a
    notebook they are the defaults, and files go to the folder ``output`` beside it.

    Args:
        name: the chapter's.
        flags: those that :func:`flag` gives, beside ``--seed`` and ``--output``.

    Raises:
        ImportError: the chapter is imported, which would run it.
    """
    if _running is None:
        main = sys.modules["__main__"]
        if getattr(main, "__file__", None) and Path(main.__file__ or "").resolve() == FOLDER / f"{name}.py":
            run(name, sys.argv[1:])
            raise SystemExit
        if f"demos.{name}" in sys.modules:
            raise ImportError(f'a chapter is run, not imported: python -m demos.{name}, or demos.chapter.run("{name}")')
    parser = Parser(name)
    for flag_name, keywords in flags:
        parser.add_argument(flag_name, **keywords)
    if _running is None:
        return parser.parse_args(["--output", "output"])
    options = parser.parse(_running.arguments)
    _running.parser, _running.output = parser, options.output
    return options


def flag(name: str, type: Callable[[str], Any] | None = None, **keywords: Any) -> tuple[str, dict[str, Any]]:
    """Describe a flag of a chapter, with the keywords of ``ArgumentParser.add_argument``."""
    if type is not None:
        keywords |= {"type": type, "metavar": "N"}
    return name, keywords


def run(name: str, arguments: Sequence[str] = (), changes: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a chapter as in a terminal, cell by cell, and give its names after the last.

    Args:
        name: the chapter's.
        arguments: its flags.
        changes: texts of the file, each of which stands in it once, and what stands there instead in this run.

    Raises:
        ValueError: a text that is to be changed does not stand in the file once.
    """
    global _running
    path = FOLDER / f"{name}.py"
    source = changed(path.read_text("utf-8"), changes or {})
    compiled = codeop.Compile()  # remembers the imports from __future__
    main = types.ModuleType("__main__")  # without a file, which processes that it starts would run as well
    names = vars(main)
    before = _running, sys.modules["__main__"]
    _running, sys.modules["__main__"] = Run(arguments), main
    try:
        with _running.entered, contextlib.redirect_stdout(_running):
            for kind, line, text in cells(source):
                if kind == "markdown":
                    _running.waiting.append(text)
                    continue
                _running.print_prose()
                exec(compiled("\n" * line + text, str(path), "exec"), names)
            _running.print_prose()
    finally:
        _running, sys.modules["__main__"] = before
    return names


def changed(source: str, changes: Mapping[str, str]) -> str:
    """Give a chapter's text with other constants, say."""
    for old, new in changes.items():
        if source.count(old) != 1:
            raise ValueError(f"the chapter has {source.count(old)} times what is to be changed: {old}")
        source = source.replace(old, new)
    return source


def cells(source: str) -> Iterator[tuple[str, int, str]]:
    """Give the kind of each cell, ``markdown`` or ``code``, the number of lines before it, and its text."""
    lines = source.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(MARK)]
    for start, stop in zip(starts, [*starts[1:], len(lines)]):
        body = lines[start + 1 : stop]
        if "[markdown]" in lines[start]:
            yield "markdown", start + 1, "\n".join(line.removeprefix("#").removeprefix(" ") for line in body).strip()
        else:
            yield "code", start + 1, "\n".join(body)


def title(name: str) -> str:
    """Give the first line of a chapter: its title."""
    _, _, text = next(cells((FOLDER / f"{name}.py").read_text("utf-8")))
    return text.split("\n")[0].removeprefix("# ")


def everybody() -> Any:
    """Give the communicator of all processes that ``mpiexec`` started, of which only the first prints and draws."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # it is not there, or MPI is not
        refuse(f"argument --distributed: needs mpi4py and MPI: {install('distributed')} ({error})")
    if _running is not None:
        _running.is_quiet = MPI.COMM_WORLD.rank > 0
    return MPI.COMM_WORLD


def enter(context: contextlib.AbstractContextManager[T]) -> T:
    """Enter a context that is left when the chapter ends, however it does; in a notebook, when its kernel does."""
    if _running is not None:
        return _running.entered.enter_context(context)
    entered = contextlib.ExitStack()
    atexit.register(entered.close)
    return entered.enter_context(context)


def refuse(message: str) -> NoReturn:
    """Say in one line what is wrong with an option, and stop.

    Raises:
        SystemExit: with code 2, in a terminal.
        ValueError: in a notebook.
    """
    if _running is None or _running.parser is None:
        raise ValueError(message)
    _running.parser.error(message)


def show(picture: Figure | ad.Drawing, *names: str) -> None:
    """Show a picture below the cell in a notebook; in a terminal write it to the files of these names, and say so.

    A drawing whose name ends with html is shown as a page to step through.
    """
    if _running is not None:
        for name in names:
            write(name, functools.partial(save_picture, picture))
        return
    from IPython.display import Image, display

    if isinstance(picture, ad.Drawing):
        picture.page() if names[0].endswith(".html") else display(picture)
        return
    picture.savefig(data := io.BytesIO(), dpi=200)
    display(Image(data.getvalue(), retina=True))


def write(name: str, save: Callable[[Path], object]) -> None:
    """Save something to a file of this name in the folder that the chapter writes to, and say so."""
    folder = Path("output") if _running is None else _running.output
    if _running is not None and _running.is_quiet:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save(folder / name)
    except OSError as error:
        refuse(f"argument --output: {error}")
    if _running is not None:
        print(f"wrote {folder / name}")


def save_picture(picture: Figure | ad.Drawing, path: Path) -> None:
    """Write a picture to a file."""
    from PIL import Image

    if isinstance(picture, ad.Drawing):
        picture.save(path)
    else:
        picture.savefig(path, dpi=100)
    if path.suffix == ".png":  # smaller, and with a palette: a third of the bytes
        image = Image.open(path).convert("RGB")
        image.thumbnail((800, 1600))
        image.quantize(128, kmeans=1).save(path)  # else the lines of a curve lose their color beside a photograph
