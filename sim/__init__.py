"""The same machine made of memory, ptys and chance: simulated parts, a link emulator, a fleet of real processes."""
