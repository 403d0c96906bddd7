"""Numbers with units, written for people."""

from __future__ import annotations

_DECIMAL = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""),
            (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"))  # fmt: skip
_BINARY = ((2.0**40, "Ti"), (2.0**30, "Gi"), (2.0**20, "Mi"), (2.0**10, "Ki"), (1.0, ""))


def scale(value: float) -> tuple[float, str]:
    """Factor and prefix in which a person would write `value`; ``(1e-3, "m")`` for 0.0183."""
    for factor, prefix in _DECIMAL:
        if abs(value) >= factor * 0.9995:
            return factor, prefix
    return 1.0, ""


def decimal(value: float, unit: str, digits: int = 3) -> str:
    """`decimal(0.0183, "s")` is ``18.3 ms``."""
    if value == 0:
        return f"0 {unit}"
    for factor, prefix in _DECIMAL:
        if abs(value) >= factor * (1 - 10.0**-digits / 2):
            return f"{value / factor:.{digits}g} {prefix}{unit}"
    return f"{value:.{digits}g} {unit}"


def binary(value_bytes: float, digits: int = 3) -> str:
    """`binary(6.66e9)` is ``6.2 GiB``."""
    for factor, prefix in _BINARY:
        if abs(value_bytes) >= factor:
            scaled = value_bytes / factor
            whole = abs(scaled) >= 10.0**digits * (1 - 10.0**-digits / 2)
            return f"{scaled:.0f} {prefix}B" if whole else f"{scaled:.{digits}g} {prefix}B"
    return f"{value_bytes:g} B"


def seconds(value_s: float) -> str:
    """A duration in the unit a person would choose."""
    return decimal(value_s, "s")
