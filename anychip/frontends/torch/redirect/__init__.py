"""Lets scripts written for CUDA (or XLA, Neuron) run on the device without a changed line.

Read `install.py` first: it lists what is redirected. Everything is done by replacing Python functions before
the script starts; modes would be missed by other threads and cost time at every call.
"""
