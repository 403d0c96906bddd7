"""Work counts against numbers worked out by hand."""

from __future__ import annotations

from anychip.operators import Contract, Host, Lanes, Rows, meaning, total, work
from tests.operators.calls import call, view


def demand(node):
    return total(work(form) for form in meaning(node))


def test_addmm_counts_products_and_the_bias() -> None:
    node = call(
        "addmm.default",
        [view("fp32", 7), view("fp32", 3, 5), view("fp32", 5, 7, strides=(1, 5))],
        [view("fp32", 3, 7)],
    )
    (form,) = meaning(node)
    assert isinstance(form, Contract)
    assert (form.problems, form.m, form.n, form.k) == (1, 3, 7, 5)
    found = work(form)
    assert found.macs == {"fp32": 3 * 7 * 5}
    assert found.lane_operations == 21
    assert found.read_bytes == 4 * (7 + 15 + 35)
    assert found.written_bytes == 4 * 21


def test_addmm_with_factors_scales_in_the_epilogue() -> None:
    node = call(
        "addmm.default",
        [view("bf16", 7), view("bf16", 3, 5), view("bf16", 5, 7)],
        [view("bf16", 3, 7)],
        beta=0.5,
        alpha=2,
    )
    assert demand(node).lane_operations == 3 * 21


def test_batched_left_against_one_matrix_is_one_product() -> None:
    node = call(
        "linear.default",
        [view("bf16", 4, 6, 16), view("bf16", 8, 16)],
        [view("bf16", 4, 6, 8)],
        bias=None,
    )
    (form,) = meaning(node)
    assert isinstance(form, Contract)
    assert (form.batch, form.m, form.n, form.k) == ((), 24, 8, 16)


def test_broadcast_operand_moves_once() -> None:
    node = call("add.Tensor", [view("bf16", 64, 32), view("bf16", 32)], [view("bf16", 64, 32)])
    (form,) = meaning(node)
    assert isinstance(form, Lanes)
    assert form.extents == (64, 32)
    found = work(form)
    assert found.lane_operations == 64 * 32
    assert found.read_bytes == 2 * (64 * 32 + 32)


def test_scalar_operand_is_a_constant() -> None:
    node = call("mul.Tensor", [view("fp32", 10)], [view("fp32", 10)], other=0.5)
    (form,) = meaning(node)
    assert isinstance(form, Lanes)
    assert form.recipe.text == "{%1 = mul %0 #0.5 => %1}"


def test_sum_over_rows_of_a_transpose() -> None:
    node = call("sum.dim_IntList", [view("fp32", 4, 8)], [view("fp32", 1, 8)], dim=(0,), keepdim=True)
    (form,) = meaning(node)
    assert isinstance(form, Rows)
    assert (form.count, form.elements) == (8, 4)
    assert work(form).lane_operations == 8 * 3


def test_softmax_counts_its_curves() -> None:
    node = call("_softmax.default", [view("fp32", 4, 8)], [view("fp32", 4, 8)], dim=-1)
    found = demand(node)
    assert found.curves == {"exp": 2 * 32}
    # maximum and sum join 7 times a row; two subtractions and one division an element
    assert found.lane_operations == 4 * 14 + 3 * 32


def test_in_place_and_out_variants_mean_the_same() -> None:
    tensors = [view("fp32", 8), view("fp32", 8)]
    plain = meaning(call("add.Tensor", tensors, [view("fp32", 8)]))
    in_place = meaning(call("add_.Tensor", tensors, [view("fp32", 8)]))
    out = meaning(call("add.out", [*tensors, view("fp32", 8)], [view("fp32", 8)]))
    assert plain == in_place == out


def test_foreach_is_one_form_a_tensor() -> None:
    tensors = [view("fp32", 4), view("fp32", 6), view("fp32", 4), view("fp32", 6)]
    node = call(
        "_foreach_add_.List", tensors, tensors[:2], self=("tensors", 2), other=("tensors", 2), alpha=-0.1
    )
    assert [form.text for form in meaning(node)] == [
        "lanes (4,) in0:fp32(1)#4, in2:fp32(1)#4 -> out0:fp32(1)#4 {%2 = mul %1 #-0.1; %3 = add %0 %2 => %3}",
        "lanes (6,) in1:fp32(1)#6, in3:fp32(1)#6 -> out1:fp32(1)#6 {%2 = mul %1 #-0.1; %3 = add %0 %2 => %3}",
    ]


def test_unknown_operator_is_host_work() -> None:
    node = call("frobnicate.default", [view("bf16", 5, 3)], [view("int64", 4)])
    (form,) = meaning(node)
    assert isinstance(form, Host)
    found = work(form)
    assert (found.host_operations, found.read_bytes, found.written_bytes) == (15, 30, 32)
