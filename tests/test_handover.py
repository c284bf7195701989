"""The hand-over's rules one by one: O1 to O7, H1 to H7, R4, R6 and R7 of HANDOVER §2."""

from dataclasses import replace

import pytest

from firmware import handover as h
from firmware.handover import Commit, Owner, Say, Stamp, Unlink, Word, host, owner
from firmware.pictures import UNKNOWN_ATTEMPT, Copy, Entry, File, Picture, PictureId

ORIGIN, HOST, OTHER = 1, 2, 3
PICTURE = Picture(PictureId(ORIGIN, 0x3FA7, 42), 1000, bytes(range(32)))
NOW = Stamp(wall_s=1e9, boot=7, monotonic_s=50.0)
PROOF = b"p" * 16
NEXT = 10  # of the origin's attempts


def at_origin(*copies, file=File.WHOLE, next_attempt=NEXT, **fields):
    return Owner(Entry(PICTURE, file, copies=copies, version=1, **fields), next_attempt)


def a_row(attempt, **fields):
    return Entry(PICTURE, File.WHOLE, attempt=attempt, **fields)


def committed(effects):
    """The last entry that is made durable."""
    return [effect.entry for effect in effects if isinstance(effect, Commit)][-1]


def listed(unit=HOST, attempt=5, **fields):
    return Copy(unit, listed=attempt, **fields)


# ---------------------------------------------------------------- O1, O6


def test_the_farthest_jump_is_that_of_the_rules():
    assert h.FARTHEST_JUMP == 2**32


def test_o1_a_new_number_is_durable_before_it_is_said():
    effects = owner(at_origin(), h.Place(HOST))
    assert effects == (
        Commit(at_origin(Copy(HOST, open=NEXT)).entry, NEXT + 1),
        Say(Word.REQUEST, HOST, NEXT),
    )


def test_o1_an_open_attempt_is_asked_for_again_under_its_own_number():
    assert owner(at_origin(Copy(HOST, open=4)), h.Place(HOST)) == (Say(Word.REQUEST, HOST, 4),)


def test_o1_a_holder_that_is_asked_anew_stays_listed():
    entry = committed(owner(at_origin(listed()), h.Place(HOST)))
    assert entry.copies == (Copy(HOST, open=NEXT, listed=5),)


def test_o1_one_counter_serves_all_hosts_and_pictures():
    effects = owner(at_origin(Copy(OTHER, open=NEXT - 1)), h.Place(HOST))
    assert committed(effects).copies == (Copy(HOST, open=NEXT), Copy(OTHER, open=NEXT - 1))


def test_o6_an_abandoned_attempt_is_closed_and_its_number_burned():
    assert owner(at_origin(Copy(HOST, open=4)), h.Abandon(HOST)) == (Commit(at_origin().entry),)
    assert owner(at_origin(listed()), h.Abandon(HOST)) == ()


def test_o6_a_holder_where_a_new_attempt_is_given_up_stays_listed():
    state = at_origin(Copy(HOST, open=4, listed=3))
    assert committed(owner(state, h.Abandon(HOST))).copies == (Copy(HOST, listed=3),)
    assert committed(owner(state, h.Stale(HOST, 4, row_attempt=3))).copies == (Copy(HOST, listed=3),)
    away = at_origin(Copy(HOST, open=4, listed=3), file=File.GONE)
    assert committed(owner(away, h.Accepted(HOST, 4, nothing_missing=False))).copies == (Copy(HOST, listed=3),)


# ---------------------------------------------------------------- ACCEPT


def test_o3_parts_are_sent_for_the_open_attempt_only():
    state = at_origin(Copy(HOST, open=4))
    assert owner(state, h.Accepted(HOST, 4, nothing_missing=False)) == (Say(Word.PARTS, HOST, 4),)
    assert owner(state, h.Accepted(HOST, 3, nothing_missing=False)) == ()
    assert owner(state, h.Accepted(OTHER, 4, nothing_missing=False)) == ()
    assert owner(at_origin(), h.Accepted(HOST, 0, nothing_missing=False)) == ()


def test_r5_with_own_bytes_nothing_missing_is_still_proved_by_end():
    assert owner(at_origin(Copy(HOST, open=4)), h.Accepted(HOST, 4, nothing_missing=True)) == (
        Say(Word.PARTS, HOST, 4),
    )


def test_r4_without_own_bytes_a_copy_is_listed_as_suspect_before_keep():
    state = at_origin(Copy(HOST, open=4), file=File.GONE)
    commit, keep = owner(state, h.Accepted(HOST, 4, nothing_missing=True))
    assert commit.entry.copies == (Copy(HOST, listed=4, suspect=True, doubted=True),)
    assert keep == Say(Word.KEEP, HOST, 4)


def test_r4_what_was_proved_or_owed_of_an_earlier_copy_says_nothing_of_one_without_proof():
    earlier = Copy(HOST, open=4, listed=3, owed=True, proof=PROOF, verified_at=1e9)
    commit, _ = owner(at_origin(earlier, file=File.GONE), h.Accepted(HOST, 4, nothing_missing=True))
    assert commit.entry.copies == (Copy(HOST, listed=4, suspect=True, doubted=True),)


def test_r4_without_own_bytes_a_copy_that_lacks_something_is_none():
    state = at_origin(Copy(HOST, open=4), file=File.GONE)
    assert owner(state, h.Accepted(HOST, 4, nothing_missing=False)) == (Commit(at_origin(file=File.GONE).entry),)


def test_a_file_that_was_not_checked_gives_no_parts():
    state = at_origin(Copy(HOST, open=4), file=File.UNCHECKED)
    assert Say(Word.PARTS, HOST, 4) not in owner(state, h.Accepted(HOST, 4, nothing_missing=True))


def test_r6_a_deleted_picture_whose_number_was_learnt_is_dropped():
    state = at_origin(Copy(HOST, open=4), file=File.GONE, deleted=True)
    commit, drop = owner(state, h.Accepted(HOST, 4, nothing_missing=True))
    assert commit.entry.copies == (Copy(HOST, owed=True),)
    assert drop == Say(Word.DROP, HOST, NEXT - 1)


# ---------------------------------------------------------------- O4


def receipt(attempt=4, *, unit=HOST, proof_right=True):
    return h.Receipt(unit, attempt, proof_right, PROOF, NOW)


def test_o4_the_list_is_durable_before_keep():
    commit, keep = owner(at_origin(Copy(HOST, open=4)), receipt())
    (copy,) = commit.entry.copies
    assert (copy.listed, copy.open, copy.suspect, copy.proof) == (4, 0, False, PROOF)
    assert (copy.verified_at, copy.verified_boot, copy.verified_monotonic) == (1e9, 7, 50.0)
    assert commit.entry.version == 2
    assert keep == Say(Word.KEEP, HOST, 4)


@pytest.mark.parametrize(
    ("copy", "event"),
    [
        (Copy(HOST, open=4), receipt(3)),  # of an attempt that was given up
        (Copy(HOST, open=4), receipt(5)),
        (Copy(HOST), receipt(0)),  # none is open
        (Copy(HOST, listed=4), receipt(4)),  # again
        (Copy(OTHER, open=4), receipt(4)),  # of another unit
        (Copy(HOST, open=4), receipt(4, proof_right=False)),
    ],
)
def test_o4_only_the_open_attempt_with_a_right_proof_counts(copy, event):
    assert owner(at_origin(copy), event) == ()


def test_o4_a_copy_that_was_let_go_and_is_proved_anew_counts_like_any_other():
    entry = committed(owner(at_origin(Copy(HOST, open=4, owed=True, doubted=True)), receipt()))
    assert entry.copy_at(HOST) == Copy(
        HOST, listed=4, proof=PROOF, verified_at=1e9, verified_boot=7, verified_monotonic=50.0
    )


def test_o4_a_receipt_for_a_deleted_picture_changes_nothing():
    assert owner(at_origin(Copy(HOST, open=4), deleted=True), receipt()) == ()


# ---------------------------------------------------------------- stale


def test_h1_after_stale_the_number_is_burned_and_next_is_above_the_rows():
    effects = owner(at_origin(Copy(HOST, open=4)), h.Stale(HOST, 4, row_attempt=30))
    assert effects == (Commit(at_origin().entry, 31),)


def test_stale_never_lowers_next():
    assert owner(at_origin(Copy(HOST, open=4)), h.Stale(HOST, 4, row_attempt=6)) == (Commit(at_origin().entry, NEXT),)


def test_stale_for_another_attempt_changes_nothing():
    assert owner(at_origin(Copy(HOST, open=4)), h.Stale(HOST, 3, row_attempt=30)) == ()


def test_stale_with_a_far_number_is_not_followed():
    commit, alarm = owner(at_origin(Copy(HOST, open=4)), h.Stale(HOST, 4, NEXT + h.FARTHEST_JUMP))
    assert commit == Commit(at_origin().entry)
    assert alarm == h.Alarm(f"attempt {NEXT + 2**32} of picture {PICTURE.id} was heard, far above our own")


# ---------------------------------------------------------------- O5


def evict(needed=1, fresh=(HOST,)):
    return h.Evict(needed, frozenset(fresh))


def test_o5_open_attempts_are_closed_in_the_commit_before_the_unlink():
    commit, unlink = owner(at_origin(listed(), Copy(OTHER, open=7)), evict())
    assert commit.entry.file is File.GONE
    assert commit.entry.copies == (listed(),)
    assert unlink == Unlink()


@pytest.mark.parametrize(
    ("copies", "event"),
    [
        ((), evict(needed=0)),  # never without any holder
        ((Copy(HOST, open=4),), evict()),
        ((listed(),), evict(fresh=())),
        ((listed(suspect=True),), evict()),
        ((listed(), listed(OTHER)), evict(needed=2)),
    ],
)
def test_o5_never_without_enough_fresh_proofs(copies, event):
    assert owner(at_origin(*copies), event) == ()


def test_o5_neither_twice_nor_for_a_tombstone():
    assert owner(at_origin(listed(), file=File.GONE), evict()) == ()
    assert owner(at_origin(listed(), deleted=True), evict()) == ()


# ---------------------------------------------------------------- O7


def may_drop(attempt, *copies, wanted=1, **fields):
    return h.may_drop(at_origin(*copies, **fields), HOST, attempt, wanted)


def test_o7_only_numbers_that_were_given_out():
    assert may_drop(NEXT - 1)
    assert not may_drop(NEXT)


def test_o7_never_what_is_open_there_or_above():
    assert may_drop(4, Copy(HOST, open=5))
    assert not may_drop(5, Copy(HOST, open=5))
    assert not may_drop(6, Copy(HOST, open=5))


def test_o7_never_what_is_listed_there_or_above():
    assert may_drop(4, listed(attempt=5))
    assert not may_drop(5, listed(attempt=5))


def test_o7_suspicion_still_blocks():
    assert not may_drop(5, listed(attempt=5, suspect=True))


def test_o7_never_the_last_copy():
    assert not may_drop(4, file=File.GONE)
    assert not may_drop(4, file=File.UNCHECKED)
    assert may_drop(4, file=File.WHOLE)


def test_o7_enough_other_proved_holders_do_instead_of_the_own_file():
    assert may_drop(4, listed(OTHER), file=File.GONE)
    assert not may_drop(4, listed(OTHER), file=File.GONE, wanted=2)
    assert not may_drop(4, listed(OTHER, suspect=True), file=File.GONE)
    assert not may_drop(4, listed(attempt=5), file=File.GONE)  # the holder itself does not count


def test_o7_a_tombstone_lets_every_copy_go():
    assert may_drop(4, file=File.GONE, deleted=True)


@pytest.mark.parametrize(
    ("copies", "number"),
    [
        ((), NEXT - 1),
        ((Copy(HOST, open=5),), 4),
        ((listed(attempt=3),), 2),
        ((listed(attempt=3, suspect=True),), 2),
        ((Copy(HOST, open=7, listed=3),), 2),
    ],
)
def test_o7_the_number_is_the_highest_that_reaches_nothing_that_counts(copies, number):
    assert h.drop_number(at_origin(*copies), HOST) == number


# ---------------------------------------------------------------- R4, R7: copies that holders name


def named(attempt, *copies, wanted=1, **fields):
    return owner(at_origin(*copies, **fields), h.Named(HOST, attempt, wanted))


def test_r4_the_listed_attempt_is_kept():
    assert named(5, listed(attempt=5)) == (Say(Word.KEEP, HOST, 5),)


def test_r4_a_copy_that_is_not_listed_is_asked_for_under_a_number_of_now():
    commit, request = named(5)
    assert commit == Commit(at_origin(Copy(HOST, open=NEXT)).entry, NEXT + 1)
    assert request == Say(Word.REQUEST, HOST, NEXT)


def test_r4_an_unknown_attempt_is_asked_for_even_where_the_list_has_a_number():
    *_, request = named(UNKNOWN_ATTEMPT, listed(attempt=5))
    assert request == Say(Word.REQUEST, HOST, NEXT)


def test_r4_an_unknown_attempt_of_a_deleted_picture_is_asked_for_to_learn_its_number():
    *_, request = named(UNKNOWN_ATTEMPT, file=File.GONE, deleted=True)
    assert request == Say(Word.REQUEST, HOST, NEXT)


def test_r4_another_number_than_the_listed_one_is_asked_for_anew():
    *_, request = named(7, listed(attempt=5))
    assert request == Say(Word.REQUEST, HOST, NEXT)
    *_, request = named(7, listed(attempt=5), listed(OTHER))
    assert request == Say(Word.REQUEST, HOST, NEXT)


def test_r4_an_open_attempt_is_asked_for_again():
    assert named(3, Copy(HOST, open=6)) == (Say(Word.REQUEST, HOST, 6),)


def test_r4_a_heard_number_raises_next_before_anything_is_said():
    commit, request = named(20)
    assert commit.next_attempt == 22
    assert request == Say(Word.REQUEST, HOST, 21)
    raised, request = named(20, Copy(HOST, open=6))
    assert raised == Commit(at_origin(Copy(HOST, open=6)).entry, 21)
    assert request == Say(Word.REQUEST, HOST, 6)
    commit, drop = named(20, file=File.GONE, deleted=True)
    assert commit.next_attempt == 21
    assert drop == Say(Word.DROP, HOST, 20)


def test_r4_the_very_next_number_was_not_given_out_so_it_raises_next_too():
    commit, request = named(NEXT)
    assert commit.next_attempt == NEXT + 2
    assert request == Say(Word.REQUEST, HOST, NEXT + 1)
    commit, request = named(NEXT, listed(attempt=5))
    assert commit.next_attempt == NEXT + 2
    assert request == Say(Word.REQUEST, HOST, NEXT + 1)


def test_r4_a_surplus_copy_is_dropped():
    assert named(5, listed(OTHER)) == (Say(Word.DROP, HOST, NEXT - 1),)
    assert named(5, listed(OTHER), file=File.GONE) == (Say(Word.DROP, HOST, NEXT - 1),)


def test_r4_a_copy_is_no_surplus_while_others_are_suspect_or_too_few():
    assert named(5, listed(OTHER, suspect=True))[-1].word is Word.REQUEST
    assert named(5, listed(OTHER), wanted=2)[-1].word is Word.REQUEST


def test_r6_a_copy_of_a_deleted_picture_is_owed_a_drop():
    commit, drop = named(5, file=File.GONE, deleted=True)
    assert commit.entry.copies == (Copy(HOST, owed=True),)
    assert drop == Say(Word.DROP, HOST, NEXT - 1)


def test_r7_a_far_number_is_not_followed():
    (alarm,) = named(NEXT + h.FARTHEST_JUMP)
    text = f"unit {HOST} names attempt {NEXT + 2**32} of picture {PICTURE.id}, far above our own"
    assert alarm == h.Alarm(text)
    assert named(NEXT + h.FARTHEST_JUMP - 1)[0].next_attempt == NEXT + h.FARTHEST_JUMP + 1


# ---------------------------------------------------------------- LOST, audits, recall, delete


def test_lost_of_the_listed_copy_makes_it_suspect_and_no_more():
    doubtful = listed(attempt=5, suspect=True, doubted=True)
    assert committed(owner(at_origin(listed(attempt=5)), h.Gone(HOST, 5, False))).copies == (doubtful,)
    assert owner(at_origin(listed(attempt=5)), h.Gone(HOST, 4, False)) == ()


def test_lost_settles_what_a_deleted_picture_owes():
    state = at_origin(Copy(HOST, owed=True), file=File.GONE, deleted=True)
    assert committed(owner(state, h.Gone(HOST, 9, True))).copies == ()


@pytest.mark.parametrize("deleted", [True, False])
def test_lost_that_answers_an_older_drop_settles_nothing(deleted):
    """It may be older than the copy that is owed a DROP, which then nobody would ask to go any more."""
    state = at_origin(Copy(HOST, owed=True), deleted=deleted, file=File.GONE if deleted else File.WHOLE)
    assert owner(state, h.Gone(HOST, h.drop_number(state, HOST) - 1, True)) == ()
    again = at_origin(Copy(HOST, open=8, owed=True))
    assert owner(again, h.Gone(HOST, 6, True)) == ()
    assert committed(owner(again, h.Gone(HOST, 7, True))).copies == (Copy(HOST, open=8),)


def test_lost_that_answers_no_drop_settles_nothing():
    """The copy that is owed a DROP may have been stored after it was said."""
    state = at_origin(Copy(HOST, owed=True))
    assert owner(state, h.Gone(HOST, 9, False)) == ()


def test_r2_a_failed_audit_makes_suspect_and_a_right_one_renews():
    state = at_origin(listed(attempt=5))
    assert committed(owner(state, h.Audited(HOST, 5, right=False, stamp=NOW))).copies == (
        listed(attempt=5, suspect=True, doubted=True),
    )
    (copy,) = committed(owner(at_origin(listed(attempt=5, suspect=True)), h.Audited(HOST, 5, True, NOW))).copies
    assert (copy.suspect, copy.verified_boot) == (False, 7)
    assert owner(state, h.Audited(HOST, 4, right=False, stamp=NOW)) == ()


def test_r2_a_suspect_that_fails_again_or_is_lost_is_no_news():
    state = at_origin(listed(suspect=True))
    assert owner(state, h.Audited(HOST, 5, False, NOW)) == ()
    assert owner(state, h.Gone(HOST, 5, False)) == ()


def test_o9_a_recalled_file_counts_once_it_is_durable_unless_the_picture_was_deleted():
    assert committed(owner(at_origin(listed(), file=File.GONE), h.Recalled())).file is File.WHOLE
    assert owner(at_origin(file=File.GONE, deleted=True), h.Recalled()) == ()


def test_a_rotten_file_counts_as_none():
    commit, aside = owner(at_origin(listed()), h.Rotten())
    assert committed((commit,)).file is File.GONE
    assert aside == h.PutAside()


def test_r6_the_tombstone_names_who_is_owed_before_file_and_drops_go():
    commit, unlink, *drops = owner(at_origin(listed(), Copy(OTHER, open=7)), h.Delete())
    assert commit.entry.deleted
    assert commit.entry.file is File.GONE
    assert commit.entry.copies == (Copy(HOST, owed=True), Copy(OTHER, owed=True))
    assert unlink == Unlink()
    assert drops == [Say(Word.DROP, HOST, NEXT - 1), Say(Word.DROP, OTHER, NEXT - 1)]
    assert owner(at_origin(deleted=True), h.Delete()) == ()


def test_r6_a_deleted_picture_whose_file_is_gone_has_none_to_unlink():
    effects = owner(at_origin(listed(), file=File.GONE), h.Delete())
    assert [type(effect) for effect in effects] == [Commit, Say]


def test_an_event_of_another_kind_is_our_own_bug():
    for step in (lambda: owner(at_origin(), h.DropHeard(ORIGIN, 4)), lambda: host(a_row(4), h.Place(HOST))):
        with pytest.raises(AssertionError, match="unreachable"):
            step()


# ---------------------------------------------------------------- H1, H2


def asked(row, attempt, *, same_content=True):
    return host(row, h.Asked(ORIGIN, attempt, same_content))


def test_h1_without_a_row_room_is_looked_for():
    assert asked(None, 4) == (h.CheckRoom(),)
    assert asked(Entry(PICTURE, File.GONE), 4) == (h.CheckRoom(),)  # a record of it, and no copy


def test_h1_the_same_attempt_is_accepted_again_without_a_commit():
    assert asked(a_row(4, kept=True), 4) == (Say(Word.ACCEPT, ORIGIN, 4),)


def test_h2_a_higher_attempt_is_durable_before_accept_and_clears_kept():
    assert asked(a_row(4, kept=True), 6) == (Commit(a_row(6)), Say(Word.ACCEPT, ORIGIN, 6))


def test_h2_an_unknown_attempt_takes_the_first_number():
    assert asked(a_row(UNKNOWN_ATTEMPT), 1) == (Commit(a_row(1)), Say(Word.ACCEPT, ORIGIN, 1))


def test_h1_a_lower_attempt_is_refused_as_stale():
    assert asked(a_row(4), 3) == (Say(Word.REFUSE_STALE, ORIGIN, 3),)


@pytest.mark.parametrize("attempt", [3, 4, 5])
def test_h1_other_content_is_a_conflict_whatever_the_number_and_changes_nothing(attempt):
    refuse, alarm = asked(a_row(4), attempt, same_content=False)
    assert refuse == Say(Word.REFUSE_CONFLICT, ORIGIN, attempt)
    text = f"unit {ORIGIN} asks for room for another content of picture {PICTURE.id}"
    assert alarm == h.Alarm(text)


# ---------------------------------------------------------------- H4 to H7


def test_h4_h5_h6_file_then_row_then_stored():
    effects = host(None, h.AllHere(PICTURE, 4))
    assert effects == (h.PutFile(), Commit(a_row(4)), Say(Word.STORED, ORIGIN, 4))


def test_h6_stored_is_said_again_for_the_rows_attempt_only():
    assert host(a_row(4), h.EndHeard(4)) == (Say(Word.STORED, ORIGIN, 4),)
    assert host(a_row(4), h.EndHeard(3)) == ()
    assert host(None, h.EndHeard(4)) == ()


def test_keep_marks_its_own_attempt_and_never_changes_a_number():
    assert host(a_row(4), h.KeepHeard(4)) == (Commit(a_row(4, kept=True)),)
    for row, attempt in [(a_row(4), 5), (a_row(4), 3), (a_row(UNKNOWN_ATTEMPT), 0), (a_row(UNKNOWN_ATTEMPT), 4)]:
        assert host(row, h.KeepHeard(attempt)) == ()
    assert host(a_row(4, kept=True), h.KeepHeard(4)) == ()


@pytest.mark.parametrize("attempt", [4, 9])
def test_h7_the_row_goes_before_the_file_and_lost_is_said_last(attempt):
    assert host(a_row(4), h.DropHeard(ORIGIN, attempt)) == (Commit(None), Unlink(), Say(Word.DROPPED, ORIGIN, attempt))


def test_h7_a_drop_of_a_lower_or_to_an_unknown_number_is_not_obeyed():
    assert host(a_row(4), h.DropHeard(ORIGIN, 3)) == ()
    assert host(a_row(UNKNOWN_ATTEMPT), h.DropHeard(ORIGIN, 9)) == ()


def test_h7_a_repeated_drop_is_answered_and_ends_a_reservation():
    assert host(None, h.DropHeard(ORIGIN, 4)) == (h.Withdraw(4), Say(Word.DROPPED, ORIGIN, 4))


def test_a_damaged_file_loses_its_row_is_put_aside_and_the_owner_is_told():
    assert host(a_row(4), h.FileLost(ORIGIN)) == (Commit(None), h.PutAside(), Say(Word.LOST, ORIGIN, 4))
    assert host(None, h.FileLost(ORIGIN)) == ()


def test_r10_what_nobody_decides_about_goes_row_first_and_nobody_is_told():
    assert host(a_row(4), h.Released()) == (Commit(None), Unlink())
    assert host(a_row(4, version=3, named=(OTHER,)), h.Released()) == (Commit(known()), Unlink())
    assert host(known(), h.Released()) == host(None, h.Released()) == ()


# ---------------------------------------------------------------- R6: records


def said_with(*holders):
    return h.Said(False, holders)


LISTED = (Copy(HOST, listed=4, proof=PROOF),)


@pytest.mark.parametrize(
    ("copies", "event", "raised"),
    [
        ((Copy(HOST, open=4),), receipt(4), 1),
        ((Copy(HOST, open=5, listed=4),), receipt(5), 0),  # the same holder under another number
        ((Copy(HOST, open=5, listed=4, suspect=True),), receipt(5), 1),
        (LISTED, h.Audited(HOST, 4, True, NOW), 0),
        (LISTED, h.Audited(HOST, 4, False, NOW), 1),
        ((Copy(HOST, listed=4, suspect=True),), h.Audited(HOST, 4, True, NOW), 1),
        (LISTED, h.Gone(HOST, 4, False), 1),
        (LISTED, evict(), 0),
        (LISTED, h.Place(OTHER), 0),
        ((Copy(HOST, open=4),), h.Abandon(HOST), 0),
        (LISTED, h.Recalled(), 0),
        (LISTED, h.Rotten(), 0),
        (LISTED, h.Named(OTHER, 20, 2), 0),
        (LISTED, h.Delete(), 1),
        (LISTED, h.Buried(()), 1),
    ],
)
def test_r6_the_version_goes_up_with_what_the_record_says_and_with_nothing_else(copies, event, raised):
    state = at_origin(*copies)
    assert committed(owner(state, event)).version == state.entry.version + raised


def test_r6_losses_of_a_suspect_and_answers_to_drops_tell_nothing_new():
    suspect = at_origin(Copy(HOST, listed=4, suspect=True))
    assert owner(suspect, h.Gone(HOST, 4, False)) == ()
    tombstone = at_origin(Copy(HOST, owed=True), file=File.GONE, deleted=True)
    assert committed(owner(tombstone, h.Gone(HOST, NEXT - 1, True))).version == 1


@pytest.mark.parametrize("version", [1, 2, 70])
def test_r6_a_record_heard_only_raises_the_version_above_it(version):
    state = at_origin(*LISTED, Copy(OTHER, open=6))
    (commit,) = owner(state, h.Recorded(version, said_with((OTHER, False))))
    assert commit == Commit(replace(state.entry, version=version + 1))


def test_r6_a_record_that_says_nothing_new_or_is_older_changes_nothing():
    state = at_origin(*LISTED)
    assert owner(state, h.Recorded(1, said_with((HOST, False)))) == ()
    assert owner(state, h.Recorded(0, said_with((OTHER, False)))) == ()
    assert owner(at_origin(deleted=True), h.Recorded(9, said_with((OTHER, False)))) == ()


def test_r6_a_version_far_above_our_own_is_not_followed():
    (alarm,) = owner(at_origin(*LISTED), h.Recorded(1 + h.FARTHEST_JUMP, said_with()))
    text = f"version {1 + 2**32} of the record of picture {PICTURE.id} was heard, far above our own"
    assert alarm == h.Alarm(text)


def test_r6_the_record_of_a_deleted_picture_names_no_holder():
    assert h.said_by(at_origin(*LISTED, deleted=True).entry) == h.Said(True, ())
    assert h.said_by(at_origin(*LISTED, Copy(OTHER, open=3)).entry) == said_with((HOST, False))


def test_r6_a_tombstone_heard_counts_as_our_own_delete_and_owes_a_drop_to_whom_it_names():
    state = at_origin(*LISTED, Copy(OTHER, open=6))
    commit, unlink, *drops = owner(state, h.Buried((ORIGIN, HOST, 9)))
    assert commit.entry.deleted
    assert commit.entry.file is File.GONE
    assert commit.entry.copies == tuple(Copy(unit, owed=True) for unit in (HOST, OTHER, 9))
    assert unlink == Unlink()
    assert drops == [Say(Word.DROP, unit, NEXT - 1) for unit in (HOST, OTHER, 9)]
    assert owner(at_origin(deleted=True), h.Buried((HOST,))) == ()


def known(**fields):
    """What a unit that holds nothing knows by a record."""
    return Entry(PICTURE, File.GONE, version=3, named=(OTHER,), **fields)


def test_r6_what_is_known_of_a_picture_is_no_copy_of_it():
    assert host(known(), h.Asked(ORIGIN, 4, True)) == (h.CheckRoom(),)
    assert host(known(), h.DropHeard(ORIGIN, 4))[0] == h.Withdraw(4)
    assert host(known(), h.KeepHeard(4)) == host(known(), h.EndHeard(4)) == ()
    assert host(known(), h.FileLost(ORIGIN)) == ()
    assert host(known(), h.Asked(ORIGIN, 4, False))[0].word is Word.REFUSE_CONFLICT


def test_r6_an_origin_that_asks_room_for_what_it_deleted_is_told():
    assert host(known(deleted=True), h.Asked(ORIGIN, 4, True)) == (h.TellTombstone(ORIGIN),)


def test_r6_a_copy_that_is_stored_and_one_that_goes_keep_what_the_record_said():
    stored = committed(host(known(), h.AllHere(PICTURE, 4)))
    assert stored == Entry(PICTURE, File.WHOLE, attempt=4, version=3, named=(OTHER,))
    told_later = replace(PICTURE, taken_at=1e9)
    assert committed(host(known(), h.AllHere(told_later, 4))).picture == told_later
    other = replace(PICTURE, sha256=bytes(32))
    assert committed(host(known(), h.AllHere(other, 4))) == Entry(other, File.WHOLE, attempt=4)
    for event in (h.DropHeard(ORIGIN, 4), h.FileLost(ORIGIN)):
        assert committed(host(stored, event)) == known()
    assert committed(host(a_row(4), h.DropHeard(ORIGIN, 4))) is None


def test_r1_a_tombstone_takes_no_copy_only_the_drop_does():
    held = a_row(4, version=3, deleted=True)
    assert committed(host(held, h.Asked(ORIGIN, 5, True))) == a_row(5, version=3, deleted=True)
    gone, unlink, lost = host(held, h.DropHeard(ORIGIN, 4))
    assert gone.entry == Entry(PICTURE, File.GONE, version=3, deleted=True)
    assert (unlink, lost) == (Unlink(), Say(Word.DROPPED, ORIGIN, 4))
