"""Best products that others publish for boards whose power limit decides them."""

from __future__ import annotations

import pytest

from anychip.products.validate.operators import Replay, nodes_of

#: Board, operands, edge of the square product, Tflop/s. Sources: chsasank/device-benchmarks@02b8262, README,
#: whose sizes go to 6,888; waynehacking8/blackwell-tensorcore-kernels@c289bde, results/bench.csv (H100 SXM5).
_PUBLISHED = (
    ("t4", "fp16", 4096, 25), ("v100-pcie", "fp16", 6888, 84), ("a10", "bf16", 6888, 56),
    ("a100-pcie-80", "bf16", 6888, 237), ("l4", "bf16", 6888, 66), ("h100-pcie", "bf16", 6888, 449),
    ("h100", "fp16", 4096, 733), ("h100", "fp16", 8192, 762), ("rtx-4090", "bf16", 4096, 168),
)  # fmt: skip
#: The same of the best product of 1,024 to 10,240: zzc0721/torch-performance-test-data@9d82827, database.md,
#: and its issues #164 to #185. Boards with several entries: the middle one.
_BEST = (
    ("p100", "fp32", 8192, 8.63), ("p4", "fp32", 4096, 4.55), ("v100", "fp32", 10240, 14.5),
    ("t4", "fp32", 8192, 4.35), ("a100-pcie-40", "fp32", 8192, 17.6), ("a100-80", "fp32", 8192, 19.2),
    ("a40", "fp32", 8192, 23.7), ("rtx-a6000", "fp32", 8192, 23.9), ("rtx-3090", "fp32", 8192, 24.8),
    ("rtx-4090", "fp32", 8192, 54.7), ("rtx-5090", "fp32", 8192, 69.2), ("l40s", "fp32", 8192, 46.9),
    ("h100", "fp32", 8192, 51.9), ("h200", "fp32", 8192, 51.3), ("h100-pcie", "fp32", 8192, 37.0),
    ("rtx-pro-6000", "fp32", 8192, 77.1), ("v100", "fp16", 8192, 97.4), ("a100-80", "bf16", 8192, 264.5),
    ("a40", "fp16", 10240, 119.2), ("rtx-a6000", "bf16", 8192, 123.3), ("l40s", "fp16", 8192, 264),
    ("h100", "bf16", 8192, 797), ("h200", "bf16", 8192, 790), ("b200", "bf16", 10240, 1696),
    ("rtx-pro-6000", "bf16", 8192, 418),
)  # fmt: skip


@pytest.mark.parametrize(("chip", "operands", "edge", "tera"), _PUBLISHED + _BEST)
def test_rates_are_within_an_eighth_of_those_published(
    chip: str, operands: str, edge: int, tera: float
) -> None:
    seconds = Replay().seconds(chip, nodes_of("matmul", operands, 1, edge, edge, edge))
    assert 2 * edge**3 / seconds == pytest.approx(tera * 1e12, rel=1 / 8)


def test_products_of_bytes_draw_less_so_that_a_limited_board_makes_more_of_them() -> None:
    edge = 4096
    seconds = {
        operands: Replay().seconds("l4", nodes_of("matmul", operands, 1, edge, edge, edge))
        for operands in ("bf16", "fp8_e4m3fn", "int8")
    }
    assert seconds["fp8_e4m3fn"] < 0.5 * seconds["bf16"]
    # Half of the 242 Tflop/s that the data sheet names: the limit decides 8-bit products, too.
    assert seconds["int8"] > 1.5 * 2 * edge**3 / 242e12
