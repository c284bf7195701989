"""Hostile input: no decoder raises anything but its refusals, whatever the bytes are, and what it takes makes sense.

The table of decoders is the fuzzer's (sim/fuzz/targets.py), which goes on for as long as wanted.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.errors import DamagedPacket, PeerError
from sim.fuzz.__main__ import main
from sim.fuzz.measure import greatest, slowest
from sim.fuzz.mutate import mutated
from sim.fuzz.target import MAX_WORDS, Target, feed
from sim.fuzz.targets import TARGETS

EXAMPLES = {"unit": 10, "pictures": 60}  # these take 100 and 2 ms each
each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())

BIT_ERRORS = 1500


def many(target: Target[Any], share: int) -> settings:
    """So that all of them together take some fifteen seconds."""
    examples = max(1, EXAMPLES.get(target.name, 600) // share)
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=quiet)


@each_target
def test_valid_inputs_are_taken_and_fit(target: Target[Any]) -> None:
    valid = target.valid()
    assert len(valid) > 1
    for data in valid:
        assert len(data) <= target.longest_bytes
        assert feed(target, data), data


@each_target
def test_valid_inputs_with_changes_are_refused_or_make_sense(target: Target[Any]) -> None:
    valid = target.valid()

    @many(target, 1)
    @given(st.randoms(use_true_random=False))
    def test(chance: random.Random) -> None:
        feed(target, mutated(chance, valid, target.longest_bytes))

    test()


@each_target
def test_random_bytes_are_refused_or_make_sense(target: Target[Any]) -> None:
    @many(target, 4)
    @given(st.binary(max_size=min(300, target.longest_bytes)))
    def test(data: bytes) -> None:
        feed(target, data)

    test()


@each_target
def test_single_bit_errors_are_refused_or_make_sense(target: Target[Any]) -> None:
    """Every one of the short inputs, and of all of them as many as there is time for."""
    if target.name in EXAMPLES:
        pytest.skip("takes long, and changes flip bits too")
    hits = [(data, bit) for data in sorted(target.valid(), key=len) for bit in range(8 * len(data))]
    short, rest = hits[:BIT_ERRORS], hits[BIT_ERRORS:]
    for data, bit in [*short, *rest[:: 1 + len(rest) // BIT_ERRORS]]:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        feed(target, bytes(flipped))


@each_target
def test_every_truncation_is_refused_or_makes_sense(target: Target[Any]) -> None:
    if target.name in EXAMPLES:
        pytest.skip("takes long, and changes cut inputs off too")
    shortest = min(target.valid(), key=len)
    for size in range(len(shortest)):
        feed(target, shortest[:size])


# ---------------------------------------------------------------- what finds faults


def a_target(decode: Any, check: Any = lambda _data, _made: None) -> Target[Any]:
    return Target("a", decode, (PeerError,), check, lambda: [b"valid"], 100)


def refuse(error: Exception) -> Any:
    def decode(_data: bytes) -> None:
        raise error

    return decode


def test_a_refusal_is_refused_and_all_else_comes_through() -> None:
    assert not feed(a_target(refuse(DamagedPacket("no"))), b"")
    assert feed(a_target(bytes), b"")
    with pytest.raises(ValueError, match="a peer's kind is a ValueError, but not this one"):
        feed(a_target(refuse(ValueError("a peer's kind is a ValueError, but not this one"))), b"")


def test_a_refusal_must_be_short_and_printable() -> None:
    with pytest.raises(AssertionError, match=f"{MAX_WORDS + 1} characters"):
        feed(a_target(refuse(DamagedPacket("x" * (MAX_WORDS + 1)))), b"")
    with pytest.raises(UnicodeEncodeError):
        feed(a_target(refuse(DamagedPacket("\udcff"))), b"")


def test_what_was_made_is_checked() -> None:
    def check(data: bytes, made: bytes) -> None:
        assert made == data[::-1]

    feed(a_target(lambda data: data[::-1], check), b"ab")
    with pytest.raises(AssertionError):
        feed(a_target(lambda data: data, check), b"ab")


def test_the_input_that_takes_most_is_found() -> None:
    target = a_target(lambda data: bytes(1000 * len(data)))
    inputs = [b"x" * 10, b"x" * 90, b"x"]
    memory = greatest(target, inputs)
    assert memory.data == inputs[1]
    assert 90_000 < memory.amount < 100_000
    assert slowest(target, inputs).amount > 0


def test_changes_are_the_same_for_the_same_chance_and_never_too_long() -> None:
    valid = [b"count = 12", bytes(range(40))]
    made = [[mutated(random.Random(seed), valid, 60) for seed in range(300)] for _ in range(2)]
    assert made[0] == made[1]
    assert max(map(len, made[0])) == 60
    assert len(set(made[0])) > 250


def test_one_input_is_fed_again_by_its_digits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--target", "ids", "--input", b"00001-3fa7-00000042".hex()]) == 0
    assert main(["--target", "messages", "--input", "00"]) == 0
    assert capsys.readouterr().out == "ids: taken\nmessages: refused\n"


@pytest.mark.parametrize("wrong", [["--input", "00"], ["--target", "nothing"], ["--target", "ids", "--input", "x"]])
def test_wrong_usage_of_the_fuzzer_is_told(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err
