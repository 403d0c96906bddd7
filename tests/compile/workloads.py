"""Random calls without torch, for every family of operators."""

from __future__ import annotations

from hypothesis import strategies as st

from anychip.programs.graph import Node, Place, Segment, Value, View


def view(number: int, format_name: str, *shape: int) -> View:
    strides: list[int] = []
    step = 1
    for extent in reversed(shape):
        strides.insert(0, step)
        step *= extent
    return View(number, format_name, shape, tuple(strides))


def matmul(format_name: str, batch: int, m: int, n: int, k: int) -> Node:
    left, right = view(0, format_name, batch, m, k), view(1, format_name, batch, k, n)
    return Node("aten.bmm.default", (), (left, right), (view(2, format_name, batch, m, n),))


def linear(format_name: str, m: int, n: int, k: int) -> Node:
    inputs = (view(0, format_name, n), view(1, format_name, m, k), view(2, format_name, k, n))
    return Node("aten.addmm.default", (), inputs, (view(3, format_name, m, n),))


def softmax(format_name: str, m: int, n: int) -> Node:
    attributes = (("dim", -1), ("half_to_float", False))
    return Node(
        "aten._softmax.default", attributes, (view(0, format_name, m, n),), (view(1, format_name, m, n),)
    )


def layer_norm(format_name: str, m: int, n: int) -> Node:
    attributes = (("normalized_shape", (n,)), ("eps", 1e-5))
    inputs = (view(0, format_name, m, n), view(1, format_name, n), view(2, format_name, n))
    outputs = (view(3, format_name, m, n), view(4, "fp32", m, 1), view(5, "fp32", m, 1))
    return Node("aten.native_layer_norm.default", attributes, inputs, outputs)


def elementwise(name: str, format_name: str, m: int, n: int) -> Node:
    inputs = [view(0, format_name, m, n)]
    if name in ("add", "mul", "div"):
        inputs.append(view(1, format_name, m, n))
        name += ".Tensor"
    else:
        name += ".default"
    return Node(f"aten.{name}", (), tuple(inputs), (view(2, format_name, m, n),))


def embedding(format_name: str, rows: int, width: int, table: int) -> Node:
    inputs = (view(0, format_name, table, width), view(1, "int64", rows))
    return Node("aten.embedding.default", (), inputs, (view(2, format_name, rows, width),))


def copied(format_name: str, m: int, n: int) -> Node:
    turned = View(0, format_name, (m, n), (1, m))
    return Node("aten.clone.default", (), (turned,), (view(1, format_name, m, n),))


def summed(format_name: str, m: int, n: int) -> Node:
    attributes = (("dim", (1,)),)
    return Node("aten.sum.dim_IntList", attributes, (view(0, format_name, m, n),), (view(1, format_name, m),))


def convolution(format_name: str, batch: int, channels: int, filters: int, size: int, kernel: int) -> Node:
    attributes = (
        ("bias", None), ("stride", (1, 1)), ("padding", (kernel // 2, kernel // 2)), ("dilation", (1, 1)),
        ("transposed", False), ("output_padding", (0, 0)), ("groups", 1),
    )  # fmt: skip
    inputs = (
        view(0, format_name, batch, channels, size, size),
        view(1, format_name, filters, channels, kernel, kernel),
    )
    return Node(
        "aten.convolution.default", attributes, inputs, (view(2, format_name, batch, filters, size, size),)
    )


def attention(format_name: str, batch: int, heads: int, queries: int, keys: int, width: int) -> Node:
    attributes = (("is_causal", queries == keys),)
    inputs = (
        view(0, format_name, batch, heads, queries, width),
        view(1, format_name, batch, heads, keys, width),
        view(2, format_name, batch, heads, keys, width),
    )
    outputs = (view(3, format_name, batch, heads, queries, width), view(4, "fp32", batch, heads, queries))
    return Node("aten._scaled_dot_product_efficient_attention.default", attributes, inputs, outputs)


def opaque(format_name: str, m: int, n: int) -> Node:
    return Node(
        "aten.linalg_inv_ex.default", (), (view(0, format_name, m, n),), (view(1, format_name, m, n),)
    )


extent = st.integers(1, 700)
small = st.integers(1, 6)
formats = st.sampled_from(["fp32", "bf16", "fp16"])
calls = st.one_of(
    st.builds(matmul, formats, small, extent, extent, extent),
    st.builds(linear, formats, extent, extent, extent),
    st.builds(softmax, formats, extent, extent),
    st.builds(layer_norm, formats, extent, extent),
    st.builds(elementwise, st.sampled_from(["add", "mul", "gelu", "tanh", "relu"]), formats, extent, extent),
    st.builds(embedding, formats, extent, extent, extent),
    st.builds(copied, formats, extent, extent),
    st.builds(summed, formats, extent, extent),
    st.builds(
        convolution, formats, small, st.integers(1, 160), st.integers(1, 160), st.integers(4, 40),
        st.sampled_from([1, 3]),
    ),
    st.builds(attention, formats, small, small, extent, extent, st.sampled_from([16, 64, 128])),
    st.builds(opaque, formats, st.integers(1, 64), st.integers(1, 64)),
)  # fmt: skip


def segment_of(*nodes: Node, place: Place | None = None) -> Segment:
    """A segment in which every node reads and writes values of its own."""
    values: list[Value] = []
    moved: list[Node] = []
    for node in nodes:
        renamed: dict[int, int] = {}
        for each in (*node.inputs, *node.outputs):
            if each.value not in renamed:
                renamed[each.value] = len(values)
                size = each.distinct_elements * 4
                values.append(Value(len(values), 0, size, "activation"))
        inputs = tuple(_renamed(each, renamed) for each in node.inputs)
        outputs = tuple(_renamed(each, renamed) for each in node.outputs)
        moved.append(Node(node.operator, node.attributes, inputs, outputs, place or node.place))
    return Segment(tuple(values), tuple(moved))


def _renamed(each: View, renamed: dict[int, int]) -> View:
    return View(renamed[each.value], each.format, each.shape, each.strides, each.offset)
