"""The power goes at any call of a change of the network, and any call fails: the folder is as before or as after, and
what was begun can be finished. On a file system that forgets what was not synced."""

from __future__ import annotations

import contextlib
import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from power_left import laid_out

from firmware import credential, network
from firmware.credential import Credential
from firmware.errors import ConfigError, Refused, WrongArgument
from firmware.network_folder import Network
from firmware.roster import Acting, public_of
from sim import power
from sim.forgetful import Image, followed
from sim.fuse import Faults

WHY_NOT = power.why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no card of our own can be mounted: {WHY_NOT}")
EPOCH = 4  # of the network before a change
SEEDS = 8  # of what stays by chance, for each cut
FILE, PART = "7", "7.unfinished"


def enrol(top: Path) -> Network:
    return network.enrol(top / "net", unit=7, name="east", file=top / FILE)


def rotate(top: Path) -> Network:
    return network.rotate(top / "net")


def revoke(top: Path) -> Network:
    return network.revoke(top / "net", 1)


def adopt(top: Path) -> Network:
    return network.adopt(top / "net", 5, by=1)


def release(top: Path) -> Network:
    return network.release(top / "net", 5)


def create(top: Path) -> Network:
    return network.create(top / "net")


ACTING = {adopt: (Acting(5, by=1),), release: (Acting(5, by=0),)}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """A network with unit 1, and without unit 5 any more, as an image; the credential of the former is beside it."""
    top = tmp_path_factory.mktemp("before")
    network.create(top / "net")
    network.enrol(top / "net", unit=5, name="west", file=top / "5")
    network.revoke(top / "net", 5)
    network.enrol(top / "net", unit=1, name="north", file=top / "1")
    files = {f"net/{path.name}": path.read_bytes() for path in (top / "net").iterdir()}
    return {"1": (top / "1").read_bytes(), "net": None, **files}


def tell(change: Callable[[Path], Network], image: Image, faults: Faults | None = None) -> power.Recording:
    return power.run(change, image=image, faults=faults)


def left(log: power.Recording) -> Iterator[Path]:
    """A directory for each thing that a power cut may leave, at any change of what was told."""
    seen = set()
    for stop in range(log.start, len(log.log) + 1):
        medium = followed(log.log[:stop])
        chances = [random.Random(f"{stop} {seed}") for seed in range(SEEDS)]
        images = [medium.cut(), medium.cut(share=1.0), *(medium.cut(chance, share=0.5) for chance in chances)]
        for image in images:
            key = tuple(image.items())
            if key not in seen:
                seen.add(key)
                with private(image) as top:
                    yield top


@contextlib.contextmanager
def private(image: Image) -> Iterator[Path]:
    """The image as a directory, all for its owner alone, as it was."""
    with laid_out(image) as top:
        for path in top.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        yield top


def read(path: Path) -> Credential | None:
    try:
        return credential.read(path)
    except ConfigError:
        return None


def check_enrolment(top: Path) -> None:
    """As before, or unit 7 is in and its credential is whole; the same command again ends with the latter."""
    found = network.show(top / "net")
    member = found.find(7)
    if member is None:
        assert found.roster.epoch == EPOCH
        assert read(top / FILE) is None
    else:
        assert found.roster.epoch == EPOCH + 1
        has = read(top / FILE) or read(top / PART)
        assert has is not None, "the unit is in, and its key is nowhere"
        assert public_of(has.private) == member.public
    if read(top / FILE) is not None and not (top / PART).exists():
        with pytest.raises(Refused, match=r"unit 7 \(east\) is in the network"):
            enrol(top)
    else:
        enrol(top)
    again = network.show(top / "net")
    assert again.roster.epoch == EPOCH + 1
    has = credential.read(top / FILE)
    assert again.find(7) == found.find(7) or member is None
    assert again.roster.secret_for(7, has.private) == again.roster.secret_for(1, credential.read(top / "1").private)
    assert sorted(os.listdir(top)) == ["1", FILE, "net"]
    assert sorted(set(os.listdir(top / "net")) - {"network.json.new"}) == ["admin.key", "network.json"]


def test_an_enrolment_is_cut_anywhere(before: Image) -> None:
    told = tell(enrol, before)
    assert not told.error, told.error
    tried = 0
    for top in left(told):
        check_enrolment(top)
        tried += 1
    assert tried > 10


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
def test_any_call_of_an_enrolment_fails(before: Image, number: int) -> None:
    calls = tell(enrol, before).calls
    assert calls > 10
    for call in range(1, calls + 1):
        failed = tell(enrol, before, Faults({call: number}))
        assert not failed.error or "firmware.errors.Refused" in failed.error, failed.error
        alive = followed(failed.log).cut(share=1.0)
        assert PART not in alive or "unit 7 is in the network" in failed.error
        for image in (followed(failed.log).cut(), alive):
            with private(image) as top:
                check_enrolment(top)


@pytest.mark.parametrize("change", [rotate, revoke, adopt, release])
def test_a_change_of_the_epoch_is_cut_anywhere(before: Image, change: Callable[[Path], Network]) -> None:
    told = tell(change, before)
    assert not told.error, told.error
    epochs = []
    for top in left(told):
        found = network.show(top / "net")
        epochs.append(found.roster.epoch)
        done = found.roster.epoch == EPOCH + 1
        assert (found.find(1) is None) == (done and change is revoke)
        assert found.roster.acting == (ACTING.get(change, ()) if done else ())
        assert network.rotate(top / "net").roster.epoch == found.roster.epoch + 1
    assert set(epochs) == {EPOCH, EPOCH + 1}
    with private(followed(told.log).cut()) as top:
        assert network.show(top / "net").roster.epoch == EPOCH + 1, "it was said to be done"


def test_a_new_network_is_cut_anywhere() -> None:
    told = tell(create, {})
    assert not told.error, told.error
    for top in left(told):
        if (top / "net" / "network.json").exists():
            assert network.show(top / "net").roster.epoch == 1
        else:
            with pytest.raises(WrongArgument, match="is not the folder of a network"):
                network.show(top / "net")
    with private(followed(told.log).cut()) as top:
        assert network.show(top / "net").roster.epoch == 1, "it was said to be done"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
def test_any_call_of_a_new_network_fails(number: int) -> None:
    for call in range(1, tell(create, {}).calls + 1):
        failed = tell(create, {}, Faults({call: number}))
        assert not failed.error or "firmware.errors.Refused" in failed.error, failed.error
        with private(followed(failed.log).cut(share=1.0)) as top:
            if failed.error:
                assert not (top / "net").exists() or os.listdir(top / "net") == []
                network.create(top / "net")
            assert network.show(top / "net").roster.epoch == 1
