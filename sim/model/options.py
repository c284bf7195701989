"""What may happen in a model, and how often: one frozen object, so that each configuration says its bound."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Power cuts and process kills may come at any time, and as often; of the other troubles so many in one history.

    sessions: nothing from before a restart of either side is obeyed (HANDOVER §5); without, every old message may come.
    keeper: who keeps the origin's records: "" nobody, "host" the first host, "third" a unit that holds no copy.
    handles: parts under a handle of an earlier reservation do nothing (HANDOVER §2); without, they are taken as any.
    versions: the record's version goes up to this and no higher (0: records are not modelled).
    """

    hosts: int = 1
    attempts: int = 3
    wanted: int = 1
    sessions: bool = False
    handles: bool = False
    keeper: str = ""
    versions: int = 0
    conflict: bool = False  # the first host holds another content under the id
    deletes: int = 0
    origin_cards: int = 0  # the origin's card is lost, and with it file and catalogue
    origin_catalogues: int = 0
    host_cards: int = 0
    host_catalogues: int = 0
    own_rots: int = 0
    held_rots: int = 0
    lies: int = 0  # a host throws its copy away, says nothing, and goes on answering as if it had it

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
    """One row of the table in docs/reliability.md. limit: states visited at most; settles: I6 is looked at, too."""

    options: Options
    limit: int
    settles: bool = False


MILLION = 1_000_000

CONFIGURATIONS: dict[str, Configuration] = {
    "1 host, 3 attempts": Configuration(Options(attempts=3), MILLION),
    "1 host, 3 attempts, settling": Configuration(Options(attempts=3, handles=True), MILLION, settles=True),
    "2 hosts, 2 attempts": Configuration(Options(hosts=2, attempts=2), MILLION),
    "2 hosts, 2 attempts, settling": Configuration(Options(hosts=2, attempts=2, handles=True), MILLION, settles=True),
}
