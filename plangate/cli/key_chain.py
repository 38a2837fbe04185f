"""Private keys for signing decisions: created, stored in the user's configuration folder, and read."""

import getpass
import hashlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.cli.screen import Screen
from plangate.domain.decisions.decision import Decision
from plangate.domain.errors import SettingsInvalid, StatusContradicts
from plangate.domain.escaping import one_line
from plangate.domain.people.people import identity
from plangate.domain.runs.status import Status
from plangate.domain.runs.status_consistency import contradiction
from plangate.files.private_files import remove_access_of_others
from plangate.presentation.clock import now
from plangate.presentation.program_name import program
from plangate.settings import Settings
from plangate.signing.decisions import Subject, claims_for, sign, subject_of
from plangate.signing.jws import PUBLIC_PREFIX
from plangate.signing.key_files import is_encrypted, key_in, public_key_in

_SUFFIX: Final = ".pem"
PUBLIC_SUFFIX: Final = ".pub"
_MAX_STEM: Final = 200  # bytes; a file name may have 255
_STEM_PREFIX: Final = 160


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A stored private key: its owner, its public key line, and its file."""

    name: str
    public: str
    path: Path

    def as_json(self) -> dict[str, str]:
        """Return the key as a JSON object."""
        return {"name": self.name, "public": self.public, "path": str(self.path)}


@dataclass(frozen=True, slots=True)
class KeyChain:
    """The private keys of this user, one file per name."""

    settings: Settings
    screen: Screen
    _found: dict[str, Ed25519PrivateKey] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Return whether there is a key with that name."""
        return self.path_of(name).exists()

    @property
    def has_any(self) -> bool:
        """Whether there are any keys."""
        return any(self.path_of("x").parent.glob(f"*{_SUFFIX}"))

    def signed(self, decision: Decision, status: Status) -> Decision:
        """Return ``decision`` bound to the plan in ``status``, signed if its approver has a key here.

        Raises:
            SettingsInvalid: the key cannot be used.
            StatusContradicts: the status contradicts itself, so nothing is signed.
        """
        subject = _subject(status)
        exact = decision.model_copy(update={"plan": subject.fingerprint})
        key = self.key_of(decision.by)
        if key is None:
            return exact
        claims = claims_for(decision, subject, at=now(), token_id=secrets.token_urlsafe(16))
        return exact.model_copy(update={"signature": sign(claims, key)})

    def listed(self) -> list[StoredKey]:
        """Return the stored keys, without asking for a passphrase."""
        paths = sorted(self.settings.private_keys.glob(f"*{_SUFFIX}"))
        return [StoredKey(_name_of(path), _public_line(path), path) for path in paths]

    def path_of(self, name: str) -> Path:
        """Return the path for the key with that name, even if there is none."""
        return self.settings.private_keys / (_stem_of(identity(name)) + _SUFFIX)

    def key_of(self, name: str) -> Ed25519PrivateKey | None:
        """Return the key with that name, or None; ask for its passphrase.

        Raises:
            SettingsInvalid: the key cannot be used.
        """
        found = self._found.get(identity(name)) or self._read(name)
        if found is not None:
            self._found[identity(name)] = found  # ask for a passphrase only once
        return found

    def _read(self, name: str) -> Ed25519PrivateKey | None:
        path = self.path_of(name)
        try:
            pem = path.read_bytes()
            remove_access_of_others([path])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SettingsInvalid(f"The key {path} cannot be read: {error.strerror}.") from None
        try:
            return key_in(pem, self._passphrase(path) if is_encrypted(pem) else None)
        except ValueError:
            raise SettingsInvalid(
                f"The key {path} cannot be opened; check the passphrase. To send a decision unsigned, use an "
                "account without this key."
            ) from None
        except TypeError:
            raise SettingsInvalid(
                f"The key {path} is not an Ed25519 key; make one with: {program()} keys new NAME"
            ) from None

    def _passphrase(self, path: Path) -> bytes:
        given = self.settings.key_passphrase
        if given is not None:
            return given.get_secret_value().encode()
        if not self.screen.can_ask:
            raise SettingsInvalid(
                f"The key {path} has a passphrase, and there is no terminal to ask for it; "
                "set PLANGATE_KEY_PASSPHRASE."
            )
        return getpass.getpass(f"Passphrase of {path.name}: ").encode()


def _subject(status: Status) -> Subject:
    """Return the subject of a decision on the plan in ``status``, as this machine computes it."""
    wrong = contradiction(status, workflow_id=status.workflow_id)
    subject = subject_of(status)
    if wrong or subject is None:
        raise StatusContradicts(
            f"Nothing is signed: {one_line(wrong or 'there is no plan to decide on')}. "
            "Check the status again."
        )
    return subject


def _stem_of(name: str) -> str:
    """Return the unique file name for a person, short enough for the file system."""
    stem = quote(name, safe="")
    if len(stem) <= _MAX_STEM:
        return stem
    # quote() escapes every =, so no other name results in the same file name.
    return f"{stem[:_STEM_PREFIX]}={hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _name_of(path: Path) -> str:
    """Return the owner of a key: from the public file next to it, or from the key's file name."""
    try:
        return _public_file(path)[1].strip()
    except (OSError, ValueError, IndexError):
        return unquote(path.stem)


def _public_file(path: Path) -> list[str]:
    return path.with_suffix(PUBLIC_SUFFIX).read_text(encoding="utf-8").splitlines()


def _public_line(path: Path) -> str:
    """Return the public half of a key: from the file next to it, or from the key if it has no passphrase."""
    try:
        return _public_file(path)[0].strip()
    except (OSError, ValueError, IndexError):
        public = public_key_in(path)
        return PUBLIC_PREFIX + public if public else "(it has a passphrase; its public key is not here)"
