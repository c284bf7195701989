"""What a unit decides: a pure core (unit, handover, determine, transfer, link …) and the thin shell that runs it."""
