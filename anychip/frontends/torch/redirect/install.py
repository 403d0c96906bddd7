"""The list of what is redirected."""

from __future__ import annotations

import torch

from anychip.frontends.torch.device import install as install_device
from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.redirect import (
    absent,
    compiled,
    cuda,
    distributed,
    precision,
    processes,
    tensors,
    torchscript,
    xla,
)
from anychip.frontends.torch.redirect.face import Face
from anychip.frontends.torch.serialization import LOCATIONS

_installed = False


def redirect(face: Face) -> None:
    """From now on ``cuda`` (``xla``, ``neuron``) means the simulated chip, in this whole process.

    Later calls only exchange what the chip looks like.

    Args:
        face: the chip as the script sees it.
    """
    global _installed
    install_device()
    if _installed:
        cuda.install(face)
        return
    _installed = True
    DEVICE.shown = torch.device("cuda", 0)
    LOCATIONS.extend(["cuda", "xla"])
    tensors.install()
    cuda.install(face)
    precision.install()
    compiled.install()
    distributed.install()
    torchscript.install()
    xla.install()
    processes.install(face)
    absent.refuse_extensions()
