"""Contract of Button, on every implementation; and the LED beside it."""

from __future__ import annotations

import select

from hal.interfaces import Button, Led
from sim.button import SimButton, SimLed


def readable(button: Button) -> bool:
    return bool(select.select([button.fileno()], [], [], 0)[0])


def test_presses_are_counted_once_and_wake_the_loop() -> None:
    button = SimButton()
    assert button.presses() == 0
    assert not readable(button)
    button.press()
    button.press()
    assert readable(button)
    assert button.presses() == 2
    assert not readable(button)
    assert button.presses() == 0
    button.close()


def test_closed_button_is_not_watched_and_has_no_presses() -> None:
    button = SimButton()
    button.press()
    button.close()
    button.close()
    button.press()
    assert button.fileno() is None
    assert button.presses() == 0


def test_led_shows_what_was_set_last_and_is_dark_when_closed() -> None:
    shown = SimLed()
    led: Led = shown
    led.set(True)
    led.set(True)
    assert (shown.on, shown.changes) == (True, 1)
    led.set(False)
    led.set(True)
    led.close()
    assert (shown.on, shown.changes) == (False, 4)
