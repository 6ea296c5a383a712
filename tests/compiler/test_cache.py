"""Machine code in files: found again by the next process, and used only where it is the user's own and whole."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import re
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from autodiff.compiler import compile
from nn.functional import cross_entropy

cache = pytest.importorskip("autodiff.compiler.bind.cache")
X = np.linspace(0.0, 1.0, 5)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name a folder for machine code, which is not there yet."""
    path = tmp_path / "outer" / "programs"
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", str(path))
    return path


@pytest.fixture
def nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """See that machine code is neither where temporary files are nor where Numba would have it."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("TMPDIR", str(empty))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(empty))
    yield
    assert list(empty.iterdir()) == []


def was_found(factor: int) -> bool:
    """Compile a function as another process would, run it, and say whether its machine code was in a file."""
    others = {name for name in sys.modules if name.startswith("autodiff_program_")}
    hidden = {name: sys.modules.pop(name) for name in others}
    try:
        compiled = compile(lambda x: np.exp(x) * factor - 1, backend="numba")
        np.testing.assert_allclose(compiled(X), np.exp(X) * factor - 1, rtol=1e-14)
        (module,) = (module for name, module in sys.modules.items() if name.startswith("autodiff_program_"))
        hits, misses = (sum(count.values()) for count in module.part_1.stats[1:])
    finally:
        sys.modules.update(hidden)
    assert hits + misses == 1
    return bool(hits)


def test_another_process_finds_the_machine_code(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nimport numpy as np\nfrom autodiff.compiler import compile\n"
        "compiled = compile(lambda x: np.exp(x) * 3 - 1, backend='numba')\n"
        "print(float(compiled(np.zeros(5)).sum()))\n"
        "part = next(m for name, m in sys.modules.items() if name.startswith('autodiff_program_')).part_1\n"
        "print(sum(part.stats.cache_hits.values()), sum(part.stats.cache_misses.values()))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [
        subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs == ["10.0\n0 1\n", "10.0\n1 0\n"]
    assert len(list(folder.iterdir())) == 1


def test_a_text_is_compiled_once_in_a_process(folder: Path) -> None:
    compiled = [compile(lambda x: np.tanh(x) * 17, backend="numba") for _ in range(2)]
    before = set(sys.modules)
    for one in compiled:
        np.testing.assert_allclose(one(X), np.tanh(X) * 17, rtol=1e-14)
    (module,) = (sys.modules[name] for name in set(sys.modules) - before if name.startswith("autodiff_program_"))
    assert sum(module.part_1.stats.cache_misses.values()) == 1


def test_a_traceback_shows_the_program(folder: Path) -> None:
    compiled = compile(cross_entropy, check=False, backend="numba")
    compiled(np.ones((2, 3)), np.array([0, 1]))
    with pytest.raises(ValueError, match="got 5") as refused:
        compiled(np.ones((2, 3)), np.array([0, 5]))
    shown = "".join(traceback.format_exception(refused.value))
    assert re.search(r'"<program of cross_entropy \d+>", line \d+, in step\n +raise ValueError\(\n', shown), shown


# Who may write


def test_nobody_else_may_read_or_write_what_is_made(folder: Path) -> None:
    before = os.umask(0)
    try:
        assert not was_found(2)
    finally:
        os.umask(before)
    (path,) = folder.iterdir()
    assert [stat.S_IMODE(one.stat().st_mode) for one in (folder, path)] == [0o700, 0o600]
    assert was_found(2)


def give_to_another(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(path, 12345, -1, follow_symlinks=False)


def put_link(path: Path) -> None:
    path.rename(path.parent / "elsewhere")
    path.symlink_to("elsewhere")


def put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


UNTRUSTED: dict[str, Callable[[Path], Any]] = {
    "may be written by others": lambda path: path.chmod(0o602),
    "may be written by others ": lambda path: path.chmod(0o660),
    "belongs to the user 12345": give_to_another,
    "is no file": put_link,
    "is no file ": put_pipe,
}


@pytest.mark.skipif(sys.platform == "win32", reason="rights are others there")
@pytest.mark.parametrize("problem", UNTRUSTED)
def test_a_file_that_others_may_have_written_is_made_anew(folder: Path, problem: str) -> None:
    assert not was_found(2)
    (path,) = folder.iterdir()
    UNTRUSTED[problem](path)
    with pytest.warns(RuntimeWarning, match=f"{path} is not used, since it {problem.strip()}"):
        assert not was_found(2)
    assert was_found(2)
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="rights are others there")
@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
def test_a_folder_into_which_others_may_write_is_not_used(folder: Path, mode: int) -> None:
    assert not was_found(2)
    (path,) = folder.iterdir()
    folder.chmod(mode)
    with pytest.warns(RuntimeWarning, match=f"kept in {folder}, since it may be written by others.*AUTODIFF_CACHE_DIR"):
        assert not was_found(2)
    assert not was_found(3)  # and that is said once
    assert [*folder.iterdir()] == [path]
    folder.chmod(0o700)
    assert was_found(2)


@pytest.mark.skipif(sys.platform == "win32", reason="rights are others there")
@pytest.mark.usefixtures("nothing_kept")
def test_a_folder_of_another_user_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.warns(RuntimeWarning, match=f"belongs to the user {mine}, and not to you"):
        assert not was_found(2)
    assert not list(folder.iterdir())


def test_a_link_of_the_users_own_leads_to_the_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    (tmp_path / "large disk").mkdir()
    folder.symlink_to(tmp_path / "large disk")
    assert not was_found(2)
    assert was_found(2)
    if os.geteuid() == 0:
        os.chown(folder, 12345, -1, follow_symlinks=False)
        with pytest.warns(RuntimeWarning, match="belongs to the user 12345"):
            assert not was_found(2)


# What files hold


class Bomb:
    """What does something when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


SPOILS: dict[str, Callable[[Path], Any]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut short": lambda path: os.truncate(path, 1000),
    "cut in the digest": lambda path: os.truncate(path, 20),
    "without its last byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"."),
    "with another bit": lambda path: path.write_bytes(flipped(path.read_bytes(), 5000)),
    "with another digest": lambda path: path.write_bytes(flipped(path.read_bytes(), 0)),
    "of another program": lambda path: path.write_bytes((path.parent.parent / "other").read_bytes()),
    "another pickle": lambda path: path.write_bytes(pickle.dumps(Bomb(path.parent / "loaded"))),
    "another pickle behind the digest": lambda path: path.write_bytes(
        path.read_bytes()[:32] + pickle.dumps(Bomb(path.parent / "loaded"))
    ),
    "removed": Path.unlink,
}


@pytest.mark.parametrize("what", SPOILS)
def test_a_file_that_is_not_as_it_was_is_made_anew(folder: Path, what: str) -> None:
    assert not was_found(3)
    (other,) = folder.iterdir()
    other.rename(folder.parent / "other")
    assert not was_found(2)
    (path,) = folder.iterdir()
    SPOILS[what](path)
    assert not was_found(2)
    assert [*folder.iterdir()] == [path]
    assert was_found(2)


@pytest.mark.parametrize("versions", [("another Python",), ("3.11", "0.1")])
def test_other_versions_have_other_files(
    folder: Path, versions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not was_found(2)
    monkeypatch.setattr(cache, "_VERSIONS", versions)
    assert not was_found(2)
    assert was_found(2)
    assert len(list(folder.iterdir())) == 2


def test_what_numba_does_not_load_is_compiled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "dumps", lambda thing: pickle.dumps((1, 2, 3)))
    assert not was_found(2)
    monkeypatch.undo()
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", str(folder))
    assert not was_found(2)
    assert was_found(2)


# Where nothing can be kept


def not_at_home() -> NoReturn:
    raise RuntimeError("Could not determine home directory.")


def under_a_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.write_text("")


def a_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    path.write_text("")


def read_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)


def homeless(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", not_at_home)


def full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(*paths: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", replace)


def without_size(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODIFF_CACHE_SIZE", "0")


def too_small(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODIFF_CACHE_SIZE", "0.01")


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    "situation",
    [under_a_file, a_file, read_only, homeless, full, without_size, too_small],
    ids=lambda one: one.__name__,
)
def test_where_nothing_can_be_kept_each_process_compiles(
    situation: Callable[..., None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    situation(folder, monkeypatch)
    assert not was_found(2)
    assert not was_found(2)
    assert not folder.is_dir() or not list(folder.iterdir())


def test_the_folder_is_where_caches_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path / "of Numba"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative, which means none")
    assert not was_found(2)
    assert len(list((tmp_path / "home" / ".cache" / "autodiff").iterdir())) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert not was_found(2)
    assert len(list((tmp_path / "caches" / "autodiff").iterdir())) == 1
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", "here")
    assert not was_found(2)
    assert was_found(2)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "caches", "here"}


# How much is kept


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def age(folder: Path) -> None:
    """Let all files be older by an hour."""
    for path in folder.rglob("*"):
        os.utime(path, ns=(time := path.stat().st_mtime_ns - 3600 * 10**9, time))


def test_what_was_not_used_for_longest_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "__pycache__").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    former = [folder / "autodiff_program_former.py", folder / "__pycache__" / "autodiff_program_former.part_1-5.nbc"]
    others = [folder / "of somebody else", folder / "__pycache__" / "other.nbc"]
    for path in (*former, *others):
        path.write_bytes(bytes(10_000))
    age(folder)
    assert not was_found(2)
    (one,) = folder.glob("*.machinecode")
    monkeypatch.setenv("AUTODIFF_CACHE_SIZE", str(one.stat().st_size * 2.5 / 1e6))
    age(folder)
    assert not was_found(3)
    age(folder)
    assert was_found(2)
    age(folder)
    assert not was_found(4)  # for which 3 goes, and what a former version left
    assert not any(path.exists() for path in former)
    assert all(path.exists() for path in others)
    assert len(list(folder.glob("autodiff_program_*"))) == 2
    assert was_found(2)
    assert was_found(4)
    assert not was_found(3)


@pytest.mark.parametrize("size", ["256 MB", "-1", "nan", "lots"])
def test_a_size_that_is_none_is_refused(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODIFF_CACHE_SIZE", size)
    with pytest.raises(ValueError, match=f"AUTODIFF_CACHE_SIZE must say how many megabytes .*, got '{size}'"):
        was_found(2)


def test_files_come_and_go_while_others_read_them(tmp_path: Path) -> None:
    paths = [tmp_path / f"autodiff_program_{number}" for number in range(6)]
    contents = {path: str(path).encode() * 200 for path in paths}
    limit = 2.5 * len(contents[paths[0]])

    def use(seed: int) -> int:
        found = 0
        for path in np.random.default_rng(seed).choice(np.array(paths, object), 200):
            content = cache._read(path)
            assert content in (b"", contents[path])
            found += content != b""
            if not content:
                with contextlib.suppress(FileNotFoundError):  # what was just being written was removed
                    cache._write(path, contents[path], limit)
        return found

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(4)))
    assert not list(tmp_path.glob("*.tmp"))
    assert sum(sizes(tmp_path).values()) <= limit + 4 * len(contents[paths[0]])


def test_processes_that_remove_each_others_files_run(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\nfrom autodiff.compiler import compile\n"
        "for factor in (2, 3, 4):\n"
        "    compiled = compile(lambda x: np.exp(x) * factor, backend='numba')\n"
        "    print(float(compiled(np.zeros(5)).sum()))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "AUTODIFF_CACHE_SIZE": "0.04"}
    command = [sys.executable, "-W", "error::RuntimeWarning", script]
    runs = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [run.communicate()[0] for run in runs] == ["10.0\n15.0\n20.0\n"] * 3
    assert sum(sizes(folder).values()) < 3 * 40_000
