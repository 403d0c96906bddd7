"""Vision transformer inference on a GPU, half precision, as a CUDA-only script.

    python classify_vit.py --batches 3

There is no CPU branch here: the script says `.cuda()` and `.half()` and needs an accelerator. Images and
weights are synthetic, from a seed.
"""

import argparse

import torch
from transformers import ViTConfig, ViTForImageClassification

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--batches", type=int, default=2)
parser.add_argument("--layers", type=int, default=12)
parser.add_argument("--width", type=int, default=192, help="192 is ViT-Ti, 768 is ViT-B")
parser.add_argument("--heads", type=int, default=3)
parser.add_argument("--image", type=int, default=224)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

torch.manual_seed(args.seed)
torch.backends.cuda.matmul.allow_tf32 = True
config = ViTConfig(
    hidden_size=args.width,
    num_hidden_layers=args.layers,
    num_attention_heads=args.heads,
    intermediate_size=4 * args.width,
    image_size=args.image,
    num_labels=1000,
)
model = ViTForImageClassification(config).cuda().half().eval()
print(f"{torch.cuda.get_device_name()}: {model.num_parameters() / 1e6:.1f} M parameters")

copies = torch.cuda.Stream()
start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
entropies = []
start.record()
with torch.inference_mode():
    for _ in range(args.batches):
        host = torch.randn(args.batch, 3, args.image, args.image).half().pin_memory()
        with torch.cuda.stream(copies):
            images = host.cuda(non_blocking=True)
        torch.cuda.current_stream().wait_stream(copies)
        probabilities = model(images).logits.float().softmax(-1)
        entropies.append(-(probabilities * probabilities.log()).sum(-1).mean())
end.record()
torch.cuda.synchronize()

milliseconds = start.elapsed_time(end)
rate = 1e3 * args.batch * args.batches / milliseconds
print(f"{milliseconds / args.batches:.3f} ms per batch, {rate:.1f} images/s")
print(f"entropy {torch.stack(entropies).mean().item():.4f} nats")
print(f"peak memory {torch.cuda.max_memory_allocated() / 2**20:.1f} MiB")
