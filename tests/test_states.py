"""The chains: what their tables say, all of it, and nothing else; and the diagrams that are made from them."""

from dataclasses import dataclass

import pytest
from diagrams import DOCUMENTS, ROOT, diagrams, mermaid

from firmware import states
from firmware.states import CHAINS, IllegalMove, State
from hal.errors import DandelionError

MOVERS = {"DISPERSAL": states.dispersal, "HOSTING": states.hosting, "READ_OUT": states.read_out}
ALL_TRIGGERS = sorted({why for rows in CHAINS.values() for _, why, _ in rows})
WAITS_FOR_ANOTHER_UNIT = {
    "DISPERSAL": {State.AWAIT_ACCEPT, State.SEND},
    "HOSTING": {State.ACCEPT},
    "READ_OUT": {State.LOOK_UP, State.COLLECT, State.DELIVER},
}
WAITS_FOR_THE_OWN_MACHINE = {
    "DISPERSAL": {State.CAPTURE, State.REQUEST},
    "HOSTING": {State.CHECK_SPACE, State.ACCEPT, State.STORE},
    "READ_OUT": {State.DELIVER},
}
FIXED_NAMES = {  # DESIGN §4
    "IDLE",
    "CAPTURE",
    "DECIDE",
    "REQUEST",
    "AWAIT_ACCEPT",
    "SEND",
    "RECEIVE",
    "CHECK_SPACE",
    "ACCEPT",
    "STORE",
}


@dataclass(slots=True)
class Chained:
    """Like a dispersal: slots, and a state."""

    state: State


def whys_out_of(rows, state):
    return {why for source, why, _ in rows if source is state}


def states_of(rows):
    return {state for source, _, target in rows for state in (source, target)}


@pytest.mark.parametrize("chain", CHAINS)
def test_each_state_and_trigger_is_the_row_or_an_illegal_move_that_changes_nothing(chain):
    for state in State:
        for why in [*ALL_TRIGGERS, "no_such_trigger"]:
            try_move(chain, state, why)


def try_move(chain, state, why):
    targets = [target for source, w, target in CHAINS[chain] if (source, w) == (state, why)]
    assert len(targets) <= 1
    chained = Chained(state)
    if targets:
        MOVERS[chain].move(chained, why)
        assert chained.state is targets[0]
    else:
        with pytest.raises(IllegalMove, match=f"{why} is not legal in {state}"):
            MOVERS[chain].move(chained, why)
        assert chained.state is state


def reached_from(start, arrows):
    reached, todo = {start}, [start]
    while todo:
        here = todo.pop()
        for source, target in arrows:
            if source is here and target not in reached:
                reached.add(target)
                todo.append(target)
    return reached


@pytest.mark.parametrize("chain", CHAINS)
def test_every_state_is_reached_from_idle_and_returns_to_it(chain):
    rows = CHAINS[chain]
    assert reached_from(State.IDLE, [(source, target) for source, _, target in rows]) == states_of(rows)
    assert reached_from(State.IDLE, [(target, source) for source, _, target in rows]) == states_of(rows)


@pytest.mark.parametrize("chain", CHAINS)
def test_every_state_that_waits_has_a_way_out_when_nothing_comes(chain):
    rows = CHAINS[chain]
    for state in WAITS_FOR_ANOTHER_UNIT[chain]:
        assert "timed_out" in whys_out_of(rows, state), state
    for state in WAITS_FOR_THE_OWN_MACHINE[chain]:
        assert "failed" in whys_out_of(rows, state), state


def test_a_failed_dispersal_is_always_decided_anew():
    for source, why, target in CHAINS["DISPERSAL"]:
        if why in ("refused", "timed_out") or (why == "failed" and source is not State.CAPTURE):
            assert target is State.DECIDE, (source, why)


def test_the_ten_names_of_the_hand_over_are_as_fixed():
    assert {str(state) for chain in ("DISPERSAL", "HOSTING") for state in states_of(CHAINS[chain])} == FIXED_NAMES


def test_the_chains_are_those_that_move():
    assert {name: chain.rows for name, chain in MOVERS.items()} == CHAINS


def test_the_diagrams_in_the_documents_are_made_from_the_tables():
    found = {name: diagrams((ROOT / name).read_text()) for name in DOCUMENTS}
    assert [chain for chain, _ in found["docs/states.md"]] == list(CHAINS)
    for name, blocks in found.items():
        for chain, block in blocks:
            assert block == mermaid(CHAINS[chain]), f"{name}: run tests/diagrams.py"


def test_every_trigger_has_a_word_in_the_documents():
    sections = (ROOT / "docs/states.md").read_text().split("\n## ")[1:]
    for section, (chain, rows) in zip(sections, CHAINS.items(), strict=True):
        assert section.startswith(f"{chain}:")
        told = {
            why.strip()
            for line in section.splitlines()
            if line.startswith("| ")
            for why in line[2:].split(" |")[0].split(",")
        }
        assert {why for _, why, _ in rows} == told - {"why"}


def test_an_illegal_move_ends_the_unit_and_is_no_trouble_that_a_step_hands_on():
    assert not issubclass(IllegalMove, DandelionError)
