"""From the shutter press to a durable picture: capture, wait for room, recipe, row (DESIGN §5, HANDOVER §1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from firmware import states
from firmware.core import Core
from firmware.dispersal import Dispersal, Dispersals
from firmware.errors import Refused
from firmware.events import KeepShot, TakePicture
from firmware.file_system import FileSystem
from firmware.neighbours import FIRST_NEIGHBOUR_S
from firmware.pictures import MAX_SEQUENCE, Entry, File, Picture, PictureId
from firmware.shot_times import ShotTimes
from firmware.steps import Step
from hal.errors import CardFull, DandelionError
from hal.interfaces import Occasion, Shot, TimeQuality
from hal.light_dataclass import dataclass

SHOTS_HELD = 2
"""Pictures held in memory while room is made (DESIGN §5)."""
CARD_TRIES = 3
"""A picture that the card does not take is tried so often; then the card has failed. One bad call is no dead card."""
CARD_AGAIN_S = 5.0
"""Between two of these tries: a card that resets itself takes a second or two. Guess."""
CAMERA_TRIES = 3
"""So many shots in a row without a picture, and the camera has failed: an alarm. The unit goes on, as a host too, and
each further press tries the camera again."""
PRESSES_WAITING = 8
"""Presses that may wait for the camera; beyond it they are refused. Guess: a finger on the button."""


@dataclass(slots=True, eq=False)
class Press:
    """One press of the shutter on its way to a durable picture."""

    ticket: int | None
    priority: bool
    dispersal: Dispersal
    pressed_at: float
    taken_at: float | None
    quality: TimeQuality
    shot: Shot | None = None
    on_card: Picture | None = None  # its file has its place; the row is still to be committed
    tries: int = 0  # that the card has failed
    again_at: float = 0.0  # not before this


class Shutter:
    """Takes pictures one after the other; holds at most two while room is made."""

    def __init__(self, core: Core, dispersals: Dispersals, file_system: FileSystem) -> None:
        self.core = core
        self._dispersals = dispersals
        self._file_system = file_system
        self._presses: deque[Press] = deque()
        self._capturing: Press | None = None
        self._held: deque[Press] = deque()
        self._keeping: Press | None = None
        self._unannounced: dict[PictureId, Press] = {}  # without a card: in memory, and at no host yet
        core.first_copy = self._has_copy
        self.may_make_room: Callable[[], bool] = lambda: False  # whether a file may be dropped for a shot that waits
        self.camera_trouble: str | None = None
        self._camera_failures = 0  # in a row
        self.times = ShotTimes()
        self.card_trouble: str | None = None  # why the last picture could not be put on the card
        self.all_priority = False  # every picture is taken as a priority picture
        self.taken = 0  # pictures announced since the start
        self.failed = 0  # presses that came to nothing
        self._ticked_at = core.now

    @property
    def waiting(self) -> int:
        """Pictures held in memory for want of room, or of a card."""
        return len(self._held) + len(self._unannounced)

    @property
    def camera_failed(self) -> bool:
        """Whether the camera is given up, though each press tries it again."""
        return self._camera_failures >= CAMERA_TRIES

    @property
    def is_idle(self) -> bool:
        """Whether no picture is being taken, kept, or waited for."""
        return not (self.waiting or self._presses or self._capturing or self._keeping)

    @property
    def is_waiting_for_hosts(self) -> bool:
        """Whether all that is waited for is that other units store what is in memory (without a card)."""
        is_stopped = self.waiting >= SHOTS_HELD  # a press meanwhile waits in front of the camera
        return not (self._held or self._capturing or self._keeping or (self._presses and not is_stopped))

    @property
    def wanted_bytes(self) -> int:
        """Room that the oldest held picture needs; 0 if none waits."""
        shot = self._held[0].shot if self._held else None
        return 0 if shot is None else shot.size_bytes

    def turn_priority(self) -> None:
        """Take all pictures as priority pictures from now on, or no more. A restart forgets it."""
        self.all_priority = not self.all_priority
        told = "every picture is a priority picture now" if self.all_priority else "pictures are ordinary ones again"
        self.core.log("priority", told)

    def press(self, ticket: int | None, priority: bool) -> None:
        """Take a picture now, or as soon as the camera is free."""
        if len(self._presses) >= PRESSES_WAITING:
            self._refuse(ticket, "the camera has not kept up with the last presses", "press again later")
            return
        if len(self._unannounced) >= SHOTS_HELD:
            what = f"the card cannot be used, and {SHOTS_HELD} pictures wait in memory until a host has stored them"
            self._refuse(ticket, what, "mount it, or replace it and start the unit again")
            return
        dispersal = Dispersal(None)
        states.dispersal.move(dispersal, "shutter")
        core, priority = self.core, priority or self.all_priority
        self._presses.append(Press(ticket, priority, dispersal, core.now, core.wall_s(), core.wall_quality))
        self._capture_next()

    def _capture_next(self) -> None:
        if self._capturing is not None or not self._presses:
            return
        if self.waiting >= SHOTS_HELD:
            return  # the next press waits in front of the camera until a held picture has found room
        press = self._presses.popleft()
        press.taken_at, press.quality = self.core.wall_s(), self.core.wall_quality
        self._capturing = press
        self.core.run(self._capture(press), on_error=lambda error: self._capture_failed(press, error))

    def _capture(self, press: Press) -> Step:
        shot = yield TakePicture(Occasion(self.core.unit, press.taken_at, press.quality))
        self._capturing = None
        if self.camera_failed:
            self.core.log("camera", "the camera takes pictures again")
        self.camera_trouble, self._camera_failures = None, 0
        press.shot = shot
        self.core.room.saw_picture(shot.size_bytes)
        self._held.append(press)
        self.core.changed = True
        self._file_system.look_now()
        self._keep_next()
        self._capture_next()

    def _capture_failed(self, press: Press, error: DandelionError) -> None:
        self._capturing = None
        self.failed += 1
        self.camera_trouble = str(error)
        self.core.log("captured_failed", f"no picture was taken: {'; '.join(filter(None, (error.what, error.can)))}")
        self._camera_failures += 1
        if self._camera_failures == CAMERA_TRIES:
            failed = f"the camera has failed {CAMERA_TRIES} times in a row: {error.what}"
            self.core.log("alarm", f"{failed}; the unit goes on without, and each shot tries it again")
        states.dispersal.move(press.dispersal, "failed")
        self.core.failed(press.ticket, Refused(error.what, did=error.did, can=error.can))
        self._capture_next()

    def _keep_next(self) -> None:
        """Put the oldest held picture on the card if there is room."""
        if self._keeping is not None or not self._held:
            return
        press, room = self._held[0], self.core.room
        assert press.shot is not None
        if self.core.now < press.again_at or self.core.card_failed:
            return
        if room.free_bytes + room.partial_bytes < press.shot.size_bytes or self.core.sequence >= MAX_SEQUENCE:
            return
        room.reserved_own[press] = press.shot.size_bytes
        self._keeping = press
        self.core.run(self._keep(press), on_error=lambda error: self._keep_failed(press, error))

    def _keep(self, press: Press) -> Step:
        core, shot = self.core, press.shot
        assert shot is not None
        picture = press.on_card
        if picture is None:
            yield from core.make_way()
            picture = yield KeepShot(self._new_picture(press, shot), shot)
            assert isinstance(picture, Picture)
            press.on_card = picture
        entry = Entry(picture, File.WHOLE, version=1)
        age_s = max(0, core.age_s - int(core.now - press.pressed_at))
        try:
            yield from core.save(picture, None, entry, sequence=core.sequence, age_s=age_s)
        except DandelionError:  # the COMMIT may be done all the same; the file is durable, whatever comes of the row
            if (yield from core.look_up(picture.id)) is None:
                raise
        self.card_trouble = None
        self._file_system.works()
        self._end(press)
        if core.settings.without_card:
            self._unannounced[picture.id] = press
        else:
            self.taken += 1
            self.times.add(core.now - press.pressed_at)
            core.log("shot", f"picture {picture.id} is taken and on the card", picture.id)
            core.done(press.ticket, picture)
        if not self._dispersals.busy_with(picture.id):
            self._dispersals.captured(press.dispersal, entry)
        else:  # it was found in the catalogue meanwhile
            states.dispersal.move(press.dispersal, "failed")
        self._capture_next()
        self._keep_next()

    def _has_copy(self, picture: Picture) -> None:
        """A host has stored it: without a card it is announced only now."""
        press = self._unannounced.pop(picture.id, None)
        if press is not None:
            self.taken += 1
            self.times.add(self.core.now - press.pressed_at)
            self.core.log("shot", f"picture {picture.id} is taken, and stored at another unit", picture.id)
            self.core.done(press.ticket, picture)
            self._capture_next()

    def _new_picture(self, press: Press, shot: Shot) -> Picture:
        """Under the next id; one that is not used is left out, never used again."""
        core = self.core
        core.sequence += 1
        pid = PictureId(core.unit, core.card, core.sequence)
        return Picture(pid, shot.size_bytes, shot.sha256, press.priority, press.taken_at, press.quality)

    def _keep_failed(self, press: Press, error: DandelionError) -> None:
        self._keeping = None
        self.core.room.reserved_own.pop(press, None)
        if isinstance(error, CardFull):
            press.tries = 0  # the card works; it waits for room
            self._file_system.full(error)
            return
        press.tries += 1
        self.card_trouble = f"a picture could not be put on the card: {error.what}"
        if press.tries < CARD_TRIES:
            press.again_at = self.core.now + CARD_AGAIN_S
            self.core.log("card", f"{self.card_trouble}; it is held in memory and tried again")
            return
        if self.core.settings.goes_on_without_card:
            self.core.card_failed = error.what
            self.core.log("alarm", f"{self.card_trouble}; the unit goes on without the card")
            return
        did = "the picture is lost; older pictures are untouched"
        if press.on_card is not None:
            did = f"its file, of picture {press.on_card.id}, is on the card; the next start takes it in"
        self.core.log("alarm", f"a picture could not be put on the card: {error}; {did}")
        self._give_up(press, Refused(error.what, did=did, can=error.can))

    @property
    def may_be_left(self) -> bool:
        """Whether every picture that was taken is among those that leave() gives."""
        return self._capturing is None and self._keeping is None

    def leave(self) -> list[Press]:
        """The pictures in memory, for the unit that goes on without the card."""
        held, self._held = list(self._held), deque()
        return held

    def take_over(self, presses: list[Press]) -> None:
        """What another life of this unit has left: kept in memory, under ids of this one."""
        for press in presses:
            assert press.shot is not None
            press.on_card, press.tries, press.again_at = None, 0, 0.0
            self.core.room.saw_picture(press.shot.size_bytes)
            self._held.append(press)
        self._keep_next()

    def _end(self, press: Press) -> None:
        """The press is settled: its room is counted elsewhere, its bytes are forgotten."""
        if self._keeping is press:
            self._keeping = None
        self.core.room.reserved_own.pop(press, None)
        if press in self._held:
            self._held.remove(press)
        if press.shot is not None:
            press.shot.close()

    def _give_up(self, press: Press, error: Refused) -> None:
        self._end(press)
        self.failed += 1
        if press.on_card is not None:
            self.core.room.stranded[press.on_card.id] = press.on_card.size_bytes
        states.dispersal.move(press.dispersal, "failed")
        self.core.failed(press.ticket, error)
        self._keep_next()  # what waits behind it may be smaller
        self._capture_next()

    def hopeless(self) -> bool:
        """No dispersal is under way, nothing can be dropped, and every unit known has refused or is silent."""
        core = self.core
        if any(True for _ in self._dispersals) or core.changed or core.unlinking:
            return False
        if self.may_make_room() or self._file_system.is_due:
            return False
        offering = core.neighbours.that_offer()
        if not offering:
            return core.now >= core.started + FIRST_NEIGHBOUR_S
        size = self.wanted_bytes
        return all(
            n.silent(core.now) or n.refused_until > core.now or not n.hosting or n.room_bytes < size for n in offering
        )

    def tick(self) -> None:
        """Room may have come; patience may have ended."""
        self._ticked_at = self.core.now
        if not (self._held or self._unannounced or self._presses):
            return
        self._keep_next()
        for press in list(self._held):
            if press is self._keeping or press.tries:
                continue
            if self.core.now >= press.pressed_at + self.core.settings.patience_s or self.hopeless():
                heard = len(self.core.neighbours)
                default = "the other units could not take a picture in time" if heard else "no other unit is heard"
                whys = (self._file_system.why, self._dispersals.deciding.idle_why or default)
                why = "; ".join(filter(None, whys))
                self.core.log("refused", f"a shot was refused: the card is full and {why}")
                self._give_up(
                    press,
                    Refused(
                        f"the card is full: {why}",
                        did="the picture was not kept; all older ones are safe",
                        can="make room at another unit, raise card.capacity, or delete pictures",
                    ),
                )
        self._tell_patience_ended()
        self._capture_next()

    def _tell_patience_ended(self) -> None:
        """Whoever waits for a host to store a picture is told; the picture goes on waiting for one."""
        for press in self._unannounced.values():
            if press.ticket is not None and self.core.now >= press.pressed_at + self.core.settings.patience_s:
                why = self._dispersals.deciding.idle_why or "no other unit has stored the picture yet"
                did = "the picture is in memory only, and is announced in the log when a unit has stored it"
                can = "leave the unit on, bring a unit with room near it, and change its card after that"
                self.core.failed(press.ticket, Refused(f"the card cannot be used, and {why}", did=did, can=can))
                press.ticket = None

    def deadline(self) -> float | None:
        """When patience ends."""
        if not (self._held or self._unannounced):
            return None
        patient = [*self._held, *(press for press in self._unannounced.values() if press.ticket is not None)]
        if not patient:
            return None
        times = [press.pressed_at + self.core.settings.patience_s for press in patient]
        times += [press.again_at for press in self._held]
        if not self.core.neighbours.that_offer():
            times.append(self.core.started + FIRST_NEIGHBOUR_S)
        return min((t for t in times if t > self._ticked_at), default=None)

    def _refuse(self, ticket: int | None, what: str, can: str) -> None:
        self.failed += 1
        self.core.log("refused", f"a shot was refused: {what}")
        self.core.failed(ticket, Refused(what, did="no picture was taken", can=can))
