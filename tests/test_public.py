"""What `import autodiff` brings, and what it leaves for later."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import autodiff as ad


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
