"""Functions that move elements without changing them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from autodiff.core.tensor import astype
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


def axes() -> Iterator[Case]:
    x = normal(2, 3, 4)
    yield Case("reshape, copy=", lambda x: np.reshape(x, (3, -1), copy=True), (x,))
    yield Case("permute_dims", lambda x: np.permute_dims(x, (1, 2, 0)), (x,), torch=lambda _, x: x.permute(1, 2, 0))
    yield Case("matrix_transpose", np.matrix_transpose, (x,), torch=lambda _, x: x.mT)
    for axis, start in ((0, 2), (2, 0), (1, 3), (0, 0), (-1, 1), (1, -2), (0, -1)):
        yield Case(f"rollaxis {axis} {start}", lambda x, a=axis, s=start: np.rollaxis(x, a, s), (x,))
    for name in ("atleast_1d", "atleast_2d", "atleast_3d"):
        for ndim in range(5):
            # PyTorch puts the third axis elsewhere for some.
            yield Case(
                f"{name} of {ndim} axes",
                getattr(np, name),
                (normal(*(2, 3, 1, 2)[:ndim]),),
                torch=name,
            )
        yield Case(
            f"{name} of several",
            getattr(np, name),
            (normal(), normal(3), normal(2, 2)),
            torch=lambda t, *xs, name=name: getattr(t, name)(xs),
        )
    yield Case("atleast_2d of lists and numbers", lambda x: np.atleast_2d(1.0, x, [2.0, 3.0])[1], (normal(3),))
    yield Case("numpy.astype", lambda x: np.astype(x, np.longdouble) ** 2, (normal(2),))
    yield Case("numpy.astype, copy=", lambda x: np.astype(x, np.longdouble, copy=False) * x, (normal(2),))
    yield Case("numpy.astype to integers", lambda x: np.astype(x, np.int64) * x, (np.array([1.5, -2.5]),))


def several_places() -> Iterator[Case]:
    for shapes in (((2, 1), (3,)), ((), (2, 2), (1, 1)), ((3,),), ((0,), (1,))):
        yield Case(
            f"broadcast_arrays {shapes}",
            np.broadcast_arrays,
            tuple(normal(*shape) for shape in shapes),
            torch=lambda t, *xs: t.broadcast_tensors(*xs),
        )
    yield Case("broadcast_arrays with constants", lambda x: np.broadcast_arrays(x, [[1.0], [2.0]])[0], (normal(3),))
    for lengths, indexing, sparse in product(((2,), (2, 3), (2, 3, 1), (0, 2)), ("xy", "ij"), (False, True)):
        yield Case(
            f"meshgrid {lengths}, indexing={indexing!r}, sparse={sparse}",
            lambda *xs, i=indexing, s=sparse: np.meshgrid(*xs, indexing=i, sparse=s),
            tuple(normal(n) for n in lengths),
            torch=None if sparse else lambda t, *xs, i=indexing: t.meshgrid(*xs, indexing=i),
        )
    yield Case("meshgrid", np.meshgrid, (normal(), normal(2)))
    yield Case("meshgrid with constants", lambda x: np.meshgrid([1.0, 2.0], x, copy=False)[1], (normal(3),))
    for shape, reps in (
        ((2, 3), 2),
        ((2, 3), (2,)),
        ((2, 3), (2, 3)),
        ((2, 3), (2, 1, 2)),
        ((2, 1, 3), [3, 2]),
        ((), 3),
        ((), (2, 2)),
        ((3,), (2, 0)),
        ((3,), ()),
        ((0, 2), (2, 2)),
        ((2,), np.array([2, 1])),
    ):
        once = (reps,) if isinstance(reps, int) else tuple(reps)
        yield Case(
            f"tile {shape} {reps}",
            lambda x, reps=reps: np.tile(x, reps),
            (normal(*shape),),
            torch=lambda t, x, reps=once: t.tile(x, tuple(map(int, reps))),
        )
    for repeats, axis in product((2, 1, 0, [3], np.array(2)), (None, 0, 1, -2)):
        yield Case(
            f"repeat {repeats!r}, axis {axis}",
            lambda x, r=repeats, axis=axis: np.repeat(x, r, axis=axis),
            (normal(2, 3),),
            torch=lambda t, x, r=repeats, axis=axis: t.repeat_interleave(x, int(np.ravel(r)[0]), axis),
        )
    for repeats, axis in (([2, 0, 1], -1), (np.array([1, 3]), 0), ([0, 0], 0), ((1, 2, 0, 3, 1, 1), None)):
        yield Case(
            f"repeat {repeats!r}, axis {axis}",
            lambda x, r=repeats, axis=axis: np.repeat(x, r, axis),
            (normal(2, 3),),
            torch=lambda t, x, r=tuple(repeats), axis=axis: t.repeat_interleave(x, t.tensor(r), axis),
        )
    yield Case("repeat a number", lambda x: np.repeat(x, 3), (normal(),))
    yield Case("repeat nothing", lambda x: np.repeat(x, 2, axis=0), (normal(0, 2),))
    for shape, new_shape in (((2, 3), (2, 2)), ((2, 3), (5, 2)), ((3,), 7), ((3,), (3,)), ((), (2,)), ((2,), 0)):
        yield Case(f"resize {shape} {new_shape}", lambda x, s=new_shape: np.resize(x, s), (normal(*shape),))
    yield Case("resize nothing", lambda x: np.resize(x, (2, 2)), (normal(0, 3),))


def paddings() -> Iterator[Case]:
    widths: list[Any] = [1, (2,), (1, 2), ((0, 2),), ((1, 0), (2, 3)), [[1], [0]], np.array([[0, 0], [3, 1]])]
    modes = ("constant", "edge", "reflect", "symmetric", "wrap")
    # Wider than the array, so that it is repeated; around a single element; not at all.
    shaped: list[Any] = [((2, 3), width) for width in widths]
    shaped += [
        ((3,), (7, 8)),
        ((1,), (2, 3)),
        ((2, 1, 2), ((0, 5), (2, 1), (0, 0))),
        ((2, 2), 0),
        ((0, 2), ((0, 0), (1, 1))),
    ]
    for mode, (shape, width) in product(modes, shaped):
        yield Case(
            f"pad {shape} {width!r}, mode={mode!r}",
            lambda x, width=width, mode=mode: np.pad(x, width, mode=mode),
            (normal(*shape),),
        )
    for mode, theirs in (("constant", "constant"), ("edge", "replicate"), ("reflect", "reflect"), ("wrap", "circular")):
        yield Case(
            f"pad, mode={mode!r}, as PyTorch's {theirs!r}",
            lambda x, mode=mode: np.pad(x, ((0, 0), (0, 0), (2, 1), (1, 3)), mode),
            (normal(1, 2, 3, 4),),
            torch=lambda t, x, theirs=theirs: t.nn.functional.pad(x, (1, 3, 2, 1), theirs),
        )
    yield Case("pad", lambda x: np.pad(x, 2), (normal(2, 3),), torch=lambda t, x: t.nn.functional.pad(x, (2, 2, 2, 2)))
    for values in (3.5, (1.0, 2.0), ((1, 2), (3, 4))):
        yield Case(f"pad with {values}", lambda x, v=values: np.pad(x, (1, 2), constant_values=v), (normal(2, 3),))
    yield Case("pad a number", lambda x: np.pad(x, 2), (normal(),))
    yield Case("pad nothing", lambda x: np.pad(x, 2), (normal(0),))
    if np.lib.NumpyVersion(np.__version__) >= "2.3.0":
        yield Case("pad, a dict of widths", lambda x: np.pad(x, {-1: (1, 2), 0: 2}, mode="wrap"), (normal(2, 3, 2),))
    for mode, (shape, width) in product(
        ("maximum", "minimum", "mean", "median", "linear_ramp"),
        (((3, 4), 2), ((5,), (3, 0)), ((2, 3, 2), ((1, 2), (0, 1), (2, 0))), ((2, 2), 0)),
    ):
        options: dict[str, Any] = {"end_values": (3.0, -1.5)} if mode == "linear_ramp" else {"stat_length": (2, 3)}
        for given in ({}, options):
            yield Case(
                f"pad {shape} {width}, mode={mode!r}{', options' * bool(given)}",
                lambda x, width=width, mode=mode, given=given: np.pad(x, width, mode=mode, **given),
                (normal(*shape),),
            )
    yield Case("pad, reflect_type=", lambda x: np.pad(x, 2, mode="reflect", reflect_type="even"), (normal(3),))


def joining() -> Iterator[Case]:
    yield Case("concat", lambda x, y: np.concat([x, y], axis=1), (normal(2, 1), normal(2, 2)))
    for name, shapes in product(
        ("hstack", "vstack", "dstack", "column_stack"),
        (((), ()), ((3,), (3,)), ((2, 3), (2, 3)), ((2, 2, 3), (2, 2, 3)), ((0, 2), (0, 2)), ((2,),)),
    ):
        yield Case(
            f"{name} {shapes}",
            lambda *xs, name=name: getattr(np, name)(xs),
            tuple(normal(*shape) for shape in shapes),
            torch=lambda t, *xs, name=name: getattr(t, name)(xs),
        )
    for name, shapes in (
        ("hstack", ((2, 1), (2, 3))),
        ("hstack", ((2,), (), (3,))),
        ("vstack", ((3,), (2, 3), (1, 3))),
        ("dstack", ((2, 2), (2, 2, 3), (2, 2, 1))),
        ("dstack", ((3,), (1, 3, 2))),
        ("column_stack", ((2,), (2, 3), (2, 1))),
    ):
        yield Case(
            f"{name} {shapes}, mixed",
            lambda *xs, name=name: getattr(np, name)(xs),
            tuple(normal(*shape) for shape in shapes),
            torch=lambda t, *xs, name=name: getattr(t, name)(xs),
        )
        yield Case(f"{name} {shapes} with constants", lambda x, n=name: getattr(np, n)([x, [1.0, 2.0]]), (normal(2),))
        break
    for name in ("hstack", "vstack", "dstack", "column_stack"):
        yield Case(f"{name} the rows of one array", getattr(np, name), (normal(2, 3),))
    for axis, other in ((None, ()), (None, (2,)), (0, (1, 3)), (-1, (2, 2))):
        yield Case(
            f"append {other}, axis {axis}",
            lambda x, y, axis=axis: np.append(x, y, axis=axis),
            (normal(2, 3), normal(*other)),
        )
    yield Case("append a constant", lambda x: np.append(x, [1.0, 2.0]) * np.append(3.0, x)[0], (normal(2),))
    yield Case(
        "append a list", lambda x: np.append(x, [x[1], 1.0]), (normal(2),), plain=lambda x: np.append(x, [x[1], 1.0])
    )
    pair = (normal(2, 3), normal(2, 3))
    for name, options in (
        ("concatenate", {"axis": 1}),
        ("stack", {"axis": -1}),
        ("hstack", {}),
        ("vstack", {}),
    ):
        for dtype, casting in ((np.longdouble, "safe"), (np.int64, "unsafe")):
            yield Case(
                f"{name} in {dtype.__name__}",
                lambda x, y, n=name, o=options, d=dtype, c=casting: (
                    getattr(np, n)([x, y], **o, dtype=d, casting=c) * (x.sum() + y.sum())
                ),
                pair,
            )
    yield Case("concatenate, axis None, dtype", lambda x, y: np.concatenate([x, y], None, dtype="g"), pair)
    yield Case("block of one", np.block, (normal(2, 3),))
    yield Case("block, a list", lambda x, y: np.block([x, y, 1.0]), (normal(2), normal()))
    yield Case("block, a row of matrices", lambda x, y: np.block([x, y]), (normal(2, 3), normal(2, 1)))
    yield Case(
        "block, a matrix of matrices",
        lambda a, b, c: np.block([[a, b], [c, np.eye(2)], [np.zeros((1, 5))]]),
        (normal(3, 3), normal(3, 2), normal(2, 3)),
    )
    yield Case("block, vectors and matrices", lambda x, y: np.block([[x], [y], [x]]), (normal(3), normal(2, 3)))
    yield Case(
        "block of three levels",
        lambda x, y: np.block([[[x, y], [y, x]], [[y, y], [x, 2 * y]]]),
        (normal(2, 2), normal(2, 2)),
    )
    yield Case(
        "block, more axes than levels", lambda x, y: np.block([[x, y], [y, x]]), (normal(2, 1, 2), normal(2, 1, 2))
    )
    yield Case("block of numbers", lambda x: np.block([[x, 1.0], [0, x]]), (normal(),))


def cutting() -> Iterator[Case]:
    x = normal(6, 4, 2)
    for sections, axis in ((4, 0), (3, 1), ([1, 1, 5], 0), (3, -1)):
        yield Case(
            f"array_split {sections}, axis {axis}",
            lambda x, s=sections, axis=axis: np.array_split(x, s, axis),
            (x,),
            torch=lambda t, x, s=sections, axis=axis: t.tensor_split(x, s, axis),
        )
    for name, sections in product(("hsplit", "vsplit", "dsplit"), (2, [1], [0, 1])):
        yield Case(
            f"{name} {sections}",
            lambda x, name=name, s=sections: getattr(np, name)(x, s),
            (x,),
            torch=lambda t, x, name=name, s=sections: getattr(t, name)(x, s),
        )
    yield Case("hsplit a vector", lambda x: np.hsplit(x, 3), (normal(6),), torch=lambda t, x: t.hsplit(x, 3))
    yield Case("hsplit, one part", lambda x: np.hsplit(x, 2)[1] ** 2, (x,), torch=lambda t, x: t.hsplit(x, 2)[1] ** 2)
    for axis in (0, 1, -1):
        yield Case(
            f"unstack, axis {axis}",
            lambda x, axis=axis: np.unstack(x, axis=axis),
            (x,),
            torch=lambda t, x, axis=axis: t.unbind(x, axis),
        )
    yield Case("unstack a vector", lambda x: np.unstack(x)[1:], (normal(3),), torch=lambda t, x: t.unbind(x)[1:])
    for obj, values, axis in (
        (1, (), None),
        (1, (2,), None),
        (-1, (), None),
        (6, (), None),
        (1, (), 0),
        (0, (3,), 0),
        (2, (2,), 1),
        (-1, (2, 2), 1),
        (1, (1,), -1),
        ([1], (1, 3), 0),
        ([1], (2, 1), 1),
        ([0, 2], (), 1),
        ([0, 2], (2,), 1),
        ([0, 2, 0], (2, 3), -1),
        ([2, 0], (2, 1), 1),
        ([0, 2], (2,), None),
        ([1, 1], (), None),
        (slice(0, 3, 2), (2,), 1),
        (slice(None), (3,), 1),
        (np.array([True, False, True]), (2, 2), 1),
        ([], (), 0),
    ):
        yield Case(
            f"insert {values} at {obj}, axis {axis}",
            lambda x, v, obj=obj, axis=axis: np.insert(x, obj, v, axis=axis),
            (normal(2, 3), normal(*values)),
        )
    yield Case("insert into a constant", lambda v: np.insert([1.0, 2.0], [0, 1], v), (normal(2),))
    yield Case("insert a constant", lambda x: np.insert(x, 1, [1.0, 2.0]), (normal(2),))
    for obj, axis in (
        (1, None),
        (-1, None),
        (1, 0),
        (-2, -1),
        ([0, 2], 1),
        ([0, 0], 1),
        ([], 0),
        (slice(None, None, 2), 1),
        (slice(2, None, -1), 1),
        (np.array([True, False]), 0),
        (slice(None), 0),
    ):
        yield Case(
            f"delete {obj}, axis {axis}",
            lambda x, obj=obj, axis=axis: np.delete(x, obj, axis=axis),
            (normal(2, 3),),
        )


def turning() -> Iterator[Case]:
    x = normal(2, 3, 4)
    for axis in (None, 0, -1, (0, 2), (0, 1, 2), ()):
        dims = (0, 1, 2) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        yield Case(
            f"flip, axis {axis}", lambda x, axis=axis: np.flip(x, axis), (x,), torch=lambda t, x, d=dims: t.flip(x, d)
        )
    yield Case("flip a number", np.flip, (normal(),))
    yield Case("fliplr", np.fliplr, (x,), torch="fliplr")
    yield Case("flipud", np.flipud, (x,), torch="flipud")
    for k, plane in product((0, 1, 2, 3, -1, 5), ((0, 1), (2, 0), (-1, -2))):
        yield Case(
            f"rot90, k={k}, axes={plane}",
            lambda x, k=k, plane=plane: np.rot90(x, k, axes=plane),
            (x,),
            torch=lambda t, x, k=k, plane=plane: t.rot90(x, k, plane),
        )
    yield Case("rot90", np.rot90, (x,), torch="rot90")
    for shift, axis in (
        (1, None),
        (-7, None),
        (1, 0),
        (5, -1),
        ((1, -2), (0, 2)),
        ((1, 2), (1, 1)),
        (2, (0, 1)),
        (0, 1),
    ):
        both = (shift, shift) if isinstance(axis, tuple) and isinstance(shift, int) else shift
        yield Case(
            f"roll {shift}, axis {axis}",
            lambda x, shift=shift, axis=axis: np.roll(x, shift, axis=axis),
            (x,),
            torch=lambda t, x, shift=both, axis=axis: t.roll(x, shift, axis),
        )
    yield Case("roll, shifts in a list", lambda x: np.roll(x, [1, 2], axis=(0, 1)), (x,))
    yield Case("roll, shifts of the flat array", lambda x: np.roll(x, (1, 2)), (x,))
    yield Case("roll nothing", lambda x: np.roll(x, 2), (normal(0, 2),))


def windows() -> Iterator[Case]:
    view = np.lib.stride_tricks.sliding_window_view
    x = normal(4, 5)
    for window, axis in (((2, 3), None), (3, 1), ((2, 2), (1, 0)), ((2, 3), (1, 1)), ((1,), (-2,)), ((4, 5), None)):
        yield Case(
            f"sliding_window_view {window}, axis {axis}", lambda x, w=window, axis=axis: view(x, w, axis=axis), (x,)
        )
    yield Case(
        "sliding_window_view of a vector", lambda x: view(x, 3), (normal(5),), torch=lambda t, x: x.unfold(0, 3, 1)
    )


CASES = [
    *shapes(),
    *axes(),
    *several_places(),
    *paddings(),
    *joining(),
    *cutting(),
    *turning(),
    *windows(),
]
