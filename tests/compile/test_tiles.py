"""Which tiles a vendor's library would take."""

from __future__ import annotations

import pytest

from anychip import chips
from anychip.compile.tiles import Problem, choose


def problem(format_name: str, element: int, m: int, n: int, k: int) -> Problem:
    return Problem(1, m, n, k, m * k * element, k * n * element, m * n * element, element, format_name)


@pytest.mark.parametrize("shape", [(1, 4096, 4096), (16, 512, 8192), (4096, 32, 4096), (8192, 8192, 64)])
@pytest.mark.parametrize("name", ["v100", "a100-80", "h100", "b200"])
def test_tensor_cores_have_no_tile_below_64(name: str, shape: tuple[int, int, int]) -> None:
    tiling = choose(chips.by_name(name), problem("fp16", 2, *shape))
    assert min(tiling.m, tiling.n) >= 64


def test_cuda_cores_beside_them_keep_their_own_menu() -> None:
    tiling = choose(chips.by_name("a100-80"), problem("fp32", 4, 16, 512, 8192))
    assert min(tiling.m, tiling.n) < 64
