"""The text of a Raspberry Pi's config.txt and cmdline.txt, changed so that it can be changed back. Pure."""

from __future__ import annotations

import re

BEGIN = "# --- dandelion: begin; `dandelion-setup --undo` takes this away ---"
END = "# --- dandelion: end ---"

UART = (
    "# The radio's serial port on GPIO 14 and 15: the PL011, as the rate of the mini-UART follows the core's clock.",
    "enable_uart=1",
    "dtoverlay=disable-bt",
    "[pi5]",
    "dtparam=uart0=on",
    "[all]",
)
FLOW_CONTROL = (
    "# RTS and CTS of the radio, GPIO 17 and 16.",
    *(line for board in ("pi02", "pi3", "pi4") for line in (f"[{board}]", "gpio=16,17=a3")),
    "[pi5]",
    "dtoverlay=uart0-pi5,ctsrts",
    "[all]",
)
CAMERA = (
    "# The camera on its ribbon cable is looked for at the start.",
    "camera_auto_detect=1",
)

SERIAL_CONSOLE = re.compile(r"console=(?:serial\d+|ttyAMA\d+|ttyS\d+)(?:,\S*)?")
"""A word of the kernel's command line that gives a UART to the console."""


def with_block(text: str, lines: tuple[str, ...]) -> str:
    """config.txt with these lines in a block of ours at its end, in place of an older one; without lines: none."""
    text = without_block(text)
    if not lines:
        return text
    if text and not text.endswith("\n"):
        text += "\n"
    return text + "\n".join((BEGIN, "[all]", *lines, END)) + "\n"


def has(text: str, lines: tuple[str, ...]) -> bool:
    """Whether config.txt has these lines in a block of ours."""
    return with_block(text, ()) != text and "\n".join(lines) in text


def without_block(text: str) -> str:
    """config.txt as it was, whatever else has been changed in it since; an end that is missing ends nothing else."""
    return re.sub(rf"^{re.escape(BEGIN)}\r?\n(?:.*\n)*?{re.escape(END)}(?:\r?\n|$)", "", text, flags=re.MULTILINE)


def without_consoles(text: str) -> tuple[str, list[str]]:
    """cmdline.txt without consoles on a UART, and the words that were taken out, in their order."""
    words = text.split()
    taken = [word for word in words if SERIAL_CONSOLE.fullmatch(word)]
    if not taken:
        return text, []
    return " ".join(word for word in words if word not in taken) + "\n", taken


def with_consoles(text: str, taken: list[str]) -> str:
    """The words put back, where they are usually: before all else."""
    words = text.split()
    missing = [word for word in taken if word not in words]
    return " ".join([*missing, *words]) + "\n" if missing else text
