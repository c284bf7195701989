"""The air between simulated XBee modules: who hears whom, what is lost, how fast it goes, what the law leaves."""

from __future__ import annotations

import random

import pytest
from xbee_hosts import Scene

from hal import xbee_frames as x
from hal.xbee_frames import BROADCAST, Delivery
from sim.xbee_air import Air
from sim.xbee_products import AIRTIME_S, DIGIMESH, IEEE_802_15_4, OFF_S, PRODUCTS, SX868, XBEE_900HP, ZIGBEE, Product

every_product = pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda product: product.protocol)
FAILED = (Delivery.NO_ACK, Delivery.NETWORK_ACK_FAILURE)


@every_product
@pytest.mark.parametrize("ap", [1, 2])
def test_a_unicast_reaches_its_receiver_alone_and_is_acknowledged(product: Product, ap: int) -> None:
    scene = Scene(3, product=product, ap=ap)
    near, far, third = scene.hosts
    data = random.Random(2).randbytes(product.payload_bytes)
    assert near.transmit(far.module.address, data).status == Delivery.SUCCESS
    assert far.transmit(near.module.address, b"\x7e\x7d\x11\x13").status == Delivery.SUCCESS
    scene.run(1)
    assert far.received() == [data]
    assert near.received() == [b"\x7e\x7d\x11\x13"]
    assert third.frames == []


@pytest.mark.parametrize("product", [DIGIMESH, ZIGBEE, XBEE_900HP, SX868], ids=lambda product: product.protocol)
def test_what_comes_says_from_whom_and_for_whom(product: Product) -> None:
    near, far = Scene(2, product=product).hosts
    near.transmit(far.module.address, b"one")
    near.transmit(BROADCAST, b"all")
    one, all_ = far.take(x.ReceivePacket), far.take(x.ReceivePacket)
    assert one.source == all_.source == near.module.address
    assert (one.options & 3, all_.options & 3) == (x.ReceivePacket.ACKNOWLEDGED, x.ReceivePacket.BROADCAST)


def test_an_802_15_4_module_tells_with_strength_and_64_bits() -> None:
    near, far = Scene(2, product=IEEE_802_15_4).hosts
    near.send(x.Tx64(frame_id=7, to=far.module.address, data=b"one"))
    assert near.take(x.TxStatus) == x.TxStatus(frame_id=7, status=Delivery.SUCCESS)
    got = far.take(x.Rx64)
    assert (got.source, got.data, got.options) == (near.module.address, b"one", 0)
    near.send(x.Tx64(frame_id=8, to=BROADCAST, data=b"all"))
    assert far.take(x.Rx64).options == x.Rx64.BROADCAST


@every_product
def test_a_broadcast_reaches_everybody_once(product: Product) -> None:
    scene = Scene(4, product=product)
    near, *others = scene.hosts
    assert near.transmit(BROADCAST, b"all").status == Delivery.SUCCESS
    scene.run(1)
    assert [host.received() for host in others] == [[b"all"]] * 3
    assert near.received() == []


@every_product
def test_another_network_or_channel_is_not_heard(product: Product) -> None:
    scene = Scene(3, product=product)
    near, other_id, other_channel = scene.hosts
    other_id.set(ID=0x1234)
    other_channel.set(**({"HP": 5} if product in (XBEE_900HP, SX868) else {"CH": 0x15}))
    for host in (other_id, other_channel):
        assert near.transmit(host.module.address, b"one").status in FAILED
    near.transmit(BROADCAST, b"all")
    scene.run(1)
    assert other_id.received() == other_channel.received() == []


@every_product
def test_more_than_np_is_refused(product: Product) -> None:
    scene = Scene(2, product=product)
    near, far = scene.hosts
    assert near.transmit(far.module.address, bytes(product.payload_bytes + 1)).status == Delivery.TOO_LARGE
    scene.run(1)
    assert far.received() == []
    assert near.transmit(far.module.address, bytes(product.payload_bytes)).status == Delivery.SUCCESS


@every_product
def test_nobody_there_is_told_after_all_retries(product: Product) -> None:
    near, _ = Scene(2, product=product).hosts
    answer = near.transmit(0x0013A200_99999999, b"lost")
    assert answer.status == product.no_ack
    assert answer.retries == (1 + product.mac_retries) * (1 + product.retries) - 1


@every_product
def test_where_the_air_is_always_busy_a_unicast_fails_after_all_retries_and_a_broadcast_is_told_as_delivered(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(2, product=product)
    near, far = scene.hosts
    monkeypatch.setattr(scene.air, "is_busy", lambda _: True)
    answer = near.transmit(far.module.address, b"one")
    assert answer.status == Delivery.CHANNEL_BUSY
    assert answer.retries == (1 + product.mac_retries) * (1 + product.retries) - 1
    assert near.transmit(BROADCAST, b"all").status == Delivery.SUCCESS
    scene.run(1)
    assert far.received() == []


@every_product
def test_under_loss_what_was_acknowledged_has_come_once_and_in_order(product: Product) -> None:
    scene = Scene(2, product=product, loss=0.3, seed=4)
    near, far = scene.hosts
    sent = [bytes([number]) * 20 for number in range(100)]
    told = [near.transmit(far.module.address, data) for data in sent]
    scene.run(1)
    got = far.received()
    delivered = [data for data, answer in zip(sent, told, strict=True) if answer.status == Delivery.SUCCESS]
    assert got == [data for data in sent if data in got]  # once, in order
    assert set(delivered) <= set(got)
    assert len(delivered) > 80
    assert sum(answer.retries for answer in told) > 50


def test_a_broadcast_is_lost_for_each_by_itself() -> None:
    scene = Scene(3, product=IEEE_802_15_4, loss=0.3, seed=2)
    near, *others = scene.hosts
    for number in range(100):
        assert near.transmit(BROADCAST, bytes([number])).status == Delivery.SUCCESS
    scene.run(1)
    first, second = (host.received() for host in others)
    assert first != second
    assert 55 < len(first) < 85
    assert 55 < len(second) < 85


@every_product
def test_two_that_send_at_once_both_get_through(product: Product) -> None:
    scene = Scene(2, product=product)
    near, far = scene.hosts
    sent = [bytes([number]) * 30 for number in range(40)]
    for data in sent:
        for host, other in ((near, far), (far, near)):
            host.send(x.TransmitRequest(frame_id=host.new_id(), to=other.module.address, data=data))
        for host in (near, far):
            assert host.take(x.TransmitStatus).status == Delivery.SUCCESS
    scene.run(1)
    assert near.received() == far.received() == sent


@every_product
def test_a_stream_has_the_rate_of_the_product(product: Product) -> None:
    scene = Scene(2, product=product)
    near, far = scene.hosts
    near.module.honours_cts = True
    began, count = scene.now, 60
    for _ in range(count):
        near.send(x.TransmitRequest(frame_id=0, to=far.module.address, data=bytes(product.payload_bytes)))
    scene.until(lambda: far.module.counts.packets_heard == count)
    rate_bps = 8 * count * product.payload_bytes / (scene.now - began)
    assert rate_bps == pytest.approx(product.throughput_bps, rel=0.1)


def test_a_broadcast_costs_so_many_packets_as_it_is_repeated() -> None:
    scene = Scene(2, product=XBEE_900HP)
    near, far = scene.hosts
    near.transmit(far.module.address, bytes(100))
    once_s = near.module.airtime_s
    near.transmit(BROADCAST, bytes(100))
    assert near.module.airtime_s - once_s == pytest.approx((1 + XBEE_900HP.repeats) * once_s)


# ---------------------------------------------------------------- the law


def test_the_airtime_of_eu_868_ends_and_comes_back_within_the_hour() -> None:
    scene = Scene(2, product=SX868)
    near, far = scene.hosts
    for host in (near, far):
        host.set(CM=3, BR=0, MT=15)  # two channels, 10 kbit/s: 16 times 0.25 s for a broadcast
    began = scene.now
    while near.transmit(BROADCAST, bytes(256)).status == Delivery.SUCCESS:
        assert scene.now < began + 3600
    assert near.module.airtime_s == pytest.approx(2 * AIRTIME_S, abs=1)
    assert near.transmit(far.module.address, b"x").status == Delivery.NO_RESOURCES
    assert far.transmit(near.module.address, b"x").status == Delivery.SUCCESS  # each has its own
    scene.run(began + 4000 - scene.now)
    assert near.transmit(far.module.address, b"x").status == Delivery.SUCCESS


def test_no_channel_of_eu_868_is_used_again_within_100_ms() -> None:
    scene = Scene(2, product=SX868)
    near, _ = scene.hosts
    near.set(CM=3, MT=15)  # two channels, a broadcast 16 times
    began = scene.now
    near.transmit(BROADCAST, b"x")
    assert scene.now - began > 7 * OFF_S


# ---------------------------------------------------------------- the medium by itself


class Ear:
    """A station that does nothing by itself."""

    def __init__(self, channel: int = 1) -> None:
        self.channel = channel
        self.is_listening = True
        self.heard: list[str] = []

    def hear(self, frame: str, rssi_dbm: int) -> None:
        assert rssi_dbm < 0
        self.heard.append(frame)


def ears(*channels: int) -> tuple[Air[str], list[Ear]]:
    air: Air[str] = Air(random.Random(1))
    made = [Ear(channel) for channel in channels]
    for ear in made:
        air.join(ear)
    return air, made


def test_two_on_the_air_at_once_spoil_each_other_for_all_who_hear_both() -> None:
    air, (first, second, third) = ears(1, 1, 1)
    air.at(0.0, lambda: air.send(first, "first", 1.0))
    air.at(0.9, lambda: air.send(second, "second", 1.0))
    air.at(2.0, lambda: air.send(first, "alone", 1.0))
    air.service(1.5)
    assert air.is_busy(1)
    air.service(1.95)
    assert not air.is_busy(1)
    air.service(10.0)
    assert (first.heard, second.heard, third.heard) == ([], ["alone"], ["alone"])


def test_other_channels_are_neither_heard_nor_disturbed() -> None:
    air, (first, second, third, fourth) = ears(1, 1, 2, 2)
    air.send(first, "one", 1.0)
    air.send(third, "two", 1.0)
    air.service(10.0)
    assert (first.heard, second.heard, third.heard, fourth.heard) == ([], ["one"], [], ["two"])


def test_who_does_not_listen_hears_nothing() -> None:
    air, (first, second) = ears(1, 1)
    second.is_listening = False
    air.send(first, "one", 1.0)
    air.service(10.0)
    assert second.heard == []


# ---------------------------------------------------------------- chance


def story(seed: int) -> list[tuple[float, bytes]]:
    scene = Scene(3, loss=0.3, seed=seed)
    near, far, third = scene.hosts
    for number in range(20):
        near.transmit(far.module.address, bytes([number]))
        third.transmit(BROADCAST, bytes([number]))
    return [(scene.now, data) for host in scene.hosts for data in host.received()]


def test_the_same_seed_gives_the_same_story() -> None:
    assert story(1) == story(1)
    assert story(1) != story(2)
