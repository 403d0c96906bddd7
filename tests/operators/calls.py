"""Calls as the tests write them: shapes and formats, row-major unless strides are given."""

from __future__ import annotations

from anychip.programs.graph import Attribute, Node, View


def view(format_name: str, *shape: int, strides: tuple[int, ...] | None = None) -> View:
    """A tensor operand."""
    dense: list[int] = []
    step = 1
    for extent in reversed(shape):
        dense.append(step)
        step *= max(extent, 1)
    return View(0, format_name, shape, strides or tuple(reversed(dense)))


def call(operator: str, inputs: list[View], outputs: list[View], **attributes: Attribute) -> Node:
    """One operator call."""
    return Node(f"aten.{operator}", tuple(attributes.items()), tuple(inputs), tuple(outputs))
