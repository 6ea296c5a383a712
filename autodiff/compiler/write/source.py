"""The source text of a program for NumPy: as one would have written it by hand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from autodiff.compiler.plan.lifetimes import Buffer, may_view, shows
from autodiff.compiler.plan.memory import Layout
from autodiff.compiler.program import Call, Value, values_in
from autodiff.compiler.record.log import Log
from autodiff.compiler.record.recorder import updated
from autodiff.compiler.simplify.rounding import increased
from autodiff.compiler.write.module import Module, Source, changed_numbers


def numpy_source(layout: Layout, called: str, returned: Sequence[str], log: Log) -> Source:
    """Write a program for NumPy: a statement a call, in order."""
    module = Module(layout, called, returned, log, inlined=_to_inline(layout))
    module.make_once(_names(layout, module))
    opening: list[str] = []  # lines at the beginning of step
    body: list[str] = []
    makers = {output: call for call in (*layout.once, *layout.calls) for output in call.outputs}
    transposes = {
        call.args[0]: call.output for call in layout.once if call.function is np.transpose and len(call.args) == 1
    }
    for call in layout.calls:
        module.statements.head(body, call)
        home = layout.home.get(call.output)
        out = None if home is None else module.texts[call.output]
        if home is not None and _is_for_dot(call) and home.axes == (1, 0):
            left, right, result = (
                module.texts.get(transposes.get(value)) or _transposed(value, layout, module)
                for value in (*call.args, call.output)
            )
            body.append(f"np.dot({right}, {left}, out={result})")
            continue
        is_for_dot = home is not None and _is_for_dot(call) and not home.is_state and home.axes is None
        product = _product(call, layout, module, opening, makers) if is_for_dot else None
        is_there = home is not None and call.function in (updated, increased) and layout.home.get(call.args[0]) is home
        body += module.statements.statement(call, out, product, is_there)
    return module.finished([*opening, *body, *module.ending()])


def _names(layout: Layout, module: Module) -> dict[Buffer, dict[str, None]]:
    """Name what lies in buffers and in the state, and list the names of each piece of memory, in order.

    What the user has no name for, and only one call uses, is called as that which becomes of it in its place.
    """
    texts, statements = module.texts, module.statements
    pairs = [(before, after) for before, after in layout.program.state if before in layout.home]
    texts |= {after: texts[before] for before, after in pairs if layout.home.get(after) is layout.home[before]}
    calls = [call for call in layout.calls if call.output in layout.home]
    uses = layout.program.use_counts()
    heirs: dict[Value, Value] = {}
    later: dict[Buffer, Call] = {}
    for call in reversed(calls):
        home = layout.home[call.output]
        if home in later and uses[call.output] == 1 and call.output in later[home].operands():
            heirs[call.output] = later[home].output
        later[home] = call
    names: dict[Buffer, dict[str, None]] = defaultdict(dict)
    borrowed: dict[Value, str] = {}

    def wish(value: Value) -> str | None:
        """Say how the user would call a value; gradients of what has a borrowed name are called so that one sees it."""
        word, of = value.after or ("", value)
        return value.wish(texts) or (f"{word}_pre_{borrowed[of]}" if of in borrowed else None)

    for call in calls:
        value, home = call.output, layout.home[call.output]
        named, passed = value, []
        while not (named in texts or wish(named)) and named in heirs:
            passed.append(named)
            named = heirs[named]
        heirs |= dict.fromkeys(passed, named)  # so that a long chain is followed once
        if not (named in texts or wish(named)):
            named = value
        if named not in texts:
            key = home, wish(named) or statements.wish(value, call)
            texts[named] = texts.get(key) or texts.name(key, key[1])
        if value is not named:
            borrowed[value] = texts[named]
        names[home][texts[named]] = None
    for value in (output for call in layout.calls for output in call.outputs if output not in layout.home):
        if value.after and value.after[1] in borrowed:
            value.name = value.name or wish(value)
    texts |= borrowed
    return names


def _is_for_dot(call: Call) -> bool:
    """Whether np.dot, which is faster and writes into rows only, can give a product."""
    return call.function is np.matmul and max(len(value.shape) for value in call.operands()) <= 2


def _transposed(value: Value, layout: Layout, module: Module) -> str:
    """Name the transpose of a matrix, which is made once if the matrix lies in the same memory in each run."""
    texts, text = module.texts, module.texts.operand(value)
    return texts.named(("transposed", text), f"{text}_T", f"{text}.T") if value in layout.home else f"{text}.T"


def _product(call: Call, layout: Layout, module: Module, opening: list[str], makers: Mapping[Value, Call]) -> str:
    """Name the faster function for a product that gives, in an exact program, the same bits.

    They round differently for arrays with gaps, of which one only knows when the program runs, if they are given.
    """
    if not layout.exact or np.dtype(call.output.dtype).kind == "c":  # complex numbers are rounded differently
        return "np.matmul" if layout.exact else "np.dot"
    owners = {_owner(value, layout, makers) for value in call.operands()}
    given = [value for value in (*module.source.arrays, *layout.program.inputs) if value in owners]
    if None in owners or not given:
        return "np.matmul" if None in owners else "np.dot"
    texts, key = module.texts, ("product", *given)
    if key not in texts:
        lines = opening if any(value.kind == "input" for value in given) else texts.fixed
        conditions = " and ".join(f"{texts[value]}.flags.forc" for value in given)
        lines.append(f"{texts.name(key, 'product')} = np.dot if {conditions} else np.matmul")
    return texts[key]


def _owner(value: Value, layout: Layout, makers: Mapping[Value, Call]) -> Value | None:
    """Give the array whose memory a matrix, or its transpose, is all of, or None."""
    maker, home = makers.get(value), layout.home.get(value)
    if home is not None and home.is_state:
        return home.value
    if maker is None:
        return None if value.kind == "constant" and not value.data.flags.forc else value
    if maker.function is np.transpose and len(maker.args) == 1:
        return _owner(maker.args[0], layout, makers)
    return None if may_view(maker) else value


def _to_inline(layout: Layout) -> set[Value]:
    """Choose views, and numbers that are computed from numbers, if used once: they are written where they are used."""
    uses = Counter(operand for call in layout.calls for operand in call.operands())
    uses.update(values_in([*layout.program.results, *changed_numbers(layout)]))
    return {
        call.output
        for call in layout.calls
        if uses[call.output] == 1
        and not (call.effect or call.several)
        and (shows(call) if call.output.is_array else not any(operand.is_array for operand in call.operands()))
    }
