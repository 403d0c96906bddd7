"""Random chips and nests for the properties of the simulator."""

from __future__ import annotations

from hypothesis import strategies as st

from anychip.chips import Chip
from anychip.chips.basecamp import basecamp
from anychip.programs.program import Buffer, Demand, Grid, Instruction, Item, Loop, Nest, Slot

BUFFERS = ("a", "b", "accumulators", "out")


@st.composite
def chips(draw: st.DrawFn) -> Chip:
    """basecamps with random speeds and depths."""
    chip = basecamp(
        rows=draw(st.integers(1, 8)),
        columns=draw(st.integers(1, 8)),
        lanes=draw(st.integers(1, 4)),
        queue_depth=draw(st.integers(1, 5)),
        link_bytes_per_cycle=draw(st.sampled_from([1, 2, 3, 8, 32])),
        link_latency_cycles=draw(st.integers(0, 9)),
        dma_startup_cycles=draw(st.integers(0, 7)),
        fill_cycles=draw(st.integers(1, 6)),
        vector_latency_cycles=draw(st.integers(1, 4)),
        launch_cycles=draw(st.integers(0, 20)),
    )
    link = chip.links["bus"]
    duplex = draw(st.booleans())
    return chip.altered(
        cores=draw(st.integers(1, 5)), links={"bus": type(link)(**{**_fields(link), "duplex": duplex})}
    )


def _fields(link: object) -> dict[str, object]:
    return {
        name: getattr(link, name) for name in ("bytes_per_second", "latency_cycles", "shared", "clock_hz")
    }


@st.composite
def nests(draw: st.DrawFn) -> Nest:
    """Loops of loads, multiplications, drains and stores over buffers of random depth."""
    sizes = {name: draw(st.integers(1, 64)) for name in ("a", "b", "out")}
    k = draw(st.integers(1, 12))

    def products(fresh: bool) -> tuple[Item, ...]:
        return (
            Instruction("load", "load", (), (Slot("a", True),), (1,), "bf16", None, (("bus", sizes["a"]),)),
            Instruction("load", "load", (), (Slot("b", True),), (1,), "bf16", None, (("bus", sizes["b"]),)),
            Instruction(
                "matrix",
                "multiply",
                (Slot("a"), Slot("b")),
                (Slot("accumulators", fresh),),
                (1, 1, k),
                "bf16",
            ),
        )

    depth = draw(st.integers(0, 40))
    tile: tuple[Item, ...] = (
        *products(True),
        *((Loop("k", depth, products(False)),) if depth else ()),
        Instruction(
            "vector", "drain", (Slot("accumulators"),), (Slot("out", True),), (draw(st.integers(1, 16)),)
        ),
        Instruction("store", "store", (Slot("out"),), (), (1,), "bf16", None, (("bus", sizes["out"]),)),
    )
    inner = Loop("m", draw(st.integers(1, 30)), tile)
    body: tuple[Item, ...] = (Loop("n", draw(st.integers(1, 6)), (inner,)),)
    if draw(st.booleans()):
        body = (Grid((("n", draw(st.integers(1, 13))),), (inner,), draw(st.booleans())),)
    buffers = tuple(Buffer(name, "sram", draw(st.integers(1, 3)), 64) for name in BUFFERS)
    moved = bytes_moved(body)
    return Nest("random", (), buffers, body, Demand(traffic_bytes=(("bus", moved),)))


def bytes_moved(body: tuple[Item, ...]) -> int:
    """Bytes over the bus of all iterations."""
    return sum(
        sum(size for _, size in item.traffic)
        if isinstance(item, Instruction)
        else item.count * bytes_moved(item.body)
        for item in body
    )
