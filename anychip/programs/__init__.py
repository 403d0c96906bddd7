"""Graph (no chip) and Program (one chip), their text forms, and loops expanded.

May import chips and everything below. Read `graph.py` first, then `program.py`.
"""
