"""What `import autodiff` brings, and what it leaves for later."""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import importlib.metadata
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import autodiff as ad
import nn


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_dir_shows_the_public_names_and_all_of_them() -> None:
    names = [name for name in dir(ad) if not name.startswith("__")]
    assert names == sorted(ad.__all__)
    for name in names:
        assert getattr(ad, name) is not None


def test_version() -> None:
    assert ad.__version__ == importlib.metadata.version("autodiff")


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="module 'autodiff' has no attribute 'gard'"):
        _ = ad.gard


def test_importing_needs_numpy_and_nothing_else() -> None:
    code = """
import sys
class OnlyNumPy:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {"autodiff", "numpy"} | sys.stdlib_module_names:
            raise ImportError(name)
sys.meta_path.insert(0, OnlyNumPy())
import autodiff as ad
print(ad.grad(lambda x: x * x)(3.0), ad.grad(ad.grad(lambda x: x**3))(2.0))
"""
    assert run(code) == "6.0 12.0"


def test_rooms_are_entered_when_they_are_asked_for() -> None:
    rooms = ("autodiff.drawing", "autodiff.compiler", "autodiff.anomaly", "autodiff.testing", "graphviz", "scipy")
    code = f"""
import sys, autodiff as ad
print([room for room in {rooms} if room in sys.modules])
x = ad.Tensor(2.0)
ad.draw(x * x), ad.compile(lambda x: x * 2), ad.testing.check_gradients(lambda x: x * x, 2.0), ad.detect_anomaly()
print([room for room in {rooms[:5]} if room not in sys.modules])
"""
    assert run(code) == "[]\n[]"


def test_star_import() -> None:
    assert run("from autodiff import *; print(grad(lambda x: x * x)(3.0), testing.__name__, draw.__name__)") == (
        "6.0 autodiff.testing draw"
    )


# Examples in docstrings, as a reader of help() copies them


def modules() -> Iterator[ModuleType]:
    for package in (ad, nn):
        yield importlib.import_module(package.__name__)
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            yield importlib.import_module(info.name)


def public_names() -> dict[int, str]:
    """Give the names of all that users reach from the two packages, by the identity of what they mean."""
    names: dict[int, str] = {}
    rooms: list[tuple[str, Any]] = [("ad", ad), ("nn", nn)]
    for path, room in rooms:
        for name, value in ((name, getattr(room, name)) for name in getattr(room, "__all__", vars(room))):
            if inspect.ismodule(value) and hasattr(room, "__all__") and value not in (room for _, room in rooms):
                rooms.append((f"{path}.{name}", value))
            elif hasattr(room, "__all__") or getattr(value, "__module__", None) == room.__name__:
                names.setdefault(id(value), f"{path}.{name}")
    return names


def used_and_made(examples: list[doctest.Example]) -> tuple[set[str], set[str]]:
    """Give the names that examples use, and those that they make themselves."""
    used, made = set(), set()
    for node in (node for example in examples for node in ast.walk(ast.parse(example.source))):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                made.add(name)
            case ast.alias(name=name, asname=asname):
                made.add((asname or name).split(".")[0])
    return used, made


def test_examples_run_where_only_the_packages_are_imported() -> None:
    names, finder, count = public_names(), doctest.DocTestFinder(exclude_empty=True), 0
    for module in modules():
        for test in finder.find(module, module.__name__, globs={}):
            used, made = used_and_made(test.examples)
            owner = test.name.removeprefix(module.__name__).lstrip(".").split(".")[0]
            known = {"np", "ad", "nn", *dir(builtins), *made}
            if owner and id(getattr(module, owner)) not in names:
                known.add(owner)  # what is not public is only read about in the source
            ways = {name: names.get(id(getattr(module, name, None)), name) for name in used - known}
            assert not ways, f"the example of {test.name} needs the names {ways}"
            count += 1
    assert count > 150
    assert {"ad.Tensor", "ad.testing.by_hand", "nn.optim.SGD", "nn.functional.relu"} <= set(names.values())
