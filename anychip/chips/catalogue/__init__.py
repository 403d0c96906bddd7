"""Real chips as compositions of blocks, one file a family; every number is a Fact.

May import what `anychip.chips` may. A family file is imported when one of its chips is asked for: look
chips up with `anychip.chips.by_name`. Read `neuron.py` first.
"""
