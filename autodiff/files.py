"""Files that are whole at every moment, and that one run at a time holds."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name beside its place, then rename it: the path never holds half of it.

    A link stays, and what it leads to is written. A file that was there before keeps its permissions and, as far as the
    process may give them, its owner and group; a new one has those of any new file. Other names of the old file (hard
    links) still have the old content. What was written outlives a crash of the machine, where its disk keeps its word.

    Raises:
        OSError: the path cannot be written, or is none for a file; see `target_of`. What it held before is still there,
            and nothing else is left behind, unless the process is killed; see `held`.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(pathlib.Path(folder, "greeting"), b"hello")
        ...     pathlib.Path(folder, "greeting").read_bytes()
        b'hello'
    """
    try:
        target = target_of(path)
        before = target.stat() if target.exists() else None
        if before is not None:
            os.close(os.open(target, os.O_WRONLY))  # what may not be changed is not replaced either
        draft = target.parent / f"{_beside(target)}{secrets.token_hex(8)}.tmp"
        try:
            # Nobody may read meanwhile what only some may read in the end.
            with open(draft, "xb", opener=partial(os.open, mode=0o666 if before is None else 0o600)) as file:
                if before is not None:
                    _make_like(before, draft)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)
        _keep_names(target.parent)
    except OSError as error:
        raise type(error)(error.errno, f"cannot write {path}: {error.strerror or error}") from error


def target_of(path: Path) -> Path:
    """Give the file that is written where a path says so: what it leads to, if it is a link, and there or not.

    Raises:
        OSError: it is a folder, a device, a pipe or a socket, a link that leads back to itself, or cannot be looked at.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return target
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder; name a file in it")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is a device, a pipe or a socket, and no file")
    return target


@contextlib.contextmanager
def held(caller: str, path: Path) -> Iterator[None]:
    """Keep a file for oneself for a while: whoever else would hold it is refused, in any process or thread.

    What processes left behind that were killed while they wrote the file is removed first. Afterwards nothing is left,
    and what a killed holder leaves is in nobody's way. Where nothing can be locked (a folder that cannot be written, a
    file system without locks, Windows) the file is not held, and nobody is refused.

    Raises:
        BlockingIOError: another holds it now.
        OSError: it is none for a file; see `target_of`.
    """
    target = target_of(path)
    lock = target.parent / f"{_beside(target)}lock"
    file = None
    try:
        try:
            file = _locked(lock)
        except BlockingIOError as error:
            raise BlockingIOError(
                error.errno, f"{caller}: another run is writing {path}; let it end first, or give this one another path"
            ) from None
        except OSError:  # nobody can hold it
            pass
        if file is not None:
            for draft in target.parent.glob(f"{_beside(target)}*.tmp"):
                with contextlib.suppress(OSError):  # it stays, and is in nobody's way
                    draft.unlink()
        yield
    finally:
        if file is not None:
            with file, contextlib.suppress(OSError):
                lock.unlink()


def _locked(lock: Path) -> BinaryIO | None:
    """Open and lock a file, and make it if there is none.

    Python closes a file that nobody knows: a Ctrl-C, whenever it comes, leaves no lock that this process has.
    """
    while sys.platform != "win32":
        file = open(lock, "ab")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if not isinstance(error, BlockingIOError):  # there are no locks here
                lock.unlink(missing_ok=True)
            raise
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # it is no file any more: its holder removed it just now, and another may hold a new one
    return None


def _keep_names(folder: Path) -> None:
    """Have the names of a folder's files written to the disk, where the system can: they are not with the files."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _make_like(before: os.stat_result, path: Path) -> None:
    """Give a file the owner, group and permissions of another."""
    for owner, group in ((before.st_uid, -1), (-1, before.st_gid)) if hasattr(os, "chown") else ():
        with contextlib.suppress(PermissionError):
            os.chown(path, owner, group)
    path.chmod(stat.S_IMODE(before.st_mode))


def _beside(path: Path) -> str:
    """Give what the names of this file's drafts and lock begin with; of one length, however long its own name."""
    return f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}-"
