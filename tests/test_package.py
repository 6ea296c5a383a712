"""What is built of the project: an archive of its sources that its tests run in, and a wheel that works by itself."""

from __future__ import annotations

import email
import email.message
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import autodiff as ad
from autodiff.extras import install

pytest.importorskip("hatchling")
pytest.importorskip("hatch_fancy_pypi_readme")

ROOT = Path(__file__).parent.parent
NAME = f"autodiff-{ad.__version__}"
MADE = {"__pycache__", "output"}  # folders in those of the project that running it makes


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True, capture_output=True
    )
    with zipfile.ZipFile(folder / f"{NAME}-py3-none-any.whl") as wheel:
        wheel.extractall(folder / "wheel")
    return folder


@pytest.fixture(scope="module")
def metadata(built: Path) -> email.message.Message:
    return email.message_from_string((built / "wheel" / f"{NAME}.dist-info" / "METADATA").read_text("utf-8"))


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and not MADE & {part.name for part in path.parents}}


def test_the_archive_of_sources_has_every_file(built: Path) -> None:
    folders = ("autodiff", "nn", "demos", "tests", ".github", ".ci")
    wanted = {path for folder in folders for path in files_of(ROOT / folder)}
    wanted |= {ROOT / name for name in ("README.md", "LICENSE", "pyproject.toml", ".gitignore")}
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        names = {one.name for one in archive if one.isfile()}
    assert names == {f"{NAME}/{path.relative_to(ROOT)}" for path in wanted} | {f"{NAME}/PKG-INFO"}


def test_the_wheel_has_the_packages_and_nothing_else(built: Path) -> None:
    found = {path.relative_to(built / "wheel") for path in files_of(built / "wheel")}
    wanted = {path.relative_to(ROOT) for package in ("autodiff", "nn") for path in files_of(ROOT / package)}
    assert {path for path in found if path.parts[0] != f"{NAME}.dist-info"} == wanted
    assert {Path("autodiff/py.typed"), Path("nn/py.typed"), Path("autodiff/drawing/page.js")} <= wanted


def test_metadata(metadata: email.message.Message) -> None:
    assert metadata["Author"]
    assert "automatic differentiation" in metadata["Keywords"]
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert metadata["License-Expression"] == "MIT"


def test_the_page_of_the_package_needs_no_other_file(metadata: email.message.Message) -> None:
    page = metadata.get_payload()
    assert isinstance(page, str)
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]*)\)", page)
    assert links
    assert all(link.startswith(("#", "https://")) for _, link in links)
    assert not any(picture for picture, _ in links)
    assert "\n\n\n" not in page[: page.index("## ")]
    assert "How it works: one page" in page


def test_the_wheel_says_how_to_install_what_it_lacks(built: Path, metadata: email.message.Message) -> None:
    code = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import autodiff as ad
import nn
from autodiff.extras import install
assert ad.__file__.startswith(nn.__file__[: -len("nn/__init__.py")]) and ad.__file__.startswith(sys.argv[1])
ad.draw(ad.Tensor(2.0) ** 2).save(sys.argv[1] + "/page.html")
print(json.dumps({name: install(name) for name in sys.argv[2:]} | {"plot": install("demos", "matplotlib")}))
"""
    extras = metadata.get_all("Provides-Extra", [])
    command = [sys.executable, "-P", "-c", code, built / "wheel", *extras]
    done = subprocess.run(command, cwd=built, check=True, capture_output=True, text=True)
    said = json.loads(done.stdout)
    assert said["fast"] == 'pip install "numba>=0.60" "scipy>=1.11"'
    assert said.pop("plot") == 'pip install "matplotlib>=3.9"'
    assert set(said) >= {"draw", "demos", "distributed", "fast", "special", "test"}
    for extra, words in said.items():
        packages = re.findall(r'"([^"]+)"', words)
        assert words == "pip install " + " ".join(f'"{package}"' for package in packages), extra
        assert packages, extra
        assert not any(re.match(r"autodiff\b", package) for package in packages), extra


def test_a_clone_says_its_extra() -> None:
    assert install("fast") == 'pip install -e ".[fast]"'


def test_no_text_tells_to_install_another_project_of_this_name() -> None:
    texts = [path for folder in ("autodiff", "nn", "demos") for path in files_of(ROOT / folder) if path.suffix == ".py"]
    texts += [ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md"]
    for path in texts:
        assert not re.search(r"pip install [\"']?autodiff(?![-\w])", path.read_text("utf-8")), path
