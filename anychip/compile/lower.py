"""Graph to Program: forms of every operator, grouped as the family fuses them, lowered once per shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from anychip.chips import Chip
from anychip.compile import basecamp
from anychip.compile.attention import attention
from anychip.compile.block import block
from anychip.compile.collective import collective
from anychip.compile.contraction import contraction
from anychip.compile.demand import multiplies, operand_format
from anychip.compile.fuse import Group
from anychip.compile.residency import kernels_of
from anychip.compile.stream import listed, streamed
from anychip.errors import NotModelled
from anychip.operators import Attention, Collective, Contract, Form, meaning
from anychip.programs.graph import Graph, Node, Segment, View
from anychip.programs.program import Kernel, Nest, Program


@dataclass(slots=True)
class Lowering:
    """Lowers for one chip and remembers every shape that it has lowered.

    Args:
        chip: to lower for.
        known_forms: what calls mean, by call; meanings know no chip, so several lowerings may share them.
    """

    chip: Chip
    known_forms: dict[Any, tuple[Form, ...]] = field(default_factory=dict[Any, "tuple[Form, ...]"])
    _nests: dict[Any, Nest] = field(default_factory=dict[Any, Nest])
    # By identity, since `forms` gives equal calls the same objects; the form is kept with its nest.
    _singles: dict[int, tuple[Form, Nest]] = field(default_factory=dict[int, "tuple[Form, Nest]"])

    def program(self, graph: Graph) -> Program:
        """The program of a graph: equal segments, and equal kernels in different ones, are lowered once."""
        segments = tuple(self.segment(segment) for segment in graph.segments)
        return Program(self.chip.name, segments, graph.path)

    def segment(self, segment: Segment) -> tuple[Kernel, ...]:
        """Kernels of one segment, in order."""
        forms = [self.forms(node) for node in segment.nodes]
        return tuple(
            Kernel(
                self.group_nest(group),
                _operands(segment, group),
                group.nodes,
                segment.nodes[group.nodes[0]].place,
            )
            for group in kernels_of(self.chip, segment, forms)
        )

    def forms(self, node: Node) -> tuple[Form, ...]:
        """What a node means; equal calls share the answer."""
        key = (
            node.operator,
            node.attributes,
            tuple(map(_geometry, node.inputs)),
            tuple(map(_geometry, node.outputs)),
        )
        known = self.known_forms.get(key)
        if known is None:
            known = self.known_forms[key] = meaning(node)
        return known

    def group_nest(self, group: Group) -> Nest:
        """The nest of forms that run as one kernel."""
        nest = self._nests.get(group.work)
        if nest is None:
            nest = self._nests[group.work] = nest_of(self.chip, group)
        return nest

    def nest(self, form: Form) -> Nest:
        """The nest of one form by itself."""
        known = self._singles.get(id(form))
        if known is None:
            known = self._singles[id(form)] = (form, self.group_nest(Group.single(form)))
        return known[1]


def _geometry(view: View) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    return view.format, view.shape, view.strides


def _is_vector(chip: Chip, form: Contract) -> bool:
    """Whether a CPU's library walks a matrix once, without rearranging it: fp32 with one row or column."""
    if chip.policy.inline is None or operand_format(chip, form) in chip.policy.inline.narrow_formats:
        return False
    return min(form.m, form.n) == 1


def _is_depthwise(chip: Chip, form: Contract) -> bool:
    """Whether a GPU's library has a kernel without tiles: a convolution of every channel by itself."""
    alone = form.problems > 1 and form.n == 1
    return chip.policy.knows_row_kernels and alone and bool(form.left.windows or form.right.windows)


def nest_of(chip: Chip, group: Group) -> Nest:
    """Lowers one group of forms, nothing remembered."""
    nest = _nest_of(chip, group)
    software = chip.policy.inline
    if software is None:
        return nest
    seconds = {
        "framework": software.operator_s.get(group.called_in, 0.0),
        "page mapping": group.mapped_bytes / software.mapped_bytes_per_second,
    }
    fixed = tuple((cause, round(each * chip.clock_hz)) for cause, each in seconds.items() if each)
    return replace(nest, fixed_ticks=(*nest.fixed_ticks, *fixed))


def _nest_of(chip: Chip, group: Group) -> Nest:
    """What engines and links do."""
    style = chip.policy.style
    forms = group.forms
    if style == "compiled":
        return block(chip, group)
    first = forms[0]
    if style == "basecamp":
        try:
            takes = not isinstance(first, Contract) or multiplies(chip, operand_format(chip, first))
            return basecamp.nest_of(first, chip) if takes else streamed(chip, forms)
        except NotModelled:
            return attention(chip, first) if isinstance(first, Attention) else streamed(chip, forms)
    if (
        isinstance(first, Contract)
        and multiplies(chip, operand_format(chip, first))
        and not _is_vector(chip, first)
        and not _is_depthwise(chip, first)
    ):
        return contraction(
            chip, first, epilogue=forms[1:], saved_bytes=group.epilogue_bytes, crossing=group.crossing
        )
    if len(forms) == 1 and isinstance(first, Attention):
        return attention(chip, first)
    if len(forms) == 1 and isinstance(first, Collective):
        return collective(chip, first)
    if group.is_list:
        return listed(chip, forms)
    return streamed(chip, forms, kept_bytes=group.kept_bytes, crossing=group.crossing)


def _operands(segment: Segment, group: Group) -> tuple[View, ...]:
    """The views behind the accesses of a kernel of one node; kernels of several forms name none."""
    if len(group.nodes) > 1 or group.is_list:
        return ()
    node = segment.nodes[min(group.nodes)]
    by_port = {f"in{i}": view for i, view in enumerate(node.inputs)}
    by_port |= {f"out{i}": view for i, view in enumerate(node.outputs)}
    operands = _in_access_order(next(iter(group.forms)))
    return tuple(by_port[operand.port] for operand in operands if operand.port in by_port)


def _in_access_order(form: Form) -> Sequence[Any]:
    if isinstance(form, Contract):
        return (form.left, form.right, form.result, *form.extras)
    return (*form.reads, *form.writes)


def lower(graph: Graph, chip: Chip) -> Program:
    """The program of a graph for a chip.

    Args:
        graph: recorded workload; only shapes, formats and places are read.
        chip: what it is to run on.

    Returns:
        kernels of every segment; equal work shares one Nest object, so that it is priced once.
    """
    return Lowering(chip).program(graph)
