"""Published times of whole models on GPUs, replayed through the flow that ``run`` and ``choose`` use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from anychip.chips import Chip
from anychip.compile import Lowering
from anychip.errors import AnychipError
from anychip.frontends.torch.configured import Configured, graph_of
from anychip.frontends.torch.last_model import let_go
from anychip.products.validate.mapping import settled
from anychip.products.validate.operators import FORMATS, chip_named
from anychip.products.validate.question import (
    ChipOf,
    Excluded,
    Measured,
    Out,
    Question,
    Row,
    answered,
    catalogue_chip,
    extent,
    number,
)
from anychip.programs.graph import Graph
from anychip.simulate import Player

#: Of a file of this kind.
COLUMNS = (
    "chip",
    "n_chips",
    "phase",
    "model",
    "batch",
    "seq_len",
    "dtype",
    "metric",
    "value",
    "unit",
    "config",
)
#: Torch's names of the formats that eager models are timed in.
_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_SECONDS = {"ms": 1e-3, "s": 1.0, "us": 1e-6}


@dataclass(frozen=True, kw_only=True)
class Timed(Question):
    """A timed call of a model.

    Args:
        plus: its time counts.
        minus: this one's is taken off: a backward pass is both passes less the forward one.
    """

    plus: Configured
    minus: Configured | None = None


def read(file: str, row: Row, shortest_s: float) -> Timed:
    """The call of a row."""
    said = settled("models", row)
    kind = said.get("class", "model of no class")
    for needed, what in (("model", f"model {row['model']}"), ("part", f"{row['phase']}, {row['metric']}")):
        if needed not in said:
            raise Out("workload", f"{what}: no rule maps it", kind)
    dtype = FORMATS.get(row["dtype"].casefold(), "")
    if dtype not in _DTYPES:
        raise Out("software", f"format {row['dtype'] or 'not stated'}: not a format of eager PyTorch", kind)
    if row["unit"] not in _SECONDS:
        raise Out("workload", f"unit {row['unit']}: not a time", kind)
    measured_s = number(row, "value") * _SECONDS[row["unit"]]
    # Images have no length.
    images = said.get("reads") == "images"
    batch, tokens = extent(row, "batch"), 0 if images else extent(row, "seq_len")
    fields = tuple(sorted(_field(text) for text in said.get("fields", "").split()))
    part = said["part"]
    whole = Configured(
        said["model"], fields, "passes" if part == "backward" else part,  # pyright: ignore[reportArgumentType]
        batch, tokens, _DTYPES[dtype], said.get("compiled") == "yes",
    )  # fmt: skip
    size = f"{batch} images" if images else f"{batch}x{tokens}"
    subject = f"{row['model']} {size}{', compiled' if whole.compiled else ''}"
    return Timed(
        file=file, line=int(row["line"]), kind=kind, chip=chip_named(said.get("chip", row["chip"]), kind),
        dtype=dtype, subject=subject, metric=row["metric"], unit="s", measured=measured_s,
        family=row["model"], short=measured_s < shortest_s, workload=(whole, part), plus=whole,
        minus=replace(whole, part="forward") if part == "backward" else None,
    )  # fmt: skip


def _field(text: str) -> tuple[str, int | float | str | bool]:
    name, _, value = text.partition("=")
    if value in ("true", "false"):
        return name, value == "true"
    try:
        return name, int(value)
    except ValueError:
        return name, value


_GRAPHS: dict[Configured, Graph] = {}


def predict(
    questions: Sequence[Question], chip_of: ChipOf = catalogue_chip
) -> tuple[list[Measured], list[Excluded]]:
    """Calls with their predictions; a model that cannot be captured is excluded with the reason."""
    pricers: dict[str, tuple[Chip, Lowering, Player]] = {}
    done: list[Measured] = []
    out: list[Excluded] = []
    asked = [each for each in questions if isinstance(each, Timed)]
    # Models are built one at a time: rows of one model follow each other.
    for each in sorted(
        asked, key=lambda one: (one.plus.model, one.plus.fields, one.plus.part != "inference")
    ):
        if each.chip not in pricers:
            chip = chip_of(each.chip)
            pricers[each.chip] = (chip, Lowering(chip), Player(chip))
        try:
            seconds = _seconds(each.plus, *pricers[each.chip])
            if each.minus is not None:
                seconds -= _seconds(each.minus, *pricers[each.chip])
        except (AnychipError, RuntimeError, IndexError, ValueError, TypeError) as error:
            # Models that somebody else wrote refuse, say, more tokens than they have positions for.
            because = f"{each.subject}: {str(error).splitlines()[0]}"
            out.append(Excluded(each.file, each.line, each.kind, "software", because))
            continue
        done.append(answered(each, seconds))
    let_go()
    return done, out


def _seconds(call: Configured, chip: Chip, lowering: Lowering, player: Player) -> float:
    graph = _GRAPHS.get(call)
    if graph is None:
        graph = _GRAPHS[call] = graph_of(call)
    return player.play(lowering.program(graph)).ticks / chip.clock_hz
