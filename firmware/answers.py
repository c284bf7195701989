"""What the running unit answers to each verb that comes over the control socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from firmware import commands as c
from firmware import rows, values
from firmware.control import Reply
from firmware.errors import Refused, WrongArgument
from firmware.events import Counted, Counts, Decisions, LookUp, Names, Page, SaveDecision
from firmware.neighbours import FIRST_NEIGHBOUR_S
from firmware.pictures import MAX_PICTURE_BYTES, MAX_UNIT, Entry, Picture, PictureId
from firmware.roster import MAX_ROSTER_BYTES
from firmware.status import status_row
from firmware.values import NotAllowed
from firmware.wording import shown

if TYPE_CHECKING:
    from firmware.service import Service

PAGE = 200
"""Entries of `list` looked up at once; the radio goes on between two pages."""
MAX_SHOTS = 1000
"""Pictures that one `shoot -n` may ask for."""
FARTHEST_UNIX_S = 1e12
"""A time farther from 1970 is a mistake of whoever asks; NaN and infinity are, too."""
PROGRESS_EVERY_S = 0.25
"""How often `copy` tells how far it is."""
WAITING_S = 3.0
"""A copy that has not begun after so long says once why it waits."""

Arguments = dict[str, Any]


class Answers:
    """One method a verb; the argument names are those of the control protocol."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._pushed = bytearray()  # of a roster that is being handed over; a request and a roster long at most
        self._verbs: dict[str, Callable[[Arguments, Reply], Awaitable[None]]] = {
            "shoot": self._shoot,
            "list": self._list,
            "whereis": self._whereis,
            "get": self._get,
            "copy": self._copy,
            "drop": self._drop,
            "delete": self._delete,
            "push": self._push,
            "units": self._units,
            "status": self._status,
            "explain": self._explain,
            "log": self._log,
            "end": self._end,
        }

    async def handle(self, request: Arguments, reply: Reply) -> None:
        """Answer one request; DandelionErrors become its end."""
        verb = self._verbs.get(str(request.get("verb")))
        if verb is None:
            raise WrongArgument(f"the unit knows no verb {shown(request.get('verb'))}")
        if "for_unit" in request and request["for_unit"] != self.service.number:
            raise Refused(
                f"unit {self.service.number} runs here, and this is meant for unit {shown(request['for_unit'])}",
                did="nothing was done",
                can="give each unit a runtime_dir of its own",
            )
        await verb(request, reply)

    # ------------------------------------------------------------ commands to the unit

    async def _told(self, make: Callable[[int], c.Command], reply: Reply | None = None) -> object:
        """Give the unit a command and pass on what it tells; returns Done's value, raises what Failed says."""
        told: asyncio.Queue[c.Told] = asyncio.Queue()
        ticket = self.service.new_ticket(told.put_nowait)
        try:
            self.service.command(make(ticket))
            while True:
                what = (await told.get()).what
                match what:
                    case c.Done(value):
                        return value
                    case c.Failed(error):
                        raise self._with_its_reason(error)
                    case c.Found() if reply is not None:
                        await reply.picture(
                            picture=str(what.picture.id),
                            size_bytes=what.size_bytes,
                            sha256=what.picture.sha256 if what.size_bytes == what.picture.size_bytes else None,
                            from_unit=what.from_unit,
                            offset=what.offset,
                        )
                    case c.Data(offset, data) if reply is not None:
                        await reply.data(offset, data)
                        self.service.command(c.Took(ticket, len(data)))
                    case _:
                        pass
        finally:
            self.service.drop_ticket(ticket)

    async def _shoot(self, arguments: Arguments, reply: Reply) -> None:
        count = _number(arguments, "count", 1, MAX_SHOTS)
        priority = bool(arguments.get("priority"))
        for _ in range(count):
            pressed_at = self.service.clock.monotonic()
            picture = await self._told(lambda ticket: c.Shoot(ticket, priority))
            assert isinstance(picture, Picture)
            await reply.row(rows.shoot_row(picture, self.service.clock.monotonic() - pressed_at))

    async def _get(self, arguments: Arguments, reply: Reply) -> None:
        picture = _picture(arguments)
        preview = bool(arguments.get("preview"))
        timeout_s = _seconds(arguments)
        have = _have_bytes(arguments), _have_sha256(arguments)
        collected = await self._told(lambda ticket: c.Get(ticket, picture, preview, timeout_s, *have), reply)
        assert isinstance(collected, c.Collected)
        await reply.row(
            {
                "picture": str(picture),
                "size_bytes": collected.picture.size_bytes,
                "sha256": collected.picture.sha256.hex(),
                "from_unit": collected.from_unit,
                "air_bytes": collected.air_bytes,
            }
        )

    async def _copy(self, arguments: Arguments, reply: Reply) -> None:
        picture, timeout_s = _picture(arguments), _seconds(arguments)
        unit = await self._unit_number(str(arguments.get("to")))
        watching = asyncio.get_running_loop().create_task(self._watch_copy(picture, unit, reply))
        try:
            await self._told(lambda ticket: c.PlaceCopy(ticket, picture, unit, timeout_s), reply)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        entry = await self.service.ask(LookUp(picture))
        assert isinstance(entry, Entry)
        await reply.row(rows.whereis_row(entry, self.service.config.unit.id))

    async def _watch_copy(self, picture: PictureId, unit: int, reply: Reply) -> None:
        said, told, clock = -1, False, self.service.clock
        began = clock.monotonic()
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            why = self.service.unit.copies.why_it_waits(picture, unit)
            if why is not None and not told and clock.monotonic() >= began + WAITING_S:
                told = True
                await reply.note(f"picture {picture} waits to be copied to unit {unit}: {why}")
            for d in self.service.unit.dispersals:
                if d.outgoing is not None and d.host == unit and d.id == picture and d.outgoing.done_bytes != said:
                    said = d.outgoing.done_bytes
                    await reply.progress(picture=str(picture), done_bytes=said, total_bytes=d.outgoing.size_bytes)

    def _with_its_reason(self, error: Refused) -> Refused:
        """Where nothing is sent any more, that is why."""
        mute = self.service.mute
        if not mute:
            return error
        can = "use a unit that is in the network, or enrol this one anew"
        return Refused(f"{error.what}; {mute}", did="nothing is sent any more", can=can)

    async def _unit_number(self, text: str) -> int:
        if text.isascii() and text.isdigit():
            return _unit_in_range(int(text))
        remembered = await self.service.ask(Names())
        assert isinstance(remembered, dict)
        own, neighbours = self.service.config.unit, self.service.unit.core.neighbours

        def known() -> dict[str, int]:
            told = {name: unit for unit, name in remembered.items()}
            return told | {n.name: n.unit for n in neighbours if n.name is not None} | {own.name: own.id}

        await self._wait_for_neighbours(lambda: text in known())
        if text not in known():
            names = ", ".join(sorted(known())) or "none"
            raise Refused(
                f"no unit called {shown(text)} is known here", can=f"known names: {names}; or give its number"
            )
        return known()[text]

    async def _drop(self, arguments: Arguments, reply: Reply) -> None:
        picture = _picture(arguments)
        await self._told(lambda ticket: c.DropOwn(ticket, picture))
        await reply.row({"picture": str(picture), "state": "dropped"})

    async def _delete(self, arguments: Arguments, reply: Reply) -> None:
        picture = _picture(arguments)
        state = await self._told(lambda ticket: c.DeletePicture(ticket, picture))
        core = self.service.unit.core
        if state == "pending" and core.is_ours(picture):
            await reply.note(
                "it is deleted here and its holders are told; until another unit keeps a note of that, this is pending"
            )
        elif state == "pending":
            owner = core.owner_of(picture.unit)
            await reply.note(f"unit {owner}, which decides about it, is told; until it has answered this is pending")
        await reply.row({"picture": str(picture), "state": state})

    # ------------------------------------------------------------ questions

    async def _list(self, arguments: Arguments, reply: Reply) -> None:
        origin, since_s = arguments.get("unit"), _since(arguments)
        if isinstance(origin, str):
            origin = await self._unit_number(origin)
        elif origin is not None:
            origin = _unit_in_range(origin)
        after: PictureId | None = None
        while True:
            page = await self.service.ask(Page(origin, since_s, after, PAGE))
            assert isinstance(page, list)
            for entry in page:
                await reply.row(rows.list_row(entry, self.service.config.unit.id))
            if len(page) < PAGE:
                return
            after = page[-1].picture.id

    async def _whereis(self, arguments: Arguments, reply: Reply) -> None:
        picture = _picture(arguments)
        if not arguments.get("verify"):
            await reply.row(await self._whereis_row(picture))
            return
        verified = await self._told(lambda ticket: c.Verify(ticket, picture))
        assert isinstance(verified, c.Verified)
        await reply.note(f"proved now by: {', '.join(map(str, verified.proved)) or 'nobody'}")
        await reply.row(await self._whereis_row(picture) | {"proved_now": list(verified.proved)})
        if silent := sorted(set(verified.asked) - set(verified.proved)):
            raise Refused(
                f"no proof of picture {picture} came from unit {', '.join(map(str, silent))}",
                did="a copy whose proof was wrong is suspect now; one of a unit that is silent stays listed",
                can="ask again when that unit is heard; where the own file is gone and no question with a known answer "
                "is left, `get` makes new ones; or make another copy with `copy`",
            )

    async def _whereis_row(self, picture: PictureId) -> dict[str, object]:
        entry = await self.service.ask(LookUp(picture))
        if not isinstance(entry, Entry) or entry.deleted:
            raise rows.not_known(picture, entry if isinstance(entry, Entry) else None, self.service.config.unit.id)
        return rows.whereis_row(entry, self.service.config.unit.id)

    async def _explain(self, arguments: Arguments, reply: Reply) -> None:
        picture = _picture(arguments)
        decisions = await self.service.ask(Decisions(picture))
        assert isinstance(decisions, list)
        if not decisions:
            raise rows.nothing_decided(picture, self.service.config.unit.id)
        for decision in decisions:
            assert isinstance(decision, SaveDecision)
            await reply.row(rows.explain_row(picture, decision.text, decision.inputs))

    async def _push(self, arguments: Arguments, reply: Reply) -> None:
        """A roster, in as many requests as it takes: `roster` are its bytes from `at` on, of `whole_bytes`."""
        whole_bytes = _number(arguments, "whole_bytes", 1, MAX_ROSTER_BYTES)
        if arguments.get("at") == 0:
            self._pushed.clear()
        if arguments.get("at") != len(self._pushed):
            raise Refused("somebody else hands a roster over", did="this one was not taken", can="try again")
        self._pushed += _roster(arguments)
        if len(self._pushed) < whole_bytes:
            return
        encoded = bytes(self._pushed)
        self._pushed.clear()
        pushed = await self._told(lambda ticket: c.PushRoster(ticket, encoded))
        assert isinstance(pushed, c.Pushed)
        await reply.row({"epoch": pushed.epoch, "units": list(pushed.units)})

    async def _units(self, arguments: Arguments, reply: Reply) -> None:  # noqa: ARG002 - every verb's
        core = self.service.unit.core
        if self.service.temporary:
            await self._wait_for_neighbours(lambda: len(core.neighbours) and all(n.name for n in core.neighbours))
        now = self.service.clock.monotonic()
        for n in sorted((n for n in core.neighbours if n.proved), key=lambda n: n.unit):
            await reply.row(
                rows.unit_row(
                    n.unit,
                    name=n.name,
                    room_bytes=n.room_bytes,
                    last_heard_s=now - n.last_heard,
                    loss=None if n.estimate.rate_bps is None else n.estimate.loss,  # nothing was sent: not known
                    rate_bps=n.estimate.rate_bps,
                    rssi_dbm=n.rssi_dbm,
                )
            )

    async def _wait_for_neighbours(self, enough: Callable[[], object]) -> None:
        """A unit that is just up has yet to hear the others and to ask their names (DESIGN §9: up to 15 s)."""
        service = self.service
        async with service.news:
            while not enough():
                left_s = service.unit.core.started + FIRST_NEIGHBOUR_S - service.clock.monotonic()
                if left_s <= 0:
                    return
                try:
                    async with asyncio.timeout(left_s):
                        await service.news.wait()
                except TimeoutError:
                    return

    async def _status(self, arguments: Arguments, reply: Reply) -> None:  # noqa: ARG002 - every verb's
        rules = self.service.unit.core.settings.rules
        counted = await self.service.ask(Counts(rules.copies, rules.wanted(True)))
        assert isinstance(counted, Counted)
        await reply.row(status_row(self.service, counted))

    async def _log(self, arguments: Arguments, reply: Reply) -> None:
        journal, said = self.service.unit.core.journal, 0
        while True:
            for line in journal.after(said):
                said = line.number
                await reply.row(
                    {
                        "at": rows.rfc3339(line.at_s),
                        "event": line.event,
                        "picture": None if line.picture is None else str(line.picture),
                        "unit": line.unit,
                        "text": line.text,
                    }
                )
            if not arguments.get("follow"):
                return
            async with self.service.news:
                while journal.count <= said and not self.service.ending:
                    await self.service.news.wait()
            if self.service.ending:
                return

    async def _end(self, arguments: Arguments, reply: Reply) -> None:  # noqa: ARG002 - every verb's
        if not self.service.temporary:
            what = f"unit {self.service.config.unit.id} runs with this runtime_dir already"
            can = "stop it first, or give each unit a unit.runtime_dir of its own"
            raise Refused(what, did="nothing was changed", can=can)
        await reply.end()
        self.service.stop.set()


def _picture(arguments: Arguments) -> PictureId:
    return PictureId.parse(str(arguments.get("picture")))


def _roster(arguments: Arguments) -> bytes:
    try:
        return values.base64_bytes(arguments.get("roster"))
    except NotAllowed as error:
        raise WrongArgument(f"roster: {error.why}", can=error.allowed) from error


def _seconds(arguments: Arguments) -> float:
    value = arguments.get("timeout_s", 60.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:
        raise WrongArgument(f"timeout_s = {shown(value)}", can="seconds, more than 0 and at most a day")
    return float(value)


def _have_bytes(arguments: Arguments) -> int:
    value = arguments.get("have_bytes", 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PICTURE_BYTES:
        raise WrongArgument(f"have_bytes = {shown(value)}", can=f"bytes, 0 to {MAX_PICTURE_BYTES}")
    return value


def _have_sha256(arguments: Arguments) -> bytes | None:
    value = arguments.get("have_sha256")
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise WrongArgument(f"have_sha256 = {shown(value)}", can="64 hex digits, or null")
    return bytes.fromhex(value)


def _unit_in_range(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_UNIT:
        raise WrongArgument(f"unit {shown(value)}", can=f"a number of 1 to {MAX_UNIT}, or a name")
    return value


def _since(arguments: Arguments) -> float | None:
    value = arguments.get("since_s")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= FARTHEST_UNIX_S:
        raise WrongArgument(f"since_s = {shown(value)}", can="Unix seconds, or null")
    return float(value)


def _number(arguments: Arguments, name: str, default: int, most: int) -> int:
    value = arguments.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise WrongArgument(f"{name} = {shown(value)}", can=f"a number from 1 to {most}")
    return value
