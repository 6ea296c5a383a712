"""Training by several processes at once, each with its rows of every batch: what they tell each other, by MPI."""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import signal
import sys
import threading
import traceback
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

import numpy as np

import autodiff as ad
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from autodiff.elsewhere import absent
from autodiff.extras import install
from nn.checks import all_finite, check_dataset, check_number, check_rows
from nn.module import Module, check_model
from nn.optim.base import Optimizer, checked_gradient

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")
Made = Callable[[Callable[..., Any]], Any]
Step = Callable[..., tuple[Any, ...]]  # of inputs, targets and weights

__all__ = ["average_gradients", "broadcast", "shard"]

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
    comm = _communicator("broadcast", comm)
    texts, error = {}, None
    try:
        check_model("broadcast", model)
        texts = described(model)
    except (TypeError, ValueError) as failure:
        error = failure
    _raise_together("broadcast", comm, error)
    problem = _difference(comm, texts)
    if problem:
        raise ValueError(f"broadcast: the model must be the same on all ranks: {problem}")
    for tensor in model.by_path().values():
        tensor.data = _of_first(tensor, comm)
    return model


def average_gradients(model: Module, *, samples: int | None = None, comm: MPI.Intracomm | None = None) -> None:
    """Replace the gradients of a model's parameters by their mean over the ranks, which is then the same everywhere.

    All go in one buffer. A parameter whose gradient is None on each rank keeps it so; None on some counts as zeros. All
    ranks must call it as often, or those that do wait for the others for ever: a rank that has no rows left gives
    ``samples=0``, as in

        for step in range(steps):                        # as many on all ranks
            inputs, targets = next(batches, (X[:0], y[:0]))
            optimizer.zero_grad()
            if len(inputs):
                loss(model(inputs), targets).backward()
            nn.parallel.average_gradients(model, samples=len(inputs))
            optimizer.step()

    Li et al., PyTorch Distributed: experiences on accelerating data parallel training (2020), section 3.

    Args:
        model: of the same architecture on all ranks, as `broadcast` makes sure.
        samples: how many rows this rank's gradients are a mean over, at least 0: they count in proportion. By default
            all ranks count as much.
        comm: the communicator; by default ``MPI.COMM_WORLD``.

    Raises:
        ImportError: mpi4py is not installed.
        TypeError: ``model`` is no Module, ``comm`` no communicator, or a gradient no array.
        ValueError: ``samples`` is negative, or 0 on all ranks, or not given on all, a gradient has another shape than
            its parameter, or the parameters are not the same on all ranks, or do not learn on all. All ranks raise, and
            name the one it is about.

    Example:
        >>> model = nn.MLP([2, 1], rng=0)
        >>> nn.functional.mse_loss(model(np.ones((4, 2))), np.zeros((4, 1))).backward()
        >>> nn.parallel.average_gradients(model, samples=4)  # between backward() and the optimizer's step()
    """
    comm = _communicator("average_gradients", comm)
    parts: list[tuple[str, str, Any]] = []
    error = None
    try:
        check_model("average_gradients", model)
        named = list(model.named_parameters())
        if samples is not None:
            check_number("average_gradients", "samples", samples, lambda count: count >= 0, "at least 0")
        parts = [(path if p.requires_grad else f"{path}, frozen", p.dtype.name, p.shape) for path, p in named]
        parts.append(("samples", "none" if samples is None else "given", ()))
        layout = Layout([p for _, p in named])
        flat = layout.packed("average_gradients", 1) * (1 if samples is None else samples)
    except (TypeError, ValueError) as failure:
        error = failure
    _agree("average_gradients", comm, parts, error)
    _sum(comm, flat)
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
    texts |= {name: f"{tensor.dtype} of shape {tensor.shape}" for name, tensor in model.by_path().items()}
    return {f"model.{name}" if name else "model": text for name, text in texts.items()}


def differences(one: str, texts: Mapping[str, Any], other: str, others: Mapping[str, Any]) -> list[str]:
    """Say which entries differ, and what they are in either place."""
    names = [name for name in {**others, **texts} if texts.get(name, ...) != others.get(name, ...)]
    return [f"{name} is {texts.get(name, 'missing')} {one}, {others.get(name, 'missing')} {other}" for name in names]


class NotFiniteError(FloatingPointError):
    """A step was not taken, since its loss or a gradient is not finite."""


class Layout:
    """Where the gradients of those parameters that learn lie in one flat buffer.

    Behind them are a number for each parameter, which is positive if it has a gradient, the number of rows, and one
    that is positive if a rank has failed.
    """

    def __init__(self, parameters: Sequence[ad.Tensor]) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.frozen = [parameter for parameter in parameters if not parameter.requires_grad]
        # float16 is unknown to MPI, and its sums would be poor.
        self.dtype = np.result_type(np.float32, *(parameter.dtype for parameter in self.parameters))
        ends = np.cumsum([parameter.size for parameter in self.parameters], dtype=int).tolist()
        self.pieces = [slice(end - p.size, end) for end, p in zip(ends, self.parameters)]
        self.size = sum(parameter.size for parameter in self.parameters)

    def is_like(self, other: Layout) -> bool:
        """Whether another is of the same parameters."""
        own, its = ([list(map(id, some)) for some in (x.parameters, x.frozen)] for x in (self, other))
        return own == its

    def zeros(self) -> Array:
        """Give the buffer of a rank that has no rows."""
        return np.zeros(self.size + len(self.parameters) + 2, self.dtype)

    def packed(self, caller: str, rows: float) -> Array:
        """Give the gradients as they are, which are the sum over so many rows."""
        gradients = [None if p.grad is None else checked_gradient(caller, p) for p in self.parameters]
        tail = np.array([*(gradient is not None for gradient in gradients), rows, 0], self.dtype)
        arrays = [np.zeros(p.shape, self.dtype) if g is None else g for g, p in zip(gradients, self.parameters)]
        return np.concatenate(
            [*(g if g.dtype == self.dtype else g.astype(self.dtype) for g in arrays), tail], axis=None
        )

    def check_finite(self, flat: Array) -> None:
        """Refuse gradients that are not, and name the first."""
        if all_finite(flat):
            return
        bad = next(p for p, piece in zip(self.parameters, self.pieces) if not np.isfinite(flat[piece]).all())
        raise NotFiniteError(f"gradient of {bad.name or bad!r} is not finite")

    def present(self, flat: Array) -> tuple[bool, ...]:
        """Say of a sum of buffers which parameters have a gradient anywhere."""
        return tuple((flat[self.size : -2] != 0).tolist())

    def unpack(self, flat: Array, present: tuple[bool, ...]) -> None:
        """Set the gradients to those of a sum of buffers, over its rows."""
        for parameter in self.frozen:
            parameter._grad = None
        means = flat[: self.size] / (flat[-2].real if self.dtype.kind == "c" else flat[-2])
        for parameter, piece, is_there in zip(self.parameters, self.pieces, present):
            if not is_there:
                parameter._grad = None
                continue
            gradient = means[piece].reshape(parameter.shape)
            if self.dtype != parameter.dtype:
                gradient = (gradient if parameter.dtype.kind == "c" else gradient.real).astype(parameter.dtype)
            parameter._grad = gradient


class Alone:
    """A group of one process, which has nobody to tell anything: every method gives what it is given.

    Used as a context, for all of a run.
    """

    rank, size = 0, 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        pass

    def compare(self, what: str, texts: Callable[[], Mapping[str, Any]]) -> None:
        """Refuse what is not the same on all ranks."""

    def of_first(self, value: T) -> T:
        """Give what rank 0 has."""
        return value

    def of_all(self, value: T) -> list[T]:
        """Give what each rank has, in their order."""
        return [value]

    def rows_of_all(self, *arrays: Array) -> tuple[Array, ...] | None:
        """Give all ranks' rows, one after the other, on rank 0, and None on others."""
        return arrays

    def own(self, count: int) -> slice:
        """Give this rank's part of so many rows."""
        return slice(0, count)

    def common(self, rng: np.random.Generator) -> np.random.Generator:
        """Give a generator that draws on all ranks what rank 0's draws."""
        return rng

    def joined(self, compute: Step, update: Callable[[], None], made: Made, gathers: bool) -> Step:
        """Make a step of its two halves, with the sum of all ranks' gradients between.

        Args:
            compute: of inputs and targets, gives what the step gives, and leaves gradients behind: of the loss times a
                factor, if there is one.
            update: changes the parameters by them.
            made: makes of a function one that is faster.
            gathers: whether the step gives the predictions and targets of all ranks on rank 0, and none on others.
        """

        def step(*rows: Array) -> tuple[Any, ...]:
            results = compute(*rows)
            update()
            return results

        whole: Step = made(step)
        return whole

    def settle(self, model: Module, optimizer: Optimizer, what: str) -> None:
        """Agree on the model, and on what learns of it and how, before some steps."""

    def interrupt(self, error: KeyboardInterrupt, model: Module) -> None:
        """Tell the others of Ctrl-C; all then have the same weights."""

    def end(self) -> None:
        """Wait until all have come to the end."""


class Ranks(Alone):
    """The processes of a communicator, which exchange what they have in the same order.

    At first an exchange begins with a message of each rank, whether it has failed; and once the steps have begun, with
    a sum over the ranks' gradients, which are zeros if it is about something else. So a rank that fails, wherever it
    is, can tell the others at whatever exchange is the next, and all raise. What cannot be told ends all processes.
    """

    def __init__(self, caller: str, comm: MPI.Intracomm) -> None:
        from mpi4py.util import pkl5  # which knows no limit to the size of a message

        self.caller = caller
        self.comm: Any = pkl5.Intracomm(comm.Dup())  # where no other messages are
        self.rank, self.size = comm.rank, comm.size
        self.layout: Layout | None = None
        self.told: BaseException | None = None  # what all ranks raise
        self.interrupted = False
        self.is_over = False
        self.handler: Any = None

    def __enter__(self) -> Self:
        """Have Ctrl-C wait for the next exchange, so that it comes to all ranks in the same place."""
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self.handler = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def _interrupt(self, number: int, frame: Any) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, self.handler)  # a second one comes at once

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Tell the others of an error, unless they know, and leave."""
        try:
            if error is not None and error is not self.told and not self.is_over:
                try:
                    self._ready(error)
                except BaseException as common:
                    if common is not self.told:
                        self._end()
                    raise
            self._exchange(self.comm.Free)
        finally:
            if self.handler is not None:
                signal.signal(signal.SIGINT, self.handler)

    def _exchange(self, collective: Callable[..., Any], *args: Any) -> Any:
        """Do something in which all ranks must take part; if this one cannot, the others would wait for ever."""
        try:
            return collective(*args)
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        """End all processes, with the error that is being handled."""
        traceback.print_exc()
        print(f"{self.caller}: rank {self.rank} of {self.size} cannot tell the others; all end", file=sys.stderr)
        sys.stderr.flush()
        self.comm.Abort(1)

    def _ready(self, error: BaseException | None = None) -> None:
        """Wait until all are here, which may bring an error, one's own or another's."""
        if self.layout is not None:
            self._sum(self.layout.zeros(), error)
        elif any(self._exchange(self.comm.allgather, error is not None or self.interrupted)):
            self._raise(error)

    def _sum(self, flat: Array, error: BaseException | None = None) -> None:
        """Add the buffers of all ranks into each."""
        if error is not None or self.interrupted:
            flat[-1] = 1
        self._exchange(_sum, self.comm, flat)
        if flat[-1] != 0:
            self._raise(error)

    def _raise(self, error: BaseException | None) -> NoReturn:
        if error is None and self.interrupted:
            error = KeyboardInterrupt()
        told = self._exchange(self.comm.allgather, _told(error))
        self.told = _common(self.caller, told, error)
        raise self.told from (None if self.told is error else error)

    def compare(self, what: str, texts: Callable[[], Mapping[str, Any]]) -> None:
        """Refuse what is not the same on all ranks, by a digest, and name the rank and what differs."""
        own = texts()
        self._ready()
        problem = self._exchange(_difference, self.comm, own)
        if problem:
            self.told = ValueError(f"{what} must be the same on all ranks: {problem}")
            raise self.told

    def of_first(self, value: T) -> T:
        """Give what rank 0 has."""
        self._ready()
        return self._exchange(self.comm.bcast, value, 0)  # type: ignore[no-any-return]

    def of_all(self, value: T) -> list[T]:
        """Give what each rank has, in their order."""
        self._ready()
        return self._exchange(self.comm.allgather, value)  # type: ignore[no-any-return]

    def rows_of_all(self, *arrays: Array) -> tuple[Array, ...] | None:
        """Give all ranks' rows, one after the other, on rank 0, and None on others."""
        self._ready()
        rows = self._exchange(_gathered, self.comm, tuple(map(data_of, arrays)))
        # What was a Tensor, as a loss may want it, is one again.
        return rows and tuple(
            ad.Tensor(x, requires_grad=False) if isinstance(given, ad.Tensor) else x for x, given in zip(rows, arrays)
        )

    def own(self, count: int) -> slice:
        """Give this rank's part of so many rows."""
        return part(count, self.rank, self.size)

    def common(self, rng: np.random.Generator) -> np.random.Generator:
        """Give a generator that draws on all ranks what rank 0's draws."""
        state = self.of_first(rng.bit_generator.state)
        if self.rank == 0:
            return rng
        copy = np.random.Generator(type(rng.bit_generator)())  # layers may draw from the other
        copy.bit_generator.state = state
        return copy

    def joined(self, compute: Step, update: Callable[[], None], made: Made, gathers: bool) -> Step:
        """Make a step of its two halves, with the sum of all ranks' gradients between."""

        def gradients(inputs: Array, targets: Array, *weights: Array) -> tuple[Any, ...]:
            results = compute(inputs, targets, *weights, factor=len(targets))
            return *results, self._layout().packed(self.caller, len(targets))

        def changed_by(present: tuple[bool, ...]) -> Callable[[Array], None]:
            def change(flat: Array) -> None:
                self._layout().unpack(flat, present)
                update()

            whole: Callable[[Array], None] = made(change)
            return whole

        first: Step = made(gradients)
        seconds: dict[tuple[bool, ...], Callable[[Array], None]] = {}

        def step(inputs: Array, targets: Array, *weights: Array) -> tuple[Any, ...]:
            layout = self._layout()
            results: list[Any]
            if len(targets):
                *results, flat = first(inputs, targets, *weights)
                layout.check_finite(flat)
            else:  # a last batch may have fewer rows than there are ranks
                results, flat = [np.zeros(())], layout.zeros()
            self._sum(flat)
            if gathers:
                own = (*map(data_of, results[1:]), targets) if len(targets) else ()
                results[1:] = self._exchange(_gathered, self.comm, own) or ()
            present = layout.present(flat)
            if present not in seconds:
                seconds[present] = changed_by(present)
            seconds[present](flat)
            return tuple(results)

        return step

    def _layout(self) -> Layout:
        if self.layout is None:
            raise RuntimeError("the ranks have not agreed on what learns")
        return self.layout

    def settle(self, model: Module, optimizer: Optimizer, what: str) -> None:
        """Agree on the model, what learns of it and how, before some steps: weights differ by rounding at most."""

        def texts() -> dict[str, Any]:
            learns = {f"whether {parameter.name} learns": parameter.requires_grad for parameter in optimizer.parameters}
            options = {
                f"optimizer's groups.{k}.{name}": group[name]
                for k, group in enumerate(optimizer.param_groups)
                for name in optimizer.defaults
            }
            return described(model) | learns | options

        self.compare(what, texts)
        firsts = self._exchange(lambda: [_of_first(tensor, self.comm) for tensor in model.by_path().values()])
        layout = Layout(optimizer.parameters)
        if self.layout is None or not self.layout.is_like(layout):  # compiled steps are made for the one that they read
            self.layout = layout
        for (path, tensor), first in zip(model.by_path().items(), firsts, strict=True):
            if not np.array_equal(tensor.data, first, equal_nan=True):
                if not np.allclose(tensor.data, first, 1e-3, 1e-3 * np.abs(first).max(), equal_nan=True):
                    raise ValueError(
                        f"{self.caller}: {path} has other numbers than on rank 0; what callbacks and the model itself "
                        "change must be the same on all ranks"
                    )
                tensor.data = first

    def interrupt(self, error: KeyboardInterrupt, model: Module) -> None:
        """Tell the others of Ctrl-C, if they have not told; then give all the weights of rank 0."""
        if error is not self.told:
            with contextlib.suppress(KeyboardInterrupt):
                self._ready(error)
        for tensor in model.by_path().values():
            tensor.data = self._exchange(_of_first, tensor, self.comm)
        self.is_over = True

    def end(self) -> None:
        """Wait until all have come to the end; what goes wrong later is each rank's own."""
        self._ready()
        self.is_over = True


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
        command = install("distributed")
        raise ImportError(f"{caller}: several processes need mpi4py and MPI: {command} ({error})") from None
    if comm is None:
        return MPI.COMM_WORLD
    if isinstance(comm, MPI.Comm) and comm == MPI.COMM_NULL:
        raise ValueError(f"{caller}: comm is MPI.COMM_NULL; only ranks that belong to a communicator may call this")
    if not isinstance(comm, MPI.Intracomm):
        raise TypeError(f"{caller}: comm must be a communicator of mpi4py, such as MPI.COMM_WORLD, got {comm!r}")
    return comm


def _sum(comm: Any, flat: Array) -> None:
    from mpi4py import MPI

    for start in range(0, max(1, len(flat)), _PIECE_BYTES // flat.itemsize):
        comm.Allreduce(MPI.IN_PLACE, flat[start : start + _PIECE_BYTES // flat.itemsize])


def _of_first(tensor: ad.Tensor, comm: Any) -> Array:
    """Give a copy of what a Tensor holds on rank 0."""
    array = np.array(tensor.data, order="C")
    content = array.reshape(-1).view(np.uint8)  # whatever MPI calls the dtype
    for start in range(0, len(content), _PIECE_BYTES):
        comm.Bcast(content[start : start + _PIECE_BYTES], 0)
    return array[()]


def _gathered(comm: Any, arrays: tuple[Array, ...]) -> tuple[Array, ...] | None:
    """Give all ranks' rows of some arrays on rank 0; a rank that has none gives no arrays."""
    every = comm.gather(arrays, 0)
    return every and tuple(map(np.concatenate, zip(*filter(None, every), strict=True)))


def _difference(comm: Any, texts: Mapping[str, Any]) -> str | None:
    """Name the first rank whose texts are not those of rank 0, and say what differs."""
    digests = comm.allgather(hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest())
    odd = next((rank for rank, digest in enumerate(digests) if digest != digests[0]), None)
    if odd is None:
        return None
    first, other = comm.bcast(texts, 0), comm.bcast(texts, odd)
    return "; ".join(differences(f"on rank {odd}", other, "on rank 0", first)[:5])


def _agree(caller: str, comm: Any, parts: list[tuple[str, str, Any]], error: BaseException | None) -> None:
    """Raise the error of a rank on all, and refuse parts that are not the same everywhere, quickly if all is well.

    Buffers that are laid out in different ways would be added to each other, or hang.
    """
    from mpi4py import MPI

    checksum = zlib.crc32(repr(parts).encode())
    head = np.array([error is not None, checksum, -checksum], float)
    comm.Allreduce(MPI.IN_PLACE, head, MPI.MAX)
    if head[0]:
        _raise_together(caller, comm, error)
    if head[1] != -head[2]:
        texts = {name: f"{kind} {shape or ''}".strip() for name, kind, shape in parts}
        problem = _difference(comm, texts) or "the order of the parameters"
        raise ValueError(f"{caller}: what is averaged must be the same on all ranks: {problem}")


def _raise_together(caller: str, comm: Any, error: BaseException | None) -> None:
    """Raise an error that a rank has on all of them."""
    told = comm.allgather(_told(error))
    if any(told):
        raise _common(caller, told, error)


def _told(error: BaseException | None) -> tuple[str, str] | None:
    if error is None:
        return None
    try:
        return type(error).__name__, str(error)
    except Exception:  # of the error's own class
        return type(error).__name__, "an error without a text"


def _common(caller: str, told: list[tuple[str, str] | None], error: BaseException | None) -> BaseException:
    """Give what all ranks raise: the error of the first that has one, with its number; what all have, as it is."""
    if error is not None and len(set(told)) == 1:
        return error
    failed = [(rank, *one) for rank, one in enumerate(told) if one is not None]
    rank, name, text = next((one for one in failed if one[1] != "KeyboardInterrupt"), failed[0])
    if name == "KeyboardInterrupt":
        return KeyboardInterrupt()
    kind = getattr(builtins, name, None)
    message = f"{caller}: on rank {rank} of {len(told)}: "
    if isinstance(kind, type) and issubclass(kind, Exception):
        with contextlib.suppress(TypeError):  # some are made of more than a text
            return kind(message + text.removeprefix(f"{caller}: "))
    return RuntimeError(f"{message}{name}: {text}")


if not TYPE_CHECKING:  # or checkers took every name for one of these
    __getattr__ = absent(__name__)
