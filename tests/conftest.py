"""Fixtures of more than one test file."""

import pytest


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with a config that the command finds by itself."""
    (tmp_path / "config.toml").write_text(
        f"""
        [unit]
        id = 1
        name = "north-gate"
        runtime_dir = "{tmp_path}/run"
        [card]
        path = "{tmp_path}/card"
        [camera]
        driver = "none"
        [radio]
        driver = "none"
        [security]
        insecure = true
        """
    )
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("DANDELION_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path
