"""Networks of our own against the parameters that their authors published."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("transformers")

from anychip.frontends.torch import convolutional, diffusion
from anychip.frontends.torch.published import ARCHITECTURES, Workload, generates, graph_of
from anychip.operators import forms

MILLION = 1e6


def parameters(name: str) -> int:
    """Built on shapes alone."""
    import torch

    architecture = ARCHITECTURES[name]
    module, _, made = architecture.model.partition(":")
    build: Any = getattr({"convolutional": convolutional, "diffusion": diffusion}[module], made)
    with torch.device("meta"):
        return sum(each.numel() for each in build(**architecture.fields).parameters())


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("vgg11", 132_863_336),  # torchvision's table of models
        ("vgg16", 138_357_544),
        ("vgg19", 143_667_240),
        ("sd15-unet", 859_520_964),  # the published checkpoint
        ("sd2-unet", 865_910_724),
        ("sd-decoder", 49_490_179),
    ],
)
def test_parameters_are_those_that_were_published(name: str, published: int) -> None:
    assert parameters(name) == published


@pytest.mark.parametrize(
    ("name", "millions", "within"),
    [
        ("unet", 31.0, 0.005),  # figure 1 of the paper
        ("sdxl-unet", 2567.0, 0.01),  # without its encodings of sizes
        ("sdxl-refiner-unet", 2300.0, 0.03),
        ("pixart-alpha", 610.0, 0.01),  # 0.6 billion
    ],
)
def test_parameters_are_about_those_that_were_published(name: str, millions: float, within: float) -> None:
    assert parameters(name) / MILLION == pytest.approx(millions, rel=within)


def products(workload: Workload) -> float:
    """Multiply-adds of a call."""
    from anychip.chips import by_name
    from anychip.compile import Lowering

    graph, lowering = graph_of(workload), Lowering(by_name("inf2"))
    nodes = (node for index in graph.path for node in graph.segments[index].nodes)
    found = (form for node in nodes for form in lowering.forms(node))
    return sum(form.problems * form.m * form.n * form.k for form in found if isinstance(form, forms.Contract))


def test_multiply_adds_are_those_that_were_published() -> None:
    # torchvision's table of models: 7.61 and 15.47 billion.
    assert products(Workload("vgg11", "forward", 1, 0)) == pytest.approx(7.61e9, rel=0.01)
    assert products(Workload("vgg16", "forward", 2, 0)) == pytest.approx(2 * 15.47e9, rel=0.01)


def test_images_have_the_size_that_is_asked_for() -> None:
    small, large = (products(Workload("sd-decoder", "forward", 1, 0, image=(side, 64))) for side in (64, 128))
    assert 1.9 < large / small <= 2.1


def test_a_decoder_works_on_one_token_whatever_was_written() -> None:
    few, many = (products(Workload("flan-t5-small", "decode", 1, 128, written=count)) for count in (8, 100))
    assert few == pytest.approx(many, rel=0.05)
    assert not generates("flan-t5-small")
    assert generates("llama-2-7b")
