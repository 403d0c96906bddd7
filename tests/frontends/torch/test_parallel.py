"""Shards of a model: what they divide, and what they exchange."""

from __future__ import annotations

from collections import Counter

import pytest

from anychip.chips import by_name
from anychip.compile import Lowering
from anychip.errors import InvalidInput
from anychip.frontends.torch.published import Workload, graph_of
from anychip.operators import Collective, Form, Rows

pytest.importorskip("transformers")


def forms(workload: Workload) -> list[Form]:
    graph, lowering = graph_of(workload), Lowering(by_name("trn1"))
    nodes = (node for index in graph.path for node in graph.segments[index].nodes)
    return [form for node in nodes for form in lowering.forms(node)]


def exchanged(found: list[Form]) -> Counter[tuple[str, int]]:
    return Counter((form.kind, form.bytes) for form in found if isinstance(form, Collective))


def normalised(found: list[Form]) -> int:
    return sum(form.count * form.elements for form in found if isinstance(form, Rows) and form.passes)


@pytest.mark.parametrize(("phase", "passes"), [("prefill", 1), ("gradients", 2)])
def test_a_divided_sequence_gathers_and_scatters_and_norms_only_its_part(phase: str, passes: int) -> None:
    whole = forms(Workload("llama-3.2-1b", phase, 1, 1024, 8, 2))  # type: ignore[arg-type]
    part = forms(Workload("llama-3.2-1b", phase, 1, 1024, 8, 2, divides_sequence=True))  # type: ignore[arg-type]
    size = 1024 * 2048 * 2
    # Two sums a layer for all; or one way each, and once more behind the embedding and before the head.
    assert exchanged(whole) == {("all_reduce", size): 4 * passes}
    assert exchanged(part) == {("all_gather", size): 5 * passes, ("reduce_scatter", size): 5 * passes}
    assert normalised(part) * (8 if phase == "prefill" else 2) <= normalised(whole)


def test_a_sequence_is_padded_to_equal_parts() -> None:
    part = forms(Workload("llama-3.2-1b", "prefill", 1, 1000, 24, 1, divides_sequence=True))
    assert {size for _, size in exchanged(part)} == {24 * 42 * 2048 * 2}


def test_layers_without_modules_of_their_own_cannot_divide_the_sequence() -> None:
    with pytest.raises(InvalidInput, match=r"cannot be divided over several chips: use one$"):
        graph_of(Workload("bert-base", "forward", 1, 128, 4, 1, divides_sequence=True))


def test_heads_that_do_not_divide_hold_keys_of_their_own() -> None:
    from transformers import LlamaConfig

    from anychip.frontends.torch.parallel import shard_config

    whole = LlamaConfig(hidden_size=4096, num_attention_heads=32, num_key_value_heads=8)
    even, odd = shard_config(whole, 32), shard_config(whole, 24)
    assert (even.num_attention_heads, even.num_key_value_heads) == (1, 1)
    assert (odd.num_attention_heads, odd.num_key_value_heads) == (2, 2)
