"""Which tests pytest-xdist gives to one worker."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

SECOND_LOT = "tests/e2e/test_s"


class Lots(LoadScopeScheduling):
    """Real units, each several processes in real time, run beside all else: in two lots, each one test after the other.

    Both take about as long. All other tests go to whichever worker is free. (Its own groups pytest-xdist 3.8 does not
    see with pytest 9.2.)
    """

    def _split_scope(self, nodeid: str) -> str:
        if not nodeid.startswith("tests/e2e/"):
            return nodeid
        return "first lot" if nodeid < SECOND_LOT else "second lot"
