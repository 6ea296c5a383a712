"""The names that an example in a docstring finds without importing them: those that users of the packages import.

pyproject.toml makes it a plugin of pytest, so that examples of single files run too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


@pytest.fixture(autouse=True, scope="session")
def customary_names(doctest_namespace: dict[str, Any]) -> None:
    """Import the packages for an example."""
    import autodiff as ad
    import nn

    doctest_namespace.update(np=np, ad=ad, nn=nn)
