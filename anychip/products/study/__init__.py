"""Studies that anyone can rerun: the same training in several arithmetics, with its price.

Imports everything below. Read `training.py` first, then `pricing.py`; `command.py` is the command line.
"""
