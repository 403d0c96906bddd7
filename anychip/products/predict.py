"""``anychip predict``: predictions beside what AWS published for Inferentia and Trainium.

Every inference row of a file with the columns of ``neuron_published.csv`` whose model `transformers` can
build is captured on shapes, lowered, simulated and set beside the published value. Rows that cannot be are
counted with the reason.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log2
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from anychip import chips
from anychip.chips import Chip
from anychip.chips.fitted import TENSOR_PARALLEL
from anychip.compile import Lowering
from anychip.errors import AnychipError, InvalidInput, NotModelled
from anychip.frontends.torch.published import Workload, graph_of, hidden_of, layers_of
from anychip.products.published_rows import published_rows
from anychip.programs.graph import Graph
from anychip.simulate import Player

#: Published model names (a pattern each) and the architectures that they name.
_MODELS: tuple[tuple[str, str], ...] = (
    (r"bert-base-cased-finetuned-mrpc", "bert-base-classifier"),
    (r"distilbert-base", "distilbert-base"),
    (r"bert-large-", "bert-large"),
    (r"(bert-base-(un)?cased|BERT base)", "bert-base"),
    (r"albert-base-v2", "albert-base-v2"),
    (r"google/electra-base", "electra-base"),
    (r"camembert-base", "camembert-base"),
    (r"gpt2-large", "gpt2-large"),
    (r"gpt2$", "gpt2"),
    (r"(resnet18|resnet34|resnet101)$", ""),
    (r"deepmind/vision-perceiver-conv", "perceiver-conv"),
    (r"deepmind/vision-perceiver-learned", "perceiver-learned"),
    (r"deepmind/vision-perceiver-fourier", "perceiver-fourier"),
    (r"Llama-2-(7b|13b|70b)$", ""),
    (r"Llama-3\.3-70B$", "llama-3.1-70b"),
    (r"Llama-3\.1-405B$", "llama-3.1-405b"),
    (r"Mistral-7B", "mistral-7b"),
    (r"(opt-13b|opt-66b)$", ""),
)
_CLASSES = (
    ("encoder", ("bert", "distilbert", "albert", "electra", "camembert")),
    ("gpt2", ("gpt2",)),
    ("vision", ("resnet", "perceiver")),
)
_REQUIRED = ("chip", "phase", "model", "batch", "seq_len", "metric", "value", "extra", "inflight", "cores")
#: Physical cores that one logical core of a published tensor-parallel degree stands for.
#: Chips whose cost per prefilled token was fitted; on later ones the engines alone explain it better.
_FITTED_PREFILL = ("inf2", "trn1")
_PHYSICAL_CORES = {"trn2": 2, "trn3": 2}


class Question(NamedTuple):
    """What a row asks: a workload on a chip, and how its published number derives from a call's time."""

    chip: str
    workload: Workload
    metric: str
    inflight: float
    cores: int
    input_tokens: int
    output_tokens: int
    price_usd_h: float | None


@dataclass(frozen=True)
class Row:
    """A published value with its prediction."""

    line: int
    chip: str
    model: str
    kind: str
    batch: int
    tokens: int
    shards: int
    metric: str
    published: float
    predicted: float
    unit: str
    sdk: str

    @property
    def error(self) -> float:
        """Relative error of the prediction on time: + is too slow."""
        ratio = self.predicted / self.published
        slower = "throughput" not in self.metric
        return ratio - 1 if slower else 1 / ratio - 1


class Predictor:
    """Times of calls, each distinct one computed once."""

    def __init__(self) -> None:
        self._graphs: dict[Workload, Graph] = {}
        self._pricers: dict[str, tuple[Lowering, Player]] = {}
        self._times: dict[tuple[str, Workload], float] = {}

    def call_s(self, chip: Chip, workload: Workload) -> float:
        """Seconds of one call on one core, outputs sent to the host."""
        key = (chip.name, workload)
        if key not in self._times:
            self._times[key] = self._priced(chip, workload)
        return self._times[key]

    def _priced(self, chip: Chip, workload: Workload) -> float:
        graph = self._graphs.get(workload)
        if graph is None:
            graph = self._graphs[workload] = graph_of(workload)
        lowering, player = self._pricers.setdefault(chip.name, (Lowering(chip), Player(chip)))
        trace = player.play(lowering.program(graph))
        moved = sum(each.to_host_bytes + each.to_device_bytes for each in graph.transfers)
        rate = chip.policy.host_bytes_per_second
        seconds = trace.seconds + (moved / rate if rate and moved > 1 else 0.0)
        return seconds + _tensor_parallel_s(chip, workload)


def _tensor_parallel_s(chip: Chip, workload: Workload) -> float:
    """What a tensor-parallel layer takes besides its engines, in place of the latency of a fused block."""
    if workload.phase == "forward":
        return 0.0
    facts = {name: fact.value for name, fact in TENSOR_PARALLEL.items()}
    layers = layers_of(workload.name)
    if workload.phase == "decode":
        return layers * (facts["decode_layer_s"] - chip.policy.block_s) - chip.policy.call_s
    count = workload.batch * workload.tokens
    if chip.name not in _FITTED_PREFILL:
        return layers * (facts["prefill_layer_s"] - chip.policy.block_s) - chip.policy.call_s
    local = max(memory.capacity_bytes for memory in chip.memories.values() if memory.level == "local")
    spilled = count * hidden_of(workload.name) * 2 > local
    token_s = facts["prefill_token_s"] * (facts["spill_factor"] if spilled else 1.0)
    layer_s = facts["prefill_layer_s"] + count * token_s - chip.policy.block_s
    return layers * layer_s - chip.policy.call_s


def question(row: Mapping[str, str]) -> Question:
    """The question behind a row.

    Raises:
        NotModelled: with the reason, if no prediction is possible.
    """
    # Inferentia1's pages file DistilBERT under "BERT base" and name it in the detail.
    named = re.search(r"distilbert-base", row["extra"])
    architecture = _architecture(named.group() if named else row["model"])
    metric, extra = row["metric"], dict(re.findall(r"([^;=]+)=([^;]*)", row["extra"]))
    if "token_throughput_in_plus_out" in metric or metric.endswith("output_throughput"):
        raise NotModelled("request mixes with input and output tokens together")
    if "request" in metric:
        raise NotModelled("request throughput of a serving run")
    batch, tokens = int(float(row["batch"])), _integer(row["seq_len"], 128)
    chip = chips.by_name(row["chip"]).name
    per_core = _PHYSICAL_CORES.get(chip, 1)
    shards = int(extra["tp"]) * per_core if "tp" in extra else 1
    cores = _integer(row["cores"], 1)
    inflight = float(row["inflight"] or 0) or float(cores)
    given, made = _integer(extra.get("input_len", ""), 0), _integer(extra.get("output_len", ""), 0)
    if metric.startswith("ttft"):
        workload = Workload(architecture, "prefill", batch, _bucket(given), shards)
    elif metric.startswith(("tpot", "latency_per_token", "output_token")):
        workload = Workload(architecture, "decode", batch, _bucket(given + made // 2 + 1), shards)
    elif shards > 1 or architecture.startswith(("llama", "mistral", "opt")):
        raise NotModelled("whole generations of a language model")
    else:
        if inflight < 0.9 and cores > 1:
            # Throughput and latency of one batch that the runtime splits over all cores.
            batch, inflight = -(-batch // cores), float(cores)
        workload = Workload(architecture, "forward", batch, tokens)
    if workload.phase != "forward" and not given:
        raise NotModelled("prompt length not stated")
    price = row.get("price_usd_h_ri") or ""
    return Question(
        chip,
        workload,
        metric,
        inflight,
        cores,
        given,
        made,
        float(price) if price else None,
    )


def answer(predictor: Predictor, asked: Question) -> float:
    """The predicted value of a row's metric, in the row's unit."""
    chip = chips.by_name(asked.chip)
    call_s = predictor.call_s(chip, asked.workload)
    batch = asked.workload.batch
    if asked.workload.phase != "forward":
        if not asked.metric.startswith("output_token"):
            return call_s * 1e3
        prompt = _prompt(asked)
        whole_s = predictor.call_s(chip, prompt) + asked.output_tokens * call_s
        return batch * asked.output_tokens / whole_s
    cores = max(1.0, min(float(asked.cores), asked.inflight))
    throughput = cores * batch / call_s
    if "throughput" in asked.metric:
        return throughput
    if asked.metric.startswith("cost"):
        if asked.price_usd_h is None:
            raise NotModelled("no price in the row")
        return 1e6 / throughput * asked.price_usd_h / 3600
    return max(asked.inflight, 1.0) * batch / throughput * 1e3


def _prompt(asked: Question) -> Workload:
    work = asked.workload
    return Workload(work.name, "prefill", work.batch, _bucket(asked.input_tokens), work.shards)


def _architecture(model: str) -> str:
    for pattern, name in _MODELS:
        if re.match(pattern, model):
            return name or model.casefold()
    raise NotModelled("transformers cannot build the model from its name")


def _integer(text: str, otherwise: int) -> int:
    try:
        return int(float(text))
    except ValueError:
        return otherwise


def _bucket(tokens: int) -> int:
    """Neuron compiles for powers of two."""
    return 1 << max(0, (max(1, tokens) - 1).bit_length())


def _kind(workload: Workload) -> str:
    if workload.phase == "decode":
        return "decode"
    if workload.phase == "prefill":
        return "prefill <= 2k" if workload.batch * workload.tokens <= 2048 else "prefill > 2k"
    return next((kind for kind, heads in _CLASSES if workload.name.startswith(heads)), "other")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of the file, with their line number under ``line``.

    Raises:
        InvalidInput: the file cannot be read, or lacks columns.
    """
    return published_rows(path, _REQUIRED, "give the file with --data")


def predictions(rows: Iterable[Mapping[str, str]]) -> tuple[list[Row], Counter[str]]:
    """Predictions of the inference rows, and how many were left out for which reason."""
    predictor = Predictor()
    done: list[Row] = []
    left: Counter[str] = Counter()
    asked: list[tuple[Mapping[str, str], Question]] = []
    for row in rows:
        if row["phase"] != "inference":
            left["training rows"] += 1
            continue
        try:
            asked.append((row, question(row)))
        except AnychipError as error:
            left[str(error)] += 1
    for row, each in sorted(asked, key=lambda pair: (pair[1].workload.name, pair[1].workload.shards)):
        try:
            published = float(row["value"])
            predicted = answer(predictor, each)
        except (AnychipError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            left[f"{row['model']}: {str(error).splitlines()[0]}"] += 1
            continue
        work = each.workload
        done.append(
            Row(int(row["line"]), each.chip, row["model"], _kind(work), work.batch, work.tokens, work.shards,
                each.metric, published, predicted, row.get("unit", ""), row.get("sdk_version", ""))
        )  # fmt: skip
    return done, left


def newest(rows: Sequence[Row]) -> list[Row]:
    """One row per chip, model, shape and central metric: that of the newest compiler."""
    best: dict[tuple[object, ...], Row] = {}
    for row in rows:
        if row.metric not in ("throughput", "ttft_p50", "tpot_p50"):
            continue
        key = (row.chip, row.model, row.batch, row.tokens, row.shards, row.metric)
        if key not in best or _version(row.sdk) > _version(best[key].sdk):
            best[key] = row
    return list(best.values())


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def summary(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Mean, median and signed median error by class and by chip, over the newest rows."""
    groups: dict[str, list[float]] = {}
    for row in newest(rows):
        for name in (row.kind, f"{row.kind}, {row.chip}"):
            groups.setdefault(name, []).append(row.error)
    return {
        name: {
            "rows": len(errors),
            "mape": 100 * fmean(map(abs, errors)),
            "median": 100 * median(map(abs, errors)),
            "bias": 100 * median(errors),
        }
        for name, errors in sorted(groups.items())
    }


def show(rows: Sequence[Row], left: Counter[str], console: Console) -> None:
    """The table, the summary and what was left out."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("line", "chip", "model", "b", "tokens", "tp", "metric", "published", "predicted", "error"):
        right = name in ("line", "b", "tokens", "tp", "published", "predicted", "error")
        table.add_column(name, justify="right" if right else "left", no_wrap=True, max_width=24)
    for row in rows:
        table.add_row(
            str(row.line), row.chip, row.model, str(row.batch), str(row.tokens), str(row.shards), row.metric,
            _short(row.published), _short(row.predicted), f"{100 * row.error:+.0f} %",
        )  # fmt: skip
    console.print(table)
    console.print("\nerror on time (+ predicted too slow), newest compiler per configuration:")
    for name, figures in summary(rows).items():
        console.print(
            f"  {name:28} {figures['rows']:4.0f} rows  mean {figures['mape']:5.1f} %  "
            f"median {figures['median']:5.1f} %  bias {figures['bias']:+5.1f} %"
        )
    if left:
        console.print("\nleft out:")
        for reason, count in left.most_common():
            console.print(f"  {count:4} {reason}")


def _short(value: float) -> str:
    digits = max(0, 3 - int(log2(value) / 3.33)) if value > 0 else 0
    return f"{value:,.{digits}f}"


def main(argv: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="anychip predict", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a file like neuron_published.csv")
    parser.add_argument("--json", type=Path, help="also write everything here")
    parser.add_argument("--chip", help="only rows of this chip")
    parser.add_argument("--model", help="only rows whose model contains this text")
    options = parser.parse_args(argv)
    rows = [row for row in read_rows(options.data) if _wanted(row, options.chip, options.model)]
    done, left = predictions(rows)
    show(done, left, Console(width=None if sys.stdout.isatty() else 140))
    if options.json is not None:
        content = {
            "rows": [asdict(row) | {"error": row.error} for row in done],
            "summary": summary(done),
            "left_out": dict(left),
        }
        try:
            options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{options.json}: {error.strerror}; choose another place") from error
    return 0


def _wanted(row: Mapping[str, str], chip: str | None, model: str | None) -> bool:
    if chip is not None and chips.by_name(row["chip"]).name != chips.by_name(chip).name:
        return False
    return model is None or model.casefold() in row["model"].casefold()
