"""Published figures of whole models on Inferentia and Trainium: calls, prompts, output tokens.

The rules name a model's architecture; here a row's metric becomes the call behind it. Neuron compiles for
fixed shapes, so prompts and caches are those of the next power of two, or of the longest that the row's
program takes. Requests in flight wait for each other: rows with several are compared by throughput.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from anychip.chips import Chip
from anychip.errors import AnychipError
from anychip.frontends.torch.last_model import let_go
from anychip.products.validate.mapping import settled
from anychip.products.validate.neuron_calls import Calls, Work
from anychip.products.validate.neuron_training import Step, step_seconds
from anychip.products.validate.operators import chip_named
from anychip.products.validate.question import (
    BrokenRow,
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
    text,
)

#: Of a file of this kind.
COLUMNS = ("chip", "phase", "model", "batch", "seq_len", "metric", "value", "extra", "inflight", "cores")
#: Prompts beyond so many tokens in a batch are a class of their own.
_SHORT_PROMPT = 2048
#: In the name of a class: prompts of more tokens, or batches of more sequences, than were measured often.
OVER = "over"
#: Tokens of a single prompt beyond which serving libraries divide the sequence between shards.
_DIVIDED_PROMPT = 2048
#: Tokens of a description from which an image is made.
_TEXT_TOKENS = 77
#: Sequences up to which a decoding program was measured again and again.
_MANY = 64
#: Requests in flight, as throughput times latency over batch gives them, that are one request.
_ONE_IN_FLIGHT = 1.05
_MILLISECONDS = {"ms": 1.0, "s": 1e3, "us": 1e-3}
#: Metrics that can be predicted.
_FIGURES = re.compile(r"latency|ttft|tpot|cost|.*throughput|.*latency")
#: Who makes the chips that Neuron compiles for, and their kind.
_MADE_BY = ("AWS", "npu")
#: Columns of one figure; rows that agree in all others are of one measurement.
_OF_A_FIGURE = ("line", "metric", "value", "unit", "inflight", "first_tag", "last_tag", "price_usd_h_ri")
_TAIL = re.compile(r"p(9\d|100)|max_|cost|mfu")


@dataclass(frozen=True, kw_only=True)
class Served(Question):
    """A published figure of a model.

    Args:
        work: the call.
        prompt: the call before it, where whole answers were measured; None otherwise.
        output_tokens: of one answer.
        inflight: requests at a time.
        cores: of the instance, that take requests side by side.
        price_usd_h: of the instance, where costs were measured.
        sdk: version of the compiler, as numbers.
        step: of a training run; None for inference.
        others: further calls of a pipeline, and how often each; `work` is then made `times` times.
        times: how often `work` is called.
        counts_prompt: whether tokens of prompts count among those that a rate or a time per token is of.
        run: what all figures of one measurement of a generation share; None for other rows.
    """

    work: Work
    prompt: Work | None = None
    output_tokens: int = 0
    inflight: float = 1.0
    cores: int = 1
    price_usd_h: float = 0.0
    sdk: tuple[int, ...] = ()
    step: Step | None = None
    others: tuple[tuple[Work, int], ...] = ()
    times: int = 1
    counts_prompt: bool = False
    run: tuple[str, ...] | None = None


def read(file: str, row: Row, shortest_s: float) -> Served:
    """The call of a row."""
    said = settled("neuron", row)
    kind = said.get("class", "neuron")
    if "calls" in said:
        said.setdefault("architecture", said["calls"].split()[0].partition(":")[0])
    if "architecture" not in said:
        raise Out("workload", f"model {row['model']}: no rule names its architecture", kind)
    said["architecture"] = said["architecture"].casefold()
    chip = chip_named(said.get("chip", row["chip"]), kind)
    if (catalogue_chip(chip).vendor, catalogue_chip(chip).kind) != _MADE_BY:
        raise Out("chip", f"{chip} runs no programs of Neuron", kind)
    metric, training = text(row, "metric"), row["phase"] == "training"
    if not training and not _FIGURES.match(metric):
        raise Out("workload", f"metric {metric}: neither a time, a rate nor a cost of calls", kind)
    timed = not training and "throughput" not in metric and "cost" not in metric
    named = dict(re.findall(r"([^;=]+)=([^;]*)", row["extra"]))
    common: dict[str, Any] = {
        "file": file, "line": int(row["line"]), "chip": chip, "dtype": said.get("dtype", "bf16"),
        "metric": metric, "unit": "ms" if timed else row.get("unit") or "",
        "measured": number(row, "value") * (_milliseconds(row) if timed else 1.0),
        "family": said.get("family", said["architecture"]).casefold(),
        "sdk": _version(row.get("sdk_version") or ""),
        "rate": "throughput" in metric,
    }  # fmt: skip
    batch = round(number(row, "batch", otherwise=1.0, least=1.0))
    if training:
        return _trained(row, said, named, batch, common)
    if said.get("phase") == "generate":
        return _generated(row, said, named, batch, common)
    return _called(row, said, named, batch, common)


def _milliseconds(row: Row) -> float:
    """Of the unit of a time; those of rows that name none."""
    unit = row.get("unit") or "ms"
    if unit not in _MILLISECONDS:
        raise BrokenRow("unit", f'"{unit}" is none of {", ".join(_MILLISECONDS)}')
    return _MILLISECONDS[unit]


def _stated(named: Mapping[str, str], name: str, otherwise: int | None = None) -> int:
    """A whole number of 1 or more among what else a row says."""
    try:
        return extent(named, name, otherwise=otherwise)
    except BrokenRow as error:
        raise BrokenRow("extra", f"{name}: {error.complaint}") from None


def _called(
    row: Row, said: Mapping[str, str], named: Mapping[str, str], batch: int, common: dict[str, Any]
) -> Served:
    """A forward pass on one core, several of them side by side."""
    kind = said["class"]
    tokens = round(number(row, "seq_len", otherwise=128.0, least=1.0))
    cores = round(number(row, "cores", otherwise=1.0, least=1.0))
    inflight = number(row, "inflight", otherwise=float(cores))
    if inflight < _ONE_IN_FLIGHT and batch >= cores > 1:
        # Throughput and latency of one batch that the runtime splits over all cores.
        batch, inflight = -(-batch // cores), float(cores)
    work = Work(said["architecture"], "forward", batch, tokens)
    price = number(row, "price_usd_h_ri") if "cost" in row["metric"] else 0.0
    more: dict[str, Any] = {}
    if "calls" in said:
        (work, times), *others = _pipeline(said["calls"], batch, named, kind)
        more = {"times": times, "others": tuple(others)}
    return _finished(
        row, kind, work, common, inflight=inflight, cores=cores, price_usd_h=price, named=named, **more
    )


def _pipeline(calls: str, batch: int, named: Mapping[str, str], kind: str) -> list[tuple[Work, int]]:
    """Calls of a pipeline: ``ARCHITECTURE:TIMES``, with ``*SAMPLES`` where each takes several."""
    size = re.match(r"([1-9]\d*)x([1-9]\d*)", named.get("image", ""))
    if size is None:
        raise Out("workload", "the size of its images is not stated", kind)
    image = (int(size.group(2)), int(size.group(1)))
    found: list[tuple[Work, int]] = []
    for each in calls.split():
        name, _, rest = each.partition(":")
        times, _, samples = rest.partition("*")
        work = Work(name.casefold(), "forward", batch * int(samples or 1), _TEXT_TOKENS, image=image)
        found.append((work, int(times or 1)))
    return found


def _generated(
    row: Row, said: Mapping[str, str], named: Mapping[str, str], batch: int, common: dict[str, Any]
) -> Served:
    """A prompt, an output token, or answers per second of a tensor-parallel language model."""
    kind, metric = said["class"], row["metric"]
    common = common | {"run": tuple(text for name, text in row.items() if name not in _OF_A_FIGURE)}
    if "cost" in metric:
        raise Out("measurement", "a cost of tokens, derived from the throughput beside it", kind)
    if "request" in metric:
        raise Out("scale", "throughput of a service with requests of its own", kind)
    if "input_len" in said:
        filled = {"input_len": said["input_len"], "output_len": _rest(row, int(said["input_len"]))}
        named = filled | dict(named)
    if "input_len" not in named:
        raise Out("workload", "the length of the prompt is not stated", f"{kind} prompt of unknown length")
    given, made = _stated(named, "input_len"), _stated(named, "output_len", 1)
    shards = _stated(named, "tp") if "tp" in named else round(number(row, "cores", least=1.0))
    longest = round(number(row, "seq_len", otherwise=float(given + made), least=1.0))
    tokens = _bucket(given, longest)
    divided = said.get("sequence") == "divided" or (batch == 1 and tokens > _DIVIDED_PROMPT)
    prompt = Work(
        said["architecture"], "prefill", batch, tokens, shards, divides_sequence=divided and shards > 1
    )
    cached = _bucket(given + made // 2 + 1, longest)
    token = Work(said["architecture"], "decode", batch, cached, shards)
    whole: dict[str, Any] = {"prompt": prompt, "output_tokens": made}
    if "encodes" in said:
        # The decoder's own cache holds what was written; the prompt is the encoder's.
        token = replace(token, tokens=given, written=made // 2 + 1)
        whole = {}
    if metric.startswith("ttft"):
        size = "to 2k" if batch * prompt.tokens <= _SHORT_PROMPT else f"{OVER} 2k"
        return _finished(row, f"{kind} prompt {size}", prompt, common, named=named)
    if said.get("counts") == "prompts" or ("in_plus_out" in metric and whole):
        name = f"{kind} prompt and answer"
        return _finished(row, name, token, common, named=named, counts_prompt=True, **whole)
    of_a_token = ("tpot", "latency_per_token", *(("latency",) if said.get("figure") == "token" else ()))
    if metric.startswith(of_a_token):
        many = f", batch {OVER} {_MANY}" if batch > _MANY else ""
        return _finished(row, f"{kind} token{many}", token, common, named=named)
    return _finished(row, f"{kind} answers a second", token, common, named=named, **whole)


def _rest(row: Row, given: int) -> str:
    """Tokens of a sequence that are not of its prompt."""
    return str(max(1, round(number(row, "seq_len", least=1.0)) - given))


def _trained(
    row: Row, said: Mapping[str, str], named: Mapping[str, str], batch: int, common: dict[str, Any]
) -> Served:
    """A step of a training run on many cores."""
    kind = said["class"]
    if not row["metric"].startswith("training_throughput"):
        because = f"{row['metric']}: derived from the throughput beside it"
        raise Out("measurement", because, f"{kind}, derived figures")
    topology = named.get("topology", "")
    shards, stages = _degree(topology, "TP"), _degree(topology, "PP")
    cores = round(number(row, "cores", least=1.0))
    whole = round(number(row, "batch", otherwise=float(said.get("global_batch", 0)) or None, least=1.0))
    tokens = round(number(row, "seq_len", otherwise=float(said.get("tokens", 128)), least=1.0))
    layers = int(said.get("layers", 0)) // stages if stages > 1 else 0
    micro = _stated(named, "microbatch", 1)
    if shards * stages > cores:
        raise BrokenRow("extra", f"topology: TP {shards} and PP {stages} take more than the {cores} cores")
    copies = cores // (shards * stages)
    divided = said.get("sequence") == "divided"
    work = Work(said["architecture"], "gradients", micro, tokens, shards, layers, divided)
    step = Step(
        batch=whole,
        micro_batches=max(1, round(whole / (copies * micro))),
        stages=stages,
        copies=copies,
        divides_optimizer="optimizer" in row["dtype"].casefold(),
    )
    return _finished(row, kind, work, common, named=named, step=step)


def _degree(topology: str, name: str) -> int:
    """A degree of parallelism as topologies spell it: ``TP=8`` or ``8xNC(TP)``."""
    match = re.search(rf"{name}\s*=\s*(\d+)|(\d+)x(?:NC)?\({name}\)", topology)
    degree = 1 if match is None else int(match.group(1) or match.group(2))
    if not degree:
        raise BrokenRow("extra", f"topology: {name} is 0; it must be 1 or more")
    return degree


def _finished(
    row: Row, kind: str, work: Work, common: dict[str, Any], *, named: Mapping[str, str], **more: Any
) -> Served:
    tail = ", tails" if _TAIL.search(row["metric"]) else ""
    subject = f"{row['model']} {work.batch}x{work.tokens}" + (f" on {work.shards}" if work.shards > 1 else "")
    key = (work, row["model"], row["metric"], tuple(sorted(more.items(), key=str)))
    return Served(kind=kind + tail, work=work, subject=subject, workload=key, **common, **more)


def _bucket(tokens: int, longest: int) -> int:
    """Neuron compiles for powers of two, the last of them cut at the longest sequence."""
    return min(1 << max(0, (max(1, tokens) - 1).bit_length()), max(longest, tokens))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


class Predictor:
    """Answers rows; every call is recorded and simulated once a set of constants."""

    def __init__(self, chip_of: ChipOf = catalogue_chip, calls: Calls | None = None) -> None:
        self._chip_of = chip_of
        self._calls = calls or CALLS

    def value(self, row: Served) -> float:
        """The prediction in the row's unit."""
        chip = self._chip_of(row.chip)
        age = aging(chip, row.sdk)
        call_s = age * self._calls.seconds(chip, row.work)
        if row.step is not None:
            return row.step.batch / (age * step_seconds(self._calls, chip, row.work, row.step))
        batch = row.work.batch
        if row.prompt is not None:
            whole_s = age * self._calls.seconds(chip, row.prompt) + row.output_tokens * call_s
            tokens = row.output_tokens + row.counts_prompt * row.prompt.tokens
            return batch * tokens / whole_s if row.rate else whole_s / tokens * 1e3
        if row.work.phase != "forward":
            return batch / call_s if row.rate else call_s * 1e3
        call_s *= row.times
        call_s += sum(age * times * self._calls.seconds(chip, work) for work, times in row.others)
        if row.others:
            batch = 1
        throughput = max(1.0, min(float(row.cores), row.inflight)) * batch / call_s
        if row.rate:
            return throughput
        if row.price_usd_h:
            return 1e6 / throughput * row.price_usd_h / 3600
        return max(row.inflight, 1.0) * batch / throughput * 1e3


#: Recordings of the process; they know no constants.
CALLS = Calls()


def predict(
    questions: Sequence[Question], chip_of: ChipOf = catalogue_chip
) -> tuple[list[Measured], list[Excluded]]:
    """Rows with their predictions."""
    predictor = Predictor(chip_of)
    done: list[Measured] = []
    left: list[Excluded] = []
    rows = [each for each in questions if isinstance(each, Served)]
    for row in sorted(rows, key=lambda each: (astuple(each.work), each.chip)):
        try:
            done.append(answered(row, predictor.value(row)))
        except (AnychipError, RuntimeError, TypeError, AttributeError, ValueError) as error:
            because = f"{row.work.architecture}: {str(error).splitlines()[0]}"
            left.append(Excluded(row.file, row.line, row.kind, "workload", because))
    let_go()
    return done, left


def aging(chip: Chip, sdk: tuple[int, ...], growth: float | None = None) -> float:
    """How much longer a call takes where an older compiler made its program.

    Args:
        chip: whose policy says from which release on compilers have settled.
        sdk: version of the row's; empty or of another numbering: settled.
        growth: for every minor release before; None takes the policy's.
    """
    policy = chip.policy
    if len(sdk) < 2 or sdk[0] != 2:
        return 1.0
    growth = policy.release_growth if growth is None else growth
    return 1 + growth * max(0, policy.settled_release - sdk[1])
