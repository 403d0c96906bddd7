"""``anychip conformance numerics``: PyTorch's operator samples in a chip's arithmetic against an oracle.

Every sample of ``op_db`` runs three times: in float64 on PyTorch's own kernels (the oracle, independent of
this package), in the chip's arithmetic through its kernels, and several times in float64 with *noise*: every
operator's operands and result are moved at random by as much as the chip's formats and declared sums may
round them. How far noise drives a result from the oracle says how much rounding may; nothing else sets the
tolerance. Gradients are compared in the same way.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,  # pyright: ignore[reportPrivateUsage]
)

from anychip.arithmetic import Numerics, reference
from anychip.arithmetic import order as orders
from anychip.errors import AnychipError, MissingTool
from anychip.formats import Float, by_name
from anychip.frontends.torch.conformance import results
from anychip.frontends.torch.conformance.results import Report
from anychip.frontends.torch.plan import format_name
from anychip.frontends.torch.values.calls import Call, Schema, geometry, shape_of
from anychip.frontends.torch.values.handlers import Values, order_of
from anychip.operators import find

Tensor = torch.Tensor
Outcome = Literal["pass", "fail", "host order", "skipped"]
#: Noisy runs per sample, and how many of their largest deviation a result may be off.
_RUNS = 10
_MARGIN = 4.0
#: What an operator raises for a sample that it does not take.
_REFUSALS = (
    AnychipError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
#: Draw from a generator, leave memory as it is, or promise no value: nothing to compare.
_NO_VALUE = frozenset(
    "empty empty_like empty_strided empty_permuted new_empty new_empty_strided rand_like randn_like randint "
    "randint_like randn rand bernoulli multinomial normal uniform exponential cauchy geometric log_normal "
    "nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d nn.functional.alpha_dropout "
    "nn.functional.feature_alpha_dropout nn.functional.rrelu nn.functional.fractional_max_pool2d "
    "nn.functional.fractional_max_pool3d nn.functional.multi_head_attention_forward svd_lowrank pca_lowrank "
    "normal.number_mean".split()
)


class ChipMode(TorchDispatchMode):
    """Runs every operator on plain CPU tensors by the kernels of an arithmetic, and notes whose they were.

    Args:
        values: the arithmetic.
    """

    def __init__(self, values: Values) -> None:
        super().__init__()
        self.values = values
        self.orders: dict[str, str] = {}

    @property
    def host(self) -> set[str]:
        """Operators that ran in host order."""
        return {name for name, order in self.orders.items() if order == "host order"}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operator."""
        kernel = self.values(func)
        result = (kernel or func)(*args, **(kwargs or {}))
        self._note(func, args, kwargs or {}, result)
        return result

    def _note(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        schema = Schema(func)
        if self.orders.get(schema.name) == "host order":
            return
        tensors, attributes = schema.flattened(args, kwargs)
        listed = result if isinstance(result, (list, tuple)) else [result]
        outputs = [each for each in listed if isinstance(each, Tensor)]
        if any(t.layout is not torch.strided for t in (*tensors, *outputs)):
            self.orders[schema.name] = "host order"
            return
        shapes = [tuple(shape_of(geometry(t)) for t in each) for each in (tensors, outputs)]
        self.orders[schema.name] = order_of(Call(schema.name, attributes, shapes[0], shapes[1]))


class NoiseMode(TorchDispatchMode):
    """Float64 with as much noise as a chip's rounding may make.

    Args:
        numerics: the chip's.
        stored: the format in which the samples are stored.
        seed: of the noise.
    """

    def __init__(self, numerics: Numerics, stored: Float, seed: int) -> None:
        super().__init__()
        self.numerics = numerics
        self.stored = stored
        self.generator = torch.Generator().manual_seed(seed)
        self.lane = numerics.lane.epsilon / 2
        operand = numerics.operand(stored)
        self.operand = operand.epsilon / 2 if isinstance(operand, Float) and operand != stored else 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operator between two layers of noise."""
        name = Schema(func).name
        entry = find(name)
        kind = "host" if entry is None else entry.kind
        if kind in ("view", "move", "random"):
            return func(*args, **(kwargs or {}))
        amount = self.lane * self.depth(kind, args)
        if kind in ("contraction", "attention"):
            amount += self.operand
        kept = {argument.name for argument in func._schema.arguments if argument.alias_info is not None}
        names = [argument.name for argument in func._schema.arguments]
        moved = [
            each if name in kept else self.moved(each, amount)
            for each, name in zip(args, names, strict=False)
        ]
        result = func(*moved, **(kwargs or {}))
        return self.rounded(result, self.lane * self.depth(kind, args) if "log" in name else 0.0)

    def depth(self, kind: str, args: Sequence[Any]) -> float:
        """How many roundings lie between an element and its result, by the declared order of the sum."""
        sizes = [each.numel() for each in args if isinstance(each, Tensor)]
        if kind == "lanes" or not sizes:
            return 4.0
        longest = max((max(each.shape, default=1) for each in args if isinstance(each, Tensor)), default=1)
        if kind == "rows":
            return 4.0 + additions(self.numerics.reduction.order, max(sizes))
        contraction = self.numerics.contraction(self.stored)
        return (
            4.0
            + additions(contraction.order, longest)
            + (math.log2(max(longest, 2)) if kind == "host" else 0)
        )

    def moved(self, value: Any, amount: float) -> Any:
        """A value, or a list of values, each moved by up to `amount` of itself."""
        if isinstance(value, Tensor) and value.dtype is torch.float64 and value.layout is torch.strided:
            noise = torch.rand(value.shape, generator=self.generator, dtype=torch.float64) * 2 - 1
            return value * (1 + amount * noise)
        if isinstance(value, (list, tuple)):
            return type(value)(self.moved(each, amount) for each in value)
        return value

    def rounded(self, value: Any, absolute: float) -> Any:
        """Results moved by up to half a last place of the stored format, in place so that aliases stay.

        The logarithm of a rounded sum is off by an `absolute` amount, however small it is itself.
        """
        for each in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(each, Tensor) and each.dtype is torch.float64 and each.layout is torch.strided:
                noise = torch.rand(each.shape, generator=self.generator, dtype=torch.float64) * 2 - 1
                each.mul_(1 + (self.stored.epsilon / 2 + 2 * self.lane) * noise)
                if absolute:
                    each.add_(noise.roll(1, -1) if noise.dim() else noise, alpha=absolute)
        return value


def additions(order: orders.Order, count: int) -> float:
    """Additions that one element goes through."""
    match order:
        case orders.Sequential():
            return float(count)
        case orders.Tiles(length):
            return min(length, count) + math.ceil(count / length)
        case orders.Tree(width):
            return math.log2(max(min(width, count), 2)) + math.ceil(count / width)
        case orders.Pairwise():
            return math.log2(max(count, 2))
        case orders.Lanes(width):
            return math.ceil(count / width) + math.log2(max(width, 2))


@dataclass(frozen=True, slots=True)
class Case:
    """One operator of ``op_db`` in one format, forward or gradient.

    Args:
        name: as ``op_db`` spells it, with its variant.
        format: the stored format of its samples.
        direction: ``"forward"`` or ``"gradient"``.
        outcome: what came of it.
        reason: the first deviation, or why there is none to see.
        host: aten operators that ran in host order.
    """

    name: str
    format: str
    direction: Literal["forward", "gradient"]
    outcome: Outcome
    reason: str = ""
    host: tuple[str, ...] = ()


def operators(name: str = "") -> list[Any]:
    """``op_db`` of the installed PyTorch, those whose name contains `name`.

    Raises:
        MissingTool: PyTorch's test package needs expecttest.
    """
    try:
        from torch.testing._internal.common_methods_invocations import op_db
    except ImportError as error:
        raise MissingTool(f"conformance numerics: {error}; pip install anychip[conformance]") from None
    return [each for each in op_db if name in each.name]


def check(
    numerics: Numerics,
    dtypes: Iterable[torch.dtype] = (torch.float32, torch.bfloat16),
    *,
    name: str = "",
    samples: int = 4,
    progress: Callable[[Case], None] | None = None,
    entries: Sequence[Any] | None = None,
) -> tuple[Case, ...]:
    """Runs the samples of every operator in a chip's arithmetic; a case per operator, format and direction.

    Args:
        numerics: the chip's.
        dtypes: stored formats.
        name: only operators whose name contains it.
        samples: how many samples of an operator at most.
        progress: told of each case.
        entries: operators instead of ``op_db``'s.
    """
    values = Values(numerics)
    cases: list[Case] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for entry in operators(name) if entries is None else entries:
            for dtype in dtypes:
                for case in examine(entry, dtype, numerics, values, samples):
                    cases.append(case)
                    if progress is not None:
                        progress(case)
    return tuple(cases)


def run(
    *,
    chips: Sequence[str] = (),
    limit: int | None = None,
    jobs: int = 1,
    only: str | None = None,
    samples: int = 2,
) -> Report:
    """The suite in the arithmetic of several chips; each arithmetic runs once.

    Cases that ran in host order are no part of the denominator; each names the operators that made it so.

    Args:
        chips: names from the catalogue; none: fp32, and every arithmetic of the catalogue.
        limit: so many operators, taken evenly; None: all.
        jobs: for the signature that suites share; cases share one process.
        only: operators whose name contains this.
        samples: of an operator at most.

    Raises:
        MissingTool: ``op_db`` needs expecttest.
        UnknownName: no such chip.
    """
    del jobs
    began = time.monotonic()
    entries = operators(only or "")
    step = max(1, len(entries) // limit) if limit else 1
    entries = entries[::step][:limit]
    listed: list[results.Case] = []
    for numerics in arithmetics(chips):
        for case in check(numerics, samples=samples, entries=entries):
            listed.append(_as_result(numerics.name, case))
    versions = results.versions("torch")
    return Report("numerics", versions, tuple(listed), time.monotonic() - began)


def arithmetics(chips: Sequence[str]) -> list[Numerics]:
    """The distinct arithmetics of chips, told by their content; fp32's first where no chip is named.

    Two that differ under one name are named after the chips that have them.
    """
    from anychip.chips import find as chip_of
    from anychip.chips import names

    named = {name: chip_of(name).numerics for name in chips or names()}
    first = [] if chips else [reference()]
    distinct: dict[Numerics, Numerics] = {replace(each, name="", assumed=()): each for each in first}
    for chip, numerics in named.items():
        content = replace(numerics, name="", assumed=())
        if content in distinct:
            continue
        if any(numerics.name == other.name for other in distinct.values()):
            numerics = replace(numerics, name=f"{numerics.name} ({chip})")
        distinct[content] = numerics
    return list(distinct.values())


def _as_result(arithmetic: str, case: Case) -> results.Case:
    """A case as every suite reports it."""
    name = f"{arithmetic} {case.name} {case.format} {case.direction}"
    if case.outcome == "host order":
        return results.Case(name, "excluded", f"host order: {', '.join(case.host)}")
    if case.outcome == "skipped":
        return results.Case(name, "excluded", case.reason)
    return results.Case(name, case.outcome, case.reason)


def examine(
    entry: Any, dtype: torch.dtype, numerics: Numerics, values: Values, samples: int
) -> Iterator[Case]:
    """Forward and gradient of one operator in one format."""
    name = entry.name + (f".{entry.variant_test_name}" if entry.variant_test_name else "")
    format = format_name(dtype)
    if dtype not in entry.supported_dtypes("cpu"):
        return
    for direction in ("forward", "gradient"):
        wants = direction == "gradient"
        if wants and not (entry.supports_autograd and dtype in entry.supported_backward_dtypes("cpu")):
            continue
        if name in _NO_VALUE or entry.name in _NO_VALUE:
            yield Case(name, format, direction, "skipped", "its values are not determined")
            continue
        yield _examined(entry, name, dtype, direction, numerics, values, samples)


def _examined(
    entry: Any,
    name: str,
    dtype: torch.dtype,
    direction: Literal["forward", "gradient"],
    numerics: Numerics,
    values: Values,
    samples: int,
) -> Case:
    format = format_name(dtype)
    stored = by_name(format)
    host: set[str] = set()
    seen = 0
    reason = ""
    torch.manual_seed(0)
    for sample in _samples(entry, dtype, gradient=direction == "gradient", count=samples):
        mode = ChipMode(values)
        try:
            found = _outputs(entry, sample, direction, mode)
            wide = sample.transform(_widened)
            oracle = _outputs(entry, wide, direction, None)
            noisy = [
                _outputs(entry, wide, direction, NoiseMode(numerics, stored, seed))  # pyright: ignore
                for seed in range(_RUNS)
            ]
        except _REFUSALS as error:
            if _cpu_refuses(entry, sample, direction):
                continue
            reason = reason or f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
            host |= mode.host
            seen += 1
            continue
        host |= mode.host
        if oracle is None or found is None:
            continue
        seen += 1
        reason = reason or _difference(found, oracle, noisy, stored)  # pyright: ignore[reportArgumentType]
    if not seen:
        return Case(name, format, direction, "skipped", "no sample that PyTorch takes on a CPU")
    if host:
        return Case(name, format, direction, "host order", reason, tuple(sorted(host)))
    return Case(name, format, direction, "fail" if reason else "pass", reason)


def _samples(entry: Any, dtype: torch.dtype, *, gradient: bool, count: int) -> Iterator[Any]:
    """Some samples of an operator, spread over all that it has."""
    try:
        listed = list(entry.sample_inputs("cpu", dtype, requires_grad=gradient))
    except _REFUSALS:
        return
    step = max(1, len(listed) // count)
    yield from listed[::step][:count]


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().to(torch.float64).requires_grad_(value.requires_grad)
    return (
        torch.float64
        if value in (torch.float32, torch.bfloat16, torch.float16) and isinstance(value, torch.dtype)
        else value
    )


def _outputs(entry: Any, sample: Any, direction: str, mode: TorchDispatchMode | None) -> list[Tensor] | None:
    """Results, or gradients of their (fixed, uneven) weighted sum, as plain tensors."""
    fresh = sample.transform(lambda v: _leaf(v) if isinstance(v, Tensor) else v)
    with mode if mode is not None else torch.enable_grad():
        returned = entry.op(fresh.input, *fresh.args, **fresh.kwargs)
        results = _listed(returned)
        if direction == "forward":
            return [each.detach() for each in results if not each.dtype.is_complex]
        inputs = [
            each
            for each in _listed((fresh.input, fresh.args, tuple(fresh.kwargs.values())))
            if each.requires_grad
        ]
        results = [each for each in results if each.requires_grad and each.is_floating_point()]
        if not results or not inputs:
            return None
        with _disable_current_modes():
            seeds = [_seed(each) for each in results]
        grads = torch.autograd.grad(results, inputs, seeds, allow_unused=True)
    return [each.detach() for each in grads if isinstance(each, Tensor)]  # pyright: ignore


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_(tensor.requires_grad)


def _seed(tensor: Tensor) -> Tensor:
    """Incoming gradients: exact in every format, uneven so that permutations show."""
    ramp = torch.arange(tensor.numel(), dtype=torch.float64) % 7
    return ((ramp - 3) / 4).reshape(tensor.shape).to(tensor.dtype)


def _listed(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in _listed(part)]
    return []


def _cpu_refuses(entry: Any, sample: Any, direction: str) -> bool:
    """Whether PyTorch's own CPU kernels raise too."""
    try:
        _outputs(entry, sample, direction, None)
        _outputs(entry, sample.transform(_widened), direction, None)
    except _REFUSALS:
        return True
    return False


def _difference(
    found: Sequence[Tensor], oracle: Sequence[Tensor], noisy: Sequence[Sequence[Tensor]], stored: Float
) -> str:
    """The first result that is further from the oracle than rounding may drive it; empty if none is."""
    if len(found) != len(oracle):
        return f"{len(found)} results, {len(oracle)} expected"
    for index, (got, want) in enumerate(zip(found, oracle, strict=True)):
        if got.shape != want.shape:
            return f"result {index}: shape {list(got.shape)}, expected {list(want.shape)}"
        if got.layout is not torch.strided or want.layout is not torch.strided or not want.numel():
            continue
        if not want.is_floating_point():
            same = bool((got == want).all()) or any(bool((run[index] != want).any()) for run in noisy)
            if not same:
                return f"result {index}: {int((got != want).sum())} of {want.numel()} integers differ"
            continue
        reason = _too_far(got.double(), want, [run[index] for run in noisy], stored, got.dtype)
        if reason:
            return f"result {index}: {reason}"
    return ""


def _too_far(got: Tensor, want: Tensor, noisy: Sequence[Tensor], stored: Float, dtype: torch.dtype) -> str:
    """Judges one float result element by element."""
    own = by_name(format_name(dtype)) if dtype.is_floating_point else stored
    epsilon = max(stored.epsilon, own.epsilon if isinstance(own, Float) else 0.0)
    spread = torch.zeros_like(want)
    for run in noisy:
        spread = torch.maximum(spread, (run - want).abs())
    unstable = ~spread.isfinite() & want.isfinite()
    allowed = _MARGIN * spread + epsilon * want.abs() + 2 * stored.min_normal * stored.epsilon
    error = (got - want).abs()
    limit = stored.max_finite
    same = (got == want) | (got.isnan() & want.isnan()) | (error <= allowed) | unstable
    same |= got.isinf() & (want.abs() >= limit * (1 - epsilon)) & (got.sign() == want.sign())
    if bool(same.all()):
        return ""
    worst = int((error / allowed.clamp(min=1e-300)).nan_to_num(math.inf).where(~same, 0.0).argmax())
    return (
        f"{float(got.reshape(-1)[worst]):.9g}, expected {float(want.reshape(-1)[worst]):.9g} "
        f"within {float(allowed.reshape(-1)[worst]):.2g} ({int((~same).sum())} of {want.numel()} elements)"
    )
