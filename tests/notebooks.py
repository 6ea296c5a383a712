"""Runs a chapter as a notebook, and hands out what its cells printed, showed and defined."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jupytext
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from demos import chapter

ROOT = Path(__file__).parent.parent
# A process has one kernel for all its chapters, which is gone when the process is: packages that one has imported are
# there for the next, and nothing else.
CLEAN = """
%reset -f
%cd -q {folder}
"""
# A name that cannot be written to a file, such as a module's, is left out.
HAND_OUT = """
import cloudpickle as _cloudpickle
_kept = {}
for _name, _value in list(globals().items()):
    if not _name.startswith("_"):
        try:
            _kept[_name] = _cloudpickle.dumps(_value)
        except Exception:
            pass
with open("names.pickle", "wb") as _file:
    _cloudpickle.dump(_kept, _file)
"""


class Notebook(NamedTuple):
    """What is seen of a notebook that has run."""

    names: Mapping[str, Any]
    out: str
    shown: list[str]  # of each picture the kind that a browser prefers


class Names(dict[str, Any]):
    """The names of a notebook after its last cell; a value is read when it is first asked for."""

    def __init__(self, kept: Mapping[str, bytes]) -> None:
        super().__init__()
        self.kept = kept

    def __missing__(self, name: str) -> Any:
        value = self[name] = pickle.loads(self.kept[name])
        return value


@functools.cache
def client() -> NotebookClient:
    """Give what runs notebooks in this process."""
    return NotebookClient(new_notebook(), timeout=300)


def run_notebook(name: str, folder: Path, changes: Mapping[str, str] | None = None, afresh: bool = False) -> Notebook:
    """Run a chapter as jupytext opens it, in a folder, with other texts in it; it must say nothing on stderr.

    Where it matters what a process has in its environment, its memory and its modules, one is started afresh.
    """
    source = chapter.changed((ROOT / "demos" / f"{name}.py").read_text("utf-8"), changes or {})
    notebook = jupytext.reads(source, fmt="py:percent")
    assert notebook.cells[0].cell_type == "markdown"
    chapters_cells = list(notebook.cells)
    notebook.cells = [new_code_cell(CLEAN.format(folder=folder)), *chapters_cells, new_code_cell(HAND_OUT)]
    runner = NotebookClient(notebook, timeout=300) if afresh else client()
    runner.nb = notebook
    runner.execute(cleanup_kc=afresh)
    out, shown = "", []
    for output in (output for cell in chapters_cells for output in cell.get("outputs", [])):
        if output.output_type == "stream":
            assert output.name == "stdout", output.text
            out += output.text
        else:
            assert output.output_type == "display_data"
            kind = next(kind for kind in ("text/html", "image/png", "text/plain") if kind in output.data)
            if kind == "text/plain":  # a progress bar
                out += output.data[kind]
            else:
                shown.append(kind)
    names = Names(pickle.loads((folder / "names.pickle").read_bytes()))
    (folder / "names.pickle").unlink()
    return Notebook(names, out, shown)


def defined(name: str, before: str) -> dict[str, Any]:
    """Give what a chapter defines in the cells of code before the one with a text in it."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for kind, _, text in chapter.cells((ROOT / "demos" / f"{name}.py").read_text("utf-8")):
        if before in text:
            return names
        if kind == "code":
            exec(text, names)
    raise ValueError(f"{name} has no such cell: {before}")
