"""What `list whereis explain fsck` tell while no unit runs: read from the catalogue, without radio and clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from firmware import rows
from firmware.catalogue import Catalogue
from firmware.config import Config
from firmware.errors import Refused
from firmware.events import Decisions, LookUp, Names, Page
from firmware.pictures import Entry, PictureId

PAGE = 500  # entries in memory at once, about 1 MB


def list_rows(config: Config, unit: int | str | None, since_s: float | None) -> Iterator[dict[str, object]]:
    """Rows of `list`, page by page. unit: number or name of the origin. since_s: Unix seconds."""
    with closing(_catalogue(config)) as catalogue:
        origin = _number(catalogue, config, unit)
        after: PictureId | None = None
        while page := catalogue.page(Page(origin, since_s, after, PAGE)):
            for entry in page:
                yield rows.list_row(entry, config.unit.id)
            after = page[0].picture.id


def whereis_row(config: Config, picture: PictureId) -> dict[str, object]:
    """The row of `whereis`."""
    with closing(_catalogue(config)) as catalogue:
        return rows.whereis_row(_entry(catalogue, picture), config.unit.id)


def explain_rows(config: Config, picture: PictureId) -> list[dict[str, object]]:
    """The rows of `explain`, oldest decision first."""
    with closing(_catalogue(config)) as catalogue:
        _entry(catalogue, picture)
        return [rows.explain_row(picture, made.text, made.inputs) for made in catalogue.decisions(Decisions(picture))]


def _catalogue(config: Config) -> Catalogue:
    path = config.card.catalogue_path
    if not path.exists():
        raise Refused(f"there is no catalogue at {path} yet", can="`dandelion run` makes one at its first start")
    return Catalogue.read_only(str(path), config.unit.id)


def _entry(catalogue: Catalogue, picture: PictureId) -> Entry:
    entry = catalogue.look_up(LookUp(picture))
    if entry is None:
        raise Refused(f"picture {picture} is not known here", can="`dandelion list` shows the ones that are")
    if entry.deleted:
        raise Refused(f"picture {picture} was deleted")
    return entry


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
