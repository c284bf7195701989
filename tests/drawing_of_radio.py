"""The drawing docs/radio.svg: an XBee module at the header, a radio on USB in its place, the camera's cable."""

from drawing import (
    BOARD,
    FAINT,
    FLOW,
    GROUND,
    INK,
    PAPER,
    POWER,
    SHELL,
    SIGNAL,
    UART,
    UNUSED,
    Header,
    box,
    dot,
    lines,
    page,
    shape,
    text,
    title,
    wire,
)
from wiring import XBEE, of_parts

WIDTH, HEIGHT = 900, 850
EDGE = 550  # of what is on the right, where wires arrive
COLORS = {"VCC": POWER, "GND": GROUND, "DIN": UART, "DOUT": UART, "RTS": FLOW, "CTS": FLOW}
HEADER = Header(
    left=160, top=84, pitch=32, rows=20,
    colors={pin: COLORS[name] for name, (_, pin) in XBEE.items()},
    elsewhere=of_parts(), ring=SIGNAL,
)  # fmt: skip
BELOW = 34  # from the wire of RTS to that of CTS


def ends():
    """By the module's signal: the height at which its wire arrives."""
    heights = {name: HEADER.y(XBEE[name][1]) for name in ("GND", "DIN", "DOUT")}
    heights["VCC"] = HEADER.across(XBEE["VCC"][1], EDGE, below=False)[-1][1]
    heights["RTS"] = HEADER.across(XBEE["RTS"][1], EDGE)[-1][1]
    heights["CTS"] = heights["RTS"] + BELOW
    return heights


def wires():
    """None crosses another: the module's signals are in the order of the header's."""
    for name in ("GND", "DIN", "DOUT"):
        yield wire(COLORS[name], HEADER.edge(XBEE[name][1]), (EDGE, HEADER.y(XBEE[name][1])))
    yield wire(POWER, *HEADER.across(XBEE["VCC"][1], EDGE, below=False))
    yield wire(FLOW, *HEADER.across(XBEE["RTS"][1], EDGE))
    x, y = HEADER.edge(XBEE["CTS"][1])
    corner = EDGE - 40
    yield wire(FLOW, (x, y), (corner, y), (corner, ends()["CTS"]), (EDGE, ends()["CTS"]))


def xbee():
    yield box(EDGE, 24, WIDTH - 20 - EDGE, 304)
    yield title(EDGE + 16, 98, "XBee module")
    yield text(EDGE + 16, 117, "on an adapter board")
    for name, y in ends().items():
        number, _ = XBEE[name]
        yield text(EDGE + 16, y + 4, f"{number} {name}", weight="bold", fill=COLORS[name])
    for name, words in (("DIN", "hears TXD"), ("DOUT", "speaks to RXD")):
        yield text(EDGE + 74, ends()[name] + 4, words)
    yield from module(WIDTH - 128, 72)


def module(left, top):
    """The module from above: pins 1 to 10 down the left side, 11 to 20 up the right one."""
    width, pitch, by_pin = 62, 19, {number: COLORS[name] for name, (number, _) in XBEE.items()}
    bottom = top + 40 + 9 * pitch + 14
    yield shape(
        SHELL,
        (left + 16, top), (left + width - 16, top), (left + width, top + 20), (left + width, bottom), (left, bottom),
        (left, top + 20),
    )  # fmt: skip
    yield text(left + width / 2, top - 8, "antenna end", anchor="middle")
    yield text(left + width / 2, bottom + 20, "seen from above", anchor="middle")
    for number in range(1, 21):
        row = number - 1 if number <= 10 else 20 - number
        x = left + 8 if number <= 10 else left + width - 8
        y, color = top + 40 + row * pitch, by_pin.get(number, UNUSED)
        yield dot(x, y, color, radius=5)
        side = -14 if number <= 10 else 14
        yield text(
            x + side, y + 4, str(number), anchor="end" if side < 0 else "start",
            weight="bold" if number in by_pin else "normal", fill=color if number in by_pin else FAINT,
        )  # fmt: skip


def usb():
    top = 344
    yield box(EDGE, top, WIDTH - 20 - EDGE, 184)
    yield title(EDGE + 16, top + 26, "or a radio on USB")
    yield lines(
        EDGE + 16, top + 48,
        "an XBee on its USB adapter, or any radio that is a",
        "serial port: it needs no wire at the header. On a",
        "Zero 2 W an adapter from micro-USB in the socket",
        "marked USB",
    )  # fmt: skip
    left, y = EDGE + 24, top + 124
    yield wire(INK, (left + 76, y + 24), (left + 214, y + 24), width=4)
    yield named_board(left, y)
    yield box(left + 60, y + 12, 26, 24, fill="#d9dce0", round_by=2)
    yield text(left + 145, y + 16, "USB", anchor="middle")
    yield wire(INK, (left + 262, y), (left + 262, y - 16))
    yield dot(left + 262, y - 16, INK, radius=3.5)
    yield box(left + 208, y, 66, 48, round_by=3)
    yield text(left + 241, y + 29, "radio", anchor="middle")


def named_board(left, top):
    return box(left, top, 66, 48, fill=BOARD, round_by=3) + text(
        left + 33, top + 29, "board", anchor="middle", fill=PAPER
    )


def camera():
    """Its cable, and one end of it from the side."""
    top = 542
    yield box(EDGE, top, WIDTH - 20 - EDGE, 288)
    yield title(EDGE + 16, top + 26, "camera")
    yield lines(
        EDGE + 16, top + 48,
        "socket of the board: 22 narrow contacts on a",
        "Zero 2 W and a 5, 15 wide ones on a 3 and a 4",
    )  # fmt: skip
    yield from ribbon(EDGE + 24, top + 80)
    yield from socket(EDGE + 24, top + 262)


def ribbon(left, top):
    """From the board's socket to the camera's, which is the wide one."""
    yield shape("#f4f4f0", (left + 60, top + 12), (left + 214, top + 6), (left + 214, top + 42), (left + 60, top + 36))
    yield named_board(left, top)
    yield box(left + 208, top, 66, 48, fill=BOARD, round_by=3)
    yield dot(left + 241, top + 24, INK, radius=13)
    yield dot(left + 241, top + 24, "#6f8fb5", radius=6)
    yield text(left + 137, top + 29, "flat cable", anchor="middle")


def socket(left, bottom):
    """From the side: the flap presses the cable against the socket's contacts."""
    x = left + 98
    yield box(left, bottom, 180, 9, fill=BOARD, round_by=1)
    yield box(x - 34, bottom - 40, 68, 40, fill="#d9d4c3", round_by=2)
    yield box(x - 4, bottom - 116, 8, 108, fill="#f4f4f0", round_by=0)
    yield box(x - 9, bottom - 78, 5, 70, fill="#3b74c4", round_by=0)
    yield box(x + 4, bottom - 58, 4, 50, fill="#d7a22a", round_by=0)
    yield shape("#4a4d52", (x - 30, bottom - 54), (x - 9, bottom - 50), (x - 9, bottom - 16), (x - 22, bottom - 16))
    for words, at, end in (
        ("cable", (x + 40, bottom - 104), (x + 4, bottom - 104)),
        ("contacts: away", (x + 40, bottom - 76), (x + 7, bottom - 52)),
    ):
        yield wire(FAINT, end, (at[0] - 6, at[1]), width=1)
        yield text(at[0], at[1] + 4, words)
    yield text(x + 40, bottom - 54, "from the flap, at both ends")
    yield wire(FAINT, (x - 48, bottom - 58), (x - 24, bottom - 46), width=1)
    yield text(x - 52, bottom - 60, "flap", anchor="end")
    yield wire(FAINT, (x - 48, bottom - 92), (x - 8, bottom - 72), width=1)
    yield text(x - 52, bottom - 94, "stiff back", anchor="end")
    yield text(x + 40, bottom - 8, "socket")


def drawing():
    """The SVG."""
    return page(
        WIDTH, HEIGHT, "XBee module or USB radio, and camera, at a Raspberry Pi",
        *HEADER.drawn(*wires()), *xbee(), *usb(), *camera(),
        *HEADER.captions("ringed: button, LED and sensors (pins.svg)"),
    )  # fmt: skip
