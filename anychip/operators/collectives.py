"""Collectives: what this member contributes and what it ends up with."""

from __future__ import annotations

from anychip.operators.arguments import Arguments, plain
from anychip.operators.forms import Collective, Form
from anychip.operators.table import Rule, register

#: Names of groups whose members exist only in a recording end in how many they are.
SHARDS = "shards-"
_KINDS = {
    "c10d.allreduce_": "all_reduce",
    "c10d.allreduce_coalesced_": "all_reduce",
    "c10d.broadcast_": "broadcast",
    "c10d.allgather_": "all_gather",
    "c10d._allgather_base_": "all_gather",
    "c10d.reduce_scatter_": "reduce_scatter",
    "c10d._reduce_scatter_base_": "reduce_scatter",
    "c10d.alltoall_": "all_to_all",
    "c10d.alltoall_base_": "all_to_all",
    "c10d.send": "send",
    "c10d.recv_": "receive",
    "c10d.barrier": "barrier",
    "c10d.reduce_": "reduce",
    "c10d.gather_": "gather",
    "c10d.scatter_": "scatter",
    "_c10d_functional.all_reduce": "all_reduce",
    "_c10d_functional.all_reduce_": "all_reduce",
    "_c10d_functional.all_gather_into_tensor": "all_gather",
    "_c10d_functional.reduce_scatter_tensor": "reduce_scatter",
    "_c10d_functional.all_to_all_single": "all_to_all",
    "_c10d_functional.broadcast": "broadcast",
}


def exchange(kind: str) -> Rule:
    """The rule of one kind of collective."""

    def rule(a: Arguments) -> tuple[Form, ...]:
        operands, results = tuple(map(plain, a.inputs)), tuple(map(plain, a.results))
        extents = tuple(a.inputs[0].shape) if a.inputs else ()
        return (Collective(kind, operands, results, extents, a.integer("members", 0)),)

    return rule


for _name, _kind in _KINDS.items():
    register(_name + ".default", "collective", "", exchange(_kind))
