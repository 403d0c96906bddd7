"""Row-wise kernels of GPUs: what PyTorch's sources say of them, and what follows for bytes and launches."""

from __future__ import annotations

import pytest

from anychip import chips
from anychip.compile import Lowering
from anychip.compile.rows import RowKernel, row_kernel
from anychip.operators import Rows, work
from anychip.products.validate.operators import Replay, nodes_of, view
from anychip.programs.graph import Node
from anychip.programs.program import Nest
from anychip.simulate import Player


def kernel(chip_name: str, op: str, rows: int, length: int, dtype: str = "fp32") -> RowKernel:
    form = _form(chip_name, op, rows, length, dtype)
    return row_kernel(
        chips.by_name(chip_name), form, length, 4 if dtype == "fp32" else 2, work(form).read_bytes / rows
    )


def _form(chip_name: str, op: str, rows: int, length: int, dtype: str = "fp32") -> Rows:
    form = Lowering(chips.by_name(chip_name)).forms(nodes_of(op, dtype, 1, rows, length, 1)[0])[0]
    assert isinstance(form, Rows)
    return form


def nest(chip_name: str, op: str, rows: int, length: int) -> Nest:
    lowering = Lowering(chips.by_name(chip_name))
    return lowering.nest(lowering.forms(nodes_of(op, "fp32", 1, rows, length, 1)[0])[0])


def dram_walks(chip_name: str, op: str, rows: int, length: int) -> float:
    """Bytes that cross to main memory over those of the operand."""
    return dict(nest(chip_name, op, rows, length).demand.traffic_bytes)["dram"] / (4 * rows * length)


def test_a_row_that_a_warp_keeps_is_read_and_written_once() -> None:
    assert dram_walks("p100", "softmax", 65536, 1024) == pytest.approx(2.0, rel=1e-3)


def test_a_long_row_is_walked_again_and_again_where_no_cache_holds_it() -> None:
    # Three walks and a write: maximum, sum of exponentials, quotients.
    assert dram_walks("v100", "softmax", 65536, 16384) == pytest.approx(4.0, rel=1e-3)
    assert dram_walks("p100", "layernorm", 65536, 16384) == pytest.approx(3.0, rel=1e-3)


def test_large_caches_hold_what_small_ones_lose() -> None:
    walks = [dram_walks(name, "softmax", 65536, 8192) for name in ("p100", "v100", "a100-40")]
    assert walks == sorted(walks, reverse=True)
    assert walks[-1] < 3 < walks[0]


def test_rows_in_local_memory_are_read_once_if_whole_vectors_fit() -> None:
    # ROCm: 64 KiB of local memory, accesses of 16 bytes.
    assert kernel("mi210", "softmax", 65536, 2048).kept
    assert kernel("mi210", "softmax", 65536, 2048).in_flight == 1
    assert not kernel("mi210", "softmax", 65536, 2050).kept
    assert not kernel("mi210", "softmax", 65536, 16384).kept
    assert dram_walks("mi210", "softmax", 65536, 2048) == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize(
    ("chip", "blocks"), [("v100", 16), ("t4", 8), ("a10", 12), ("mi100", 10), ("mi210", 8)]
)
def test_a_core_normalises_as_many_rows_as_its_threads_allow(chip: str, blocks: int) -> None:
    # 128 threads a row on NVIDIA's chips, 256 on AMD's.
    assert kernel(chip, "layernorm", 65536, 2048).in_flight == blocks


def test_blocks_of_softmax_have_two_accesses_a_thread() -> None:
    # 256 threads for 2,048 elements, 512 for 4,096 and all longer ones.
    assert kernel("v100", "softmax", 65536, 2048).in_flight == 8
    assert kernel("v100", "softmax", 65536, 4096).in_flight == 4
    assert kernel("v100", "softmax", 65536, 16384).in_flight == 4


def test_single_elements_at_the_end_of_a_row_cost_rounds_of_their_own() -> None:
    # 4,096 elements are two rounds of 512 threads with 4 each; 3,072 are one, and two of single elements.
    assert kernel("v100", "softmax", 65536, 3072).ticks > kernel("v100", "softmax", 65536, 4096).ticks


def test_rows_that_are_no_whole_vectors_are_normalised_in_two_launches() -> None:
    assert nest("a100-40", "layernorm", 4096, 1024).launches == 1
    assert nest("a100-40", "layernorm", 4096, 1023).launches == 2


def test_the_gradient_of_softmax_forms_its_products_first() -> None:
    # Two operands read and one written, twice.
    assert nest("v100", "softmax_backward", 65536, 512).launches == 2
    assert dram_walks("v100", "softmax_backward", 65536, 512) == pytest.approx(6.0, rel=1e-2)


def test_gradients_of_gain_and_shift_are_summed_in_one_walk() -> None:
    lowering = Lowering(chips.by_name("v100"))
    forms = lowering.forms(nodes_of("layernorm_backward", "fp32", 1, 4096, 1024, 1)[0])
    assert len(forms) == 2
    assert work(forms[1]).read_bytes == pytest.approx(2 * 4 * 4096 * 1024, rel=1e-2)


def test_more_bandwidth_is_never_slower() -> None:
    from anychip.simulate import Player

    for op, length in (("softmax", 1024), ("softmax", 3000), ("layernorm", 2048), ("softmax_backward", 4096)):
        times: list[float] = []
        for name in ("a100-40", "a100-80"):
            chip = chips.by_name(name)
            times.append(Player(chip).span(nest(name, op, 16384, length)).ticks / chip.clock_hz)
        assert times[1] <= times[0]


def test_gain_and_shift_are_fetched_again_and_again_on_rocm() -> None:
    form = Lowering(chips.by_name("mi210")).forms(nodes_of("layernorm_backward", "fp32", 1, 4096, 1024, 1)[0])
    for name, fetched in (("mi210", 3.0), ("v100", 1.0)):
        chip = chips.by_name(name)
        sums = form[1]
        assert isinstance(sums, Rows)
        assert row_kernel(chip, sums, 4096, 4, 2 * 4096 * 4).fetched == fetched
        assert isinstance(form[0], Rows)
        assert row_kernel(chip, form[0], 1024, 4, 2 * 1024 * 4).fetched == 1.0


def reduced_s(name: str, shape: tuple[int, ...], dims: tuple[int, ...]) -> float:
    chip = chips.by_name(name)
    lowering, player = Lowering(chip), Player(chip)
    left = [size for index, size in enumerate(shape) if index not in dims]
    inputs, results = (view(0, "fp32", *shape),), (view(1, "fp32", *left),)
    node = Node("aten.sum.dim_IntList", (("dim", dims), ("keepdim", False)), inputs, results)
    forms = lowering.forms(node)
    return sum(player.span(lowering.nest(form)).ticks for form in forms) / chip.clock_hz


@pytest.mark.parametrize("name", ["h100", "v100-pcie", "mi210"])
def test_reductions_move_memory_whatever_their_shape(name: str) -> None:
    """2 rows of half a million columns, or one row of a million: blocks share what a row does not fill."""
    rows = reduced_s(name, (1024, 1024), (0,))
    short, whole = reduced_s(name, (2, 512, 1024), (0,)), reduced_s(name, (1024, 1024), (0, 1))
    assert whole < 2 * rows
    # Half of it is written again.
    assert short < 4 * rows
    longer = [reduced_s(name, (length,), (0,)) for length in (65535, 65536, 65537, 131072, 1 << 24)]
    assert longer == sorted(longer) and longer[2] < 1.1 * longer[1]


@pytest.mark.parametrize("name", ["h100", "mi210"])
@pytest.mark.parametrize("call", ["amax", "cumsum", "logsumexp", "_softmax"])
def test_short_rows_share_a_block(name: str, call: str) -> None:
    """Four million pairs take no longer than a few times the rows of a thousand with as many elements."""
    chip = chips.by_name(name)
    lowering, player = Lowering(chip), Player(chip)
    attributes = {"amax": (("dim", (1,)),), "_softmax": (("dim", 1), ("half_to_float", False))}

    def seconds(rows: int, length: int) -> float:
        shape = (rows, length) if call in ("cumsum", "_softmax") else (rows,)
        given = attributes.get(call, (("dim", (1,) if call == "logsumexp" else 1),))
        node = Node(
            f"aten.{call}.default", given, (view(0, "fp32", rows, length),), (view(1, "fp32", *shape),)
        )
        forms = lowering.forms(node)
        return sum(player.span(lowering.nest(form)).ticks for form in forms) / chip.clock_hz

    assert seconds(1 << 22, 2) < 12 * seconds(1 << 13, 1 << 10)


@pytest.mark.parametrize("name", ["h100", "mi210"])
def test_one_row_has_one_block_however_long_it_is(name: str) -> None:
    call = "layernorm", "fp32", 1, 1
    short, long = (Replay().seconds(name, nodes_of(*call, length, 1)) for length in (65536, 81920))
    assert short < long < 1.5 * short
