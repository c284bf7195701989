"""The 32 bytes of a public key, X25519 or Ed25519."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey


def raw_bytes(key: X25519PublicKey | Ed25519PublicKey) -> bytes:
    """RFC 7748, RFC 8032."""
    if hasattr(key, "public_bytes_raw"):  # from cryptography 40 on
        return key.public_bytes_raw()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # 1.1 MB that a unit has no use for

    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
