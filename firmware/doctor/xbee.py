"""Checks of an XBee module: whether it answers, and is set as the unit needs it."""

from __future__ import annotations

from firmware.doctor.facts import Facts
from firmware.doctor.verdicts import Check, Verdict, fault, ok
from hal.xbee_module import SMALLEST_PAYLOAD_BYTES, Need

AIR = frozenset({"ID", "CH", "HP"})
"""Settings by which modules find each other on the air: network and channel."""
_FIX = "dandelion doctor --fix (with sudo, and no unit running)"


def xbee(facts: Facts) -> Verdict | None:
    """The module answers."""
    config, found = facts.config, facts.xbee
    if config is None or config.radio.driver != "xbee":
        return None
    if (status := facts.unit.status) is not None:
        problem = (status.get("radio") or {}).get("problem")
        return None if problem else ok("the unit has asked its module, which is set as it needs it")
    if found is None:
        return None  # port, port-held, or the unit hangs
    if found.found is None:
        can = "check its power (3.3 V, enough of it) and wires: DOUT to RX, DIN to TX; try it with another board"
        return fault(f"no XBee module answers at {config.radio.port}, at any baud rate, in any mode", can)
    module = found.found.module
    if module is None:
        return ok("an XBee module answers")
    return ok(f"an XBee module answers: {module.protocol.value}, address {module.address:016X}")


def xbee_mode(facts: Facts) -> Verdict | None:
    """It speaks as the unit does."""
    return _of(facts, [need for need in _needs(facts) if need.setting not in AIR], "its mode is as the unit needs it")


def xbee_channel(facts: Facts) -> Verdict | None:
    """It is in the network, and on the channel, of the config."""
    config = facts.config
    if config is None or facts.xbee is None or facts.xbee.found is None or facts.xbee.found.module is None:
        return None
    if config.radio.network is None and config.radio.channel is None:
        return ok("the config leaves network and channel to the module (radio.network, radio.channel)")
    return _of(facts, [need for need in _needs(facts) if need.setting in AIR], "network and channel are the config's")


def xbee_payload(facts: Facts) -> Verdict | None:
    """Its packets are long enough."""
    if facts.xbee is None or facts.xbee.found is None or facts.xbee.found.module is None:
        return None
    if facts.xbee.unusable:
        can = "other firmware for it (XCTU), without encryption of its own; or another product"
        return fault(f"the XBee module cannot be used: {facts.xbee.unusable}", can)
    return ok(f"its packets carry {facts.xbee.found.module.settings['NP']} bytes (NP)")


def _needs(facts: Facts) -> tuple[Need, ...]:
    return () if facts.xbee is None else facts.xbee.needs


def _of(facts: Facts, needs: list[Need], well: str) -> Verdict | None:
    if facts.xbee is None or facts.xbee.found is None:
        return None
    if needs:
        settings = ", ".join(f"{need.setting} = {need.value:X}" for need in needs)
        return fault(f"the XBee module: {', and '.join(need.why for need in needs)}", f"{_FIX} sets {settings}")
    return ok(well)


CHECKS = (
    Check(
        "xbee",
        "no XBee module answers, in any mode and at any usual baud rate; looking takes half a minute then",
        "its power and wires",
        xbee,
    ),
    Check(
        "xbee-mode",
        "the module is in another mode (AP, AO), at another rate (BD), sleeps (SM), hides its address (MY), or does "
        "not say when it is full (D7)",
        "`--fix` sets it, and has the module keep it",
        xbee_mode,
    ),
    Check(
        "xbee-channel",
        "the module is in another network (ID) or on another channel (CH, HP) than `radio.network` and "
        "`radio.channel` say",
        "`--fix` sets it, and has the module keep it; or the config is to be another one",
        xbee_channel,
    ),
    Check(
        "xbee-payload",
        f"the module's packets (NP) carry less than {SMALLEST_PAYLOAD_BYTES} bytes",
        "other firmware for it, without encryption of its own; or another product",
        xbee_payload,
    ),
)
