"""Eager PyTorch on a server CPU: what calibrating one machine says of others.

`anychip calibrate` measured the constants on a Zen 5 core. What depends on the software and on one core -
framework time of an operator, instructions that a function of the vector library takes, how a heap maps
pages - is carried over, as assumed, with ranges that span older and slower cores; rates of arithmetic and of
memory are each chip's own.
"""

from __future__ import annotations

from anychip.chips.catalogue.parts import curve_costs
from anychip.chips.inline import Inline
from anychip.chips.policy import Policy
from anychip.chips.sources import assumed
from anychip.facts import Fact

_CARRIED = "anychip calibrate on an AMD EPYC (Zen 5), PyTorch 2.13, 2026-11-28, carried over"
#: Clock and fp32 lanes of the calibrated core: they turn seconds an element into cycles a group of lanes.
_CLOCK_HZ, _LANES = 2.596e9, 32
#: Seconds an element and core took on it, by lane operation.
_ELEMENT_S = {
    "exp": 1.55e-10,
    "sigmoid": 2.22e-10,
    "tanh": 2.15e-9,
    "log": 7.90e-10,
    "sin": 1.06e-9,
    "cos": 1.16e-9,
    "sqrt": 3.65e-10,
    "rsqrt": 2.49e-10,
    "gelu": 2.17e-10,
    "gelu_tanh": 1.21e-9,
    "silu": 2.30e-10,
    "normal_cdf": 1.53e-10,
    "div": 1.27e-10,
    "random": 9.80e-9,
    "copy": 9.73e-11,
    "widen": 6.95e-11,
    "narrow": 9.09e-11,
}
#: Framework time of one operator on it, by phase of a step.
_OPERATOR_S = {"forward": 5.04e-6, "backward": 1.01e-5, "optimizer": 2.23e-6, "other": 5.04e-6}
#: Bytes a second that one of its threads got mapped and cleared.
_MAPPED_BYTES_PER_SECOND = 2.07e9
#: Threads that map pages of one process at once before they wait for each other's locks.
_MAPPING_THREADS = 8


def lane_costs() -> dict[str, Fact]:
    """Cycles that a group of lanes takes for every function, conversion, copy and random number."""
    costs = {name: _cycles(seconds) for name, seconds in _ELEMENT_S.items()}
    judged = assumed(35.0, "cycle", "instructions of a longer polynomial, judged", low=15.0, high=80.0)
    return {**curve_costs(simple=costs["exp"], other=judged, division=costs["div"]), **costs}


def _cycles(seconds: float) -> Fact:
    value = seconds * _CLOCK_HZ * _LANES
    return assumed(
        value, "cycle", f"{_CARRIED}: as many instructions a group of lanes", low=value / 2, high=2.5 * value
    )


def cpu_policy(cores: int) -> Policy:
    """Operators one by one on all the cores of a socket.

    Args:
        cores: of the socket.
    """
    operators = {
        f"operator_s.{phase}": assumed(
            seconds,
            "s",
            f"{_CARRIED}: framework code of one thread; slower cores take longer",
            low=0.8 * seconds,
            high=3 * seconds,
        )
        for phase, seconds in _OPERATOR_S.items()
    }
    mapped = assumed(
        _MAPPED_BYTES_PER_SECOND * min(cores, _MAPPING_THREADS),
        "byte/s",
        f"{_CARRIED}: of each thread, for up to {_MAPPING_THREADS} threads",
        low=_MAPPED_BYTES_PER_SECOND,
        high=_MAPPED_BYTES_PER_SECOND * cores,
    )
    written = assumed(
        1.5,
        "1",
        "a line is fetched before it is overwritten, unless it is overwritten whole",
        low=1.0,
        high=2.0,
    )
    share = assumed(0.7, "1", f"{_CARRIED}: share of the shared cache that values find", low=0.3, high=1.0)
    return Policy(
        style="eager",
        tile=(1, 1, 512),
        depth=1,
        cache_share=share.value,
        inline=Inline(
            operator_s=dict(_OPERATOR_S),
            mapped_bytes_per_second=mapped.value,
            write_cost=written.value,
        ),
        facts={
            "mapped_bytes_per_second": mapped,
            "write_cost": written,
            "cache_share": share,
            **operators,
        },
    )
