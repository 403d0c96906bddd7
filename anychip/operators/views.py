"""Views: geometry only. They make no form, no time and no traffic."""

from __future__ import annotations

from anychip.operators.arguments import Arguments
from anychip.operators.forms import Form
from anychip.operators.table import register


def nothing(_a: Arguments) -> tuple[Form, ...]:
    return ()


register(
    "view view.dtype _unsafe_view reshape _reshape_alias as_strided t transpose.int transpose permute expand "
    "expand_as squeeze squeeze.dim squeeze.dims unsqueeze select.int slice.Tensor narrow split.Tensor "
    "split_with_sizes chunk unbind.int detach alias diagonal unfold movedim.int view_as_real view_as_complex "
    "real imag swapaxes lift lift_fresh flatten.using_ints unflatten.int set_.source_Storage",
    "view",
    "self",
    nothing,
)
