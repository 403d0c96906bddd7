"""Choose: one captured workload, priced on every chip one can rent, ranked by what the user minimises.

Read `question.py`, then `answer.py`.
"""
