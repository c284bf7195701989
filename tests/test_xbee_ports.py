"""Simulated XBee modules on ptys: the command, Digi's own library, and a serial radio through transparent mode."""

from __future__ import annotations

import logging
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from digi.xbee.devices import RemoteXBeeDevice, XBeeDevice
from digi.xbee.models.mode import OperatingMode
from digi.xbee.models.status import TransmitStatus

from hal.clock import SystemClock
from hal.interfaces import Duplex, Protection
from hal.serial_radio import SerialRadio
from sim.xbee import XBeePorts
from sim.xbee_process import XBeeProcess
from sim.xbee_products import IEEE_802_15_4, PRODUCTS, XBEE_900HP, Product

BAUD = 115_200
PATIENCE_S = 20  # for what takes at most a second or two; the machine may be busy


# ---------------------------------------------------------------- the command


def test_the_command_says_its_ports_and_takes_them_away_at_the_end(tmp_path: Path) -> None:
    links = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    with XBeeProcess(links, "--protocol", "zigbee") as modules:
        assert modules.links == [str(link) for link in links]
        assert len(set(modules.addresses)) == 3
        assert {address >> 32 for address in modules.addresses} == {0x0013A200}
        assert all(os.readlink(link).startswith("/dev/pts/") for link in links)
        with pytest.raises(ValueError, match="something else runs here"):
            XBeeProcess(links[:1])
        assert modules.close() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_nowhere_is_made_anew_and_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("mine")
    with XBeeProcess([tmp_path / "dead"]) as modules:
        assert modules.links == [str(tmp_path / "dead")]
    with pytest.raises(ValueError, match="file"):
        XBeeProcess([tmp_path / "dead", tmp_path / "file"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(ValueError, match="from 0 to 1"):
        XBeeProcess([tmp_path / "a"], "--loss", "2")


# ---------------------------------------------------------------- digi-xbee


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "digi_run" in metafunc.fixturenames:
        metafunc.parametrize("digi_run", range(metafunc.config.getoption("--digi-runs")))


@pytest.mark.parametrize("mode", ["api", "escaped"])
@pytest.mark.parametrize("protocol", PRODUCTS)
def test_digi_s_own_library_finds_nothing_wrong(
    protocol: str, mode: str, digi_run: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    links = [tmp_path / "near", tmp_path / "far"]
    with XBeeProcess(links, "--protocol", protocol, "--mode", mode, "--seed", str(digi_run)) as modules:
        near, far = (XBeeDevice(port, BAUD) for port in modules.links)
        try:
            near.open()
            far.open()
            for device, address in zip((near, far), modules.addresses, strict=True):
                check_parameters(device, address, PRODUCTS[protocol], mode)
            for sender, receiver in ((near, far), (far, near)):
                check_packets(sender, receiver, PRODUCTS[protocol])
        finally:
            near.close()
            far.close()
    assert caplog.records == []


def check_parameters(device: XBeeDevice, address: int, product: Product, mode: str) -> None:
    assert int(str(device.get_64bit_addr()), 16) == address
    assert device.operating_mode is {"api": OperatingMode.API_MODE, "escaped": OperatingMode.ESCAPED_API_MODE}[mode]
    assert device.get_firmware_version() == product.firmware.to_bytes(2, "big")
    assert int.from_bytes(device.get_parameter("NP"), "big") == product.payload_bytes
    device.set_node_id("gate")
    device.read_device_info()
    assert device.get_node_id() == "gate"


def check_packets(sender: XBeeDevice, receiver: XBeeDevice, product: Product) -> None:
    remote = RemoteXBeeDevice(sender, x64bit_addr=receiver.get_64bit_addr())
    data = random.Random(product.protocol).randbytes(product.payload_bytes)
    assert sender.send_data(remote, data).transmit_status is TransmitStatus.SUCCESS
    sender.send_data_broadcast(b"all")
    got = [receiver.read_data(PATIENCE_S) for _ in range(2)]
    assert [(bytes(message.data), message.is_broadcast) for message in got] == [(data, False), (b"all", True)]
    assert {message.remote_device.get_64bit_addr() for message in got} == {sender.get_64bit_addr()}


# ---------------------------------------------------------------- transparent mode


class Pair:
    """Two serial radios, each on a module in transparent mode; nothing moves but in carry()."""

    def __init__(self, product: Product, *, rtscts: bool) -> None:
        self.clock = SystemClock()
        self.ports = XBeePorts([None, None], product=product, mode=0)
        self.radios = [
            SerialRadio(port, BAUD, self.clock, duplex=Duplex.HALF, rtscts=rtscts) for port in self.ports.ports
        ]

    def carry(self, sender: SerialRadio, receiver: SerialRadio, packets: list[bytes], limit_s: float) -> list[bytes]:
        """Send these, as fast as the sender takes them; what has come when all has, or after limit_s."""
        end, left, got = self.clock.monotonic() + limit_s, list(packets), []
        while len(got) < len(packets) and (now := self.clock.monotonic()) < end:
            if left and sender.room:
                sender.send(left.pop(0), Protection.NONE)
            due = [end, *(when for radio in self.radios if (when := radio.deadline()) is not None)]
            fd = receiver.fileno()
            assert fd is not None
            self.ports.step(patience_s=max(0.0, min(due) - now), watch=(fd,))
            for radio in self.radios:
                radio.service()
            got += [arrival.packet for arrival in receiver.receive()]
        return got

    def close(self) -> None:
        for radio in self.radios:
            radio.close()
        self.ports.close()


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    product, rtscts = request.param
    made = Pair(product, rtscts=rtscts)
    yield made
    made.close()


@pytest.mark.parametrize("pair", [(product, True) for product in PRODUCTS.values()], indirect=True, ids=list(PRODUCTS))
def test_transparent_mode_carries_the_packets_of_a_serial_radio_both_ways(pair: Pair) -> None:
    near, far = pair.radios
    rng = random.Random(4)
    packets = [rng.randbytes(size) for size in (1, 70, 300, 900)]
    assert pair.carry(near, far, packets, PATIENCE_S) == packets
    assert pair.carry(far, near, packets, PATIENCE_S) == packets
    assert [radio.counts.frames_damaged for radio in pair.radios] == [0, 0]
    assert [module.counts.bytes_overrun for module in pair.ports.modules] == [0, 0]


@pytest.mark.parametrize("pair", [(IEEE_802_15_4, True)], indirect=True, ids=["802.15.4"])
def test_transparent_mode_carries_the_longest_packet_there_is(pair: Pair) -> None:
    near, far = pair.radios
    packets = [bytes([number]) * near.mtu_bytes for number in range(2)]
    assert pair.carry(near, far, packets, PATIENCE_S) == packets


@pytest.mark.parametrize("pair", [(XBEE_900HP, False)], indirect=True, ids=["900hp"])
def test_a_port_without_flow_control_overruns_the_module_and_costs_packets_only(pair: Pair) -> None:
    near, far = pair.radios
    pair.carry(near, far, [bytes([number]) * 1000 for number in range(1, 4)], 1)
    assert pair.ports.modules[0].counts.bytes_overrun > 1000
    assert far.counts.frames_damaged > 0
    assert pair.carry(near, far, [b"still there"], PATIENCE_S) == [b"still there"]


def test_the_command_in_the_docs_makes_modules(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    words = re.findall(r"^    python -m sim\.xbee (.*)$", text, re.MULTILINE)[0].split()
    links = [tmp_path / words[at + 1] for at, word in enumerate(words) if word == "--link"]
    with XBeeProcess(links, *words[2 * len(links) :]) as modules:
        assert modules.links == [str(link) for link in links]
