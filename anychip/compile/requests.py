"""What threads that walk a result in order fetch of operands that lie in another order.

Neighbouring threads make neighbouring elements of the result. A cache answers requests of a fixed size, so
that elements far apart in memory are fetched with all that lies around them. What neighbours leave of a
request others want soon after, so that main memory gives it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from anychip.operators import Lanes, Move, Operand
from anychip.operators.forms import element_bits

#: Threads whose accesses are answered together.
_TOGETHER = 32


def requested_bytes(form: Lanes | Move, request_bytes: int) -> tuple[float, float]:
    """Bytes that cross the ports of the cores while they read, and while they write.

    Args:
        form: whose operands are walked in the order in which the first result lies.
        request_bytes: that the cache answers with.
    """
    order = _order(form)
    read = sum(operand.bytes * _spread(form, operand, order, request_bytes) for operand in form.reads)
    written = sum(operand.bytes * _spread(form, operand, order, request_bytes) for operand in form.writes)
    return read, written


def _order(form: Lanes | Move) -> Sequence[int]:
    """Loops, fastest first, as the first result lies in memory."""
    strides = form.writes[0].strides if form.writes else ()
    return sorted((loop for loop, stride in enumerate(strides) if stride), key=lambda loop: strides[loop])


def _spread(form: Lanes | Move, operand: Operand, order: Sequence[int], request_bytes: int) -> float:
    """Bytes of requests for each byte wanted; 1 where neighbours share them all or elements are shared."""
    if operand.distinct < max(1, prod(form.extents)) or operand.windows:
        return 1.0
    size = element_bits(operand.format) / 8
    offsets = [0]
    for loop in order:
        if len(offsets) >= _TOGETHER:
            break
        steps = min(form.extents[loop], -(-_TOGETHER // len(offsets)))
        offsets = [start + step * operand.strides[loop] for step in range(steps) for start in offsets]
    touched = {int(offset * size) // request_bytes for offset in offsets}
    return max(1.0, len(touched) * request_bytes / max(request_bytes, len(offsets) * size))
