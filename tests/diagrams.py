"""Mermaid diagrams of the chains, made from the tables of firmware/states.py. Run it to bring the documents up to date.

In a document, `<!-- diagram: DISPERSAL -->` stands before the block that is made from that chain.
"""

import re
from pathlib import Path

from firmware.states import CHAINS

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("docs/states.md", "README.md")
MARKED = re.compile(r"<!-- diagram: (\w+) -->\n```mermaid\n(.*?)```\n", re.DOTALL)


def mermaid(rows):
    """The state diagram of a table; arrows between the same two states are one."""
    arrows = {}
    for source, why, target in rows:
        arrows.setdefault((source, target), []).append(why)
    lines = [f"    {source} --> {target}: {', '.join(whys)}" for (source, target), whys in arrows.items()]
    return "\n".join(["stateDiagram-v2", "    [*] --> IDLE", *lines]) + "\n"


def diagrams(text):
    """(chain, block) of each marked diagram."""
    return MARKED.findall(text)


def renewed(text):
    """The document with each marked diagram made anew."""
    return MARKED.sub(lambda m: f"<!-- diagram: {m[1]} -->\n```mermaid\n{mermaid(CHAINS[m[1]])}```\n", text)


def main():
    for name in DOCUMENTS:
        document = ROOT / name
        document.write_text(renewed(document.read_text()))


if __name__ == "__main__":
    main()
