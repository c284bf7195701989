"""What the wiring drawings are made of: the header of a Raspberry Pi, parts, wires and words, as SVG.

Each drawing has a background of its own and says every colour: as legible on a dark page as on a light one.
"""

from dataclasses import dataclass

from wiring import NAMES

INK, PAPER, SHELL = "#1d1f21", "#ffffff", "#eef0f2"
POWER, GROUND, SIGNAL, UART, FLOW = "#c93a3a", "#3d4146", "#1f6fb2", "#a8650c", "#7b3fb0"
"""Colours of wires and of the pins at which they begin."""
UNUSED, UNUSED_POWER, FAINT = "#c9ccd1", "#f0b9b9", "#6b7076"
"""Pins without a wire, those with a supply's voltage in a pale red; and words and lines that only explain."""
BOARD = "#2f7d4f"
RADIUS = 11.0  # of a pin


def text(x, y, words, *, anchor="start", size=12, weight="normal", fill=INK):
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{fill}">{words}</text>'
    )


def lines(x, y, *words, anchor="start", size=12):
    """One below the other."""
    return "\n".join(text(x, y + 18 * n, line, anchor=anchor, size=size) for n, line in enumerate(words))


def title(x, y, words, anchor="start"):
    return text(x, y, words, anchor=anchor, size=15, weight="bold")


def wire(stroke, *points, width=2.5):
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width:g}" stroke-linejoin="round"/>'


def shape(fill, *points):
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polygon points="{path}" fill="{fill}" stroke="{INK}" stroke-width="1.2" stroke-linejoin="round"/>'


def box(x, y, width, height, *, fill=PAPER, round_by=6):
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{round_by:g}" fill="{fill}" '
        f'stroke="{INK}" stroke-width="1.2"/>'
    )


def dot(x, y, fill, radius=RADIUS, ring=None):
    stroke = f' stroke="{ring}" stroke-width="3.5"' if ring else ""
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}"{stroke}/>'


def page(width, height, name, *parts):
    """The whole SVG."""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f"<title>{name}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>',
        *parts,
        "</svg>\n",
    ])  # fmt: skip


@dataclass(frozen=True)
class Header:
    """The first rows of the header. left, top: of pin 1. colors: of the pins that are wired; elsewhere: pins that the
    other drawing has wires at, and ring: their colour there."""

    left: float
    top: float
    pitch: float
    rows: int
    colors: dict[int, str]
    elsewhere: list[int]
    ring: str

    @property
    def right(self):
        """Where the pins with even numbers are."""
        return self.left + 40

    def y(self, pin):
        return self.top + (pin - 1) // 2 * self.pitch

    def edge(self, pin):
        """Where a wire that leads away from the header begins."""
        x = self.left - RADIUS if pin % 2 else self.right + RADIUS
        return x, self.y(pin)

    def across(self, pin, x, *, below=True):
        """The corners of a wire from a pin of the left column to the right, between the rows."""
        assert pin % 2
        between, y = self.left + 20, self.y(pin) + self.pitch / 2 * (1 if below else -1)
        return (self.left + RADIUS, self.y(pin)), (between, self.y(pin)), (between, y), (x, y)

    def drawn(self, *wires):
        """With the wires, which may pass between its pins."""
        yield box(self.left - 22, self.top - 24, 84, (self.rows - 1) * self.pitch + 48, fill=SHELL)
        yield from wires
        for pin, name in NAMES.items():
            if pin <= 2 * self.rows:
                yield from self._pin(pin, name)

    def _pin(self, pin, name):
        """Its name is above its wire."""
        x, y = self.right if pin % 2 == 0 else self.left, self.y(pin)
        is_wired, unused = pin in self.colors, UNUSED_POWER if name.endswith("V") else UNUSED
        yield dot(x, y, self.colors.get(pin, unused), ring=self.ring if pin in self.elsewhere else None)
        yield text(x, y + 4, str(pin), anchor="middle", fill=PAPER if is_wired else INK)
        side = 30 if pin % 2 == 0 else -30
        yield text(x + side, y - 5 if is_wired else y + 4, name, anchor="start" if side > 0 else "end")

    def captions(self, words):
        """Above it, and below it words about the rings."""
        middle, below = self.left + 20, self.top + (self.rows - 1) * self.pitch + 24
        yield title(middle, self.top - 54, "header of a Raspberry Pi", anchor="middle")
        yield text(middle, self.top - 35, "pin 1 at the SD card's end, pin 2 at the board's edge", anchor="middle")
        yield text(middle, below + 22, words, anchor="middle")
