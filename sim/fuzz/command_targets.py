"""Targets: what people and programs of this machine say. The config, requests on the control socket, replies, ids."""

from __future__ import annotations

import asyncio
import functools
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

from firmware import commands as c
from firmware import config, values
from firmware.answers import Answers
from firmware.control import Reply, Server
from firmware.control_lines import (
    MAX_DATA_BYTES,
    MAX_REQUEST_BYTES,
    Coming,
    Data,
    End,
    Line,
    NotALine,
    Note,
    Progress,
    Row,
    encode,
    encode_request,
    read,
)
from firmware.errors import ConfigError, Refused, WrongArgument
from firmware.pictures import MAX_PICTURE_BYTES, MAX_UNIT, PictureId
from firmware.service import Service
from hal.clock import SystemClock
from sim.fuzz.target import MAX_WORDS, Target

ID = "00001-3fa7-00000042"
CONFIG_LIMIT_S, CONFIG_LIMIT_BYTES = 0.1, 10_000_000
"""Read once, at the start, from a file that only its owner writes; and tomllib takes 1 ms for the example already."""
LONGEST_REPLY_BYTES = 4096
REPLY_LIMIT_BYTES = 1_000_000
"""Lines may be long (a decision with the inputs of 50 neighbours), and are read by a command, not by the unit."""

# ---------------------------------------------------------------- config


@functools.cache
def _file() -> int:
    """A file in memory, of this process."""
    return os.memfd_create("config")


def _load(data: bytes) -> config.Config:
    os.ftruncate(_file(), 0)
    os.pwrite(_file(), data, 0)
    return config.load(Path(f"/proc/self/fd/{_file()}"))


def _check_config(_data: bytes, made: config.Config) -> None:
    assert 1 <= made.unit.id <= MAX_UNIT
    assert values.is_name(made.unit.name)
    assert 1 <= made.card.capacity_bytes <= values.MAX_SIZE_BYTES
    assert 0 <= made.card.low_water <= made.card.high_water <= 1
    assert 1 <= made.dispersal.copies_min <= made.dispersal.copies <= config.MAX_COPIES
    assert 0 <= made.dispersal.hosting <= 1
    assert made.shutter.interval_s is None or 0 < made.shutter.interval_s <= values.MAX_DURATION_S
    shutter = made.shutter
    pins = [shutter.button_pin, shutter.led_pin, shutter.motion_pin, shutter.tamper_pin]
    used = [pin for pin in pins if pin is not None]
    assert len(set(used) - set(config.UART_PINS)) == len(used)
    assert all(0 <= pin <= config.MAX_PIN for pin in used)
    assert 1 <= shutter.burst <= config.MAX_BURST
    for path in (made.unit.socket_path, made.card.path, made.radio.port):
        assert "\0" not in os.fspath(path)
        os.fsencode(path)


def _configs() -> list[bytes]:
    example = (Path(__file__).parents[2] / "deploy" / "config.example.toml").read_bytes()
    least = b'[unit]\nid = 7\n[camera]\ndriver = "none"\n[radio]\nport = "line"\n[security]\ninsecure = true\n'
    every = b"".join(line.removeprefix(b"# ") for line in example.splitlines(keepends=True)[4:])
    known = [line for line in every.splitlines(keepends=True) if not line.startswith(b"credential")]
    return [example, least, b"".join(known).replace(b'"serial"', b'"xbee"', 1)]  # whose network and channel are there


# ---------------------------------------------------------------- requests


class _Wire(asyncio.Transport):
    """The unit's end of a connection, in memory; what is written is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing holds it."""

    def pause_reading(self) -> None:
        """All of it has come already."""

    def resume_reading(self) -> None:
        """None more comes."""


class _Refusing:
    """In a service's place: every command that its unit gets, and every question to its catalogue, is refused. So what
    is tried is how a request is read, up to the command that it becomes."""

    number, mute, clock = 1, "", SystemClock()

    def __init__(self) -> None:
        self.commands: list[c.Command] = []
        self._tell: Callable[[c.Told], None] = lambda _: None

    def new_ticket(self, tell: Callable[[c.Told], None]) -> int:
        """The only one."""
        self._tell = tell
        return 1

    def drop_ticket(self, ticket: int) -> None:
        """Nothing was begun."""

    def command(self, command: c.Command) -> None:
        """Refused at once."""
        self.commands.append(command)
        self._tell(c.Told(1, c.Failed(Refused("this unit only reads requests"))))

    async def ask(self, _request: object) -> object:
        """Refused at once."""
        raise Refused("this unit has no catalogue")


WITHOUT_ARGUMENTS = ("units", "status", "log", "end")
"""Verbs that read nothing of a request, but whether to follow; they need a whole service."""


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _converse(data: bytes) -> tuple[bytes, list[c.Command]]:
    """What a client is told that has sent this and waits for the answer; it closes where it has sent no whole line."""
    service = _Refusing()
    answers = Answers(cast(Service, service))

    async def handler(request: dict[str, object], reply: Reply) -> None:
        if request["verb"] in WITHOUT_ARGUMENTS:
            raise Refused("this unit only reads requests")
        await answers.handle(request, reply)

    async def conversation() -> bytes:
        wire, reader = _Wire(), asyncio.StreamReader(limit=MAX_REQUEST_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        protocol.connection_made(wire)
        reader.feed_data(data)
        if b"\n" not in data:
            reader.feed_eof()
        writer = asyncio.StreamWriter(wire, protocol, reader, asyncio.get_running_loop())
        await Server(handler, Path("nowhere"))._converse(reader, writer)
        return bytes(wire.written)

    return _loop().run_until_complete(conversation()), service.commands


def _check_told(_data: bytes, result: tuple[bytes, list[c.Command]]) -> None:
    """Nothing, where the client has gone; else an end, which says something that can be read."""
    told, commands = result
    stream = io.BytesIO(told)
    lines: list[Line] = []
    while stream.tell() < len(told):
        lines.append(read(stream))
    assert all(isinstance(line, End) for line in lines)
    assert len(lines) <= 1
    for line in lines:
        assert isinstance(line, End)
        assert line.code in (1, 2)
        assert len(line.what) <= MAX_WORDS
    assert len(commands) <= 1
    for command in commands:
        _check_command(command)


def _check_command(command: c.Command) -> None:
    """What the unit relies on."""
    match command:
        case c.Get():
            assert 0 <= command.have_bytes <= MAX_PICTURE_BYTES
            assert command.have_sha256 is None or len(command.have_sha256) == 32
            assert 0 < command.timeout_s <= 86_400
        case c.PlaceCopy():
            assert 1 <= command.unit <= MAX_UNIT
            assert 0 < command.timeout_s <= 86_400
    if not isinstance(command, c.Shoot):
        assert isinstance(command, c.Get | c.PlaceCopy | c.DropOwn | c.DeletePicture | c.Verify), command
        assert PictureId.parse(str(command.picture)) == command.picture


def _requests() -> list[bytes]:
    picture: dict[str, object] = {"picture": ID}
    nested: object = []
    for _ in range(500):
        nested = [nested]
    have = {"have_bytes": 5, "have_sha256": "ab" * 32}
    asked: list[tuple[str, dict[str, object]]] = [
        ("shoot", {"count": 2, "priority": True}),
        ("list", {"unit": 2, "since_s": 1.5}),
        ("list", {"unit": "gate", "since_s": None}),
        ("whereis", {**picture, "verify": True}),
        ("whereis", {**picture, "verify": False}),
        ("get", {**picture, "preview": False, "timeout_s": 60.0, **have}),
        ("copy", {**picture, "to": "2", "timeout_s": 60.0}),
        ("copy", {**picture, "to": "gate", "timeout_s": 5}),
        *((verb, dict(picture)) for verb in ("drop", "delete", "explain")),
        ("log", {"follow": True}),
        ("drop", {**picture, "what takes most memory": nested}),
    ]
    return [encode_request(verb, arguments) for verb, arguments in asked]


# ---------------------------------------------------------------- replies, ids


def _check_reply(_data: bytes, line: Line) -> None:
    """What the command line relies on."""
    match line:
        case Data(offset, data):
            assert offset >= 0
            assert 0 < len(data) <= MAX_DATA_BYTES
        case End(_, what, did, can):
            assert all(isinstance(text, str) for text in (what, did, can))


def _replies() -> list[bytes]:
    said: tuple[Line, ...] = (
        Row({"picture": ID, "copies": [{"unit": 2}], "x": None}),
        Note("two → three\nlines"),
        Progress(ID, 5, 10),
        Coming(ID, 10, "ab" * 32, 2),
        Coming(ID, 10, None, 2, 5),
        Data(64_000, b"\x00\n\xff" * 20),
        End(),
        End(1, "no", "nothing", "wait"),
    )
    return [encode(line) for line in said]


def _check_id(data: bytes, made: PictureId) -> None:
    assert str(made).encode() == data
    assert PictureId.decode(made.encode()) == made


TARGETS = (
    Target(
        "config",
        _load,
        (ConfigError,),
        _check_config,
        _configs,
        config.MAX_CONFIG_BYTES + 10,
        CONFIG_LIMIT_S,
        CONFIG_LIMIT_BYTES,
    ),
    Target("requests", _converse, (), _check_told, _requests, MAX_REQUEST_BYTES + 10),
    Target(
        "replies",
        lambda data: read(io.BytesIO(data)),
        (NotALine, EOFError),
        _check_reply,
        _replies,
        LONGEST_REPLY_BYTES,
        limit_bytes=REPLY_LIMIT_BYTES,
    ),
    Target(
        "ids",
        lambda data: PictureId.parse(os.fsdecode(data)),
        (WrongArgument,),
        _check_id,
        lambda: [ID.encode(), b"65534-ffff-4294967295"],
        64,
    ),
)
