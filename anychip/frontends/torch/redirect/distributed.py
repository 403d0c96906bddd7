"""A script that starts ``nccl`` gets ``gloo``; one that splits batches over devices finds one device."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch.nn.parallel import scatter_gather

from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.redirect.names import REDIRECTED, here, replace, translate
from anychip.frontends.torch.tensor import DEVICE_TYPE


def _backend(name: Any) -> Any:
    if isinstance(name, str) and ("nccl" in name or name.lower() in ("xla", "neuron")):
        return "gloo"
    return name


def _draw_from_the_host() -> None:
    """Random operators of distributed tensors leave the generator alone: it is the host's, not Philox."""
    from torch.distributed.tensor import _random

    class Tracker(_random.OffsetBasedRNGTracker):
        def __init__(self, device_mesh: Any, run_state_sync: bool = True) -> None:
            super().__init__(device_mesh, run_state_sync=False)
            self.distribute_region_enabled = False

    if _random.OffsetBasedRNGTracker.__name__ != Tracker.__name__:
        replace(_random, OffsetBasedRNGTracker=Tracker)


class _FirstBuckets:
    """A reducer of gradients that keeps the buckets it began with.

    PyTorch makes them anew once it saw in which order gradients come, and asks the other members for theirs:
    a tensor of indices goes to the device and back, which without values tells nothing.
    """

    def __init__(self, reducer: Any) -> None:
        self._reducer = reducer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reducer, name)

    def _rebuild_buckets(self) -> bool:
        return False


class _Scatter:
    """`torch.nn.DataParallel` over one device: the whole batch goes there."""

    @staticmethod
    def apply(devices: Any, chunk_sizes: Any, dim: int, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(each.to(here()) for each in inputs)


class _Gather:
    """What one device gave, as it is."""

    @staticmethod
    def apply(device: Any, dim: int, *outputs: torch.Tensor) -> torch.Tensor:
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim)


def install() -> None:
    """Puts it in force; process groups where PyTorch was built with collectives."""
    import torch.distributed as distributed

    replace(scatter_gather, Scatter=_Scatter, Gather=_Gather)

    if not distributed.is_available():
        return
    import torch.distributed.distributed_c10d as c10d

    init, group = c10d.init_process_group, c10d.new_group
    for device in (DEVICE_TYPE, *REDIRECTED):  # for meshes of devices, which name no backend
        c10d.Backend.default_device_backend_map[device] = "gloo"

    def init_process_group(backend: Any = None, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("device_id", None)
        _draw_from_the_host()
        return init(_backend(backend) or "gloo", *args, **kwargs)

    def new_group(*args: Any, **kwargs: Any) -> Any:
        if "backend" in kwargs:
            kwargs["backend"] = _backend(kwargs["backend"])
        return group(*args, **kwargs)

    device_mesh: Any = distributed.device_mesh
    plain_mesh = device_mesh.init_device_mesh

    def init_device_mesh(device_type: str, *args: Any, **kwargs: Any) -> Any:
        # Sharding compares a mesh's device with those that parameters show.
        return plain_mesh(DEVICE.shown.type if device_type == DEVICE_TYPE else device_type, *args, **kwargs)

    replace(device_mesh, init_process_group=init_process_group, init_device_mesh=init_device_mesh)
    replace(distributed, init_device_mesh=init_device_mesh)
    owners: tuple[Any, ...] = (distributed, c10d)
    for owner in owners:
        owner.init_process_group = init_process_group
        owner.new_group = new_group
        owner.is_nccl_available = lambda: True
    # One process agrees with itself; without values its parameters could not be compared.
    replace(
        import_module("torch.nn.parallel.distributed"),
        _verify_param_shape_across_processes=lambda *args: True,
    )
    parallel: Any = torch.nn.parallel.DistributedDataParallel
    plain = parallel.__init__

    def __init__(  # noqa: N807
        self: Any, module: Any, device_ids: Any = None, output_device: Any = None, **kwargs: Any
    ) -> None:
        for device in device_ids or ():
            translate(device)
        plain(self, module, **kwargs)
        if device_ids:  # then a batch on the host is moved by the forward pass
            self.device_ids, self.device_type = [0], DEVICE_TYPE
            self.use_side_stream_for_tensor_copies = False
        needs_map = self.find_unused_parameters and not self.static_graph
        if DEVICE.inner_device.type == "meta":
            self.reducer = _FirstBuckets(self.reducer)
        if needs_map:
            # Its map of used parameters lies in pinned memory, which no device from outside PyTorch offers.
            # In one process gradients are whole without it: nothing is reduced, as inside `no_sync`.
            self.require_backward_grad_sync = False

    parallel.__init__ = __init__
