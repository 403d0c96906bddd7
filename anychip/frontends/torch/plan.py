"""What one aten overload means for the device: which arguments it writes, what its results alias.

Read once from the operator's schema, so that a call costs a dictionary lookup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any

import torch

from anychip.programs.graph import Attribute

#: Operators whose results share memory with an argument although the schema does not say so.
_UNDECLARED_VIEWS = frozenset(
    {
        "aten::_unsafe_view",
        "aten::unsafe_split",
        "aten::unsafe_split_with_sizes",
        "aten::unsafe_chunk",
        "aten::lift_fresh",
        "aten::_reshape_alias",
    }
)
#: Operators that only allocate: they read and write nothing.
_ALLOCATIONS = frozenset(
    {
        "aten::empty",
        "aten::empty_strided",
        "aten::empty_like",
        "aten::new_empty",
        "aten::new_empty_strided",
        "aten::empty_permuted",
        "aten::empty_quantized",
    }
)
#: Operators that may mix host and device tensors, as they may on other accelerators.
_HOST_TENSORS_WELCOME = frozenset(
    {
        "aten::index",
        "aten::index_put",
        "aten::index_put_",
        "aten::_index_put_impl_",
        "aten::_unsafe_index",
        "aten::_unsafe_index_put",
        "aten::set_",
        "aten::_foreach_copy_",
        "aten::_nested_view_from_jagged",
        "aten::_nested_view_from_jagged_copy",
        "aten::_pack_padded_sequence",
        "aten::_pack_padded_sequence_backward",
        "aten::_pad_packed_sequence",
        "aten::_cudnn_rnn_flatten_weight",
        "aten::tensor_split",
        "aten::ctc_loss",
        "aten::_ctc_loss",
        "aten::_ctc_loss_backward",
        "aten::resize_as_",
        "aten::_has_compatible_shallow_copy_type",
        "aten::bincount",
        "aten::repeat_interleave",
        "aten::_foreach_add_",
        "aten::_foreach_mul_",
        "aten::_foreach_div_",
        "aten::_foreach_sub_",
        "aten::_amp_foreach_non_finite_check_and_unscale_",
    }
)
#: Operators whose result's extents depend on values: an accelerator's host waits for them.
_HOST_NEEDS_EXTENT = frozenset(
    {
        "aten::nonzero",
        "aten::masked_select",
        "aten::_unique",
        "aten::_unique2",
        "aten::unique_dim",
        "aten::unique_consecutive",
        "aten::unique_dim_consecutive",
        "aten::repeat_interleave",
        "aten::bincount",
    }
)
#: Operators of every training step that PyTorch offers as methods of tensors alone.
_METHODS = frozenset(("copy_", "expand", "new_empty_strided"))
_indices = count()


class _Tensor:
    """Stands for a tensor in a skeleton."""

    def __repr__(self) -> str:
        return "tensor"


TENSOR = _Tensor()


class Keyword(tuple[str, Any]):
    """An argument given by keyword in a skeleton: (name, entry)."""

    __slots__ = ()


def canonical(value: Any) -> Attribute:
    """An argument as data that prints the same in every process."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return tuple(canonical(each) for each in value)
    if isinstance(value, torch.dtype):
        return format_name(value)
    if isinstance(value, (torch.layout, torch.memory_format)):
        return str(value).removeprefix("torch.")
    if isinstance(value, torch.device):
        return "device"
    if isinstance(value, complex):
        return ("complex", value.real, value.imag)
    return type(value).__name__


FORMATS: dict[torch.dtype, str] = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
}


def format_name(dtype: torch.dtype) -> str:
    """The name that anychip's formats have for an element type."""
    name = FORMATS.get(dtype)
    return name if name is not None else str(dtype).removeprefix("torch.").replace("float8", "fp8")


class Plan:
    """How to call one overload.

    Attributes:
        operator: the overload.
        host: PyTorch's own implementation, without the overload's Python frame.
        name: as Graphs spell it, ``"aten.add.Tensor"``.
        index: number of this plan, for keys.
        is_view: every result shows memory of the first argument.
        is_allocation: the call makes memory and fills nothing.
        written: positions of arguments that the call writes.
        written_names: their names, for those given by keyword.
        in_place: the first argument alone is written, keeps its geometry, and is the result.
        returned: for each result the position of the argument it *is*, or -1 for a fresh one.
        welcomes_host: host tensors may be mixed in.
        needs_extent: the host has to wait for the result's extents.
        changes_geometry: an argument's own shape or strides are changed.
        resizes: an argument may have another shape afterwards, as those given for results.
        override: replaces evaluation of the whole call.
        defaults: canonical default of the arguments that have one.
        kernel: computes plain tensors from plain tensors.
    """

    __slots__ = (
        "arguments",
        "changes_geometry",
        "defaults",
        "host",
        "in_place",
        "index",
        "is_allocation",
        "is_view",
        "kernel",
        "name",
        "needs_extent",
        "operator",
        "override",
        "resizes",
        "returned",
        "welcomes_host",
        "written",
        "written_names",
    )

    def __init__(self, operator: Any) -> None:
        schema = operator._schema
        base = schema.name
        self.operator = operator
        self.host: Callable[..., Any] = _binding(schema) or operator._op
        self.name = f"{base.replace('::', '.')}.{schema.overload_name or 'default'}"
        self.index = next(_indices)
        self.arguments = tuple(argument.name for argument in schema.arguments)
        aliased = [result.alias_info for result in schema.returns]
        self.is_view = base in _UNDECLARED_VIEWS or (
            bool(aliased) and all(alias is not None and not alias.is_write for alias in aliased)
        )
        self.is_allocation = base in _ALLOCATIONS
        self.written = tuple(
            position
            for position, argument in enumerate(schema.arguments)
            if argument.alias_info is not None and argument.alias_info.is_write
        )
        self.written_names = tuple(self.arguments[position] for position in self.written)
        self.returned = tuple(
            -1 if alias is None or not alias.is_write else self._source(schema, alias) for alias in aliased
        )
        self.welcomes_host = base in _HOST_TENSORS_WELCOME
        self.needs_extent = base in _HOST_NEEDS_EXTENT
        self.changes_geometry = torch.Tag.inplace_view in operator.tags or base in (
            "aten::resize_",
            "aten::resize_as_",
            "aten::set_",
        )
        self.resizes = self.changes_geometry or any(
            schema.arguments[position].kwarg_only for position in self.written
        )
        self.in_place = self.written == (0,) == self.returned and not self.changes_geometry
        self.defaults = {
            argument.name: canonical(argument.default_value)
            for argument in schema.arguments
            if argument.has_default_value()
        }
        self.override: Callable[..., Any] | None = _override_of_namespace.get(base.partition("::")[0])
        if self.override is None and _is_composite(operator.name()):
            self.override = _decomposed
        self.kernel: Callable[..., Any] | None = None

    def _source(self, schema: Any, alias: Any) -> int:
        for position in self.written:
            if schema.arguments[position].alias_info.before_set & alias.before_set:
                return position
        return -1


@cache
def _overloads() -> Counter[str]:
    """How many overloads each operator has, those aside that write results into arguments."""
    return Counter(
        name.partition(".")[0]
        for name in torch._C._dispatch_get_all_op_names()  # pyright: ignore
        if not name.endswith("out")
    )


def _binding(schema: Any) -> Callable[..., Any] | None:
    """PyTorch's Python function of an operator, where nothing else can be meant by it.

    It reads arguments faster than the overload does by its schema. That holds where an operator has a
    single overload, and for lists, whose overloads differ in what stands beside the first list. Left out
    are operators with a `reduction`, whose default is another than the schema says, and those that take
    None among tensors of a list. Of operators without results it returns arguments, which nobody reads.
    """
    namespace, _, name = schema.name.partition("::")
    if namespace != "aten" or schema.overload_name.endswith("out"):
        return None
    if _overloads()[schema.name] != 1 and not name.startswith("_foreach_"):
        return None
    if any(each.name == "reduction" or "Optional[Tensor]]" in str(each.type) for each in schema.arguments):
        return None
    if name in _METHODS:
        return getattr(torch._C.TensorBase, name)  # pyright: ignore
    for functions in (torch._C._VariableFunctions, torch._C._nn):  # pyright: ignore
        found = getattr(functions, name, None)
        if found is not None:
            return found
    return None


#: By identity, since an overload's own hash is a Python call; each plan keeps its overload.
_plans: dict[int, Plan] = {}


def _is_composite(name: str) -> bool:
    """Whether PyTorch itself writes the operator with others."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")  # pyright: ignore


def _decomposed(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The operators that it is written with; autograd sees to that, except in inference mode."""
    return plan.operator.decompose(*args, **kwargs)


#: Evaluation of all operators of a namespace.
_override_of_namespace: dict[str, Callable[..., Any]] = {}


def override_namespace(namespace: str, override: Callable[..., Any]) -> None:
    """All operators of a namespace are evaluated by `override` from now on."""
    _override_of_namespace[namespace] = override


def plan_of(operator: Any) -> Plan:
    """The plan of an overload; made at its first call."""
    plan = _plans.get(id(operator))
    if plan is None:
        plan = _plans[id(operator)] = Plan(operator)
    return plan


def forget_kernels() -> None:
    """Another arithmetic is in force: kernels are chosen anew."""
    for plan in _plans.values():
        plan.kernel = None
