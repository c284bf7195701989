"""docs/protocol.md says what the code does: field tables, kinds, examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from protocol_examples import EXAMPLES

from firmware import link, seal
from firmware.fields import Rows
from firmware.message import PICTURE
from firmware.messages import KINDS, GetWhy, RefuseGet, RefuseWhy
from firmware.messages_readout import INVENTORY_ROW
from firmware.messages_records import RECORD, TOMBSTONE

TEXT = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text(encoding="utf-8")
GROUPS: dict[str, Rows] = {
    "picture": PICTURE.rows,
    "row": INVENTORY_ROW.rows,
    "tombstone": TOMBSTONE.rows,
    "record": RECORD.rows,
}


def section(title: str) -> str:
    """What stands under the heading of the fourth level that begins so."""
    found = re.search(rf"^#### {title}\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/protocol.md has no heading '#### {title}'"
    return found[1]


def table(text: str) -> list[tuple[str, str]]:
    """First and second column of the table of fields."""
    rows = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in text.splitlines() if line[:1] == "|"]
    return [(row[0], row[1]) for row in rows[2:]]


def heading(kind: int) -> str:
    message = KINDS[kind]
    words = re.findall("[A-Z][a-z]*", message.__name__)
    return f"{'_'.join(words).upper()}, kind {kind}" + (", also to everyone" if message.BROADCAST else "")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_table_of_a_message_is_its_layout(kind: int) -> None:
    assert table(section(heading(kind))) == [(name, codec.text) for name, codec in KINDS[kind].LAYOUT]


@pytest.mark.parametrize("group", GROUPS)
def test_the_table_of_a_group_is_its_layout(group: str) -> None:
    assert table(section(group)) == [(name, codec.text) for name, codec in GROUPS[group]]


def test_the_document_has_no_other_messages() -> None:
    assert set(re.findall(r"^#### (.*)$", TEXT, re.MULTILINE)) == {heading(kind) for kind in KINDS} | set(GROUPS)


@pytest.mark.parametrize("why", [*RefuseWhy, *GetWhy], ids=repr)
def test_every_reason_is_listed_with_its_number(why: RefuseWhy | GetWhy) -> None:
    message = RefuseGet if isinstance(why, GetWhy) else next(one for one in KINDS.values() if one.__name__ == "Refuse")
    assert f"{why.value} {why.name}" in section(heading(message.KIND))


def test_the_examples_are_what_the_code_makes() -> None:
    told = re.findall(r"^([^\n]+):\n\n```hex\n(.*?)```", TEXT, re.MULTILINE | re.DOTALL)
    assert {title: bytes.fromhex(data) for title, data in told} == EXAMPLES


@pytest.mark.parametrize(
    "sentence",
    [
        f"version ({link.VERSION})",
        f"{link.MIN_MTU_BYTES} bytes at least",
        f"({seal.MAX_PEERS} of them)",
        f"those that it left ({seal.MAX_LEFT_BOOTS})",
        f"1 … {seal.EARLIER_BOOTS} below",
        f"not complete after {link.ASSEMBLY_AGE_S:.0f} s",
        f"beyond {link.MAX_ASSEMBLIES_PER_PEER} messages of one peer or {link.MAX_ASSEMBLIES} in all",
    ],
)
def test_the_limits_are_those_of_the_code(sentence: str) -> None:
    assert sentence in TEXT
