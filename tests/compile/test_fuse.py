"""What is fused, and what stays on the chip."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anychip import chips
from anychip.chips import Chip
from anychip.compile import Lowering
from anychip.compile.fuse import Group, grouped
from anychip.programs.graph import Node, Place, Region, Segment, Value, View
from anychip.simulate import Player
from tests.compile.workloads import elementwise, linear, view


def chained(*nodes: Node, places: tuple[Place, ...] = (), weights: tuple[int, ...] = ()) -> Segment:
    """Nodes whose first activation input is the output of the node before."""
    values: list[Value] = []
    made: list[Node] = []
    last: int | None = None
    for position, node in enumerate(nodes):
        inputs: list[View] = []
        for port, each in enumerate(node.inputs):
            main = port == (1 if node.operator.startswith("aten.addmm") else 0)
            if main and last is not None:
                inputs.append(replace(each, value=last))
                continue
            kind = "parameter" if not main and node.operator.startswith("aten.addmm") else "activation"
            values.append(Value(len(values), 0, each.distinct_elements * 2, kind))
            inputs.append(replace(each, value=len(values) - 1))
        values.append(Value(len(values), 0, node.outputs[0].distinct_elements * 2, "activation"))
        last = len(values) - 1
        outputs = (replace(node.outputs[0], value=last),)
        place = places[position] if places else node.place
        made.append(Node(node.operator, node.attributes, tuple(inputs), outputs, place))
    return Segment(tuple(values), tuple(made))


def groups_of(chip: Chip, segment: Segment) -> list[Group]:
    lowering = Lowering(chip)
    return grouped(chip, segment, [lowering.forms(node) for node in segment.nodes])


def seconds(chip: Chip, segment: Segment) -> float:
    kernels = Lowering(chip).segment(segment)
    return sum(span.ticks for span in Player(chip).segment(kernels)) / chip.clock_hz


def test_eager_software_runs_one_kernel_per_operator() -> None:
    chip = chips.by_name("a100-80")
    segment = chained(linear("bf16", 64, 256, 64), elementwise("gelu", "bf16", 64, 256))
    assert [group.nodes for group in groups_of(chip, segment)] == [(0,), (1,)]


def test_a_compiled_region_is_one_kernel_with_less_traffic() -> None:
    chip = chips.by_name("a100-80")
    nodes = (
        linear("bf16", 4096, 4096, 512),
        elementwise("gelu", "bf16", 4096, 4096),
        elementwise("relu", "bf16", 4096, 4096),
    )
    eager = chained(*nodes)
    region = chained(*nodes, places=(Place(region=Region(0)),) * 3)
    assert [group.nodes for group in groups_of(chip, region)] == [(0, 1, 2)]
    assert seconds(chip, region) < 0.7 * seconds(chip, eager)


def test_a_region_ends_where_nothing_connects() -> None:
    chip = chips.by_name("a100-80")
    one = replace(elementwise("gelu", "bf16", 64, 64), place=Place(region=Region(0)))
    views = [(view(i, "bf16", 64, 64),) for i in range(4)]
    apart = Segment(
        tuple(Value(i, 0, 8192, "activation") for i in range(4)),
        (replace(one, inputs=views[0], outputs=views[1]), replace(one, inputs=views[2], outputs=views[3])),
    )
    assert [group.nodes for group in groups_of(chip, apart)] == [(0,), (1,)]


def test_compiled_graphs_fuse_whole_layers_and_share_them() -> None:
    chip = chips.by_name("trn1")
    layer = (
        linear("bf16", 128, 512, 512),
        elementwise("gelu", "bf16", 128, 512),
        linear("bf16", 128, 512, 512),
    )
    places = tuple(Place(module=f"model.layers.{i}.mlp") for i in range(4) for _ in layer)
    kernels = Lowering(chip).segment(chained(*layer * 4, places=places))
    assert [kernel.nodes for kernel in kernels] == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)]
    assert kernels[1].nest is kernels[2].nest
    assert dict(kernels[0].nest.fixed_ticks).get("call")
    assert not dict(kernels[1].nest.fixed_ticks).get("call")


def test_values_between_fused_operators_stay_on_the_chip() -> None:
    chip = chips.by_name("trn1")
    nodes = (
        linear("bf16", 128, 512, 512),
        elementwise("gelu", "bf16", 128, 512),
        linear("bf16", 128, 512, 512),
    )
    kernels = Lowering(chip).segment(chained(*nodes, places=(Place(module="layers.0"),) * 3))
    moved = dict(kernels[0].nest.demand.traffic_bytes)["hbm"]
    weights = 2 * (512 * 512 + 512) * 2
    ends = 2 * 128 * 512 * 2
    assert weights < moved < 1.05 * (weights + ends)


def test_a_launch_bound_stream_takes_the_hosts_time() -> None:
    chip = chips.by_name("h100")
    small = chained(*[elementwise("gelu", "bf16", 8, 8)] * 100)
    assert seconds(chip, small) >= 100 * chip.policy.dispatch_s
    large = chained(*[elementwise("gelu", "bf16", 8192, 8192)] * 20)
    spans = Player(chip).segment(Lowering(chip).segment(large))
    assert sum(span.launch_ticks for span in spans[1:]) == 19 * chip.sequencer.launch_cycles


def test_a_step_over_a_list_of_tensors_is_one_kernel() -> None:
    chip = chips.by_name("h100")

    def spans(count: int, launches: int) -> float:
        views = tuple(view(number, "fp32", 256, 256) for number in range(count))
        values = tuple(Value(number, 0, 4 * 256 * 256, "parameter") for number in range(count))
        outputs = tuple(replace(each, value=count + number) for number, each in enumerate(views))
        values += tuple(replace(each, version=1) for each in values)
        node = Node("aten._foreach_mul_.Scalar", (("scalar", 0.9),), views, outputs)
        (kernel,) = Lowering(chip).segment(Segment(values, (node,)))
        assert kernel.nest.launches == launches
        (span,) = Player(chip).segment((kernel,))
        moved = dict(kernel.nest.demand.traffic_bytes)["dram"]
        assert moved == pytest.approx(count * 2 * 4 * 256 * 256, rel=0.01)
        return span.ticks

    alone, together = spans(1, 1), spans(64, 1)
    assert together < 20 * alone, "one launch, not one a tensor"
    spans(65, 2)
