"""The simulated fleet: configs, what the view shows of which answers, and children that never outlive their parent."""

from __future__ import annotations

import asyncio
import io
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from firmware import config
from firmware.control import Reply, serve
from firmware.errors import WrongArgument
from hal.errors import DandelionError
from hal.interfaces import Duplex
from sim import fleet
from sim.children import Child, Ending, end_all
from sim.fleet_config import Place, config_text, read_options
from sim.view import card_bar, megabytes, plain_line, render, save_svg, share_lines
from sim.visitors import VISIT_PICTURES, Visitors, choose_read_out, choose_visit
from sim.watch import (
    FleetEvent,
    FleetState,
    PictureState,
    Transfer,
    UnitState,
    Watch,
    merge_lists,
    read_status,
)

PATIENCE_S = 20.0  # a test that passes waits far less
A, B, C = "00001-3fa7-00000001", "00002-91c0-00000001", "00003-0b1e-00000001"


# --- configs and options ---------------------------------------------------------------------------------------


def test_the_config_of_a_unit_loads_and_says_what_was_asked_for(tmp_path: Path) -> None:
    options = read_options(["--baud", "921600", "--interval", "5", "--capacity", "2 MB", "--policy", "when-full"])
    place = Place(3, tmp_path / 'a "quoted" dir')
    place.directory.mkdir()
    place.config.write_text(config_text(place, options, port="/dev/pts/none", folder=tmp_path))
    loaded = config.load(place.config)
    assert (loaded.unit.id, loaded.unit.name) == (3, "unit-3")
    assert loaded.unit.socket_path == place.socket
    assert (loaded.card.path, loaded.card.capacity_bytes) == (place.card, 2_000_000)
    assert (loaded.camera.driver, loaded.camera.folder) == ("folder", tmp_path)
    assert loaded.shutter.interval_s == pytest.approx(6.0)  # two tenths more than unit 1's
    assert (loaded.radio.port, loaded.radio.baud) == ("/dev/pts/none", 921_600)
    assert loaded.dispersal.policy == "when-full"
    assert (loaded.security.credential, loaded.security.insecure) == (place.credential, False)


def test_a_half_duplex_channel_is_told_to_the_units_who_shoot_the_more_seldom_the_more_there_are(
    tmp_path: Path,
) -> None:
    place = Place(1, tmp_path)
    for argv, duplex, interval_s in [([], Duplex.FULL, 8.0), (["--half-duplex", "--units", "5"], Duplex.HALF, 40.0)]:
        place.config.write_text(config_text(place, read_options(argv), port="/dev/pts/none", folder=tmp_path))
        loaded = config.load(place.config)
        assert (loaded.radio.duplex, loaded.shutter.interval_s) == (duplex, interval_s)


@pytest.mark.parametrize(
    "argv",
    [
        ["--units", "1"],
        ["--units", "17"],
        ["--loss", "1.5"],
        ["--baud", "x"],
        ["--capacity", "2 MiB"],
        ["--policy", "?"],
    ],
)
def test_options_that_cannot_be_end_with_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        read_options(argv)
    assert leaving.value.code == 2
    assert argv[0] in capsys.readouterr().err


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongArgument, match=str(tmp_path)):
        fleet.main(["--folder", str(tmp_path)])


def test_a_unit_that_ends_at_its_start_ends_the_fleet_with_the_units_words(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(b"no JPEG")
    where = tmp_path / "fleet"
    where.mkdir()
    (where / "unit-1").mkdir()
    (where / "unit-1" / "run").write_text("a file where the runtime directory should be")
    with pytest.raises(DandelionError, match=r"at its start unit-1 has ended with status 1: .*; "):
        fleet.main(["--folder", str(tmp_path), "--dir", str(where), "--units", "2"])


# --- what units answer -----------------------------------------------------------------------------------------

STATUS: dict[str, object] = {
    "unit": 1,
    "name": "unit-1",
    "capacity_bytes": 3_000_000,
    "own_bytes": 1_500_000,
    "cache_bytes": 300_000,
    "held_bytes": 600_000,
    "reserved_bytes": 150_000,
    "full": True,
    "why": "unit 2 has no room",
    "pictures": {"own": 7, "held": 3, "lacking": 2},
    "radio": {"driver": "serial", "port": "/dev/pts/9", "problem": None, "bytes_in": 10_000, "bytes_out": 46_080},
    "transfers": [{"picture": A, "unit": 2, "direction": "out", "done_bytes": 50_000, "total_bytes": 200_000}],
    "problems": ["the clock is not set"],
}


def own_row(picture: str, *, local: bool = True, **copies: str) -> dict[str, object]:
    """A row of `list`; copies: u2="verified" for unit 2."""
    told = [{"unit": int(unit[1:]), "state": state, "verified_at": None} for unit, state in copies.items()]
    return {"picture": picture, "origin": int(picture[:5]), "size_bytes": 210_000, "local": local, "copies": told}


def test_status_becomes_what_is_shown_and_rates_come_from_the_difference() -> None:
    before = UnitState(1, "unit-1", answering=True, sent_bytes=23_040, heard_bytes=10_000)
    after = read_status(before, STATUS, 0.5)
    assert after.sent_bps == pytest.approx(46_080)
    assert after.heard_bps == 0
    assert after.transfers == (Transfer(A, 2, True, 50_000, 200_000),)
    assert (after.own, after.held, after.lacking) == (7, 3, 2)
    assert after.answering
    assert after.problems == ("the clock is not set",)


def test_a_restarted_unit_counts_from_zero_without_a_negative_rate() -> None:
    before = UnitState(1, "unit-1", sent_bytes=99_999_999, heard_bytes=5)
    assert read_status(before, STATUS, 0.5).sent_bps == 0


def test_a_status_with_nothing_in_it_is_shown_as_zeros() -> None:
    assert read_status(UnitState(1, "unit-1"), {}, 1.0) == UnitState(1, "unit-1", answering=True)


def test_lists_of_all_units_together_say_who_has_a_picture() -> None:
    lists = {
        2: [own_row(A, u2="pending"), own_row(B)],
        1: [own_row(A, u2="verified", u3="suspect")],
        3: [own_row(C, local=False, u1="verified")],
    }
    merged = merge_lists(lists)
    assert merged[A].holders == {1: "own", 2: "verified", 3: "suspect"}  # the origin knows better than the holder
    assert merged[B].holders == {2: "own"}
    assert merged[C].holders == {1: "verified"}  # its own file has been dropped
    assert merge_lists(dict(reversed(lists.items()))) == merged


def units(*numbers: int) -> tuple[UnitState, ...]:
    return tuple(UnitState(number, f"unit-{number}", answering=True) for number in numbers)


def test_a_read_out_is_of_a_picture_that_the_asker_lacks() -> None:
    shown = (PictureState(B, 2, 1, {2: "own"}), PictureState(A, 1, 1, {1: "own", 2: "verified"}))
    state = FleetState("", 0.0, 1.0, units(1, 2, 3), shown)
    assert choose_read_out(state, 0) == (3, A)


def test_a_read_out_in_a_pair_is_asked_for_at_the_holder() -> None:
    state = FleetState("", 0.0, 1.0, units(1, 2), (PictureState(A, 1, 1, {1: "own", 2: "verified"}),))
    assert choose_read_out(state, 5) == (2, A)


def test_no_read_out_before_something_is_stored() -> None:
    assert choose_read_out(FleetState("", 0.0, 1.0, units(1, 2), (PictureState(A, 1, 1, {1: "own"}),)), 0) is None


def test_a_visit_is_to_a_full_unit_and_about_its_oldest_pictures() -> None:
    shown = tuple(PictureState(f"00002-91c0-{number:08}", 2, 1, {2: "own"}) for number in range(20, 0, -1))
    there, full = units(1, 2, 3)[0], UnitState(2, "unit-2", answering=True, full=True)
    assert choose_visit(FleetState("", 0.0, 1.0, (there, full), (PictureState(A, 1, 1, {1: "own"}), *shown)), 4) == (
        2,
        tuple(f"00002-91c0-{number:08}" for number in range(1, VISIT_PICTURES + 1)),
    )


def test_nobody_visits_a_unit_with_room_or_without_pictures_or_that_does_not_answer() -> None:
    own = (PictureState(A, 1, 1, {1: "own"}),)
    full = UnitState(1, "unit-1", answering=True, full=True)
    assert choose_visit(FleetState("", 0.0, 1.0, units(1), own), 4) is None
    assert choose_visit(FleetState("", 0.0, 1.0, (full,)), 4) is None
    assert choose_visit(FleetState("", 0.0, 1.0, (replace(full, answering=False),), own), 4) is None


def test_where_many_pictures_wait_somebody_comes_by_too_but_a_full_card_is_first() -> None:
    waits = replace(units(1)[0], lacking=4)
    own = (PictureState(A, 1, 1, {1: "own"}), PictureState(B, 2, 1, {2: "own"}))
    assert choose_visit(FleetState("", 0.0, 1.0, (waits,), own), 4) == (1, (A,))
    assert choose_visit(FleetState("", 0.0, 1.0, (waits,), own), 5) is None
    full = UnitState(2, "unit-2", answering=True, full=True)
    assert choose_visit(FleetState("", 0.0, 1.0, (waits, full), own), 4) == (2, (B,))


def test_an_errand_ends_at_the_first_command_that_fails(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    visitors = Visitors([Place(1, tmp_path)], tmp_path, lambda text, event: said.append((text, event)), backlog=4)
    state = FleetState("", 0.0, 1.0, ())
    visitors.turn(state)  # begins the first errand; there is no such config
    assert visitors._child is not None
    visitors._errand.commands.append(["delete", A])  # type: ignore[union-attr]
    ended = os.pidfd_open(visitors._child.pid)
    assert readable(ended)
    os.close(ended)
    visitors.turn(state)
    assert [event for _, event in said] == ["fleet", "alarm"]
    assert visitors._errand is None


# --- the view --------------------------------------------------------------------------------------------------


def a_state() -> FleetState:
    one = read_status(UnitState(1, "unit-1", sent_bytes=23_040), STATUS, 1.0)
    return FleetState(
        title="2 units on one shared line",
        at_s=42.3,
        line_bytes_per_s=46_080,
        units=(one, UnitState(2, "unit-2")),
        pictures=(PictureState(A, 1, 210_000, {1: "own", 2: "verified"}), PictureState(B, 2, 190_000, {})),
        events=tuple(FleetEvent(float(n), 1, "stored", f"picture {A} stored at unit {n}") for n in range(20)),
        footer=("dandelion get --config unit-2.toml",),
    )


def screen(state: FleetState, *, columns: int = 112, lines: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=columns, height=lines)
    with console.capture() as capture:
        console.print(render(state, lines=lines, columns=columns))
    return capture.get().splitlines()


def test_the_view_shows_cards_line_transfers_pictures_events_and_the_command() -> None:
    text = "\n".join(screen(a_state()))
    for shown in (
        "Dandelion 42 s  2 units on one shared line",
        "2.25 MB of 3.00 MB",
        "23.0 kB/s",
        "50% of line",
        f"→ unit 2 ━━━─────────  25% {A}",
        "unit-1: the clock is not set",
        f"{A}    210 kB  unit-1 own   unit-2 verified",
        f"{B}    190 kB  nobody has it",
        f"19.0 s  unit-1  picture {A} stored at unit 19",
        "dandelion get --config unit-2.toml",
    ):
        assert shown in text


def test_a_unit_with_pictures_that_wait_says_why_unless_something_is_under_way() -> None:
    waiting = UnitState(1, "unit-1", answering=True, lacking=2, why="no unit heard has room for it")
    moving = replace(waiting, transfers=(Transfer(A, 2, True, 1, 2),))
    shown = "unit-1: no unit heard has room for it"
    assert shown in screen(replace(a_state(), units=(waiting,)))
    assert shown not in screen(replace(a_state(), units=(moving,)))


def test_a_unit_that_does_not_answer_is_shown_as_such() -> None:
    assert any(line.startswith("unit-2") and "not answering" in line for line in screen(a_state()))


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (112, 40), (200, 60)])
def test_the_view_fits_its_terminal(columns: int, lines: int) -> None:
    command = f"  .venv/bin/dandelion get {A} -o /tmp --config /tmp/dandelion-x1y2z3/unit-3.toml"
    footer = ("To read a picture out at unit-3, in another terminal:", command)
    shown = screen(
        replace(a_state(), title="3 units on one " + 9 * "long " + "line", footer=footer), columns=columns, lines=lines
    )
    assert len(shown) <= lines
    assert max(map(len, shown)) <= columns
    assert "".join(shown[-2:]).replace(" ", "").endswith(command.replace(" ", ""))  # folded, not cut


def test_a_low_terminal_has_three_pictures_and_three_events() -> None:
    assert share_lines(0) == (3, 3)
    assert share_lines(100) == (10, 8)


def test_the_cards_bar_is_as_long_as_asked_and_divided_as_the_card() -> None:
    unit = UnitState(1, "", True, 1000, own_bytes=500, cache_bytes=200, held_bytes=250, reserved_bytes=50)
    assert card_bar(unit, 20).plain == "██████▓▓▓▓▒▒▒▒▒+····"


def test_the_cards_bar_of_a_card_nobody_knows_is_empty() -> None:
    assert set(card_bar(UnitState(1, ""), 20).plain) <= {"·"}


def test_sizes_are_powers_of_1000() -> None:
    assert (megabytes(1_500_000), megabytes(999)) == ("1.50 MB", "1 kB")


@pytest.mark.parametrize("word", ["requested", "accepted", "stored", "delivered"])
def test_a_plain_line_has_the_events_word(word: str) -> None:
    told = plain_line(FleetEvent(3.14, 2, word, f"picture {A} of unit 1"), {2: "unit-2"})
    assert told == f"   3.1 s  unit-2  {word}: picture {A} of unit 1"
    assert plain_line(FleetEvent(3.0, 2, word, f"picture {word}"), {2: "unit-2"}).count(word) == 1


def test_the_view_can_be_saved_as_a_picture(tmp_path: Path) -> None:
    save_svg(a_state(), tmp_path / "fleet.svg")
    text = (tmp_path / "fleet.svg").read_text()
    assert text.startswith("<svg")
    assert "unit-1" in text
    assert "url(http" not in text  # nothing is loaded over the network


# --- following units -------------------------------------------------------------------------------------------


class Speaker:
    """A control socket on a loop of its own, that answers as a unit with one picture and one event would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked_again = threading.Event()  # status, for the second time: the first answers have been read
        self._asked = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        server = await serve(self.path, self._answer)
        self._ready.set()
        await self._done.wait()
        await server.close()

    async def _answer(self, request: dict[str, object], reply: Reply) -> None:
        match request["verb"]:
            case "status":
                self._asked += 1
                if self._asked == 2:
                    self.asked_again.set()
                await reply.row(STATUS)
            case "list":
                await reply.row(own_row(A, u2="verified"))
            case "log":
                await reply.row({"event": "stored", "text": f"picture {A} stored at unit 2"})
                await asyncio.Event().wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(PATIENCE_S)


@pytest.fixture
def speaker(tmp_path: Path) -> Iterator[Speaker]:
    made = Speaker(tmp_path / "control.sock")
    yield made
    made.close()


def test_the_watch_learns_status_pictures_and_events_over_the_socket(speaker: Speaker, tmp_path: Path) -> None:
    sockets = {1: ("unit-1", speaker.path), 2: ("unit-2", tmp_path / "nobody.sock")}
    watch = Watch(sockets, title="", line_bytes_per_s=1.0)
    watch.start()
    assert speaker.asked_again.wait(PATIENCE_S)
    events: list[FleetEvent] = []
    while not events:
        events = watch.events()
    watch.stop()
    state = watch.state()
    assert (events[0].unit, events[0].event) == (1, "stored")
    assert state.pictures == (PictureState(A, 1, 210_000, {1: "own", 2: "verified"}),)
    assert [unit.answering for unit in state.units] == [True, False]


# --- children --------------------------------------------------------------------------------------------------


def readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], PATIENCE_S)[0])


def listen(path: Path) -> int:
    """A descriptor that can be read once somebody has written to path."""
    os.mkfifo(path)
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    heard = listen(tmp_path / "said")
    code = (
        "import sys, signal; from pathlib import Path; from sim.children import Child;"
        "pause = [sys.executable, '-c', 'import signal; print(1, flush=True); signal.pause()'];"
        f"child = Child(pause, said=Path({str(tmp_path / 'said')!r}));"
        "print(child._process.pid, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        assert readable(heard)  # the child has become its command
        parent.kill()
    assert readable(child)
    os.close(child)
    os.close(heard)


def test_a_child_whose_parent_was_gone_at_once_never_becomes_the_command(tmp_path: Path) -> None:
    child = Child([sys.executable, "-c", "print('began')"], said=tmp_path / "said")
    arguments = list(child._process.args)  # type: ignore[arg-type]
    child.end(float("inf"))
    arguments[5] = "1"  # the number of its parent
    assert subprocess.run(arguments, capture_output=True, check=True).stdout == b""
    assert child.last_words() == "began"


@pytest.mark.parametrize(
    ("number", "ending"),
    [(signal.SIGKILL, "Killed)"), (signal.SIGABRT, "Aborted): a shot"), (35, "Real-time signal 1): a shot")],
)
def test_what_others_have_ended_had_no_last_words(tmp_path: Path, number: int, ending: str) -> None:
    says = f"import os; print('a shot', flush=True); os.kill(os.getpid(), {number})"
    child = Child([sys.executable, "-c", says], said=tmp_path / "said")
    child.end(float("inf"))
    assert (child.last_words(), child.ending()) == ("a shot", f"has ended by a signal ({ending}")


def test_an_error_is_told_with_all_its_clauses(tmp_path: Path) -> None:
    says = "print('a shot\\ndandelion: it is wrong\\n  it went on\\n  mend it\\n'); raise SystemExit(3)"
    child = Child([sys.executable, "-c", says], said=tmp_path / "said")
    child.end(float("inf"))
    assert child.ending() == "has ended with status 3: dandelion: it is wrong; it went on; mend it"


def test_a_child_that_does_not_listen_to_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    heard = listen(tmp_path / "said")
    child = Child([sys.executable, "-c", deaf], said=tmp_path / "said")
    assert readable(heard)
    assert os.read(heard, 100).startswith(b"deaf")
    os.close(heard)
    child.ask_to_end()
    child.end(0.0)
    assert child.status() == -signal.SIGKILL


def test_all_children_end_at_sigterm(tmp_path: Path) -> None:
    code = "import signal; signal.pause()"
    waiting = [Child([sys.executable, "-c", code], said=tmp_path / str(number)) for number in range(2)]
    end_all(waiting)
    assert [child.status() for child in waiting] == [-signal.SIGTERM, -signal.SIGTERM]


@pytest.mark.parametrize("number", Ending.SIGNALS)
def test_a_signal_cuts_a_wait_short_and_the_old_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Ending() as ending:
        signal.raise_signal(number)
        assert ending.wait(PATIENCE_S)
        assert ending.asked
    assert signal.getsignal(number) is before
