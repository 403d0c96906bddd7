"""The compiled core: found, checked and loaded once; every number room calls it through here.

It lies in `anychip/arithmetic/kernels` and is optional: `library()` is None without it, and callers fall back
to NumPy, which gives the same bits. The environment says otherwise where wanted: ``ANYCHIP_PATH=numpy`` (or
``baseline``, ``avx2``, ``avx512``, ``avx512bf16``) chooses a path, ``ANYCHIP_THREADS`` how many threads share
the work.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import warnings
from ctypes import POINTER, Structure, c_char_p, c_float, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

from anychip.errors import unknown_name

#: `anychip_version` of the core.h this file mirrors.
_VERSION = 2
#: Storage kinds, `Kind` in core.h.
KINDS = {"fp32": 0, "bf16": 1, "fp16": 2, "code8": 3, "code16": 4}


class Cast(Structure):
    """`Cast` in core.h."""

    _fields_ = (
        *((name, c_int32) for name in ("significand_bits", "emin", "exponent_bits", "bits")),
        *((name, c_int32) for name in ("direction", "flush_out", "flush_in", "negative_zero")),
        *(
            (name, c_uint32)
            for name in ("max_code", "overflow_code", "stay_code", "infinity_code", "nan_code")
        ),
        *((name, c_int32) for name in ("nan_payload", "reserved")),
        *((name, c_uint32) for name in ("overflow_value", "stay_value", "infinity_value", "nan_value")),
        *((name, c_int32) for name in ("generator", "random_bits", "word_bits")),
        *((name, c_uint32) for name in ("seed_low", "seed_high", "tensor", "step")),
        ("element", c_uint64),
    )


class Matrix(Structure):
    """`Matrix` in core.h: strides in elements."""

    _fields_ = (
        ("data", c_void_p),
        ("kind", c_int32),
        ("reserved", c_int32),
        ("batch_stride", c_int64),
        ("row_stride", c_int64),
        ("column_stride", c_int64),
        ("table", c_void_p),
    )


class Product(Structure):
    """`Product` in core.h."""

    _fields_ = (
        *((name, Matrix) for name in ("left", "right", "start", "result")),
        *((name, c_int64) for name in ("batch", "rows", "columns", "depth")),
        ("order", c_int32),
        ("narrow_operands", c_int32),
        ("length", c_int64),
        ("bias", c_void_p),
    )


class Sum(Structure):
    """`Sum` in core.h."""

    _fields_ = (
        ("values", c_void_p),
        ("start", c_void_p),
        ("result", c_void_p),
        *((name, c_int64) for name in ("outer", "inner", "outer_stride", "inner_stride")),
        ("order", c_int32),
        ("reserved", c_int32),
        ("length", c_int64),
    )


class Access(Structure):
    """`Access` in core.h."""

    _fields_ = (
        ("port", c_int32),
        ("kind", c_int32),
        ("offset", c_int64),
        ("outer", c_int64 * 6),
        ("inner", c_int64 * 6),
        ("collapsed", c_int32),
        ("reserved", c_int32),
        ("table", c_void_p),
        ("cast", c_void_p),
    )


class Step(Structure):
    """`Step` in core.h."""

    _fields_ = tuple((name, c_int32) for name in ("operation", "target", "a", "b", "c"))


class Phase(Structure):
    """`Phase` in core.h."""

    _fields_ = tuple(
        (name, c_int32) for name in "before befores step steps join term result after afters".split()
    )


class Place(Structure):
    """`Place` in core.h."""

    _fields_ = (("tensor", c_uint32), ("step", c_uint32))


class Fused(Structure):
    """`Fused` in core.h."""

    _fields_ = (
        *(
            (name, c_int32)
            for name in "across accesses phases vectors row_vectors constants outer_loops inner_loops order "
            "reserved".split()
        ),
        *((name, c_int64) for name in ("length", "outer_count", "inner_count")),
        ("outer_extents", c_int64 * 6),
        ("inner_extents", c_int64 * 6),
        *((name, c_void_p) for name in ("access", "phase", "step", "constant")),
    )


_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "anychip_to_values": (POINTER(Cast), c_void_p, c_void_p, c_int64),
    "anychip_to_codes8": (POINTER(Cast), c_void_p, c_void_p, c_int64),
    "anychip_to_codes16": (POINTER(Cast), c_void_p, c_void_p, c_int64),
    "anychip_decode8": (c_void_p, c_void_p, c_void_p, c_int64),
    "anychip_decode16": (c_void_p, c_void_p, c_void_p, c_int64),
    "anychip_product": (POINTER(Product),),
    "anychip_sum": (POINTER(Sum),),
    "anychip_fused": (c_void_p, c_void_p, c_void_p),
    "anychip_threads": (c_int32,),
}


@cache
def _loaded() -> tuple[ctypes.CDLL | None, str, tuple[str, ...]]:
    """The library, why there is none, and the paths it offers here, best first."""
    place = Path(__file__).parents[1] / "arithmetic" / "kernels" / "core.so"
    if not place.exists():
        return None, "the compiled core was not built; reinstall anychip where a C++ compiler is", ()
    try:
        core = ctypes.CDLL(str(place))
    except OSError as error:
        return None, f"the compiled core does not load: {error}", ()
    if core.anychip_version() != _VERSION:
        return None, "the compiled core is of another version; rebuild it: pip install -e .", ()
    if _stale(core, place.parent):
        warnings.warn(
            f"{place}: the compiled core was built from other sources than those beside it; its results may "
            "be theirs; rebuild it: python setup.py build_ext --inplace",
            RuntimeWarning,
            stacklevel=2,
        )
    for name, arguments in _SIGNATURES.items():
        function = getattr(core, name)
        function.argtypes, function.restype = arguments, None
    core.anychip_curve.argtypes = (c_int32, c_void_p, c_void_p, c_int64)
    core.anychip_choose.argtypes = (c_char_p,)
    names = ctypes.create_string_buffer(256)
    core.anychip_paths(names, 256)
    offered = tuple(names.value.decode().split())
    if not offered:
        return None, "no path of the compiled core behaves as specified on this processor", ()
    return core, "", offered


class _State:
    """Which path is in use."""

    path: str | None = None


def _stale(core: ctypes.CDLL, folder: Path) -> bool:
    """Whether the sources are there and are not those the core was built from."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (".h", ".cpp"))
    if not files:
        return False
    try:
        core.anychip_sources.restype = c_char_p
        built_from = core.anychip_sources()
    except AttributeError:
        return True
    return built_from.decode() != hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def paths() -> tuple[str, ...]:
    """The paths that work here, best first; ``"numpy"`` is always the last."""
    return (*_loaded()[2], "numpy")


def path() -> str:
    """The path in use, e.g. ``"avx512"`` or ``"numpy"``."""
    if _State.path is None:
        use(os.environ.get("ANYCHIP_PATH") or paths()[0])
        set_threads(int(os.environ.get("ANYCHIP_THREADS") or os.cpu_count() or 1))
    return str(_State.path)


def why_not() -> str:
    """Why there is no compiled path; empty if there is."""
    return _loaded()[1]


def use(name: str) -> None:
    """Makes every later call take the path of that name; results are the same bits on each.

    Raises:
        UnknownName: it does not exist or does not work on this processor.
    """
    if name not in paths():
        raise unknown_name("compiled path", name, paths())
    core = _loaded()[0]
    if core is not None and name != "numpy":
        core.anychip_choose(name.encode())
    _State.path = name


def set_threads(count: int) -> None:
    """How many threads share one call; results do not depend on it."""
    core = _loaded()[0]
    if core is not None:
        core.anychip_threads(max(1, count))


def library() -> Any:
    """The loaded core, or None where NumPy does the work."""
    return None if path() == "numpy" else _loaded()[0]


def float_pointer(address: int) -> Any:
    """An address as ``float *``."""
    return ctypes.cast(address, POINTER(c_float))
