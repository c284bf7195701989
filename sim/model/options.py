"""What may happen in a model, and how often: one frozen object, so that each configuration says its bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any

from hal.light_dataclass import dataclass


def _option(default: Any, says: str, *, among: tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"says": says, "among": among})


@dataclass(frozen=True, slots=True)
class Options:
    """Power cuts and process kills may come at any time, and as often; of the other troubles so many in one history."""

    hosts: int = _option(1, "units that may hold a copy")
    attempts: int = _option(3, "numbers that the origin gives out, to all of them together")
    wanted: int = _option(1, "copies that the picture shall have")
    sessions: bool = _option(
        False, "nothing from before a restart is obeyed (HANDOVER §5); without, any old message may come"
    )
    handles: bool = _option(
        False, "parts under a handle of an earlier reservation do nothing; without, they are as any"
    )
    keeper: str = _option("", "who keeps the origin's records; third: a unit without a copy", among=("host", "third"))
    versions: int = _option(0, "the record's version goes up to this and no higher; 0: no records")
    conflict: bool = _option(False, "the first host holds another content under the id")
    deletes: int = _option(0, "a person deletes the picture")
    origin_cards: int = _option(0, "the origin's card is lost, and with it file and catalogue")
    origin_catalogues: int = _option(0, "the origin's catalogue is lost")
    host_cards: int = _option(0, "a host's card is lost")
    host_catalogues: int = _option(0, "a host's catalogue is lost")
    own_rots: int = _option(0, "the own file rots")
    held_rots: int = _option(0, "a copy rots")
    lies: int = _option(0, "a host throws its copy away, says nothing, and goes on answering as if it had it")

    @property
    def units(self) -> int:
        """Units beside the origin."""
        return self.hosts + (self.keeper == "third")

    @property
    def origin_forgets(self) -> bool:
        """Whether it asks for inventories."""
        return bool(self.origin_cards or self.origin_catalogues)


@dataclass(frozen=True, slots=True)
class Configuration:
    """One row of the table in docs/reliability.md. limit: states visited at most; settles: I6 is looked at, too; whole:
    no state is left out within the limit."""

    options: Options
    limit: int
    settles: bool = False
    whole: bool = True


def _configurations() -> Iterator[tuple[str, Configuration]]:
    """Those of the table. Where it is not looked at I6, whatever is old may come, also what handles keep out."""
    million = 1_000_000
    yield "1 host, 3 attempts", Configuration(Options(attempts=3), million)
    yield "1 host, 3 attempts, with handles", Configuration(Options(attempts=3, handles=True), million, settles=True)
    yield "2 hosts, 2 attempts", Configuration(Options(hosts=2, attempts=2), million)
    yield "2 hosts, 2 attempts, with handles", Configuration(Options(hosts=2, handles=True, attempts=2), million, True)
    double = Options(hosts=2, attempts=2, wanted=2, handles=True)
    yield "2 hosts, 2 attempts, with handles, 2 copies wanted", Configuration(double, million, settles=True)
    one = Options(attempts=2, handles=True)
    alone = {
        "a delete": replace(one, deletes=1),
        "rot of the own file": replace(one, own_rots=1),
        "rot of a copy": replace(one, held_rots=1),
        "the origin's card lost": replace(one, sessions=True, origin_cards=1),
        "the origin's catalogue lost": replace(one, sessions=True, origin_catalogues=1),
        "a host's card lost": replace(one, sessions=True, host_cards=1),
        "a host's catalogue lost": replace(one, sessions=True, host_catalogues=1),
        "both catalogues lost": replace(one, sessions=True, origin_catalogues=1, host_catalogues=1),
        "a third unit with records": replace(one, sessions=True, keeper="third", versions=3),
    }
    for name, options in alone.items():
        yield f"1 host, 2 attempts, {name}", Configuration(options, million, settles=True)
    other = replace(one, hosts=2, conflict=True)
    yield "2 hosts, 2 attempts, one with other content", Configuration(other, million, settles=True)
    yield "1 host, 2 attempts, a lie", Configuration(Options(attempts=2, lies=1), million)
    forgotten = replace(one, attempts=1, sessions=True, versions=2, deletes=1, origin_cards=1)
    yield "1 attempt, delete, card lost, third unit", Configuration(replace(forgotten, keeper="third"), million, True)
    yield "1 attempt, delete, card lost, host keeps", Configuration(replace(forgotten, keeper="host"), million, True)
    two = Options(hosts=2, attempts=2, handles=True, sessions=True)
    together = {
        "the origin's card lost": Configuration(replace(two, origin_cards=1), million, settles=True, whole=False),
        "a host's card lost": Configuration(replace(two, host_cards=1), million // 4, settles=True, whole=False),
        "a host's catalogue lost": Configuration(replace(two, host_catalogues=1), million // 4, True, whole=False),
        "rot of a copy": Configuration(replace(two, held_rots=1), million // 4, settles=True, whole=False),
    }
    for name, configuration in together.items():
        yield f"2 hosts, 2 attempts, {name}", configuration
    third = replace(double, hosts=3, sessions=True, host_cards=1)
    yield "3 hosts, 2 attempts, 2 copies wanted, a host's card lost", Configuration(third, million // 4, True, False)
    yield "2 hosts, 3 attempts", Configuration(Options(hosts=2, attempts=3), million, whole=False)


CONFIGURATIONS = dict(_configurations())
