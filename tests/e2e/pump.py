"""A second, much simpler line emulator, so that units are not only tried on the project's own.

    python pump.py BAUD CHUNK

joins two ptys: reads up to CHUNK bytes at one end, and hands them over at the other once a line of that rate (8N1)
would have carried them. Prints the two paths; ends when its standard input does. It records what it carries: a line of
standard input has it hand over again all that the second port has ever been given, and say how many bytes that were.
"""

import contextlib
import os
import select
import sys
import termios
import time


def raw_pty() -> tuple[int, int]:
    """Master and slave, passing bytes as they are."""
    master, slave = os.openpty()
    flags = termios.tcgetattr(slave)
    flags[0] = flags[1] = flags[3] = 0  # no input, output, local processing
    termios.tcsetattr(slave, termios.TCSANOW, flags)
    os.set_blocking(master, False)
    return master, slave


def say_again(port: int, recorded: bytes, baud: int, chunk_bytes: int) -> None:
    """At the line's pace, whatever the units say meanwhile."""
    begun = time.monotonic()
    for at in range(0, len(recorded), chunk_bytes):
        select.select([], [], [], max(0.0, begun + at * 10 / baud - time.monotonic()))
        with contextlib.suppress(BlockingIOError):
            os.write(port, recorded[at : at + chunk_bytes])


def main(baud: int, chunk_bytes: int) -> None:
    """Pump until standard input ends."""
    (a, a_slave), (b, b_slave) = raw_pty(), raw_pty()
    print(os.ttyname(a_slave), os.ttyname(b_slave), flush=True)
    other = {a: b, b: a}
    due: dict[int, tuple[float, bytes]] = {}  # sender -> when what is on its way arrives, and what
    free_at = dict.fromkeys(other, 0.0)
    given = bytearray()  # to the second port
    while True:
        waits = [max(0.0, when - time.monotonic()) for when, _ in due.values()]
        ready, _, _ = select.select(
            [sys.stdin, *(fd for fd in other if fd not in due)], [], [], min(waits, default=None)
        )
        if sys.stdin in ready:
            if not sys.stdin.readline():
                return
            say_again(b, given, baud, chunk_bytes)
            print(len(given), flush=True)
        now = time.monotonic()
        for fd in set(ready) & other.keys():
            data = os.read(fd, chunk_bytes)
            free_at[fd] = max(free_at[fd], now - chunk_bytes * 10 / baud) + len(data) * 10 / baud
            due[fd] = free_at[fd], data
        for fd, (when, data) in list(due.items()):
            if when <= now:
                del due[fd]
                if fd == a:
                    given += data
                with contextlib.suppress(BlockingIOError):  # nobody reads there: lost, as on a real line
                    os.write(other[fd], data)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
