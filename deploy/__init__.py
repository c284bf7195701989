"""What puts a unit on a board: systemd, packaging, installer. Needs the standard library only."""
