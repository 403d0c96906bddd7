"""Program to Trace, and what a program computes.

May import programs and everything below. Read `machine.py` first: it is the simulator.
"""
