"""Faults at every point: each write use case is broken at each of its statements, and the whole service is killed."""
