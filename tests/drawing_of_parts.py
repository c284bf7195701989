"""The drawing docs/pins.svg: button, LED and sensors, each between its pin and its ground."""

from drawing import GROUND, INK, PAPER, POWER, SIGNAL, UART, Header, box, dot, lines, page, shape, text, title, wire
from wiring import GROUNDS, PINS, SENSOR_SUPPLY, of_radio

WIDTH, HEIGHT = 880, 590
LEFT_EDGE, RIGHT_EDGE = 262, 580  # of the parts, where their wires arrive
HEADER = Header(
    left=400, top=84, pitch=36, rows=13,
    colors={SENSOR_SUPPLY: POWER} | dict.fromkeys(PINS.values(), SIGNAL) | dict.fromkeys(GROUNDS.values(), GROUND),
    elsewhere=of_radio(), ring=UART,
)  # fmt: skip


def wires(key, x):
    """Of a part, straight from the header to x."""
    for pins, color in ((PINS, SIGNAL), (GROUNDS, GROUND)):
        yield wire(color, HEADER.edge(pins[key]), (x, HEADER.y(pins[key])))


def switch(x, top, bottom, edge, *, closed):
    """Between two wires that arrive at edge, one above the other."""
    middle, half = (top + bottom) / 2, 10
    yield wire(INK, (edge, top), (x, top), (x, middle - half), width=1.6)
    yield wire(INK, (edge, bottom), (x, bottom), (x, middle + half), width=1.6)
    yield wire(INK, (x, middle + half), (x if closed else x + 12, middle - half), width=2.5)
    yield from (dot(x, y, INK, radius=3) for y in (middle - half, middle + half))


def button():
    top, bottom = HEADER.y(PINS["button_pin"]), HEADER.y(GROUNDS["button_pin"])
    yield from wires("button_pin", RIGHT_EDGE)
    yield box(RIGHT_EDGE, top - 14, 280, bottom - top + 28)
    yield from switch(RIGHT_EDGE + 34, top, bottom, RIGHT_EDGE, closed=False)
    yield title(RIGHT_EDGE + 66, top + 14, "button")
    yield text(RIGHT_EDGE + 66, top + 34, "closes while it is pressed")


def tamper_contact():
    top, bottom = HEADER.y(PINS["tamper_pin"]), HEADER.y(GROUNDS["tamper_pin"])
    yield from wires("tamper_pin", LEFT_EDGE)
    yield box(20, top - 14, LEFT_EDGE - 20, bottom - top + 28)
    yield from switch(LEFT_EDGE - 34, top, bottom, LEFT_EDGE, closed=True)
    yield title(36, top + 72, "tamper contact")
    yield lines(36, top + 94, "closed while the case is shut,", "opens with it")


def led():
    """Current flows upwards: pin, resistor, LED, ground."""
    ground, pin, x = HEADER.y(GROUNDS["led_pin"]), HEADER.y(PINS["led_pin"]), LEFT_EDGE - 34
    yield from wires("led_pin", LEFT_EDGE)
    yield box(20, ground - 14, LEFT_EDGE - 20, pin - ground + 28)
    yield wire(INK, (LEFT_EDGE, ground), (x, ground), (x, pin), (LEFT_EDGE, pin), width=1.6)
    yield shape("#e7c04b", (x - 10, ground + 28), (x + 10, ground + 28), (x, ground + 12))
    yield wire(INK, (x - 10, ground + 12), (x + 10, ground + 12))
    yield box(x - 6, pin - 30, 12, 22, fill=PAPER, round_by=1)
    yield text(x - 16, ground + 14, "short leg", anchor="end")
    yield text(x - 16, ground + 32, "long leg", anchor="end")
    yield text(x - 16, pin - 15, "330 Ω", anchor="end")
    yield title(36, ground + 24, "LED and")
    yield title(36, ground + 44, "resistor")


def motion_sensor():
    supply, ground, out = SENSOR_SUPPLY, GROUNDS["motion_pin"], PINS["motion_pin"]
    yield wire(POWER, HEADER.edge(supply), (RIGHT_EDGE, HEADER.y(supply)))
    yield from wires("motion_pin", RIGHT_EDGE)
    yield box(RIGHT_EDGE, HEADER.y(supply) - 14, 280, HEADER.y(out) - HEADER.y(supply) + 28)
    for pin, name in ((supply, "supply, 5 V"), (ground, "ground"), (out, "output: 3.3 V while it sees something")):
        yield text(RIGHT_EDGE + 10, HEADER.y(pin) + 4, name)
    yield title(RIGHT_EDGE + 66, HEADER.y(supply) + 92, "motion sensor")
    yield lines(RIGHT_EDGE + 66, HEADER.y(supply) + 114, "a PIR whose output is 3.3 V,", "as HC-SR501 or AM312")


def drawing():
    """The SVG."""
    return page(
        WIDTH, HEIGHT, "Button, LED, motion sensor and tamper contact at the header of a Raspberry Pi",
        *HEADER.drawn(), *led(), *tamper_contact(), *motion_sensor(), *button(),
        *HEADER.captions("pins 1 to 26 of 40; ringed: a radio's, where it is on the header (radio.svg)"),
    )  # fmt: skip
