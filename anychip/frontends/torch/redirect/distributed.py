"""A script that starts ``nccl`` gets ``gloo``: processes on this host compute the right sums."""

from __future__ import annotations

from typing import Any

import torch

from anychip.frontends.torch.redirect.names import translate


def _backend(name: Any) -> Any:
    if isinstance(name, str) and ("nccl" in name or name.lower() in ("xla", "neuron")):
        return "gloo"
    return name


def install() -> None:
    """Puts it in force, where PyTorch was built with collectives."""
    import torch.distributed as distributed

    if not distributed.is_available():
        return
    import torch.distributed.distributed_c10d as c10d

    init, group = c10d.init_process_group, c10d.new_group

    def init_process_group(backend: Any = None, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("device_id", None)
        return init(_backend(backend) or "gloo", *args, **kwargs)

    def new_group(*args: Any, **kwargs: Any) -> Any:
        if "backend" in kwargs:
            kwargs["backend"] = _backend(kwargs["backend"])
        return group(*args, **kwargs)

    owners: tuple[Any, ...] = (distributed, c10d)
    for owner in owners:
        owner.init_process_group = init_process_group
        owner.new_group = new_group
        owner.is_nccl_available = lambda: True
    parallel: Any = torch.nn.parallel.DistributedDataParallel
    plain = parallel.__init__

    def __init__(  # noqa: N807
        self: Any, module: Any, device_ids: Any = None, output_device: Any = None, **kwargs: Any
    ) -> None:
        for device in device_ids or ():
            translate(device)
        plain(self, module, **kwargs)

    parallel.__init__ = __init__
