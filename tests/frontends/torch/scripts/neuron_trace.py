"""A script for Neuron: traced, saved, loaded, replicated; runs only where torch_neuronx is answered for."""

import os
import tempfile

import torch

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 2)).eval()
example = torch.randn(3, 4)
try:
    import torch_neuronx
except ImportError:
    traced = loaded = several = model
else:
    traced = torch_neuronx.trace(model, example, compiler_args="--auto-cast none")
    path = os.path.join(tempfile.mkdtemp(), "model.pt")
    torch.jit.save(traced, path)
    loaded = torch.jit.load(path)
    torch_neuronx.async_load(loaded)
    several = torch_neuronx.DataParallel(loaded)
with torch.no_grad():
    for run in (traced, loaded, several):
        outputs = run(example)
        print(outputs.device, [round(value, 3) for value in outputs.flatten().tolist()])
