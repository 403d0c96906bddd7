"""Measure the latency of BERT inference, as a serving benchmark does.

    python serve_bert.py --requests 5
    python serve_bert.py --size tiny --requests 50 --compile

Every request is a batch of 8 sequences of 128 tokens. Weights are random: latency does not depend on them.
"""

import argparse
import statistics
import time

import torch
from transformers import BertConfig, BertModel

SIZES = {
    "tiny": {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 512,
    },
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
}


class Embedder(torch.nn.Module):
    """Sentence embeddings: the mean of BERT's last layer over real tokens, at unit length."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask):
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return torch.nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)


def make_requests(count, batch, length, vocabulary, seed):
    """Random token ids and masks; sequences have different lengths, padded to `length`."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        ids = torch.randint(1000, vocabulary, (batch, length), generator=generator)
        lengths = torch.randint(length // 2, length + 1, (batch, 1), generator=generator)
        mask = (torch.arange(length) < lengths).long()
        yield ids * mask, mask


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--requests", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    config = BertConfig(**SIZES[args.size])
    model = Embedder(BertModel(config, add_pooling_layer=False)).eval().to(device)
    if args.compile:
        model = torch.compile(model)

    latencies_ms = []
    checksum = 0.0
    with torch.inference_mode():
        # One request to warm up, which is not counted.
        requests = make_requests(1 + args.requests, args.batch, args.length, config.vocab_size, args.seed)
        for number, (ids, mask) in enumerate(requests):
            if device == "cuda":
                start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                start.record()
            began = time.perf_counter()
            embeddings = model(ids.to(device), mask.to(device))
            if device == "cuda":
                end.record()
                torch.cuda.synchronize()
                latency_ms = start.elapsed_time(end)
            else:
                latency_ms = 1e3 * (time.perf_counter() - began)
            if number > 0:
                latencies_ms.append(latency_ms)
                checksum += (embeddings @ embeddings.T).float().cpu().mean().item()

    middle = statistics.median(latencies_ms)
    worst = max(latencies_ms)
    print(f"latency p50 {middle:.3f} ms, worst {worst:.3f} ms; {1e3 * args.batch / middle:.1f} sequences/s")
    print(f"mean similarity {checksum / args.requests:.5f}")


if __name__ == "__main__":
    main()
