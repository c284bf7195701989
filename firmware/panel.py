"""What a person, or an animal, touches and sees at the board: button, motion sensor, tamper contact, LED."""

from __future__ import annotations

from collections.abc import Callable

from firmware import commands as c
from firmware.config import Shutter
from firmware.lights import Lights, Said, State
from firmware.triggers import Triggers, Wish
from firmware.unit import Unit
from hal.board import Pins
from hal.interfaces import Change, Contact


class Panel:
    """Any part may be missing. moved() when a descriptor of `watched` is readable; then, and at deadline(), act(), and
    where it has an LED show()."""

    def __init__(self, pins: Pins, shutter: Shutter, now: float) -> None:
        self._pins = pins
        self._triggers = Triggers(
            burst=shutter.burst, spacing_s=shutter.burst_spacing_s, motion_rest_s=shutter.motion_rest_s
        )
        self._lights = Lights()
        self._lit_until = now
        self._shown = (0, 0)  # pictures taken and presses failed, as far as the LED has said so
        self._hears: list[tuple[Contact, Callable[[Change], bool], str, str]] = []
        for contact, hear, event, text in (
            (pins.button, self._button, "button", "the shutter button was pressed"),
            (pins.motion, self._triggers.motion, "motion", "the motion sensor sees something"),
            (pins.tamper, self._triggers.tamper, "alarm", "the case was opened"),
        ):
            if contact is not None:
                self._hears.append((contact, hear, event, text))

    @property
    def watched(self) -> list[int]:
        """Descriptors that become readable; the same until close()."""
        return [fd for contact, *_ in self._hears if (fd := contact.fileno()) is not None]

    @property
    def problems(self) -> list[str]:
        """Which parts do not work, and why."""
        parts = [*(contact for contact, *_ in self._hears), self._pins.led]
        return [*self._pins.problems, *(part.problem for part in parts if part is not None and part.problem)]

    def moved(self, unit: Unit) -> None:
        """A contact has."""
        for contact, hear, event, text in self._hears:
            for change in contact.changes():
                if hear(change):
                    unit.core.log(event, text)

    def act(self, unit: Unit, now: float) -> None:
        """Give the unit what is asked for now."""
        if self._triggers.moves_on(now):
            unit.core.log("motion", "the motion sensor still sees something")
        for wish in self._triggers.wishes(now):
            match wish:
                case Wish.PICTURE | Wish.PRIORITY_PICTURE:
                    unit.command(c.Shoot(None, wish is Wish.PRIORITY_PICTURE), now)
                case Wish.TURN_PRIORITY:
                    unit.command(c.TurnPriority(), now)
                    self._lights.say(Said.PRIORITY_ON if unit.shutter.all_priority else Said.PRIORITY_OFF, now)

    def _button(self, change: Change) -> bool:
        if change.on:
            self._lights.answer()
        return self._triggers.button(change)

    def show(self, unit: Unit, *, fault: bool, now: float) -> None:
        """By the LED, what the unit is at; call it after whatever may have changed. fault: something does not work."""
        assert self._pins.led is not None
        shutter, (taken, failed) = unit.shutter, self._shown
        if shutter.failed > failed:
            self._lights.say(Said.REFUSED, now)
        elif shutter.taken > taken:
            self._lights.say(Said.TAKEN, now)
        self._shown = shutter.taken, shutter.failed
        self._lights.be(_state(unit, fault=fault), priority=shutter.all_priority)
        light = self._lights.at(now)
        self._pins.led.set(light.lit)
        self._lit_until = light.until

    @property
    def has_led(self) -> bool:
        """Whether show() has where to."""
        return self._pins.led is not None

    def deadline(self) -> float | None:
        """When wishes() and show() are wanted."""
        times = self._triggers.deadline(), self._lit_until if self.has_led else None
        return min((t for t in times if t is not None), default=None)

    def close(self) -> None:
        """Give the pins back; the LED is dark."""
        for part in (*(contact for contact, *_ in self._hears), self._pins.led):
            if part is not None:
                part.close()


def _state(unit: Unit, *, fault: bool) -> State:
    if fault:
        return State.FAULT
    if is_full(unit):  # whatever waits for room is as large
        return State.FULL
    if unit.dispersals.outgoing() or unit.serving.outgoing():
        return State.SENDING
    return State.WELL


def is_full(unit: Unit) -> bool:
    """Whether no picture like the recent ones fits."""
    room = unit.core.room
    return unit.file_system.trouble is not None or room.free_bytes < max(1, room.recent_bytes)
