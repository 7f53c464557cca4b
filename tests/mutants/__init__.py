"""Mutants of the decision: small changes of its SQL, and of its rendering, that some test has to notice.

Run by `make mutants`, not by CI.
"""
