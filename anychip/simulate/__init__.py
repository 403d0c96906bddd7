"""Program to Trace, and what a program computes.

May import programs and everything below. Read `machine.py` first: it is the simulator.
"""

from anychip.simulate.machine import simulate_nest
from anychip.simulate.play import Player, simulate
from anychip.simulate.trace import EngineTime, Span, Trace

__all__ = ["EngineTime", "Player", "Span", "Trace", "simulate", "simulate_nest"]
