"""Interleaved repetitions on a clock that the test turns."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from anychip.frontends.torch.calibration.timing import LEAST_REPETITIONS, Timed, interleaved, noise_floor


class Machine:
    """A clock that calls move forward, each by its own time and by what disturbs that turn."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def call(self, name: str, seconds: float, disturbed: dict[int, float] | None = None):
        def run() -> None:
            count = self.order.count(name)
            self.order.append(name)
            self.now += seconds + (disturbed or {}).get(count, 0.0)

        return run


def test_the_fastest_repetition_counts_and_the_middle_tells_the_noise() -> None:
    machine = Machine()
    later = {n: 0.01 * (n % 3) for n in range(100)}
    calls = {"steady": machine.call("steady", 0.1), "disturbed": machine.call("disturbed", 0.1, later)}
    timed = interleaved(calls, clock=lambda: machine.now, seconds=0.0)
    assert timed["steady"].best_s == pytest.approx(0.1)
    assert timed["disturbed"].best_s == pytest.approx(0.1)
    assert timed["disturbed"].middle_s == pytest.approx(0.11)
    assert timed["steady"].noise == pytest.approx(0)
    assert noise_floor(timed) == pytest.approx(0.05)
    assert timed["steady"].repetitions == LEAST_REPETITIONS


def test_calls_take_turns() -> None:
    machine = Machine()
    interleaved(
        {"a": machine.call("a", 1.0), "b": machine.call("b", 1.0)},
        clock=lambda: machine.now,
        seconds=0.0,
        least=3,
        most=3,
    )
    assert machine.order[-4:] == ["a", "b", "a", "b"]


def test_short_calls_are_repeated_inside_a_sample() -> None:
    machine = Machine()
    timed = interleaved({"short": machine.call("short", 1e-6)}, clock=lambda: machine.now, seconds=0.0)
    assert timed["short"].best_s == pytest.approx(1e-6)
    assert len(machine.order) > 1000 * LEAST_REPETITIONS


def test_no_repetition_is_left_out_of_the_progress() -> None:
    machine = Machine()
    shares: list[float] = []
    interleaved(
        {"a": machine.call("a", 1.0)}, clock=lambda: machine.now, seconds=1e-9, most=10, advance=shares.append
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_noise_of_nothing_is_nothing() -> None:
    assert noise_floor({}) == 0.0
    assert Timed(1.0, 1.25, 10).noise == pytest.approx(0.25)
