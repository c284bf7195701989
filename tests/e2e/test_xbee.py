"""Two units on XBee modules: real processes, real ptys, simulated modules and air."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from conftest import MakeUnit
from harness import is_safe

from sim.xbee_process import XBeeProcess
from sim.xbee_products import PRODUCTS

SMALL = {"driver": "pattern", "size": [160, 120], "quality": 40}  # 3 kB
RADIO = {"driver": "xbee", "baud": 115_200}
MOST_GIVEN_UP = {"digimesh": 0, "802.15.4": 1}
"""Packets that a module gives up at most: DigiMesh tries each eleven times. 802.15.4 tries four times, and all of them
collide now and then where both modules send; the unit sends such a packet again."""


@pytest.mark.parametrize("protocol", MOST_GIVEN_UP)
def test_a_picture_is_dispersed_over_xbee_modules_and_read_out(
    make_unit: MakeUnit, tmp_path: Path, protocol: str
) -> None:
    links = [tmp_path / "xbee1", tmp_path / "xbee2"]
    with XBeeProcess(links, "--protocol", protocol) as modules:
        one = make_unit(1, modules.links[0], {"camera": SMALL, "radio": RADIO}).start()
        two = make_unit(2, modules.links[1], {"radio": RADIO}).start()
        shot = one.shoot()
        one.wait_until(lambda: all(is_safe(row) and row["copies"] for row in one.rows("list")), "a verified copy")
        one.wait_until(lambda: one.command("drop", shot["picture"]).code == 0, "its end")
        (got,) = one.rows("get", shot["picture"], "-o", tmp_path / "out")
        assert got["from_unit"] == 2
        assert hashlib.sha256(Path(got["path"]).read_bytes()).hexdigest() == shot["sha256"]
        (row,) = one.rows("units")
        assert -100 < row["rssi_dbm"] < 0
        radio = one.status()["radio"]
        assert radio["problem"] is None
        assert radio["frames_undelivered"] <= MOST_GIVEN_UP[protocol]
        assert radio["line_bytes_per_s"] == pytest.approx(PRODUCTS[protocol].throughput_bps / 8, rel=0.01)
        one.end()
        two.end()


def test_a_module_that_comes_later_starts_the_unit_anew_with_its_packets(make_unit: MakeUnit, tmp_path: Path) -> None:
    link = tmp_path / "xbee1"
    one = make_unit(1, str(link), {"radio": RADIO}).start()
    assert "cannot be opened" in one.status()["radio"]["problem"]
    with XBeeProcess([link], "--protocol", "900hp"):
        one.wait_until(lambda: one.said.count("ready: ") == 2, "a second start")
        assert one.said.count("the radio works again") == 1
        radio = one.status()["radio"]
        assert (radio["problem"], radio["line_bytes_per_s"]) == (None, 11_400)
        one.end()
