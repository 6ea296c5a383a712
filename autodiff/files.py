"""Files that are whole at every moment."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name beside its place, then rename it: the path never holds half of it.

    Raises:
        OSError: the path cannot be written. What it held before is still there, and nothing else is left behind, unless
            the process is killed; see `remove_drafts`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder, "greeting"), b"hello")
        ...     Path(folder, "greeting").read_bytes()
        b'hello'
    """
    draft = path.parent / f"{_of_drafts(path)}{secrets.token_hex(8)}.tmp"
    try:
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise type(error)(error.errno, f"cannot write {path}: {error.strerror or error}") from error


def remove_drafts(path: Path) -> None:
    """Remove what processes left behind that were killed while they wrote this file; no other may be writing it now.

    Raises:
        OSError: the folder cannot be read or changed.
    """
    for draft in path.parent.glob(f"{_of_drafts(path)}*.tmp"):
        draft.unlink(missing_ok=True)


def _of_drafts(path: Path) -> str:
    """Give what the names of this file's drafts begin with, and no other's; of one length, however long its name."""
    return f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}-"
