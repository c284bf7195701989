"""The drawing docs/pins.svg: what is at the pins of deploy/config.example.toml. Run it to draw it anew.

A part of the header of a Raspberry Pi, pins 1 to 18, with a wire from each that is used to its part.
"""

from pathlib import Path

from firmware.config import FLOW_PINS, UART_PINS

DRAWING = Path(__file__).parent.parent / "docs" / "pins.svg"
WIDTH, HEIGHT = 860, 490
TOP, PITCH, LEFT, RIGHT = 60, 40, 390, 430  # of the header: its first row, from row to row, its two columns
ROWS = 9

POWER, GROUND, USED, OTHER, UART = "#d64545", "#444444", "#2b7fc3", "#c9ccd1", "#d9a13b"
NAMES = {
    1: "3.3 V", 2: "5 V", 4: "5 V", 17: "3.3 V", 6: "GND", 9: "GND", 14: "GND",
    3: "GPIO 2", 5: "GPIO 3", 7: "GPIO 4", 8: "GPIO 14 TXD", 10: "GPIO 15 RXD", 11: "GPIO 17",
    12: "GPIO 18", 13: "GPIO 27", 15: "GPIO 22", 16: "GPIO 23", 18: "GPIO 24",
}  # fmt: skip
"""Of the header's pins, from its standard."""
PINS = {"button_pin": 11, "led_pin": 13, "motion_pin": 16, "tamper_pin": 15}
"""Key of the config: the header's pin that the drawing uses for it."""


def gpio(pin):
    """BCM number of a pin of the header."""
    return int(NAMES[pin].split()[1])


def place(pin):
    """Where a pin of the header is."""
    return (RIGHT if pin % 2 == 0 else LEFT), TOP + (pin - 1) // 2 * PITCH


def color(pin):
    name = NAMES[pin]
    if pin in PINS.values():
        return USED
    if name.endswith("V"):
        return POWER
    if name == "GND":
        return GROUND
    return UART if gpio(pin) in UART_PINS else OTHER


def text(x, y, words, *, anchor="start", size=14, weight="normal"):
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}">{words}</text>'


def wire(points, stroke):
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="2.5"/>'


def box(x, y, width, height, *words):
    """A part, with its name and what is to be known of it."""
    lines = [text(x + width / 2, y + 22 + 18 * n, line, anchor="middle", size=14 if n == 0 else 12,
                  weight="bold" if n == 0 else "normal") for n, line in enumerate(words)]  # fmt: skip
    frame = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="#ffffff" stroke="#444444"/>'
    return "\n".join([frame, *lines])


def header():
    yield (
        f'<rect x="{LEFT - 22}" y="{TOP - 24}" width="{RIGHT - LEFT + 44}" height="{(ROWS - 1) * PITCH + 48}" rx="6" '
        'fill="#eef0f2" stroke="#444444"/>'
    )
    for pin, name in sorted(NAMES.items()):
        x, y = place(pin)
        yield f'<circle cx="{x}" cy="{y}" r="12" fill="{color(pin)}"/>'
        yield f'<text x="{x}" y="{y + 4}" font-size="11" text-anchor="middle" fill="#ffffff">{pin}</text>'
        side = 30 if pin % 2 == 0 else -30
        yield text(x + side, y - 5, name, anchor="start" if side > 0 else "end", size=11)
    yield text((LEFT + RIGHT) / 2, TOP + ROWS * PITCH + 2, "… 40", anchor="middle", size=12)


def at(pin, side):
    """Where a wire to this pin begins, at the edge of the pin."""
    x, y = place(pin)
    return x + 12 * side, y


def left_parts():
    """Button, LED and tamper contact, on one ground; a dot where wires are joined."""
    ground_x = 290
    yield wire([at(9, -1), (ground_x, place(9)[1]), (ground_x, 435), (250, 435)], GROUND)
    for y in (235, 350):
        yield wire([(ground_x, y), (250, y)], GROUND)
        yield f'<circle cx="{ground_x}" cy="{y}" r="4.5" fill="{GROUND}"/>'
    yield wire([at(11, -1), (250, place(11)[1])], USED)
    yield box(40, 210, 210, 66, "button", "closes GPIO 17 to ground")
    yield wire([at(13, -1), (250, place(13)[1])], USED)
    yield box(40, 288, 210, 84, "LED and 330 Ω", "GPIO 27, resistor, the LED's", "long leg; its short leg: ground")
    yield wire([at(15, -1), (315, place(15)[1]), (315, 405), (250, 405)], USED)
    yield box(40, 384, 210, 74, "tamper contact", "GPIO 22 to ground,", "closed while the case is shut")


def right_parts():
    """Motion sensor."""
    yield wire([at(2, 1), (610, place(2)[1])], POWER)
    yield wire([at(6, 1), (560, place(6)[1]), (560, 95), (610, 95)], GROUND)
    yield wire([at(16, 1), (585, place(16)[1]), (585, 130), (610, 130)], USED)
    yield box(
        610,
        40,
        220,
        110,
        "motion sensor",
        "supply 5 V, ground, and",
        "its output to GPIO 23:",
        "3.3 V while it sees something",
    )


def drawing():
    """The SVG."""
    assert not {gpio(pin) for pin in PINS.values()} & set(UART_PINS)
    flow = " and ".join(map(str, FLOW_PINS))
    note = f"where a radio on the header has RTS and CTS, GPIO {flow} are the radio's: button to GPIO 24, pin 18"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        "<title>Button, LED, motion sensor and tamper contact at the header of a Raspberry Pi</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        text(410, 24, "header of a Raspberry Pi, pins 1 to 18", anchor="middle", weight="bold"),
        *left_parts(),
        *right_parts(),
        *header(),
        text(410, 475, note, anchor="middle", size=12),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    DRAWING.write_text(drawing(), encoding="utf-8")
