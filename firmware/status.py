"""What `status` tells of a running unit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from firmware import VERSION, bad_starts
from firmware.determine import Rules
from firmware.events import Counted
from firmware.exposure import exposure_row
from firmware.panel import is_full
from firmware.pictures import PictureId
from firmware.roster import public_of
from firmware.rosters import public_in
from firmware.states import State
from firmware.wording import so_many, units

if TYPE_CHECKING:
    from firmware.service import Service


def status_row(service: Service, counted: Counted) -> dict[str, object]:
    """One object with all that `status` tells; sizes in bytes."""
    unit, config = service.unit, service.config
    core, room = unit.core, unit.core.room
    full, why = _fullness(service)
    return {
        "unit": core.unit,
        "name": config.unit.name,
        "boot": core.boot,
        "version": VERSION,
        "pid": os.getpid(),
        "temporary": service.temporary,
        "safe_mode": service.beginning.in_safe_mode,
        "clock_quality": core.wall_quality.name.lower(),
        "card_number": f"{core.card:04x}",
        "capacity_bytes": room.capacity_bytes,
        "own_bytes": room.own_bytes,
        "cache_bytes": room.cache_bytes,
        "held_bytes": room.held_bytes,
        "reserved_bytes": room.reserved_bytes + room.partial_bytes,
        "room_bytes": room.free_bytes,
        "full": full,
        "why": why,
        "pictures": {
            "own": counted.own,
            "held": counted.held,
            "lacking": counted.lacking,
            "lacking_away": counted.away,
            "suspect_copies": counted.suspect,
        },
        "deletes_pending": counted.deletes_pending,
        "exposure": exposure_row(counted, core.age_s, core.wall_s(), core.settings.rules.policy),
        "audits": unit.proofs.tally.sums(core.now),
        "scrub": {
            "checked": unit.scrub.checked,
            "damaged": unit.scrub.damaged,
            "after": None if unit.scrub.after is None else str(unit.scrub.after),
        },
        "waiting_shots": unit.shutter.waiting,
        "priority": unit.shutter.all_priority,
        "shots": unit.shutter.times.row(),
        "camera": config.camera.driver,
        "camera_failed": unit.shutter.camera_failed,
        "camera_note": service.camera.note or None,
        "load": _load(service),
        "camera_problem": service.camera.problem or unit.shutter.camera_trouble,
        "network": _network(service),
        "radio": _radio(service),
        "packets_refused": dict(unit.bad_packets.counts),
        "transfers": _transfers(service),
        "promise": _promise(core.settings.rules),
        "problems": _problems(service, counted, full=full, why=why),
    }


def _fullness(service: Service) -> tuple[bool, str | None]:
    """Whether no picture like the recent ones fits, and why pictures that lack copies are not on their way."""
    unit = service.unit
    full, why = is_full(unit), unit.dispersals.deciding.idle_why or None
    if sending := sorted({d.host for d in unit.dispersals if d.host}):
        why = f"a copy to {units(sending)} is being made"
    if unit.file_system.trouble is not None:
        why = f"{unit.file_system.trouble}; {why or 'nothing is to be copied'}"
    return full, why


def faults(service: Service) -> list[str]:
    """What does not work, each once."""
    unit, shutter = service.unit, service.unit.shutter
    of_parts = shutter.camera_trouble, shutter.card_trouble, unit.file_system.failure
    troubles = service.radio.problem, service.camera.problem, service.card_problem, *of_parts
    found = [text for text in dict.fromkeys((*troubles, *service.panel.problems)) if text]
    if service.beginning.in_safe_mode:
        found.append(f"{bad_starts.NOTICE}; {bad_starts.CAN}")
    if without := unit.core.settings.without_card:
        found.append(f"the unit goes on without its card, pictures are in memory until a host has them: {without}")
    if unit.core.mute:
        found.append(f"{unit.core.mute}: nothing is sent any more")
    return found + unit.bad_packets.problems()


def _problems(service: Service, counted: Counted, *, full: bool, why: str | None) -> list[str]:
    """What a person should look at."""
    unit, problems = service.unit, faults(service)
    load = service.daily_load()
    if load is not None and load.too_much:
        problems.append(load.text)
    if full and why is not None:
        problems.append(f"the card is full: {why}")
    if unit.file_system.why is not None and not full:
        problems.append(unit.file_system.why)
    if (few := _too_few_units(service, counted)) is not None:
        problems.append(few)
    return problems


def _load(service: Service) -> dict[str, object] | None:
    """What the camera makes a day against what the link carries."""
    load = service.daily_load()
    if load is None:
        return None
    return {
        "made_bytes_per_day": load.made_bytes,
        "carried_bytes_per_day": load.carried_bytes,
        "too_much": load.too_much,
        "text": load.text,
    }


def _network(service: Service) -> dict[str, object] | None:
    """Of which network it is a member; None without a credential. key: its public one; acts_for: units gone for good
    about whose pictures it decides."""
    credential, roster = service.beginning.credential, service.unit.rosters.roster
    if credential is None or roster is None:
        return None
    key = public_of(credential.private)
    acts_for = sorted(service.unit.core.acts_for)
    told = {"name": credential.network, "epoch": roster.epoch, "members": len(roster.rows)}
    return {**told, "member": public_in(roster, credential.unit) == key, "key": key.hex(), "acts_for": acts_for}


def _radio(service: Service) -> dict[str, object]:
    """The radio, and what went over its line since the start."""
    radio, counts = service.radio, service.radio.counts
    return {
        "driver": service.config.radio.driver,
        "port": service.config.radio.port,
        "problem": radio.problem,
        "line_bytes_per_s": radio.line_bytes_per_s,
        "bytes_in": counts.bytes_in,
        "bytes_out": counts.bytes_out,
        "frames_in": counts.frames_in,
        "frames_out": counts.frames_out,
        "frames_damaged": counts.frames_damaged,
        "frames_undelivered": counts.frames_undelivered,
        "reopened": counts.reopened,
    }


def _too_few_units(service: Service, counted: Counted) -> str | None:
    """With fewer other units than copies asked for there are as many as there are (DESIGN §5)."""
    core = service.unit.core
    others = sum(1 for n in core.neighbours if n.hosting and not n.silent(core.now))
    rules = core.settings.rules
    heard = f"and {so_many(others, 'other unit that hosts is', 'other units that host are')} heard"
    if 0 < others < rules.copies:
        return f"{rules.copies} copies are asked for (dispersal.copies) {heard}"
    if counted.urgent and 0 < others < rules.wanted(True):
        return f"{rules.wanted(True)} copies of priority pictures are asked for (dispersal.priority_copies) {heard}"
    return None


def _promise(rules: Rules) -> str:
    """What HANDOVER R14 promises under these rules, in words."""
    deaths = rules.copies_min - 1
    after = so_many(deaths, "card death")
    return (
        "while a copied picture's own file is here, any one card may die; once it is dropped, the picture survives "
        f"{after if deaths else 'no further card death'} (dispersal.copies_min = {rules.copies_min})"
    )


def _transfers(service: Service) -> list[dict[str, object]]:
    unit = service.unit
    out: list[dict[str, object]] = []
    for d in unit.dispersals:
        if (sent := d.outgoing) is not None:
            out.append(_transfer(d.id, d.host, "out", sent.done_bytes, sent.size_bytes))
    for h in unit.hostings:
        if h.receiver is not None and h.state in (State.ACCEPT, State.STORE):
            out.append(_transfer(h.picture.id, h.owner, "in", h.receiver.have.size_bytes, h.picture.size_bytes))
    for s in unit.serving:
        if (sent := s.outgoing) is not None:
            out.append(_transfer(s.get.id, s.neighbour, "out", sent.done_bytes, sent.size_bytes, s.get.preview))
    for r in unit.read_outs:
        if (collecting := r.collecting) is not None and (picture := collecting.picture) is not None:
            done_bytes = collecting.done_bytes
            out.append(_transfer(r.id, collecting.holder, "in", done_bytes, picture.size_bytes, r.preview))
    return out


def _transfer(
    picture: PictureId, unit: int, direction: str, done_bytes: int, total_bytes: int, preview: bool = False
) -> dict[str, object]:
    return {
        "picture": str(picture),
        "preview": preview,
        "unit": unit,
        "direction": direction,
        "done_bytes": done_bytes,
        "total_bytes": total_bytes,
    }
