"""``anychip calibrate``: measures the machine it stands on and writes it down as a chip.

`command` is the command line, `fitting` finds the constants, `chip_file` writes them, `check` sets
predictions of whole models beside their measured times.
"""
