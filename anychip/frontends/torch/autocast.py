"""Automatic mixed precision with the operator lists of CUDA.

Which operators run in the lower precision, which in fp32 and which in the widest of their operands is part of
what a CUDA script means; the CPU's lists are others (softmax and layer_norm stay in bf16 there).

Source: ATen/autocast_mode.h as shipped with torch 2.13, AT_FORALL_LOWER_PRECISION_FP, AT_FORALL_FP32,
AT_FORALL_FP32_SET_OPT_DTYPE, AT_FORALL_DIFFERENT_REDISPATCH_SIGNATURE, AT_FORALL_PROMOTE; the tests compare
these lists with that header.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from anychip.frontends.torch.tensor import DEVICE_TYPE

_LOWER_PRECISION = """_convolution.deprecated _convolution conv1d conv2d conv3d conv_tbc conv_transpose1d
    conv_transpose2d.input conv_transpose3d.input convolution prelu addmm addmv addr matmul einsum mm mv
    linalg_vecdot linear addbmm baddbmm bmm chain_matmul linalg_multi_dot _thnn_fused_lstm_cell
    _thnn_fused_gru_cell lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell _scaled_dot_product_flash_attention
    scaled_dot_product_attention"""
_FP32 = """acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow.Tensor_Scalar
    pow.Tensor_Tensor pow.Scalar softplus layer_norm native_layer_norm rms_norm group_norm
    frobenius_norm.dim nuclear_norm nuclear_norm.dim cosine_similarity poisson_nll_loss
    cosine_embedding_loss nll_loss nll_loss2d hinge_embedding_loss kl_div l1_loss smooth_l1_loss huber_loss
    mse_loss margin_ranking_loss multilabel_margin_loss soft_margin_loss triplet_margin_loss
    multi_margin_loss binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp upsample_nearest1d
    _upsample_nearest_exact1d upsample_nearest2d _upsample_nearest_exact2d upsample_nearest3d
    _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d _upsample_bilinear2d_aa
    upsample_trilinear3d upsample_bicubic2d _upsample_bicubic2d_aa"""
_FP32_RESULT = """prod prod.dim_int softmax.int log_softmax.int cumprod cumsum linalg_vector_norm
    linalg_matrix_norm linalg_matrix_norm.str_ord sum sum.dim_IntList"""
_FP32_RESULT_APPENDED = "norm.Scalar norm.ScalarOpt_dim"
_WIDEST = "addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot scatter_add"

LOWER_PRECISION = frozenset(_LOWER_PRECISION.split())
FP32 = frozenset(_FP32.split())
FP32_RESULT = frozenset(_FP32_RESULT.split())
FP32_RESULT_APPENDED = frozenset(_FP32_RESULT_APPENDED.split())
WIDEST = frozenset(_WIDEST.split())
BANNED = frozenset({"binary_cross_entropy"})

_KEY = torch._C.DispatchKey.AutocastPrivateUse1  # pyright: ignore
_WITHOUT_AUTOCAST = torch._C.DispatchKeySet(_KEY)  # pyright: ignore
_Excluded = torch._C._ExcludeDispatchKeyGuard  # pyright: ignore

#: Casts of leaf tensors, kept until the outermost autocast region ends, as CUDA keeps them; by the
#: identity of the tensor, which the entry keeps alive.
_casts: dict[tuple[int, torch.dtype], tuple[torch.Tensor, torch.Tensor]] = {}
_original_clear_cache = torch.clear_autocast_cache


def _clear_cache() -> None:
    _casts.clear()
    _original_clear_cache()


def _eligible(value: Any) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.dtype is not torch.float64
        and value.device.type != "cpu"
    )


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, torch.Tensor):
        if not _eligible(value) or value.dtype is dtype:
            return value
        if not (
            value.dtype is torch.float32
            and value.requires_grad
            and value.is_leaf
            and not value._is_view()  # pyright: ignore
            and torch.is_autocast_cache_enabled()
            and torch.is_grad_enabled()
        ):
            return value.to(dtype)
        key = (id(value), dtype)
        if key not in _casts:
            _casts[key] = (value, value.to(dtype))
        return _casts[key][1]
    if isinstance(value, (list, tuple)):
        return type(value)([_cast(each, dtype) for each in value])
    return value


def _tensors(values: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found


def _in_dtype(operator: Any, dtype_of: Callable[[Any], torch.dtype | None]) -> Callable[..., Any]:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        with _Excluded(_WITHOUT_AUTOCAST):
            dtype = dtype_of((*args, *kwargs.values()))
            if dtype is not None:
                args = tuple(_cast(each, dtype) for each in args)
                kwargs = {name: _cast(each, dtype) for name, each in kwargs.items()}
            return operator(*args, **kwargs)

    return kernel


def _lower_precision(values: Any) -> torch.dtype:
    return torch.get_autocast_dtype(DEVICE_TYPE)


def _fp32(values: Any) -> torch.dtype:
    return torch.float32


def _widest(values: Any) -> torch.dtype | None:
    dtypes = {each.dtype for each in _tensors(values) if _eligible(each)}
    return torch.float32 if torch.float32 in dtypes else None


def _fp32_result(operator: Any, *, appended: bool) -> Callable[..., Any]:
    """Operators with an argument ``dtype``: it becomes fp32 if the caller left it open."""
    arguments = [argument.name for argument in operator._schema.arguments]
    target = operator
    if appended:
        target = torch.ops.aten.norm.ScalarOpt_dtype
        if operator._schema.overload_name == "ScalarOpt_dim":
            target = torch.ops.aten.norm.ScalarOpt_dim_dtype

    def kernel(*args: Any, **kwargs: Any) -> Any:
        with _Excluded(_WITHOUT_AUTOCAST):
            if not args or not _eligible(args[0]):
                return operator(*args, **kwargs)
            given = kwargs.get("dtype")
            if "dtype" in arguments and given is None:
                position = arguments.index("dtype")
                given = args[position] if position < len(args) else None
            if given is None:
                if "dtype" in arguments and arguments.index("dtype") < len(args):
                    position = arguments.index("dtype")
                    args = (*args[:position], torch.float32, *args[position + 1 :])
                else:
                    kwargs = {**kwargs, "dtype": torch.float32}
            return target(*args, **kwargs)

    return kernel


def _banned(operator: Any) -> Callable[..., Any]:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast; use "
            "binary_cross_entropy_with_logits or BCEWithLogitsLoss in place of a sigmoid followed by them"
        )

    return kernel


def _overload(name: str) -> Any:
    base, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, base), overload or "default")


def register(libraries: list[Any]) -> None:
    """Puts the lists in force for the device."""
    fallback = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    fallback.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    library = torch.library.Library("aten", "IMPL")
    libraries += [fallback, library]
    kernels: list[tuple[frozenset[str], Callable[[Any], Callable[..., Any]]]] = [
        (LOWER_PRECISION, lambda operator: _in_dtype(operator, _lower_precision)),
        (FP32, lambda operator: _in_dtype(operator, _fp32)),
        (FP32_RESULT, lambda operator: _fp32_result(operator, appended=False)),
        (FP32_RESULT_APPENDED, lambda operator: _fp32_result(operator, appended=True)),
        (WIDEST, lambda operator: _in_dtype(operator, _widest)),
        (BANNED, _banned),
    ]
    for names, kernel_for in kernels:
        for name in sorted(names):
            operator = _overload(name)
            library.impl(operator, kernel_for(operator), "AutocastPrivateUse1")
    torch.clear_autocast_cache = _clear_cache
