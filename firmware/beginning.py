"""What a unit begins with, by its config: what is read of its card, who it is in its network, its settings."""

from __future__ import annotations

import os
import random
import shutil
from contextlib import closing, suppress
from pathlib import Path

from firmware import bad_starts, credential, left_in_memory, without_card
from firmware.bad_starts import Starts
from firmware.catalogue_home import CatalogueFile
from firmware.config import Config
from firmware.core import Settings
from firmware.determine import Policy, Rules
from firmware.events import Memory
from firmware.rosters import Membership
from firmware.seal import InsecureSeal, Seal
from firmware.startup import Started, start_up
from hal import card_mount
from hal.directory_card import DirectoryCard
from hal.errors import CardError, CardFull
from hal.interfaces import Card
from hal.probes.mounts import OVERLAYS, in_memory

SPARE_CARD = "card"
"""Directory below runtime_dir that takes the place of a card that has failed."""


class Beginning:
    """Of all lives that a unit has in one process: on its card, and without it once that has failed.

    credential: None where nobody is to prove who it is. starts: those that came to a bad end; None: not counted, or
    nothing was read yet. in_memory: why what is on the card that was read goes with the power; empty: it does not, or
    it is one to try things with.
    """

    def __init__(self, config: Config, *, temporary: bool, supervised: bool, card: Card | None) -> None:
        """supervised: somebody starts it anew whenever it ends. card: in place of the directory that the config names.
        ConfigError where the credential is not there, or another unit's."""
        self._config = config
        self._temporary = temporary
        self._supervised = supervised
        self._given_card = card
        self.starts: Starts | None = None
        silent = config.radio.driver == "none"  # nothing is sealed where nothing is said
        self.credential = None if config.security.insecure or silent else _credential_of(config)
        self.in_memory = ""
        self._device: int | None = None  # of the card's file system, as it was read
        self._is_gone = False  # the card was not there when it was to be read, or is not any more
        self.roster = b""  # the newest one that an earlier life in this process has known

    def read_card(self) -> tuple[Started, str]:
        """Start-up: reads every file where the catalogue was lost, which takes minutes on a large card. And why the
        unit goes on without its card, if it does."""
        path = self._config.card.path
        self._is_gone = self._given_card is None and card_mount.why_gone(path) is not None
        try:
            started = self._start_up(self._given_card or _mounted(path), self._config.card.catalogue_path)
        except CardError as error:
            if self._temporary or not without_card.is_dead(error):
                raise
            why = f"{error.what}; {error.can}" if error.can else error.what
            return self.without_card(why), why
        if self._given_card is None and not self._temporary:
            with suppress(OSError):  # its parent takes no file: a mount that fails is then told by nothing
                card_mount.remember(path)
        self.in_memory = "" if self._given_card else self._why_in_memory(path)
        self._device = None if self._given_card else _device_of(path)
        return started if self._temporary else self._with_what_was_left(started), ""

    def _with_what_was_left(self, started: Started) -> Started:
        """With the pictures that a life without the card has left in memory."""
        place, unit = self._config.unit.runtime_dir / SPARE_CARD, self._config.unit.id
        if not place.exists():
            return started
        home = CatalogueFile(str(place / self._config.card.catalogue_path.name), unit)
        try:
            left = start_up(DirectoryCard(str(place)), home, unit, random.SystemRandom(), copies=1, priority_copies=1)
            with closing(left.catalogue) as known:
                started, all_taken = left_in_memory.take_up(left.store.card, known, started)
        except CardError as error:
            text = f"what a life without the card has left in {place} cannot be read: {error}"
            return started._replace(notices=[*started.notices, text])
        if all_taken:
            shutil.rmtree(place, ignore_errors=True)
        return started

    def _why_in_memory(self, path: Path) -> str:
        found = in_memory(path, Path("/"))
        if found is None:
            return ""
        if found.kind in OVERLAYS:
            return f"{path} is in memory, on a read-only (overlay) root"
        return f"{path} is in memory ({found.kind})" if self._supervised else ""  # by hand, below /tmp: to try it

    def why_gone(self) -> str:
        """What a person is told where the card that the unit runs on is not there any more, or another one is; else
        empty."""
        path = self._config.card.path
        if self._given_card is not None or self._temporary:
            return ""
        why = card_mount.why_gone(path)
        if why is None and _device_of(path) not in (None, self._device):
            why = f"{path} is another file system than when the unit began", "it is taken as it is within a minute"
        if why is None:
            return ""
        self._is_gone = True
        return "; ".join(why)

    @property
    def card_is_back(self) -> bool:
        """Whether the card that was gone is there now."""
        return self._is_gone and card_mount.why_gone(self._config.card.path) is None

    def without_card(self, why: str) -> Started:
        """In a directory of its own in runtime_dir, which is in memory; what an earlier life left there is taken up."""
        place = self._config.unit.runtime_dir / SPARE_CARD
        started = self._start_up(DirectoryCard(str(place)), place / self._config.card.catalogue_path.name)
        return started._replace(notices=[without_card.notice(why), *started.notices])

    def _start_up(self, card: Card, catalogue: Path) -> Started:
        unit, rules = self._config.unit.id, rules_of(self._config)
        home, rng = CatalogueFile(str(catalogue), unit), random.SystemRandom()
        started = start_up(
            card,
            home,
            unit,
            rng,
            copies=rules.copies,
            priority_copies=rules.wanted(True),
            acts_for=self._acts_for,
        )
        if self._supervised and self.starts is None:
            self.starts = Starts(started.catalogue.counter(bad_starts.COUNTER, 0))
            with suppress(CardFull):  # safe mode comes later, if it must
                started.catalogue.set_counters(bad_starts=self.starts.counted)
        return started

    def _acts_for(self, kept: bytes) -> frozenset[int] | None:
        membership = self.membership(kept)
        return None if membership is None else membership.acts_for

    def membership(self, kept: bytes) -> Membership | None:
        """By the newest roster of those that came with the credential, by radio (kept), or while this process ran."""
        made = self.credential
        if made is None:
            return None
        membership = Membership(made.unit, made.private, made.admin_public, made.roster, made.roster)
        return membership.knowing(kept).knowing(self.roster)

    def seal(self, memory: Memory, membership: Membership | None) -> Seal:
        """What its packets are sealed with."""
        if membership is None:
            return InsecureSeal(self._config.unit.id, memory.boot)
        return membership.seal(memory.card, memory.boot, random.SystemRandom().randbytes)

    @property
    def in_safe_mode(self) -> bool:
        """Whether this start sends no pictures, as those before it came to a bad end."""
        return self.starts is not None and self.starts.is_safe

    def settings(self, why: str) -> Settings:
        """why: it is without its card, if it is."""
        config = self._config
        settings = Settings(
            unit=config.unit.id,
            name=config.unit.name,
            rules=rules_of(config),
            capacity_bytes=config.card.capacity_bytes,
            hosting_share=0.0 if self._temporary or self.in_memory else config.dispersal.hosting,
            patience_s=config.shutter.patience_s,
            temporary=self._temporary,
            goes_on_without_card=not self._temporary,
            safe_mode=self.in_safe_mode,
        )
        return without_card.settings_without_card(settings, why) if why else settings


def _device_of(path: Path) -> int | None:
    """Which file system it is on; None where it cannot even be asked, which is told by what is read there."""
    try:
        return os.stat(path).st_dev
    except OSError:
        return None


def _mounted(path: Path) -> Card:
    """CardError where it was a file system of its own, and is not mounted: nothing is written there then."""
    card_mount.require(path)
    return DirectoryCard(str(path))


def _credential_of(config: Config) -> credential.Credential:
    """ConfigError where there is none, or another unit's."""
    found = credential.read(config.security.credential)
    credential.require_unit(found, config.unit.id, config.security.credential)
    return found


def rules_of(config: Config) -> Rules:
    """The determining section's rules, from the config."""
    return Rules(
        policy=Policy(config.dispersal.policy),
        copies=config.dispersal.copies,
        copies_min=config.dispersal.copies_min,
        priority_copies=config.dispersal.priority_copies,
        high_water=config.card.high_water,
        low_water=config.card.low_water,
    )
