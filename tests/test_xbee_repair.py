"""A module that is set otherwise is found and set: as from the factory, at another rate, asleep, on another channel."""

from __future__ import annotations

import select
import termios
from itertools import count

import pytest
from xbee_radio_scene import BAUD, KERNEL_S, Scene

import sim.xbee_module
from hal.errors import RadioError
from hal.interfaces import RadioCounts
from hal.serial_port import SerialPort
from hal.xbee_frames import AtResponse, ModemStatus
from hal.xbee_framing import ApiMode, pack
from hal.xbee_module import ASKED, Wanted
from hal.xbee_radio import MOST_AT_START_S, open_radio
from hal.xbee_repair import all_needs, find, repair
from sim.xbee_products import DIGIMESH, IEEE_802_15_4, PRODUCTS, SX868

SPEEDS = {
    termios.B1200: 1200,
    termios.B9600: 9600,
    termios.B19200: 19_200,
    termios.B57600: 57_600,
    termios.B115200: 115_200,
}


class Bench:
    """One module, at the end of a pty; what is said at another rate than its own is noise to either."""

    def __init__(self, directory, product, **set_up):
        self.scene = Scene(directory, product, count=1, **set_up)
        (self.side,) = self.scene.sides
        self.module, self.name, self.clock = self.side.module, str(self.side.link), self.scene.clock
        self._heard = {}  # port -> bytes

    @property
    def ports(self):
        """All that it was opened as."""
        return set(self._heard)

    def wait(self, port, seconds):
        until = self.clock.monotonic() + seconds
        self._hear(port)
        while not select.select([port.fileno()], [], [], 0)[0] and self.clock.monotonic() < until:
            due = self.scene.air.deadline()
            self.clock.advance_to(max(self.clock.monotonic(), until if due is None else min(due, until)))
            said = self.module.read(self.clock.monotonic())
            if said and self.side.pty.write(self._as_heard(said)):
                assert select.select([port.fileno()], [], [], KERNEL_S)[0]

    def _hear(self, port):
        while self._heard.get(port, 0) < port.counts.bytes_out:
            assert select.select([self.side.pty.fd], [], [], KERNEL_S)[0]
            data = self.side.pty.read(1000)
            self._heard[port] = self._heard.get(port, 0) + len(data)
            self.module.write(self._as_heard(data), self.clock.monotonic())

    def _as_heard(self, data):
        speed = SPEEDS[termios.tcgetattr(self.side.pty.fd)[4]]
        return data if speed == 10 * self.module.settings.serial_bytes_per_s else bytes(byte ^ 0xA5 for byte in data)

    def find(self, baud=BAUD, **options):
        return find(self.name, baud, self.clock, wait=self.wait, **options)

    def repair(self, found, wanted, baud=BAUD):
        return repair(self.name, found, wanted, baud, self.clock, wait=self.wait)

    def setting(self, name):
        """As it is after the power was away."""
        self.module.settings.reset()
        return self.module.settings[name]


@pytest.fixture
def make_bench(tmp_path):
    made = []

    def make(product=DIGIMESH, **set_up):
        made.append(Bench(tmp_path, product, **set_up))
        return made[-1]

    yield make
    for bench in made:
        bench.scene.close()


FACTORY = {"AP": 0, "BD": 3}


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_a_module_as_from_the_factory_is_found_and_set_so_that_a_unit_can_use_it(make_bench, product):
    bench = make_bench(product, **FACTORY, **({"MY": 0} if product is IEEE_802_15_4 else {}))
    found = bench.find()
    assert (found.baud, found.module) == (9600, None)
    assert [need.setting for need in all_needs(found, Wanted(), BAUD)] == ["AP", "BD"]
    done, module = bench.repair(found, Wanted(network=0x1234))
    assert [need.setting for need in done if need.setting != "MY"] == ["AP", "BD", "ID"]
    assert (bench.setting("AP"), bench.setting("BD"), bench.setting("ID")) == (1, 7, 0x1234)
    assert module.settings["ID"] == 0x1234
    assert all_needs(bench.find(), Wanted(network=0x1234), BAUD) == []


@pytest.mark.parametrize("mode", [ApiMode.PLAIN, ApiMode.ESCAPED])
def test_a_module_that_is_set_as_it_should_be_is_left_as_it_is(make_bench, mode):
    bench = make_bench(AP=mode)
    found = bench.find()
    assert (found.baud, found.module.settings["AP"]) == (BAUD, mode)
    assert bench.repair(found, Wanted())[0] == []
    assert bench.setting("AP") == mode


@pytest.mark.parametrize(
    ("product", "set_up", "wanted", "setting", "value"),
    [
        (DIGIMESH, {"SM": 4, "AP": 2}, Wanted(), "SM", 0),
        (DIGIMESH, {"CH": 12}, Wanted(channel=0x17), "CH", 0x17),
        (SX868, {"HP": 1}, Wanted(channel=3), "HP", 3),
        (IEEE_802_15_4, {"MY": 7}, Wanted(), "MY", 0xFFFF),
        (DIGIMESH, {"BD": 6}, Wanted(), "BD", 7),
    ],
)
def test_what_is_set_outlives_the_power(make_bench, product, set_up, wanted, setting, value):
    bench = make_bench(product, **set_up)
    done, _ = bench.repair(bench.find(), wanted)
    assert [need.setting for need in done] == [setting]
    assert bench.setting(setting) == value


def test_a_channel_that_the_product_has_not_is_refused_in_words(make_bench):
    bench = make_bench()
    with pytest.raises(RadioError, match="refuses CH = 3; nothing more was set"):
        bench.repair(bench.find(), Wanted(channel=3))


@pytest.mark.parametrize(
    ("set_up", "openings", "said"), [({"AP": 0}, 2, "after AP was set to 1"), ({}, 1, "does not answer any more")]
)
def test_a_module_that_is_silent_at_the_last_look_is_told_in_words(make_bench, set_up, openings, said):
    bench = make_bench(**set_up)
    found = bench.find()
    last = len(bench.ports) + openings

    def wait(port, seconds):
        if len(bench.ports | {port}) > last:
            bench.module.power_off(bench.clock.monotonic())
        bench.wait(port, seconds)

    with pytest.raises(RadioError, match=f"{said}; nothing more was set; take its power away"):
        repair(bench.name, found, Wanted(), BAUD, bench.clock, wait=wait)


def test_where_there_is_no_module_nothing_is_found(make_bench):
    bench = make_bench()
    bench.module.power_off(bench.clock.monotonic())
    assert bench.find(rates=(9600,)) is None


@pytest.mark.parametrize(("answer_s", "rate", "set_up"), [(0.11, BAUD, {}), (0.01, 1200, {"BD": 0}), (0.25, BAUD, {})])
def test_one_start_suffices_for_a_module_that_is_slow(make_bench, monkeypatch, answer_s, rate, set_up):
    monkeypatch.setattr(sim.xbee_module, "ANSWER_S", answer_s)
    bench = make_bench(**set_up)
    port = SerialPort(bench.name, rate, bench.clock, RadioCounts(), rtscts=False, pty_only=False)
    radio = open_radio(port, bench.clock, Wanted(), wait=bench.wait)
    assert radio.inquiry.module is not None
    assert (radio.mtu_bytes, radio.is_outdated, radio.problem) == (71, False, None)
    radio.close()


def test_a_start_waits_no_longer_than_it_says_however_slowly_it_gets_on(make_bench):
    bench = make_bench()
    answers = [AtResponse(frame_id=1 + at, command=name, status=0, value=b"\1") for at, name in enumerate(ASKED)]
    to_say = [None, *answers[:10], ModemStatus(status=0), *answers]

    def wait(port, seconds):
        bench.clock.advance(seconds)
        if (waits := next(numbers)) % 2 == 0:  # each question is said twice
            bench.side.pty.write(pack(to_say[waits // 2], ApiMode.PLAIN))
            assert select.select([port.fileno()], [], [], KERNEL_S)[0]

    numbers = count(1)
    port = SerialPort(bench.name, BAUD, bench.clock, RadioCounts(), rtscts=False, pty_only=False)
    began = bench.clock.monotonic()
    radio = open_radio(port, bench.clock, Wanted(), wait=wait)
    assert bench.clock.monotonic() - began == pytest.approx(MOST_AT_START_S)
    assert (radio.mtu_bytes, radio.is_asking) == (64, True)
    radio.close()


def test_a_port_that_cannot_be_opened_is_said(make_bench):
    bench = make_bench()
    with pytest.raises(RadioError, match="cannot be opened"):
        find(bench.name + "x", BAUD, bench.clock, wait=bench.wait)
