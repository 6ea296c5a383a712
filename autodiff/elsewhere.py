"""Names that PyTorch has and this library has not, each with what to write in its place: one table for all messages."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NoReturn


def _each(names: str, text: str) -> dict[str, str]:
    """Give several names one text, in which {} stands for the name."""
    return {name: text.replace("{}", name.rstrip("_")) for name in names.split()}


_MEMORY = "all arrays are in main memory: leave it out"
_NO_LAYERS = (
    "nn has layers for multi-layer perceptrons only: write a Module whose forward is NumPy calls, or keep it in PyTorch"
)
_A_LOSS = "a loss is any function of Tensors: write it in NumPy calls, as in np.maximum(margin - x, 0).mean()"
_OF_NUMPY = "give NumPy's dtype, np.{}"
_BATCHES = "for inputs, targets in nn.data.batches(X, y, batch_size, rng=rng)"
_SEEDS = "there is no global seed: give rng=, a seed or a np.random.Generator, to what draws numbers"

# By where a name is looked for, what to write.
INSTEAD: dict[str, dict[str, str]] = {
    "Tensor": {
        **_each("cpu cuda device is_cuda pin_memory", _MEMORY),
        "to": "all arrays are in main memory; for another dtype write x.astype(np.float32)",
        "numpy": "write x.data, which is the array",
        **_each("float", "write x.astype(np.float32)"),
        **_each("double", "write x.astype(np.float64)"),
        **_each("half", "write x.astype(np.float16)"),
        **_each("long int bool type", "write x.astype(int), or of another dtype"),
        "clone": "write x.copy()",
        **_each("view_as reshape_as", "write x.reshape(y.shape)"),
        "permute": "write x.transpose(0, 2, 1), which takes all axes, as permute does",
        "t": "write x.T",
        "unsqueeze": "write x[:, None], or np.expand_dims(x, axis)",
        **_each("expand expand_as", "write np.broadcast_to(x, shape)"),
        **_each("mm bmm matmul mv", "write x @ y"),
        **_each("dim ndimension", "write x.ndim"),
        **_each("numel nelement", "write x.size"),
        "contiguous": "leave it out",
        "norm": "write np.linalg.norm(x)",
        **_each("add sub mul div pow eq ne lt le gt ge", "write the operator, as in x * y or x**2"),
        **_each("sin cos tan sinh cosh log1p expm1 log2 log10 sign floor ceil square", "write np.{}(x)"),
        **_each("erf erfc lgamma digamma", "write scipy.special.{}(x), or gammaln there for lgamma"),
        "clamp": "write x.clip(low, high)",
        "rsqrt": "write x**-0.5",
        **_each("softmax log_softmax logsumexp", "write nn.functional.{}(x, axis=1)"),
        "masked_fill": "write np.where(mask, value, x)",
        "gather": "write np.take_along_axis(x, indices, axis)",
        **_each("scatter scatter_add index_add", "write x.at[index].set(values), or .add(values)"),
        "index_select": "write np.take(x, indices, axis)",
        **_each("topk argtopk", "write np.argsort(x, axis)[..., -k:]"),
        **_each("split chunk", "write np.split(x, places, axis)"),
        **_each(
            "add_ sub_ mul_ div_ zero_ fill_ copy_ clamp_",
            "a Tensor is not changed in place: write y = ..., or x.data = ...",
        ),
        **_each("uniform_ normal_", "write x.data = rng.{}(size=x.shape), or nn.init.{}_(x)"),
        "requires_grad_": "write x.requires_grad = True",
        "detach_": "write x = x.detach()",
        "compute": "write ad.materialize(x)",
        "grad_fn": "ask x.is_leaf, or see the graph by ad.draw(x)",
        **_each("new_zeros new_ones new_full new_tensor", "write np.zeros(shape), np.ones(shape) and so on"),
    },
    "Module": {
        **_each("cpu cuda device", _MEMORY),
        **_each(
            "to float double half type",
            "parameters have the dtype they are made with: give dtype= to layers; arrays are in main memory",
        ),
        "register_buffer": "assign it: self.name = nn.Buffer(array)",
        "register_parameter": "assign it: self.name = nn.Parameter(array)",
        **_each("add_module register_module", "assign it: self.name = module"),
        **_each("get_submodule get_parameter get_buffer", "look it up by its path: dict(model.named_modules())[path]"),
        **_each(
            "register_backward_hook register_full_backward_hook register_full_backward_pre_hook",
            "gradients are seen by x.register_hook(function) of a Tensor, such as the output in a forward hook",
        ),
        "compile": "write step = ad.compile(step, state=(model, optimizer)) of the whole step",
        "share_memory": "processes exchange arrays by nn.parallel",
    },
    "autodiff": {
        **_each(
            "tensor as_tensor from_numpy FloatTensor LongTensor",
            "write ad.Tensor(data), or leave it out: constants stay arrays",
        ),
        **_each(
            "zeros ones full arange linspace stack cat where exp log tanh sum mean matmul einsum",
            "write np.{}, or np.concatenate for cat",
        ),
        **_each(
            "rand randn randint randperm",
            "write rng = np.random.default_rng(0) and rng.normal(size=shape), rng.integers, rng.permutation",
        ),
        **_each("manual_seed Generator", _SEEDS),
        **_each("float16 float32 float64 int32 int64 bool complex64 complex128", _OF_NUMPY),
        **_each("long float double int", "give NumPy's dtype, such as np.int64 or np.float32"),
        **_each("device cuda backends", _MEMORY),
        **_each("inference_mode set_grad_enabled enable_grad", "write with ad.no_grad():"),
        "func": "ad.grad, ad.vmap and the like are here",
        "autograd": "call loss.backward() and look at w.grad; of functions there are ad.grad and ad.jacobian",
        **_each("save load", "write nn.{}(model, path); what else there is in a run nn.fit(checkpoint=path) keeps"),
        "nn": "import nn",
        "optim": "write nn.optim",
        "utils": "write nn.utils, and nn.data.batches for a DataLoader",
    },
    "nn": {
        **_each(
            "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d MaxPool1d MaxPool2d AvgPool2d AdaptiveAvgPool2d LSTM "
            "LSTMCell GRU GRUCell RNN RNNCell Transformer TransformerEncoder TransformerEncoderLayer "
            "MultiheadAttention Upsample PixelShuffle Unfold Fold EmbeddingBag Bilinear",
            _NO_LAYERS,
        ),
        **_each(
            "BatchNorm2d BatchNorm3d", "nn has BatchNorm1d, which takes (N, C) and (N, C, L): reshape other inputs"
        ),
        **_each(
            "GroupNorm InstanceNorm1d InstanceNorm2d RMSNorm", "nn has LayerNorm; another is a Module of NumPy calls"
        ),
        **_each("Dropout1d Dropout2d AlphaDropout", "nn has Dropout"),
        **_each(
            "PReLU SELU CELU Mish ReLU6 Hardswish Hardsigmoid Softsign Softshrink Hardshrink Threshold GLU Softmin",
            "it is a function of NumPy calls: nn.MLP(activation=function), or a Module whose forward it is",
        ),
        **_each("DataParallel", "train on several processes by nn.fit(comm=), or nn.parallel"),
        **_each("ParameterList", "a list of Parameters is one, as an attribute"),
        **_each("ParameterDict", "a dict of Parameters is one, as an attribute"),
        **_each(
            "MarginRankingLoss TripletMarginLoss CosineEmbeddingLoss HingeEmbeddingLoss MultiMarginLoss "
            "MultiLabelMarginLoss MultiLabelSoftMarginLoss SoftMarginLoss CTCLoss",
            _A_LOSS,
        ),
        **_each("DataLoader Dataset TensorDataset", _BATCHES),
        **_each("manual_seed", _SEEDS),
        **_each("tensor Tensor", "write ad.Tensor(data), or leave it out: constants stay arrays"),
        **_each("no_grad", "write with ad.no_grad():"),
        **_each("device cuda", _MEMORY),
    },
    "nn.functional": {
        **_each(
            "conv1d conv2d conv3d max_pool1d max_pool2d avg_pool2d interpolate scaled_dot_product_attention unfold",
            _NO_LAYERS,
        ),
        "logsigmoid": "write nn.functional.log_sigmoid(x)",
        "pad": "write np.pad(x, widths)",
        "normalize": "write x / np.linalg.norm(x, axis=1, keepdims=True)",
        **_each(
            "cosine_similarity pairwise_distance selu celu mish relu6 hardswish hardsigmoid softsign glu softmin",
            "write it in NumPy calls",
        ),
        **_each(
            "margin_ranking_loss triplet_margin_loss cosine_embedding_loss hinge_embedding_loss multi_margin_loss",
            _A_LOSS,
        ),
    },
    "nn.optim": {
        **_each(
            "Adamax NAdam RAdam Adadelta ASGD Rprop SparseAdam Adafactor",
            "nn.optim has SGD, Adam, AdamW, RMSprop, Adagrad and LBFGS; an Optimizer of your own defines update",
        ),
        "swa_utils": "average model.state_dict() over epochs, and load_state_dict it",
    },
    "nn.optim.lr_scheduler": {
        "LinearLR": "write LinearWarmup(optimizer, steps=total_iters, start_factor=1 / 3)",
        **_each(
            "ConstantLR MultiplicativeLR PolynomialLR CyclicLR CosineAnnealingWarmRestarts",
            "write LambdaLR(optimizer, lambda epoch: factor)",
        ),
        "ChainedScheduler": "step all of the schedules: each scales the present learning rate",
        **_each("LRScheduler _LRScheduler", "write Schedule, which defines following"),
    },
    "nn.init": {
        "calculate_gain": "write nn.init.gain(nonlinearity)",
        **_each("orthogonal_ trunc_normal_ eye_ dirac_ sparse_", "write w.data = ..., an array of its shape and dtype"),
    },
    "nn.utils": {
        "data": _BATCHES,
        **_each(
            "parametrizations parametrize weight_norm spectral_norm prune rnn",
            "write a Module whose forward computes the weight",
        ),
    },
    "nn.data": {
        **_each("DataLoader Dataset TensorDataset", _BATCHES),
        **_each("random_split Subset", "write order = rng.permutation(len(X)), and X[order[:n]]"),
    },
    "nn.parallel": _each(
        "DistributedDataParallel DataParallel",
        "nn.fit(comm=) does all of it; in a loop of your own, average_gradients(model) before the optimizer's step",
    ),
    # of any function or class
    "option": {
        "dim": "write axis=",
        "keepdim": "write keepdims=",
        "device": _MEMORY,
        "inplace": "nothing is changed in place: leave it out",
        **_each("size_average reduce", 'write reduction="mean", "sum" or "none"'),
        **_each("learning_rate learning_rate_init step_size_init eta", "write lr="),
        **_each("l2 decay weight_penalty", "write weight_decay="),
        **_each("generator seed random_state", "write rng="),
        **_each("non_blocking pin_memory num_workers", "leave it out"),
        **_each("foreach fused capturable differentiable", "leave it out: all steps are as fast as they can be"),
    },
}


def said(where: str, name: str) -> str:
    """Give what a message says of a name that is not there: a semicolon and what to write, or nothing."""
    text = INSTEAD[where].get(name)
    return f"; {text}" if text else ""


def said_of_option(name: str, value: Any) -> str:
    """Give what a message says of an option, with its value where another option takes it."""
    text = said("option", name)
    return f"{text}{value!r}" if text.endswith("=") else text


class _Absent:
    """A name that the objects of a class have not: looking it up raises an AttributeError that says more.

    A subclass may have it, in itself, in its objects, or from another base, also one that comes later.
    """

    def __init__(self, where: type[Any], name: str) -> None:
        self._kind, self._where, self._name = where, where.__name__, name

    def __repr__(self) -> str:
        return f"<not here{said(self._where, self._name)}>"  # as help() shows it

    def is_of_later(self, kind: type[Any]) -> bool:
        """Whether a base that comes later in the search has the name, as a mixin."""
        later = kind.__mro__[kind.__mro__.index(self._kind) + 1 :]
        return any(self._name in vars(base) for base in later)

    def __get__(self, instance: Any, kind: type[Any]) -> Any:
        if self.is_of_later(kind):
            return getattr(super(self._kind, kind if instance is None else instance), self._name)
        text = f"{kind.__name__!r} object has no attribute {self._name!r}{said(self._where, self._name)}"
        raise AttributeError(text, name=self._name, obj=instance)


def explained(kind: type[Any]) -> type[Any]:
    """Let a class say what to write for the attributes that it lacks.

    Those that it has are found as before. A ``__getattr__`` would make the search for all of them slower.
    """

    def names(self: Any) -> list[str]:
        found = {name: inspect.getattr_static(self, name) for name in object.__dir__(self)}
        return [name for name, x in found.items() if not isinstance(x, _Absent) or x.is_of_later(type(self))]

    for name in INSTEAD[kind.__name__]:
        setattr(kind, name, _Absent(kind, name))
    setattr(kind, "__dir__", names)  # noqa: B010 (to type checkers it is a method of its own)
    return kind


def absent(module: str) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a module, which is asked for names that are not there."""

    def raise_for(name: str) -> NoReturn:
        text = f"module {module!r} has no attribute {name!r}{said(module, name)}"
        raise AttributeError(text, name=name)

    return raise_for
