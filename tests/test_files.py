"""Files that are written: where a link leads, as private as they were, nothing but files, and by one run at a time."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import autodiff.files
import nn
from autodiff.files import held, target_of, write_atomically

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, devices and permissions are those of POSIX")


def save_model(path: Path) -> None:
    nn.save(nn.MLP([2, 1], rng=0), path)


def save_checkpoint(path: Path) -> None:
    nn.fit(nn.MLP([2, 1], rng=0), np.ones((4, 2)), np.ones((4, 1)), loss="mse_loss", epochs=1, checkpoint=path, rng=0)


def save_history(path: Path) -> None:
    nn.History(loss=[0.5], seconds=[1.0]).to_csv(path)


def save_drawing(path: Path) -> None:
    ad.draw(ad.Tensor(2.0) ** 3).save(path)


def save_program(path: Path) -> None:
    step = ad.compile(lambda x: x * 2)
    step(np.ones(3))
    step.save(path)


WRITERS = [save_model, save_checkpoint, save_history, save_drawing, save_program]
writers = pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Links


@writers
def test_a_link_stays_and_what_it_leads_to_is_written(write: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link, other = tmp_path / "there" / "file.dot", tmp_path / "link.dot", tmp_path / "other.dot"
    link.symlink_to("there/file.dot")
    other.symlink_to(link)  # a link to a link, and both lead to nothing yet
    write(other)
    first = target.read_bytes()
    if write is save_checkpoint:  # it would go on
        target.unlink()
    else:
        target.write_bytes(b"before")
    write(link)
    assert link.is_symlink()
    assert other.is_symlink()
    assert target.read_bytes()[:8] == first[:8]
    assert len(target.read_bytes()) > 6
    assert listing(tmp_path) == ["link.dot", "other.dot", "there"]
    assert listing(tmp_path / "there") == ["file.dot"]


@writers
def test_a_link_into_a_folder_that_is_missing(write: Any, tmp_path: Path) -> None:
    (tmp_path / "link.dot").symlink_to(tmp_path / "missing" / "file.dot")
    with pytest.raises(FileNotFoundError, match=r"link\.dot"):
        write(tmp_path / "link.dot")
    assert listing(tmp_path) == ["link.dot"]


@writers
def test_links_in_a_circle(write: Any, tmp_path: Path) -> None:
    (tmp_path / "one.dot").symlink_to(tmp_path / "two.dot")
    (tmp_path / "two.dot").symlink_to(tmp_path / "one.dot")
    with pytest.raises(OSError, match=r"one\.dot.*symbolic links") as caught:
        write(tmp_path / "one.dot")
    assert caught.value.errno == errno.ELOOP
    assert listing(tmp_path) == ["one.dot", "two.dot"]


def test_a_link_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(IsADirectoryError, match=r"cannot write .*link: is a folder; name a file in it"):
        write_atomically(tmp_path / "link", b"new")
    write_atomically(tmp_path / "link" / "file", b"new")
    assert (tmp_path / "folder" / "file").read_bytes() == b"new"


# What is no file


@pytest.fixture
def specials(tmp_path: Path) -> Iterator[dict[str, Path]]:
    os.mkfifo(tmp_path / "pipe.dot")
    (tmp_path / "null.dot").symlink_to("/dev/null")
    (tmp_path / "folder.dot").mkdir()
    with socket.socket(socket.AF_UNIX) as listening, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)  # a socket's path must be short
        listening.bind("socket.dot")
        yield {name: tmp_path / f"{name}.dot" for name in ("pipe", "null", "folder", "socket")}


@writers
@pytest.mark.parametrize("kind", ["pipe", "null", "folder", "socket"])
def test_what_is_no_file_is_refused_and_stays(write: Any, kind: str, specials: dict[str, Path]) -> None:
    path = specials[kind]
    before, names = os.lstat(path), listing(path.parent)
    with pytest.raises(OSError, match=rf"{kind}\.dot.* (is a folder; name|is a device, a pipe or a socket)") as caught:
        write(path)
    assert type(caught.value) is (IsADirectoryError if kind == "folder" else OSError)
    assert (os.lstat(path).st_ino, os.lstat(path).st_mode) == (before.st_ino, before.st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert listing(path.parent) == names


# Permissions


@pytest.mark.parametrize("existing", [0o600, 0o640, 0o444 | 0o200, 0o777])
@writers
def test_permissions_are_kept(write: Any, existing: int, tmp_path: Path) -> None:
    path = tmp_path / "file.dot"
    write(path)
    path.chmod(existing)
    if write is save_checkpoint:
        write_atomically(path, path.read_bytes())
    else:
        write(path)
    assert mode(path) == existing


@writers
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_is_as_private_as_any(write: Any, umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write(tmp_path / "file.dot")
    finally:
        os.umask(before)
    assert mode(tmp_path / "file.dot") == 0o666 & ~umask


def test_a_draft_of_a_private_file_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o600)
    modes = []
    chmod, fsync = Path.chmod, os.fsync
    monkeypatch.setattr(Path, "chmod", lambda path, bits: (modes.append(mode(path)), chmod(path, bits)))
    monkeypatch.setattr(os, "fsync", lambda file: (modes.append(stat.S_IMODE(os.fstat(file).st_mode)), fsync(file)))
    write_atomically(path, b"new")
    assert modes == [0o600, 0o600, mode(tmp_path)]  # the last is the folder's
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_owner_and_group_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 1234, 5678)
    path.chmod(0o640)
    write_atomically(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (1234, 5678, 0o640)


def test_a_file_that_may_not_be_written_is_not_replaced() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        path = Path(folder, "file")
        path.write_bytes(b"old")
        path.chmod(0o444)
        user = os.geteuid()
        if user == 0:  # who may write anything
            os.seteuid(65534)
        try:
            with pytest.raises(PermissionError, match=f"cannot write {path}: Permission denied"):
                write_atomically(path, b"new")
        finally:
            os.seteuid(user)
        assert path.read_bytes() == b"old"
        assert listing(Path(folder)) == ["file"]


# One at a time


def test_a_file_is_held_once(tmp_path: Path) -> None:
    path, link = tmp_path / "run", tmp_path / "link"
    link.symlink_to(path)
    path.write_bytes(b"old")
    with held("f", path):
        for other in (path, link):
            with (
                pytest.raises(BlockingIOError, match=f"f: another run is writing {other}; let it end first"),
                held("f", other),
            ):
                raise AssertionError("held twice")
        with held("f", tmp_path / "other"):
            write_atomically(path, b"new")  # which does not let it go
        with pytest.raises(BlockingIOError), held("f", path):
            raise AssertionError("held twice")
    with held("f", link):
        pass
    assert listing(tmp_path) == ["link", "run"]


def test_it_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), held("f", tmp_path / "run"):
        raise ZeroDivisionError
    assert listing(tmp_path) == []


def test_drafts_of_killed_writers_are_removed_by_the_next_holder(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from autodiff.files import held, write_atomically\n"
    code += "os.fsync = lambda file: os.kill(os.getpid(), 9)\n"
    code += "with held('f', Path(sys.argv[1])): write_atomically(Path(sys.argv[1]), b'half')"
    for name in ("run", "another"):
        process = subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=False)
        assert process.returncode == -signal.SIGKILL
    assert len(listing(tmp_path)) == 4  # of each a draft and a lock
    with held("f", tmp_path / "run"), held("f", tmp_path / "another"):
        pass
    assert listing(tmp_path) == []


def test_many_threads_never_hold_it_together(tmp_path: Path) -> None:
    inside, most, held_by, refused = 0, 0, [0] * 4, 0
    counting = threading.Lock()

    def work(k: int) -> None:
        nonlocal inside, most, refused
        for _ in range(200):
            try:
                with held("f", tmp_path / "run"):
                    with counting:
                        inside += 1
                        most = max(most, inside)
                        held_by[k] += 1
                    with counting:
                        inside -= 1
            except BlockingIOError:
                with counting:
                    refused += 1

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert sum(held_by) + refused == 800
    assert sum(held_by) > 0
    assert listing(tmp_path) == []


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), OSError(errno.ENOSYS, "no locks")], ids=repr)
@pytest.mark.parametrize("call", ["open", "flock"])
def test_where_nothing_can_be_locked_nobody_is_refused(
    call: str, error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    owner: Any = autodiff.files if call == "open" else fcntl
    original = getattr(owner, call, open)

    def fail(file: Any, *args: Any, **options: Any) -> Any:
        if call == "flock" or str(file).endswith("lock"):
            raise error
        return original(file, *args, **options)

    monkeypatch.setattr(owner, call, fail, raising=False)
    with held("f", tmp_path / "run"), held("f", tmp_path / "run"):
        write_atomically(tmp_path / "run", b"new")
    assert (tmp_path / "run").read_bytes() == b"new"
    assert listing(tmp_path) == ["run"]


def test_the_file_of_a_path(tmp_path: Path) -> None:
    folder = Path(os.path.realpath(tmp_path))
    (tmp_path / "link").symlink_to("nothing")
    assert target_of(tmp_path / "link") == folder / "nothing"
    assert target_of(tmp_path / "new") == folder / "new"


def test_files_that_many_write_at_once_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    errors: list[BaseException] = []

    def write(letter: bytes) -> None:
        try:
            for _ in range(25):
                write_atomically(path, 10_000 * letter)
                content = path.read_bytes()
                assert content == 10_000 * content[:1]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert listing(tmp_path) == ["file"]
