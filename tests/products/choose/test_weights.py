"""Weights stored in fewer bits: what shrinks, what stays, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anychip import chips
from anychip.compile import lower
from anychip.errors import InvalidInput, UnknownName
from anychip.products.choose.pricing import Work, price
from anychip.products.choose.question import Question
from anychip.products.choose.variants import Variants
from anychip.products.cli import main
from anychip.programs.graph import Graph
from anychip.programs.weights import with_weights
from anychip.simulate import simulate
from tests.profile.workload import evaluation_segment, graph

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
    "intermediate_size": 8192, "num_hidden_layers": 2, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 8000, "max_position_embeddings": 4096,
}  # fmt: skip
#: Elements: query and output, key and value, three of the MLP.
_MULTIPLIED = 2 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 8192)


def _config(folder: Path) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(LLAMA))
    return str(path)


def _decode(folder: Path) -> Graph:
    pytest.importorskip("transformers")
    from anychip.frontends.torch.models import capture_config

    return capture_config(_config(folder), phase="decode", context=128)


def _parameter_bytes(recorded: Graph) -> int:
    return sum(
        value.size_bytes for each in recorded.segments for value in each.values if value.kind == "parameter"
    )


@pytest.mark.parametrize(("name", "bits"), [("int8", 8), ("fp8", 8), ("int4", 4 + 20 / 128)])
def test_only_weights_that_are_multiplied_shrink(name: str, bits: float, tmp_path: Path) -> None:
    whole = _decode(tmp_path)
    small = with_weights(whole, name)
    # Embeddings, norms, and the product that gives 8,000 logits stay.
    assert _parameter_bytes(whole) - _parameter_bytes(small) == pytest.approx(_MULTIPLIED * (16 - bits) / 8)
    kept = {
        view.format
        for node in small.segments[0].nodes
        for view in node.inputs
        if node.operator == "aten.embedding.default" or 8000 in view.shape
    }
    assert kept == {"bf16", "int64"}
    saved = whole.memory.peak_bytes - small.memory.peak_bytes
    assert saved == pytest.approx(_MULTIPLIED * (16 - bits) / 8, rel=1e-3)


def test_a_token_reads_the_bytes_that_are_left_and_takes_less_time(tmp_path: Path) -> None:
    whole = _decode(tmp_path)
    for name in ("a10g", "inf2", "graviton3"):
        chip = chips.by_name(name)
        times = [simulate(lower(each, chip), chip).ticks for each in (whole, with_weights(whole, "int8"))]
        assert times[1] < times[0]
    chip = chips.by_name("a10g")
    moved = [
        sum(
            dict(kernel.nest.demand.traffic_bytes).get("dram", 0)
            for segment in lower(each, chip).segments
            for kernel in segment
        )
        for each in (whole, with_weights(whole, "int8"))
    ]
    assert moved[0] - moved[1] == pytest.approx(_MULTIPLIED, rel=0.02)


def test_products_are_formed_in_the_wider_format_unless_the_arithmetic_is_narrow(tmp_path: Path) -> None:
    variants = Variants(_decode(tmp_path), "fp8")
    chip = chips.by_name("h100")
    wide, narrow = (price(chip, variants.on(chip, stored)) for stored in ("captured", "fp8"))
    assert variants.on(chip, "captured").label == "bf16 w8"
    assert {name for name, _ in wide.brief.macs} == {"bf16"}
    assert "fp8_e4m3fn" in {name for name, _ in narrow.brief.macs}
    assert wide.notes == ("weights stored in fp8: what that does to answers was not computed",)
    mi300x = chips.by_name("mi300x")
    assert "fp8_e4m3fnuz" in {name for name, _ in price(mi300x, variants.on(mi300x, "fp8")).brief.macs}


def test_what_trains_or_multiplies_nothing_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match=r"^--weights int8: the workload trains, and gradients need weights"
    ):
        Work.of(graph(), weights="int8")
    Work.of(Graph("evaluate.py", "basecamp", (evaluation_segment(),), (0,)), weights="int8")
    with pytest.raises(InvalidInput, match=r"^--weights int8: the workload multiplies no weights; leave"):
        Work.of(Graph("idle.py", "basecamp", (), ()), weights="int8")
    with pytest.raises(UnknownName, match=r"^unknown weight format \"int5\"; did you mean int8 or int4\?$"):
        Question(weights="int5")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--phase", "train"],
            "--weights int8: for inference only, not for --phase train; leave one of them out",
        ),
        (["--weights", "int9"], "weight format"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["choose", "--model", _config(tmp_path), "--weights", "int8", "--chips", "t4", *options]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("anychip: ")
    assert message in told.err
    assert told.err.count("\n") == 1
