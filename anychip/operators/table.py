"""The table: aten overload to `Operator`, and a call to its Forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Literal

from anychip.errors import InvalidInput
from anychip.operators.arguments import Arguments, Call, Tensor, plain
from anychip.operators.forms import Form, Host

#: ``view`` is geometry only; ``host`` has no rule. ``random`` draws numbers.
Kind = Literal[
    "view", "contraction", "attention", "lanes", "rows", "gather", "move", "random", "collective", "host"
]
#: Gives the forms of a call in order; None declines (the call becomes `Host`).
Rule = Callable[[Arguments], tuple[Form, ...] | None]


@dataclass(frozen=True, slots=True)
class Operator:
    """What an aten overload means.

    Args:
        name: without ``aten.``, in-place and ``out`` variants under the functional name: ``"add.Tensor"``.
        kind: which of the families it belongs to.
        tensors: names of the arguments that may be tensors, in schema order; ``"tensors[]"`` a list.
        rule: from arguments to forms.
    """

    name: str
    kind: Kind
    tensors: tuple[str, ...]
    rule: Rule


_TABLE: dict[str, Operator] = {}
#: Modules that fill the table.
_FAMILIES = (
    "elementwise",
    "contractions",
    "convolutions",
    "attention",
    "reductions",
    "normalizations",
    "losses",
    "pooling",
    "indexing",
    "moves",
    "optimizers",
    "collectives",
    "views",
)


def register(names: str, kind: Kind, tensors: str, rule: Rule) -> None:
    """Adds the same meaning for every overload in `names`, separated by spaces.

    A name without an overload means ``.default``.
    """
    for word in names.split():
        name = word if "." in word else word + ".default"
        if name in _TABLE:
            raise InvalidInput(f"operator {name}: registered twice; remove one")
        _TABLE[name] = Operator(name, kind, tuple(tensors.split()), rule)


def rule(names: str, kind: Kind, tensors: str) -> Callable[[Rule], Rule]:
    """Decorator form of `register`."""

    def enter(function: Rule) -> Rule:
        register(names, kind, tensors, function)
        return function

    return enter


@cache
def _filled() -> dict[str, Operator]:
    for family in _FAMILIES:
        import_module(f"anychip.operators.{family}")
    return _TABLE


def operators() -> Iterator[Operator]:
    """Every operator with a rule, by name."""
    yield from (_filled()[name] for name in sorted(_filled()))


@cache
def find(operator: str) -> Operator | None:
    """The entry of an overload such as ``"aten.add_.Tensor"``, None if it has no rule.

    In-place and ``out`` variants mean what the functional overload means.
    """
    table = _filled()
    namespace, _, rest = operator.partition(".")
    packet, _, overload = rest.partition(".")
    if namespace != "aten":
        return table.get(operator)
    for functional in _functional(packet, overload or "default"):
        if functional in table:
            return table[functional]
    return None


def _functional(packet: str, overload: str) -> Iterator[str]:
    """Names under which the functional variant may stand, the likeliest first."""
    packets = [packet]
    if packet.endswith("_") and not packet.endswith("__"):
        packets.append(packet[:-1])
    overloads = [overload]
    if overload == "out":
        overloads += ["default", "Tensor", "self"]
    elif overload.endswith("_out"):
        overloads.append(overload.removesuffix("_out"))
    elif overload in ("grad_input", "output"):
        overloads.append("default")
    for name in packets:
        for variant in overloads:
            yield f"{name}.{variant}"


def meaning(call: Call) -> tuple[Form, ...]:
    """The forms of a call, in the order in which they run; empty for a view.

    A call without a rule, or whose rule declines, is one `Host` form; so is one whose arguments the rule does
    not know how to read, since nothing that PyTorch ran may be refused.
    """
    operator = find(call.operator)
    forms = None if operator is None else _by_rule(operator, call)
    return (host(call),) if forms is None else forms


def _by_rule(operator: Operator, call: Call) -> tuple[Form, ...] | None:
    try:
        return operator.rule(Arguments(call, operator.tensors, operator.name))
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def kind_of(call: Call) -> Kind:
    """The kind of a call, ``host`` where no rule applies."""
    operator = find(call.operator)
    if operator is None or isinstance(next(iter(meaning(call)), None), Host):
        return "host"
    return operator.kind


def host(call: Call) -> Host:
    """The opaque form of a call: its bytes, and one lane operation an element."""
    reads = tuple(Tensor(f"in{i}", v.format, v.shape, v.strides) for i, v in enumerate(call.inputs))
    writes = tuple(Tensor(f"out{i}", v.format, v.shape, v.strides) for i, v in enumerate(call.outputs))
    operations = max((tensor.elements for tensor in (*reads, *writes)), default=0)
    return Host(call.operator, tuple(map(plain, reads)), tuple(map(plain, writes)), operations)
