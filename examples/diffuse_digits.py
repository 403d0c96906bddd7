"""Denoising diffusion on scikit-learn's digits: train a small U-Net, then sample with DDIM.

    python diffuse_digits.py --steps 40 --sample-steps 10

Everything a diffusion model has, in small: sinusoidal time embeddings, class conditioning with
classifier-free guidance, group norms, self-attention at the lowest resolution, an exponential moving
average of the weights.
"""

import argparse
import copy
import itertools
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

NO_CLASS = 10  # the label that stands for "any digit"


def time_embedding(t, width):
    """Sinusoids of the diffusion time, (N,) -> (N, width)."""
    half = width // 2
    frequencies = torch.exp(-math.log(1e4) * torch.arange(half, device=t.device) / half)
    angles = t[:, None].float() * frequencies[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ResidualBlock(nn.Module):
    def __init__(self, channels_in, channels_out, condition):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.condition = nn.Linear(condition, 2 * channels_out)
        self.norm2 = nn.GroupNorm(8, channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x, condition):
        y = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.condition(condition)[:, :, None, None].chunk(2, dim=1)
        y = self.norm2(y) * (1 + scale) + shift
        return self.conv2(F.silu(y)) + self.skip(x)


class Attention(nn.Module):
    def __init__(self, channels, heads=2):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        n, c, h, w = x.shape
        q, k, v = (
            self.qkv(self.norm(x)).view(n, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        )
        y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(y.transpose(-1, -2).reshape(n, c, h, w))


class UNet(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        condition = 4 * width
        self.width = width
        self.time = nn.Sequential(nn.Linear(width, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.label = nn.Embedding(NO_CLASS + 1, condition)
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.down1 = ResidualBlock(width, width, condition)
        self.shrink1 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.down2 = ResidualBlock(2 * width, 2 * width, condition)
        self.shrink2 = nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1)
        self.middle1 = ResidualBlock(4 * width, 4 * width, condition)
        self.attention = Attention(4 * width)
        self.middle2 = ResidualBlock(4 * width, 4 * width, condition)
        self.grow2 = nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1)
        self.up2 = ResidualBlock(4 * width, 2 * width, condition)
        self.grow1 = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1)
        self.up1 = ResidualBlock(2 * width, width, condition)
        self.out = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, x, t, label):
        condition = F.silu(self.time(time_embedding(t, self.width)) + self.label(label))
        high = self.down1(self.stem(x), condition)
        low = self.down2(self.shrink1(high), condition)
        y = self.middle1(self.shrink2(low), condition)
        y = self.middle2(self.attention(y), condition)
        y = self.up2(torch.cat([self.grow2(y), low], dim=1), condition)
        y = self.up1(torch.cat([self.grow1(y), high], dim=1), condition)
        return self.out(y)


def load_images(size):
    """Digits as (N, 1, size, size) in [-1, 1], with their labels."""
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False), torch.tensor(labels)


@torch.no_grad()
def sample(model, labels, size, alphas, steps, guidance, generator):
    """DDIM: deterministic given the first noise, which the host's generator draws."""
    device = labels.device
    x = torch.randn(len(labels), 1, size, size, generator=generator).to(device)
    times = torch.linspace(len(alphas) - 1, 0, steps + 1).long().tolist()
    anything = torch.full_like(labels, NO_CLASS)
    for now, following in itertools.pairwise(times):
        t = torch.full((2 * len(labels),), now, device=device)
        # Both predictions of classifier-free guidance in one batch.
        noise, noise_free = model(torch.cat([x, x]), t, torch.cat([labels, anything])).float().chunk(2)
        noise = noise_free + guidance * (noise - noise_free)
        clean = ((x - (1 - alphas[now]).sqrt() * noise) / alphas[now].sqrt()).clamp(-1, 1)
        x = alphas[following].sqrt() * clean + (1 - alphas[following]).sqrt() * noise
    return x


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=40, help="training steps")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=16, help="pixels on a side; a multiple of 4")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--sample-steps", type=int, default=10, help="denoising steps")
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="draw the samples in the terminal")
    args = parser.parse_args()

    device = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
    torch.manual_seed(args.seed)
    images, labels = (tensor.to(device) for tensor in load_images(args.size))
    # The share of signal left at each time: the cosine schedule.
    grid = torch.linspace(0, 0.995, 200, device=device)
    alphas = torch.cos(grid * math.pi / 2) ** 2

    model = UNet(args.width).to(device)
    average = copy.deepcopy(model).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    # Indices, times and noise are drawn on the host, so that a seed means the same on every device.
    generator = torch.Generator().manual_seed(args.seed)

    for step in range(args.steps):
        index = torch.randint(len(images), (args.batch,), generator=generator).to(device)
        t = torch.randint(len(alphas), (args.batch,), generator=generator).to(device)
        noise = torch.randn(args.batch, 1, args.size, args.size, generator=generator).to(device)
        unlabelled = (torch.rand(args.batch, generator=generator) < 0.1).to(device)
        x, label = images[index], labels[index].masked_fill(unlabelled, NO_CLASS)
        alpha = alphas[t][:, None, None, None]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            predicted = model(alpha.sqrt() * x + (1 - alpha).sqrt() * noise, t, label)
        loss = F.mse_loss(predicted.float(), noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            decay = min(0.99, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        if step % max(1, args.steps // 10) == 0 or step == args.steps - 1:
            print(f"step {step:4d}  loss {loss.item():.4f}", flush=True)

    drawn = sample(
        average,
        torch.arange(10, device=device),
        args.size,
        alphas,
        args.sample_steps,
        args.guidance,
        generator,
    ).cpu()
    print(f"samples: mean {drawn.mean().item():.4f}, standard deviation {drawn.std().item():.4f}")
    if args.show:
        for image in drawn[:, 0]:
            for row in image[::2]:
                print("".join(" .:-=+*#%@"[int(min(9, max(0, 5 * (v + 1))))] for v in row.tolist()))


if __name__ == "__main__":
    main()
