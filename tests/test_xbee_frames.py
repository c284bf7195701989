"""API frames of XBee modules: what they look like, and that a reader survives anything on the line."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal import xbee_frames as x
from hal.xbee_frames import LONGEST_BODY_BYTES, LONGEST_DATA_BYTES, Frame
from hal.xbee_framing import HALF_FRAME_S, ApiMode, ApiReader, checksum, pack

steady = settings(derandomize=True, deadline=None, max_examples=200)
modes = pytest.mark.parametrize("mode", list(ApiMode), ids=lambda mode: mode.name.lower())

bytes_ = st.integers(0, 0xFF)
shorts = st.integers(0, 0xFFFF)
longs = st.integers(0, 2**64 - 1)
data_ = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from([0x7E, 0x7D, 0x11, 0x13, 0, 3, 0x88])).map(bytes))
commands = st.sampled_from(["AP", "NP", "%V", "D7"])
rssis = st.integers(-255, 0)
frames = st.one_of(
    st.builds(x.AtCommand, frame_id=bytes_, command=commands, value=data_),
    st.builds(x.AtQueued, frame_id=bytes_, command=commands, value=data_),
    st.builds(x.AtResponse, frame_id=bytes_, command=commands, status=bytes_, value=data_),
    st.builds(x.TransmitRequest, frame_id=bytes_, to=longs, to_16=shorts, radius=bytes_, options=bytes_, data=data_),
    st.builds(x.TransmitStatus, frame_id=bytes_, to_16=shorts, retries=bytes_, status=bytes_, discovery=bytes_),
    st.builds(x.ReceivePacket, source=longs, source_16=shorts, options=bytes_, data=data_),
    st.builds(x.Tx64, frame_id=bytes_, to=longs, options=bytes_, data=data_),
    st.builds(x.Tx16, frame_id=bytes_, to_16=shorts, options=bytes_, data=data_),
    st.builds(x.TxStatus, frame_id=bytes_, status=bytes_),
    st.builds(x.Rx64, source=longs, rssi_dbm=rssis, options=bytes_, data=data_),
    st.builds(x.Rx16, source_16=shorts, rssi_dbm=rssis, options=bytes_, data=data_),
    st.builds(x.ModemStatus, status=bytes_),
)
# Bytes that look like frames more often than chance: start bytes, short lengths, kinds, real frames and parts of them.
noise = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.lists(st.sampled_from([0x7E, 0x7E, 0, 0, 1, 2, 7, 0x8A, 0x88, 0x7D, 0xFF]), max_size=60).map(bytes),
        st.builds(pack, frames, st.sampled_from(list(ApiMode))),
        st.builds(lambda frame, mode, size: pack(frame, mode)[:size], frames, st.sampled_from(list(ApiMode)), bytes_),
    ),
    max_size=8,
).map(b"".join)

BEACON = x.ReceivePacket(source=0x0013A200_41526373, options=x.ReceivePacket.BROADCAST, data=bytes(range(0x70, 0x88)))
TOLD = [
    BEACON,
    x.TransmitStatus(frame_id=0x11, retries=2, status=x.Delivery.NO_ACK),
    x.ModemStatus(status=x.Modem.WATCHDOG_RESET),
    x.Rx64(source=0x0013A200_7E7D1113, rssi_dbm=-40, options=0, data=b"~~picture~~"),
    x.AtResponse(frame_id=7, command="NP", status=x.AtStatus.OK, value=b"\x01\x00"),
]
AFTER: list[Frame] = [
    x.TransmitStatus(frame_id=9, retries=0, status=0),
    x.ReceivePacket(source=5, options=1, data=b"next"),
]


def read(mode: ApiMode, data: bytes, cut_bytes: int = 1 << 20) -> tuple[list[Frame], int, int]:
    """Frames, and what was counted, once the line has fallen silent."""
    reader = ApiReader(mode)
    got = [frame for at in range(0, len(data), cut_bytes) for frame in reader.feed(data[at : at + cut_bytes], 1.0)]
    got += reader.expire(1.0 + HALF_FRAME_S)
    assert reader.begun_bytes == 0
    assert reader.deadline is None
    return got, reader.frames_damaged, reader.frames_unknown


# ---------------------------------------------------------------- what they look like


def test_the_manual_s_own_examples() -> None:
    """Digi 90001506, chapters "API mode" (escaping) and "Frame descriptions"."""
    command = x.AtCommand(frame_id=0xA1, command="NI", value=b"End Device")
    assert pack(command, ApiMode.PLAIN).hex() == "7e000e08a14e49456e642044657669636538"
    request = x.TransmitRequest(frame_id=0x52, to=0x0013A200_12345678, data=b"TxData")
    assert pack(request, ApiMode.PLAIN).hex() == "7e0014105200" + "13a20012345678fffe00005478446174" + "6191"
    assert pack(x.Tx16(frame_id=0, to_16=0xFFFF, data=b"\x11"), ApiMode.ESCAPED).hex() == "7e00060100ffff007d31ef"
    assert pack(x.ModemStatus(status=0), ApiMode.ESCAPED).hex() == "7e00028a0075"


@modes
@steady
@given(frame=frames)
def test_a_frame_comes_back_whole(mode: ApiMode, frame: Frame) -> None:
    assert read(mode, pack(frame, mode)) == ([frame], 0, 0)


@steady
@given(frames)
def test_escaped_frames_have_one_start_byte_and_no_flow_control_in_them(frame: Frame) -> None:
    rest = pack(frame, ApiMode.ESCAPED)[1:]
    assert not {0x7E, 0x11, 0x13} & set(rest)


@modes
def test_the_longest_frame_is_taken_and_a_longer_one_is_damage(mode: ApiMode) -> None:
    longest = x.TransmitRequest(frame_id=1, to=5, data=b"\x7d" * LONGEST_DATA_BYTES)
    assert len(longest.encode()) == LONGEST_BODY_BYTES
    assert read(mode, pack(longest, mode)) == ([longest], 0, 0)
    longer = bytes([0x8A]) * (LONGEST_BODY_BYTES + 1)
    data = b"\x7e" + len(longer).to_bytes(2, "big") + longer + bytes([checksum(longer)])
    got, damaged, _ = read(mode, data + pack(AFTER[0], mode))
    assert (got, damaged) == ([AFTER[0]], 1)


@modes
def test_an_unknown_kind_is_counted_and_reception_goes_on(mode: ApiMode) -> None:
    body = b"\x95node identification"
    other = b"\x7e" + len(body).to_bytes(2, "big") + body + bytes([checksum(body)])
    assert read(mode, pack(BEACON, mode) + other + pack(AFTER[0], mode)) == ([BEACON, AFTER[0]], 0, 1)


@modes
@pytest.mark.parametrize("frame", TOLD, ids=lambda frame: type(frame).__name__)
def test_a_known_kind_of_a_wrong_length_is_damage(mode: ApiMode, frame: Frame) -> None:
    head = bytes([frame.KIND])
    wrong = b"\x7e\x00\x01" + head + bytes([checksum(head)])
    assert read(mode, wrong + pack(AFTER[0], mode)) == ([AFTER[0]], 1, 0)


# ---------------------------------------------------------------- damage


@modes
@pytest.mark.parametrize("frame", TOLD, ids=lambda frame: type(frame).__name__)
def test_every_single_bit_error_is_found_and_costs_no_other_frame(mode: ApiMode, frame: Frame) -> None:
    coded, after = pack(frame, mode), b"".join(pack(each, mode) for each in AFTER)
    for bit in range(8 * len(coded)):
        hit = bytearray(coded)
        hit[bit // 8] ^= 1 << bit % 8
        got, damaged, _ = read(mode, bytes(hit) + after)
        assert got == AFTER, bit
        assert damaged >= 1, bit


@modes
@pytest.mark.parametrize("frame", TOLD, ids=lambda frame: type(frame).__name__)
def test_every_truncation_is_found_and_costs_no_other_frame(mode: ApiMode, frame: Frame) -> None:
    coded, after = pack(frame, mode), b"".join(pack(each, mode) for each in AFTER)
    for size_bytes in range(1, len(coded)):
        got, damaged, _ = read(mode, coded[:size_bytes] + after)
        assert got == AFTER, size_bytes
        assert damaged >= 1, size_bytes


@steady
@given(noise, frames)
def test_escaped_a_good_frame_comes_out_at_once_whatever_came_before(data: bytes, frame: Frame) -> None:
    reader = ApiReader(ApiMode.ESCAPED)
    reader.feed(data, 0.0)
    assert reader.feed(pack(frame, ApiMode.ESCAPED), 0.0) == [frame]


@modes
def test_a_good_frame_behind_a_bad_one_waits_for_no_more_bytes(mode: ApiMode) -> None:
    bad = bytearray(pack(BEACON, mode))
    bad[-1] ^= 1
    reader = ApiReader(mode)
    assert reader.feed(bytes(bad) + pack(AFTER[0], mode), 0.0) == [AFTER[0]]
    assert reader.deadline is None


@modes
def test_a_length_too_great_by_damage_swallows_nothing(mode: ApiMode) -> None:
    bad = bytearray(pack(BEACON, mode))
    bad[1] |= 0x04  # 1024 more
    many = [x.ReceivePacket(source=number, options=1, data=bytes(40)) for number in range(100)]
    reader = ApiReader(mode)
    got = reader.feed(bytes(bad) + b"".join(pack(each, mode) for each in many), 0.0)
    assert got == many
    assert 1 <= reader.frames_damaged <= 2  # in mode 1 there is 0x7E in its data, too


@modes
@pytest.mark.parametrize("length", [b"\x00\x00", b"\xff\xff", (LONGEST_BODY_BYTES + 1).to_bytes(2, "big")])
def test_a_length_that_cannot_be_is_no_reason_to_wait(mode: ApiMode, length: bytes) -> None:
    reader = ApiReader(mode)
    assert reader.feed(b"\x7e" + length + pack(AFTER[0], mode), 0.0) == [AFTER[0]]
    assert reader.frames_damaged == 1


@modes
def test_half_a_frame_is_given_up_after_silence(mode: ApiMode) -> None:
    reader = ApiReader(mode)
    half = bytearray(pack(BEACON, mode)[:-1])
    half[1] |= 0x04
    got = reader.feed(bytes(half) + pack(AFTER[0], mode), 5.0)
    assert reader.expire(5.0 + 0.9 * HALF_FRAME_S) == []
    got += reader.expire(5.0 + HALF_FRAME_S)
    assert got == [AFTER[0]]
    assert (reader.begun_bytes, reader.deadline) == (0, None)
    assert reader.feed(pack(AFTER[1], mode), 9.0) == [AFTER[1]]


@modes
def test_a_frame_that_comes_slowly_is_not_given_up(mode: ApiMode) -> None:
    reader, now, got = ApiReader(mode), 0.0, []
    for byte in pack(BEACON, mode):
        now += 0.9 * HALF_FRAME_S
        got += reader.feed(bytes([byte]), now) + reader.expire(now)
    assert got == [BEACON]


@modes
@steady
@given(data=noise, cut_bytes=st.integers(1, 50))
def test_cuts_make_no_difference(mode: ApiMode, data: bytes, cut_bytes: int) -> None:
    whole = read(mode, data)
    assert read(mode, data, 1) == whole
    assert read(mode, data, cut_bytes) == whole


@modes
def test_random_bytes_are_counted_and_a_frame_behind_them_comes_out(mode: ApiMode) -> None:
    data = random.Random(3).randbytes(200_000)
    got, damaged, _ = read(mode, data + pack(BEACON, mode))
    assert got == [BEACON]
    assert damaged > 500


@modes
@pytest.mark.parametrize("line", [b"\x7e" * 4096, b"\x7e\x07\xff" * 1365, b"\x7d" * 4096, b"\x7e\x00\x02\x8a" * 1024])
def test_what_the_kernel_keeps_takes_no_more_than_64_kb_to_read(mode: ApiMode, line: bytes) -> None:
    reader = ApiReader(mode)
    tracemalloc.start()
    reader.feed(line, 0.0)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 64_000


@modes
def test_endless_bytes_of_no_frame_are_not_kept(mode: ApiMode) -> None:
    reader = ApiReader(mode)
    piece = b"\x7e\x07\xf0" + b"\x55" * 4000
    reader.feed(piece, 0.0)
    tracemalloc.start()
    for _ in range(1000):
        assert reader.feed(piece, 0.0) == []
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 4 * LONGEST_BODY_BYTES
