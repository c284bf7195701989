"""Command mode of a simulated XBee module: AT commands as text, for whoever types them.

Silence for the guard time GT, three times the character CC (+), silence again: the module says OK and takes lines
until ATCN, or until no valid command has come for CT. Answers end with a carriage return; numbers are hexadecimal. It
works in API mode, too, as XBee 3 does it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from hal.xbee_frames import AtStatus
from sim.xbee_settings import Settings

MOST_LINE_BYTES = 255  # of a command; a longer one is an error
_CHARACTERS = 3  # CC, so often

# Executes a command: name and value; what became of it, and the value where one was read.
Execute = Callable[[str, bytes], tuple[AtStatus, bytes]]


class CommandMode:
    """Of one module. say: for the host. pass_on: data that is none of ours. ended: apply what was set. later: call back
    after so many seconds, unless the module was reset.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        execute: Execute,
        say: Callable[[bytes], None],
        pass_on: Callable[[bytes], None],
        ended: Callable[[], None],
        later: Callable[[float, Callable[[], None]], None],
        clock: Callable[[], float],
    ) -> None:
        self.is_on = False
        self._settings = settings
        self._execute = execute
        self._say = say
        self._pass_on = pass_on
        self._ended = ended
        self._later = later
        self._clock = clock
        self._last_at = -math.inf  # something came
        self._valid_at = -math.inf  # a valid command came
        self._signs = b""  # of CC, after a silence
        self._line = bytearray()

    def reset(self) -> None:
        """The module has restarted."""
        self.is_on = False
        self._signs = b""
        self._line.clear()

    def feed(self, data: bytes) -> None:
        """What came from the host; pass_on() gets what is none of ours, at once or after the guard time."""
        now, guard_s = self._clock(), self._settings["GT"] / 1000
        silent, self._last_at = now - self._last_at >= guard_s, now
        if self.is_on:
            self._take(data)
            return
        sign = bytes([self._settings["CC"]])
        signs = self._signs + data
        if (self._signs or silent) and len(signs) <= _CHARACTERS and not signs.strip(sign):
            self._signs = signs
            self._later(guard_s, self._after_silence)
            return
        self._signs = b""
        self._pass_on(signs)

    def _after_silence(self) -> None:
        if not self._signs or self._clock() - self._last_at < self._settings["GT"] / 1000:
            return
        signs, self._signs = self._signs, b""
        if len(signs) < _CHARACTERS:
            self._pass_on(signs)
            return
        self.is_on = True
        self._say(b"OK\r")
        self._valid_at = self._clock()
        self._later(self._settings["CT"] / 10, self._expire)

    def _expire(self) -> None:
        left_s = self._valid_at + self._settings["CT"] / 10 - self._clock()
        if not self.is_on:
            return
        if left_s > 0:
            self._later(left_s, self._expire)
        else:
            self._leave()

    def _leave(self) -> None:
        self.is_on = False
        self._line.clear()
        self._ended()

    def _take(self, data: bytes) -> None:
        for byte in data:
            if byte == ord("\r"):
                line = bytes(self._line)
                self._line.clear()
                self._obey(line.decode("ascii", "replace"))
            elif len(self._line) <= MOST_LINE_BYTES:
                self._line.append(byte)

    def _obey(self, line: str) -> None:
        """One line: AT, then commands with commas between them."""
        if len(line) > MOST_LINE_BYTES or line[:2].upper() != "AT":
            self._say(b"ERROR\r")
            return
        for command in line[2:].split(","):
            self._say(self._answer(command.strip()) + b"\r")

    def _answer(self, command: str) -> bytes:
        name, value = command[:2].upper(), command[2:].strip()
        if name == "CN" and not value:
            self._leave()
            return b"OK"
        try:
            status, told = self._execute(name, _value(name, value))
        except ValueError:
            return b"ERROR"
        if status is not AtStatus.OK:
            return b"ERROR"
        self._valid_at = self._clock()
        if value or not told:
            return b"OK"
        return told if name == "NI" else b"%X" % int.from_bytes(told, "big")


def _value(name: str, text: str) -> bytes:
    """The bytes that a text means; ValueError if it means none."""
    if name == "NI":
        return text.encode("ascii", "replace")
    number = int(text, 16) if text else 0
    if number < 0:
        raise ValueError(text)
    return number.to_bytes((number.bit_length() + 7) // 8 or 1, "big") if text else b""
