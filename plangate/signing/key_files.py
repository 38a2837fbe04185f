"""Store private keys in files: PKCS #8 in PEM, readable only by their owner, optionally with a passphrase."""

from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from plangate.files.durable_file import write_once
from plangate.files.private_files import remove_access_of_others
from plangate.signing.jws import public_of


def write_new_key(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Generate a key, write it to a new file, and return it.

    Raises:
        FileExistsError: the file exists; it was not changed.
        OSError: the folder cannot be written to.
    """
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    if not write_once(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)):
        raise FileExistsError(path)
    return key


def host_key(path: Path) -> Ed25519PrivateKey:
    """Return the key of a program on this host, readable only by its owner; create it if it is missing.

    Raises:
        OSError: the file cannot be read or created.
        ValueError: there is no key in it, or it has a passphrase.
        TypeError: as above, or it is not an Ed25519 key.
    """
    if not path.exists():
        with suppress(FileExistsError):  # another process on this host has just created it
            return write_new_key(path)
    remove_access_of_others([path])
    return key_in(path.read_bytes())


def is_encrypted(pem: bytes) -> bool:
    """Return whether a key has a passphrase."""
    return b"ENCRYPTED" in pem


def key_in(pem: bytes, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Return the key in a PEM file's content.

    Raises:
        ValueError: there is no key, or the passphrase is wrong.
        TypeError: it is not an Ed25519 key, or a required passphrase is missing.
    """
    key = load_pem_private_key(pem, passphrase)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("it is not an Ed25519 key")
    return key


def public_key_in(path: Path) -> str | None:
    """Return the public key for the private key in a file, as base64url; None if it cannot be read."""
    try:
        return public_of(key_in(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
