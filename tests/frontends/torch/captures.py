"""Small real captures for tests of any room: each gives a Graph."""

from __future__ import annotations

import torch
from torch import nn

from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.device import install
from anychip.programs.graph import Graph


def linear(
    rows: int = 8, inputs: int = 16, outputs: int = 24, *, dtype: torch.dtype = torch.float32
) -> Graph:
    """One Linear, forward."""
    install()
    torch.manual_seed(0)
    model = nn.Linear(inputs, outputs, dtype=dtype).to("anychip")
    batch = torch.randn(rows, inputs, dtype=dtype).to("anychip")
    with Capture(name="linear") as capture, torch.no_grad():
        model(batch)
    return capture.graph()


def mlp_step(
    rows: int = 8,
    width: int = 16,
    *,
    steps: int = 2,
    optimizer: str = "SGD",
    dtype: torch.dtype = torch.float32,
) -> Graph:
    """A two-layer MLP with GELU: forward, backward and optimizer step."""
    install()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
    model = model.to("anychip", dtype)
    step = getattr(torch.optim, optimizer)(model.parameters(), lr=0.01)
    with Capture(name="mlp step") as capture:
        for _ in range(steps):
            batch = torch.randn(rows, width, dtype=dtype).to("anychip")
            step.zero_grad()
            nn.functional.mse_loss(model(batch), batch).backward()
            step.step()
    return capture.graph()


def bert_forward(batch: int = 2, tokens: int = 16, *, layers: int = 2, hidden: int = 64) -> Graph:
    """BERT's encoder with random weights, forward."""
    from transformers import BertConfig, BertModel

    install()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=128,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=4 * hidden,
        max_position_embeddings=64,
    )
    model = BertModel(config).eval().to("anychip")
    words = torch.randint(0, 128, (batch, tokens)).to("anychip")
    with Capture(name="bert") as capture, torch.no_grad():
        model(words)
    return capture.graph()


def gpt2_step(
    batch: int = 1, tokens: int = 32, *, layers: int = 2, hidden: int = 64, steps: int = 2
) -> Graph:
    """GPT-2 with random weights: training steps with AdamW."""
    from transformers import GPT2Config, GPT2LMHeadModel

    install()
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=128, n_embd=hidden, n_layer=layers, n_head=4, n_positions=64)
    ).to("anychip")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with Capture(name="gpt2 step") as capture:
        for _ in range(steps):
            words = torch.randint(0, 128, (batch, tokens)).to("anychip")
            optimizer.zero_grad()
            model(words, labels=words).loss.backward()
            optimizer.step()
    return capture.graph()
