"""A listed copy is let go under O7's last clause, without recall: RELIEVE and surplus (HANDOVER O8-10)."""

from dataclasses import replace

import pytest
from test_handover import HOST, NEXT, NOW, OTHER, PROOF, at_origin, listed

from firmware import handover as h
from firmware.handover import Commit, Say, Word, owner
from firmware.pictures import Copy, File

BOTH = (listed(), listed(OTHER, 6))


def let_go(attempt=5, wanted=1, fresh=(OTHER,)):
    return h.LetGo(HOST, attempt, wanted, frozenset(fresh))


def left(*copies, file=File.WHOLE):
    """The entry without the copy, and what is owed."""
    entry = at_origin(*copies, file=file).entry
    return Commit(replace(entry, version=entry.version + 1))


def test_it_leaves_the_list_before_drop_is_said_and_the_drop_is_owed():
    effects = owner(at_origin(*BOTH, file=File.GONE), let_go())
    assert effects == (
        left(Copy(HOST, owed=True), BOTH[1], file=File.GONE),
        Say(Word.DROP, HOST, NEXT - 1),
    )


@pytest.mark.parametrize(
    ("copies", "event"),
    [
        ((listed(),), let_go()),  # the only one
        (BOTH, let_go(fresh=())),  # the other has not proved its copy lately
        (BOTH, let_go(fresh=(HOST,))),  # its own proof does not count
        (BOTH, let_go(wanted=2)),
        (BOTH, let_go(wanted=0, fresh=())),
        ((listed(), listed(OTHER, 6, suspect=True)), let_go()),
        ((listed(), Copy(OTHER, open=6)), let_go()),
        (BOTH, let_go(attempt=4)),  # named under another attempt
        ((Copy(HOST, open=5), BOTH[1]), let_go(attempt=0)),  # not listed
    ],
)
def test_where_the_own_file_is_gone_as_many_others_as_wanted_must_have_proved_theirs(copies, event):
    assert owner(at_origin(*copies, file=File.GONE), event) == ()


def test_the_own_file_will_do_but_only_when_its_digest_was_checked():
    assert owner(at_origin(listed()), let_go(fresh=()))[0] == left(Copy(HOST, owed=True))
    assert owner(at_origin(listed(), file=File.UNCHECKED), let_go(fresh=())) == ()


def test_a_suspect_copy_may_go_too():
    copies = (listed(suspect=True, doubted=True), BOTH[1])
    assert owner(at_origin(*copies, file=File.GONE), let_go())


def test_nothing_of_a_deleted_picture_is_let_go():
    assert owner(at_origin(*BOTH, deleted=True), let_go()) == ()


def test_an_open_attempt_there_is_not_reached_by_the_drop():
    (commit, say) = owner(at_origin(Copy(HOST, open=8, listed=5), BOTH[1], file=File.GONE), let_go())
    assert commit.entry.copy_at(HOST) == Copy(HOST, open=8, owed=True)
    assert say == Say(Word.DROP, HOST, 7)


def test_a_copy_placed_there_anew_owes_nothing_and_is_not_doubted():
    state = at_origin(Copy(HOST, open=4, owed=True, doubted=True))
    (commit, _) = owner(state, h.Receipt(HOST, 4, True, PROOF, NOW))
    copy = commit.entry.copy_at(HOST)
    assert (copy.owed, copy.doubted, copy.listed) == (False, False, 4)


def test_lost_settles_what_is_owed():
    (commit,) = owner(at_origin(Copy(HOST, owed=True), BOTH[1]), h.Gone(HOST, 9, True))
    assert commit.entry.copies == (BOTH[1],)


def test_a_deleted_picture_still_owes_what_was_let_go():
    (commit, *_, say) = owner(at_origin(Copy(HOST, owed=True), file=File.GONE), h.Delete())
    assert commit.entry.copies == (Copy(HOST, owed=True),)
    assert say == Say(Word.DROP, HOST, NEXT - 1)


def test_lost_of_a_copy_that_is_suspect_already_is_no_news():
    assert owner(at_origin(listed(suspect=True, doubted=True)), h.Gone(HOST, 5, False)) == ()
