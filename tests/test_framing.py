"""Frames: what they look like, and that a reader survives anything on the line."""

from __future__ import annotations

import binascii
import random
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.framing import CRC_BYTES, DELIMITER, FrameReader, crc16, crc_engine, frame, longest_frame_bytes

LONGEST_PACKET_BYTES = 700

steady = settings(derandomize=True, deadline=None, max_examples=200)

# Runs without a zero of the lengths at which COBS changes, cut by zeros.
runs = st.sampled_from([0, 1, 2, 252, 253, 254, 255, 508]).map(lambda size_bytes: b"\x07" * size_bytes)
packets = st.one_of(
    st.binary(min_size=1, max_size=LONGEST_PACKET_BYTES),
    st.lists(runs, min_size=2, max_size=4)
    .map(DELIMITER.join)
    .map(lambda packet: packet[:LONGEST_PACKET_BYTES] or b"x"),
)
# Bytes that look like frames more often than chance: many delimiters, small codes, real frames.
noise = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.lists(st.sampled_from([0, 0, 1, 2, 3, 255]), max_size=300).map(bytes),
        st.binary(min_size=1, max_size=8).map(frame),
    ),
    max_size=12,
).map(b"".join)


def textbook_frame(packet: bytes) -> bytes:
    """A frame made byte by byte, with the standard library's CRC."""
    data = packet + binascii.crc_hqx(packet, 0xFFFF).to_bytes(2, "big")
    coded = bytearray([0])
    code_at = 0
    for index, byte in enumerate(data):
        if byte != 0:
            coded.append(byte)
        full = len(coded) - code_at == 255
        if byte == 0 or (full and index + 1 < len(data)):
            coded[code_at] = len(coded) - code_at
            code_at = len(coded)
            coded.append(0)
            if full and byte == 0:
                coded[code_at] = 1
    coded[code_at] = len(coded) - code_at
    return bytes(coded) + b"\0"


def read(data: bytes, cut_bytes: int) -> tuple[list[bytes], int]:
    reader = FrameReader(LONGEST_PACKET_BYTES)
    packets = [packet for at in range(0, len(data), cut_bytes) for packet in reader.feed(data[at : at + cut_bytes])]
    return packets, reader.frames_damaged


def test_frame_is_pinned() -> None:
    assert frame(b"123456789") == b"\x0c123456789\x29\xb1\x00"
    assert frame(b"\x00") == b"\x01\x03\xe1\xf0\x00"


@steady
@given(packets)
def test_frame_equals_textbook(packet: bytes) -> None:
    assert frame(packet) == textbook_frame(packet)


@steady
@given(st.binary(max_size=5000))
def test_crc_equals_the_standard_library(data: bytes) -> None:
    assert crc16(data) == binascii.crc_hqx(data, 0xFFFF)


def test_crc_engine_is_what_crcmod_loaded() -> None:
    assert crc_engine() == ("C" if "crcmod._crcfunext" in sys.modules else "pure Python")
    assert ("crcmod._crcfunpy" in sys.modules) is (crc_engine() == "pure Python")


@steady
@given(packets)
def test_packet_comes_back_whole(packet: bytes) -> None:
    coded = frame(packet)
    assert coded.count(DELIMITER) == 1
    assert len(coded) <= longest_frame_bytes(len(packet))
    assert read(coded, len(coded)) == ([packet], 0)


@pytest.mark.parametrize("packet_bytes", [1, 2, 251, 252, 253, 254, 255, 506, 507, 4128])
def test_longest_frame_is_reached_by_some_packet(packet_bytes: int) -> None:
    rng = random.Random(packet_bytes)
    without_zeros = (bytes(rng.choices(range(1, 256), k=packet_bytes)) for _ in range(50))
    assert max(len(frame(packet)) for packet in without_zeros) == longest_frame_bytes(packet_bytes)


@pytest.mark.parametrize(
    "packet", [b"\0", b"\1", b"a", bytes(6), b"ab\0cd", b"\xff" * 5, bytes(range(40)), b"\7" * 254]
)
def test_every_single_bit_error_is_found(packet: bytes) -> None:
    coded = frame(packet)
    after = b"second", b"third"
    for bit in range(8 * len(coded)):
        hit = bytearray(coded)
        hit[bit // 8] ^= 1 << bit % 8
        got, damaged = read(bytes(hit) + frame(after[0]) + frame(after[1]), 1000)
        in_delimiter = bit // 8 == len(coded) - 1  # then the frame and the next one are taken for one
        assert got == list(after[1:] if in_delimiter else after), bit
        assert damaged >= 1, bit


@pytest.mark.parametrize("packet", [b"a", bytes(6), b"ab\0cd", bytes(range(40))])
def test_every_truncation_is_found(packet: bytes) -> None:
    coded = frame(packet)
    for size_bytes in range(1, len(coded) - 1):
        assert read(coded[:size_bytes] + DELIMITER + frame(b"next"), 1000) == ([b"next"], 1), size_bytes


def test_nothing_between_delimiters_is_not_damage() -> None:
    assert read(DELIMITER * 5 + frame(b"a") + DELIMITER * 3 + frame(b"b"), 1000) == ([b"a", b"b"], 0)


def test_frame_of_no_packet_is_damage() -> None:
    empty = b"\x03" + (0xFFFF).to_bytes(CRC_BYTES, "big") + DELIMITER  # right CRC over nothing
    assert read(empty, 1000) == ([], 1)


@pytest.mark.parametrize("filling", [b"\0", b"\7"])
def test_longest_packet_is_taken_and_a_longer_one_is_damage(filling: bytes) -> None:
    longest = filling * LONGEST_PACKET_BYTES
    assert read(frame(longest), 1000) == ([longest], 0)
    assert read(frame(longest + filling) + frame(b"next"), 1000) == ([b"next"], 1)


@steady
@given(noise, st.integers(1, 50))
def test_cuts_make_no_difference(data: bytes, cut_bytes: int) -> None:
    whole = read(data, len(data) + 1)
    assert read(data, 1) == whole
    assert read(data, cut_bytes) == whole


@steady
@given(noise, packets)
def test_reader_is_in_step_again_after_one_delimiter(data: bytes, packet: bytes) -> None:
    got, _ = read(data + DELIMITER + frame(packet), 1000)
    assert got[-1] == packet


def test_random_bytes_are_counted_and_pass_nothing_on() -> None:
    rng = random.Random(7)
    got, damaged = read(rng.randbytes(1_000_000), 4096)
    assert 3000 < damaged < 4000  # about one delimiter in 256 bytes
    assert len(got) <= 1  # one damaged frame in 65,536 passes a CRC-16


@pytest.mark.parametrize(
    "line",
    [
        DELIMITER * 4096,
        b"\x01\x00" * 2048,
        b"\x02\x01\x00" * 1365,
        frame(b"a") * 819,
        frame(bytes(4128)),
        b"\x01" * 4096,
    ],
    ids=["delimiters", "one byte each", "two bytes each", "least packets", "a packet of zeros", "codes of zeros"],
)
def test_what_the_kernel_keeps_takes_no_more_than_64_kb_to_read(line: bytes) -> None:
    reader = FrameReader(4128)
    tracemalloc.start()
    reader.feed(line)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 64_000


def test_endless_bytes_without_delimiter_are_not_kept() -> None:
    reader = FrameReader(LONGEST_PACKET_BYTES)
    piece = b"\xff" * 4096
    reader.feed(piece)
    tracemalloc.start()
    for _ in range(1000):
        assert reader.feed(piece) == []
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 2 * LONGEST_PACKET_BYTES
    assert reader.frames_damaged == 1
    assert reader.feed(DELIMITER + frame(b"next")) == [b"next"]
