"""Code that cannot exist on another chip: one message that names the user's line and what to do instead."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType

import torch

from anychip.errors import NotModelled
from anychip.frontends.torch.places import classify, user_line

#: Package to (what it is, the alternative).
ABSENT = {
    "triton": (
        "kernels written in Triton are compiled for GPUs",
        "call the PyTorch operators that the kernel replaces, e.g. behind `if not HAS_TRITON`",
    ),
    "flash_attn": (
        "flash-attn is a CUDA extension",
        'use torch.nn.functional.scaled_dot_product_attention or attn_implementation="sdpa"',
    ),
    "bitsandbytes": (
        "bitsandbytes is a CUDA extension",
        "load the model in bfloat16 and choose the chip's arithmetic with --numerics",
    ),
    "xformers": (
        "xformers is a CUDA extension",
        "use torch.nn.functional.scaled_dot_product_attention",
    ),
    "apex": ("apex is a CUDA extension", "use torch.autocast and torch.optim"),
    "transformer_engine": ("Transformer Engine is a CUDA extension", "use torch.nn and torch.autocast"),
    "cupy": ("CuPy is a CUDA extension", "use torch or NumPy"),
    "mamba_ssm": (
        "mamba-ssm is a CUDA extension",
        "write the scan in PyTorch operators, as transformers does",
    ),
    "causal_conv1d": ("causal-conv1d is a CUDA extension", "use torch.nn.functional.conv1d"),
    "vllm": ("vLLM compiles CUDA kernels", "use generate of transformers, or `anychip choose --model`"),
    "tensorrt": ("TensorRT compiles for NVIDIA's GPUs", "run the PyTorch model itself"),
    "torch_tensorrt": ("TensorRT compiles for NVIDIA's GPUs", "run the PyTorch model itself"),
    "pynvml": ("NVIDIA's driver is not here to be asked", "read time, power and energy in the report"),
    "liger_kernel": ("Liger's kernels are written in Triton", "use the layers of transformers"),
    "sageattention": (
        "SageAttention is a CUDA extension",
        "use torch.nn.functional.scaled_dot_product_attention",
    ),
    "pycuda": ("PyCUDA drives GPUs directly", "use PyTorch operators"),
    "deepspeed": ("DeepSpeed compiles CUDA extensions", "use torch.optim and torch.distributed"),
    "nki": ("NKI kernels are compiled by the Neuron compiler", "use PyTorch operators"),
    "neuronxcc": ("the Neuron compiler is not installed here", "use PyTorch operators"),
}


class CannotExistHere(NotModelled, ImportError):
    """The script uses code for one particular accelerator."""


def explain(error: BaseException, script: str) -> CannotExistHere | None:
    """The one message for an error that comes from such code; None for any other error.

    Args:
        error: what the script raised.
        script: its path, named where no better line is known.
    """
    package = _package(error)
    if package is None:
        return None
    what, instead = ABSENT[package]
    return CannotExistHere(
        f"{line_of(error.__traceback__, script)}: {package}: {what}, and none is here; {instead}"
    )


def _package(error: BaseException) -> str | None:
    if isinstance(error, ImportError):
        root = (error.name or "").partition(".")[0]
        if root in ABSENT:
            return root
        text = str(error).lower().replace("flashattention2", "flash_attn").replace("flash-attn", "flash_attn")
        return next((package for package in ABSENT if package in text), None)
    frame = error.__traceback__
    while frame is not None:
        name = str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if name in ABSENT:
            return name
        frame = frame.tb_next
    return None


def line_of(trace: TracebackType | None, script: str) -> str:
    """The innermost line of the user's that an error passed; the script's name where there is none."""
    line = script
    for frame, number in traceback.walk_tb(trace):
        if classify(frame.f_code) == 1:
            line = f"{frame.f_code.co_filename}:{number}"
    return line


def _refused(what: str) -> CannotExistHere:
    """The error of CUDA source that the script hands over; names its line."""
    code, line = user_line(sys._getframe(2))  # pyright: ignore[reportPrivateUsage]
    where = "" if code is None else f"{code.co_filename}:{line}: "
    return CannotExistHere(
        f"{where}{what}: CUDA sources run on NVIDIA's GPUs only; use PyTorch operators instead"
    )


def refuse_extensions() -> None:
    """CUDA sources that PyTorch is asked to compile are refused before a compiler is looked for."""
    import torch.cuda.jiterator as jiterator
    import torch.utils.cpp_extension as extension

    def compile_kernel(kernel_source: str, kernel_name: str, *args: object, **kwargs: object) -> object:
        raise _refused(f"kernel {kernel_name}")

    def create(code_string: str, *args: object, **kwargs: object) -> object:
        raise _refused("torch.cuda.jiterator")

    torch.cuda._compile_kernel = compile_kernel  # pyright: ignore
    jiterator._create_jit_fn = jiterator._create_multi_output_jit_fn = create  # pyright: ignore

    plain_load, plain_inline = extension.load, extension.load_inline

    def load(name: str, sources: object, *args: object, **kwargs: object) -> object:
        given = [sources] if isinstance(sources, str) else list(sources)  # pyright: ignore
        if any(str(source).endswith((".cu", ".cuh")) for source in given) or kwargs.get("with_cuda"):
            raise _refused(f"extension {name}")
        return plain_load(name, sources, *args, **kwargs)  # pyright: ignore

    def load_inline(name: str, *args: object, **kwargs: object) -> object:
        if kwargs.get("cuda_sources") or kwargs.get("with_cuda"):
            raise _refused(f"extension {name}")
        return plain_inline(name, *args, **kwargs)  # pyright: ignore

    extension.load = load
    extension.load_inline = load_inline
