"""Measurements of what a full card costs: questions to a catalogue of a million pictures, start with 10,000 files."""

from __future__ import annotations

import hashlib
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from firmware.answers import PAGE
from firmware.catalogue import Catalogue
from firmware.catalogue_home import CatalogueFile
from firmware.events import Cached, Counts, Lacking, LookUp, Page, Save
from firmware.layout import picture_directory, picture_path
from firmware.pictures import Copy, Entry, File, Picture, PictureId
from hal.interfaces import TimeQuality
from sim.bench_daemon import start_and_end
from sim.bench_figures import Figure, Goal, Setting
from sim.bench_units import BenchUnit
from sim.line import LineProcess

WHEREIS_MS, LIST_MS = 50.0, 100.0  # DESIGN §11, at 1,000,000 pictures
START_S = 2.0  # HANDOVER §1, per 10,000 pictures
ROWS, QUICK_ROWS = 1_000_000, 20_000
FILES, QUICK_FILES = 10_000, 200
BATCH = 5_000  # rows in one transaction while the catalogue is filled
TRIES = 50  # of each question; the slowest is told
UNIT, CARD, ORIGINS = 1, 0x3FA7, 4  # own pictures, and held ones of three others
LACKS_EVERY, PRIORITY_EVERY, GONE_EVERY = 50, 97, 3  # so many-th own pictures lack a copy, have priority, are dropped
TAKEN_FROM = 1_750_000_000.0  # Unix seconds; a picture each 10 s


def catalogue(setting: Setting) -> Iterator[Figure]:
    """Questions, each TRIES times at random places, to a file that was just opened."""
    path, rows = setting.directory / "catalogue.sqlite3", QUICK_ROWS if setting.quick else ROWS
    begun = time.monotonic()
    _fill(path, rows)
    yield Figure("catalogue.rows", rows, "rows")
    yield Figure("catalogue.save", 1e6 * (time.monotonic() - begun) / rows, "us/row")
    yield Figure("catalogue.file", path.stat().st_size / rows, "B/row")
    begun = time.monotonic()
    opened = CatalogueFile(str(path), UNIT).open()
    yield Figure("catalogue.open", time.monotonic() - begun, "s")
    rng = random.Random(rows)
    questions: dict[str, tuple[Callable[[], object], float | None]] = {
        "whereis": (lambda: opened.look_up(LookUp(_id(rng.randrange(rows)))), WHEREIS_MS),
        "list": (lambda: opened.page(Page(None, None, _id(rng.randrange(rows)), PAGE)), LIST_MS),
        "list-origin": (lambda: opened.page(Page(2, None, _id(rng.randrange(rows)), PAGE)), LIST_MS),
        "list-since": (lambda: opened.page(Page(None, _taken_at(rng.randrange(rows)), None, PAGE)), LIST_MS),
        "lacking": (lambda: opened.lacking(Lacking(1, 2, 8)), None),
        "cached": (lambda: opened.cached(Cached(1, 2, 8)), None),
        "counts": (lambda: opened.counts(Counts(1, 2)), None),
    }
    for name, (ask, bound) in questions.items():
        slowest_ms, median_ms = _time_ms(ask)
        yield Figure(f"catalogue.{name}", slowest_ms, "ms, slowest", None if bound is None else Goal(bound))
        yield Figure(f"catalogue.{name}-median", median_ms, "ms")
    opened.close()


def _time_ms(ask: Callable[[], object]) -> tuple[float, float]:
    times = []
    for _ in range(TRIES):
        begun = time.monotonic()
        ask()
        times.append(1000 * (time.monotonic() - begun))
    return max(times), statistics.median(times)


def _fill(path: Path, rows: int) -> None:
    filled = Catalogue(str(path), UNIT)
    for first in range(0, rows, BATCH):
        filled.save(Save(entries=tuple(_entry(n) for n in range(first, min(rows, first + BATCH)))))
    filled.close()


def _id(n: int) -> PictureId:
    return PictureId(1 + n % ORIGINS, CARD, n)


def _taken_at(n: int) -> float:
    return TAKEN_FROM + 10.0 * n


def _entry(n: int) -> Entry:
    """Own ones, most of them copied and many dropped; held ones of three other units."""
    digest = hashlib.sha256(n.to_bytes(8)).digest()
    nth = n // ORIGINS
    priority = nth % PRIORITY_EVERY == 0
    picture = Picture(_id(n), 200_000, digest, priority, _taken_at(n), TimeQuality.SYNCED)
    if picture.id.unit != UNIT:
        return Entry(picture, File.WHOLE, attempt=n + 1, kept=True)
    if nth % LACKS_EVERY == 0:
        return Entry(picture, File.WHOLE, version=1)
    copies = tuple(Copy(unit, listed=n + 1, proof=digest[:16], verified_at=_taken_at(n)) for unit in (2, 3))
    file = File.GONE if nth % GONE_EVERY == 0 else File.WHOLE
    return Entry(picture, file, version=2, copies=copies if priority else copies[:1])


def start_up(setting: Setting) -> Iterator[Figure]:
    """From the start of `dandelion run` to its first answer, with so many files and rows on the card."""
    files = QUICK_FILES if setting.quick else FILES
    with LineProcess(["--units", "2", "--baud", str(setting.baud)]) as line:
        unit = BenchUnit(1, setting.directory, port=line.ports[0], baud=setting.baud, folder=None)
        start_and_end(unit)  # makes card and catalogue
        empty = start_and_end(unit)
        _put_on_card(unit, files)
        full = start_and_end(unit)
    yield Figure("start-up.files", files, "files")
    yield Figure("start-up", full.seconds, "s", setting.goal(START_S))
    yield Figure("start-up.empty", empty.seconds, "s")


def _put_on_card(unit: BenchUnit, files: int) -> None:
    """Half of them own, half held; short, as only their names are looked at."""
    opened = Catalogue(str(unit.card / "catalogue.sqlite3"), UNIT)
    card = opened.counter("card", 0)
    entries = []
    for n in range(files):
        data = n.to_bytes(8)
        own = n % 2 == 0
        picture = Picture(PictureId(UNIT if own else 2, card, n + 1), len(data), hashlib.sha256(data).digest())
        (unit.card / picture_directory(picture.id, UNIT)).mkdir(parents=True, exist_ok=True)
        (unit.card / picture_path(picture, UNIT)).write_bytes(data)
        own_entry, held_entry = Entry(picture, File.WHOLE, version=1), Entry(picture, File.WHOLE, attempt=1, kept=True)
        entries.append(own_entry if own else held_entry)
    opened.save(Save(entries=tuple(entries)))
    opened.close()
