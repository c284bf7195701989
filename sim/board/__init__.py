"""The virtual board: Debian trixie with real systemd, GPIO, camera and serial libraries on a kernel of its own."""
