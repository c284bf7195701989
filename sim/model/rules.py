"""What must hold in every state: I1 to I4 and R6 of HANDOVER §2, no picture deleted that nobody deleted, none back."""

from __future__ import annotations

from collections.abc import Sequence

from firmware import handover as h
from firmware import messages as m
from firmware.pictures import UNKNOWN_ATTEMPT, Entry, File
from firmware.record_rows import row_of, said_of
from sim.model.host import Host
from sim.model.options import Options
from sim.model.origin import Origin
from sim.model.troubles import History, is_there
from sim.model.values import OTHER_CONTENT, Broken, Disk


def check(options: Options, history: History, at: Origin, hosts: Sequence[Host]) -> None:
    """Broken where a rule does not hold. I5 and what a step may never do are looked at in its step (origin.py)."""
    entry = at.entry
    if entry is not None and entry.deleted and not history.deleted:
        raise Broken("a picture is deleted that nobody deleted")
    if entry is not None and entry.file is not File.GONE and entry.deleted:
        raise Broken("a deleted picture's file is back")
    for host in hosts:
        _host(options, host)
    if not history.deleted:
        _there(history, at, hosts)
    if entry is not None:
        _listed(at, entry, hosts)
        if options.versions and not options.origin_forgets:
            _recorded(entry, hosts)


def _there(history: History, at: Origin, hosts: Sequence[Host]) -> None:
    entry = at.entry
    if at.disk is not Disk.WHOLE and not any(is_there(host) for host in hosts):
        raise Broken("I1: nobody has the picture")
    if entry is not None and entry.file is File.GONE and not entry.listed and not history.forgot:
        raise Broken("I4: no file at the origin, and its list names nobody")


def _listed(at: Origin, entry: Entry, hosts: Sequence[Host]) -> None:
    for copy in entry.listed:
        if copy.unit in at.stale or (copy.suspect and copy.unit in at.liars):
            continue
        host = next(host for host in hosts if host.unit == copy.unit)
        attempt = UNKNOWN_ATTEMPT if host.held is None else host.held.attempt
        if not is_there(host) or (attempt != UNKNOWN_ATTEMPT and (attempt or 0) < copy.listed):
            raise Broken(f"I2: unit {copy.unit} is listed under attempt {copy.listed} and has it not, or an older one")
    if entry.file is File.WHOLE and at.disk is Disk.NONE:
        raise Broken("I3: the origin has a row without its file")


def _host(options: Options, host: Host) -> None:
    if host.held is not None and host.disk is Disk.NONE and not host.lied:
        raise Broken(f"I3: unit {host.unit} has a row without its file")
    if options.conflict and host.unit == 2:
        row = host.held
        if row is None or row.picture != OTHER_CONTENT or row.attempt != 1 or host.disk is not Disk.WHOLE:
            raise Broken("H1, H7: what came for this picture has touched another content under its id")


def _recorded(entry: Entry, hosts: Sequence[Host]) -> None:
    """R6: whoever keeps a record of the origin's version keeps what it says; nobody keeps one of a later version."""
    for host in hosts:
        if host.row is None or host.row.version == 0 or host.row.deleted:
            continue
        if host.row.version > entry.version:
            raise Broken(f"R6: unit {host.unit} keeps a version that the origin never had")
        kept = row_of(host.row)
        assert isinstance(kept, m.Record)
        if host.row.version == entry.version and not entry.deleted and said_of(kept) != h.said_by(entry):
            raise Broken("R6: the record says two things under one version")
