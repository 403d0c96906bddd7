"""The whole flow: capture a workload, lower it for a chip, simulate it, summarize what happened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from anychip.arithmetic import Numerics
from anychip.chips import Chip, find
from anychip.compile import Lowering, lower
from anychip.errors import AnychipError, InvalidInput
from anychip.profile import Profile, summarize
from anychip.profile.money import Rent
from anychip.profile.redaction import redacted
from anychip.profile.summarize import HostOrder
from anychip.programs.graph import Graph, Segment
from anychip.simulate import Player, simulate

if TYPE_CHECKING:
    from anychip.frontends.torch.capture import Capture


def profile_of(
    graph: Graph,
    chip: Chip,
    *,
    rent: Rent | None = None,
    host_order: HostOrder | None = None,
) -> Profile:
    """What a captured workload costs on a chip.

    Args:
        graph: from any capture.
        chip: any chip; the graph is lowered for it.
        rent: what is paid for; None: no cost.
        host_order: nodes that did not run in the chip's arithmetic, see `summarize`.
    """
    program = lower(graph, chip)
    trace = simulate(program, chip)
    return summarize(graph, program, trace, chip, rent=rent, host_order=host_order)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a workload is run.

    Args:
        chip: what it runs on.
        numerics: name among `Chip.numerics_named`.
        rounding: of stores into narrow formats: ``nearest-even`` or ``stochastic``.
        seed: of stochastic rounding.
        with_values: False computes nothing: time only, for models larger than this machine.
        stop_after: steps (or forward passes, where nothing is trained) after which a script is stopped.
        rent: what is paid for.
        redact: whether reports leave out names of source files.
    """

    chip: Chip
    numerics: str = "default"
    rounding: str = "nearest-even"
    seed: int | None = None
    with_values: bool = True
    stop_after: int | None = None
    rent: Rent | None = None
    redact: bool = False

    def arithmetic(self) -> Numerics:
        """The chip's numerics as chosen.

        Raises:
            AnychipError: the chip has no such choice.
        """
        return self.chip.numerics_named(self.numerics, rounding=self.rounding, seed=self.seed)

    def priced_chip(self) -> Chip:
        """The chip with that arithmetic: products in another format take another time and energy."""
        return self.chip.altered(numerics=self.arithmetic())


class Run:
    """One workload on one chip, captured between ``with`` and its end.

    Example:
        >>> with anychip.on("inf2") as run:
        ...     logits = model.to("anychip")(tokens.to("anychip"))
        >>> print(run.profile())
    """

    def __init__(self, settings: Settings, *, name: str = "workload", source_root: str = "") -> None:
        self.settings = settings
        self._name = name
        self._source_root = source_root
        self._capture: Capture | None = None
        self._profile: tuple[Graph, Profile] | None = None
        self._chip = settings.priced_chip()
        self._clock = _Clock(self._chip)

    def __enter__(self) -> Run:
        from anychip.frontends.torch.capture import Capture
        from anychip.frontends.torch.dispatch import host_order
        from anychip.frontends.torch.values import values_of

        settings = self.settings
        numerics = self._chip.numerics
        values = values_of(numerics)
        values.begin_step(0)  # stochastic rounding starts anew, whatever ran before in this process
        self._capture = Capture(
            name=self._name,
            numerics=numerics.name,
            handlers=values if settings.with_values else host_order,
            with_values=settings.with_values,
            on_step=values.begin_step,
            on_pass=values.begin_pass,
            stop_after_steps=settings.stop_after,
            stop_after_forwards=settings.stop_after,
            source_root=self._source_root,
        )
        self._capture.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._capture is not None:
            self._capture.__exit__(kind, error, trace)

    def graph(self) -> Graph:
        """What has been captured so far.

        Raises:
            InvalidInput: the run was never entered.
        """
        if self._capture is None:
            raise InvalidInput("nothing was captured: use `with anychip.on(...) as run:` around the work")
        graph = self._capture.graph()
        return redacted(graph) if self.settings.redact else graph

    def profile(self) -> Profile:
        """What has run so far, priced.

        Raises:
            InvalidInput: nothing ran on the device.
        """
        graph = self.graph()
        if graph.is_idle:
            raise InvalidInput(
                f"{graph.name}: nothing ran on the device; move model and inputs there, "
                'with .to("anychip") or, under `anychip run`, .cuda()'
            )
        if self._profile is None or self._profile[0] != graph:
            settings = self.settings
            host_order = host_order_of(graph, self._chip.numerics) if settings.with_values else None
            profile = profile_of(graph, self._chip, rent=settings.rent, host_order=host_order)
            self._profile = (graph, profile)
        return self._profile[1]

    def is_enough(self) -> bool:
        """Whether as many steps or passes were seen as the settings ask for."""
        limit = self.settings.stop_after
        if limit is None or self._capture is None:
            return False
        recorder = self._capture.recorder
        return (recorder.steps or recorder.forwards) >= limit

    def seconds(self) -> float:
        """Simulated time of what has run so far; what device events report."""
        if self._capture is None:
            return 0.0
        recorder = self._capture.recorder
        return self._clock.seconds(recorder.segments, recorder.path)


class _Clock:
    """Adds up a path as it grows; a segment is priced once."""

    def __init__(self, chip: Chip) -> None:
        self._lowering, self._player = Lowering(chip), Player(chip)
        self._ticks: list[int] = []
        self._counted = 0
        self._total_ticks = 0

    def seconds(self, segments: Sequence[Segment], path: Sequence[int]) -> float:
        for segment in segments[len(self._ticks) :]:
            spans = self._player.segment(self._lowering.segment(segment))
            self._ticks.append(sum(span.ticks for span in spans))
        self._total_ticks += sum(self._ticks[index] for index in path[self._counted :])
        self._counted = len(path)
        return self._total_ticks / self._player.chip.clock_hz


def on(chip: str | Chip, **options: Any) -> Run:
    """A run on a chip, to be entered with ``with``.

    Args:
        chip: a name such as ``"inf2"``, the path of a chip file, or a `Chip`.
        options: fields of `Settings`.
    """
    return Run(Settings(chip=find(chip) if isinstance(chip, str) else chip, **options))


def host_order_of(graph: Graph, numerics: Numerics) -> list[frozenset[int]]:
    """The nodes of every segment whose values came from the host's library, not the chip's arithmetic."""
    from anychip.frontends.torch.values import order_of

    def of(segment: Segment) -> frozenset[int]:
        orders = enumerate(order_of(node, numerics) for node in segment.nodes)
        return frozenset(number for number, order in orders if order == "host order")

    return [of(segment) for segment in graph.segments]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a script ended.

    Args:
        run: what it did on the device.
        error: what it raised; None if it came to its end or exited.
        exit_code: what Python would exit with.
        stopped: whether it was stopped because enough had been seen.
    """

    run: Run
    error: BaseException | None
    exit_code: int
    stopped: bool = False


def run_script(path: str, arguments: Sequence[str], settings: Settings) -> Ended:
    """Runs a script written for CUDA, unedited, on a chip.

    Its output, exceptions and exit code are its own.

    Raises:
        AnychipError: the script cannot be read, or uses code that cannot exist on another chip.
        KeyboardInterrupt: the user stopped it.
    """
    from anychip.frontends.torch.redirect.install import redirect
    from anychip.frontends.torch.script import run_script as play

    folder = os.path.dirname(os.path.abspath(path))
    run = Run(settings, name=os.path.basename(path), source_root=folder)
    redirect(_face(settings.chip, run))
    error: BaseException | None = None
    code = 0
    with run:
        try:
            play(path, arguments)
        except SystemExit as exited:
            code = _exit_code(exited)
        except (AnychipError, KeyboardInterrupt):
            raise
        except Exception as raised:  # noqa: BLE001 - whatever a user's script raises is shown as Python would
            error, code = raised.with_traceback(_from_script(raised, path)), 1
    return Ended(run, error, code, stopped=error is None and run.is_enough())


def captured_script(
    path: str, arguments: Sequence[str], *, with_values: bool = True, max_steps: int | None = None
) -> Graph:
    """A script's Graph for pricing on any chip: values, if asked for, are this machine's.

    Args:
        path: of the script, unedited.
        arguments: its own.
        with_values: False on meta tensors.
        max_steps: stop after so many steps or forward passes.

    Raises:
        InvalidInput: the script raised, or never used the device.
    """
    from anychip.frontends.torch.capture import Capture
    from anychip.frontends.torch.redirect.face import Face
    from anychip.frontends.torch.redirect.install import redirect
    from anychip.frontends.torch.script import run_script as play

    name = os.path.basename(path)
    redirect(Face(name="a chip to be chosen", memory_bytes=2**44, processors=1))
    capture = Capture(
        name=name,
        with_values=with_values,
        stop_after_steps=max_steps,
        stop_after_forwards=max_steps,
        source_root=os.path.dirname(os.path.abspath(path)),
    )
    try:
        with capture:
            play(path, arguments)
    except SystemExit as exited:
        if _exit_code(exited):
            raise InvalidInput(f"{path}: exited with {exited.code}; run it by itself first") from exited
    graph = capture.graph()
    if not graph.path:
        did = "only copied to and from the device" if graph.transfers else "nothing ran on the device"
        raise InvalidInput(f"{path}: {did}; move model and inputs there with .cuda()")
    return graph


def _from_script(error: BaseException, path: str) -> TracebackType | None:
    """The traceback as Python itself would show it: from the script's first line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    return trace or error.__traceback__


def _face(chip: Chip, run: Run) -> Any:
    import dataclasses

    from anychip.frontends.torch.redirect.face import Face

    face = Face(
        name=chip.title,
        memory_bytes=chip.main_memory.capacity_bytes,
        processors=chip.cores,
        clock_s=run.seconds,
    )
    known = chip.facts.get("compute_capability")
    if known is None:
        return face
    major, minor = divmod(round(10 * known.value), 10)
    return dataclasses.replace(face, capability=(major, minor))


def _exit_code(exited: SystemExit) -> int:
    import sys

    if exited.code is None:
        return 0
    if isinstance(exited.code, int):
        return exited.code
    print(exited.code, file=sys.stderr)
    return 1
