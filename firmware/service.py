"""The one loop around a Unit: radio, timer, threads for card, catalogue and camera, control socket (DESIGN §3)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_args

from firmware import bad_starts
from firmware import commands as c
from firmware.answers import Answers
from firmware.bad_starts import Starts
from firmware.beginning import Beginning
from firmware.camera_thread import CameraThread
from firmware.catalogue import Catalogue, CatalogueDamaged
from firmware.config import Config
from firmware.control import Server, serve
from firmware.daily_load import DailyLoad, carried_bytes_per_day, daily_load, expected_picture_bytes, shots_per_day
from firmware.determine import Policy
from firmware.errors import Refused
from firmware.events import (
    Answer,
    CardRequest,
    CatalogueRequest,
    Request,
    SaveCalendar,
    TakePicture,
    WallClock,
)
from firmware.link import Link
from firmware.log_printer import LogPrinter
from firmware.panel import Panel
from firmware.port_reader import PortReader
from firmware.startup import Started
from firmware.status import faults
from firmware.unit import Unit
from firmware.watchdog import RadioLook, Waiting, is_camera_lost, stands_still
from firmware.worker import Worker, in_thread
from hal.board import Pins, make_camera, make_pins, make_radio
from hal.clock import SystemClock
from hal.errors import CardError
from hal.gpio import Gpio
from hal.interfaces import Card, Duplex, Protection, Radio, TimeQuality
from hal.memory import give_back
from hal.sampling import SamplingThread

CLOCK_EVERY_S = 60.0
"""Wall time is compared with the system's this often."""
END_TIMEOUT_S = 3.0
"""What is under way on the card may take so long at the end; DESIGN §9 allows 5 s in all."""
ANEW_PATIENCE_S = 60.0
"""Before it starts anew a unit waits for so long until commands that are under way have been answered. Guess."""
LONGEST_SLEEP_S = 3600.0

_CARD = get_args(CardRequest)
_CATALOGUE = get_args(CatalogueRequest)


class Service:
    """A Unit with its machine. Make it and call main() within a running loop's thread."""

    def __init__(
        self,
        config: Config,
        *,
        temporary: bool,
        supervised: bool = False,
        printer: LogPrinter | None = None,
        card: Card | None = None,
        gpio: Gpio | None = None,
    ) -> None:
        """supervised: somebody starts it anew whenever it ends, so bad starts are counted. printer: events go there
        too. card: in place of the directory that the config names. gpio: in place of the machine's library."""
        self.config = config
        self.temporary = temporary
        self.beginning = Beginning(config, temporary=temporary, supervised=supervised, card=card)
        self._given_card = card
        self._given_gpio = gpio
        self.clock = SystemClock()
        self.stop = asyncio.Event()
        self.card_problem: str | None = None  # of the place of the card, as long as the unit runs
        self.ending = False  # as soon as no command needs this unit
        self.starts_anew = False  # it ends to be started again
        self._may_start_anew = False  # whoever asked for something before has been answered
        self._has_begun = self._ended = False
        self.news = asyncio.Condition()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = float("-inf")  # the timer's time
        self._broken: BaseException | None = None
        self._printer = printer
        self._printed = 0
        self._ticket = 0
        self._told: dict[int, Callable[[c.Told], None]] = {}
        self._private = -1  # tokens of requests that are not the unit's: negative
        self._futures: dict[int, asyncio.Future[object]] = {}
        self._in_turn = False
        self._card_is_back = False  # the next life puts what waits in memory on it
        self._radio_look = RadioLook()

    # ------------------------------------------------------------ start and end

    async def main(self, ready: Callable[[], None]) -> None:
        """Be the unit until stop is set; ready() once the control socket answers. Raises what a start-up raises."""
        self._loop.set_exception_handler(self._escaped)
        await self._live(ready)
        if self._broken is not None:
            raise self._broken

    async def _live(self, ready: Callable[[], None]) -> None:
        stopped = self._loop.create_task(self.stop.wait())
        reading = in_thread("start-up", self.beginning.read_card)
        await asyncio.wait((reading, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            return  # told to end before the card was read: the next start takes up what had begun
        started, why = reading.result()
        opening = in_thread("radio", self._make_radio)
        await asyncio.wait((opening, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            self._end_catalogue(started.catalogue)
            return
        self.radio = opening.result()
        self._server = await self._start(started, why)
        ready()
        give_back()
        try:
            await stopped
        finally:
            await self._end(self._server)

    async def end_when_idle(self) -> None:
        """End once all commands that came, and come meanwhile, have been answered; who follows the log is let go."""
        self.ending = True
        await self._wake_followers()
        await self._server.idle()
        self.stop.set()

    async def _end_to_start_anew(self) -> None:
        """Once those that have asked for something are answered, and no shot is under way."""
        self.ending = True
        await self._wake_followers()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._server.idle(), ANEW_PATIENCE_S)
        self._may_start_anew = True
        self.turn()

    async def _start(self, started: Started, why: str) -> Server:
        """why: it is without its card, if it is."""
        config, loop = self.config, self._loop
        self._port = PortReader(self.radio, loop, self._listen, turn=self.turn, wake=self._wake)
        self.panel = Panel(self._make_pins(), config.shutter, self.clock.monotonic())
        self._begin(started, why)
        for problem in self.panel.problems:
            self.unit.core.log("pins", problem)
        for descriptor in self.panel.watched:
            loop.add_reader(descriptor, self._panel_moved)
        self._tell_where_the_card_is()
        driver = make_camera(
            config.camera.driver, folder=config.camera.folder, size=config.camera.size, quality=config.camera.quality
        )
        self.camera = CameraThread(driver, loop, answered=self._answered, news=self._camera_news, broken=self._break)
        self._has_begun = True
        self._read_clock()
        if (starts := self.beginning.starts) is not None:
            loop.call_later(starts.good_after_s, self._was_good, starts)
        if config.shutter.interval_s is not None and not self.temporary:
            loop.call_later(config.shutter.interval_s, self._interval)
        if (load := self.daily_load()) is not None:
            self.unit.core.log("camera", load.text)
        server = await serve(config.unit.socket_path, Answers(self).handle)
        self.turn()
        return server

    def _make_radio(self) -> Radio:
        """Takes seconds where an XBee module is slow."""
        radio = self.config.radio
        return make_radio(
            radio.driver,
            self.clock,
            port=radio.port,
            baud=radio.baud,
            duplex=radio.duplex,
            rtscts=radio.rtscts,
            network=radio.network,
            channel=radio.channel,
            pty_only=self.config.security.insecure,
        )

    def _make_pins(self) -> Pins:
        """None for a temporary unit: nobody stands before that one."""
        if self.temporary:
            return Pins()
        shutter = self.config.shutter
        return make_pins(
            SamplingThread(self.clock),
            button=shutter.button_pin,
            motion=shutter.motion_pin,
            tamper=shutter.tamper_pin,
            led=shutter.led_pin,
            directory=self.config.unit.runtime_dir,
            gpio=self._given_gpio,
        )

    def _tell_where_the_card_is(self) -> None:
        """Pictures in memory look safe until the power goes."""
        if why := self.beginning.in_memory:
            text = "its pictures are gone after a power cut, and the unit stores none of others there"
            self.card_problem = f"{why}: {text}; put card.path on a partition of its own"
            self.unit.core.log("alarm", self.card_problem)

    def _begin(self, started: Started, why: str) -> None:
        """The unit after its start-up, and the threads of its card and catalogue."""
        self._store, self._catalogue, memory, notices = started
        membership = self.beginning.membership(memory.roster)
        seal, overhears = self.beginning.seal(memory, membership), self.radio.duplex is Duplex.HALF
        link = Link(self.number, seal, self.radio.mtu_bytes, overhears=overhears)
        self.unit = Unit(
            self.beginning.settings(why),
            memory,
            link,
            random.SystemRandom(),  # nonces of proofs come from it: nobody may foretell the next from those before
            self.radio.line_bytes_per_s,
            self.radio.duplex,
            self.clock.monotonic(),
            membership,
        )
        for notice in notices:
            self.unit.core.log("alarm" if why and why in notice else "card", notice)
        if self.beginning.in_safe_mode:
            self.unit.core.log("alarm", f"{bad_starts.NOTICE}; {bad_starts.CAN}")
        self._card = self._worker("card", self._store.carry_out)
        self._catalogue_worker = self._worker("catalogue", self._catalogue.carry_out)

    def _leave_card(self) -> None:
        """The card has failed: a new unit goes on without, with the pictures that wait in memory, and whoever waits for
        them. The old threads may hang on that card for ever; nobody waits for them."""
        why = self.beginning.why_gone() or self.unit.core.card_failed
        presses, journal = self.unit.shutter.leave(), self.unit.core.journal
        all_priority = self.unit.shutter.all_priority
        for worker in (self._card, self._catalogue_worker):
            worker.end_soon()
        lost = CardError(f"the card has failed: {why}", can="ask again: the unit goes on without its card")
        for future in [future for future in self._futures.values() if not future.done()]:
            future.set_exception(lost)
        self._futures.clear()
        waited_for = {press.ticket for press in presses}
        for ticket, tell in list(self._told.items()):
            if ticket not in waited_for:
                tell(c.Told(ticket, c.Failed(Refused(lost.what, can=lost.can))))
        roster = self.unit.rosters.roster
        self.beginning.roster = b"" if roster is None else roster.encoded
        self._begin(self.beginning.without_card(why), why)
        for line in self.unit.core.journal.after(0):
            journal.add(line.at_s, line.event, line.text, line.picture, line.unit)
        self.unit.core.journal = journal  # whoever follows the log goes on
        unix_s, quality = self.clock.wall()
        self.unit.handle(WallClock(unix_s, quality), self.clock.monotonic())
        self.unit.shutter.all_priority = all_priority
        self.unit.shutter.take_over(presses)

    def _was_good(self, starts: Starts) -> None:
        """It has been up for long enough."""
        if self._ended:
            return
        noted = SaveCalendar(((bad_starts.COUNTER, starts.good),))
        self._catalogue_worker.submit(self._new_private(), noted)
        if starts.is_safe:
            self.unit.core.start_anew = "safe mode has lasted for long enough"
            self.unit.core.log("started", f"{self.unit.core.start_anew}: the unit starts anew")
            self.turn()

    def _worker(self, name: str, carry_out: Callable[..., object]) -> Worker:
        unit = self.unit

        def answered(answer: Answer) -> None:
            if unit is self.unit:  # what an old card's thread has come to is no answer any more
                self._answered(answer)

        return Worker(name, carry_out, self._loop, answered, self._break)

    async def _end(self, server: Server) -> None:
        await server.close()
        self._ended = True  # the process may go on with another one: nothing is done here any more
        if self._timer is not None:
            self._timer.cancel()
        self._port.end()
        for descriptor in self.panel.watched:
            self._loop.remove_reader(descriptor)
        self.panel.close()
        self.radio.close()
        workers = (self._card, self._catalogue_worker, self.camera)
        for worker in workers:
            worker.end_soon()
        deadline = self.clock.monotonic() + END_TIMEOUT_S
        self.camera.close()  # while card and catalogue end what they are at
        ended = [worker.wait(max(0.0, deadline - self.clock.monotonic())) for worker in workers]
        if all(ended[:2]):
            with suppress(CardError):  # at worst the last hour of operating time is lost
                self._catalogue.save_calendar(self.unit.operating_time.to_keep())
            self._end_catalogue(self._catalogue)

    def _end_catalogue(self, catalogue: Catalogue) -> None:
        with suppress(CardError):
            if (starts := self.beginning.starts) is not None and self._broken is None:
                catalogue.set_counters(bad_starts=self._bad_starts_at_the_end(starts))
        catalogue.close()

    def _bad_starts_at_the_end(self, starts: Starts) -> int:
        """A unit that was told to end was well; one that starts anew in its process goes on with the same start."""
        if not self.starts_anew:
            return 0
        return starts.good if starts.is_safe else starts.before

    def _break(self, error: BaseException) -> None:
        """A bug: end the unit with it, so that it is started anew."""
        self._broken = self._broken or error
        self.stop.set()

    def _escaped(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody has caught, in a callback or a command: a bug too, but where the system refuses a connection."""
        error = context.get("exception")
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self._break(error)
        else:
            loop.default_exception_handler(context)

    # ------------------------------------------------------------ the turn: after everything that happens

    def turn(self) -> None:
        """Let the unit act on what has happened: requests out, people told, packets sent, timer set."""
        if self._in_turn or self._ended:
            return
        self._in_turn = True
        try:
            self.radio.service()
            self._listen()
            self.panel.act(self.unit, self.clock.monotonic())
            self._act()
            if self.unit.core.card_failed and self.unit.shutter.may_be_left:
                self._leave_card()
                self._act()
            if (self.unit.core.start_anew or self.radio.is_outdated) and not self.temporary:
                self._start_anew()
            self._port.watch()
            if self.panel.has_led:
                self.panel.show(self.unit, fault=bool(faults(self)), now=self.clock.monotonic())
            self._arm()
            self.unit.radio_is(self.radio.problem, self.clock.monotonic())
            self._print_log()
        except Exception as error:  # noqa: BLE001 - a bug of ours: crash, restart, recover (STYLE 18)
            self._break(error)
        finally:
            self._in_turn = False

    def _start_anew(self) -> None:
        shutter = self.unit.shutter
        if not (shutter.is_idle or (self._card_is_back and shutter.is_waiting_for_hosts)):
            return  # pictures may wait in memory for weeks: until then all goes on as it is
        if not self.starts_anew:
            self.starts_anew = True
            self._ending = self._loop.create_task(self._end_to_start_anew())
        elif self._may_start_anew:
            self.stop.set()

    def _act(self) -> None:
        """What has become possible, and what that leads to; a tick does nothing where nothing has happened."""
        self.unit.tick(self.clock.monotonic())
        while self._hand_out():
            self.unit.tick(self.clock.monotonic())

    def _hand_out(self) -> bool:
        """True: something was heard meanwhile, or has led to requests, or to something that people are told."""
        heard = False
        for token, request in self.unit.requests():
            self._dispatch(token, request)
        for told in self.unit.told():
            tell = self._told.get(told.ticket)
            if tell is not None:
                tell(told)
        while self.radio.room > 0:
            if self.radio.duplex is Duplex.HALF:
                heard |= self._listen()
            parcel = self.unit.next_packet(self.clock.monotonic(), self.radio.heard_at)
            if parcel is None:
                break
            self.radio.send(parcel.packet, Protection.NONE, parcel.to)
        return heard or self.unit.has_more

    def _dispatch(self, token: int, request: Request) -> None:
        if isinstance(request, TakePicture):
            self.camera.ask(token, request)
        elif isinstance(request, _CARD):
            self._card.submit(token, request)
        else:
            assert isinstance(request, _CATALOGUE), request
            self._catalogue_worker.submit(token, request)

    def _answered(self, answer: Answer) -> None:
        if isinstance(answer.error, CatalogueDamaged):
            self._break(answer.error)  # HANDOVER §1: restart and rebuild; our sessions end with us
            return
        future = self._futures.pop(answer.token, None)
        if future is not None and not future.done():
            if answer.error is not None:
                future.set_exception(answer.error)
            else:
                future.set_result(answer.result)
        elif answer.token >= 0:
            self.unit.handle(answer, self.clock.monotonic())
            self.turn()

    def _listen(self) -> bool:
        """Take what has come; True if there were whole packets."""
        arrivals, now = self.radio.receive(), self.clock.monotonic()
        for arrival in arrivals:
            self.unit.packet(arrival, now)
        return bool(arrivals)

    def _panel_moved(self) -> None:
        self.panel.moved(self.unit)
        self.turn()

    def _arm(self) -> None:
        deadlines = self.unit.deadline(), self.radio.deadline(), self.panel.deadline()
        self._arm_for(min(at for at in deadlines if at is not None))

    def _wake(self, at: float) -> None:
        """Have a turn by then at the latest; called for each few bytes that come, so it looks at nothing else."""
        if at < self._armed_for:
            self._arm_for(at)

    def _arm_for(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = at
        delay = min(max(0.0, at - self.clock.monotonic()), LONGEST_SLEEP_S)
        self._timer = self._loop.call_later(delay, self.turn)

    def _print_log(self) -> None:
        """Events go to stderr, where the journal takes them, and to whoever follows the log."""
        journal = self.unit.core.journal
        if journal.count == self._printed:
            return
        if self._printer is not None:
            for line in journal.after(self._printed):
                self._printer.print(f"{line.event}: {line.text}")
        self._printed = journal.count
        self._loop.create_task(self._wake_followers())

    async def _wake_followers(self) -> None:
        async with self.news:
            self.news.notify_all()

    # ------------------------------------------------------------ camera, clock, interval

    def _camera_news(self, event: str, text: str) -> None:
        if not self._ended:
            self.unit.core.log(event, text)
            self.turn()

    def look_after(self) -> str | None:
        """To be called each few seconds: a camera that does not answer is declared failed. Which part of the machine
        does not get on, in words; empty: all do; None: the unit is not ready yet."""
        if self._ended:
            return ""
        if not self._has_begun:
            return None
        radio, now = self.radio, self.clock.monotonic()
        waiting = Waiting(
            card=self._card.busy_since,
            catalogue=self._catalogue_worker.busy_since,
            radio=self._radio_look.look(
                takes=radio.room > 0 or radio.problem is not None,
                waits_until=radio.deadline(),
                bytes_out=radio.counts.bytes_out,
                now=now,
            ),
            camera=self.camera.busy_since,
            camera_failed=self.camera.is_lost,
        )
        if is_camera_lost(waiting, now):
            self.camera.declare_lost()
        return stands_still(waiting, now)

    def _read_clock(self) -> None:
        if self._ended:
            return
        unix_s, quality = self.clock.wall()
        core, now = self.unit.core, self.clock.monotonic()
        told = core.wall_quality is TimeQuality.PEER and quality is TimeQuality.UNSET
        if not told:
            self.unit.handle(WallClock(unix_s, quality), now)
        self._see_whether_the_card_is_there()
        self._loop.call_later(CLOCK_EVERY_S, self._read_clock)

    def _see_whether_the_card_is_there(self) -> None:
        """One that was mounted may be so no more, and again."""
        core = self.unit.core
        if not core.settings.without_card:
            core.card_failed = core.card_failed or self.beginning.why_gone()
        elif self.beginning.card_is_back:
            self._card_is_back = True
            if not core.start_anew:
                core.start_anew = "the card is there now"
                core.log("started", f"{core.start_anew}: the unit starts anew")
        if core.card_failed or core.start_anew:
            self.turn()

    def daily_load(self) -> DailyLoad | None:
        """What the camera makes against what the link carries; None where there is none, or nobody can say yet."""
        config, core, shutter = self.config, self.unit.core, self.unit.shutter
        if "none" in (config.camera.driver, config.radio.driver) or core.settings.rules.policy is Policy.NEVER:
            return None
        seen_for_s = self.clock.monotonic() - core.started
        shots = shots_per_day(config.shutter.interval_s, seen=shutter.times.count, seen_for_s=seen_for_s)
        size = core.room.recent_bytes
        if not size and config.camera.driver != "folder":  # files of others have any size
            size = expected_picture_bytes(config.camera.size, config.camera.quality)
        if shots is None or not size:
            return None
        by_turns = self.radio.duplex is Duplex.HALF
        carried = carried_bytes_per_day(self.radio.line_bytes_per_s, by_turns=by_turns)
        return daily_load(shots=shots, picture_bytes=size, copies=core.settings.rules.copies, carried_bytes=carried)

    def _interval(self) -> None:
        if self._ended:
            return
        interval_s = self.config.shutter.interval_s
        assert interval_s is not None
        self._loop.call_later(interval_s, self._interval)
        self.command(c.Shoot(None))

    # ------------------------------------------------------------ for the control socket's commands

    def new_ticket(self, tell: Callable[[c.Told], None]) -> int:
        """A ticket; everything told about it goes to tell until drop_ticket()."""
        self._ticket += 1
        self._told[self._ticket] = tell
        return self._ticket

    def drop_ticket(self, ticket: int) -> None:
        """Nobody listens any more."""
        if self._told.pop(ticket, None) is not None:
            self.command(c.Cancel(ticket))

    @property
    def number(self) -> int:
        """Of the unit."""
        return self.config.unit.id

    @property
    def mute(self) -> str:
        """Why the unit sends nothing any more; empty: it does."""
        return self.unit.core.mute

    def command(self, command: c.Command) -> None:
        """Give the unit a command."""
        self.unit.command(command, self.clock.monotonic())
        self.turn()

    async def ask(self, request: CatalogueRequest) -> object:
        """One question to the catalogue, for a person."""
        token = self._new_private()
        future: asyncio.Future[object] = self._loop.create_future()
        self._futures[token] = future
        self._catalogue_worker.submit(token, request)
        return await future

    def _new_private(self) -> int:
        self._private -= 1
        return self._private
