"""What the operating system tells about the machine."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_ENERGY = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def processor() -> tuple[str, str]:
    """Title and vendor of the processor."""
    fields = _cpuinfo()
    title = fields.get("model name") or platform.processor() or platform.machine() or "unknown processor"
    maker = fields.get("vendor_id", "")
    vendors = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}
    return " ".join(title.split()), vendors.get(maker, maker or "unknown")


def clock_hz() -> float:
    """Nominal clock; only the length of a simulated tick depends on it."""
    try:
        return float(_cpuinfo()["cpu MHz"]) * 1e6
    except (KeyError, ValueError):
        return 2e9


def memory_bytes() -> int:
    """Main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cache_bytes(level: int) -> int | None:
    """Capacity of a cache for data as the kernel lists it, None where it does not."""
    for folder in sorted(_CACHES.glob("index*")):
        try:
            if int((folder / "level").read_text()) != level:
                continue
            if (folder / "type").read_text().strip() == "Instruction":
                continue
            text = (folder / "size").read_text().strip()
            return int(text[:-1]) * _UNITS[text[-1]] if text[-1] in _UNITS else int(text)
        except (OSError, ValueError, KeyError):
            continue
    return None


def idle_w(seconds: float = 1.0) -> float | None:
    """Watts of the package while this process sleeps, where the kernel lets us read its sensor."""
    try:
        before, start = int(_ENERGY.read_text()), time.perf_counter()
        time.sleep(seconds)
        used = int(_ENERGY.read_text()) - before
    except (OSError, ValueError):
        return None
    return used * 1e-6 / (time.perf_counter() - start) if used > 0 else None


def _cpuinfo() -> dict[str, str]:
    """Fields of the first processor."""
    try:
        text = _CPUINFO.read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
