"""Files that are whole at every moment."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name beside its place, then rename it: the path never holds half of it.

    Raises:
        OSError: the path cannot be written. What it held before is still there, and nothing else is left behind.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder, "greeting"), b"hello")
        ...     Path(folder, "greeting").read_bytes()
        b'hello'
    """
    draft = path.parent / f".{secrets.token_hex(8)}.tmp"
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
