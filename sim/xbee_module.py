"""A simulated XBee module: its serial side, and what it does with what comes there. Bytes and the time in, bytes out.

Simulated: frames in API mode 1 and 2 (0x08, 0x09, 0x10, and 0x00 and 0x01 where the product has them; answered by 0x88,
0x8B, 0x89; 0x90, or 0x80 and 0x81, for what comes; 0x8A for what the module says of itself); transparent mode;
command mode (sim/xbee_command_mode.py); the serial line's pace in both directions; the serial receive buffer, whose
overrun drops the whole frame without a word, and CTS, which falls 17 bytes before; RTS; a serial transmit buffer, whose
overrun drops whole packets; reset by command, loss of power, sleep by pin and by time. The air is sim/xbee_air.py and
sim/xbee_mac.py.

Not simulated: encryption; joining a network (Zigbee modules with the same ID and CH have joined), finding routes and
sending over more than one hop; remote AT commands, explicit frames (0x11, 0x91), node discovery, input and output pins,
over-the-air updates; buffering for modules that sleep, synchronous sleep; wrong baud rates (every rate is understood,
BD only sets the pace); what a module's own processor takes, but for one constant per product.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from hal import xbee_frames as x
from hal.light_dataclass import dataclass
from hal.xbee_frames import AtStatus, Delivery, Modem
from hal.xbee_framing import HALF_FRAME_S, ApiMode, ApiReader, pack
from sim.xbee_air import Air
from sim.xbee_command_mode import CommandMode
from sim.xbee_mac import NO_64, Ack, Identity, Mac, Outcome, Packet
from sim.xbee_products import FLOW_RESERVE_BYTES, FLOW_RESUME_BYTES, Product
from sim.xbee_settings import Settings
from sim.xbee_wire import Wire

MAKER: Final = 0x0013A200
"""SH of every module: Digi's number."""
COORDINATOR_SHORT: Final = 0

ANSWER_S: Final = 0.010
"""From an AT command to its answer. Guess; digi-xbee loses a first answer that comes within 5 ms."""
RESET_S: Final = 0.2
"""From a reset to the first word. Guess: real ones take 0.1 to 1 s."""
WIRE_BYTES: Final = 4096
"""What the host's driver takes ahead of the line: the kernel's transmit buffer (one page)."""
OUT_BYTES: Final = 2048
"""Serial transmit buffer. Guess: eight of the longest packets."""
SUPPLY_MV: Final = 3300  # what %V tells
_ASLEEP_BY_PIN: Final = (1, 5)  # SM
_ASLEEP_BY_TIME: Final = (4, 5)
_TELLS_SLEEP: Final = 0x04  # in SO
_DELIVERY: Final = 0xC0  # in TO, and in the options of what comes: how it travelled (0xC0: DigiMesh)


@dataclass(slots=True)
class ModuleCounts:
    """What became of things since the module was made, seen from inside."""

    frames_overrun: int = 0  # from the host, dropped whole: no room in the serial receive buffer
    bytes_overrun: int = 0  # the same in transparent mode
    packets_overrun: int = 0  # from the air, dropped whole: no room in the serial transmit buffer
    packets_sent: int = 0  # and told that they were delivered
    packets_failed: int = 0
    packets_heard: int = 0


class Module:
    """One module. write() and read() are the host's end of the serial line.

    honours_cts: the host waits while CTS is down. rts: the host's RTS; heeded with D6 = 1.
    """

    def __init__(
        self, air: Air[Packet | Ack], product: Product, *, serial: int, set_up: dict[str, int] | None = None
    ) -> None:
        """serial: the lower half of the address. set_up: settings that differ from those a module begins with here."""
        self.address = MAKER << 32 | serial
        self.product = product
        self.honours_cts = False
        self.rts = True
        self.counts = ModuleCounts()
        told = {
            "HV": product.hardware.to_bytes(2, "big"),
            "VR": product.firmware.to_bytes(2, "big"),
            "SH": MAKER.to_bytes(4, "big"),
            "SL": serial.to_bytes(4, "big"),
            "NP": product.payload_bytes.to_bytes(2, "big"),
            "%V": SUPPLY_MV.to_bytes(2, "big"),
            "AI": bytes(1),  # associated, or nothing to associate with
            "SS": bytes(1),
            "DB": bytes(1),
        }
        self.settings = Settings(product, set_up=set_up or {}, told=told)
        self._air = air
        self._identity = Identity(self.address, x.UNKNOWN_16)
        self._mac = Mac(air, product, self.settings, self._identity, self._deliver)
        self._life = 0  # ends with each reset: what was to happen then does not
        self._is_busy = False  # with one frame
        self._queue: deque[tuple[int, x.Frame]] = deque()  # (bytes on the line, frame)
        self._queued_bytes = 0
        self._raw = bytearray()  # transparent mode: data not yet sent
        self._raw_at = air.now  # the last of it came
        self._cts = True
        self._slept_by_pin = False
        self._active_at = air.now
        self._is_dozing = False
        self._reader = ApiReader(ApiMode.PLAIN)
        self._in = Wire()
        self._out: deque[bytes] = deque()
        self._out_bytes = 0
        self._is_saying = False
        self._arrived = bytearray()
        self._command_mode = CommandMode(
            self.settings,
            execute=self._execute,
            say=self._say,
            pass_on=self._take,
            ended=self._apply,
            later=self._later,
            clock=lambda: air.now,
        )
        self._follow_settings()

    # ------------------------------------------------------------ the host's end

    @property
    def room_bytes(self) -> int:
        """What write() takes."""
        return WIRE_BYTES - self._in.waiting_bytes

    def write(self, data: bytes, now: float) -> None:
        """The host says this, after what it has not said yet; ValueError beyond room_bytes."""
        self._air.service(now)
        if len(data) > self.room_bytes:
            raise ValueError(f"{len(data)} bytes for a serial line with room for {self.room_bytes}")
        if data:
            self._in.add(data, now)
            self._listen()

    def read(self, now: float) -> bytes:
        """What has come to the host and was not read yet."""
        self._air.service(now)
        data = bytes(self._arrived)
        self._arrived.clear()
        return data

    @property
    def airtime_s(self) -> float:
        """Seconds on the air since it was made, acknowledgements and retries among them."""
        return self._mac.airtime_s

    @property
    def cts(self) -> bool:
        """Whether the host may send; always with D7 other than 1, never while the module sleeps."""
        return self._mac.is_on and (self._cts or self.settings["D7"] != 1)

    def set_rts(self, rts: bool, now: float) -> None:
        """The host lets the module speak, or does not."""
        self._air.service(now)
        self.rts = rts
        self._speak()

    # ------------------------------------------------------------ power and sleep

    def power_off(self, now: float) -> None:
        """All is gone that was not written."""
        self._air.service(now)
        self._end_life()
        self._mac.stop()

    def power_on(self, now: float) -> None:
        """After power_off(), or as a brown-out without it."""
        self._air.service(now)
        self._restart(Modem.HARDWARE_RESET)

    def sleep_pin(self, asleep: bool, now: float) -> None:
        """SLEEP_RQ; heeded with SM = 1 and 5."""
        self._air.service(now)
        self._slept_by_pin = asleep and self.settings["SM"] in _ASLEEP_BY_PIN
        if self._slept_by_pin:
            self._sleep()
        else:
            self._wake()

    def _restart(self, why: Modem) -> None:
        self._end_life()
        self._mac.stop()
        self.settings.reset()
        self._later(RESET_S, lambda: self._started(why))

    def _started(self, why: Modem) -> None:
        self._mac.is_on = True
        self._follow_settings()
        self._tell(x.ModemStatus(status=why))
        if self.product.protocol == "zigbee":
            self._tell(x.ModemStatus(status=Modem.COORDINATOR_STARTED if self.settings["CE"] else Modem.JOINED))

    def _end_life(self) -> None:
        self._life += 1
        self._is_busy = self._is_saying = self._is_dozing = False
        self._queue.clear()
        self._queued_bytes = 0
        self._raw.clear()
        self._in = Wire()
        self._out.clear()
        self._out_bytes = 0
        self._reader = ApiReader(self._reader.mode)
        self._command_mode.reset()
        self._cts = True

    def _sleep(self) -> None:
        if self._mac.is_on and not self._is_busy:
            if self.settings["SO"] & _TELLS_SLEEP:
                self._tell(x.ModemStatus(status=Modem.SLEPT))
            self._mac.stop()

    def _wake(self) -> None:
        if not self._mac.is_on:
            self._mac.is_on = True
            if self.settings["SO"] & _TELLS_SLEEP:
                self._tell(x.ModemStatus(status=Modem.WOKE))
        self._active_at = self._air.now
        self._doze_later(self.settings["ST"] / 1000)

    def _doze_later(self, seconds: float) -> None:
        """Sleep by time: ST after the last word, for SP."""
        if self.settings["SM"] in _ASLEEP_BY_TIME and not self._is_dozing:
            self._is_dozing = True
            self._later(seconds, self._doze)

    def _doze(self) -> None:
        self._is_dozing = False
        if not self._mac.is_on:
            return
        left_s = self._active_at + self.settings["ST"] / 1000 - self._air.now
        if left_s > 0 or self._is_busy:
            self._doze_later(max(left_s, ANSWER_S))
        elif self.settings["SM"] in _ASLEEP_BY_TIME:
            self._sleep()
            self._later(self.settings["SP"] / 100, self._wake)

    # ------------------------------------------------------------ from the host

    def _listen(self) -> None:
        """Have the next bytes of the serial line heard when they have come."""
        rate = self.settings.serial_bytes_per_s
        wire = self._in
        if not wire.waiting_bytes or wire.is_watched:
            return
        if self.honours_cts and not self.cts and self._mac.is_on:
            wire.hold()
            return
        wire.is_watched = True
        self._air.at(wire.due_at(rate, self._air.now), lambda: self._hear_host(wire))

    def _hear_host(self, wire: Wire) -> None:
        if wire is not self._in:
            return
        wire.is_watched = False
        data = wire.take()
        if self._mac.is_on:
            self._active_at = self._air.now
            self._command_mode.feed(data)
        self._listen()

    def _take(self, data: bytes) -> None:
        """Bytes that are no matter of command mode."""
        if self.settings["AP"] == 0:
            self._take_raw(data)
        else:
            self._take_frames(self._reader.feed(data, self._air.now))
            if self._reader.deadline is not None:
                self._later(HALF_FRAME_S, lambda: self._take_frames(self._reader.expire(self._air.now)))

    def _take_frames(self, frames: list[x.Frame]) -> None:
        for frame in frames:
            self._enqueue(frame)
        self._flow()
        self._next()

    def _enqueue(self, frame: x.Frame) -> None:
        size_bytes = len(pack(frame, ApiMode.PLAIN))
        if self._queued_bytes + size_bytes > self.product.serial_bytes:
            self.counts.frames_overrun += 1
            return
        self._queue.append((size_bytes, frame))
        self._queued_bytes += size_bytes

    def _flow(self) -> None:
        """CTS follows the serial receive buffer."""
        room_bytes = self.product.serial_bytes - self._queued_bytes - self._reader.begun_bytes - len(self._raw)
        if room_bytes <= FLOW_RESERVE_BYTES:
            self._cts = False
        elif room_bytes >= FLOW_RESUME_BYTES and not self._cts:
            self._cts = True
            self._listen()

    def _next(self) -> None:
        """Begin with what waits, one thing at a time."""
        if self._is_busy or not self._mac.is_on:
            return
        if self._queue:
            size_bytes, frame = self._queue.popleft()
            self._queued_bytes -= size_bytes
            self._obey(frame)
            self._flow()
        elif self._raw:
            self._packetize()

    # ------------------------------------------------------------ transparent mode

    def _take_raw(self, data: bytes) -> None:
        room_bytes = self.product.serial_bytes - len(self._raw)
        self.counts.bytes_overrun += max(0, len(data) - room_bytes)
        self._raw += data[:room_bytes]
        self._raw_at = self._air.now
        self._flow()
        self._next()
        self._later(self._silence_s, self._next)

    @property
    def _silence_s(self) -> float:
        return self.settings["RO"] / self.settings.serial_bytes_per_s

    def _packetize(self) -> None:
        """Send what waits: a full packet, or less after RO characters of silence."""
        has_silence = not self._in.waiting_bytes and self._air.now >= self._raw_at + self._silence_s
        if len(self._raw) < self.product.payload_bytes and not has_silence:
            return
        data = bytes(self._raw[: self.product.payload_bytes])
        del self._raw[: len(data)]
        self._is_busy = True
        address = self.settings["DH"] << 32 | self.settings["DL"]
        if address < x.BROADCAST and self.product.has_short_addresses:
            self._send(NO_64, address, data, self._done_raw)
        else:
            self._send(address, x.UNKNOWN_16, data, self._done_raw)
        self._flow()

    def _done_raw(self, outcome: Outcome) -> None:
        self._count(outcome.status)
        self._free()

    # ------------------------------------------------------------ frames

    def _obey(self, frame: x.Frame) -> None:
        match frame:
            case x.AtCommand() | x.AtQueued():
                self._is_busy = True
                self._later(ANSWER_S, lambda: self._command(frame))
            case x.TransmitRequest():
                self._transmit(frame.to, frame.to_16, frame.data, lambda outcome: self._told_new(frame, outcome))
            case x.Tx64() if self.product.takes_legacy:
                self._transmit(frame.to, x.UNKNOWN_16, frame.data, lambda outcome: self._told_old(frame, outcome))
            case x.Tx16() if self.product.takes_legacy:
                self._transmit(NO_64, frame.to_16, frame.data, lambda outcome: self._told_old(frame, outcome))
            case _:
                self._next()  # not for a module, or not for this one

    def _command(self, frame: x.AtCommand | x.AtQueued) -> None:
        name = frame.command.upper()
        status, value = self._execute(name, frame.value)
        if frame.frame_id != x.NO_ANSWER:
            told = b"" if frame.value else value
            self._tell(x.AtResponse(frame_id=frame.frame_id, command=frame.command, status=status, value=told))
        if isinstance(frame, x.AtCommand):
            self._apply()
        self._free()

    def _transmit(self, to: int, to_16: int, data: bytes, done: Callable[[Outcome], None]) -> None:
        self._is_busy = True
        if len(data) > self.product.payload_bytes:
            self._later(ANSWER_S, lambda: done(Outcome(Delivery.TOO_LARGE, 0, x.UNKNOWN_16)))
        else:
            self._send(to, to_16, data, done)

    def _told_new(self, frame: x.TransmitRequest, outcome: Outcome) -> None:
        self._count(outcome.status)
        if frame.frame_id != x.NO_ANSWER:
            answer = x.TransmitStatus(
                frame_id=frame.frame_id, to_16=outcome.by_16, retries=outcome.retries, status=outcome.status
            )
            self._tell(answer)
        self._free()

    def _told_old(self, frame: x.Tx64 | x.Tx16, outcome: Outcome) -> None:
        self._count(outcome.status)
        if frame.frame_id != x.NO_ANSWER:
            self._tell(x.TxStatus(frame_id=frame.frame_id, status=outcome.status))
        self._free()

    def _send(self, to: int, to_16: int, data: bytes, done: Callable[[Outcome], None]) -> None:
        life = self._life

        def told(outcome: Outcome) -> None:
            if life == self._life:
                done(outcome)

        if self.product.protocol == "zigbee" and to == x.COORDINATOR:
            to, to_16 = NO_64, COORDINATOR_SHORT
        self._mac.send(to=to, to_16=to_16, data=data, done=told)

    def _count(self, status: Delivery) -> None:
        if status is Delivery.SUCCESS:
            self.counts.packets_sent += 1
        else:
            self.counts.packets_failed += 1

    def _free(self) -> None:
        """Done with one thing."""
        self._is_busy = False
        if self._slept_by_pin:
            self._sleep()
        self._next()

    def _execute(self, name: str, value: bytes) -> tuple[AtStatus, bytes]:
        """One AT command; of FR the restart follows by itself."""
        match name:
            case "AC":
                self._apply()
            case "WR":
                self.settings.write()
            case "RE":
                self.settings.restore()
            case "FR":
                self._later(RESET_S, lambda: self._restart(Modem.WATCHDOG_RESET))
            case _ if value:
                return self.settings.set(name, value), b""
            case _:
                told = self.settings.read(name)
                return (AtStatus.INVALID_COMMAND, b"") if told is None else (AtStatus.OK, told)
        return AtStatus.OK, b""

    def _apply(self) -> None:
        """Put what was set in force, and follow it."""
        self.settings.apply()
        self._follow_settings()

    def _follow_settings(self) -> None:
        mode = ApiMode.ESCAPED if self.settings["AP"] == ApiMode.ESCAPED else ApiMode.PLAIN
        if self._reader.mode is not mode:
            self._reader = ApiReader(mode)
        if self.product.protocol == "zigbee":
            self._identity.short = COORDINATOR_SHORT if self.settings["CE"] else 1 + self.address % 0xFFF0
            self.settings.told["MY"] = self._identity.short.to_bytes(2, "big")
            self.settings.told["OP"] = self.settings["ID"].to_bytes(8, "big")
        else:
            self._identity.short = self.settings.get("MY", x.UNKNOWN_16)
        self._doze_later(self.settings["ST"] / 1000)

    # ------------------------------------------------------------ from the air, to the host

    def _deliver(self, packet: Packet, rssi_dbm: int) -> None:
        self.counts.packets_heard += 1
        self._active_at = max(self._active_at, self._air.now) if self.settings["SM"] else self._active_at
        self.settings.told["DB"] = bytes([-rssi_dbm])
        if self._command_mode.is_on:
            return  # nothing but answers is said there
        said = packet.data if self.settings["AP"] == 0 else pack(self._received(packet, rssi_dbm), self._reader.mode)
        if self._out and self._out_bytes + len(said) > OUT_BYTES:  # one always fits, however long
            self.counts.packets_overrun += 1
        else:
            self._say(said)

    def _received(self, packet: Packet, rssi_dbm: int) -> x.Frame:
        """The frame that tells of a packet, as AO wants it."""
        if self.settings["AO"] == 0:
            options = x.ReceivePacket.BROADCAST if packet.is_broadcast else x.ReceivePacket.ACKNOWLEDGED
            options |= self.settings["TO"] & _DELIVERY
            return x.ReceivePacket(source=packet.source, source_16=packet.source_16, options=options, data=packet.data)
        options = x.Rx64.BROADCAST if packet.is_broadcast else 0
        if packet.source_16 >= x.UNKNOWN_16:
            return x.Rx64(source=packet.source, rssi_dbm=rssi_dbm, options=options, data=packet.data)
        return x.Rx16(source_16=packet.source_16, rssi_dbm=rssi_dbm, options=options, data=packet.data)

    def _tell(self, frame: x.Frame) -> None:
        """A frame of the module's own; there is none in transparent mode."""
        if self.settings["AP"] != 0:
            self._say(pack(frame, self._reader.mode))

    def _say(self, data: bytes) -> None:
        """Bytes for the host, after those that wait."""
        self._out.append(data)
        self._out_bytes += len(data)
        self._speak()

    def _speak(self) -> None:
        held = self.settings["D6"] == 1 and not self.rts
        if self._is_saying or not self._out or held:
            return
        self._is_saying = True
        self._later(len(self._out[0]) / self.settings.serial_bytes_per_s, self._spoken)

    def _spoken(self) -> None:
        said = self._out.popleft()
        self._out_bytes -= len(said)
        self._arrived += said
        self._is_saying = False
        self._speak()

    def _later(self, seconds: float, step: Callable[[], None]) -> None:
        """Do this then, unless the module was reset meanwhile."""
        life = self._life
        self._air.at(self._air.now + seconds, lambda: step() if life == self._life else None)
