"""What examples and tests find: the names that users of the packages import, and a folder for machine code.

pyproject.toml makes it a plugin of pytest, so that examples of single files run too.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest

# pytest has a worker on each core: further threads, of OpenBLAS and PyTorch, burn the time of all in waiting.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Some hundred processes are started, and each would compile the packages anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import numpy as np

pytest_plugins = ["tests.together"]


def pytest_collection_finish() -> None:
    """Let collections of garbage leave out what stays to the end: packages, and thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def customary_names(doctest_namespace: dict[str, Any]) -> None:
    """Import the packages for an example."""
    import autodiff as ad
    import nn

    doctest_namespace.update(np=np, ad=ad, nn=nn)


@pytest.fixture(autouse=True, scope="session")
def folder_of_machine_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep machine code in a temporary folder, one for all processes of a run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "machine_code"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTODIFF_CACHE_DIR", str(folder))
        yield
