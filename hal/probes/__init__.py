"""What a machine says of itself, as facts for `dandelion doctor`: read with time-outs and limits, nothing is changed.

Most take `root`, the directory that has dev/, etc/, proc/ and sys/: `/`, or a tree made like a board's in tests.
"""
