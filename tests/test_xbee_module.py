"""The simulated XBee module's serial side: parameters, frames, text, flow control, reset and sleep; in virtual time."""

from __future__ import annotations

import pytest
from xbee_hosts import Host, Scene

from hal import xbee_frames as x
from hal.xbee_frames import AtStatus, Delivery, Modem
from hal.xbee_framing import ApiMode, checksum, pack
from sim.xbee_module import ANSWER_S, RESET_S, WIRE_BYTES
from sim.xbee_products import DIGIMESH, FLOW_RESERVE_BYTES, IEEE_802_15_4, PRODUCTS, XBEE_900HP, ZIGBEE, Product

every_product = pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda product: product.protocol)


def one(product: Product = DIGIMESH, **options: int) -> tuple[Scene, Host]:
    scene = Scene(1, product=product, **options)
    return scene, scene.hosts[0]


# ---------------------------------------------------------------- parameters


@every_product
@pytest.mark.parametrize("ap", [1, 2])
def test_a_module_tells_what_it_is(product: Product, ap: int) -> None:
    _, host = one(product, ap=ap)
    assert host.number("AP") == ap
    assert host.number("SH") << 32 | host.number("SL") == host.module.address
    assert host.number("NP") == product.payload_bytes
    assert (host.number("HV"), host.number("VR")) == (product.hardware, product.firmware)
    assert host.number("BD") == 7
    assert host.at("NI").value == b" "
    assert host.at("ID").status == host.at("SM").status == host.at("D6").status == host.at("D7").status == AtStatus.OK


def test_an_answer_takes_longer_than_digi_xbee_needs_to_wait_for_it() -> None:
    scene, host = one()
    began = scene.now
    host.at("AP")
    assert 0.005 < ANSWER_S < scene.now - began < 0.05


def test_what_cannot_be_is_refused_and_changes_nothing() -> None:
    _, host = one()
    assert host.at("ZZ").status == host.at("ZZ", b"\1").status == AtStatus.INVALID_COMMAND
    assert host.at("CH", b"\x30").status == AtStatus.INVALID_PARAMETER
    assert host.at("SL", b"\1").status == AtStatus.INVALID_PARAMETER
    assert host.at("NI", bytes(21)).status == AtStatus.INVALID_PARAMETER
    assert host.number("CH") == 0x0C


def test_a_parameter_set_by_0x08_is_in_force_at_once_and_one_by_0x09_when_applied() -> None:
    _, host = one()
    assert host.at("NI", b"gate").status == AtStatus.OK
    assert host.at("NI").value == b"gate"
    assert host.at("ID", b"\x12\x34", queued=True).status == AtStatus.OK
    assert host.module.settings["ID"] == 0x7FFF
    assert host.at("AC", queued=True).status == AtStatus.OK
    assert host.module.settings["ID"] == 0x1234


def test_only_what_was_written_outlives_a_reset() -> None:
    scene, host = one()
    host.set(ID=0x11)
    host.at("WR")
    host.set(ID=0x22)
    assert host.at("FR").status == AtStatus.OK
    assert host.take(x.ModemStatus).status == Modem.WATCHDOG_RESET
    assert host.number("ID") == 0x11
    host.set(ID=0x33)
    host.module.power_on(scene.now)
    assert host.take(x.ModemStatus).status == Modem.HARDWARE_RESET
    assert host.number("ID") == 0x11


def test_the_factory_s_settings_are_transparent_mode_at_9600() -> None:
    scene, host = one()
    host.at("RE")
    host.say(b"")
    scene.run(1)
    assert (host.module.settings["AP"], host.module.settings["BD"]) == (0, 3)


def test_a_command_without_an_id_is_obeyed_and_not_answered() -> None:
    scene, host = one()
    host.send(x.AtCommand(frame_id=x.NO_ANSWER, command="ID", value=b"\x55"))
    scene.run(1)
    assert host.frames == []
    assert host.module.settings["ID"] == 0x55


def test_the_mode_of_frames_changes_behind_the_answer() -> None:
    _, host = one()
    assert host.at("AP", b"\2").status == AtStatus.OK
    assert host.module.settings["AP"] == 2


# ---------------------------------------------------------------- the line


def test_half_a_frame_and_noise_do_not_stop_a_module() -> None:
    scene, host = one()
    host.say(b"\x7e\x00\xf0half" + b"noise")
    scene.run(1)
    assert host.number("AP") == 1
    host.say(b"\x7e\x00\x04\x17abc" + bytes([checksum(b"\x17abc")]))  # remote AT: unknown here
    assert host.number("AP") == 1


def test_the_serial_line_has_its_pace_in_both_directions() -> None:
    scene, host = one(BD=3)
    began = scene.now
    host.at("NI")
    sent_bytes, told_bytes = 8, 10
    assert scene.now - began == pytest.approx((sent_bytes + told_bytes) / 960 + ANSWER_S, abs=0.001)


@every_product
def test_an_overrun_drops_whole_frames_without_a_word(product: Product) -> None:
    scene = Scene(2, product=product, BD=8)  # faster than any air
    near, far = scene.hosts
    asked = [bytes([number]) * product.payload_bytes for number in range(40)]
    for number, data in enumerate(asked):
        near.send(x.TransmitRequest(frame_id=1 + number, to=far.module.address, data=data))
    scene.run(30)
    told = [frame.frame_id for frame in near.frames if isinstance(frame, x.TransmitStatus)]
    assert near.module.counts.frames_overrun == len(asked) - len(told) > 10
    assert far.received() == [asked[number - 1] for number in told]


@every_product
def test_whoever_heeds_cts_loses_nothing(product: Product) -> None:
    scene = Scene(2, product=product)
    near, far = scene.hosts
    near.module.honours_cts = True
    asked = [bytes([number]) * product.payload_bytes for number in range(40)]
    for number, data in enumerate(asked):
        near.send(x.TransmitRequest(frame_id=1 + number, to=far.module.address, data=data))
    scene.run(30)
    assert near.module.counts.frames_overrun == 0
    assert far.received() == asked


def test_cts_falls_17_bytes_before_the_buffer_is_full() -> None:
    scene, host = one(product=XBEE_900HP)
    host.module.honours_cts = True
    request = pack(x.TransmitRequest(frame_id=1, to=5, data=bytes(256)), ApiMode.PLAIN)
    host.say(request * 3)  # one on the air, in vain, for 0.3 s; one in the buffer; a part of one
    scene.until(lambda: not host.module.cts)
    waiting_bytes = WIRE_BYTES - host.module.room_bytes
    buffered_bytes = 2 * len(request) - waiting_bytes
    assert XBEE_900HP.serial_bytes - FLOW_RESERVE_BYTES <= buffered_bytes < XBEE_900HP.serial_bytes
    scene.run(0.1)
    assert WIRE_BYTES - host.module.room_bytes == waiting_bytes
    scene.until(lambda: host.module.room_bytes == WIRE_BYTES)
    assert host.module.cts


def test_with_d7_off_cts_says_nothing() -> None:
    scene, host = one(product=XBEE_900HP, D7=0)
    host.say(pack(x.TransmitRequest(frame_id=1, to=5, data=bytes(256)), ApiMode.PLAIN) * 3)
    scene.run(0.2)
    assert host.module.cts


def test_rts_holds_the_module_and_a_full_transmit_buffer_drops_whole_packets() -> None:
    scene = Scene(2, product=XBEE_900HP, D6=1)
    near, far = scene.hosts
    far.module.set_rts(False, scene.now)
    packets = [bytes([number]) * 200 for number in range(12)]
    for data in packets:
        assert near.transmit(far.module.address, data).status == Delivery.SUCCESS
    assert far.frames == []
    far.module.set_rts(True, scene.now)
    scene.run(5)
    got = far.received()
    assert got == packets[: len(got)]
    assert 0 < len(got) == len(packets) - far.module.counts.packets_overrun < len(packets)


# ---------------------------------------------------------------- text


def test_command_mode_reads_and_sets_as_text() -> None:
    scene = Scene(2, ap=0)
    host, other = scene.hosts
    host.enter_command_mode()
    assert host.type_command("ATID") == "7FFF"
    assert host.type_command("atni north gate") == "OK"
    assert host.type_command("ATNI") == "north gate"
    assert host.type_command("ATCH 30") == host.type_command("ATQQ") == host.type_command("hello") == "ERROR"
    assert host.type_command("ATCHg") == host.type_command("AT") == "ERROR"
    assert host.type_command("ATID1234") == "OK"
    assert host.module.settings["ID"] == 0x7FFF
    assert host.type_command("ATCN") == "OK"
    assert host.module.settings["ID"] == 0x1234
    assert other.text == b""  # no part of it was data


def test_command_mode_ends_by_itself() -> None:
    scene = Scene(2, ap=0)
    host, other = scene.hosts
    host.enter_command_mode()
    scene.run(11)
    host.say(b"data again")
    scene.run(1)
    assert other.text == b"data again"


def test_signs_without_silence_around_them_are_data() -> None:
    scene = Scene(2, ap=0)
    host, other = scene.hosts
    host.say(b"one+++two")
    scene.run(0.5)
    host.say(b"+++")
    scene.run(2)
    host.say(b"++")
    scene.run(2)
    host.say(b"+++more")
    scene.run(2)
    assert other.text == b"one+++two" + b"+++" + b"++" + b"+++more"
    assert host.text == b""


def test_a_module_without_frames_can_be_given_them_in_command_mode_and_back() -> None:
    scene, host = one(ap=0)
    host.enter_command_mode()
    assert host.type_command("ATAP1,WR,CN") == "OK"
    scene.run(1)
    assert host.number("AP") == 1
    host.enter_command_mode()  # in API mode, too
    host.type_command("ATAP0,CN")
    scene.run(1)
    assert host.module.settings["AP"] == 0


@every_product
@pytest.mark.parametrize("bd", [7, 3])
def test_transparent_mode_carries_a_stream_in_full_packets(product: Product, bd: int) -> None:
    scene = Scene(2, product=product, ap=0, BD=bd)
    near, far = scene.hosts
    near.module.honours_cts = True
    stream = bytes(range(256)) * 12
    near.say(stream)
    scene.run(30)
    assert far.text == stream
    assert near.module.counts.packets_sent <= len(stream) // product.payload_bytes + 2


def test_transparent_mode_sends_to_dh_and_dl() -> None:
    scene = Scene(3, ap=0)
    near, far, third = scene.hosts
    near.enter_command_mode()
    near.type_command(f"ATDH{far.module.address >> 32:X},DL{far.module.address & 0xFFFFFFFF:X},CN")
    near.say(b"for one only")
    scene.run(1)
    assert (far.text, third.text) == (b"for one only", b"")


def test_an_802_15_4_module_with_a_short_address_is_reached_by_it_and_told_by_it() -> None:
    scene = Scene(2, product=IEEE_802_15_4)
    near, far = scene.hosts
    near.set(MY=0x0A)
    far.set(MY=0x0B)
    near.send(x.Tx16(frame_id=9, to_16=0x0B, data=b"short"))
    assert near.take(x.TxStatus) == x.TxStatus(frame_id=9, status=Delivery.SUCCESS)
    got = far.take(x.Rx16)
    assert (got.source_16, got.data) == (0x0A, b"short")
    assert -90 < got.rssi_dbm < -30
    assert far.number("DB") == -got.rssi_dbm


def test_the_zigbee_coordinator_is_reached_by_address_0() -> None:
    scene = Scene(2, product=ZIGBEE)
    coordinator, router = scene.hosts
    answer = router.transmit(x.COORDINATOR, b"hello")
    assert (answer.status, answer.to_16) == (Delivery.SUCCESS, 0)
    got = coordinator.take(x.ReceivePacket)
    assert (got.source, got.source_16) == (router.module.address, router.number("MY"))


# ---------------------------------------------------------------- reset and sleep


def test_a_module_without_power_is_silent_and_begins_anew() -> None:
    scene = Scene(2)
    near, far = scene.hosts
    far.module.power_off(scene.now)
    assert near.transmit(far.module.address, b"lost").status == Delivery.NETWORK_ACK_FAILURE
    far.send(x.AtCommand(frame_id=1, command="AP"))
    scene.run(1)
    assert far.frames == []
    assert not far.module.cts
    far.module.power_on(scene.now)
    scene.run(2 * RESET_S)
    assert far.take(x.ModemStatus).status == Modem.HARDWARE_RESET
    assert near.transmit(far.module.address, b"there").status == Delivery.SUCCESS
    assert far.received() == [b"there"]


def test_a_brown_out_forgets_what_was_under_way() -> None:
    scene = Scene(2)
    near, far = scene.hosts
    asked = x.TransmitRequest(frame_id=1, to=far.module.address, data=b"data")
    for frame in (asked, x.AtCommand(frame_id=2, command="AP")):
        near.send(frame)
        scene.run(0.005)
        near.module.power_on(scene.now)
        scene.run(2)
        assert near.frames == [x.ModemStatus(status=Modem.HARDWARE_RESET)]
        near.frames.clear()
    assert near.transmit(far.module.address, b"again").status == Delivery.SUCCESS


def test_a_module_sleeps_while_its_pin_says_so() -> None:
    scene = Scene(2, SM=1, SO=4)
    near, far = scene.hosts
    far.module.sleep_pin(True, scene.now)
    assert not far.module.cts
    assert near.transmit(far.module.address, b"lost").status == Delivery.NETWORK_ACK_FAILURE
    far.module.sleep_pin(False, scene.now)
    assert near.transmit(far.module.address, b"there").status == Delivery.SUCCESS
    scene.run(1)
    assert [frame.status for frame in far.frames if isinstance(frame, x.ModemStatus)] == [Modem.SLEPT, Modem.WOKE]
    assert far.received() == [b"there"]


def test_a_module_that_sleeps_by_time_hears_only_while_it_is_awake() -> None:
    scene = Scene(2, RR=0)
    near, far = scene.hosts
    far.set(ST=1000, SP=200, SM=4)  # awake for 1 s, asleep for 2 s
    awake = 0
    for _ in range(300):
        scene.run(0.1)
        awake += far.module.cts
    assert 0.25 < awake / 300 < 0.45
    while far.module.cts:
        scene.run(0.1)
    assert near.transmit(far.module.address, b"lost").status == Delivery.NETWORK_ACK_FAILURE
    while not far.module.cts:
        scene.run(0.1)
    assert near.transmit(far.module.address, b"there").status == Delivery.SUCCESS
