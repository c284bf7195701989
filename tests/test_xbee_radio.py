"""XBeeRadio on simulated modules: what it finds out, how it paces, and what it makes of modules that misbehave."""

from __future__ import annotations

import select
from dataclasses import replace

import pytest
from xbee_radio_scene import KERNEL_S, Scene

from hal.framing import CRC_BYTES, crc16
from hal.interfaces import Arrival, Protection
from hal.xbee_frames import Delivery, ModemStatus, ReceivePacket
from hal.xbee_framing import HALF_FRAME_S, ApiMode, pack
from hal.xbee_inquiry import AGAIN_S, ANSWER_S, ROUNDS, TRIES
from hal.xbee_module import Wanted
from hal.xbee_radio import MANY_RESETS, RESETS_WITHIN_S, STATUS_S, STRENGTH_EVERY_S
from sim.xbee_products import DIGIMESH, IEEE_802_15_4, PRODUCTS, SX868, XBEE_900HP, ZIGBEE

PACKET = b"packet" + crc16(b"packet").to_bytes(CRC_BYTES, "big")


@pytest.fixture
def make_scene(tmp_path):
    made = []

    def make(product=DIGIMESH, **options):
        made.append(Scene(tmp_path, product, **options))
        return made[-1]

    yield make
    for scene in made:
        scene.close()


@pytest.fixture
def pair(make_scene):
    """Two radios that know their modules."""
    return opened(make_scene())


def opened(scene, wanted=None):
    near, far = scene.sides
    return scene, near, scene.open(near, wanted), far, scene.open(far, wanted)


def send_all(scene, radio, packets, to=None):
    """One after the other, as the radio has room."""
    for packet in packets:
        scene.run_until(lambda: radio.room)
        radio.send(packet, Protection.NONE, to)


# ---------------------------------------------------------------- what the module is


@pytest.mark.parametrize(
    ("product", "mtu_bytes", "bytes_per_s"),
    [
        (DIGIMESH, 71, 3400),
        (IEEE_802_15_4, 100, 10_000),
        (ZIGBEE, 82, 4400),
        (XBEE_900HP, 254, 11_400),
        (SX868, 254, 3400),
    ],
)
@pytest.mark.parametrize("mode", [ApiMode.PLAIN, ApiMode.ESCAPED])
def test_what_the_module_is_is_read_at_the_start(make_scene, product, mtu_bytes, bytes_per_s, mode):
    scene = make_scene(product, AP=mode)
    radio = scene.open(scene.sides[0])
    assert (radio.mtu_bytes, radio.line_bytes_per_s) == (mtu_bytes, bytes_per_s)
    assert radio.inquiry.module.address == scene.sides[0].module.address
    assert radio.inquiry.mode is mode
    assert (radio.problem, radio.is_outdated, radio.counts.frames_damaged) == (None, False, 0)
    assert radio.room == 1


@pytest.mark.parametrize("payload_bytes", [66, 84, 100, 256, 2048])
def test_packets_of_every_size_that_fits_arrive(make_scene, payload_bytes):
    product = replace(DIGIMESH, payload_bytes=payload_bytes, serial_bytes=4096)
    scene, _, radio, far, _ = opened(make_scene(product))
    assert radio.mtu_bytes == payload_bytes - CRC_BYTES
    packets = [bytes([size % 256]) * size for size in (1, radio.mtu_bytes - 1, radio.mtu_bytes)]
    send_all(scene, radio, packets)
    scene.run_for(5)
    assert [arrival.packet for arrival in scene.arrivals(far)] == packets


def test_zigbee_packets_are_never_fragments(make_scene):
    scene = make_scene(replace(ZIGBEE, payload_bytes=255))
    assert scene.open(scene.sides[0]).mtu_bytes == 82


def test_a_module_that_tells_later_what_it_is_leaves_the_radio_outdated(make_scene):
    scene = make_scene()
    scene.sides[0].module.power_off(scene.clock.monotonic())
    radio = scene.open(scene.sides[0])
    assert "does not answer" in radio.problem
    assert "doctor --fix" in radio.problem
    assert (radio.mtu_bytes, radio.is_outdated) == (64, False)
    radio.send(bytes(64), Protection.NONE)  # lost
    assert radio.counts.frames_out == 0
    scene.sides[0].module.power_on(scene.clock.monotonic())
    scene.run_until(lambda: radio.is_outdated)
    assert radio.problem is None


def test_a_module_that_cannot_carry_the_smallest_packet_is_said_to_be_of_no_use(make_scene):
    scene = make_scene(replace(DIGIMESH, payload_bytes=49))
    radio = scene.open(scene.sides[0])
    assert "49 bytes" in radio.problem
    assert radio.mtu_bytes == 64
    radio.send(bytes(64), Protection.NONE)
    assert radio.counts.frames_out == 0


@pytest.mark.parametrize(
    ("product", "set_up", "wanted", "said"),
    [
        (DIGIMESH, {"SM": 4}, Wanted(), "sets SM = 0"),
        (DIGIMESH, {"D7": 0}, Wanted(flow_control=True), "sets D7 = 1"),
        (DIGIMESH, {"ID": 5}, Wanted(network=0x7FFF), "sets ID = 7FFF"),
        (DIGIMESH, {"CH": 0x0C}, Wanted(channel=0x17), "sets CH = 17"),
        (SX868, {"HP": 1}, Wanted(channel=3), "sets HP = 3"),
        (IEEE_802_15_4, {"MY": 0}, Wanted(), "sets MY = FFFF"),
        (IEEE_802_15_4, {"AO": 1, "MY": 7}, Wanted(), "sets AO = 2, MY = FFFF"),
    ],
)
def test_settings_that_should_be_others_are_a_problem_with_its_fix(make_scene, product, set_up, wanted, said):
    scene = make_scene(product, **set_up)
    assert said in scene.open(scene.sides[0], wanted).problem


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_settings_as_they_should_be_are_none(make_scene, product):
    scene = make_scene(product)
    module = scene.sides[0].module.settings
    channel = module.get("CH", module.get("HP", 0))
    wanted = Wanted(network=module["ID"], channel=channel, flow_control=True)
    assert scene.open(scene.sides[0], wanted).problem is None


# ---------------------------------------------------------------- to one, and to all


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
@pytest.mark.parametrize("mode", [ApiMode.PLAIN, ApiMode.ESCAPED])
def test_a_packet_to_all_tells_its_sender_and_one_to_that_comes_back(make_scene, product, mode):
    scene = make_scene(product, count=3, AP=mode)
    radios = [scene.open(side) for side in scene.sides]
    special = b"\x7e\x7d\x11\x13\x00\xff"
    send_all(scene, radios[0], [special])
    scene.run_for(2)
    for side in scene.sides[1:]:
        (arrival,) = scene.arrivals(side)
        assert (arrival.packet, arrival.sender) == (special, scene.sides[0].module.address)
        assert (arrival.rssi_dbm is not None) is (product is IEEE_802_15_4)
    send_all(scene, radios[2], [b"back"], arrival.sender)
    scene.run_for(2)
    assert [arrival.packet for arrival in scene.arrivals(scene.sides[0])] == [b"back"]
    assert scene.arrivals(scene.sides[1]) == []


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_how_strong_a_sender_is_heard_is_told_with_its_next_packets(make_scene, product):
    scene = make_scene(product, count=3)
    radios = [scene.open(side) for side in scene.sides]
    for _ in range(3):
        for radio in radios[1:]:
            send_all(scene, radio, [b"x"])
            scene.run_for(STRENGTH_EVERY_S + 0.1)
    strengths = {arrival.sender: arrival.rssi_dbm for arrival in scene.arrivals(scene.sides[0])}
    assert len(strengths) == 2
    stations = scene.air._stations
    for side in scene.sides[1:]:
        strength = scene.air._strength(stations[0], stations[scene.sides.index(side)])
        assert strengths[side.module.address] == strength


def test_a_strength_that_may_be_of_another_sender_is_not_told(make_scene):
    scene = make_scene(count=3)
    side = scene.sides[0]
    radio = scene.open(side)
    for source in (1, 2):  # the second comes before the answer about the first
        scene.say(side, pack(ReceivePacket(source=source, options=0, data=PACKET), ApiMode.PLAIN))
    scene.run_for(1)
    scene.say(side, pack(ReceivePacket(source=1, options=0, data=PACKET), ApiMode.PLAIN))
    assert [arrival.rssi_dbm for arrival in scene.arrivals(side)] == [None] * 3
    assert radio.counts.frames_damaged == 0


def test_a_packet_to_a_module_that_is_not_there_counts_as_undelivered(pair):
    scene, near, radio, _, _ = pair
    send_all(scene, radio, [b"x"], near.module.address + 77)
    scene.run_until(lambda: radio.counts.frames_undelivered)
    assert (radio.counts.frames_out, radio.counts.frames_undelivered, radio.room) == (1, 1, 1)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0", b"no packet at all", bytes(71)])
def test_what_a_stranger_sends_is_damaged(pair, data):
    scene, _, _, far, radio = pair
    scene.say(far, pack(ReceivePacket(source=1, options=0, data=data), ApiMode.PLAIN))
    assert scene.arrivals(far) == []
    assert radio.counts.frames_damaged == 1


@pytest.mark.parametrize("source", [0xFFFF, (1 << 64) - 1])
def test_a_module_that_does_not_know_who_sent_says_nobody(pair, source):
    scene, _, _, far, _ = pair
    scene.say(far, pack(ReceivePacket(source=source, options=0, data=PACKET), ApiMode.PLAIN))
    assert scene.arrivals(far) == [Arrival(b"packet")]


# ---------------------------------------------------------------- pacing


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_the_module_is_kept_busy_and_its_buffer_never_overruns(make_scene, product):
    scene, near, radio, far, _ = opened(make_scene(product))
    packets = [number.to_bytes(2, "big") * (radio.mtu_bytes // 2) for number in range(60)]
    began = scene.clock.monotonic()
    send_all(scene, radio, packets, far.module.address)
    rate = sum(map(len, packets)) / (scene.clock.monotonic() - began)
    scene.run_for(2)
    assert [arrival.packet for arrival in scene.arrivals(far)] == packets
    assert (near.module.counts.frames_overrun, radio.counts.frames_undelivered) == (0, 0)
    assert rate > 0.72 * product.throughput_bps / 8


def test_no_more_packets_are_ahead_than_the_module_has_told_about(pair):
    scene, near, radio, far, _ = pair
    near.module.power_off(scene.clock.monotonic())  # takes everything, tells nothing
    sent = 0
    for _ in range(100):
        scene.clock.advance(0.05)
        if radio.room:
            radio.send(bytes(71), Protection.NONE, far.module.address)
            sent += 1
    assert sent == 2


def test_a_status_that_never_comes_has_the_module_asked_anew(pair):
    scene, near, radio, _, _ = pair
    radio.send(b"x", Protection.NONE)
    near.heard_bytes = radio.counts.bytes_out  # the module did not get it
    near.pty.read(4096)
    scene.run_for(STATUS_S - 0.1)
    asked_bytes = radio.counts.bytes_out
    assert radio.room == 1  # for one more
    scene.run_for(1)
    assert radio.counts.bytes_out > asked_bytes
    assert radio.counts.frames_undelivered == 1
    assert (radio.room, radio.problem, radio.is_outdated) == (1, None, False)


# ---------------------------------------------------------------- resets, damage, time


def test_after_a_brown_out_the_settings_are_read_anew_and_the_radio_goes_on(pair):
    scene, near, radio, far, _ = pair
    send_all(scene, radio, [bytes(71)] * 2, far.module.address)
    near.module.settings._written["AP"] = b"\2"  # what it wakes with
    near.module.power_on(scene.clock.monotonic())
    scene.run_for(1)
    assert radio.inquiry.mode is ApiMode.ESCAPED
    assert (radio.room, radio.problem) == (1, None)
    scene.arrivals(far)
    send_all(scene, radio, [b"again"], far.module.address)
    scene.run_for(1)
    assert [arrival.packet for arrival in scene.arrivals(far)] == [b"again"]


def test_a_module_that_browns_out_whenever_it_sends_is_a_problem_until_a_minute_without(pair):
    scene, near, radio, far, _ = pair
    for number in range(MANY_RESETS):
        assert radio.problem is None
        send_all(scene, radio, [bytes(71)], far.module.address)
        near.module.power_on(scene.clock.monotonic())
        scene.run_until(lambda: radio.is_asking)
        assert radio.counts.frames_undelivered == number + 1
    assert "restarts again and again; the unit asks it anew" in radio.problem
    assert "supply" in radio.problem
    scene.run_until(lambda: radio.room)  # it goes on being tried
    scene.run_for(RESETS_WITHIN_S - 1)
    assert "restarts again" in radio.problem
    assert radio.deadline() <= scene.clock.monotonic() + 1
    scene.run_for(1)
    assert (radio.problem, radio.room, radio.is_outdated) == (None, 1, False)


def test_restarts_that_are_far_apart_are_no_problem(pair):
    scene, near, radio, _, _ = pair
    for _ in range(2 * MANY_RESETS):
        near.module.power_on(scene.clock.monotonic())
        scene.run_for(RESETS_WITHIN_S / (MANY_RESETS - 1) + 1)
        assert radio.problem is None


def test_a_module_that_restarts_faster_than_it_tells_what_it_is_has_failed(pair):
    scene, near, radio, _, _ = pair
    for _ in range(2 * ROUNDS):
        scene.say(near, pack(ModemStatus(status=0), ApiMode.PLAIN))
    assert (radio.inquiry.failed, radio.inquiry.module) == (True, None)
    assert "restarts again and again" in radio.problem
    assert radio.room == 1  # whatever is sent is lost: nobody waits for it
    scene.run_for(AGAIN_S + 1)
    assert (radio.inquiry.failed, radio.is_outdated) == (False, False)
    scene.run_for(RESETS_WITHIN_S)
    assert radio.problem is None


def test_while_it_is_asked_the_module_is_handed_no_packet(pair):
    scene, near, radio, _, _ = pair
    scene.say(near, pack(ModemStatus(status=0), ApiMode.PLAIN))
    assert (radio.is_asking, radio.room) == (True, 0)
    scene.run_until(lambda: radio.room)
    assert not radio.is_asking


def test_a_port_that_comes_back_may_lead_to_another_module(pair):
    scene, near, radio, _, _ = pair
    near.unplug()
    radio.receive()
    assert "went away" in radio.problem
    near.module.settings.told["NP"] = (100).to_bytes(2, "big")
    near.plug()
    scene.run_until(lambda: radio.is_outdated)
    assert (radio.problem, radio.counts.reopened) == (None, 1)


def test_other_words_of_the_module_change_nothing(pair):
    scene, near, radio, _, _ = pair
    for status in range(2, 256):
        scene.say(near, pack(ModemStatus(status=status), ApiMode.PLAIN))
    assert (radio.room, radio.is_asking) == (1, False)


def test_a_module_that_loses_power_is_a_problem_once_it_is_asked(pair):
    scene, near, radio, _, _ = pair
    near.module.power_off(scene.clock.monotonic())
    radio.send(b"x", Protection.NONE)
    scene.run_for(STATUS_S - 0.1)
    assert radio.problem is None
    scene.run_for(TRIES * ANSWER_S + 0.2)
    assert "does not answer" in radio.problem
    assert radio.room == 1  # whatever is sent is lost: nobody waits for it
    near.module.power_on(scene.clock.monotonic())
    scene.run_for(1)
    assert (radio.problem, radio.is_outdated) == (None, False)


def test_half_a_frame_does_not_block_what_comes_after_it(pair):
    scene, _, radio, far, _ = pair
    scene.say(far, pack(ReceivePacket(source=1, options=0, data=bytes(70)), ApiMode.PLAIN)[:30])
    scene.run_for(1)
    send_all(scene, radio, [b"next"])
    scene.run_for(1)
    assert [arrival.packet for arrival in scene.arrivals(far)] == [b"next"]


def test_a_good_frame_behind_a_damaged_length_arrives_once_that_is_given_up(pair):
    scene, _, _, far, heard = pair
    frame = pack(ReceivePacket(source=1, options=0, data=PACKET), ApiMode.PLAIN)
    longer = bytearray(frame)
    longer[1] |= 0x04
    scene.say(far, bytes(longer) + frame)
    assert scene.arrivals(far) == []
    scene.run_for(HALF_FRAME_S)
    assert scene.arrivals(far) == [Arrival(b"packet", 1)]
    assert (heard.counts.frames_in, heard.counts.frames_damaged) == (1, 1)


def test_whoever_is_late_takes_first_what_has_come(pair):
    scene, _, _, far, radio = pair
    frame = pack(ReceivePacket(source=1, options=0, data=PACKET), ApiMode.PLAIN)
    scene.say(far, frame[:9])
    far.pty.write(frame[9:])
    assert select.select([radio.fileno()], [], [], KERNEL_S)[0]
    scene.clock.advance(2 * HALF_FRAME_S)
    radio.service()
    assert radio.receive() == [Arrival(b"packet", 1)]
    assert (radio.counts.frames_in, radio.counts.frames_damaged) == (1, 0)


def test_reading_nothing_does_not_prolong_half_a_frame(pair):
    scene, _, _, far, radio = pair
    scene.say(far, pack(ReceivePacket(source=1, options=0, data=PACKET), ApiMode.PLAIN)[:9])
    due = radio.deadline()
    scene.clock.advance(HALF_FRAME_S / 2)
    assert radio.receive() == []
    assert radio.deadline() == due


def test_an_exchanged_module_of_another_kind_takes_what_fits_and_the_rest_is_lost(make_scene):
    scene, near, radio, far, _ = opened(make_scene(XBEE_900HP))
    near.module.settings.told["NP"] = (100).to_bytes(2, "big")
    near.module.power_on(scene.clock.monotonic())
    scene.run_until(lambda: radio.is_outdated)
    send_all(scene, radio, [bytes(254), bytes(98)], far.module.address)
    scene.run_for(1)
    assert scene.arrivals(far) == [Arrival(bytes(98), near.module.address)]


def test_a_delivery_that_failed_makes_room(pair):
    scene, near, radio, far, _ = pair
    far.module.power_off(scene.clock.monotonic())
    send_all(scene, radio, [bytes(71)] * 3, far.module.address)
    scene.run_until(lambda: radio.counts.frames_undelivered == 3)
    assert near.module.counts.packets_failed == 3
    assert near.module.product.no_ack is not Delivery.SUCCESS
