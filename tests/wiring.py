"""What is wired to which pin of a Raspberry Pi's header, in docs/hardware.md and its drawings. Run it to draw these.

Each wire has a place of its own on the header, so that all parts can be there at once, whatever the radio is.
"""

from pathlib import Path

from firmware.config import FLOW_PINS, UART_PINS

DOCS = Path(__file__).parent.parent / "docs"
NAMES = {
    1: "3.3 V", 2: "5 V", 3: "GPIO 2", 4: "5 V", 5: "GPIO 3", 6: "GND", 7: "GPIO 4", 8: "GPIO 14 TXD", 9: "GND",
    10: "GPIO 15 RXD", 11: "GPIO 17 RTS", 12: "GPIO 18", 13: "GPIO 27", 14: "GND", 15: "GPIO 22", 16: "GPIO 23",
    17: "3.3 V", 18: "GPIO 24", 19: "GPIO 10", 20: "GND", 21: "GPIO 9", 22: "GPIO 25", 23: "GPIO 11", 24: "GPIO 8",
    25: "GND", 26: "GPIO 7", 27: "GPIO 0", 28: "GPIO 1", 29: "GPIO 5", 30: "GND", 31: "GPIO 6", 32: "GPIO 12",
    33: "GPIO 13", 34: "GND", 35: "GPIO 19", 36: "GPIO 16 CTS", 37: "GPIO 26", 38: "GPIO 20", 39: "GND", 40: "GPIO 21",
}  # fmt: skip
"""Of the header's pins, from its standard; where the UART can be, what it calls them."""

PINS = {"button_pin": 18, "led_pin": 13, "motion_pin": 16, "tamper_pin": 15}
"""Key of the config: the header's pin that docs use for it."""
GROUNDS = {"button_pin": 20, "led_pin": 9, "motion_pin": 14, "tamper_pin": 25}
"""By the same key: the other wire of that part."""
SENSOR_SUPPLY = 2

XBEE = {"VCC": (1, 1), "GND": (10, 6), "DIN": (3, 8), "DOUT": (2, 10), "RTS": (16, 11), "CTS": (12, 36)}
"""Signal of an XBee module: its pin on a through-hole module (Digi's user guides), and the header's pin.

CTS is an output of the module, RTS of the board: each goes to the pin of the same name.
"""


def gpio(pin):
    """BCM number of a pin of the header."""
    return int(NAMES[pin].split()[1])


def of_parts():
    """The header's pins that button, LED and sensors take."""
    return [*PINS.values(), *GROUNDS.values(), SENSOR_SUPPLY]


def of_radio():
    """The header's pins that a radio there takes."""
    return [pin for _, pin in XBEE.values()]


def check():
    """That the tables agree with the config's idea of the pins, and that no place is taken twice."""
    taken = of_parts() + of_radio()
    assert len(set(taken)) == len(taken)
    assert tuple(gpio(XBEE[name][1]) for name in ("DIN", "DOUT")) == UART_PINS
    assert tuple(gpio(XBEE[name][1]) for name in ("CTS", "RTS")) == FLOW_PINS
    assert {NAMES[pin] for pin in (*GROUNDS.values(), XBEE["GND"][1])} == {"GND"}
    assert (NAMES[SENSOR_SUPPLY], NAMES[XBEE["VCC"][1]]) == ("5 V", "3.3 V")


def drawings():
    """By the name of the file in docs/: the SVG."""
    import drawing_of_parts
    import drawing_of_radio

    check()
    return {"pins.svg": drawing_of_parts.drawing(), "radio.svg": drawing_of_radio.drawing()}


if __name__ == "__main__":
    for name, text in drawings().items():
        (DOCS / name).write_text(text, encoding="utf-8")
