"""Views: geometry only. They make no form, no time and no traffic."""

from __future__ import annotations

from anychip.operators.arguments import Arguments
from anychip.operators.forms import Form
from anychip.operators.table import register


def nothing(_a: Arguments) -> tuple[Form, ...]:
    return ()


#: Reading a number, asking for a property, marking a range: no work of the chip's.
register(
    "_local_scalar_dense _conj _neg_view resolve_conj resolve_neg is_same_size equal sym_size.int "
    "profiler._record_function_enter_new.default profiler._record_function_exit._RecordFunction",
    "view",
    "self",
    nothing,
)
register(
    "unsafe_split.Tensor unsafe_split_with_sizes unsafe_chunk view_as",
    "view",
    "self",
    nothing,
)
register(
    "view view.dtype _unsafe_view reshape _reshape_alias as_strided t transpose.int transpose permute expand "
    "expand_as squeeze squeeze.dim squeeze.dims unsqueeze select.int slice.Tensor narrow split.Tensor "
    "split_with_sizes chunk unbind.int detach alias diagonal unfold movedim.int view_as_real view_as_complex "
    "real imag swapaxes lift lift_fresh flatten.using_ints unflatten.int set_.source_Storage",
    "view",
    "self",
    nothing,
)
