"""What the correctness of each part rests on, computed again by a command.

Imports everything below. Read `command.py` first, then `formats.py` and `curves.py`. Peers are ml_dtypes
(fast, nearest-even), gfloat (every rounding mode, from the definition) and mpmath (curves); they come with
the `test` extra.
"""
