"""The table as a whole: names, canonical text, windows, and that nothing is refused."""

from __future__ import annotations

import pytest

from anychip.operators import (
    Attention,
    Contract,
    Gather,
    Host,
    Lanes,
    Move,
    Rows,
    meaning,
    operators,
    total,
    work,
)
from anychip.operators.table import find
from tests.operators.calls import call, view


def demand(node):
    return total(work(form) for form in meaning(node))


def test_the_table_covers_the_families() -> None:
    kinds = {entry.kind for entry in operators()}
    assert kinds >= {
        "view",
        "contraction",
        "attention",
        "lanes",
        "rows",
        "gather",
        "move",
        "random",
        "collective",
    }
    assert sum(1 for _ in operators()) > 500


@pytest.mark.parametrize(
    ("variant", "functional"),
    [
        ("aten.add_.Tensor", "add.Tensor"),
        ("aten.add.out", "add.default"),
        ("aten.mm.out", "mm.default"),
        ("aten.zero_.default", "zero.default"),
        ("aten._foreach_mul_.Scalar", "_foreach_mul.Scalar"),
        ("aten.__and__.Tensor", "__and__.Tensor"),
        ("aten.gelu_backward.grad_input", "gelu_backward.default"),
    ],
)
def test_variants_share_a_meaning(variant: str, functional: str) -> None:
    entry = find(variant)
    assert entry is not None
    assert entry.name == functional


def test_a_rule_that_cannot_read_its_call_leaves_host_work() -> None:
    (form,) = meaning(call("mm.default", [view("fp32", 3)], [view("fp32", 3)]))
    assert isinstance(form, Host)


def test_convolution_counts() -> None:
    node = call(
        "convolution.default",
        [view("bf16", 2, 8, 10, 10), view("bf16", 16, 4, 3, 3), view("bf16", 16)],
        [view("bf16", 2, 16, 10, 10)],
        stride=(1, 1),
        padding=(1, 1),
        dilation=(1, 1),
        transposed=False,
        output_padding=(0, 0),
        groups=2,
    )
    (form,) = meaning(node)
    assert isinstance(form, Contract)
    assert (form.problems, form.m, form.n, form.k) == (2, 200, 8, 36)
    found = work(form)
    assert found.macs == {"bf16": 2 * 16 * 100 * 36}
    assert found.lane_operations == 2 * 16 * 100
    assert found.read_bytes == 2 * (2 * 8 * 100 + 16 * 4 * 9 + 16)


def test_a_pointwise_convolution_has_no_window() -> None:
    node = call(
        "convolution.default",
        [view("fp32", 2, 8, 5, 5), view("fp32", 6, 8, 1, 1)],
        [view("fp32", 2, 6, 5, 5)],
        bias=None,
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        transposed=False,
        output_padding=(0, 0),
        groups=1,
    )
    (form,) = meaning(node)
    assert isinstance(form, Contract)
    assert form.left.windows == ()
    assert (form.m, form.n, form.k) == (50, 6, 8)


def test_convolution_backward_is_up_to_three_forms() -> None:
    tensors = [view("fp32", 2, 16, 8, 8), view("fp32", 2, 8, 10, 10), view("fp32", 16, 8, 3, 3)]
    results = [view("fp32", 2, 8, 10, 10), view("fp32", 16, 8, 3, 3), view("fp32", 16)]
    shared = {
        "stride": (1, 1),
        "padding": (0, 0),
        "dilation": (1, 1),
        "transposed": False,
        "output_padding": (0, 0),
        "groups": 1,
    }
    whole = meaning(
        call("convolution_backward.default", tensors, results, **shared, output_mask=(True, True, True))
    )
    assert [type(form) for form in whole] == [Contract, Contract, Rows]
    assert work(whole[1]).total_macs == 16 * 8 * 9 * 2 * 64
    part = meaning(
        call(
            "convolution_backward.default", tensors, results[1:2], **shared, output_mask=(False, True, False)
        )
    )
    assert part[0].text == whole[1].text.replace("out1", "out0")


def test_attention_counts_the_pairs_that_take_part() -> None:
    tensors = [view("bf16", 2, 4, 64, 16) for _ in range(3)]
    results = [view("bf16", 2, 4, 64, 16), view("fp32", 2, 4, 64)]
    name = "_scaled_dot_product_flash_attention_for_cpu.default"
    (full,) = meaning(call(name, tensors, results))
    (causal,) = meaning(call(name, tensors, results, is_causal=True))
    assert isinstance(full, Attention)
    assert isinstance(causal, Attention)
    assert work(full).total_macs == 2 * 4 * 64 * 64 * 16 * 2
    assert causal.pairs == 64 * 65 // 2
    assert work(causal).total_macs == 2 * 4 * causal.pairs * 16 * 2
    assert work(full).read_bytes == 3 * 2 * 4 * 64 * 16 * 2


def test_embedding_reads_no_more_than_it_picks() -> None:
    node = call("embedding.default", [view("fp32", 1000, 64), view("int64", 3, 7)], [view("fp32", 3, 7, 64)])
    (form,) = meaning(node)
    assert isinstance(form, Gather)
    assert (form.rows, form.width, form.table_rows) == (21, 64, 1000)
    assert work(form).read_bytes == 21 * 8 + 21 * 64 * 4
    many = call("embedding.default", [view("fp32", 10, 64), view("int64", 500)], [view("fp32", 500, 64)])
    assert demand(many).read_bytes == 500 * 8 + 10 * 64 * 4


def test_cat_moves_every_part_once() -> None:
    node = call(
        "cat.default",
        [view("bf16", 4, 3), view("bf16", 4, 5)],
        [view("bf16", 4, 8)],
        tensors=("tensors", 2),
        dim=1,
    )
    forms = meaning(node)
    assert all(isinstance(form, Move) for form in forms)
    assert demand(node).read_bytes == demand(node).written_bytes == 2 * 32


def test_layer_norm_counts() -> None:
    node = call(
        "native_layer_norm.default",
        [view("fp32", 6, 32), view("fp32", 32), view("fp32", 32)],
        [view("fp32", 6, 32), view("fp32", 6, 1), view("fp32", 6, 1)],
        normalized_shape=(32,),
        eps=1e-5,
    )
    (form,) = meaning(node)
    assert isinstance(form, Rows)
    found = work(form)
    assert found.curves == {"rsqrt": 6}
    # sums: 31 joins a row and pass; squares: subtract and multiply; write: subtract, two multiplies, add
    assert found.lane_operations == 6 * (2 * 31 + 2 * 32 + 1 + 2 + 4 * 32)
    assert found.read_bytes == 4 * (6 * 32 + 64)


def test_fused_adamw_is_one_form_a_tensor() -> None:
    shapes = [(4, 4), (7,)]
    groups = [[view("fp32", *shape) for shape in shapes] for _ in range(4)]
    steps = [view("fp32"), view("fp32")]
    inputs = [each for group in groups for each in group] + steps
    node = call(
        "_fused_adamw_.default",
        inputs,
        [],
        self=("tensors", 2),
        grads=("tensors", 2),
        exp_avgs=("tensors", 2),
        exp_avg_sqs=("tensors", 2),
        max_exp_avg_sqs=(),
        state_steps=("tensors", 2),
        lr=1e-3,
        beta1=0.9,
        beta2=0.999,
        weight_decay=0.01,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
        grad_scale=None,
        found_inf=None,
    )
    forms = meaning(node)
    assert [type(form) for form in forms] == [Lanes, Lanes]
    assert [form.elements for form in forms if isinstance(form, Lanes)] == [16, 7]
    assert {operand.port for operand in forms[0].writes} == {"in0", "in4", "in6"}


def test_equal_work_prints_equally() -> None:
    one = meaning(call("mul.Tensor", [view("fp32", 4, 6), view("fp32", 4, 6)], [view("fp32", 4, 6)]))
    two = meaning(call("mul.Tensor", [view("fp32", 24), view("fp32", 24)], [view("fp32", 24)]))
    three = meaning(call("mul.Tensor", [view("fp32", 1, 24, 1)] * 2, [view("fp32", 1, 24, 1)]))
    assert one[0].text == two[0].text == three[0].text
