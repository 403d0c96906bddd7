"""A prefetcher on a side stream, PyTorch's profiler, the compiler's tracer, settings below torch.cuda."""

import pickle
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

torch.manual_seed(0)
cuda = torch.cuda.is_available()
device = "cuda" if cuda else "cpu"
model = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 4)).to(device)
batches = [torch.randn(4, 8) for _ in range(3)]


def prefetched():
    side = torch.cuda.Stream(priority=-1) if cuda else None
    for batch in batches:
        if side is None:
            yield batch
            continue
        with torch.cuda.stream(side):
            batch = batch.pin_memory().to(device, non_blocking=True)
        torch.cuda.current_stream().wait_stream(side)
        batch.record_stream(torch.cuda.current_stream())
        yield batch


activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if cuda else [])
with profile(activities=activities, record_shapes=True) as traced:
    for batch in prefetched():
        with record_function("a_forward_pass"):
            print(f"{model(batch).sum().item():.4f}")
        traced.step()
print("a_forward_pass" in traced.key_averages().table(sort_by="self_cuda_time_total", row_limit=-1))
with torch.autograd.profiler.emit_nvtx(enabled=cuda):
    model(batches[0].to(device))

torch._dynamo.reset()
exported = torch.export.export(model.eval(), (batches[0].to(device),))
print(f"{exported.module()(batches[1].to(device)).sum().item():.4f}")


@torch.jit.script
def moved(x: torch.Tensor):
    return x - 0.5


@torch.jit.script
class Shift:
    def __init__(self, by: float):
        self.by = by

    def plus(self, x: torch.Tensor):
        return moved(x) + self.by


print(Shift(2.0).plus(torch.ones(2, device=device)).tolist())
if cuda:
    side = torch.Stream(device="cuda")
    assert isinstance(side, torch.cuda.Stream) and isinstance(torch.cuda.Event(), torch.Event)
    assert side.device == torch.device("cuda", 0) and side != torch.cuda.current_stream()
    ends = [torch.Event(device="cuda", enable_timing=True) for _ in range(2)]
    ends[0].record(side)
    model(batches[0].cuda())
    ends[1].record()
    assert ends[0].elapsed_time(ends[1]) >= 0.0
    assert type(torch.Stream(device="cpu")) is not type(side)
    torch.cuda.cudart().cudaProfilerStart()
    torch.cuda.profiler.stop()
    torch.cuda.set_sync_debug_mode("warn")
    assert torch.cuda.get_sync_debug_mode() == 1
    torch.backends.cudnn.benchmark_limit = 4
    assert torch.backends.cudnn.benchmark_limit == 4
    torch.backends.cuda.cufft_plan_cache[0].max_size = 8
    torch.backends.cuda.preferred_linalg_library("magma")
    torch.cuda.set_per_process_memory_fraction(0.5)
    assert torch.cuda.get_per_process_memory_fraction() == 0.5
    torch.cuda.memory._record_memory_history(max_entries=100)
    held = torch.zeros(1000, device="cuda")
    snapshot = Path(tempfile.mkdtemp()) / "memory.pickle"
    torch.cuda.memory._dump_snapshot(str(snapshot))
    sizes = [segment["total_size"] for segment in pickle.loads(snapshot.read_bytes())["segments"]]
    assert held.nbytes in sizes and sum(sizes) == torch.cuda.memory_allocated()
    nested = torch.cuda.memory_stats_as_nested_dict()
    assert nested["allocated_bytes"]["all"]["current"] == torch.cuda.memory_allocated()
    with torch.cuda.use_mem_pool(torch.cuda.MemPool()):
        assert torch.accelerator.get_device_capability()["supported_dtypes"] >= {torch.float16}
