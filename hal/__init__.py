"""The machine under a unit: camera, card, radio, button and LED, clock. Knows nothing of the firmware above it."""
