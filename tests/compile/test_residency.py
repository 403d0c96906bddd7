"""What operators on a CPU leave in its cache for each other, and results on fresh pages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anychip.chips import Chip
from anychip.chips.measured import measured_cpu
from anychip.compile import lower
from anychip.compile.residency import Cache
from anychip.facts import Fact, Source
from anychip.programs.graph import Graph, Node, Place, Segment, Value, View
from anychip.simulate import simulate

_SOURCE = Source("measured", "a test", "2026-11-28")
CONSTANTS = {
    "clock_hz": 1e9, "memory_bytes": 1e10, "l2_bytes": 2**20, "l3_bytes": 2**24, "cache_share": 1.0,
    "dram_bytes_per_second": 1e10, "l3_bytes_per_second": 1e11, "write_cost": 1.0,
    "mapped_bytes_per_second": 1e9, "products.fp32": 5e10, "operand_cost.fp32": 2.0,
    "operator_s.forward": 5e-6, "operator_s.backward": 7e-6, "operator_s.optimizer": 2e-6,
}  # fmt: skip


def machine(cores: int = 1, **changes: float) -> Chip:
    """A CPU of round numbers."""
    values = CONSTANTS | {name.replace("__", "."): value for name, value in changes.items()}
    facts = {name: Fact(value, "1", _SOURCE) for name, value in values.items()}
    return measured_cpu(
        name="round", title="round numbers", vendor="nobody", cores=cores, lanes=64, constants=facts
    )


def added(sizes: list[int], phase: str = "forward") -> Graph:
    """One in-place-free addition per size: each reads two inputs of its own and writes a new value."""
    values: list[Value] = []
    nodes: list[Node] = []
    for size in sizes:
        first = len(values)
        values += [Value(first + i, 0, 4 * size, "input" if i < 2 else "activation") for i in range(3)]
        views = [View(first + i, "fp32", (size,), (1,)) for i in range(3)]
        place = Place(phase=phase)  # pyright: ignore
        nodes.append(Node("aten.add.Tensor", (), tuple(views[:2]), (views[2],), place))
    return Graph("added", "host", (Segment(tuple(values), tuple(nodes)),), (0,))


def test_small_operands_are_found_in_the_cache_and_large_ones_are_not() -> None:
    """12 MiB in a cache of 16 MiB come at 100 GB/s, ten times as much at the 10 GB/s of main memory."""
    bare = machine(**{"operator_s.forward": 1e-12})
    small, large = (simulate(lower(added([size]), bare), bare).seconds for size in (2**20, 10 * 2**20))
    assert small == pytest.approx(3 * 4 * 2**20 / 1e11, rel=0.02)
    reading_and_writing = 2 * 4 * 10 * 2**20 / 1e10 + 4 * 10 * 2**20 / 1e10
    mapping = 4 * 10 * 2**20 / 1e9
    assert large == pytest.approx(mapping + reading_and_writing, rel=0.25)


def test_a_result_of_32_mib_is_mapped_and_a_smaller_one_is_not() -> None:
    chip = machine()
    for size, mapped in ((2**23 - 1, False), (2**23, True)):
        (kernel,) = lower(added([size]), chip).segments[0]
        causes = dict(kernel.nest.fixed_ticks)
        assert causes.pop("framework") == 5000
        assert causes == ({"page mapping": 4 * size} if mapped else {})


def test_the_framework_takes_its_time_by_phase() -> None:
    forward, backward = (
        simulate(lower(added([8], phase), machine()), machine()).seconds for phase in ("forward", "backward")
    )
    assert backward - forward == pytest.approx(2e-6, abs=1e-9)


def test_two_cores_halve_what_is_bound_by_lanes_and_leave_what_is_bound_by_memory() -> None:
    graph = added([2**20])
    slow = {"lane.add": 1e-8}
    one, two = (simulate(lower(graph, chip), chip).seconds for chip in (machine(**slow), machine(2, **slow)))
    assert one / two == pytest.approx(2, rel=0.02)


def test_lists_go_tensor_by_tensor() -> None:
    """Two operators on two tensors run as first, second on tensor 0, then on tensor 1."""
    values = tuple(
        Value(i, v, 4096, "parameter") for i, v in ((0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2))
    )
    views = [View(i, "fp32", (1024,), (1,)) for i in range(6)]
    place = Place(phase="optimizer")
    counted = (("self", ("tensors", 2)), ("scalar", 2.0))
    nodes = tuple(
        Node(
            "aten._foreach_mul_.Scalar",
            counted,
            tuple(views[at : at + 2]),
            tuple(views[at + 2 : at + 4]),
            place,
        )
        for at in (0, 2)
    )
    graph = Graph("lists", "host", (Segment(values, nodes),), (0,))
    kernels = lower(graph, machine()).segments[0]
    assert [kernel.nodes[0] for kernel in kernels] == [0, 1, 0, 1]
    launched = simulate(lower(graph, machine()), machine()).segments[0]
    assert [dict(span.fixed) for span in launched] == 4 * [{"framework": 2000}]


def test_cache_forgets_the_least_recently_used_first() -> None:
    cache = Cache(100)
    assert cache.touch(1, 60) == 60
    assert cache.touch(2, 60) == 60
    assert cache.touch(2, 60) == 0
    assert cache.touch(1, 60) == 20  # 40 of its bytes were still there
    cache.bury(1)
    assert cache.renew(3, 50) == 0  # where storage 1 lay
    assert cache.touch(4, 500) == 500
    assert cache.touch(4, 500) == 400  # no more than the capacity is ever held


def test_heads_of_one_row_are_walked_without_rearranging() -> None:
    """A product with a vector in fp32 takes the time of its matrix in memory, not that of packing it."""
    values = tuple(Value(i, 0, size, "input") for i, size in enumerate((4 * 1024, 4 * 2**20, 4 * 1024)))
    shapes = ((1, 1024), (1024, 1024), (1, 1024))
    views = [View(i, "fp32", shape, (1024, 1)) for i, shape in enumerate(shapes)]
    node = Node("aten.mm.default", (), tuple(views[:2]), (views[2],))
    graph = Graph("vector", "host", (Segment(values, (node,)),), (0,))
    costly = machine(**{"operand_cost.fp32": 1000.0})
    assert simulate(lower(graph, costly), costly).seconds < 2e-3


def test_a_chip_without_such_software_is_unchanged() -> None:
    """`Policy.inline` None keeps kernels, launches and traffic as they were."""
    chip = machine()
    other = chip.altered(policy=replace(chip.policy, inline=None))
    (kernel,) = lower(added([2**20]), other).segments[0]
    assert dict(kernel.nest.demand.traffic_bytes)["dram"] == pytest.approx(3 * 4 * 2**20, rel=0.01)
