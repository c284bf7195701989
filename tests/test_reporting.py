"""REPORTs as they are said: what may follow at once goes with the newest one only."""

from boards import Board

from firmware.ranges import RangeSet
from firmware.reporting import say_report
from firmware.transfer import Receiver


def test_a_report_that_never_left_asks_for_nothing_by_the_next_one():
    core = Board(1).core
    core.burst_bytes = 14_000
    receiver = Receiver(20_000, RangeSet())
    receiver.on_part(0, bytes(64), core.now, core.now)
    say_report(core, 2, 5, receiver, 20_000)
    assert core.asked_for_bytes == {(2, 5): 20_000 - 64}
    receiver.on_part(64, bytes(1000), core.now, core.now)
    say_report(core, 2, 5, receiver, 20_000)
    assert not core.asked_for_bytes
