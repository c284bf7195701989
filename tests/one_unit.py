"""The config of one unit in a directory of its own, for tests of a service in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from firmware import config
from sim.fleet_config import as_toml


def config_in(place: Path, **tables: Mapping[str, object]) -> config.Config:
    """Loaded from place/unit.toml; card and run are below place, too, and are there. tables: in place of these."""
    made: dict[str, Mapping[str, object]] = {
        "unit": {"id": 1, "runtime_dir": str(place / "run")},
        "card": {"path": str(place / "card")},
        "camera": {"driver": "none"},
        "radio": {"driver": "none"},
        "security": {"insecure": True},
    }
    file = place / "unit.toml"
    file.write_text(as_toml(made | tables))
    for directory in ("card", "run"):
        (place / directory).mkdir()
    return config.load(file)
