"""Functions that move elements without changing them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autodiff.tensor import astype
from tests.cases.case import Case, Sampler

sampler = Sampler(3)
normal = sampler.normal


def shapes() -> Iterator[Case]:
    x = normal(2, 3, 4)
    for shape in ((6, 4), (-1,), -1, (4, -1, 2), (2, 3, 4, 1)):
        yield Case(
            f"reshape {shape}", lambda x, s=shape: np.reshape(x, s), (x,), torch=lambda _, x, s=shape: x.reshape(s)
        )
        yield Case(f"reshape {shape}, order F", lambda x, s=shape: np.reshape(x, s, order="F"), (x,))
    yield Case("reshape a number", lambda x: np.reshape(x, (1, 1)), (normal(),), torch=lambda _, x: x.reshape(1, 1))
    yield Case("reshape to a number", lambda x: np.reshape(x, ()), (normal(1, 1),), torch=lambda _, x: x.reshape(()))
    yield Case("reshape nothing", lambda x: np.reshape(x, (3, 0)), (normal(0, 3),), torch=lambda _, x: x.reshape(3, 0))
    yield Case("reshape()", lambda x: x.reshape(4, 6) * x.reshape((4, -1)), (x,))
    for order in "CF":
        yield Case(f"ravel, order {order}", lambda x, order=order: np.ravel(x, order=order), (x,))
    yield Case("ravel", np.ravel, (x,), torch="ravel")
    yield Case(
        "ravel() and flatten()", lambda x: x.ravel() * x.flatten(), (x,), torch=lambda _, x: x.ravel() * x.flatten()
    )
    for axes in (None, (0, 1, 2), (2, 0, 1), (1, 2, 0), (-1, 0, 1), [1, -1, 0]):
        order = (2, 1, 0) if axes is None else tuple(axes)
        yield Case(
            f"transpose {axes}", lambda x, a=axes: np.transpose(x, a), (x,), torch=lambda _, x, a=order: x.permute(a)
        )
    yield Case("transpose, axes=", lambda x: np.transpose(x, axes=(2, 0, 1)), (x,))
    yield Case("transpose()", lambda x: x.transpose() * x.transpose(None) * x.T, (normal(2, 3),))
    yield Case("transpose(*axes)", lambda x: x.transpose(1, 2, 0) * x.transpose((1, 2, 0)), (x,))
    yield Case("mT", lambda x: x.mT, (x,), torch=lambda _, x: x.mT)
    yield Case("T", lambda x: x.T, (normal(2, 3),), torch=lambda _, x: x.T)
    yield Case("swapaxes", lambda x: np.swapaxes(x, 0, -1), (x,), torch=lambda _, x: x.swapaxes(0, -1))
    yield Case("swapaxes()", lambda x: x.swapaxes(1, 2), (x,), torch=lambda _, x: x.swapaxes(1, 2))
    for source, destination in ((0, -1), (-1, 0), (1, 1), ((0, 1), (-1, 0)), ((2, 0), (0, 1))):
        yield Case(
            f"moveaxis {source} {destination}",
            lambda x, s=source, d=destination: np.moveaxis(x, s, d),
            (x,),
            torch=lambda _, x, s=source, d=destination: x.moveaxis(s, d),
        )
    for axis in (0, 1, -1, (0, -1), (1, 3)):
        yield Case(f"expand_dims {axis}", lambda x, axis=axis: np.expand_dims(x, axis), (normal(2, 3),))
    for axis in (None, 0, -1, (0, 2)):
        yield Case(f"squeeze {axis}", lambda x, axis=axis: np.squeeze(x, axis=axis), (normal(1, 3, 1),))
        yield Case(f"squeeze({axis})", lambda x, axis=axis: x.squeeze(axis), (normal(1, 3, 1),))
    yield Case("squeeze to a number", np.squeeze, (normal(1, 1),), torch="squeeze")
    for before, after in (
        ((3,), (2, 3)),
        ((2, 1), (2, 3)),
        ((), (2, 2)),
        ((1, 3), (4, 2, 3)),
        ((2, 3), (2, 3)),
        ((1,), (0,)),
    ):
        yield Case(
            f"broadcast_to {before} {after}",
            lambda x, s=after: np.broadcast_to(x, s),
            (normal(*before),),
            torch=lambda _, x, s=after: x.broadcast_to(s),
        )
    for axis in (0, 1, -1, -2):
        other = (2, 1) if axis in (1, -1) else (1, 3)
        yield Case(
            f"concatenate, axis {axis}",
            lambda *xs, axis=axis: np.concatenate(xs, axis=axis),
            (normal(2, 3), normal(*other), normal(2, 3)),
            torch=lambda t, *xs, axis=axis: t.concatenate(xs, axis),
        )
    for axis in (0, 1, -1, -3):
        yield Case(
            f"stack, axis {axis}",
            lambda *xs, axis=axis: np.stack(xs, axis=axis),
            (normal(2, 3), normal(2, 3)),
            torch=lambda t, *xs, axis=axis: t.stack(xs, axis),
        )
    yield Case(
        "concatenate, axis None",
        lambda *xs: np.concatenate(xs, axis=None),
        (normal(2, 3), normal(), normal(2)),
        torch=lambda t, *xs: t.concatenate([x.ravel() for x in xs]),
    )
    yield Case(
        "concatenate a list",
        lambda x, y: np.concatenate([x, y]),
        (normal(2), normal(3)),
        torch=lambda t, x, y: t.concatenate([x, y]),
    )
    yield Case("concatenate, nothing", lambda x, y: np.concatenate([x, y]), (normal(0, 3), normal(2, 3)))
    yield Case("concatenate with constants", lambda x: np.concatenate([np.ones(2), x, [1.0, 2.0], x]), (normal(2),))
    yield Case("concatenate with numbers", lambda x: np.concatenate([x, 1.0, [[2.0]]], axis=None), (normal(2, 2),))
    yield Case("concatenate the rows of one array", np.concatenate, (normal(2, 3, 2),))
    yield Case(
        "stack numbers",
        lambda x, y: np.stack([x, 1.5, y, x]),
        (normal(), normal()),
        torch=lambda t, x, y: t.stack([x, t.tensor(1.5, dtype=x.dtype), y, x]),
    )
    yield Case("stack the rows of one array", lambda x: np.stack(x, axis=-1), (normal(2, 3, 2),))
    for sections, axis in ((3, 0), ([1, 4], 0), ([2], -1), (2, 1), ([0, 6, 9], 0), (np.array([2, 5]), 0)):
        yield Case(
            f"split {sections}, axis {axis}",
            lambda x, s=sections, axis=axis: np.split(x, s, axis=axis),
            (normal(6, 4),),
        )
    yield Case("split, some parts", lambda x: np.split(x, 3)[1] * 2, (normal(6),), torch=lambda t, x: x.split(2)[1] * 2)
    yield Case("copy", np.copy, (normal(2),), torch="clone")
    yield Case("copy()", lambda x: x.copy() * x, (normal(2),), torch=lambda _, x: x.clone() * x)
    yield Case("astype", lambda x: astype(x, np.float64) * x, (normal(2),))
    yield Case("astype()", lambda x: x.astype(np.longdouble) ** 2, (normal(2),))


CASES = [*shapes()]
