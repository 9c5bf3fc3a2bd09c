"""The imitation bound of GMPS: exact on tabular problems, estimated for trained policies.

`tabular` and `bounds` are the proof by computation: exact values on small random problems, on which
`tests/theory` and `benchmarks/theory_convergence.py` hold the theorem and the estimator. `sample`,
`estimate`, `certify` and `certificate` are what `gmps certify` runs.
"""
