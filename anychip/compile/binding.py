"""Nests bound to the operands of a node: from ports to views."""

from __future__ import annotations

from anychip.errors import InvalidDescription
from anychip.programs.graph import Node, View
from anychip.programs.program import Kernel, Nest


def bound(nest: Nest, node: Node, number: int) -> Kernel:
    """The kernel that performs a nest for one node.

    Values that forms of the same node pass on (ports ``temporary0`` ...) get negative value numbers.

    Args:
        nest: lowered from one of the node's forms.
        node: whose inputs and outputs the ports name.
        number: of the node in its segment.

    Raises:
        InvalidDescription: a port that the node does not have.
    """
    views = tuple(_view(access.operand.port, access.operand.format, node, number) for access in nest.accesses)
    return Kernel(nest, views, (number,), node.place)


def _view(port: str, format_name: str, node: Node, number: int) -> View:
    kind, index = port.rstrip("0123456789"), int(port.lstrip("abcdefghijklmnopqrstuvwxyz"))
    if kind == "temporary":
        return View(-1 - (number * 16 + index), format_name, (), ())
    side = {"in": node.inputs, "out": node.outputs}.get(kind)
    if side is None or index >= len(side):
        raise InvalidDescription(f"{node.operator}: a form names port {port}, which the call does not have")
    return side[index]
