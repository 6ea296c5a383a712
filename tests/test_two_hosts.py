"""Training by ranks on two hosts, that share nothing but a cable: two network namespaces, and TCP between them.

The namespaces belong to processes and have no name outside, so that they end with them, whatever happens. Addresses are
those that are kept for documents, and no route leads anywhere else.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn
from tests.ranks import finished, mpiexec

pytest.importorskip("mpi4py")

HOSTS = """
set -eu
mount -t tmpfs tmpfs /run  # where ip keeps the names of namespaces: here nobody else sees them
hostname first
ip netns add second
ip link add name cable1 type veth peer name cable2 netns second
ip address add 192.0.2.1/30 dev cable1
ip -n second address add 192.0.2.2/30 dev cable2
for name in lo cable1; do ip link set $name up; done
for name in lo cable2; do ip -n second link set $name up; done
"$@"
"""
# How a process is started on a host: what ssh would do.
AGENT = """#!/bin/sh
test "$1" = 192.0.2.2 || exit 1
shift
exec ip netns exec second unshare --uts sh -c "hostname second && $*"
"""


def train(comm: Any = None) -> nn.Module:
    """Train a network, by all ranks of a communicator together."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1001, 64)).astype(np.float32)
    y = X[:, :10].argmax(axis=1)
    model = nn.MLP([64, 128, 10], activation="tanh", rng=0)
    optimizer = nn.optim.Adam(model.parameters(), lr=3e-3)
    nn.fit(model, X, y, optimizer=optimizer, epochs=3, batch_size=50, rng=0, comm=comm)
    return model


def main(path: str) -> None:
    """Be a rank: train, and let the first write the weights and say what was seen on the way."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    model = train(comm)
    weights = np.concatenate([p.data.ravel() for p in model.parameters()])
    every = comm.gather((socket.gethostname(), received_by_cable(), weights), 0)
    if every is not None:
        nn.save(model, path)
        hosts, received, weights = zip(*every)
        print(json.dumps({"hosts": hosts, "received": received, "equal": not np.ptp(weights, axis=0).any()}))


def received_by_cable() -> int:
    """Give the bytes that have come to this host."""
    lines = [line.split(":") for line in Path("/proc/net/dev").read_text().splitlines() if "cable" in line]
    (numbers,) = (numbers for _, numbers in lines)
    return int(numbers.split()[0])


def in_namespaces(*command: str) -> list[str]:
    """Let a command run in namespaces of its own, which end with it, as does all that it starts."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    new = ["unshare", *user, "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["timeout", "--signal=KILL", "100", *new, *command]  # also when nobody is left to wait for it


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces are Linux's")
@pytest.mark.skipif(shutil.which("ip") is None, reason="needs the command ip, of iproute2")
def test_two_hosts_train_as_one_process(tmp_path: Path) -> None:
    agent, path = tmp_path / "agent", tmp_path / "weights.safetensors"
    agent.write_text(AGENT)
    agent.chmod(0o700)
    here = os.readlink("/proc/self/ns/net"), socket.gethostname()
    devices = Path("/proc/net/dev").read_text().count(":")
    on_hosts = "--host", "192.0.2.1:1,192.0.2.2:1", "--map-by", "node", "--prtemca", "plm_ssh_agent", str(agent)
    # Each host takes the cores for its own alone, and would let its rank have the first one, and keep it busy.
    together = "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"
    by_tcp = "--mca", "pml", "ob1", "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "192.0.2.0/30"
    command = [*mpiexec(2, *on_hosts, *together, *by_tcp), sys.executable, "-m", __name__, str(path)]
    returncode, stdout, stderr = finished(in_namespaces("sh", "-c", HOSTS, "sh", *command), 90)
    assert returncode == 0, stderr
    seen = json.loads(stdout)
    assert seen["hosts"] == ["first", "second"]
    assert seen["equal"]
    alone = train()
    steps, gradients = 3 * 21, 4 * alone.num_parameters()
    assert min(seen["received"]) > steps * gradients
    trained = nn.MLP([64, 128, 10], activation="tanh")
    nn.load(trained, path)
    for name, tensor in alone.by_path().items():
        np.testing.assert_allclose(trained.by_path()[name].data, tensor.data, rtol=0, atol=1e-5, err_msg=name)
    assert here == (os.readlink("/proc/self/ns/net"), socket.gethostname())
    assert devices == Path("/proc/net/dev").read_text().count(":")


if __name__ == "__main__":
    main(*sys.argv[1:])
