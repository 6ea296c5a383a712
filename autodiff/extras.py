"""How to install what an optional part of the library needs, as messages say it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def install(extra: str, package: str = "") -> str:
    """Give the command that installs the packages of an extra: in a clone by its name, elsewhere package by package.

    The library's own name would not do: in a package index another project has it.

    Args:
        extra: its name.
        package: the only one of its packages that is missing, whose name begins so.

    Example:
        >>> from autodiff.extras import install
        >>> install("fast").startswith("pip install ")
        True
    """
    requirements: list[str] = []
    if not (Path(__file__).parents[1] / "pyproject.toml").is_file():
        from importlib import metadata  # slow to import, and only messages need it

        with suppress(metadata.PackageNotFoundError):  # the files were copied by hand
            requirements = metadata.requires("autodiff") or []
    parts = [[part.strip() for part in requirement.split(";")] for requirement in requirements]
    packages = [name for name, *condition in parts if condition == [f"extra == '{extra}'"] and name.startswith(package)]
    return "pip install " + (" ".join(f'"{name}"' for name in packages) or f'-e ".[{extra}]"')
