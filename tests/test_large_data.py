"""Training by ranks from a file that fits into the memory of none of them: each reads its own rows, as they come."""

from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn
from tests import ranks

pytest.importorskip("mpi4py")

ROWS, COLUMNS = 2**14, 2**14  # a row of 64 KiB, which Linux maps at once, and no more
ROOM = 2**27  # bytes beside what a rank has when it begins: an eighth of the file


def train(path: Path, comm: Any = None) -> tuple[np.memmap[Any, Any], nn.Module]:
    """Train on the rows of a file, once on each."""
    X = np.memmap(path, np.float32, "r", shape=(ROWS, COLUMNS))
    X.base.madvise(mmap.MADV_RANDOM)  # so that the system brings the pages that are read, and not also their neighbours
    y = np.random.default_rng(0).integers(0, 2, ROWS)
    model = nn.Linear(COLUMNS, 2, rng=0)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    nn.fit(model, X, y, optimizer=optimizer, epochs=1, batch_size=256, rng=0, comm=comm)
    return X, model


def with_little_memory(path: str, weights: str) -> tuple[int, int, bool]:
    """Train as a rank, let the first write the weights, and give the limit, what came into memory, and if all fits."""
    import resource

    from mpi4py import MPI

    limit = in_kibibytes("/proc/self/status", "VmData") * 1024 + ROOM
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    comm = MPI.COMM_WORLD
    X, model = train(Path(path), comm)
    # How many of the file's bytes have come into this process.
    read = in_kibibytes("/proc/self/smaps", f"{re.escape(path)}\n.*?Rss") * 1024
    try:
        np.array(X)
        fits = True
    except MemoryError:
        fits = False
    if comm.rank == 0:
        nn.save(model, weights)
    return limit, read, fits


def in_kibibytes(file: str, name: str) -> int:
    """Give a number of a file of the system."""
    found = re.search(rf"{name}:\s*(\d+) kB", Path(file).read_text(), re.DOTALL)
    assert found is not None
    return int(found[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the limit does not count what is mapped")
def test_each_rank_reads_its_rows_of_a_file_larger_than_its_memory(tmp_path: Path) -> None:
    path, weights = tmp_path / "X.bin", tmp_path / "weights.safetensors"
    rng = np.random.default_rng(0)
    with path.open("wb") as file:  # sparse: it takes the space of a few rows
        for row in np.sort(rng.choice(ROWS, 64, replace=False)):
            file.seek(4 * COLUMNS * row)
            file.write(rng.normal(size=COLUMNS).astype(np.float32).tobytes())
        file.truncate(4 * COLUMNS * ROWS)
    outcome = ranks.run(2, f"{__name__}:with_little_memory", str(path), str(weights))
    size = path.stat().st_size
    for limit, read, fits in outcome.results:
        assert limit < size
        assert not fits
        assert 0.45 * size < read < 0.65 * size
    _, alone = train(path)
    trained = nn.Linear(COLUMNS, 2)
    nn.load(trained, weights)
    for name, tensor in alone.by_path().items():
        np.testing.assert_allclose(trained.by_path()[name].data, tensor.data, rtol=0, atol=1e-5, err_msg=name)
