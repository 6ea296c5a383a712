"""Training by several processes at once, each with its rows of every batch: what they tell each other, by MPI."""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

import numpy as np

import autodiff as ad
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from nn.checks import check_dataset, check_number, check_rows
from nn.module import Module
from nn.optim.base import checked_gradient

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")
Made = Callable[[Callable[..., Any]], Any]

_PIECE_BYTES = 2**30  # MPI counts in 32 bits


def shard(X: Array, y: Array, *, comm: MPI.Intracomm | None = None) -> tuple[Array, Array]:
    """Give the rows of a dataset that are this rank's: contiguous, and as many as the others' but for one.

    Of a memory-mapped array nothing is read. `nn.fit` takes the whole dataset, and does not need this.

    Args:
        X: inputs, of shape ``(N, ...)``.
        y: targets, of shape ``(N, ...)``.
        comm: the communicator, with as many ranks as rows at most; by default ``MPI.COMM_WORLD``.

    Returns:
        The rows of both, as views.

    Raises:
        ImportError: mpi4py is not installed.
        TypeError: an array is masked, an ``np.matrix`` or sparse, or ``comm`` no communicator.
        ValueError: the lengths differ, or there are more ranks than rows.

    Example:
        >>> X, y = nn.parallel.shard(np.arange(10.0).reshape(5, 2), np.arange(5))
        >>> X.shape, y.shape  # in a single process
        ((5, 2), (5,))
    """
    comm = _communicator("shard", comm)
    X, y = check_rows("shard", "inputs", X), check_rows("shard", "targets", y)
    check_dataset("shard", X, y)
    if len(X) < comm.size:
        raise ValueError(f"shard: there are {comm.size} ranks, and only {len(X)} rows; start fewer processes")
    own = part(len(X), comm.rank, comm.size)
    return X[own], y[own]


def broadcast(model: Module, *, comm: MPI.Intracomm | None = None) -> Module:
    """Give all ranks the parameters and buffers of rank 0, and return the model.

    Args:
        model: of the same architecture on all ranks.
        comm: the communicator; by default ``MPI.COMM_WORLD``.

    Raises:
        ImportError: mpi4py is not installed.
        TypeError: ``model`` is no Module, or ``comm`` no communicator.
        ValueError: the models differ in their layers, or in the shapes or dtypes of their arrays. Each rank says which
            rank's do, and where; nothing is changed.

    Example:
        >>> model = nn.parallel.broadcast(nn.MLP([2, 1], rng=0))  # in a single process, the model as it is
    """
    if not isinstance(model, Module):
        raise TypeError(f"broadcast: the model must be a Module, got {model!r}")
    comm = _communicator("broadcast", comm)
    compare("broadcast: the model", described(model), comm)
    for tensor in model.by_path().values():
        _from_first(tensor, comm)
    return model


def average_gradients(model: Module, *, samples: int | None = None, comm: MPI.Intracomm | None = None) -> None:
    """Replace the gradients of a model's parameters by their mean over the ranks, which is then the same everywhere.

    All go in one buffer. A parameter whose gradient is None on each rank keeps it so; None on some counts as zeros.

    Li et al., PyTorch Distributed: experiences on accelerating data parallel training (2020), section 3.

    Args:
        model: of the same architecture on all ranks, as `broadcast` makes sure.
        samples: how many rows this rank's gradients are a mean over, at least 0: they count in proportion. By default
            all ranks count as much.
        comm: the communicator; by default ``MPI.COMM_WORLD``.

    Raises:
        ImportError: mpi4py is not installed.
        TypeError: ``model`` is no Module, ``comm`` no communicator, or a gradient no array.
        ValueError: ``samples`` is negative, or 0 on all ranks, or a gradient has another shape than its parameter. All
            ranks raise, and name the one it is about.

    Example:
        >>> model = nn.MLP([2, 1], rng=0)
        >>> nn.functional.mse_loss(model(np.ones((4, 2))), np.zeros((4, 1))).backward()
        >>> nn.parallel.average_gradients(model, samples=4)  # between backward() and the optimizer's step()
    """
    if not isinstance(model, Module):
        raise TypeError(f"average_gradients: the model must be a Module, got {model!r}")
    comm = _communicator("average_gradients", comm)
    layout = Layout(model.parameters())
    flat, error = layout.zeros(), None
    try:
        if samples is not None:
            check_number("average_gradients", "samples", samples, lambda count: count >= 0, "at least 0")
        flat = layout.packed("average_gradients") * (1 if samples is None else samples)
    except (TypeError, ValueError) as failure:
        error, flat[-1] = failure, 1
    _sum(comm, flat)
    if flat[-1]:
        raise_together("average_gradients", comm, error)
    if flat[-2] == 0:
        raise ValueError("average_gradients: samples is 0 on all ranks; there is nothing to average")
    layout.unpack(flat, layout.present(flat))


def part(count: int, rank: int, size: int) -> slice:
    """Give a rank's part of so many rows; the first ranks may have one more than the others."""
    each, more = divmod(count, size)
    start = rank * each + min(rank, more)
    return slice(start, start + each + (rank < more))


def described(model: Module) -> dict[str, str]:
    """Say what a model's layers and arrays are."""
    texts = {name: f"{type(part).__name__}({part._arguments()})" for name, part in model.named_modules()}
    texts |= {name: f"{array.dtype} of shape {array.shape}" for name, array in model.state_dict().items()}
    return {f"model.{name}" if name else "model": text for name, text in texts.items()}


def differences(one: str, texts: Mapping[str, Any], other: str, others: Mapping[str, Any]) -> list[str]:
    """Say which entries differ, and what they are in either place."""
    names = [name for name in {**others, **texts} if texts.get(name, ...) != others.get(name, ...)]
    return [f"{name} is {texts.get(name, 'missing')} {one}, {others.get(name, 'missing')} {other}" for name in names]


def compare(what: str, texts: Mapping[str, Any], comm: MPI.Intracomm) -> None:
    """Refuse texts that are not those of rank 0: all ranks name the first that has others, and what differs."""
    digests = comm.allgather(hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest())
    odd = next((rank for rank, digest in enumerate(digests) if digest != digests[0]), None)
    if odd is not None:
        first, other = comm.bcast(texts, 0), comm.bcast(texts, odd)
        differing = "; ".join(differences(f"on rank {odd}", other, "on rank 0", first)[:5])
        raise ValueError(f"{what} must be the same on all ranks: {differing}")


class Layout:
    """Where the gradients of some parameters lie in one flat buffer.

    Behind them are a number for each parameter, which is positive if it has a gradient, the number of rows, and one
    that is positive if a rank has failed.
    """

    def __init__(self, parameters: Sequence[ad.Tensor]) -> None:
        self.parameters = list(parameters)
        # float16 is unknown to MPI, and its sums would be poor.
        self.dtype = np.result_type(np.float32, *(parameter.dtype for parameter in parameters))
        ends = np.cumsum([parameter.size for parameter in parameters], dtype=int)
        self.pieces = [slice(end - p.size, end) for end, p in zip(ends.tolist(), parameters)]
        self.size = int(ends[-1]) if parameters else 0

    def zeros(self) -> Array:
        """Give the buffer of a rank that has no rows."""
        return np.zeros(self.size + len(self.parameters) + 2, self.dtype)

    def packed(self, caller: str) -> Array:
        """Give the gradients as they are, of one row."""
        gradients = [None if p.grad is None else checked_gradient(caller, p) for p in self.parameters]
        tail = np.array([*(gradient is not None for gradient in gradients), 1, 0], self.dtype)
        arrays = [np.zeros(p.shape, self.dtype) if g is None else g for g, p in zip(gradients, self.parameters)]
        return np.concatenate(
            [*(g if g.dtype == self.dtype else g.astype(self.dtype) for g in arrays), tail], axis=None
        )

    def present(self, flat: Array) -> tuple[bool, ...]:
        """Say of a sum of buffers which parameters have a gradient anywhere."""
        return tuple((flat[self.size : -2] != 0).tolist())

    def unpack(self, flat: Array, present: tuple[bool, ...]) -> None:
        """Set the gradients to those of a sum of buffers, over its rows."""
        means = flat[: self.size] / flat[-2]
        for parameter, piece, is_there in zip(self.parameters, self.pieces, present):
            if not is_there:
                parameter._grad = None
                continue
            gradient = means[piece].reshape(parameter.shape)
            if self.dtype != parameter.dtype:
                gradient = (gradient if parameter.dtype.kind == "c" else gradient.real).astype(parameter.dtype)
            parameter._grad = gradient


class Alone:
    """A group of one process, which has nobody to tell anything: every method gives what it is given."""

    rank, size = 0, 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        pass

    def begin(self, parameters: Sequence[ad.Tensor]) -> None:
        """Agree on what learns, before some steps."""

    def ready(self, error: BaseException | None = None) -> None:
        """Wait until all are here; if one has failed, all raise."""
        if error is not None:
            raise error

    def compare(self, what: str, texts: Mapping[str, Any]) -> None:
        """Refuse what is not the same on all ranks."""

    def of_first(self, value: T) -> T:
        """Give what rank 0 has."""
        return value

    def of_all(self, value: T) -> list[T]:
        """Give what each rank has."""
        return [value]

    def rows_of_all(self, *arrays: Array) -> tuple[Array, ...] | None:
        """Give all ranks' rows, one after the other, on rank 0, and None on others."""
        return arrays

    def own(self, count: int) -> slice:
        """Give this rank's part of so many rows."""
        return slice(0, count)

    def interrupt(self, error: KeyboardInterrupt, model: Module) -> None:
        """Tell the others of Ctrl-C; all then have the same weights."""

    def common(self, rng: np.random.Generator) -> np.random.Generator:
        """Give a generator that draws the same on all ranks, what rank 0's would have drawn."""
        return rng

    def joined(
        self,
        compute: Callable[..., tuple[Any, ...]],
        update: Callable[[], None],
        made: Made,
        gathers: bool,
    ) -> Callable[[Any, Any], tuple[Any, ...]]:
        """Make a step of its two halves, between which the gradients of all ranks are averaged.

        Args:
            compute: of inputs and targets, gives what the step gives, and leaves gradients behind.
            update: changes the parameters by them.
            made: makes of a function one that is faster.
            gathers: whether the step gives the predictions, and the targets, of all ranks.
        """

        def step(inputs: Array, targets: Array) -> tuple[Any, ...]:
            results = compute(inputs, targets)
            update()
            return results

        compiled: Callable[[Any, Any], tuple[Any, ...]] = made(step)
        return compiled


class Ranks(Alone):
    """The processes of a communicator, which exchange what they have in the same order.

    As long as nothing has begun, an exchange begins with a message of each rank. Later it begins with the sum of the
    gradients' buffers: if it is about something else they are zeros. So a rank that fails, wherever it is, can tell the
    others at whatever exchange is the next.

    Used as a context, an error in it is told to the others, and all raise; what cannot be told ends all processes.
    """

    def __init__(self, caller: str, comm: MPI.Intracomm) -> None:
        from mpi4py import MPI
        from mpi4py.util import pkl5  # which knows no limit to the size of a message

        self.caller = caller
        self.comm: Any = pkl5.Intracomm(comm.Dup())
        self.rank, self.size = comm.rank, comm.size
        self.errors: Any = MPI.Exception
        self.layout: Layout | None = None
        self.told: BaseException | None = None
        self.interrupted = False
        self.is_over = False

    def __enter__(self) -> Self:
        self._handler: Any = None
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.getsignal(signal.SIGINT)
            if self._handler is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._interrupt)
        return self

    def _interrupt(self, number: int, frame: Any) -> None:
        """Note Ctrl-C for the next exchange; a second one comes at once."""
        self.interrupted = True
        signal.signal(signal.SIGINT, self._handler)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            if error is not None and error is not self.told and not self.is_over:
                self.ready(error)
            self.comm.Free()
        except self.errors:
            self._end(sys.exception())
        finally:
            if self._handler is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._handler)

    def _end(self, error: BaseException | None) -> NoReturn:
        traceback.print_exception(error)
        print(f"{self.caller}: rank {self.rank} of {self.size} cannot reach the others; all end", file=sys.stderr)
        sys.stderr.flush()
        self.comm.Abort(1)
        raise AssertionError("MPI did not end this process")

    def begin(self, parameters: Sequence[ad.Tensor]) -> None:
        """Agree on what learns: the layout of all that is exchanged until the next time."""
        self.ready()
        self.layout = Layout([parameter for parameter in parameters if parameter.requires_grad])

    def ready(self, error: BaseException | None = None) -> None:
        """Wait until all are here, which may bring an error, one's own or another's; all raise it."""
        if self.layout is None:
            if any(self.comm.allgather(error is not None or self.interrupted)):
                self._raise(error)
        else:
            flat = self.layout.zeros()
            self._sum(flat, error)

    def _sum(self, flat: Array, error: BaseException | None = None) -> None:
        """Add the buffers of all ranks into each."""
        if error is not None or self.interrupted:
            flat[-1] = 1
        _sum(self.comm, flat)
        if flat[-1] != 0:
            self._raise(error)

    def _raise(self, error: BaseException | None) -> NoReturn:
        if error is None and self.interrupted:
            error = KeyboardInterrupt()
        try:
            raise_together(self.caller, self.comm, error)
        except BaseException as common:
            self.told = common
            raise

    def compare(self, what: str, texts: Mapping[str, Any]) -> None:
        """Refuse what is not the same on all ranks, by a digest, and name the rank and what differs."""
        self.ready()
        try:
            compare(what, texts, self.comm)
        except ValueError as error:
            self.told = error
            raise

    def of_first(self, value: T) -> T:
        """Give what rank 0 has."""
        self.ready()
        return self.comm.bcast(value, 0)  # type: ignore[no-any-return]

    def of_all(self, value: T) -> list[T]:
        """Give what each rank has, in their order."""
        self.ready()
        return self.comm.allgather(value)  # type: ignore[no-any-return]

    def rows_of_all(self, *arrays: Array) -> tuple[Array, ...] | None:
        """Give all ranks' rows, one after the other, on rank 0, and None on others."""
        self.ready()
        rows = self._gathered(tuple(map(data_of, arrays)))
        return rows and tuple(
            ad.Tensor(x, requires_grad=False) if isinstance(given, ad.Tensor) else x for x, given in zip(rows, arrays)
        )

    def _gathered(self, arrays: tuple[Array, ...]) -> tuple[Array, ...] | None:
        every = self.comm.gather(arrays, 0)
        return every and tuple(map(np.concatenate, zip(*(own for own in every if own and len(own[0])), strict=True)))

    def own(self, count: int) -> slice:
        """Give this rank's part of so many rows."""
        return part(count, self.rank, self.size)

    def interrupt(self, error: KeyboardInterrupt, model: Module) -> None:
        """Tell the others of Ctrl-C, if they have not told; then give all the weights of rank 0."""
        if error is not self.told:
            with contextlib.suppress(KeyboardInterrupt):
                self.ready(error)
        for tensor in model.by_path().values():
            _from_first(tensor, self.comm)
        self.is_over = True

    def common(self, rng: np.random.Generator) -> np.random.Generator:
        """Give a generator that draws on all ranks what rank 0's draws."""
        state = self.of_first(rng.bit_generator.state)
        if self.rank == 0:
            return rng
        copy = np.random.Generator(type(rng.bit_generator)())
        copy.bit_generator.state = state
        return copy

    def joined(
        self,
        compute: Callable[..., tuple[Any, ...]],
        update: Callable[[], None],
        made: Made,
        gathers: bool,
    ) -> Callable[[Any, Any], tuple[Any, ...]]:
        """Make a step of its two halves, with the sum of all ranks' gradients between."""

        def gradients(inputs: Array, targets: Array) -> tuple[Any, ...]:
            results = compute(inputs, targets)
            return *results, self._layout().packed(self.caller)

        def changed_by(present: tuple[bool, ...]) -> Callable[[Array], None]:
            def change(flat: Array) -> None:
                self._layout().unpack(flat, present)
                update()

            compiled: Callable[[Array], None] = made(change)
            return compiled

        first = made(gradients)
        seconds: dict[tuple[bool, ...], Callable[[Array], None]] = {}

        def step(inputs: Array, targets: Array) -> tuple[Any, ...]:
            layout, rows = self._layout(), len(inputs)
            results: list[Any] = [np.zeros(())]
            flat = layout.zeros()
            if rows:
                *results, flat = first(inputs, targets)
                flat = flat * rows
            self._sum(flat)
            if gathers:
                results[1:] = self._gathered((*results[1:], targets) if rows else ()) or ()
            present = layout.present(flat)
            if present not in seconds:
                seconds[present] = changed_by(present)
            seconds[present](flat)
            return tuple(results)

        return step

    def _layout(self) -> Layout:
        assert self.layout is not None
        return self.layout


def group_of(caller: str, comm: Any) -> Alone:
    """Give the processes of a communicator; None, and one of a single process, are this one alone."""
    if comm is None or _communicator(caller, comm).size == 1:
        return Alone()
    return Ranks(caller, comm)


def _communicator(caller: str, comm: Any) -> Any:
    """Give a communicator of mpi4py, and refuse what is none."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # it is not there, or MPI is not
        raise ImportError(
            f'{caller}: several processes need mpi4py and MPI: pip install -e ".[distributed]" ({error})'
        ) from None
    if comm is None:
        return MPI.COMM_WORLD
    if not isinstance(comm, MPI.Intracomm):
        raise TypeError(f"{caller}: comm must be a communicator of mpi4py, such as MPI.COMM_WORLD, got {comm!r}")
    if comm == MPI.COMM_NULL:
        raise ValueError(f"{caller}: comm is MPI.COMM_NULL, which has no ranks; only its members may call this")
    return comm


def _sum(comm: Any, flat: Array) -> None:
    from mpi4py import MPI

    for start in range(0, max(1, len(flat)), _PIECE_BYTES // flat.itemsize):
        comm.Allreduce(MPI.IN_PLACE, flat[start : start + _PIECE_BYTES // flat.itemsize])


def _from_first(tensor: ad.Tensor, comm: Any) -> None:
    """Give a Tensor the numbers that it has on rank 0."""
    array = np.array(tensor.data, order="C")
    content = array.reshape(-1).view(np.uint8)
    for start in range(0, len(content), _PIECE_BYTES):
        comm.Bcast(content[start : start + _PIECE_BYTES], 0)
    tensor.data = array[()]


def raise_together(caller: str, comm: Any, error: BaseException | None) -> NoReturn:
    """Raise the error of the first rank that has one, on all of them; an error that all have is raised as it is."""
    told = comm.allgather(None if error is None else (type(error).__name__, str(error)))
    if error is not None and len(set(told)) == 1:
        raise error
    failed = [(rank, *one) for rank, one in enumerate(told) if one is not None]
    rank, name, text = next((one for one in failed if one[1] != "KeyboardInterrupt"), failed[0])
    if name == "KeyboardInterrupt":
        raise KeyboardInterrupt from error
    kind = getattr(builtins, name, None)
    message = f"{caller}: on rank {rank} of {len(told)}: "
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError):
        raise kind(message + text.removeprefix(f"{caller}: ")) from error
    raise RuntimeError(f"{message}{name}: {text}") from error
