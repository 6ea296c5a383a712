"""Products of vectors, matrices and stacks of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from tests.cases.case import Case, Sampler

sampler = Sampler(1)
normal = sampler.normal


def linalg() -> Iterator[Case]:
    lefts = {1: (3,), 2: (2, 3), 3: (2, 2, 3), 4: (1, 2, 2, 3)}
    rights = {1: (3,), 2: (3, 4), 3: (2, 3, 1), 4: (2, 1, 3, 2)}
    for x, y in product(lefts.values(), rights.values()):
        yield Case(f"matmul {x} {y}", np.matmul, (normal(*x), normal(*y)), torch="matmul")
    for x, y in (
        ((1, 2, 3), (4, 3, 2)),
        ((3, 1, 2, 1), (2, 1, 2)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 2)),
        ((0,), (0,)),
        ((2, 3), (5, 0, 3, 2)),
    ):
        yield Case(f"matmul {x} {y}", np.matmul, (normal(*x), normal(*y)), torch="matmul")
    lefts |= {0: (), 4: (1, 2, 1, 3)}
    rights |= {0: ()}

    def tensordot(torch: Any, x: Any, y: Any) -> Any:
        return torch.tensordot(x, y, ([x.ndim - 1], [max(y.ndim - 2, 0)])) if x.ndim and y.ndim else x * y

    for x, y in product(lefts.values(), rights.values()):
        yield Case(f"dot {x} {y}", np.dot, (normal(*x), normal(*y)), torch=tensordot)
    for x, y in (((0, 3), (3, 2)), ((2, 0), (0, 2)), ((0,), (0,))):
        yield Case(f"dot {x} {y}", np.dot, (normal(*x), normal(*y)), torch=tensordot)
    yield Case("matmul with a list on the right", lambda x: x @ [1.0, -2.0, 3.0], (normal(2, 3),))
    yield Case("matmul with a list on the left", lambda y: [1.0, -2.0, 3.0] @ y, (normal(3, 2),))
    yield Case(
        "matmul with nested lists",
        lambda x: np.matmul(np.matmul([[1.0, 2.0]], x), [[1.0], [2.0], [3.0]]),
        (normal(2, 3),),
    )
    yield Case("dot with a list", lambda x: np.dot(x, [1.0, -2.0, 3.0]) + np.dot([1.0, 2.0], x)[0], (normal(2, 3),))
    yield Case("dot with a number", lambda x: np.dot(x, 2.5) + np.dot(2, x), (normal(2, 3),))
    yield Case("dot()", lambda x: x.dot(x.T), (normal(2, 3),), torch=lambda _, x: x @ x.T)
    yield Case("matmul of a Tensor with itself", lambda x: x @ x.T, (normal(2, 3),), torch=lambda _, x: x @ x.T)


def vectors() -> Iterator[Case]:
    """Products of vectors."""
    for x, y in (((3,), (3,)), ((2, 3), (2, 3)), ((2, 3), (3, 2)), ((), ()), ((0,), (0,))):
        yield Case(
            f"vdot {x} {y}",
            np.vdot,
            (normal(*x), normal(*y)),
            torch=lambda t, x, y: t.vdot(x.reshape(-1), y.reshape(-1)),
        )
    yield Case("vdot with a list", lambda x: np.vdot(x, [1.0, 2.0]) * np.vdot([[3.0], [4.0]], x), (normal(2),))
    for x, y in (((3,), (3,)), ((2, 3), (3,)), ((3,), (2, 3)), ((2, 3), (4, 3)), ((2, 1, 3), (2, 2, 3)), ((0,), (0,))):
        yield Case(f"inner {x} {y}", np.inner, (normal(*x), normal(*y)), torch="inner")
    for x, y in (((), (2, 3)), ((2, 3), ()), ((), ()), ((2, 0), (3, 0))):
        yield Case(f"inner {x} {y}", np.inner, (normal(*x), normal(*y)), torch="inner")
    yield Case("inner with lists", lambda x: np.inner(x, [1.0, 2.0]) * np.inner([2.0, 3.0], x), (normal(3, 2),))
    for name, outer, shapes in (
        ("outer", np.outer, (((2,), (3,)), ((2, 2), (3,)), ((), (2, 1)), ((1,), (1,)), ((0,), (2,)))),
        ("linalg.outer", np.linalg.outer, (((2,), (3,)), ((2,), (0,)))),
    ):
        for x, y in shapes:
            yield Case(
                f"{name} {x} {y}",
                outer,
                (normal(*x), normal(*y)),
                torch=lambda t, x, y: t.outer(x.reshape(-1), y.reshape(-1)),
            )
    yield Case("outer with lists", lambda x: np.outer(x, [1.0, 2.0]) + np.outer([1.0, 2.0], x), (normal(2),))
    for name, vecdot in (("vecdot", np.vecdot), ("linalg.vecdot", np.linalg.vecdot)):
        for x, y in (((3,), (3,)), ((2, 3), (3,)), ((3,), (2, 3)), ((2, 1, 3), (4, 3)), ((2, 0), (2, 0))):
            yield Case(f"{name} {x} {y}", vecdot, (normal(*x), normal(*y)), torch=lambda t, x, y: t.linalg.vecdot(x, y))
        yield Case(
            f"{name}, axis=0",
            lambda x, y, vecdot=vecdot: vecdot(x, y, axis=0),
            (normal(3, 1), normal(3, 2)),
            torch=lambda t, x, y: t.linalg.vecdot(x, y, dim=0),
        )
        yield Case(
            f"{name}, axis=-2",
            lambda x, y, vecdot=vecdot: vecdot(x, y, axis=-2),
            (normal(3, 2), normal(4, 3, 1)),
            torch=lambda t, x, y: t.linalg.vecdot(x, y, dim=-2),
        )
    yield Case("vecdot with lists", lambda x: np.vecdot(x, [1.0, 2.0]) * np.vecdot([2.0, 3.0], x), (normal(3, 2),))
    if hasattr(np, "matvec"):
        for x, y in (((2, 3), (3,)), ((4, 2, 3), (3,)), ((2, 3), (4, 3)), ((2, 1, 2, 3), (4, 3)), ((0, 3), (3,))):
            yield Case(
                f"matvec {x} {y}",
                np.matvec,
                (normal(*x), normal(*y)),
                torch=lambda _, x, y: (x @ y[..., None])[..., 0],
            )
            yield Case(
                f"vecmat {y} {x}",
                lambda y, x: np.vecmat(y, np.swapaxes(x, -1, -2)),
                (normal(*y), normal(*x)),
                torch=lambda _, y, x: (x @ y[..., None])[..., 0],
            )
        yield Case(
            "matvec with lists", lambda x: np.matvec(x, [1.0, 2.0]) * np.matvec([[2.0, 3.0]], x), (normal(2, 2),)
        )
    for x, y in (
        ((3,), (3,)),
        ((2, 3), (2, 3)),
        ((2, 3), (3,)),
        ((3,), (2, 1, 3)),
        ((2, 1, 3), (4, 3)),
        ((0, 3), (3,)),
    ):
        yield Case(
            f"cross {x} {y}",
            np.cross,
            (normal(*x), normal(*y)),
            torch=lambda t, x, y: t.linalg.cross(x + 0 * y, y + 0 * x),
        )
    for axis in (0, -2, 1):
        yield Case(
            f"cross, axis={axis}",
            lambda x, y, axis=axis: np.cross(x, y, axis=axis),
            (normal(3, 3, 2), normal(3, 3, 2)),
            torch=lambda t, x, y, axis=axis: t.linalg.cross(x, y, dim=axis),
        )
        yield Case(
            f"linalg.cross, axis={axis}",
            lambda x, y, axis=axis: np.linalg.cross(x, y, axis=axis),
            (normal(3, 3, 2), normal(3, 3, 2)),
            torch=lambda t, x, y, axis=axis: t.linalg.cross(x, y, dim=axis),
        )
    yield Case("cross, axisa, axisb, axisc", lambda x, y: np.cross(x, y, 0, -2, 1), (normal(3, 2, 4), normal(2, 3, 4)))
    yield Case("cross, axisc=0", lambda x, y: np.cross(x, y, axisc=0), (normal(2, 3), normal(3)))
    yield Case(
        "cross with lists", lambda x: np.cross(x, [1.0, 2.0, 3.0]) * np.cross([2.0, 1.0, 3.0], x), (normal(2, 3),)
    )
    yield Case(
        "linalg.cross", np.linalg.cross, (normal(2, 3), normal(2, 3)), torch=lambda t, x, y: t.linalg.cross(x, y)
    )


def sums_of_products() -> Iterator[Case]:
    """Sums of products over any axes."""
    for x, y, axes in (
        ((2, 3, 4), (3, 4, 2), 2),
        ((2, 3), (3, 2), 1),
        ((2, 3), (4,), 0),
        ((2, 3), (2, 3), 2),
        ((2, 3, 4), (4, 5, 3), ([1, 2], [2, 0])),
        ((4, 3, 2), (2, 4, 3), ((1, 0, 2), (2, 1, 0))),
        ((2, 3, 4), (3, 2), ([-2], [0])),
        ((2, 3), (3, 1), (1, 0)),
        ((2, 3), (2, 3), [[0], [0]]),
        ((2, 0), (0, 3), 1),
        ((), (2,), 0),
    ):
        dims = (
            tuple([one] if isinstance(one, int) else list(one) for one in axes) if not isinstance(axes, int) else axes
        )
        yield Case(
            f"tensordot {x} {y}, axes {axes}",
            lambda x, y, axes=axes: np.tensordot(x, y, axes),
            (normal(*x), normal(*y)),
            torch=lambda t, x, y, dims=dims: t.tensordot(x, y, dims),
        )
    yield Case("tensordot", np.tensordot, (normal(2, 3, 2), normal(3, 2)), torch="tensordot")
    yield Case("linalg.tensordot", np.linalg.tensordot, (normal(2, 3, 2), normal(3, 2)), torch="tensordot")
    yield Case(
        "linalg.tensordot, axes=",
        lambda x, y: np.linalg.tensordot(x, y, axes=([0], [1])),
        (normal(2, 3), normal(3, 2)),
        torch=lambda t, x, y: t.tensordot(x, y, ([0], [1])),
    )
    yield Case(
        "tensordot with lists",
        lambda x: np.tensordot(x, [1.0, 2.0], 1) * np.tensordot([[1.0, 2.0]], x, (1, 0)),
        (normal(2, 2),),
    )
    for x, y in (
        ((2,), (3,)),
        ((2, 3), (3, 2)),
        ((2,), (2, 3)),
        ((1, 2, 2), (3,)),
        ((), (2, 2)),
        ((0,), (2,)),
        ((), ()),
    ):
        yield Case(f"kron {x} {y}", np.kron, (normal(*x), normal(*y)), torch="kron")
    yield Case("kron with lists", lambda x: np.kron(x, [1.0, 2.0]) + np.kron([1.0, 2.0], x), (normal(2),))
    for subscripts, *shapes in (
        ("ij,jk->ik", (2, 3), (3, 4)),
        ("ij,jk", (2, 3), (3, 4)),
        ("ba,cb", (2, 3), (4, 2)),
        (" ij , jk -> ki ", (2, 3), (3, 4)),
        ("ij->ji", (2, 3)),
        ("ba", (2, 3)),
        ("ij->", (2, 3)),
        ("ij->i", (2, 3)),
        ("ii", (3, 3)),
        ("ii->i", (3, 3)),
        ("iji->j", (2, 3, 2)),
        ("iij,jj->i", (2, 2, 3), (3, 3)),
        ("iii->i", (2, 2, 2)),
        ("ijij->ij", (2, 3, 2, 3)),
        ("iijj", (2, 2, 3, 3)),
        ("i,i", (3,), (3,)),
        ("i,j->ij", (2,), (3,)),
        ("ij,k->k", (2, 3), (4,)),
        ("ij,jk->k", (2, 3), (3, 4)),
        (",ij->ji", (), (2, 3)),
        (",", (), ()),
        ("", ()),
        ("i,ij,j->", (2,), (2, 3), (3,)),
        ("ij,jk,kl->il", (2, 3), (3, 1), (1, 2)),
        ("ij,ij,ij->ij", (2, 3), (2, 3), (2, 3)),
        ("a,b,c,d->dbca", (2,), (3,), (1,), (2,)),
        ("...ij,...jk->...ik", (4, 2, 3), (4, 3, 2)),
        ("...ij,...jk->...ik", (4, 2, 3), (3, 2)),
        ("...ij,...jk->...ik", (1, 2, 3), (4, 1, 3, 2)),
        ("...ij,...jk", (4, 2, 3), (3, 2)),
        ("i...->...", (3, 2, 2)),
        ("...i->...", (2, 3)),
        ("...ii->...i", (2, 3, 3)),
        ("i...i", (3, 2, 3)),
        ("...,...", (2, 3), (3,)),
        ("...,i->i...", (2, 2), (3,)),
        ("ij,jk->ik", (0, 3), (3, 2)),
        ("ij,jk->ik", (2, 0), (0, 2)),
    ):
        yield Case(
            f"einsum {subscripts!r} {' '.join(map(str, shapes))}",
            lambda *xs, s=subscripts: np.einsum(s, *xs),
            tuple(normal(*shape) for shape in shapes),
            torch=lambda t, *xs, s=subscripts: t.einsum(s, *xs),
        )
    # PyTorch refuses an axis of length one where another operand's is longer.
    for x, y in (((2, 1), (3, 2)), ((2, 3), (1, 2)), ((2, 1), (0, 2))):
        yield Case(f"einsum, axes of one {x} {y}", lambda x, y: np.einsum("ij,jk", x, y), (normal(*x), normal(*y)))
    yield Case(
        "einsum, an axis of one in the result", lambda x, y: np.einsum("ij,ij->ij", x, y), (normal(2, 1), normal(2, 3))
    )
    yield Case("einsum, a sum of nothing", lambda x, y: np.einsum("ij,k", x, y), (normal(2, 0), normal(3)))
    for optimize in (True, "greedy", "optimal", ["einsum_path", (0, 2), (0, 1)]):
        yield Case(
            f"einsum, optimize={optimize!r}",
            lambda x, y, z, optimize=optimize: np.einsum("ij,jk,ki->i", x, y, z, optimize=optimize),
            (normal(2, 3), normal(3, 2), normal(2, 2)),
            torch=lambda t, x, y, z: t.einsum("ij,jk,ki->i", x, y, z),
        )
    yield Case(
        "einsum of lists of labels",
        lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [2, 0]),
        (normal(2, 3), normal(3, 2)),
        torch=lambda t, x, y: t.einsum("ij,jk->ki", x, y),
    )
    yield Case(
        "einsum of lists of labels, the result implied",
        lambda x, y: np.einsum(x, [Ellipsis, 7, 3], y, [3, 1]),
        (normal(2, 2, 3), normal(3, 2)),
        torch=lambda t, x, y: t.einsum("...cb,ba->...ac", x, y),
    )
    yield Case("einsum of one array and its labels", lambda x: np.einsum(x, [0, 0]), (normal(3, 3),), torch="trace")
    yield Case("einsum with a list", lambda x: np.einsum("i,ij->j", [1.0, 2.0], x), (normal(2, 3),))
    yield Case("einsum of an array with itself", lambda x: np.einsum("ij,kj->ik", x, x), (normal(2, 3),))


def diagonals() -> Iterator[Case]:
    """Diagonals and triangles."""

    def powers(torch: Any, x: Any, N: int, increasing: bool) -> Any:
        # torch.vander writes into what its own gradient needs.
        return x[:, None] ** (torch.arange(N) if increasing else torch.arange(N - 1, -1, -1))

    for dtype in (np.longdouble, np.int64):
        yield Case(
            f"trace in {dtype.__name__}",
            lambda x, d=dtype: np.trace(x, 1, dtype=d) * np.linalg.trace(x, offset=-1, dtype=d) * x,
            (2 * normal(3, 3),),
        )
    for shape, offset, axis1, axis2 in (
        ((3, 3), 0, 0, 1),
        ((2, 4), 0, 0, 1),
        ((4, 2), 0, 0, 1),
        ((2, 4), 1, 0, 1),
        ((4, 3), -2, 0, 1),
        ((2, 3), 1, 1, 0),
        ((2, 3, 4), 0, 0, 1),
        ((2, 3, 4), 1, -2, -1),
        ((2, 3, 4), -1, 2, 0),
        ((2, 3), 5, 0, 1),
        ((0, 3), 0, 0, 1),
        ((1, 1), 0, 0, 1),
    ):
        yield Case(
            f"diagonal {shape}, offset {offset}, axes {axis1} {axis2}",
            lambda x, o=offset, a=axis1, b=axis2: np.diagonal(x, o, a, b),
            (normal(*shape),),
            torch=None if offset > 4 else lambda t, x, o=offset, a=axis1, b=axis2: t.diagonal(x, o, a, b),
        )
        yield Case(
            f"trace {shape}, offset {offset}, axes {axis1} {axis2}",
            lambda x, o=offset, a=axis1, b=axis2: np.trace(x, offset=o, axis1=a, axis2=b),
            (normal(*shape),),
            torch=None if offset > 4 else lambda t, x, o=offset, a=axis1, b=axis2: t.diagonal(x, o, a, b).sum(-1),
        )
    for offset in (0, 1, -1):
        yield Case(
            f"linalg.diagonal, offset {offset}",
            lambda x, offset=offset: np.linalg.diagonal(x, offset=offset),
            (normal(2, 3, 4),),
            torch=lambda t, x, offset=offset: t.linalg.diagonal(x, offset=offset),
        )
        yield Case(
            f"linalg.trace, offset {offset}",
            lambda x, offset=offset: np.linalg.trace(x, offset=offset),
            (normal(2, 3, 4),),
            torch=lambda t, x, offset=offset: t.linalg.diagonal(x, offset=offset).sum(-1),
        )
    for k in (0, 2, -1):
        for shape in ((3,), (3, 3), (2, 4), (4, 2), (0,), (1, 1)):
            yield Case(
                f"diag {shape}, k={k}",
                lambda v, k=k: np.diag(v, k=k),
                (normal(*shape),),
                # PyTorch refuses diagonals that lie outside.
                torch=None if shape in ((1, 1), (4, 2)) and k else lambda t, v, k=k: t.diag(v, k),
            )
        for shape in ((2,), (2, 2), ()):
            yield Case(
                f"diagflat {shape}, k={k}",
                lambda v, k=k: np.diagflat(v, k),
                (normal(*shape),),
                torch=lambda t, v, k=k: t.diagflat(v, k),
            )
        for shape in ((3, 3), (2, 4), (4, 2), (2, 3, 3), (0, 2), (1, 1)):
            for name, function in (("tril", np.tril), ("triu", np.triu)):
                yield Case(
                    f"{name} {shape}, k={k}",
                    lambda m, k=k, f=function: f(m, k=k),
                    (normal(*shape),),
                    torch=lambda t, m, k=k, name=name: getattr(t, name)(m, k),
                )
    yield Case("tril and triu of a vector", lambda m: np.tril(m) * np.triu(m, -1), (normal(3),))
    for N, increasing in product((None, 5, 1, 0), (False, True)):
        yield Case(
            f"vander, N={N}, increasing={increasing}",
            lambda x, N=N, increasing=increasing: np.vander(x, N, increasing),
            (np.array([0.5, -1.5, 2.0]),),
            torch=lambda t, x, N=N, increasing=increasing: powers(t, x, len(x) if N is None else N, increasing),
        )
    yield Case("vander at 0", lambda x: np.vander(x, 4), (np.array([0.0, -1.0]),))
    yield Case("linalg.matmul", np.linalg.matmul, (normal(2, 2, 3), normal(3, 4)), torch="matmul")
    yield Case("linalg.matmul of a vector", np.linalg.matmul, (normal(3), normal(2, 3, 4)), torch="matmul")
    yield Case("linalg.matrix_transpose", np.linalg.matrix_transpose, (normal(2, 3, 4),), torch=lambda _, x: x.mT)


CASES = [*linalg(), *vectors(), *sums_of_products(), *diagonals()]
