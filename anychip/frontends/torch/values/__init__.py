"""The meanings of operators evaluated on torch CPU tensors, in a chip's arithmetic.

Imports torch, operators, arithmetic and formats. Read `handlers.py` first, then `evaluation.py`.
"""

from anychip.frontends.torch.values.handlers import Handler, Order, Values, handler, order_of, values_of

__all__ = ["Handler", "Order", "Values", "handler", "order_of", "values_of"]
