"""Rounding to the last bit: gfloat, exhaustion for stochastic rounding, known answers."""

from __future__ import annotations

import gfloat
import numpy as np
import pytest
from gfloat import formats as peers

from anychip import formats
from anychip.formats import CastRule, Float, Rounding
from anychip.formats.randomness import philox4x32, random_bits

MODES = {
    "nearest-even": gfloat.RoundMode.TiesToEven,
    "nearest-away": gfloat.RoundMode.TiesToAway,
    "toward-zero": gfloat.RoundMode.TowardZero,
    "up": gfloat.RoundMode.TowardPositive,
    "down": gfloat.RoundMode.TowardNegative,
}
PEERS = {
    "fp16": peers.format_info_binary16,
    "bf16": peers.format_info_bfloat16,
    "fp8_e4m3fn": peers.format_info_ocp_e4m3,
    "fp8_e5m2": peers.format_info_ocp_e5m2,
    "fp6_e2m3": peers.format_info_ocp_e2m3,
    "fp6_e3m2": peers.format_info_ocp_e3m2,
    "fp4_e2m1": peers.format_info_ocp_e2m1,
}


def edges(format: Float) -> np.ndarray:
    """Neighbourhoods of representable values and midpoints: rounding is constant between them."""
    codes = np.arange(1 << (format.bits - 1), dtype=np.uint32)
    if len(codes) > 256:
        codes = codes[:: len(codes) // 256]
    values = format.decode(codes.astype(format.code_type)).astype(np.float32)
    values = np.unique(values[np.isfinite(values)])
    middles = ((values[1:].astype(np.float64) + values[:-1]) / 2).astype(np.float32)
    beyond = np.float32(format.max_finite) * np.float32([1, 1.01, 1.0625, 1.5])
    points = np.concatenate([values, middles, beyond[np.isfinite(beyond)], np.float32([3e38, 1e-45, 0])])
    around = np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf)])
    around = around[np.isfinite(around)].astype(np.float32)
    return np.concatenate([around, -around])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PEERS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_agrees_with_gfloat(name: str, mode: str, path: str) -> None:
    format = formats.by_name(name)
    assert isinstance(format, Float)
    values = edges(format)
    saturates = not format.has_nan
    ours = format.round(
        values,
        rounding=Rounding(mode),
        overflow="saturate" if saturates else None,  # type: ignore[arg-type]
    )
    info = PEERS[name]
    theirs = np.array(
        [gfloat.round_float(info, float(v), MODES[mode], sat=saturates) for v in values], np.float32
    )
    equal = (ours.view(np.uint32) == theirs.view(np.uint32)) | (np.isnan(ours) & np.isnan(theirs))
    assert equal.all(), (values[~equal][:3], ours[~equal][:3], theirs[~equal][:3])


def test_to_odd_then_nearest_is_one_rounding(path: str) -> None:
    random = np.random.default_rng(3)
    exact = random.standard_normal(200_000) * np.exp2(random.integers(-12, 9, 200_000))
    wide = Float("wide", 8, 12)
    twice = formats.fp8_e4m3fn.round(wide.round(exact, rounding=Rounding.TO_ODD))
    once = formats.fp8_e4m3fn.round(exact)
    np.testing.assert_array_equal(twice, once)


def test_double_rounding_is_visible(path: str) -> None:
    values = np.random.default_rng(5).standard_normal(1_000_000).astype(np.float32)
    once = formats.fp8_e4m3fn.round(values)
    twice = formats.fp8_e4m3fn.round(formats.bf16.round(values))
    assert 0.025 < np.mean(once != twice) < 0.037


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # Random123's known answers, kat_vectors
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    assert tuple(int(w) for w in philox4x32(np.array(counter, np.uint32), key)) == expected


def test_stochastic_is_unbiased_by_exhaustion(path: str) -> None:
    """Over all 2**16 random words every fraction carries exactly as often as it says."""
    random = random_bits(Rounding.stochastic(seed=1), 1 << 16, 16)
    words = np.arange(1 << 16, dtype=np.uint32)
    for fraction in (*range(0, 1 << 16, 4099), 1, 0xFFFF):
        assert int(((words + fraction) >> 16).sum()) == fraction
    # What the generator hands out decides, element by element.
    fractions = np.arange(1 << 16, dtype=np.uint32)
    values = (np.uint32(0x3F800000) + fractions).view(np.float32)
    up = formats.bf16.round(values, rounding=Rounding.stochastic(seed=1)) > 1
    np.testing.assert_array_equal(up, (fractions + random) >> 16 == 1)


@pytest.mark.parametrize("bits", [1, 3, 8, 20, None])
def test_stochastic_follows_its_formula(bits: int | None, path: str) -> None:
    random = np.random.default_rng(7)
    values = random.standard_normal(20_000).astype(np.float32)
    rounding = Rounding.stochastic(seed=99, bits=bits, tensor=3, step=4)
    format = formats.fp8_e5m2
    ours = format.round(values, rounding=rounding).astype(np.float64)
    low = format.round(values, rounding=Rounding.TOWARD_ZERO).astype(np.float64)
    upper, lower = (format.round(values, rounding=r) for r in (Rounding.UP, Rounding.DOWN))
    high = np.where(values > 0, upper, lower)
    used = bits or 32
    gap = np.abs(high - low)
    fraction = np.where(gap > 0, np.abs(values - low) / np.where(gap > 0, gap, 1), 0)
    words = random_bits(rounding, len(values), 16 if used <= 16 else 32)
    carries = np.floor(fraction * 2.0**used) + words >= 2.0**used
    np.testing.assert_array_equal(ours, np.where(carries, high, low))


@pytest.mark.parametrize("generator", ["philox4x32-10", "philox4x32-7", "lfsr", "xorwow"])
@pytest.mark.parametrize("name", ["bf16", "fp8_e4m3fn"])
def test_stochastic_depends_on_the_element_alone(name: str, generator: str, path: str) -> None:
    format = formats.by_name(name)
    assert isinstance(format, Float)
    values = np.random.default_rng(11).standard_normal((50, 91)).astype(np.float32)
    rounding = Rounding.stochastic(seed=2**40 + 1, generator=generator, step=2, tensor=9)  # type: ignore[arg-type]
    whole = format.round(values, rounding=rounding)
    flat = values.reshape(-1)
    parts = [
        format.round(flat[first : first + 611], rounding=rounding.at(element=first))
        for first in range(0, flat.size, 611)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole.reshape(-1))
    strided = np.asfortranarray(values)
    np.testing.assert_array_equal(format.round(strided, rounding=rounding), whole)


def test_stochastic_leaves_exact_and_special_values(path: str) -> None:
    special = np.float32([np.inf, -np.inf, np.nan, 0.0, -0.0, 1.5, -448.0] * 100)
    for name in ("bf16", "fp16", "fp8_e5m2"):
        format = formats.by_name(name)
        assert isinstance(format, Float)
        rounded = format.round(special, rounding=Rounding.stochastic(seed=1))
        np.testing.assert_array_equal(rounded, special)
        np.testing.assert_array_equal(np.signbit(rounded), np.signbit(special))


def test_neurons_published_demonstration(path: str) -> None:
    """1024 + 0.5 two thousand times in fp16: nearest never moves, stochastic lands near 2048."""
    nearest = drifting = np.float32(1024)
    for step in range(2048):
        nearest = formats.fp16.round(nearest + np.float32(0.5))
        drifting = formats.fp16.round(
            drifting + np.float32(0.5), rounding=Rounding.stochastic(seed=0, step=step)
        )
    assert nearest == 1024
    assert abs(float(drifting) - 2048) < 100


@pytest.mark.parametrize("overflow", ["infinity", "nan", "saturate"])
def test_overflow_variants(overflow: str, path: str) -> None:
    limit = np.float32(formats.fp8_e5m2.max_finite)
    values = np.float32([limit, limit * 1.0714, limit * 1.0715, 3e38, -3e38])
    beyond = {"infinity": np.inf, "nan": np.nan, "saturate": limit}[overflow]
    expected = np.float32([limit, limit, beyond, beyond, -beyond])
    rounded = formats.fp8_e5m2.round(values, overflow=overflow)  # type: ignore[arg-type]
    np.testing.assert_array_equal(rounded, expected)


def test_payloads_and_subnormals(path: str) -> None:
    signalling = np.array([0x7F800001, 0xFFC12345, 0x7FFFFFFF], np.uint32).view(np.float32)
    canonical = formats.bf16.encode(signalling)
    assert [hex(code) for code in canonical] == ["0x7fc0", "0xffc0", "0x7fc0"]
    kept = formats.bf16.encode(signalling, rule=CastRule(payload="keep"))
    assert [hex(code) for code in kept] == ["0x7fc0", "0xffc1", "0x7fff"]
    tiny = np.float32([2.0**-15, -(2.0**-16), 2.0**-14])
    flushed = formats.fp16.round(tiny, rule=CastRule(subnormals="flush-out"))
    np.testing.assert_array_equal(flushed, np.float32([0, -0.0, 2.0**-14]))
    assert np.signbit(flushed[1])
