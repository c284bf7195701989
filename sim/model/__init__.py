"""Model check of the hand-over: every order of events of one picture, its origin and its hosts, over the shipped rules.

What decides is firmware/handover.py itself; what stands around it is told again here, small enough to be looked at
beside its original: which events a unit begins (origin.py, host.py), what start-up does (the same), and a network that
is the set of all messages ever sent (values.py). search.py visits the states, rules.py says what must hold in each,
settle.py that each can come to an end.
"""
