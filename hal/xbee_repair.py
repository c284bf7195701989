"""Finding an XBee module that is set otherwise than the radio needs it, and setting it: for `doctor`, not for the unit.

A new module speaks at 9600 baud and knows no frames (AP = 0). It is found in command mode: silence, +++, silence, and
it takes AT commands as text. All here blocks, for a few seconds at each baud rate that is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from hal.errors import RadioError
from hal.interfaces import Clock, RadioCounts
from hal.light_dataclass import dataclass
from hal.serial_port import SerialPort
from hal.xbee_frames import AtCommand, AtResponse, AtStatus, Frame
from hal.xbee_framing import ApiMode, ApiReader, pack
from hal.xbee_inquiry import Inquiry
from hal.xbee_module import Module, Need, Wanted, needs
from hal.xbee_radio import wait_readable

RATES: Final = (9600, 115_200, 57_600, 38_400, 19_200, 230_400)
"""Baud rates that a module may have been set to, the likeliest first: Digi's factory, then ours."""
GUARD_S: Final = 1.1
"""Silence around +++ (GT, 1 s from the factory)."""
ANSWER_S: Final = 1.5
"""For the answer to a command; WR writes flash, and a module that has just restarted is late. Guess."""
_COMMAND_MODE_S: Final = GUARD_S + 0.5
_BD: Final = {
    rate: index for index, rate in enumerate((1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400))
}
"""What BD says for these rates; any other says itself."""

Wait = Callable[[SerialPort, float], None]
"""Waits until a port can be read, or for so many seconds."""


@dataclass(frozen=True, slots=True)
class Found:
    """A module that has answered. module: None where it knows no frames, so that nothing else was asked."""

    baud: int
    module: Module | None


def find(
    name: str, baud: int, clock: Clock, *, rates: Sequence[int] = RATES, wait: Wait = wait_readable
) -> Found | None:
    """The module at this port, looked for at `baud` and then at the other rates; None: nothing answers.

    RadioError where the port cannot be opened.
    """
    for rate in dict.fromkeys((baud, *rates)):
        talk = _Talk(name, rate, clock, wait)
        try:
            module = talk.ask()
            if module is not None or talk.takes_text():
                return Found(rate, module)
        finally:
            talk.close()
    return None


def all_needs(found: Found, wanted: Wanted, baud: int) -> list[Need]:
    """What is to be set in it so that a unit with these keys in its config can use it. Where it knows no frames, the
    rest turns up once it does."""
    todo = []
    if found.baud != baud:
        todo.append(Need("BD", _BD.get(baud, baud), f"it speaks at {found.baud} baud, and radio.baud is {baud}"))
    if found.module is None:
        return [Need("AP", ApiMode.PLAIN, "it knows no frames (transparent mode)"), *todo]
    return todo + needs(found.module, wanted)


def repair(
    name: str, found: Found, wanted: Wanted, baud: int, clock: Clock, *, wait: Wait = wait_readable
) -> tuple[list[Need], Module]:
    """Set what is to be set, and have the module keep it (WR). What was set, and the module as it is now.

    RadioError where the module refuses or stops answering; what was set by then holds until it loses power.
    """
    done: list[Need] = []
    if found.module is None:
        (frames, *_) = all_needs(found, wanted, baud)
        talk = _Talk(name, found.baud, clock, wait)
        try:
            talk.set_by_text(frames)
            module = talk.ask()
        finally:
            talk.close()
        if module is None:
            raise _refused(name, frames)
        done, found = [frames], Found(found.baud, module)
    todo = all_needs(found, wanted, baud)
    in_place = [need for need in todo if need.setting != "BD"]
    talk = _Talk(name, found.baud, clock, wait)
    try:
        talk.ask()
        talk.set_all(in_place)
        if in_place or done:
            talk.keep()
        if found.baud != baud:
            talk.say_rate(todo[0])
    finally:
        talk.close()
    talk = _Talk(name, baud, clock, wait)
    try:
        module = talk.ask()
        if module is None:
            raise _refused(name, next(iter(todo or done), None))
        if found.baud != baud:
            talk.keep()
    finally:
        talk.close()
    return done + todo, module


def _refused(name: str, need: Need | None) -> RadioError:
    """need: what was set last, None: nothing."""
    after = "any more" if need is None else f"after {need.setting} was set to {need.value:X}"
    return RadioError(
        f"the XBee module at {name} does not answer {after}",
        did="nothing more was set",
        can="take its power away and give it back, and try again",
    )


class _Talk:
    """One opening of the port."""

    def __init__(self, name: str, baud: int, clock: Clock, wait: Wait) -> None:
        self._port = SerialPort(name, baud, clock, RadioCounts(), rtscts=False, pty_only=False)
        if self._port.problem is not None:
            raise RadioError(self._port.problem)
        self._clock = clock
        self._wait = wait
        self._mode = ApiMode.PLAIN
        self._reader = ApiReader(self._mode)

    def close(self) -> None:
        self._port.close()

    def ask(self) -> Module | None:
        """What the module is; None: it does not answer."""
        inquiry = Inquiry()
        inquiry.begin(self._clock.monotonic())
        while inquiry.is_open:
            question = inquiry.next_frame(self._clock.monotonic())
            if question is not None:
                self._write(pack(question, self._mode))
            due = inquiry.deadline()
            if due is None or not inquiry.is_open:
                break
            for frame in self._frames(until=due):
                if isinstance(frame, AtResponse):
                    inquiry.take(frame, self._clock.monotonic())
            if self._mode is not inquiry.mode:
                self._mode = inquiry.mode
                self._reader = ApiReader(self._mode)
        return inquiry.module

    def set_all(self, todo: Sequence[Need]) -> None:
        """One after the other."""
        for need in todo:
            self._command(need.setting, need.value, why=need)

    def keep(self) -> None:
        """WR."""
        self._command("WR", None, why=Need("WR", 0, ""))

    def say_rate(self, need: Need) -> None:
        """From its answer on, which may already come at the new one, it speaks at another rate."""
        self._write(pack(AtCommand(frame_id=1, command=need.setting, value=_coded(need.value)), self._mode))
        self._frames(until=self._clock.monotonic() + GUARD_S)

    def _command(self, name: str, value: int | None, *, why: Need) -> None:
        self._write(
            pack(AtCommand(frame_id=1, command=name, value=b"" if value is None else _coded(value)), self._mode)
        )
        until = self._clock.monotonic() + ANSWER_S
        while self._clock.monotonic() < until:
            for frame in self._frames(until=until):
                if isinstance(frame, AtResponse) and frame.command == name:
                    if frame.status != AtStatus.OK:
                        raise RadioError(
                            f"the XBee module refuses {why.setting} = {why.value:X}",
                            did="nothing more was set",
                            can="check radio.network and radio.channel: not every product has every channel",
                        )
                    return
        raise _refused(self._port.name, why)

    # ------------------------------------------------------------ command mode

    def takes_text(self) -> bool:
        """Whether the module takes commands as text."""
        return self._enter_command_mode() and self._says_ok("ATCN\r")

    def _enter_command_mode(self) -> bool:
        self._bytes(until=self._clock.monotonic() + GUARD_S)
        self._write(b"+++")
        return b"OK\r" in self._bytes(until=self._clock.monotonic() + _COMMAND_MODE_S, end=b"OK\r")

    def set_by_text(self, need: Need) -> None:
        """Set one thing, and leave command mode, which puts it in force."""
        line = f"AT{need.setting}{need.value:X}\r"
        if not (self._enter_command_mode() and self._says_ok(line) and self._says_ok("ATCN\r")):
            raise _refused(self._port.name, need)

    def _says_ok(self, line: str) -> bool:
        self._write(line.encode())
        return b"OK\r" in self._bytes(until=self._clock.monotonic() + ANSWER_S, end=b"OK\r")

    # ------------------------------------------------------------ the port

    def _write(self, data: bytes) -> None:
        self._port.write(data)  # some bytes: the kernel takes them at once
        if self._port.is_writing:
            raise RadioError(f"the radio's port {self._port.name} does not take what we write")

    def _frames(self, *, until: float) -> list[Frame]:
        """The frames of what comes next, at the latest then; empty: nothing came."""
        return self._reader.feed(self._read(until), self._clock.monotonic())

    def _bytes(self, *, until: float, end: bytes | None = None) -> bytes:
        """What comes until then, or until this ends it."""
        said = b""
        while self._clock.monotonic() < until and (end is None or not said.endswith(end)):
            said += self._read(until)
        return said

    def _read(self, until: float) -> bytes:
        if self._port.fileno() is None:
            raise RadioError(self._port.problem or "the radio's port went away")
        self._wait(self._port, until - self._clock.monotonic())
        return self._port.read()


def _coded(value: int) -> bytes:
    return value.to_bytes(max(1, -(-value.bit_length() // 8)), "big")
