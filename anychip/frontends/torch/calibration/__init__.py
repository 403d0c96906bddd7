"""Timing this machine: probes of operators and of the framework, and whole models.

`timing` repeats calls in turns, `probes` says which operators are timed, `measuring` times them, `workloads`
has the whole models that predictions are set beside.
"""
