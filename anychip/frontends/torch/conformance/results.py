"""Cases of a conformance run, run each in a process of its own, and what came out."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

#: ``excluded``: plain PyTorch on the CPU cannot run the case; it is no part of the denominator.
Outcome = Literal["pass", "fail", "crash", "excluded"]


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a conformance report.

    Args:
        name: what was run.
        outcome: how it went.
        reason: of a failure or an exclusion, one line.
        samples: comparisons made.
        worst: largest error seen relative to its tolerance (1 is the limit), None where nothing was compared.
    """

    name: str
    outcome: Outcome
    reason: str = ""
    samples: int = 0
    worst: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All cases of one suite.

    Args:
        suite: its name.
        versions: of the packages that matter.
        cases: those that were reached.
        seconds: it took.
        planned: names the run set out to do, where it may have been stopped before; None: all were reached.
    """

    suite: str
    versions: dict[str, str]
    cases: tuple[Case, ...]
    seconds: float
    planned: int | None = None

    @property
    def counted(self) -> tuple[Case, ...]:
        """The denominator."""
        return tuple(case for case in self.cases if case.outcome != "excluded")

    @property
    def passed(self) -> int:
        """How many of them pass."""
        return sum(case.outcome == "pass" for case in self.cases)

    @property
    def share(self) -> float:
        """Passed of counted; 0 where nothing could be counted."""
        return self.passed / len(self.counted) if self.counted else 0.0

    def table(self) -> str:
        """For people: the share, then what fails and why."""
        lines = [
            f"{self.suite}: {self.passed} of {len(self.counted)} pass ({100 * self.share:.2f} %), "
            f"{len(self.cases) - len(self.counted)} excluded, {self.seconds:.0f} s"
        ]
        lines += [f"  {name} {version}" for name, version in self.versions.items()]
        for outcome in ("fail", "crash", "excluded"):
            chosen = [case for case in self.cases if case.outcome == outcome]
            if chosen:
                lines.append(f"{outcome} ({len(chosen)}):")
                lines += [f"  {case.name}: {case.reason}"[:200] for case in chosen]
        return "\n".join(lines)

    def json(self) -> str:
        """For programs: schema 1, every case with its outcome."""
        return json.dumps(
            {
                "schema": 1,
                "suite": self.suite,
                "versions": self.versions,
                "passed": self.passed,
                "counted": len(self.counted),
                "share": self.share,
                "reached": len(self.cases),
                "planned": len(self.cases) if self.planned is None else self.planned,
                "seconds": round(self.seconds, 1),
                "cases": [asdict(case) for case in self.cases],
            },
            indent=1,
        )


def one_line(error: BaseException) -> str:
    """An error's type and the first line of its message."""
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}"[:300]


def run_isolated(
    names: Sequence[str],
    run: Callable[[str], list[Case]],
    *,
    timeout_s: float,
    jobs: int = 1,
) -> Iterator[Case]:
    """Runs each name in a fork of this process: a crash ends one case, not the run.

    Cases come in the order in which they finish, each said on standard error.

    Args:
        names: of the cases.
        run: gives the cases of a name; called in the fork.
        timeout_s: after which a fork is stopped and its name counts as crashed.
        jobs: forks at a time.
    """
    waiting = list(reversed(names))
    running: dict[int, tuple[str, int, float, list[bytes]]] = {}
    finished = 0
    while waiting or running:
        while waiting and len(running) < jobs:
            name = waiting.pop()
            reader, process = _forked(name, run)
            running[reader] = (name, process, time.monotonic() + timeout_s, [])
        ready, _, _ = select.select(list(running), [], [], 0.5)
        for reader in list(running):
            name, process, ends, parts = running[reader]
            if reader in ready:
                part = os.read(reader, 1 << 16)
                if part:
                    parts.append(part)
                    continue
            elif time.monotonic() < ends:
                continue
            else:
                os.kill(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
            os.close(reader)
            del running[reader]
            finished += 1
            for case in _finished(name, b"".join(parts), status):
                say(f"{finished}/{len(names)} {case.name}: {case.outcome} {case.reason}"[:200])
                yield case


def _forked(name: str, run: Callable[[str], list[Case]]) -> tuple[int, int]:
    reader, writer = os.pipe()
    process = os.fork()
    if process:
        os.close(writer)
        return reader, process
    os.close(reader)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    try:
        cases = run(name)
    except BaseException as error:  # noqa: BLE001  # the fork reports whatever happened and ends
        cases = [Case(name, "fail", one_line(error))]
    payload = json.dumps([asdict(case) for case in cases]).encode()
    while payload:
        payload = payload[os.write(writer, payload) :]
    os._exit(0)


def _finished(name: str, payload: bytes, status: int) -> list[Case]:
    try:
        return [Case(**entry) for entry in json.loads(payload)]
    except json.JSONDecodeError:
        code = os.waitstatus_to_exitcode(status)
        reason = "took too long" if code == -signal.SIGKILL else f"process ended with {code}"
        return [Case(name, "crash", reason)]


def taken(names: Iterable[str], only: str | None, limit: int | None) -> list[str]:
    """What a suite runs of all there is.

    Args:
        names: of everything, in order.
        only: a part that names must contain; None: all.
        limit: so many of those, taken evenly; None: all.
    """
    chosen = [name for name in names if only is None or only in name]
    if limit is None or limit >= len(chosen):
        return chosen
    return [chosen[i * len(chosen) // limit] for i in range(limit)]


def say(text: str) -> None:
    """Progress goes to standard error."""
    print(text, file=sys.stderr, flush=True)


def versions(*packages: str) -> dict[str, str]:
    """Installed versions, as every report states them."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str] = {"python": sys.version.split()[0]}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def to_device(value: Any, device: Any) -> Any:
    """Tensors in nested lists, tuples and dictionaries as fresh leaves on the device, strides and all."""
    import torch

    if isinstance(value, torch.Tensor):
        plain = value.detach()
        if (
            plain.layout is torch.strided
            and not plain.is_contiguous()
            and not plain.is_conj()
            and not plain.is_neg()
        ):
            whole = torch.empty(0, dtype=plain.dtype).set_(plain.untyped_storage())
            moved = whole.clone().to(device)
            moved = moved.as_strided(plain.shape, plain.stride(), plain.storage_offset())
        else:
            moved = plain.clone().to(device)
        return moved.requires_grad_(value.requires_grad)
    if isinstance(value, (list, tuple)):
        items = [to_device(each, device) for each in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: to_device(each, device) for key, each in value.items()}
    return value


def tensors_of(value: Any) -> list[Any]:
    """Tensors in nested lists, tuples, dictionaries and model outputs, in order."""
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for each in value.values() for tensor in tensors_of(each)]
    if isinstance(value, (list, tuple)):
        return [tensor for each in value for tensor in tensors_of(each)]
    return []


def error_of(actual: Any, expected: Any, *, relative: float, absolute: float) -> float:
    """Largest ``|actual - expected| / (absolute + relative * |expected|)``.

    Infinite where shapes, types or the places of NaNs differ.
    """
    import torch

    actual = actual.detach().cpu()
    expected = expected.detach()
    if actual.shape != expected.shape or actual.dtype is not expected.dtype:
        return float("inf")
    if actual.layout is not torch.strided:
        actual, expected = actual.to_dense(), expected.to_dense()
    if expected.numel() == 0:
        return 0.0
    if not (expected.is_floating_point() or expected.is_complex()):
        return 0.0 if torch.equal(actual, expected) else float("inf")
    wide = torch.complex128 if expected.is_complex() else torch.float64
    a, e = actual.to(wide), expected.to(wide)
    same = (a == e) | (a.isnan() & e.isnan())
    error = (a - e).abs() / (absolute + relative * e.abs())
    error = torch.where(same, torch.zeros_like(error), error)
    return float("inf") if bool(error.isnan().any()) else float(error.max())
