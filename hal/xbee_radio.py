"""The radio that is an XBee module in API mode: whole packets to one module or to all, by its own frames.

The module has addresses, acknowledgements, repeats and listening before talking of its own: units need take no turns on
it, and both ends may hand it packets at once, which is what full duplex means to the firmware. It tells what became of
each packet; few wait for that, so that its buffer does not overrun, with flow control (CTS) or without.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable
from typing import Final

from hal.errors import RadioError
from hal.framing import CRC_BYTES, crc16
from hal.interfaces import Address, Arrival, Clock, Duplex, Protection
from hal.pacing import Pacer
from hal.serial_port import BITS_PER_BYTE, SerialPort
from hal.xbee_frames import (
    BROADCAST,
    AtCommand,
    AtResponse,
    AtStatus,
    Delivery,
    Frame,
    Modem,
    ModemStatus,
    ReceivePacket,
    Rx16,
    Rx64,
    TransmitRequest,
    TransmitStatus,
    Tx64,
    TxStatus,
)
from hal.xbee_framing import ApiReader, pack
from hal.xbee_inquiry import ANSWER_S, FIRST_ID, TRIES, Inquiry
from hal.xbee_module import ASKED, SMALLEST_PAYLOAD_BYTES, Module, Protocol, Wanted, needs, unusable

AHEAD: Final = 2
"""Packets that the module may have at once: one that is on the air, and the next in its serial buffer …"""
MOST_AHEAD: Final = 4
AHEAD_S: Final = 0.1
"""… and with flow control so many, if its air takes no longer for them: frames are then written while others are sent
(94 % of what the air carries, with two 73 to 100 %; measured with simulated modules)."""
STATUS_S: Final = 10.0
"""After so long the module is not believed to tell any more what became of a packet, and is asked what it is: it may
have restarted unheard. Guess: finding a route with all repeats takes 5 s."""
ASKED_AT_START_S: Final = 1.5
"""So long at most the start waits for the module's next answer …"""
MOST_AT_START_S: Final = len(ASKED) * TRIES * ANSWER_S
"""… and so long for all of them, 13.5 s: each may need its last try. A usual module takes 0.1 s, one at 1200 baud 3 s.
The service manager waits for 120 s, its watchdog for 30 s. Whoever gives up too soon has the unit start anew: a module
that tells later what it is leaves the radio outdated."""
MANY_RESETS: Final = 3
RESETS_WITHIN_S: Final = 60.0
"""So many restarts in so long are a problem, until there was none for as long. Guess: plugging it in makes one or
two."""

STRENGTH_EVERY_S: Final = 5.0
"""How often a module whose frames do not tell it is asked how strong the last packet was (DB). Guess: for whoever turns
an antenna and looks at `units`."""
MOST_STRENGTHS: Final = 256
"""Senders of which it is remembered; five times the largest fleet."""

_FRAME_BYTES: Final = 18
"""On the serial line besides a packet and its CRC: start, length, the longest header, check sum."""
_STRENGTH_ID: Final = FIRST_ID + len(ASKED)
_IDS: Final = range(_STRENGTH_ID + 1, 256)
"""Frame ids of packets; those before are the inquiry's, and that of DB."""
_NOBODY: Final = frozenset({BROADCAST, (1 << 64) - 1})
"""What stands for the sender where the module does not know it."""
_RESETS: Final = frozenset({Modem.HARDWARE_RESET, Modem.WATCHDOG_RESET})
_UNKNOWN_BYTES_PER_S: Final = 3400.0
"""Assumed of a module that has not told what it is: the slowest usual one (hal/xbee_module.py)."""


def wait_readable(port: SerialPort, seconds: float) -> None:
    """Wait until a port can be read, or for so many seconds."""
    if (descriptor := port.fileno()) is not None:
        select.select([descriptor], [], [], max(0.0, seconds))


def open_radio(
    port: SerialPort, clock: Clock, wanted: Wanted, *, wait: Callable[[SerialPort, float], None] = wait_readable
) -> XBeeRadio:
    """A radio on a port just opened, once the module has told what it is: after about 0.1 s, at most ASKED_AT_START_S
    where it does not answer, at most MOST_AT_START_S where it is slow. Blocks meanwhile."""
    radio = XBeeRadio(port, clock, wanted)
    began, answered = clock.monotonic(), 0
    give_up_at = began + ASKED_AT_START_S
    while radio.is_asking and radio.fileno() is not None:
        now, due = clock.monotonic(), radio.deadline()
        if now >= give_up_at:
            break
        wait(port, min(give_up_at, give_up_at if due is None else due) - now)
        radio.receive()  # what comes from others is lost
        radio.service()
        if radio.inquiry.answered != answered:
            answered = radio.inquiry.answered
            give_up_at = min(clock.monotonic() + ASKED_AT_START_S, began + MOST_AT_START_S)
    return XBeeRadio(port, clock, wanted, radio.inquiry)


class XBeeRadio:
    """A Radio on an XBee module. inquiry: what was found out about it; else it is asked now, and taken for the smallest
    one until it has told: then the radio is outdated."""

    def __init__(self, port: SerialPort, clock: Clock, wanted: Wanted, inquiry: Inquiry | None = None) -> None:
        self.duplex = Duplex.FULL
        self.counts = port.counts
        self.mtu_bytes = SMALLEST_PAYLOAD_BYTES - CRC_BYTES
        self.line_bytes_per_s = min(port.baud / BITS_PER_BYTE, _UNKNOWN_BYTES_PER_S)
        self.inquiry = Inquiry() if inquiry is None else inquiry
        self._port = port
        self._clock = clock
        self._wanted = wanted
        self._pacer = Pacer(port.baud / BITS_PER_BYTE)
        self._room_due = False  # the pacer's opens_at is a deadline until service() has been called after it
        self._reader = ApiReader(self.inquiry.mode)
        self._arrived: list[Arrival] = []  # what service() found; it reads nothing more until receive() has taken them
        self._damaged_before = 0  # counted by readers before this one
        self._damaged_packets = 0
        self._ahead: dict[int, float] = {}  # by frame id, until when it is waited for; the oldest first
        self._last_id = _IDS[-1]
        self._resets: deque[float] = deque(maxlen=MANY_RESETS)  # when it has told of one
        self._restarts_until: float | None = None  # it is said that it restarts again and again
        self._last_sender: Address | None = None
        self._strengths: dict[Address, int] = {}  # in dBm, the longest known first
        self._strength_of: Address | None = None  # whose DB is asked for
        self._strength_at = float("-inf")  # when it may be asked for again
        self._opened = port.opened
        self._module_problem: str | None = None
        if inquiry is None:
            self.inquiry.begin(clock.monotonic())
        elif (module := inquiry.module) is not None:
            self.mtu_bytes = module.mtu_bytes
            self.line_bytes_per_s = self._rate(module)
        self._judge()
        self._ask(clock.monotonic())

    # ------------------------------------------------------------ what it is

    @property
    def is_asking(self) -> bool:
        """Whether the module is about to tell what it is."""
        return self.inquiry.is_open

    @property
    def is_outdated(self) -> bool:
        """Whether the module is another one than when the radio was made."""
        module = self.inquiry.module
        return module is not None and (module.mtu_bytes, self._rate(module)) != (self.mtu_bytes, self.line_bytes_per_s)

    @property
    def problem(self) -> str | None:
        """What is wrong with port or module."""
        return self._port.problem or self._module_problem

    @property
    def heard_at(self) -> float:
        """When the module last said something."""
        return self._port.heard_at

    def fileno(self) -> int | None:
        """The descriptor to watch for reading, None while the port is away."""
        return self._port.fileno()

    def _rate(self, module: Module) -> float:
        return min(self._port.baud / BITS_PER_BYTE, module.bytes_per_s)

    def _judge(self) -> None:
        """Say what is wrong with the module."""
        error, name, module = None, self._port.name, self.inquiry.module
        if self._restarts_until is not None:
            error = RadioError(
                f"the XBee module at {name} restarts again and again",
                did="the unit asks it anew each time, and sends again what was lost",
                can="check its supply and wires: while it sends it takes many times the current",
            )
        elif self.inquiry.failed:
            error = RadioError(
                f"the XBee module at {name} does not answer",
                did="the unit goes on without the radio and asks it again",
                can="check its power and wiring; dandelion doctor --fix finds one in another mode or at another rate",
            )
        elif module is not None and (why := unusable(module)) is not None:
            error = RadioError(
                f"the XBee module at {name} cannot be used: {why}",
                did="the unit goes on without the radio",
                can="take another product, or other firmware for it",
            )
        elif module is not None and (found := needs(module, self._wanted)):
            error = RadioError(
                f"the XBee module at {name}: {', and '.join(f'{need.why} ({need.setting})' for need in found)}",
                did="the unit uses it as it is",
                can=f"dandelion doctor --fix sets {', '.join(f'{need.setting} = {need.value:X}' for need in found)}",
            )
        self._module_problem = None if error is None else str(error)

    # ------------------------------------------------------------ out

    @property
    def _takes(self) -> Module | None:
        """The module, if it can be handed a packet; None: a packet would be lost."""
        module = self.inquiry.module
        return None if module is None or self.fileno() is None or unusable(module) is not None else module

    @property
    def room(self) -> int:
        """1 or 0; 0 also while a write is unfinished, while the module has enough, and while it is asked what it is."""
        if self._port.is_writing or self._clock.monotonic() < self._pacer.opens_at:
            return 0
        if self.fileno() is not None and self.inquiry.is_open:
            return 0
        module = self._takes
        if module is None or not self._ahead:
            return 1  # there is nobody to take it, or nothing in the way
        return int(len(self._ahead) < self._most_ahead(module))

    def _most_ahead(self, module: Module) -> int:
        """Packets that the module can have without losing one."""
        if self._wanted.flow_control:
            return max(AHEAD, min(MOST_AHEAD, int(AHEAD_S * module.bytes_per_s / module.mtu_bytes)))
        return AHEAD if _FRAME_BYTES + module.mtu_bytes + CRC_BYTES <= module.buffer_bytes else 1

    def send(self, packet: bytes, protection: Protection, to: Address | None = None) -> None:
        """Hand one packet to the module; what the port does not take at once is written in service()."""
        assert protection is Protection.NONE
        if not 1 <= len(packet) <= self.mtu_bytes:
            raise ValueError(f"a packet has 1 to {self.mtu_bytes} bytes, not {len(packet)}")
        if not self.room:
            raise ValueError("send() without room")
        now, module = self._clock.monotonic(), self._takes
        self._last_id = _IDS.start if self._last_id == _IDS[-1] else self._last_id + 1
        data = packet + crc16(packet).to_bytes(CRC_BYTES, "big")
        target = BROADCAST if to is None else to
        frame: Frame = TransmitRequest(frame_id=self._last_id, to=target, data=data)
        if module is not None and module.protocol is Protocol.IEEE_802_15_4:
            frame = Tx64(frame_id=self._last_id, to=target, data=data)
        on_line = pack(frame, self.inquiry.mode)
        self._pacer.take(len(on_line), now)
        self._room_due = self._pacer.opens_at > now
        if module is not None and len(packet) <= module.mtu_bytes:  # else it is another module than at the start
            self._ahead[self._last_id] = now + STATUS_S
            self.counts.frames_out += 1
            self._port.write(on_line)

    def _ask(self, now: float) -> None:
        """Go on with the inquiry."""
        if self.fileno() is None or self._port.is_writing:
            return
        failed = self.inquiry.failed
        question = self.inquiry.next_frame(now)
        if question is not None:
            self._port.write(pack(question, self.inquiry.mode))
        elif self.inquiry.failed and not failed:
            self._judge()
            self._read_as_told()

    # ------------------------------------------------------------ in

    def receive(self) -> list[Arrival]:
        """The packets that have arrived."""
        now = self._clock.monotonic()
        self._hear(self._reader.feed(self._port.read(), now), now)
        self._ask(now)
        self._ask_strength(now)
        arrivals, self._arrived = self._arrived, []
        return arrivals

    def _hear(self, frames: list[Frame], now: float) -> None:
        """Take what the module says, and keep the packets among it."""
        before = len(self._arrived)
        for frame in frames:
            match frame:
                case ReceivePacket() | Rx64() | Rx16():
                    self._arrived += self._unpack(frame)
                case _:
                    self._take(frame, now)
        self.counts.frames_in += len(self._arrived) - before
        self.counts.frames_damaged = self._damaged_before + self._reader.frames_damaged + self._damaged_packets

    def _give_up_half_frame(self, now: float) -> None:
        """Its rest is not waited for any more, unless it is there: whoever calls may be late."""
        reader = self._reader
        if reader.deadline is None or now < reader.deadline or self._arrived:
            return
        self._hear(reader.feed(self._port.read(), now), now)
        self._hear(self._reader.expire(now), now)

    def _unpack(self, frame: ReceivePacket | Rx64 | Rx16) -> list[Arrival]:
        """What has come over the air, if it is whole; a stranger may have sent anything."""
        if len(frame.data) <= CRC_BYTES or crc16(frame.data) != 0:  # CRC over data and its own CRC is 0
            self._damaged_packets += 1
            return []
        sender = None if isinstance(frame, Rx16) or frame.source in _NOBODY else frame.source
        if not isinstance(frame, ReceivePacket):
            return [Arrival(frame.data[:-CRC_BYTES], sender, frame.rssi_dbm)]
        self._last_sender = sender
        return [Arrival(frame.data[:-CRC_BYTES], sender, None if sender is None else self._strengths.get(sender))]

    def _ask_strength(self, now: float) -> None:
        """How strong was what has just come? Its sender's next packets will tell."""
        if self._last_sender is None or now < self._strength_at or self.inquiry.is_open or self._port.is_writing:
            return
        self._strength_of, self._strength_at = self._last_sender, now + STRENGTH_EVERY_S
        self._port.write(pack(AtCommand(frame_id=_STRENGTH_ID, command="DB"), self.inquiry.mode))

    def _take_strength(self, answer: AtResponse) -> None:
        """Of the last packet; if that is another's by now nothing is known."""
        sender = self._strength_of
        if answer.status != AtStatus.OK or len(answer.value) != 1 or sender is None or sender != self._last_sender:
            return
        self._strengths.pop(sender, None)
        if len(self._strengths) >= MOST_STRENGTHS:
            del self._strengths[next(iter(self._strengths))]
        self._strengths[sender] = -answer.value[0]

    def _take(self, frame: Frame, now: float) -> None:
        """What the module itself says."""
        match frame:
            case TransmitStatus(frame_id=frame_id, status=status) | TxStatus(frame_id=frame_id, status=status):
                if self._ahead.pop(frame_id, None) is not None and status != Delivery.SUCCESS:
                    self.counts.frames_undelivered += 1
            case AtResponse(frame_id=frame_id) if frame_id == _STRENGTH_ID:
                self._take_strength(frame)
            case AtResponse():
                asked = self.inquiry.module
                self.inquiry.take(frame, now)
                self._read_as_told()
                if self.inquiry.module is not asked:
                    self._judge()
            case ModemStatus(status=status) if status in _RESETS:
                self._was_reset(now)
                self._begin(now)

    def _read_as_told(self) -> None:
        """Read in the mode that the module writes in."""
        if self._reader.mode is not self.inquiry.mode:
            self._damaged_before += self._reader.frames_damaged
            self._reader = ApiReader(self.inquiry.mode)

    def _begin(self, now: float) -> None:
        """The module has forgotten what it had: ask it anew what it is."""
        self.counts.frames_undelivered += len(self._ahead)
        self._ahead.clear()
        self.inquiry.begin(now)
        self._read_as_told()
        self._judge()

    def _was_reset(self, now: float) -> None:
        """Once is no trouble."""
        self._resets.append(now)
        is_often = len(self._resets) == MANY_RESETS and now - self._resets[0] <= RESETS_WITHIN_S
        if is_often or self._restarts_until is not None:
            self._restarts_until = now + RESETS_WITHIN_S

    # ------------------------------------------------------------ time

    def deadline(self) -> float | None:
        """When service() is wanted; None if there is nothing to wait for."""
        due = [self._port.deadline(), None if self._arrived else self._reader.deadline]
        if self._room_due and not self._port.is_writing:
            due.append(self._pacer.opens_at)
        if self.fileno() is not None and not self._port.is_writing:
            due.append(self.inquiry.deadline())
        due.append(self._restarts_until)
        if self._ahead:
            due.append(next(iter(self._ahead.values())))
        return min((at for at in due if at is not None), default=None)

    def service(self) -> None:
        """Go on writing and asking, open the port again, give up what the module does not tell."""
        self._port.service()
        now = self._clock.monotonic()
        if self._port.opened > self._opened:
            self._opened = self._port.opened
            self._damaged_before += self._reader.frames_damaged
            self._reader = ApiReader(self.inquiry.mode)
            self._begin(now)
        self._give_up_half_frame(now)
        if self._ahead and now >= next(iter(self._ahead.values())):
            self._begin(now)
        if self._restarts_until is not None and now >= self._restarts_until:
            self._restarts_until = None
            self._judge()
        self._ask(now)
        if now >= self._pacer.opens_at:
            self._room_due = False

    def close(self) -> None:
        """Give the port back, with its lock."""
        self._port.close()
