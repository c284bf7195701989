"""What a unit decides: a pure core (unit, handover, determine, transfer, link …) and the thin shell that runs it."""

VERSION = "0.1.0"
"""Of the project: semantic versioning. The wire format has one of its own (firmware/link.py)."""
