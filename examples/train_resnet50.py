"""ResNet-50 in plain PyTorch on synthetic ImageNet: the classical throughput benchmark.

    python train_resnet50.py --steps 2 --batch 8
    torchrun --nproc-per-node 1 train_resnet50.py

Written as data-parallel training is: one process per device, DistributedDataParallel, NCCL on GPUs.
"""

import argparse
import os
import time

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, channels_in, width, stride):
        super().__init__()
        channels_out = width * self.expansion
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = None
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x):
        identity = x if self.shortcut is None else self.shortcut(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + identity)


def resnet(depths=(3, 4, 6, 3), classes=1000):
    """ResNet with bottleneck blocks; (3, 4, 6, 3) is ResNet-50."""
    layers = [
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]
    channels = 64
    for stage, depth in enumerate(depths):
        for block in range(depth):
            width = 64 * 2**stage
            layers.append(Bottleneck(channels, width, stride=2 if stage > 0 and block == 0 else 1))
            channels = width * Bottleneck.expansion
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--image", type=int, default=224, help="pixels on a side")
    parser.add_argument("--depths", type=int, nargs="+", default=[3, 4, 6, 3], help="blocks per stage")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    # torchrun sets these; without it this is a world of one.
    for name, value in {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29561",
        "RANK": "0",
        "WORLD_SIZE": "1",
    }.items():
        os.environ.setdefault(name, value)
    use_cuda = torch.cuda.is_available()
    dist.init_process_group("nccl" if use_cuda else "gloo")
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if use_cuda:
        torch.cuda.set_device(local_rank)
        torch.backends.cudnn.benchmark = True
    device = torch.device("cuda", local_rank) if use_cuda else torch.device("cpu")

    torch.manual_seed(args.seed)
    model = resnet(args.depths).to(device, memory_format=torch.channels_last)
    model = DistributedDataParallel(model, device_ids=[local_rank] if use_cuda else None)
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, weight_decay=1e-4)

    torch.manual_seed(args.seed + dist.get_rank())
    images = torch.randn(args.batch, 3, args.image, args.image)
    labels = torch.randint(1000, (args.batch,))
    images = images.to(device, memory_format=torch.channels_last)
    labels = labels.to(device)

    for step in range(args.steps):
        if use_cuda:
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
        began = time.perf_counter()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=use_cuda):
            loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if use_cuda:
            end.record()
            torch.cuda.synchronize()
            seconds = start.elapsed_time(end) / 1e3
        else:
            seconds = time.perf_counter() - began
        mean = loss.detach()
        dist.all_reduce(mean)
        if dist.get_rank() == 0:
            rate = args.batch * dist.get_world_size() / seconds
            print(
                f"step {step}  loss {mean.item() / dist.get_world_size():.4f}  {rate:.2f} images/s",
                flush=True,
            )
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
