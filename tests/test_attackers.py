"""What each attacker can do, and what it cannot (HANDOVER §5). For members that lie and swallow see test_worst.py, for
those that flood test_quotas.py; for one seal at a time test_sessions.py."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from rig_scene import carry_out, check_always, copies, held, on_card, place, settled, shoot
from session_scene import greet, side

from firmware import commands as c
from firmware import messages as m
from firmware.errors import PeerError, WrongSeal
from firmware.handshakes import ANSWERS_AT_ONCE, ANSWERS_PER_S, MAX_TRIES
from firmware.link import Link
from firmware.pictures import EVERYONE, Picture, PictureId
from hal.interfaces import Duplex, TimeQuality
from sim.attackers import Accepted, Attacker, Forger, Judge, ManInTheMiddle, Replayer, Thief, attack, main
from sim.credentials import AdminFolder
from sim.machine import Machine, Options
from sim.radio import LineOptions
from sim.rig import Rig
from sim.world import World
from sim.world_options import WorldOptions

UNITS = (1, 2, 3)
SMALL = (8_000, 12_000)


def network(*units, seed=1, **rig):
    """Machines of a network with an admin, who can speak to one another."""
    made, admin = Rig(seed, **rig), AdminFolder(units)
    machines = [Machine(made, u, Options(credential=admin.credential(u), size_bytes=SMALL)) for u in units]
    made.run_until(know_each_other(*machines), 20)
    made.run_for(5)
    return made, admin, machines


def know_each_other(*machines):
    return lambda: all(one.on.link.seal.knows(two.unit) for one in machines for two in machines if one is not two)


def public_of(admin):
    return {row.unit: row.public for row in admin.newest.rows}


TABLES = (
    *("picture", "kept", "keeper", "partial", "delete_order", "name", "inventoried", "recollected", "roster"),
    "(SELECT id, unit, open, listed, suspect, owed FROM copy)",
    "(SELECT key, value FROM meta WHERE key IN ('card', 'boot', 'sequence', 'next_attempt'))",
)


def lasting(machine):
    """Whatever a unit has that lasts and that others can have a say in: every row, every file, whom it knows."""
    database = machine.catalogue.database
    rows = {table: sorted(map(repr, map(tuple, database.all(f"SELECT * FROM {table}")))) for table in TABLES}
    return rows, files_below(machine.card, ""), sorted((n.unit, n.card) for n in machine.on.core.neighbours if n.proved)


def files_below(card, path):
    found = {}
    for entry in card.entries(path):
        inner = f"{path}/{entry.name}".lstrip("/")
        found |= files_below(card, inner) if entry.is_directory else {inner: card.durable(inner)}
    return found


def without_boot(states):
    """Of states before and after restarts."""
    return [
        ({k: [row for row in v if not row.startswith("('boot'")] for k, v in rows.items()}, files)
        for rows, files, _ in states
    ]


# ---------------------------------------------------------------- who only listens


def windows(data, size=8):
    """Every stretch of so many bytes."""
    return {data[at : at + size] for at in range(len(data) - size + 1)}


@pytest.mark.parametrize("duplex", list(Duplex), ids=lambda duplex: duplex.value)
def test_an_eavesdropper_reads_no_eight_bytes_of_a_picture_its_preview_its_id_or_its_digest(duplex):
    rig, _, (one, two, three) = network(*UNITS, line=LineOptions(duplex=duplex))
    attacker = Attacker(rig)
    picture = shoot(one)
    rig.run_until(settled(one, two, three), 60)
    rig.run_for(60)  # previews, records
    carry_out(three, lambda ticket: c.Get(ticket, picture.id, False, 60.0))
    carry_out(three, lambda ticket: c.Get(ticket, picture.id, True, 60.0))
    assert carry_out(two, lambda ticket: c.DeletePicture(ticket, picture.id)).value == "pending"
    rig.run_for(60)
    coded_id = m.Delete(picture.id, picture.sha256).encode()[:8]
    secrets = {coded_id} | windows(said_of(rig, m.Part)) | windows(picture.sha256)
    assert len(secrets) > picture.size_bytes
    on_air = set().union(*(windows(heard.packet) for heard in attacker.heard))
    assert not secrets & on_air
    told = set().union(*(windows(said.message.encode()) for said in rig.said))
    assert {coded_id} | windows(picture.sha256) < told  # it would be seen
    assert len(attacker.heard) == len({heard.packet for heard in attacker.heard})


def said_of(rig, kind):
    """All bytes of pictures and previews that were said."""
    return b"".join(said.message.data for said in rig.said if isinstance(said.message, kind))


# ---------------------------------------------------------------- who makes things up


def test_a_forger_without_secrets_has_nothing_accepted_and_changes_nothing():
    rig, admin, machines = network(*UNITS)
    attacker, judge = Attacker(rig), Judge(rig)
    shoot(machines[0])
    shoot(machines[1], priority=True)
    rig.run_until(settled(*machines), 60)
    rig.run_for(120)
    before = [lasting(machine) for machine in machines]
    forged = Forger(random.Random(1), UNITS, public_of(admin)).packets([heard.packet for heard in attacker.heard])
    since = rig.now
    for _ in range(300):
        for _ in range(10):
            attacker.say(next(forged))
        rig.run_for(0.2)
    rig.run_for(60)
    assert [lasting(machine) for machine in machines] == before
    thrown_away = sum((machine.on.bad_packets.counts for machine in machines), start=type(attack(0, 1))())
    assert thrown_away["WrongSeal"] > 500
    assert thrown_away["DamagedPacket"] > 100
    assert all(machine.logged("alarm") for machine in machines)
    assert know_each_other(*machines)()
    assert judge.taken.total() > 0
    greeted = [said for machine in machines for said in machine.said(m.Hello) if said.at > since]
    assert len(greeted) < 60  # one each ten seconds for each pair, not one for each forged frame
    picture = shoot(machines[0])
    rig.run_until(settled(*machines), 20)
    assert copies(machines[0], picture)


def test_a_forger_who_says_every_kind_as_everybody_to_everybody_has_nothing_accepted():
    rig, _, machines = network(*UNITS)
    attacker, _ = Attacker(rig), Judge(rig)
    before = [lasting(machine) for machine in machines]
    chance = random.Random(2)
    for kind, message in sorted(m.KINDS.items()):
        for source in UNITS:
            for to in (*UNITS, EVERYONE):
                header = bytes([0x20, kind]) + source.to_bytes(2, "big") + to.to_bytes(2, "big")
                for size in (0, 10, 40, 100):
                    attacker.say(header + chance.randbytes(message.CLEAR_BYTES + size))
        rig.run_for(0.1)
    rig.run_for(60)
    assert [lasting(machine) for machine in machines] == before
    assert know_each_other(*machines)()


@pytest.mark.parametrize("broken", ["forged", "twice"])
def test_the_judge_sees_what_should_not_be_taken(broken):
    rig, _, (one, two) = network(1, 2)
    judge = Judge(rig)
    rig.run_for(100)
    if broken == "forged":
        (packet,) = Link.encode(one.on.link, 2, m.NameAsk())  # of one's own seal, but one has never said it
    else:
        packet = next(s.packet for s in one.said(m.Beacon) if (2, 1, s.packet) in judge._taken)
        two.on.link.seal._peers[1].starts.clear()  # it has forgotten what it has heard
    rig.arrives(packet)
    with pytest.raises(Accepted, match="twice" if broken == "twice" else "nobody has said"):
        rig.run_for(1)


def test_a_world_with_a_forger_loses_nothing_and_settles():
    report = World(WorldOptions(units=3, hours=3.0, settle_hours=1.0, forgeries=5000.0)).run()
    assert report.faults["forgery"] > 500
    assert report.copies == report.pictures


def test_a_hundred_thousand_forged_and_repeated_frames_through_whole_units_are_all_refused():
    counts = attack(100_000, 1)
    assert counts.total() - counts["of members, taken"] == 100_000
    assert counts["WrongSeal"] > 30_000
    assert counts["Replayed"] > 5_000
    assert counts["of members, taken"] > 500


def test_the_long_form_tells_what_became_of_the_frames(capsys):
    assert main(["--frames", "2000", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "2000 forged and repeated frames, 0 accepted" in out
    assert "WrongSeal" in out


# ---------------------------------------------------------------- who says again what was said


def a_recorded_life(seed=1):
    """A copy, a read-out, a picture that is deleted, one whose own file is dropped: all of it recorded, and settled."""
    rig, _, machines = network(*UNITS, seed=seed)
    replayer, judge = Replayer(rig), Judge(rig)
    one, two, three = machines
    kept, deleted, dropped = shoot(one), shoot(one), shoot(one)
    shoot(two)
    rig.run_until(settled(*machines), 60)
    carry_out(three, lambda ticket: c.Get(ticket, kept.id, False, 60.0))
    carry_out(one, lambda ticket: c.DeletePicture(ticket, deleted.id))
    carry_out(one, lambda ticket: c.DropOwn(ticket, dropped.id))
    rig.run_for(120)
    return rig, machines, replayer, judge, (kept, deleted, dropped)


@pytest.mark.parametrize("wait_s", [0.1, 60.0, 3600.0])
@pytest.mark.parametrize("restarted", [(), (1,), (2,), (1, 2, 3)], ids=["nobody", "origin", "host", "all"])
def test_a_recorded_life_that_is_said_again_changes_nothing(restarted, wait_s):
    rig, machines, replayer, judge, (kept, deleted, dropped) = a_recorded_life()
    for unit in restarted:
        machines[unit - 1].power_cut()
        machines[unit - 1].restart()
    before = without_boot(map(lasting, machines))
    recorded = rig.now
    rig.run_for(wait_s)
    heard = [machine.on.bad_packets.counts.total() for machine in machines]
    assert replayer.say_all(until=recorded) > 100
    rig.run_for(60)
    assert without_boot(map(lasting, machines)) == before
    assert all(now > then for now, then in zip(refusals(machines), heard, strict=True))
    one = machines[0]
    assert one.entry(deleted.id).deleted
    assert copies(one, kept)
    assert copies(one, dropped)
    picture = shoot(one)
    rig.run_until(settled(*machines), 30)
    assert copies(one, picture)
    assert not any(machine.on.core.mute for machine in machines)
    assert judge.taken.total()


def refusals(machines):
    return [machine.on.bad_packets.counts.total() for machine in machines]


def test_an_old_recording_of_our_own_is_no_clone_whoever_says_it():
    rig, machines, replayer, _, _ = a_recorded_life()
    for machine in machines:
        machine.power_cut()
        machine.restart()
    rig.run_until(know_each_other(*machines), 20)
    replayer.say_all()
    rig.run_for(60)
    for machine in machines:
        assert not machine.on.core.mute
        assert not machine.on.bad_packets.counts["ClonedUnit"]


def test_a_recording_from_before_the_card_was_lost_silences_nobody():
    rig, machines, replayer, _, _ = a_recorded_life()
    one = machines[0]
    one.power_cut()
    one.lose_card()
    one.restart()
    replayer.say_all()
    rig.run_for(120)
    assert not one.on.core.mute
    rig.run_until(know_each_other(*machines), 20)


def test_no_recorded_beacon_makes_a_unit_that_is_gone_count_as_heard():
    """Else nobody would ever doubt the copies of a stolen holder whose beacons somebody says on."""
    rig, _, machines = network(1, 2)
    one, two = machines
    replayer = Replayer(rig)
    picture = shoot(one)
    rig.run_until(settled(one, two), 60)
    rig.run_for(3600)
    two.kill()
    beacons = [heard.packet for heard in replayer.heard if heard.packet[1] == m.Beacon.KIND and heard.packet[3] == 2]
    for beacon in beacons[:3]:
        one.power_cut()
        one.restart()
        replayer.say(beacon)
        rig.run_for(20 * 3600)
        assert one.on.core.neighbours.find(2) is None
        assert one.on.bad_packets.counts["Unproved"] == 1
    assert one.entry(picture.id).copy_at(2).suspect
    assert "not heard for 48 h" in one.logged("suspect")[0]


def test_a_recorded_life_of_units_that_are_gone_raises_counters_and_nothing_else():
    rig, machines, replayer, _, _ = a_recorded_life()
    one = machines[0]
    for machine in machines:
        machine.power_cut()
    one.restart()
    rig.run_for(60)
    before, recorded, logged = lasting(one), rig.now, one.on.core.journal.count
    spoken = len(one.said(object))
    assert replayer.say_all(until=recorded) > 100
    rig.run_for(60)
    assert lasting(one) == before
    assert not before[2]  # nobody is there
    assert not list(one.on.core.neighbours)
    assert {line.event for line in one.on.core.journal.after(logged)} <= {"radio", "alarm"}
    said = {type(said.message) for said in one.said(object)[spoken:]}
    assert said <= {m.Beacon, m.Hello}
    counts = one.on.bad_packets.counts
    assert counts["Replayed"]
    assert counts["ForeignSession"]
    assert counts["Unproved"] == 2


def test_old_beacons_of_several_starts_in_turn_cost_no_more_than_a_handshake_begun_a_second():
    rig, _, (one, two) = network(1, 2)
    replayer = Replayer(rig)
    lives = []
    for _ in range(5):  # more than are remembered
        two.kill()
        two.lose_card()
        since = rig.now
        two.restart()
        rig.run_for(600)
        lives.append(
            [h.packet for h in replayer.heard if h.at >= since and h.packet[1:4:2] == bytes([m.Beacon.KIND, 2])]
        )
    two.kill()
    one.power_cut()
    one.restart()
    rig.run_for(30)
    since = rig.now
    for beacon in [beacon for beacons in zip(*lives, strict=False) for beacon in beacons]:
        replayer.say(beacon)
        rig.run_for(0.2)
    said_s, greeted = rig.now - since, sum(said.at > since for said in one.said(m.Hello))
    assert said_s > 10
    assert greeted <= ANSWERS_AT_ONCE + ANSWERS_PER_S * said_s + MAX_TRIES + 1


# ---------------------------------------------------------------- who stands between


@pytest.mark.parametrize("duplex", list(Duplex), ids=lambda duplex: duplex.value)
def test_a_man_in_the_middle_can_hold_up_and_disorder_and_nothing_wrong_comes_of_it(duplex):
    rig, _, machines = network(1, 2, line=LineOptions(duplex=duplex))
    _, middle = Judge(rig), ManInTheMiddle(rig, random.Random(5), lost=0.1, late=0.3, doubled=0.2, late_s=3600.0)
    check_always(rig, *machines)
    one, two = machines
    pictures = [shoot(machine) for machine in (one, two, one)]
    rig.run_for(1800)
    two.power_cut()
    two.restart()
    rig.run_for(1800)
    assert min(middle.counts.values()) > 10
    middle.at_it = False
    rig.run_until(settled(*machines), 1800)
    rig.run_for(3600)  # the last of the late ones
    for picture in pictures:
        origin, host = machines if picture.id.unit == 1 else (two, one)
        assert copies(origin, picture) == [host.unit]
        assert on_card(host, picture)
    assert {row.picture.id for machine in machines for row in held(machine)} == {picture.id for picture in pictures}


def test_transfers_go_on_as_soon_as_the_man_in_the_middle_lets_packets_through():
    rig, _, (one, _) = network(1, 2)
    middle = ManInTheMiddle(rig, random.Random(6), lost=1.0, late=0.0, doubled=0.0, late_s=1.0)
    picture = shoot(one)
    rig.run_for(600)
    assert not copies(one, picture)
    middle.at_it = False
    rig.run_until(lambda: copies(one, picture), 120)


# ---------------------------------------------------------------- a stolen unit


def forged_beacons(thief, machine, chance):
    """What a thief may say in the name of a machine: other starts, cards, epochs, rooms, and the present ones."""
    core = machine.on.core
    for skip, (card, boot) in enumerate(
        [(core.card, core.boot), (core.card, core.boot + 1), (0x1234, core.boot), (0x4321, chance.randrange(2**32))]
    ):
        yield thief.as_another(
            machine.unit,
            card,
            boot,
            m.Beacon(card, boot, core.epoch, 0, 255, 0, 1, True, False, 10.0**9, TimeQuality.SYNCED),
            skip=1000 * skip + 500,
        )


def test_what_a_thief_says_to_everyone_in_others_names_causes_nothing_that_lasts():
    rig, admin, (one, two, three) = network(*UNITS)
    shoot(one)
    shoot(two)
    rig.run_until(settled(one, two), 60)
    rig.run_for(120)
    chance, thief = random.Random(1), Thief(three)
    before = [lasting(machine)[:2] for machine in (one, two)]
    for machine in (one, two):
        for packet in forged_beacons(thief, machine, chance):
            rig.arrives(packet)
            rig.run_for(5)
    rig.run_for(600)
    assert [lasting(machine)[:2] for machine in (one, two)] == before
    assert know_each_other(one, two)()
    assert not one.on.core.mute + two.on.core.mute
    admin.revoke(3)  # until then it can keep others' beacons from being believed: these have a key that it knows
    for machine in (one, two):
        machine.command(lambda ticket: c.PushRoster(ticket, admin.newest.encoded))
    picture = shoot(one)
    rig.run_until(lambda: copies(one, picture) == [2], 60)


def test_a_thief_makes_no_session_in_the_name_of_another():
    rig, _, (one, two, three) = network(*UNITS)
    thief = Thief(three)
    one.kill()
    two.kill()
    two.restart()
    since = rig.now
    rig.run_for(5)
    seal = thief.seal_of(1, 0x1234, 77, random.Random(1))
    link = Link(1, seal, 4128)
    (beacon,) = link.encode(EVERYONE, m.Beacon(0x1234, 77, 3, 10**9, 0, 255, 60, True, True, None, TimeQuality.UNSET))
    rig.arrives(beacon, [2])
    rig.run_for(1)
    link.decode(two.said(m.Beacon)[-1].packet, 0.0)
    begun = link.decode(two.said(m.Hello)[-1].packet, 0.0)  # two greets what it takes for unit 1
    with pytest.raises(WrongSeal):
        seal.on_hello(2, begun.message, 0.0)
    (welcome,) = link.encode(2, m.Welcome(0x1234, 77, 3, random.Random(1).randbytes(48)))
    rig.arrives(welcome, [2])
    rig.run_for(0.1)
    assert two.on.bad_packets.counts["WrongSeal"] == 1
    (hello,) = link.encode(2, seal.begin(2))
    rig.arrives(hello, [2])
    rig.run_for(60)
    assert two.on.bad_packets.counts["WrongSeal"] == 2
    assert not two.on.link.seal.knows(1)
    assert not [said for said in two.said(m.Ready) + two.said(m.Welcome) if said.at > since]


def harm(theirs, copy, unit):
    """What a member may say in its own session about pictures that are not its own."""
    pid, digest4 = theirs.id, theirs.digest4
    made_up = Picture(PictureId(pid.unit, pid.card, pid.sequence + 1), 5000, bytes(32))
    return [
        m.Drop(pid, 2**40, digest4),
        m.Keep(pid, 1, digest4),
        m.Hold(pid, copy, digest4),
        m.Stored(pid, copy, bytes(16)),
        m.Lost(pid, copy, False),
        m.Lost(pid, 2**40, True),
        m.Relieve(pid, copy),
        m.Request(theirs, 2**31),
        m.Request(replace(theirs, sha256=bytes(32)), 2**31),
        m.Request(replace(made_up, id=replace(made_up.id, unit=unit)), 7),
        m.Accept(pid, copy, 3, 60, ()),
        m.Refuse(pid, copy, m.RefuseWhy.STALE, 0, 0, 2**33),
        m.Refuse(pid, copy, m.RefuseWhy.CONFLICT, 0, 0, 0),
        m.Expired(0),
        m.Prove(pid, copy, bytes(16)),
        m.Damaged(pid, 3),
    ]


def test_a_stolen_unit_in_its_own_sessions_has_no_say_in_copies_of_others():
    rig, _, (one, two, three) = network(*UNITS)
    picture = shoot(one)
    rig.run_until(settled(one, two, three), 60)
    (holder,) = copies(one, picture)
    if holder == 3:
        place(one, picture, 2)
        rig.run_until(settled(one, two, three), 60)
    rig.run_for(120)
    listed = one.entry(picture.id).copy_at(2).listed
    rows = [one.entry(picture.id), two.entry(picture.id)]
    next_attempt = one.on.core.next_attempt
    for machine in (one, two):
        for message in harm(picture, listed, 3):
            three.on.core.say(machine.unit, message)
            three.turn()
            rig.run_for(0.5)
    rig.run_for(300)
    now = [one.entry(picture.id), two.entry(picture.id)]
    assert now[1] == rows[1]
    assert now[0].file is rows[0].file
    assert not now[0].deleted
    assert now[0].copy_at(2).listed == listed
    assert not now[0].copy_at(2).suspect
    assert on_card(two, picture)
    assert on_card(one, picture)
    assert one.on.core.next_attempt < next_attempt + 2**32
    assert [row.picture.id for row in held(two) if row.picture.id.unit == 1] == [picture.id]


def test_a_stolen_unit_can_read_any_picture_and_have_it_deleted_as_any_member_can():
    rig, _, (one, two, three) = network(*UNITS)
    picture = shoot(one)
    rig.run_until(settled(one, two), 60)
    assert isinstance(carry_out(three, lambda ticket: c.Get(ticket, picture.id, False, 60.0)), c.Done)
    three.on.core.say(1, m.Delete(picture.id, picture.sha256))
    three.turn()
    rig.run_for(5)
    assert one.entry(picture.id).deleted


def test_a_stolen_unit_cannot_forge_a_tombstone_of_another():
    rig, _, (one, _two, three) = network(*UNITS)
    picture = shoot(one)
    three.on.core.say(1, m.Records(0, (m.Tombstone(picture.id, picture.size_bytes, picture.sha256, ()),), (), True))
    three.turn()
    rig.run_for(5)
    assert not one.entry(picture.id).deleted


def test_a_thief_reads_nothing_of_sessions_of_two_others_before_or_after_the_theft():
    rig, _, (one, two, three) = network(*UNITS)
    attacker = Attacker(rig)
    place(one, shoot(one), 2)
    seal = three.on.link.seal
    for machine in (one, two):
        machine.power_cut()
        machine.restart()
    rig.run_until(settled(one, two), 60)
    place(one, shoot(one), 2)
    three.kill()
    read = 0
    for heard in attacker.heard:
        packet = heard.packet
        source, to, kind = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[4:6], "big"), m.KINDS[packet[1]]
        if {source, to} != {1, 2} or not kind.SEALED or kind.CLEAR_BYTES:
            continue
        for claimed_to in (to, 3):
            for start in (6, 8, 9):
                with pytest.raises(PeerError):
                    seal.open(packet[:start], source, claimed_to, packet[start:])
                read += 1
    assert read > 100


# ---------------------------------------------------------------- revocation


def test_after_its_revocation_a_stolen_unit_is_noise():
    rig, admin, (one, two, three) = network(*UNITS)
    attacker = Attacker(rig)
    shoot(one)
    rig.run_until(settled(one, two, three), 60)
    in_session = [packet for unit in (1, 2) for packet in three.on.link.encode(unit, m.NameAsk())]
    three.on.link.tapped.clear()
    boots = {machine.unit: (machine.on.core.card, machine.on.core.boot) for machine in (one, two, three)}
    thief = Thief(three)
    admin.revoke(3)
    for machine in (one, two):
        machine.command(lambda ticket: c.PushRoster(ticket, admin.newest.encoded))
    rig.run_until(lambda: one.on.core.epoch == two.on.core.epoch == admin.newest.epoch, 20)
    rig.run_until(know_each_other(one, two), 20)
    rig.run_for(120)
    Judge(rig)  # from now on nothing of the thief's is taken
    before, said = [lasting(machine) for machine in (one, two)], len(attacker.heard)
    epoch = admin.newest.epoch
    packets = list(in_session)
    for unit, (card, boot) in boots.items():
        for told in (thief.keys.epoch, epoch, epoch + 1):
            link = Link(unit, thief.seal_of(unit, card, boot, random.Random(1)), 4128)
            beacon = m.Beacon(card, boot, told, 10**9, 0, 255, 60, True, True, None, TimeQuality.UNSET)
            packets += link.encode(EVERYONE, beacon)
            for to in {1, 2} - {unit}:
                packets += link.encode(to, m.Hello(card, boot, told, boots[to][1], bytes(48)))
                packets += link.encode(to, m.Welcome(card, boot, told, bytes(48)))
    for packet in packets:
        rig.arrives(packet)
        rig.run_for(1)
    rig.run_for(120)
    assert [lasting(machine) for machine in (one, two)] == before
    assert not any(
        packet.packet[4:6] == b"\0\3" and packet.packet[1] in (4, 5) for packet in list(attacker.heard)[said:]
    )
    assert not one.on.core.neighbours.find(3)
    picture = shoot(one)
    rig.run_until(lambda: copies(one, picture) == [2], 60)


@pytest.mark.parametrize("stolen", [1, 2])
@pytest.mark.parametrize("knows_chance", [False, True], ids=["as it is", "if keys by chance were kept"])
def test_a_conversation_from_before_the_theft_stays_unreadable_with_the_stolen_key(stolen, knows_chance):
    """Forward secrecy: keys of a session come of two keys by chance, which nobody has kept."""
    one, two = side(1), side(2)
    beacons = {1: one.beacon(), 2: two.beacon()}
    one.hears(beacons[2])
    two.hears(beacons[1])
    hello, welcome, _ = greet(one, two)
    part, keep = one.says(2, m.Part(5, 0, b"bytes of a picture")), two.says(1, m.Keep(PictureId(1, 7, 1), 3, b"4444"))
    thief = side(stolen) if knows_chance else side_with(stolen, random.Random(99))
    thief.hears(beacons[3 - stolen])
    if stolen == 1:
        thief.seal.begin(2)
        told = thief.hears(welcome)
        if knows_chance:
            thief.seal.on_welcome(2, told, 0.0)
        else:
            with pytest.raises(WrongSeal):
                thief.seal.on_welcome(2, told, 0.0)
    else:
        assert thief.seal.on_hello(1, thief.hears(hello), 0.0)
    recorded = keep if stolen == 1 else part
    if knows_chance:
        assert thief.hears(recorded)
    else:
        with pytest.raises(PeerError):
            thief.hears(recorded)


def side_with(unit, chance):
    """As side(), with other keys by chance."""
    made = side(unit)
    made.seal._random_bytes = chance.randbytes
    return made


# ---------------------------------------------------------------- two with one credential


def together(*rigs):
    """What is said on one of these rigs is heard on the others too; run_for() of all, a hundredth of a second each."""
    for rig in rigs:
        others = [other for other in rigs if other is not rig]

        def carry(said, others=others):
            for other in others:
                other.arrives(said.packet)
            return False

        rig.loses = carry

    def run_for(seconds):
        for _ in range(round(100 * seconds)):
            for rig in rigs:
                rig.run_for(0.01)

    return run_for


def with_a_clone(how):
    """A network of units 1 and 2, and another unit 1 that has come up elsewhere; run_for(), the three machines."""
    rig, admin, (one, two) = network(1, 2)
    picture = shoot(one)
    rig.run_until(settled(one, two), 60)
    elsewhere = Rig(9)
    run_for = together(rig, elsewhere)
    elsewhere.run_for(rig.now - elsewhere.now)
    clone = Machine(elsewhere, 1, Options(credential=admin.credential(1)))
    if how == "card":
        clone.kill()
        clone.clone_card(one)
        clone.restart()
    run_for(20)
    assert on_card(one, picture)
    assert not two.on.core.mute
    return run_for, one, clone


def is_silent(machine, run_for):
    said = len(machine.said(m.Message))
    run_for(20)
    return "another unit runs with the credential of unit 1" in machine.on.core.mute and (
        said == len(machine.said(m.Message))
    )


def test_two_units_with_one_credential_alarm_and_fall_silent_both():
    run_for, one, clone = with_a_clone("credential")
    for machine in (one, clone):
        assert is_silent(machine, run_for)
        assert any("nothing is sent any more" in line for line in machine.logged("alarm"))
    assert any("under the number of this one" in line for line in one.logged("alarm") + clone.logged("alarm"))
    shoot(one)  # pictures are taken as ever


def test_of_two_units_that_run_from_copies_of_one_card_both_alarm_and_the_one_that_started_first_falls_silent():
    run_for, one, clone = with_a_clone("card")
    assert is_silent(one, run_for)
    assert any("under the number of this one" in line for line in one.logged("alarm"))
    assert any("from a copy of the card" in line for line in clone.logged("alarm"))
    assert not clone.on.core.mute
