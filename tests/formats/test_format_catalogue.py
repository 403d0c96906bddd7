"""Every catalogued format against ml_dtypes: all codes decoded, random patterns encoded."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from anychip import formats
from anychip.formats import Float

PEERS = {
    "bf16": ml_dtypes.bfloat16,
    "fp16": np.float16,
    "fp8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
    "fp8_e3m4": ml_dtypes.float8_e3m4,
    "fp8_e4m3": ml_dtypes.float8_e4m3,
    "fp8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "fp8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "fp6_e2m3": ml_dtypes.float6_e2m3fn,
    "fp6_e3m2": ml_dtypes.float6_e3m2fn,
    "fp4_e2m1": ml_dtypes.float4_e2m1fn,
}


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal bits, any NaN equal to any NaN."""
    unsigned = {4: np.uint32, 8: np.uint64}[a.itemsize]
    return bool(np.all((a.view(unsigned) == b.view(unsigned)) | (np.isnan(a) & np.isnan(b))))


def float_format(name: str) -> Float:
    format = formats.by_name(name)
    assert isinstance(format, Float)
    return format


@pytest.mark.parametrize("name", PEERS)
def test_decodes_every_code(name: str) -> None:
    format = float_format(name)
    codes = np.arange(1 << format.bits, dtype=format.code_type)
    peer = codes.view(PEERS[name]).astype(np.float32)
    assert same(format.decode(codes).astype(np.float32), peer)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_encodes_random_patterns(name: str) -> None:
    format = float_format(name)
    random = np.random.default_rng(1)
    values = random.integers(0, 1 << 32, 100_000, dtype=np.uint32).view(np.float32)
    near = (random.standard_normal(100_000) * format.max_finite / 4).astype(np.float32)
    values = np.concatenate([values, near, np.float32([0.0, -0.0, np.inf, -np.inf])])
    values = values[~np.isnan(values)]
    peer = values.astype(PEERS[name]).view(format.code_type)
    np.testing.assert_array_equal(format.encode(values), peer)
    assert same(format.round(values), format.decode(format.encode(values)))


@pytest.mark.parametrize("name", formats.names())
def test_names_are_the_formats_names(name: str) -> None:
    assert formats.by_name(name).name == name
