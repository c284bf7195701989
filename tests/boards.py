"""Boards with all parts of read-out on a line made of memory, in virtual time: one of them, or several together.

Messages are really encoded and decoded; the line takes its time, and loses what it is told to lose. Card and catalogue
are the real Store and Catalogue on a simulated card and in memory; they answer at once.
"""

import dataclasses
import hashlib
import heapq
import random

from firmware import commands as c
from firmware import messages as m
from firmware.catalogue import Catalogue
from firmware.core import Core, Settings
from firmware.determine import Rules
from firmware.events import Answer, CardRequest, LookUp, Memory, Save
from firmware.handles import CopyHandles
from firmware.layout import preview_path
from firmware.pictures import EVERYONE, Copy, Entry, File, Picture, PictureId
from firmware.questions import Questions
from firmware.readout import ReadOuts
from firmware.relays import Relays
from firmware.serving import Serving
from firmware.store import Store
from hal.errors import DandelionError
from sim.card import SimCard

START_S = 1000.0
LINE_BYTES_PER_S = 11_520.0
DELAY_S = 0.002
LONGEST_PART_BYTES, OVERHEAD_BYTES = 4000, 30
CARD_NUMBER = 0x3FA7
CAPACITY_BYTES = 10_000_000


class Board:
    """Core, ReadOuts, Serving, Questions and Relays of one unit, with a card of its own."""

    def __init__(self, unit):
        self.unit = unit
        self.store = Store(SimCard(), unit)
        self.catalogue = Catalogue(":memory:", unit)
        self.line_free_at = START_S
        self.told = {}  # what each ticket was told
        self.said = []  # (destination, message), all that went to the line
        self.boot = 0
        self.reads = True  # whoever asks takes at once what is told
        self.named = {}  # picture id -> units that the origin's record names here
        self.start(START_S)

    def start(self, now):
        """As after a power cut: card and catalogue stay, nothing else."""
        self.boot += 1
        settings = Settings(self.unit, f"unit-{self.unit}", Rules(), CAPACITY_BYTES, 0.5, 120.0)
        memory = Memory(self.boot, CARD_NUMBER, 0, 1, 0, 0, 0, 0, 0, new_catalogue=False)
        self.core = Core(settings, memory, random.Random(self.unit), LINE_BYTES_PER_S, now)
        self.read_outs = ReadOuts(self.core)
        handles = CopyHandles()
        self.serving = Serving(self.core, handles)
        self.questions = Questions(self.core)
        self.relays = Relays(self.core, self.questions, handles)
        self.handlers = {
            m.Where: lambda source, where: self.questions.on_where(source, where, 0.0),
            m.Get: self.serving.on_get,
            m.Report: self.serving.on_report,
            m.Expired: self.serving.on_expired,
            m.At: self.read_outs.on_at,
            m.Unknown: self.read_outs.on_unknown,
            m.Copy: self.read_outs.on_copy,
            m.RefuseGet: self.read_outs.on_refuse_get,
            m.Part: self.read_outs.on_part,
            m.End: self.read_outs.on_end,
            m.Damaged: ignore,
        }

    # ------------------------------------------------------------ what is on the card

    def put(self, picture, data, *, copies=(), **fields):
        """An own picture, or one held for another unit; data None: only the row. copies: units that the list names."""
        own = picture.id.unit == self.unit
        file = File.GONE if data is None else File.WHOLE
        listed = tuple(Copy(unit, listed=1) for unit in copies)
        entry = Entry(picture, file, attempt=None if own else 1, copies=listed, **fields)
        if data is not None:
            self.write_file(self.store.path(picture), data)
        self.catalogue.save(Save(entries=(entry,)))
        return entry

    def put_preview(self, picture, data):
        self.write_file(preview_path(picture.id), data)

    def write_file(self, path, data):
        card = self.store.card
        card.make_directory(path.rpartition("/")[0])
        file = card.create(path, len(data))
        file.write(0, data)
        file.sync()
        file.close()

    def entry(self, picture):
        return self.catalogue.carry_out(LookUp(picture.id))

    # ------------------------------------------------------------ what the shell does

    def heard(self, *units):
        for unit in units:
            self.core.neighbours.heard(unit, self.core.now, new_boot=True, proved=True)

    def get(self, picture, ticket=1, *, preview=False, timeout_s=60.0, have_bytes=0, have_sha256=None):
        self.read_outs.get(c.Get(ticket, picture.id, preview, timeout_s, have_bytes, have_sha256))

    def work(self, now):
        """Time has passed, or something was handled."""
        self.core.now = now
        self.answer()
        for part in (self.read_outs, self.serving, self.questions, self.relays):
            part.tick()
        for outgoing in self.serving.outgoing():
            outgoing.tick()
        self.answer()

    def answer(self):
        requests = self.core.steps.requests
        while requests or self.core.told:
            self.tell()
            if not requests:
                break
            token, request = requests.popleft()
            try:
                answer = Answer(token, self.carry_out(request))
            except DandelionError as error:
                answer = Answer(token, error=error)
            self.core.steps.answer(answer)
        self.tell()

    def carry_out(self, request):
        place = self.store if isinstance(request, CardRequest) else self.catalogue
        result = place.carry_out(request)
        if isinstance(result, Entry):
            return dataclasses.replace(result, named=self.named.get(result.picture.id, ()))
        return result

    def tell(self):
        while self.core.told:
            told = self.core.told.popleft()
            self.told.setdefault(told.ticket, []).append(told.what)
            if isinstance(told.what, c.Data) and self.reads:
                self.take(told.ticket, len(told.what.data))

    def take(self, ticket, size_bytes):
        """The person's program has read so much."""
        self.read_outs.took(ticket, size_bytes)

    def next_message(self):
        """(destination, message) for the line."""
        if self.core.outbox:
            return self.core.outbox.popleft()
        for outgoing in self.serving.outgoing():
            message = outgoing.next_message(LONGEST_PART_BYTES, OVERHEAD_BYTES)
            self.answer()
            if message is None:
                message = outgoing.next_message(LONGEST_PART_BYTES, OVERHEAD_BYTES)
            if message is not None:
                return outgoing.unit, message
        return None

    def deadline(self):
        times = [part.deadline() for part in (self.read_outs, self.serving, self.questions, self.relays)]
        times += [outgoing.deadline() for outgoing in self.serving.outgoing()]
        return min((t for t in times if t is not None), default=None)

    # ------------------------------------------------------------ what came of it

    def data(self, ticket=1, had=b""):
        """The bytes, had before that included; they must have come in order, each Found says where it goes on."""
        data = had
        for what in self.told.get(ticket, []):
            if isinstance(what, c.Found):
                assert what.offset <= len(data)
                data = data[: what.offset]
            elif isinstance(what, c.Data):
                assert what.offset == len(data)
                data += what.data
        return data

    def founds(self, ticket=1):
        return [what for what in self.told.get(ticket, []) if isinstance(what, c.Found)]

    def ended(self, ticket=1):
        """Done or Failed, None before."""
        last = self.told.get(ticket, [None])[-1]
        return last if isinstance(last, c.Done | c.Failed) else None

    def failure(self, ticket=1):
        ended = self.ended(ticket)
        assert isinstance(ended, c.Failed), ended
        return str(ended.error)

    def logged(self, event):
        return [line.text for line in self.core.journal.after(0) if line.event == event]

    def sent(self, kind):
        return [message for _, message in self.said if isinstance(message, kind)]


def a_picture(unit=1, sequence=1, size_bytes=50_000, seed=7):
    """A picture and its bytes, different for each seed."""
    data = random.Random(seed).randbytes(size_bytes)
    picture = Picture(PictureId(unit, CARD_NUMBER, sequence), size_bytes, hashlib.sha256(data).digest())
    return picture, data


def ignore(*_):
    """A message that the origin's other parts take."""


class World:
    """Boards that all hear one another. loss: share of messages lost. dead: units of whose messages none arrives."""

    def __init__(self, *units, loss=0.0, seed=1):
        self.now = START_S
        self.boards = {unit: Board(unit) for unit in units}
        self.loss = loss
        self.dead = set()
        self.to_lose = []  # the next messages of these kinds are lost, too
        self._rng = random.Random(seed)
        self._air = []
        self._count = 0
        for board in self.boards.values():
            board.heard(*(unit for unit in units if unit != board.unit))

    def run(self, until, within_s):
        """Go on until that holds; an error if it does not within so many seconds."""
        end = self.now + within_s
        while True:
            self._send()
            if until():
                return
            self._pass(end)
            assert self.now < end, f"not within {within_s} s"

    def run_for(self, seconds):
        """So much time passes."""
        end = self.now + seconds
        self._send()
        while self.now < end:
            self._pass(end)
            self._send()

    def get(self, unit, picture, ticket=1, *, within_s=120.0, **options):
        """The whole command, up to Done or Failed."""
        board = self.boards[unit]
        board.core.now = self.now
        board.get(picture, ticket, **options)
        self.run(lambda: board.ended(ticket) is not None, within_s)
        return board

    def restart(self, unit):
        """A power cut and a start; the others notice at its first packet, which comes at once."""
        board = self.boards[unit]
        board.start(self.now)
        board.heard(*(other for other in self.boards if other != unit))
        for other in self.boards.values():
            if other is not board:
                other.core.now = self.now
                other.read_outs.new_boot(unit)
                other.serving.new_boot(unit)

    def _send(self):
        """Whatever any board has to say now goes to its line, as the line takes it."""
        for board in self.boards.values():
            board.work(self.now)
            while board.line_free_at <= self.now:
                said = board.next_message()
                if said is None:
                    break
                board.said.append(said)
                self._put(board, *said)
                board.work(self.now)

    def _put(self, board, destination, message):
        body = message.encode()
        board.line_free_at = self.now + (len(body) + OVERHEAD_BYTES) / LINE_BYTES_PER_S
        for unit in self.boards:
            to_it = destination == unit or (destination == EVERYONE and unit != board.unit)
            if to_it and not self._is_lost(board.unit, message):
                self._count += 1
                arrival = (board.line_free_at + DELAY_S, self._count, board.unit, unit, message.KIND, body)
                heapq.heappush(self._air, arrival)

    def _is_lost(self, source, message):
        if type(message) in self.to_lose:
            self.to_lose.remove(type(message))
            return True
        return source in self.dead or self._rng.random() < self.loss

    def _pass(self, end):
        """On to the next moment at which something happens."""
        times = [at for board in self.boards.values() if (at := board.deadline()) is not None]
        times += [board.line_free_at for board in self.boards.values() if board.line_free_at > self.now]
        times += [self._air[0][0]] if self._air else []
        assert min(times, default=end) > self.now, "a deadline that never passes"
        self.now = min([end, *times])
        while self._air and self._air[0][0] <= self.now:
            _, _, source, destination, kind, body = heapq.heappop(self._air)
            board = self.boards[destination]
            board.core.now = self.now
            board.core.neighbours.heard(source, self.now, new_boot=False, proved=True)
            message = m.decode(kind, body)
            board.handlers[type(message)](source, message)
            board.work(self.now)
