"""Blocks as hardware: Amaranth components, their Verilog, and runs of it in Verilator.

May import every room up to profile; Amaranth and pyosys live only here. Read `floats.py` for the
arithmetic, then `basecamp.py` for a whole chip.
"""
