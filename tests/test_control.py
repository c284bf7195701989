"""The control socket: both sides against each other, and each against a side that breaks the rules."""

import asyncio
import grp
import io
import json
import os
import select
import socket
import stat
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from control_server import WAIT_S, serving
from hypothesis import given
from hypothesis import strategies as st
from unprivileged import nobody

from firmware import control
from firmware.answers import Answers
from firmware.client import Client
from firmware.control_lines import (
    MAX_DATA_BYTES,
    MAX_REQUEST_BYTES,
    NOT_BEGUN,
    Coming,
    Data,
    End,
    NotALine,
    Note,
    Progress,
    Row,
    decode_request,
    encode,
    encode_request,
    read,
)
from firmware.errors import NobodyRuns, Refused, WrongArgument
from firmware.service import Service
from hal.errors import CardFull

LINES = [
    Row({"picture": "00001-3fa7-00000042", "copies": [{"unit": 2}], "x": None}),
    Note("two → three\nlines"),
    Progress("00001-3fa7-00000042", 5, 10),
    Coming("00001-3fa7-00000042", 10, "ab" * 32, 2),
    Coming("00001-3fa7-00000042", 10, None, 2),
    Data(64_000, b"\x00\n\xff" * 20_000),
    End(),
    End(1, "no", "nothing", "wait"),
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: type(line).__name__)
def test_every_line_is_read_as_it_was_written(line):
    stream = io.BytesIO(encode(line) + b"next")
    assert read(stream) == line
    assert stream.read() == b"next"


@pytest.mark.parametrize("line", LINES, ids=lambda line: type(line).__name__)
def test_every_truncated_line_is_an_end_of_the_stream(line):
    whole = encode(line)
    for size in {*range(min(len(whole), 200)), len(whole) - 1}:
        with pytest.raises(EOFError):
            read(io.BytesIO(whole[:size]))


@given(
    st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.dictionaries(
            st.sampled_from(["row", "note", "progress", "picture", "data", "end", "offset", "size_bytes"]), inner
        ),
    ).map(lambda told: json.dumps(told).encode())
)
def test_what_is_no_line_is_said_to_be_none(noise):
    try:
        read(io.BytesIO(noise + b"\n"))
    except (NotALine, EOFError):
        return
    told = json.loads(noise)
    assert set(told) & {"row", "note", "progress", "picture", "data", "end"}


@pytest.mark.parametrize("line", [b"", b"[]", b"5", b'{"verb": 5}', b"{}", b"\xff", b"[" * 50_000])
def test_a_request_that_is_none_is_wrong_usage(line):
    with pytest.raises(WrongArgument):
        decode_request(line)


def test_a_command_is_answered_in_order(tmp_path):
    asked = []

    async def handler(request, reply):
        asked.append(request)
        await reply.note("looking")
        await reply.progress(picture="p", done_bytes=0, total_bytes=9)
        await reply.picture(picture="p", size_bytes=9, sha256=b"\xab" * 32, from_unit=2)
        await reply.data(0, b"123456789")
        await reply.row({"picture": "p"})
        await reply.end()

    with serving(tmp_path / "control.sock", handler) as running:
        assert list(running.client.ask("get", picture="p", preview=False)) == [
            Note("looking"),
            Progress("p", 0, 9),
            Coming("p", 9, "ab" * 32, 2),
            Data(0, b"123456789"),
            Row({"picture": "p"}),
        ]
    assert asked == [{"verb": "get", "picture": "p", "preview": False}]


def test_long_data_come_in_lines_of_the_named_size(tmp_path):
    file = os.urandom(3 * MAX_DATA_BYTES + 17)

    async def handler(_request, reply):
        await reply.data(0, file)

    with serving(tmp_path / "control.sock", handler) as running:
        answers = list(running.client.ask("get"))
    assert [len(answer.data) for answer in answers] == [MAX_DATA_BYTES] * 3 + [17]
    assert b"".join(answer.data for answer in answers) == file
    assert [answer.offset for answer in answers] == [i * MAX_DATA_BYTES for i in range(4)]


@pytest.mark.parametrize(
    ("raised", "kind"),
    [(Refused("a", did="b", can="c"), Refused), (WrongArgument("a", did="b", can="c"), WrongArgument)],
)
def test_an_error_of_the_handler_is_told_whole(tmp_path, raised, kind):
    async def handler(_request, _reply):
        raise raised

    with serving(tmp_path / "control.sock", handler) as running, pytest.raises(kind) as caught:
        list(running.client.ask("drop"))
    assert (caught.value.what, caught.value.did, caught.value.can) == ("a", "b", "c")


def test_a_failure_of_the_machine_is_a_refusal_at_the_client(tmp_path):
    async def handler(_request, _reply):
        raise CardFull("no room")

    with serving(tmp_path / "control.sock", handler) as running, pytest.raises(Refused, match="no room"):
        list(running.client.ask("shoot"))


def test_a_bug_in_a_handler_reaches_the_loop_and_the_client_is_not_left_waiting(tmp_path):
    async def handler(_request, _reply):
        raise KeyError("bug")

    with serving(tmp_path / "control.sock", handler) as running:
        with pytest.raises(Refused, match="broke off"):
            list(running.client.ask("shoot"))
        assert isinstance(running.bugs.get(timeout=WAIT_S), KeyError)


def test_a_client_that_closes_early_cancels_its_command(tmp_path):
    cancelled = threading.Event()

    async def handler(_request, reply):
        await reply.note("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with serving(tmp_path / "control.sock", handler) as running:
        answers = running.client.ask("get")
        assert next(answers) == Note("begun")
        assert not cancelled.is_set()
        answers.close()
        assert cancelled.wait(WAIT_S)


def test_a_client_that_does_not_read_holds_the_handler_back(tmp_path):
    sent_bytes = 0
    full = threading.Event()

    async def handler(_request, reply):
        nonlocal sent_bytes
        asyncio.get_running_loop().call_soon(full.set)  # runs when this handler first has to wait
        for _ in range(1_000):
            await reply.data(0, bytes(MAX_DATA_BYTES))
            sent_bytes += MAX_DATA_BYTES

    with serving(tmp_path / "control.sock", handler) as running:
        answers = running.client.ask("get")
        next(answers)
        assert full.wait(WAIT_S)
        assert sent_bytes < 4_000_000  # what kernel and buffers hold, not the 64 MB that were to go
        answers.close()


def test_closing_tells_the_clients_and_takes_the_socket_away(tmp_path):
    async def handler(_request, reply):
        await reply.note("begun")
        await asyncio.Event().wait()

    with serving(tmp_path / "control.sock", handler) as running:
        answers = running.client.ask("log", follow=True)
        next(answers)
        running.do(running.server.close())
        with pytest.raises(Refused, match="told to end"):
            next(answers)
        assert list(tmp_path.iterdir()) == []


async def _quiet(_request, _reply):
    """Ends at once."""


@pytest.mark.parametrize(
    ("sent", "says"),
    [(b"nonsense\n", "not JSON"), (b"x" * (MAX_REQUEST_BYTES + 10) + b"\n", "longer than"), (b"[]\n", "verb")],
)
def test_a_malformed_request_ends_with_wrong_usage(tmp_path, sent, says):
    with serving(tmp_path / "control.sock", _quiet), socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(WAIT_S)
        raw.connect(str(tmp_path / "control.sock"))
        raw.sendall(sent)
        with raw.makefile("rb") as stream:
            end = read(stream)
            assert end.code == 2
            assert says in end.what
            assert stream.read() == b""


@pytest.mark.parametrize("digits", [6, 1300, 5000])
def test_a_unit_of_any_number_of_digits_is_wrong_usage(tmp_path, digits):
    handler = Answers(cast(Service, None)).handle  # none of it gets as far as the service
    with serving(tmp_path / "control.sock", handler) as running, pytest.raises(WrongArgument, match=r"unit 9|longer"):
        list(running.client.ask("copy", picture="00001-3fa7-00000042", to="9" * digits))


@pytest.mark.parametrize(
    "arguments",
    [
        {"verb": "x" * 1000},
        {"verb": "get", "picture": "\x00" * 150},
        {"verb": "get", "picture": "00001-3fa7-00000042", "timeout_s": [[[0]] * 100]},
        {"verb": "list", "unit": -(10**1000)},
    ],
)
def test_no_answer_repeats_more_than_the_beginning_of_what_was_asked(tmp_path, arguments):
    handler = Answers(cast(Service, None)).handle
    with serving(tmp_path / "control.sock", handler) as running, pytest.raises(WrongArgument) as caught:
        list(running.client.ask(**arguments))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"":', "}"), ("[],", ""), ("{},", ""), ('{"":[[]]},', ""), ('{"🌲":1},', "")]
)
def test_no_request_takes_more_than_64_kb(opening, closing):
    """Small lists and objects take many times their length."""
    room_bytes = MAX_REQUEST_BYTES - len(b'{"verb": "x", "y": [0]}\n')
    many = room_bytes // len((opening + closing).encode())
    line = f'{{"verb": "x", "y": [{opening * many}0{closing * many}]}}\n'.encode()
    assert len(line) > MAX_REQUEST_BYTES - 20
    tracemalloc.start()
    assert decode_request(line)["verb"] == "x"
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 64_000


def test_a_client_that_says_nothing_is_left_after_the_named_time(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "REQUEST_TIMEOUT_S", 0.01)
    with serving(tmp_path / "control.sock", _quiet), socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(WAIT_S)
        raw.connect(str(tmp_path / "control.sock"))
        with raw.makefile("rb") as stream:
            assert "no request came" in read(stream).what


def test_more_clients_than_the_named_number_are_refused(tmp_path):
    async def handler(_request, reply):
        await reply.note("begun")
        await asyncio.Event().wait()

    with serving(tmp_path / "control.sock", handler) as running:
        held = [running.client.ask("log") for _ in range(control.MAX_CLIENTS)]
        assert all(next(answers) == Note("begun") for answers in held)
        with pytest.raises(Refused, match="commands at once"):
            list(running.client.ask("status"))
        for answers in held:
            answers.close()


def test_the_socket_is_for_owner_and_group(tmp_path):
    with serving(tmp_path / "control.sock", _quiet) as running:
        assert running.path.stat().st_mode & 0o777 == 0o660


def test_a_stale_socket_counts_as_none_and_is_replaced(tmp_path):
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert not Client(path).runs()
    with serving(path, _quiet) as running:
        assert running.client.runs()
        assert list(running.client.ask("units")) == []
    assert not path.exists()


def test_closing_leaves_the_socket_of_a_later_unit(tmp_path):
    path = tmp_path / "control.sock"
    with serving(path, _quiet) as first:
        with serving(path, _quiet) as second:
            first.do(first.server.close())
            assert second.client.runs()
        assert not path.exists()


def test_a_path_too_long_for_a_socket_address_works(tmp_path):
    directory = tmp_path / ("d" * 100) / ("e" * 100)
    directory.mkdir(parents=True)
    with serving(directory / "control.sock", _quiet) as running:
        assert list(running.client.ask("units")) == []
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("name", ["control.sock", "no/such/control.sock"])
def test_nobody_runs_is_an_error_of_its_own(tmp_path, name):
    with pytest.raises(NobodyRuns, match="dandelion run"):
        list(Client(tmp_path / name).ask("status"))


@contextmanager
def a_unit_that_says(said: bytes | None, path: Path) -> Iterator[Client]:
    """One that takes a request and answers with these bytes, whatever they are; with None it ends before it accepts."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def unit() -> None:
            if said is None:
                select.select([listener], [], [], WAIT_S)
                listener.close()
                return
            connection, _ = listener.accept()
            with connection:
                connection.recv(MAX_REQUEST_BYTES)
                connection.sendall(said)

        thread = threading.Thread(target=unit)
        thread.start()
        yield Client(path)
        thread.join(WAIT_S)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "no end"),
        (b'{"note": "begun"}\n', "no end"),
        (b'{"data": {"offset": 0, "size_bytes": 10}}\nshort', "no end"),
        (b'{"data": {"offset": 0, "size_bytes": 10000000000}}\n', "no line"),
        (b"hello\n", "no line"),
    ],
)
def test_a_unit_that_breaks_off_or_talks_nonsense_is_an_error_in_words(tmp_path, said, why):
    with a_unit_that_says(said, tmp_path / "control.sock") as client, pytest.raises(Refused, match=why):
        list(client.ask("get"))


def test_a_command_that_the_unit_has_not_begun_when_it_ends_is_told_so(tmp_path):
    async def answer(_request, reply):
        await reply.row({"ok": True})

    with serving(tmp_path / "control.sock", answer) as server, socket.socket(socket.AF_UNIX) as waiting:
        waiting.settimeout(WAIT_S)
        waiting.connect(str(server.path))
        assert [row.fields for row in server.client.ask("status")] == [{"ok": True}]  # so ours was accepted, too
        server.do(server.server.close())
        assert json.loads(waiting.makefile().readline())["end"] == NOT_BEGUN


@pytest.mark.parametrize("said", [encode(End(NOT_BEGUN, "the unit was told to end")), None])
def test_a_command_that_was_not_begun_can_be_told_from_one_that_failed(tmp_path, said):
    """None: the connection was never accepted."""
    with a_unit_that_says(said, tmp_path / "control.sock") as client, pytest.raises(NobodyRuns):
        list(client.ask("shoot"))


def test_a_unit_that_hangs_is_given_up(tmp_path):
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(Refused, match="said nothing for"):
            list(Client(path).ask("status", silence_s=0.01))


def test_the_request_fits_one_line():
    assert encode_request("get", {"picture": "a\nb"}).count(b"\n") == 1


def test_connections_that_say_nothing_are_closed_when_there_are_too_many(tmp_path):
    async def answer(_request, reply):
        await reply.row({"ok": True})

    with serving(tmp_path / "control.sock", answer) as server:
        silent = [socket.socket(socket.AF_UNIX) for _ in range(control.MAX_CONNECTIONS + 40)]
        for one in silent:
            one.connect(str(server.path))  # waits while too many wait to be accepted
            one.settimeout(WAIT_S)
        closed = [one for one in silent[control.MAX_CONNECTIONS :] if one.recv(1) == b""]
        assert len(closed) == 40
        for one in silent:
            one.close()
        assert [row.fields for row in asked_again(server.path)] == [{"ok": True}]


def asked_again(path):
    """The answer, as soon as the unit has noticed that the others have gone."""
    for _ in range(1000):
        try:
            return list(Client(path).ask("status"))
        except Refused:
            continue
    raise AssertionError("the unit never noticed")


def test_only_one_holds_a_runtime_directory(tmp_path):
    directory = tmp_path / "run"
    with control.hold(directory), pytest.raises(Refused, match="runs here already"), control.hold(directory):
        pass
    with control.hold(directory):
        pass


def test_a_runtime_directory_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="file/run"), control.hold(tmp_path / "file" / "run"):
        pass


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_a_runtime_directory_is_made_for_owner_and_group_with_all_above_it(tmp_path, umask):
    directory = tmp_path / "a" / "run"
    before = os.umask(umask)
    try:
        with control.hold(directory):
            assert stat.S_IMODE((directory / "lock").stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert [stat.S_IMODE(made.stat().st_mode) for made in (directory, directory.parent)] == [0o750, 0o750]


def test_a_runtime_directory_that_is_there_is_left_as_it_is(tmp_path):
    directory = tmp_path / "run"
    directory.mkdir()
    directory.chmod(0o711)
    with control.hold(directory):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o711


def test_without_the_group_or_without_being_in_it_the_socket_is_the_users_own(public, monkeypatch):
    for name in ("no-such-group", grp.getgrgid(max(each.gr_gid for each in grp.getgrall())).gr_name):
        monkeypatch.setattr(control, "GROUP", name)
        with nobody(), serving(public / "control.sock", _quiet) as running:
            found = running.path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, os.getegid())
