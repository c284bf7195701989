"""Real units on simulated XBee modules."""

from __future__ import annotations

from pathlib import Path

from conftest import MakeUnit
from harness import check_read_out, holds

from sim.xbee_process import XBeeProcess


def test_a_picture_is_dispersed_through_modules_in_transparent_mode(
    make_unit: MakeUnit, tiny_pictures: Path, tmp_path: Path
) -> None:
    radio = {"baud": 115_200, "duplex": "half", "rtscts": True}
    links = [tmp_path / "port-1", tmp_path / "port-2"]
    with XBeeProcess(links, "--protocol", "802.15.4", "--mode", "transparent") as modules:
        camera = {"driver": "folder", "folder": str(tiny_pictures)}
        one = make_unit(1, modules.links[0], {"camera": camera, "radio": radio}).start()
        two = make_unit(2, modules.links[1], {"radio": radio}).start()
        shot = one.shoot()
        one.wait_until(lambda: holds(one.ask("list")[0], 2), "copy at unit 2")
        check_read_out(two, [shot], tiny_pictures, tmp_path / "at-2")
