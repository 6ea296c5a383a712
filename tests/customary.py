"""What examples and tests find: the names that users of the packages import, and an empty home.

pyproject.toml makes it a plugin of pytest, so that examples of single files run too.
"""

from __future__ import annotations

import gc
import os
import tempfile
from typing import Any

import pytest

# pytest has a worker on each core: further threads, of OpenBLAS and PyTorch, burn the time of all in waiting.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Some hundred processes are started, and each would compile the packages anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import numpy as np

pytest_plugins = ["tests.together"]
# Where programs keep what is to be there the next time: machine code, lists of fonts, settings, histories.
FOLDERS = ("HOME", "AUTODIFF_CACHE_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR")


def pytest_configure(config: pytest.Config) -> None:
    """Let all processes of a run take a temporary folder for the user's own, of which nothing stays."""
    if not hasattr(config, "workerinput"):
        patch = pytest.MonkeyPatch()
        for folder in FOLDERS:
            patch.delenv(folder, raising=False)
        home = tempfile.TemporaryDirectory(prefix="home-", ignore_cleanup_errors=True)
        patch.setenv("HOME", home.name)
        patch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", os.path.join(home.name, ".hypothesis"))
        config.add_cleanup(home.cleanup)
        config.add_cleanup(patch.undo)


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
