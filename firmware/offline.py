"""What `list whereis explain` tell while no unit runs, and `fsck`: from catalogue and card, without the radio."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from firmware import rows
from firmware.catalogue import Catalogue
from firmware.config import Config
from firmware.errors import Refused
from firmware.events import Decisions, LookUp, Names, Page
from firmware.pictures import PictureId
from hal import card_mount
from hal.errors import CardError

if TYPE_CHECKING:
    from firmware.fsck import Finding

_AS_WHO = "run the command as the user that the unit runs as"
PAGE = 500  # entries in memory at once, about 1 MB


def list_rows(config: Config, unit: int | str | None, since_s: float | None) -> Iterator[dict[str, object]]:
    """Rows of `list`, page by page. unit: number or name of the origin. since_s: Unix seconds."""
    with closing(_catalogue(config)) as catalogue:
        origin = _number(catalogue, config, unit)
        after: PictureId | None = None
        while page := catalogue.page(Page(origin, since_s, after, PAGE)):
            for entry in page:
                yield rows.list_row(entry, config.unit.id)
            after = page[-1].picture.id


def whereis_row(config: Config, picture: PictureId) -> dict[str, object]:
    """The row of `whereis`."""
    with closing(_catalogue(config)) as catalogue:
        entry = catalogue.look_up(LookUp(picture))
    if entry is None or entry.deleted:
        raise rows.not_known(picture, entry, config.unit.id)
    return rows.whereis_row(entry, config.unit.id)


def explain_rows(config: Config, picture: PictureId) -> list[dict[str, object]]:
    """The rows of `explain`, oldest decision first."""
    with closing(_catalogue(config)) as catalogue:
        decisions = catalogue.decisions(Decisions(picture))
    if not decisions:
        raise rows.nothing_decided(picture, config.unit.id)
    return [rows.explain_row(picture, decision.text, decision.inputs) for decision in decisions]


def fsck_findings(config: Config, *, repair: bool) -> Iterator[Finding]:
    """What is not as it should be on the card. repair: nobody else may use the card, so Refused if a unit runs."""
    from firmware.control import hold, hold_card, require_own  # these take twice as long to load as `list` takes in all
    from firmware.fsck import check
    from hal.directory_card import DirectoryCard

    _must_exist(config)
    path, unit = str(config.card.catalogue_path), config.unit.id
    card = DirectoryCard(str(config.card.path))
    with ExitStack() as held:
        if repair:
            require_own(config.unit.runtime_dir, config.card.path)
            held.enter_context(hold(config.unit.runtime_dir))
            held.enter_context(hold_card(config.card.path))
        catalogue = held.enter_context(closing(Catalogue(path, unit) if repair else Catalogue.read_only(path, unit)))
        yield from check(card, catalogue, unit, repair=repair)


def _catalogue(config: Config) -> Catalogue:
    _must_exist(config)
    return Catalogue.read_only(str(config.card.catalogue_path), config.unit.id)


def _must_exist(config: Config) -> None:
    """A catalogue that can be read; else Refused says why not."""
    card, path = config.card.path, config.card.catalogue_path
    try:
        card_mount.require(card)
    except CardError as error:
        raise Refused(error.what, can=error.can) from error
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
        readable = os.access(path, os.R_OK, effective_ids=True)
    except (FileNotFoundError, NotADirectoryError) as error:
        text = f"there is no catalogue at {path}"
        raise Refused(text, can="`dandelion run` makes it, from the pictures there") from error
    except OSError as error:
        raise Refused(f"{card} cannot be looked into: {error.strerror}", can=_AS_WHO) from error
    if not is_file:
        raise Refused(
            f"{path} is not a file", can="`dandelion run` sets it aside, and makes a catalogue from the pictures"
        )
    if not readable:
        raise Refused(f"the catalogue {path} may not be read", can=_AS_WHO)


def _number(catalogue: Catalogue, config: Config, unit: int | str | None) -> int | None:
    """The number of a unit given by number or name."""
    if unit is None or isinstance(unit, int):
        return unit
    if unit == config.unit.name:
        return config.unit.id
    for number, name in catalogue.names(Names()).items():
        if name == unit:
            return number
    raise Refused(f"no unit named {unit} was ever heard here", can="give its number")
