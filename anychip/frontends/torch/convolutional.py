"""Convolutional networks whose papers state every layer, and of which `transformers` has none: VGG and U-Net.

Sources: Simonyan and Zisserman, "Very Deep Convolutional Networks" (2014), table 1; Ronneberger et al.,
"U-Net" (2015), figure 1, with padded convolutions and batch norms, as common implementations have.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

#: Convolutions between two poolings, by depth.
_STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


class Vgg(nn.Module):
    """VGG with 1,000 classes.

    Args:
        depth: layers with weights: 11, 13, 16 or 19.
    """

    main_input_name = "pixel_values"

    def __init__(self, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for count, width in zip(_STAGES[depth], _WIDTHS, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.ModuleList(layers)
        self.classifier = nn.ModuleList(
            [nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)]
        )

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        """Scores of classes for images (batch, 3, 224, 224)."""
        values = pixel_values
        for layer in self.features:
            values = layer(values)
        values = values.flatten(1)
        for layer in self.classifier:
            values = layer(values)
        return {"logits": values}


class _Twice(nn.Module):
    """Two convolutions, each with a batch norm and a rectifier."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        )  # fmt: skip

    def forward(self, values: Tensor) -> Tensor:
        return self.layers(values)


class SegmentationUnet(nn.Module):
    """A U-Net that gives every pixel a class.

    Args:
        classes: of pixels.
        widths: of the levels, outermost first.
    """

    main_input_name = "pixel_values"

    def __init__(self, classes: int = 2, widths: Sequence[int] = (64, 128, 256, 512, 1024)) -> None:
        super().__init__()
        self.inner = nn.ModuleList([_Twice(first, second) for first, second in pairwise((3, *widths))])
        levels = list(pairwise(reversed(widths)))
        self.up = nn.ModuleList([nn.ConvTranspose2d(wide, narrow, 2, stride=2) for wide, narrow in levels])
        self.outer = nn.ModuleList([_Twice(wide, narrow) for wide, narrow in levels])
        self.last = nn.Conv2d(widths[0], classes, 1)

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        """Scores of classes for every pixel of images (batch, 3, height, width)."""
        values, kept = pixel_values, []
        for level, block in enumerate(self.inner):
            values = block(values if level == 0 else nn.functional.max_pool2d(values, 2))
            kept.append(values)
        for up, block, beside in zip(self.up, self.outer, reversed(kept[:-1]), strict=True):
            values = block(torch.cat((beside, up(values)), dim=1))
        return {"logits": self.last(values)}
