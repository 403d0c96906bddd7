"""Networks that make images from noise, as their authors published them: U-Nets, a transformer, the decoder.

`transformers` has their text encoders but not these. Sources: Rombach et al., "High-Resolution Image
Synthesis with Latent Diffusion Models" (2022) with the published configurations of Stable Diffusion 1.5, 2
and XL; Podell et al., "SDXL" (2023), table 1; Chen et al., "PixArt-alpha" (2023), section 2 and its
configuration. Steps and text are given as zeros: shapes alone matter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_GROUPS = 32


def _levels(nested: nn.ModuleList) -> list[nn.ModuleList]:
    """The lists of a list of lists of modules."""
    return [each for each in nested if isinstance(each, nn.ModuleList)]


class _Residual(nn.Module):
    """Two convolutions with group norms; the step's embedding comes in between."""

    def __init__(self, channels: int, width: int, step_width: int | None) -> None:
        super().__init__()
        self.first_norm = nn.GroupNorm(_GROUPS, channels)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.step = None if step_width is None else nn.Linear(step_width, width)
        self.second_norm = nn.GroupNorm(_GROUPS, width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = None if channels == width else nn.Conv2d(channels, width, 1)

    def forward(self, values: Tensor, step: Tensor | None = None) -> Tensor:
        inner = self.first(nn.functional.silu(self.first_norm(values)))
        if self.step is not None and step is not None:
            inner = inner + self.step(nn.functional.silu(step))[:, :, None, None]
        inner = self.second(nn.functional.silu(self.second_norm(inner)))
        return (values if self.shortcut is None else self.shortcut(values)) + inner


class _Attention(nn.Module):
    """Attention of image positions to themselves, or to the text."""

    def __init__(
        self, width: int, heads: int, source_width: int | None = None, *, bias: bool = False
    ) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(source_width or width, width, bias=bias)
        self.value = nn.Linear(source_width or width, width, bias=bias)
        self.out = nn.Linear(width, width)

    def forward(self, values: Tensor, source: Tensor | None = None) -> Tensor:
        source = values if source is None else source
        batch, tokens, width = values.shape

        def parted(each: Tensor) -> Tensor:
            return each.view(batch, each.shape[1], self.heads, -1).transpose(1, 2)

        query, key, value = self.query(values), self.key(source), self.value(source)
        mixed = nn.functional.scaled_dot_product_attention(parted(query), parted(key), parted(value))
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))


class _Layer(nn.Module):
    """A transformer layer with a gated MLP."""

    def __init__(self, width: int, heads: int, text_width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])
        self.own = _Attention(width, heads)
        self.text = _Attention(width, heads, text_width)
        self.rise = nn.Linear(width, 8 * width)
        self.fall = nn.Linear(4 * width, width)

    def forward(self, values: Tensor, text: Tensor) -> Tensor:
        values = values + self.own(self.norms[0](values))
        values = values + self.text(self.norms[1](values), text)
        risen, gate = self.rise(self.norms[2](values)).chunk(2, dim=-1)
        return values + self.fall(risen * nn.functional.gelu(gate))


class _Transformer(nn.Module):
    """Transformer layers over the positions of an image."""

    def __init__(self, width: int, heads: int, text_width: int, depth: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.enter = nn.Linear(width, width)
        self.layers = nn.ModuleList([_Layer(width, heads, text_width) for _ in range(depth)])
        self.leave = nn.Linear(width, width)

    def forward(self, values: Tensor, text: Tensor) -> Tensor:
        batch, width, height, breadth = values.shape
        inner = self.enter(self.norm(values).flatten(2).transpose(1, 2))
        for layer in self.layers:
            inner = layer(inner, text)
        return values + self.leave(inner).transpose(1, 2).reshape(batch, width, height, breadth)


class DiffusionUnet(nn.Module):
    """One step of Stable Diffusion for one image.

    Args:
        channels: that go in; four come out.
        widths: of the levels, outermost first.
        depths: transformer layers after every residual block of a level; 0: none.
        heads: of attention at each level.
        text_width: of a token's encoding.
        middle_depth: transformer layers at the innermost level.
        text_tokens: of a prompt.
    """

    main_input_name = "latents"

    def __init__(
        self,
        channels: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        heads: tuple[int, ...],
        text_width: int,
        middle_depth: int,
        text_tokens: int = 77,
    ) -> None:
        super().__init__()
        self.depths, self.step_inputs, self.text_shape = depths, widths[0], (text_tokens, text_width)
        step_width = 4 * widths[0]
        self.step = nn.Sequential(
            nn.Linear(widths[0], step_width), nn.SiLU(), nn.Linear(step_width, step_width)
        )
        self.enter = nn.Conv2d(channels, widths[0], 3, padding=1)

        def mixers(level: int, count: int) -> nn.ModuleList:
            depth = depths[level]
            return nn.ModuleList(
                [
                    _Transformer(widths[level], heads[level], text_width, depth)
                    for _ in range(count if depth else 0)
                ]
            )

        kept, current, last = [widths[0]], widths[0], len(widths) - 1
        self.down, self.down_mixers, self.shrink = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            blocks = nn.ModuleList()
            for _ in range(2):
                blocks.append(_Residual(current, width, step_width))
                current = width
                kept.append(width)
            self.down.append(blocks)
            self.down_mixers.append(mixers(level, 2))
            if level < last:
                self.shrink.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                kept.append(width)
        self.middle = nn.ModuleList([_Residual(current, current, step_width) for _ in range(2)])
        self.middle_mixer = _Transformer(current, heads[-1], text_width, middle_depth)
        self.up, self.up_mixers, self.grow = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(widths))):
            blocks = nn.ModuleList()
            for _ in range(3):
                blocks.append(_Residual(current + kept.pop(), widths[level], step_width))
                current = widths[level]
            self.up.append(blocks)
            self.up_mixers.append(mixers(level, 3))
            if level:
                self.grow.append(nn.Conv2d(current, current, 3, padding=1))
        self.norm = nn.GroupNorm(_GROUPS, current)
        self.leave = nn.Conv2d(current, 4, 3, padding=1)

    def forward(self, latents: Tensor) -> dict[str, Tensor]:
        """Noise in latents (batch, channels, height, width)."""
        batch = latents.shape[0]
        text = latents.new_zeros(batch, *self.text_shape)
        step = self.step(latents.new_zeros(batch, self.step_inputs))
        values = self.enter(latents)
        kept = [values]
        mixers = _levels(self.down_mixers)
        for level, blocks in enumerate(_levels(self.down)):
            for place, block in enumerate(blocks):
                values = block(values, step)
                if self.depths[level]:
                    values = mixers[level][place](values, text)
                kept.append(values)
            if level < len(self.shrink):
                values = self.shrink[level](values)
                kept.append(values)
        values = self.middle[1](self.middle_mixer(self.middle[0](values, step), text), step)
        mixers = _levels(self.up_mixers)
        for place, blocks in enumerate(_levels(self.up)):
            level = len(self.depths) - 1 - place
            for index, block in enumerate(blocks):
                values = block(torch.cat((values, kept.pop()), dim=1), step)
                if self.depths[level]:
                    values = mixers[place][index](values, text)
            if place < len(self.grow):
                # Odd extents came from halves that were rounded up.
                values = nn.functional.interpolate(values, size=kept[-1].shape[-2:])
                values = self.grow[place](values)
        return {"noise": self.leave(nn.functional.silu(self.norm(values)))}


class ImageDecoder(nn.Module):
    """From latents to an image of eight times their height and width: the decoder of Stable Diffusion.

    Args:
        widths: of the levels, innermost first.
    """

    main_input_name = "latents"

    def __init__(self, widths: tuple[int, ...] = (512, 512, 256, 128)) -> None:
        super().__init__()
        self.enter = nn.Conv2d(4, widths[0], 3, padding=1)
        self.middle = nn.ModuleList([_Residual(widths[0], widths[0], None) for _ in range(2)])
        self.norm = nn.GroupNorm(_GROUPS, widths[0])
        self.attention = _Attention(widths[0], 1, bias=True)
        self.up, self.grow, current = nn.ModuleList(), nn.ModuleList(), widths[0]
        for level, width in enumerate(widths):
            blocks = nn.ModuleList()
            for _ in range(3):
                blocks.append(_Residual(current, width, None))
                current = width
            self.up.append(blocks)
            if level < len(widths) - 1:
                self.grow.append(nn.Conv2d(width, width, 3, padding=1))
        self.last_norm = nn.GroupNorm(_GROUPS, current)
        self.leave = nn.Conv2d(current, 3, 3, padding=1)

    def forward(self, latents: Tensor) -> dict[str, Tensor]:
        """The image of latents (batch, 4, height, width)."""
        values = self.middle[0](self.enter(latents))
        batch, width, height, breadth = values.shape
        mixed = self.attention(self.norm(values).flatten(2).transpose(1, 2))
        values = self.middle[1](values + mixed.transpose(1, 2).reshape(batch, width, height, breadth))
        for level, blocks in enumerate(_levels(self.up)):
            for block in blocks:
                values = block(values)
            if level < len(self.grow):
                values = self.grow[level](nn.functional.interpolate(values, scale_factor=2))
        return {"image": self.leave(nn.functional.silu(self.last_norm(values)))}


class _ScaledLayer(nn.Module):
    """A layer of a diffusion transformer: shifts, scales and gates by the step, text by attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width, elementwise_affine=False) for _ in range(2)])
        self.table = nn.Parameter(torch.zeros(6, width))
        self.own = _Attention(width, heads, bias=True)
        self.text = _Attention(width, heads, bias=True)
        self.rise = nn.Linear(width, 4 * width)
        self.fall = nn.Linear(4 * width, width)

    def forward(self, values: Tensor, text: Tensor, step: Tensor) -> Tensor:
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = (self.table + step).unsqueeze(2).unbind(1)
        values = values + gate * self.own(self.norms[0](values) * (1 + scale) + shift)
        values = values + self.text(values, text)
        inner = self.rise(self.norms[1](values) * (1 + scale_mlp) + shift_mlp)
        return values + gate_mlp * self.fall(nn.functional.gelu(inner, approximate="tanh"))


class DiffusionTransformer(nn.Module):
    """One step of PixArt for one image.

    Args:
        text_tokens: of a prompt.
        width: of the layers.
        depth: layers.
        heads: of attention.
    """

    main_input_name = "latents"

    def __init__(self, text_tokens: int, width: int = 1152, depth: int = 28, heads: int = 16) -> None:
        super().__init__()
        self.text_tokens, self.width = text_tokens, width
        self.patches = nn.Conv2d(4, width, 2, stride=2)
        self.step = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.modulation = nn.Linear(width, 6 * width)
        self.caption = nn.Sequential(
            nn.Linear(4096, width), nn.GELU(approximate="tanh"), nn.Linear(width, width)
        )
        self.layers = nn.ModuleList([_ScaledLayer(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.leave = nn.Linear(width, 2 * 2 * 8)

    def forward(self, latents: Tensor) -> dict[str, Tensor]:
        """Noise and its variance in latents (batch, 4, height, width)."""
        batch, _, height, breadth = latents.shape
        text = self.caption(latents.new_zeros(batch, self.text_tokens, 4096))
        step = nn.functional.silu(self.step(latents.new_zeros(batch, 256)))
        modulation = self.modulation(step).view(batch, 6, self.width)
        values = self.patches(latents).flatten(2).transpose(1, 2)
        for layer in self.layers:
            values = layer(values, text, modulation)
        values = self.leave(self.norm(values)).view(batch, height // 2, breadth // 2, 2, 2, 8)
        return {"noise": values.permute(0, 5, 1, 3, 2, 4).reshape(batch, 8, height, breadth)}
