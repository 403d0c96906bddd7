"""Code that cannot exist on another chip: one message that names the user's line and what to do instead."""

from __future__ import annotations

import traceback
from types import TracebackType

from anychip.errors import NotModelled
from anychip.frontends.torch.places import classify

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
        f"{_line(error.__traceback__, script)}: {package}: {what}, and none is here; {instead}"
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


def _line(trace: TracebackType | None, script: str) -> str:
    line = script
    for frame, number in traceback.walk_tb(trace):
        if classify(frame.f_code) == 1:
            line = f"{frame.f_code.co_filename}:{number}"
    return line


def refuse_extensions() -> None:
    """``torch.utils.cpp_extension.load`` of CUDA sources says so before a compiler is looked for."""
    import torch.utils.cpp_extension as extension

    plain_load, plain_inline = extension.load, extension.load_inline

    def load(name: str, sources: object, *args: object, **kwargs: object) -> object:
        given = [sources] if isinstance(sources, str) else list(sources)  # pyright: ignore
        if any(str(source).endswith((".cu", ".cuh")) for source in given) or kwargs.get("with_cuda"):
            raise CannotExistHere(
                f"extension {name}: CUDA sources run on NVIDIA's GPUs only; use PyTorch operators instead"
            )
        return plain_load(name, sources, *args, **kwargs)  # pyright: ignore

    def load_inline(name: str, *args: object, **kwargs: object) -> object:
        if kwargs.get("cuda_sources") or kwargs.get("with_cuda"):
            raise CannotExistHere(
                f"extension {name}: CUDA sources run on NVIDIA's GPUs only; use PyTorch operators instead"
            )
        return plain_inline(name, *args, **kwargs)  # pyright: ignore

    extension.load = load
    extension.load_inline = load_inline
