"""The link emulator: what a line carries, when, and with which faults; then the same through real ptys."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.line import Line, LineProcess
from sim.line_model import HUB_FRAME_BYTES, LineModel, LineOptions, PortCounts

BAUD = 115_200
BYTE_S = 10 / BAUD
PATIENCE_S = 20.0  # for real ptys on a busy machine; a test that passes waits far less


def model(count: int = 2, *, baud: int = BAUD, seed: int = 1, **faults: object) -> LineModel:
    return LineModel(count, baud=baud, options=LineOptions(**faults), rng=random.Random(seed))  # type: ignore[arg-type]


def stream(size_bytes: int, seed: int = 7) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def drive(
    line: LineModel, sent: dict[int, bytes], *, now: float = 0.0, until: float = 1e9
) -> tuple[dict[int, bytes], float]:
    """Keep every lane of `sent` full until all has arrived; returns what came to each port and when the last did."""
    left = dict(sent)
    came = {port: b"" for port in range(len(line.counts))}
    last = now
    while now < until:
        for port, data in left.items():
            room = line.room(port)
            line.send(port, data[:room], now)
            left[port] = data[room:]
        for port, data in line.take(now):
            came[port] += data
            last = now
        deadline = line.deadline()
        if deadline is None:
            break
        now = max(now, deadline)
    return came, last


def test_one_byte_takes_ten_bit_times_and_arrives_no_earlier() -> None:
    line = model()
    line.send(0, b"x", 100.0)
    assert line.take(100.0 + 0.99 * BYTE_S) == []
    assert line.take(100.0 + BYTE_S) == [(1, b"x")]


@pytest.mark.parametrize("baud", [9_600, 115_200, 921_600])
def test_a_stream_is_carried_at_exactly_the_baud_rate(baud: int) -> None:
    sent = stream(50_000)
    came, last = drive(model(baud=baud), {0: sent}, now=5.0)
    assert came[1] == sent
    assert last - 5.0 == pytest.approx(50_000 * 10 / baud, rel=1e-9)


def test_at_no_instant_has_more_arrived_than_the_line_can_have_carried() -> None:
    line = model()
    clock = random.Random(3)
    now, arrived, sent = 0.0, 0, 0
    for _ in range(3000):
        line.send(0, bytes(min(line.room(0), clock.randrange(200))), now)
        arrived += sum(len(data) for _, data in line.take(now))
        assert arrived <= now * BAUD / 10 + 0.01
        now += clock.expovariate(1000)
        sent = line.counts[0].sent_bytes
    assert 0 < arrived <= sent


def test_both_directions_of_a_pair_run_at_full_rate_at_once() -> None:
    a, b = stream(50_000, 1), stream(50_000, 2)
    came, last = drive(model(), {0: a, 1: b})
    assert came == {0: b, 1: a}
    assert last == pytest.approx(50_000 * BYTE_S)


def test_a_pair_is_a_plain_pipe_that_holds_nothing_back() -> None:
    line = model()
    line.send(0, b"no delimiter", 0.0)
    assert line.take(1.0) == [(1, b"no delimiter")]


def test_delay_comes_on_top_of_the_pace() -> None:
    line = model(delay_s=0.3)
    line.send(0, b"ab", 0.0)
    assert line.take(2 * BYTE_S) == []
    assert line.deadline() == pytest.approx(0.3 + 2 * BYTE_S)
    assert line.take(0.3 + 2 * BYTE_S) == [(1, b"ab")]


def test_a_lane_takes_no_more_than_a_uart_driver() -> None:
    line = model()
    assert line.room(0) == 4096
    line.send(0, bytes(4096), 0.0)
    assert line.room(0) == 0
    with pytest.raises(ValueError, match="room"):
        line.send(0, b"x", 0.0)
    line.take(4096 * BYTE_S)
    assert line.room(0) == 4096


def test_chunks_are_lost_at_the_given_rate_and_only_whole() -> None:
    sent = bytes(range(64)) * 4000
    line = model(chunk_loss=0.1)
    came, _ = drive(line, {0: sent})
    assert len(came[1]) % 64 == 0
    assert came[1] == bytes(range(64)) * (len(came[1]) // 64)
    lost = 1 - len(came[1]) / len(sent)
    assert lost == pytest.approx(0.1, abs=0.02)
    assert line.counts[1].lost_bytes == len(sent) - len(came[1])


def test_bits_flip_at_the_given_rate() -> None:
    sent = stream(250_000)
    line = model(bit_error_rate=1e-3)
    came, _ = drive(line, {0: sent})
    wrong = (int.from_bytes(sent, "big") ^ int.from_bytes(came[1], "big")).bit_count()
    assert wrong == line.counts[1].flipped_bits
    assert wrong == pytest.approx(2000, rel=0.1)


def test_each_receiver_has_faults_of_its_own() -> None:
    frames = b"".join(bytes([1 + i % 255] * 63) + b"\0" for i in range(500))
    came, _ = drive(model(3, chunk_loss=0.3), {0: frames})
    assert came[1] != came[2]


def arrivals(step_s: float, seed: int, **faults: object) -> dict[int, bytes]:
    """What two streams become that overlap in part, looked at every step_s."""
    line = model(3, seed=seed, **faults)
    line.send(0, stream(1000, 1), 0.0)
    line.take(0.05)
    line.send(1, stream(1000, 2), 0.05)
    came = {port: b"" for port in range(3)}
    for tick in range(1, round(0.2 / step_s) + 1):
        for port, data in line.take(0.05 + tick * step_s):
            came[port] += data
    return came


@pytest.mark.parametrize("half_duplex", [False, True])
def test_what_arrives_depends_on_the_seed_alone_not_on_how_often_one_looks(half_duplex: bool) -> None:
    faults = {"half_duplex": half_duplex, "bit_error_rate": 1e-2, "chunk_loss": 0.2}
    fine, coarse = arrivals(0.0001, 5, **faults), arrivals(0.2, 5, **faults)
    for port in (0, 1):  # port 2 hears both, in another order where they overlap
        assert fine[port] == coarse[port]
    assert fine != arrivals(0.0001, 6, **faults)


def test_half_duplex_garbles_exactly_the_bytes_that_overlap() -> None:
    line = model(half_duplex=True)
    sent = bytes([0x55]) * 100
    line.send(0, sent, 0.0)
    line.send(1, sent, 60 * BYTE_S)  # overlaps the last 40 of port 0
    came = {0: b"", 1: b""}
    for port, data in line.take(1.0):
        came[port] += data
    assert came[1][:60] == sent[:60]
    assert came[0][40:] == sent[40:]
    assert came[1][60:] != sent[60:]
    assert came[0][:40] != sent[:40]
    assert [counts.garbled_bytes for counts in line.counts] == [40, 40]


def test_half_duplex_leaves_senders_alone_that_take_turns() -> None:
    line = model(half_duplex=True)
    line.send(0, b"first", 0.0)
    line.send(1, b"second", 5 * BYTE_S)
    assert line.take(1.0) == [(1, b"first"), (0, b"second")]
    assert line.counts[0].garbled_bytes == line.counts[1].garbled_bytes == 0


def test_full_duplex_never_garbles() -> None:
    line = model()
    drive(line, {0: stream(5000), 1: stream(5000)})
    assert [counts.garbled_bytes for counts in line.counts] == [0, 0]


def test_a_hub_keeps_the_frames_of_senders_at_once_whole() -> None:
    frames = {port: [bytes([port + 1]) * (100 + 37 * i % 400) + b"\0" for i in range(60)] for port in range(3)}
    came, _ = drive(model(3), {port: b"".join(own) for port, own in frames.items()})
    for port in range(3):
        heard = came[port].split(b"\0")[:-1]
        for other in {0, 1, 2} - {port}:
            mine = [frame + b"\0" for frame in heard if frame[0] == other + 1]
            assert mine == frames[other]
        assert len(heard) == 120


def test_a_hub_holds_a_begun_frame_back_but_not_for_ever() -> None:
    line = model(3, baud=1_000_000)
    came, _ = drive(line, {0: b"begun"})
    assert came[1] == b""
    came, _ = drive(line, {0: bytes([1]) * HUB_FRAME_BYTES}, now=1.0)
    assert len(came[1]) >= HUB_FRAME_BYTES


def test_a_cut_line_swallows_what_is_under_way_and_what_is_sent_and_then_carries_again() -> None:
    line = model(delay_s=0.1)
    line.send(0, b"under way", 0.0)
    line.stop(0.05)
    line.send(0, b"into the void", 0.2)
    assert line.take(1.0) == []
    assert line.counts[1].lost_bytes == len(b"under way" + b"into the void")
    line.start(1.0)
    line.send(0, b"again", 1.0)
    assert line.take(2.0) == [(1, b"again")]


def test_a_cut_hub_forgets_the_frames_it_had_begun() -> None:
    line = model(3)
    line.send(0, b"first half, ", 0.0)
    line.stop(0.1)
    line.start(0.2)
    line.send(0, b"second half\0", 0.2)
    assert line.take(1.0) == [(1, b"second half\0"), (2, b"second half\0")]


def test_noise_arrives_at_its_port_only() -> None:
    line = model(3)
    line.inject(1, b"\xff\x00noise", 4.0)
    assert line.take(4.0) == [(1, b"\xff\x00noise")]


def test_counts_say_what_went_in_and_out() -> None:
    line = model()
    drive(line, {0: bytes(700), 1: bytes(300)})
    assert line.counts == [
        PortCounts(sent_bytes=700, arrived_bytes=300),
        PortCounts(sent_bytes=300, arrived_bytes=700),
    ]


@pytest.mark.parametrize(
    "faults",
    [{"delay_s": -1.0}, {"bit_error_rate": 0.6}, {"chunk_loss": 1.1}, {"chunk_bytes": 0}, {"delay_s": 11.0}],
)
def test_impossible_faults_are_refused(faults: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        model(**faults)


def test_a_line_needs_two_ports_and_a_rate() -> None:
    with pytest.raises(ValueError, match="ports"):
        model(1)
    with pytest.raises(ValueError, match="baud"):
        model(baud=1)


# --- real ptys -------------------------------------------------------------------------------------------------


class Ports:
    """The ports of a line, opened as units would."""

    def __init__(self, paths: list[str]) -> None:
        self.fds = [os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK) for path in paths]

    def read(self, port: int, size_bytes: int) -> bytes:
        """Exactly so many bytes, or what has come when patience ends."""
        came = b""
        while len(came) < size_bytes and select.select([self.fds[port]], [], [], PATIENCE_S)[0]:
            came += os.read(self.fds[port], 65_536)
        return came

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


@pytest.fixture
def pair() -> Iterator[tuple[LineProcess, Ports]]:
    with LineProcess(["--units", "2", "--baud", "921600"]) as line:
        ports = Ports(line.ports)
        yield line, ports
        ports.close()


def test_the_process_carries_bytes_both_ways_and_counts_them(pair: tuple[LineProcess, Ports]) -> None:
    line, ports = pair
    sent = stream(3000)
    os.write(ports.fds[0], sent)
    os.write(ports.fds[1], sent[:500])
    assert ports.read(1, 3000) == sent
    assert ports.read(0, 500) == sent[:500]
    counts = line.stats()["ports"]
    assert isinstance(counts, list)
    assert counts[0] | {"sent_bytes": 3000, "arrived_bytes": 500} == counts[0]
    assert counts[1] | {"sent_bytes": 500, "arrived_bytes": 3000} == counts[1]


def test_through_ptys_too_the_rate_is_the_lines_and_never_more() -> None:
    now = 10.0
    line = Line(2, baud=115_200, options=LineOptions(), rng=random.Random(1), clock=lambda: now)
    ports = Ports(line.ports)
    sent = stream(30_000)
    left, came = sent, b""
    for tick in range(1, 30_000 * 10 * 1000 // 115_200 + 2):  # milliseconds, until the last byte is through
        if left and select.select([], [ports.fds[0]], [], 0)[1]:
            left = left[os.write(ports.fds[0], left[:512]) :]
        line.step(patience_s=0)
        now = 10.0 + tick / 1000
        line.step(patience_s=0)
        arrived_bytes = line.model.counts[1].arrived_bytes
        assert arrived_bytes <= tick / 1000 * 11_520 + 0.01
        came += ports.read(1, arrived_bytes - len(came))
    line.close()
    ports.close()
    assert came == sent


def test_a_reader_that_does_not_read_loses_what_a_uart_would_lose(pair: tuple[LineProcess, Ports]) -> None:
    line, ports = pair
    sent = stream(9000)
    for start in range(0, 9000, 3000):
        os.write(ports.fds[0], sent[start : start + 3000])
        os.write(ports.fds[1], bytes(3000))
        assert len(ports.read(0, 3000)) == 3000  # as many bytes the other way: by now the first have passed too
    os.write(ports.fds[1], b"!" * 1000)
    assert len(ports.read(0, 1000)) == 1000
    counts = line.stats()["ports"]
    assert isinstance(counts, list)
    kept = ports.read(1, counts[1]["arrived_bytes"])
    assert len(kept) == counts[1]["arrived_bytes"] < 6000
    assert counts[1]["overflowed_bytes"] + len(kept) == 9000


def test_a_unit_may_close_its_port_and_open_it_again(pair: tuple[LineProcess, Ports]) -> None:
    line, ports = pair
    os.close(ports.fds[1])
    ports.fds[1] = os.open(line.ports[1], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    os.write(ports.fds[0], b"still there")
    assert ports.read(1, 11) == b"still there"


def test_the_process_cuts_joins_and_injects_on_command(pair: tuple[LineProcess, Ports]) -> None:
    line, ports = pair
    line.stop()
    os.write(ports.fds[0], b"lost")
    while line.stats()["ports"][1]["lost_bytes"] < 4:  # type: ignore[index]
        pass
    line.start()
    line.inject(1, b"\x00noise\xff")
    assert ports.read(1, 7) == b"\x00noise\xff"


def test_an_unknown_command_is_answered_and_not_obeyed(pair: tuple[LineProcess, Ports]) -> None:
    line, _ = pair
    with pytest.raises(ValueError, match="non-hexadecimal"):
        line._ask("inject 0 xyz", "done")


def test_the_process_refuses_impossible_arguments_in_words() -> None:
    with pytest.raises(ValueError, match="chunk_loss"):
        LineProcess(["--loss", "2"])


def test_sigusr1_prints_the_stats_and_sigterm_ends_the_process() -> None:
    command = [sys.executable, "-m", "sim.line", "--units", "3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert len(json.loads(process.stdout.readline())["ports"]) == 3
        process.send_signal(signal.SIGUSR1)
        assert len(json.loads(process.stdout.readline())["stats"]["ports"]) == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def test_links_name_the_ports(tmp_path: Path) -> None:
    line = Line(2, options=LineOptions(), rng=random.Random(1), links=tmp_path)
    assert line.ports == [str(tmp_path / "port-1"), str(tmp_path / "port-2")]
    assert all(os.readlink(port).startswith("/dev/pts/") for port in line.ports)
    line.close()
