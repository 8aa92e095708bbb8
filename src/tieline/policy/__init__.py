"""Decisions, and nothing else.

Nothing in here reads a clock, sleeps, draws a random number, opens a socket, takes a lock or
logs: the time (``now``, monotonic seconds) and randomness (``draw``, uniform in [0, 1)) are
arguments. Whoever shares one of these objects between threads holds a lock around each call.
"""
