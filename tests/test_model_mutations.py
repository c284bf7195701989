"""Each known way to lose a picture, built into the shipped rules, is found by the model check.

The first eleven bear the numbers that they have in the model in another language that the rules were first checked
with. A mutation takes the place of one function of the shipped code, or of what the model tells again of it.
"""

from dataclasses import replace

from firmware import handover as h
from firmware import record_rows
from firmware.handover import Commit, Say, Unlink, Word
from firmware.pictures import UNKNOWN_ATTEMPT, Copy, Entry, File
from sim.model import host, moves, origin, values
from sim.model.options import Options
from sim.model.search import Search
from sim.model.settle import settle_all
from sim.model.values import Says

PLAIN = Options(attempts=2)
DELETED_AND_FORGOTTEN = Options(
    attempts=1, sessions=True, handles=True, keeper="third", versions=2, deletes=1, origin_cards=1
)
SHORT = 60_000  # states: several times what any of them needs


def instead(monkeypatch, module, name, make):
    """Replaces a function by make(the shipped one)."""
    monkeypatch.setattr(module, name, make(getattr(module, name)))


def found(options, *, at_rest=False):
    """The rule that is broken. at_rest: only when nothing more happens."""
    search = Search(options, SHORT)
    result = search.run()
    if at_rest:
        assert result.complete, result.broken
        result = settle_all(search, result)
    assert result.broken, f"nothing in {result.states} states"
    assert result.trace
    return result.broken.split(":")[0]


def test_1_the_own_file_goes_when_the_parts_are_sent(monkeypatch):
    def mutated(shipped):
        def accepted(state, event):
            effects = shipped(state, event)
            if not any(isinstance(e, Say) and e.word is Word.PARTS for e in effects):
                return effects
            gone = replace(state.entry, file=File.GONE, copies=(Copy(event.unit, listed=event.attempt),))
            return (*effects, Commit(gone), Unlink())

        return accepted

    instead(monkeypatch, h, "_accepted", mutated)
    assert found(PLAIN) in ("I1", "I2")


def reordered(event_kind, order):
    """host() with the effects of one kind of event in another order."""

    def make(shipped):
        def answer(row, event):
            effects = shipped(row, event)
            return tuple(effects[n] for n in order) if isinstance(event, event_kind) else effects

        return answer

    return make


def test_2_stored_is_said_before_file_and_row_are_durable(monkeypatch):
    instead(monkeypatch, h, "host", reordered(h.AllHere, (2, 0, 1)))
    assert found(PLAIN) == "I2"


def test_3_the_own_file_goes_before_that_is_durable(monkeypatch):
    instead(monkeypatch, h, "_evict", lambda shipped: lambda state, event: shipped(state, event)[::-1])
    assert found(PLAIN) == "I3"


def test_4_a_host_obeys_drop_whatever_its_number(monkeypatch):
    def mutated(shipped):
        def drop_heard(row, event):
            known = row.attempt if row is not None and row.attempt else 0
            return shipped(row, replace(event, attempt=max(event.attempt, known)))

        return drop_heard

    instead(monkeypatch, h, "_drop_heard", mutated)
    assert found(PLAIN) == "I2"


def test_5_a_host_lets_a_copy_expire_that_was_never_confirmed(monkeypatch):
    def mutated(shipped):
        def own(steps, at):
            yield from shipped(steps, at)
            if at.held is not None and not at.held.kept:
                yield from steps.run(at, (Commit(at.held.without_file), Unlink()), "a copy expires")

        return own

    instead(monkeypatch, host.HostSteps, "own", mutated)
    assert found(PLAIN) == "I2"


def test_6_drop_is_said_of_an_attempt_that_is_listened_to(monkeypatch):
    def mutated(shipped):
        def may_drop(state, unit, attempt, wanted):
            entry = state.entry
            heard = replace(entry, copies=tuple(replace(c, open=0) for c in entry.copies))
            return shipped(replace(state, entry=heard), unit, attempt, wanted)

        return may_drop

    instead(monkeypatch, h, "may_drop", mutated)
    instead(monkeypatch, h, "drop_number", lambda _: lambda state, unit: state.entry.copy_at(unit).open)
    assert found(PLAIN) == "I2"


def test_7_drop_is_said_for_a_recalled_picture_before_its_file_is_durable(monkeypatch):
    def mutated(shipped):
        def run(steps, at, script, label, proof=None):
            if not label.endswith("keeps them"):
                return shipped(steps, at, script, label, proof)
            listed = at.entry.listed[0]
            left = replace(at.entry, copies=(Copy(listed.unit, owed=True),))
            early = (Commit(left), Say(Word.DROP, listed.unit, listed.listed))
            return shipped(steps, at, [lambda _: early, *script], label, proof)

        return run

    instead(monkeypatch, origin.OriginSteps, "run", mutated)
    assert found(PLAIN) in ("I1", "I4")


def test_8_stored_is_said_of_a_raised_number_before_it_is_durable(monkeypatch):
    def mutated(shipped):
        def asked(row, event):
            effects = shipped(row, event)
            raised = row is not None and row.attempt is not None and event.attempt > row.attempt
            return (Say(Word.STORED, event.owner, event.attempt), *effects) if raised else effects

        return asked

    instead(monkeypatch, h, "_asked", mutated)
    assert found(PLAIN) == "I2"


def test_9_any_stored_is_taken_not_only_that_of_the_open_attempt(monkeypatch):
    def mutated(shipped):
        def receipt(state, event):
            copy = replace(state.entry.copy_at(event.unit), open=event.attempt)
            return shipped(replace(state, entry=h._with_copy(state.entry, copy)), event)

        return receipt

    instead(monkeypatch, h, "_receipt", mutated)
    assert found(PLAIN) == "left out"
    monkeypatch.setattr(moves, "_is_over", lambda *_: False)
    assert found(PLAIN) == "I2"


def test_10_the_row_is_durable_before_the_file(monkeypatch):
    instead(monkeypatch, h, "host", reordered(h.AllHere, (1, 0, 2)))
    assert found(PLAIN) == "I3"


def test_11_the_counter_of_attempts_begins_anew_after_a_cut(monkeypatch):
    instead(monkeypatch, origin, "restart", lambda shipped: lambda at: replace(shipped(at), next=1))
    assert found(PLAIN) == "O1"


# ---------------------------------------------------------------- those that came with what was added since


def test_a_proof_counts_whatever_its_nonce(monkeypatch):
    instead(monkeypatch, h, "_receipt", lambda s: lambda state, event: s(state, replace(event, proof_right=True)))
    assert found(Options(attempts=2, lies=1)) == "I2"


def test_a_conflict_is_not_looked_for(monkeypatch):
    instead(monkeypatch, h, "_asked", lambda s: lambda row, event: s(row, replace(event, same_content=True)))
    assert found(Options(attempts=2, conflict=True)) == "H1, H7"


def test_drop_does_not_name_its_content(monkeypatch):
    monkeypatch.setattr(values, "same_content", lambda *_: True)
    assert found(Options(attempts=2, conflict=True)) == "H1, H7"


def test_keep_gives_the_number(monkeypatch):
    def mutated(shipped):
        def answer(row, event):
            if isinstance(event, h.KeepHeard) and row is not None and row.attempt is not None:
                return (Commit(replace(row, attempt=event.attempt, kept=True)),)
            return shipped(row, event)

        return answer

    instead(monkeypatch, h, "host", mutated)
    assert found(PLAIN) == "I2"


def test_a_copy_of_unknown_number_obeys_drop(monkeypatch):
    def mutated(shipped):
        def drop_heard(row, event):
            if row is not None and row.attempt == UNKNOWN_ATTEMPT:
                row = replace(row, attempt=event.attempt)
            return shipped(row, event)

        return drop_heard

    instead(monkeypatch, h, "_drop_heard", mutated)
    assert found(Options(attempts=2, sessions=True, host_catalogues=1)) in ("I1", "I2")


def test_o7_is_without_its_last_clause(monkeypatch):
    def mutated(shipped):
        def may_drop(state, unit, attempt, wanted):
            return shipped(replace(state, entry=replace(state.entry, file=File.WHOLE)), unit, attempt, wanted)

        return may_drop

    instead(monkeypatch, h, "may_drop", mutated)
    assert found(Options(attempts=2, sessions=True, origin_cards=1)) == "I1"


def test_a_copy_is_listed_under_the_number_that_its_holder_names(monkeypatch):
    def mutated(shipped):
        def named(state, event):
            entry = state.entry
            if entry.deleted or entry.copy_at(event.unit).open or not event.attempt:
                return shipped(state, event)
            return (Commit(h._with_copy(entry, Copy(event.unit, listed=event.attempt))),)

        return named

    instead(monkeypatch, h, "_named", mutated)
    assert found(PLAIN) == "I2"


def test_the_version_of_the_record_does_not_go_up(monkeypatch):
    monkeypatch.setattr(h, "_versioned", lambda _, effect: effect)
    assert found(Options(attempts=1, sessions=True, keeper="third", versions=2)) == "R6"


def test_a_record_beats_the_tombstone(monkeypatch):
    def mutated(shipped):
        def merged(entry, row):
            if entry is not None and entry.deleted and isinstance(row, record_rows.m.Record):
                entry = replace(entry, deleted=False, version=0)
            return shipped(entry, row)

        return merged

    instead(monkeypatch, record_rows, "merged", mutated)
    assert found(DELETED_AND_FORGOTTEN, at_rest=True) == "I6"


def test_a_suspect_counts_as_a_copy(monkeypatch):
    monkeypatch.setattr(Entry, "verified", property(lambda entry: entry.listed))
    assert found(PLAIN) == "I5"


def test_a_record_puts_its_holders_into_the_list(monkeypatch):
    def mutated(shipped):
        def recorded(entry, version, said):
            effects = shipped(entry, version, said)
            copies = tuple(Copy(unit, listed=1, suspect=suspect) for unit, suspect in said.holders)
            return tuple(Commit(replace(effect.entry, copies=copies)) for effect in effects)

        return recorded

    instead(monkeypatch, h, "_recorded", mutated)
    assert found(Options(attempts=1, sessions=True, keeper="third", versions=4, origin_cards=1)) == "I2"


def test_a_copy_is_let_go_and_drop_said_before_that_is_durable(monkeypatch):
    instead(monkeypatch, h, "_let_go", lambda shipped: lambda state, event: shipped(state, event)[::-1])
    assert found(PLAIN) == "I2"


def test_the_last_copy_is_let_go(monkeypatch):
    def mutated(shipped):
        def let_go(state, event):
            here = replace(state, entry=replace(state.entry, file=File.WHOLE))
            effects = shipped(here, event)
            return tuple(
                replace(e, entry=replace(e.entry, file=state.entry.file)) if isinstance(e, Commit) else e
                for e in effects
            )

        return let_go

    def any_time(_shipped):
        def asked(steps, at, _entry, copy):
            event = h.LetGo(copy.unit, copy.listed, 1, frozenset())
            yield from steps.run(at, [lambda now: h.owner(now.owner, event)], "lets it go")

        return asked

    instead(monkeypatch, origin.OriginSteps, "_let_go", any_time)
    assert not Search(PLAIN, SHORT).run().broken, "the rule alone holds it"
    instead(monkeypatch, h, "_let_go", mutated)
    assert found(PLAIN) == "I4"


# ---------------------------------------------------------------- what the model check found in shipped code


def test_a_late_answer_to_an_older_drop_settles_what_is_owed(monkeypatch):
    def mutated(shipped):
        def gone(state, event):
            owed = state.entry.copy_at(event.unit).owed
            return shipped(state, replace(event, attempt=h.drop_number(state, event.unit)) if owed else event)

        return gone

    options = Options(attempts=2, handles=True, deletes=1)
    instead(monkeypatch, h, "_gone", mutated)
    assert found(options) == "left out"
    instead(monkeypatch, moves, "_is_over", lambda s: lambda at, said: said.says is not Says.DROPPED and s(at, said))
    assert found(options, at_rest=True) == "I6"


def test_a_copy_of_an_older_attempt_proves_the_one_that_is_listed(monkeypatch):
    def mutated(shipped):
        def shown(steps, at, entry, message, label):
            return shipped(steps, at, entry, message._replace(number=UNKNOWN_ATTEMPT), label)

        return shown

    instead(monkeypatch, origin.OriginSteps, "_shown", mutated)
    assert found(Options(attempts=2, held_rots=1)) == "I2"
