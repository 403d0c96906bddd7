"""``anychip validate``: predictions beside published measurements, never pooled only."""

from anychip.products.validate.command import main

__all__ = ["main"]
