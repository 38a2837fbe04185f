"""Private keys to sign decisions with: made, kept under the user's configuration folder, and read again."""

import getpass
import hashlib
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.text import Text

from plangate.cli.exits import Exit, WrongUsage
from plangate.cli.screen import Screen, open_screen
from plangate.cli.session import settings_for_people
from plangate.domain.decision import Decision
from plangate.domain.errors import SettingsInvalid, StatusContradicts
from plangate.domain.escaping import one_line
from plangate.domain.people import identity
from plangate.domain.plan import Audience
from plangate.domain.shown import contradiction
from plangate.domain.status import Status
from plangate.files.durable_file import write_over
from plangate.files.private_files import close_to_others
from plangate.presentation.clock import now
from plangate.presentation.page import Page
from plangate.presentation.program import program
from plangate.settings import Settings
from plangate.signing.decisions import Claims, Subject, sign
from plangate.signing.jws import PUBLIC_PREFIX, key_id, public_of
from plangate.signing.key_files import is_encrypted, key_in, public_half, write_new_key

_SUFFIX: Final = ".pem"
_PUBLIC_SUFFIX: Final = ".pub"
_LONGEST_STEM: Final = 200  # of the 255 bytes that a file's name may have
_BEGIN_OF_STEM: Final = 160


@dataclass(frozen=True, slots=True)
class KeyChain:
    """The private keys of this user, a file for each name."""

    settings: Settings
    screen: Screen
    _found: dict[str, Ed25519PrivateKey] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Return whether there is a key of that name."""
        return self.path_of(name).exists()

    @property
    def has_any(self) -> bool:
        """Whether there is a key of anybody's."""
        return any(self.path_of("x").parent.glob(f"*{_SUFFIX}"))

    def signed(self, decision: Decision, status: Status) -> Decision:
        """Return ``decision`` on exactly the plan of ``status``, signed where its approver has a key here.

        Raises:
            SettingsInvalid: there is one, and it cannot be used.
            StatusContradicts: the parts of the status do not agree, so that nothing is signed.
        """
        subject = _subject(status)
        exact = decision.model_copy(update={"plan": subject.fingerprint})
        key = self._key(decision.by)
        if key is None:
            return exact
        claims = Claims(
            aud=str(subject.audience),
            workflow_id=subject.workflow_id,
            fingerprint=subject.fingerprint,
            decision=decision.decision,
            comment=decision.comment,
            by=decision.by,
            iat=int(now().timestamp()),
            jti=secrets.token_urlsafe(16),
        )
        return exact.model_copy(update={"signature": sign(claims, key)})

    def path_of(self, name: str) -> Path:
        """Return where the key of that name lies, or would."""
        return self.settings.private_keys / (_stem_of(identity(name)) + _SUFFIX)

    def _key(self, name: str) -> Ed25519PrivateKey | None:
        found = self._found.get(identity(name)) or self._read(name)
        if found is not None:
            self._found[identity(name)] = found  # a passphrase is asked for once
        return found

    def _read(self, name: str) -> Ed25519PrivateKey | None:
        path = self.path_of(name)
        try:
            pem = path.read_bytes()
            close_to_others([path])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SettingsInvalid(f"The key {path} cannot be read: {error.strerror}.") from None
        try:
            return key_in(pem, self._passphrase(path) if is_encrypted(pem) else None)
        except ValueError:
            raise SettingsInvalid(
                f"The key {path} cannot be opened; is the passphrase right? Without the key, a decision can "
                "be sent from another account, unsigned."
            ) from None
        except TypeError:
            raise SettingsInvalid(
                f"The key {path} is no Ed25519 key; make one with `starter.py keys new`."
            ) from None

    def _passphrase(self, path: Path) -> bytes:
        given = self.settings.key_passphrase
        if given is not None:
            return given.get_secret_value().encode()
        if not self.screen.can_ask:
            raise SettingsInvalid(
                f"The key {path} has a passphrase, and nobody can be asked for it here; "
                "set PLANGATE_KEY_PASSPHRASE."
            )
        return getpass.getpass(f"Passphrase of {path.name}: ").encode()


def _subject(status: Status) -> Subject:
    """Return what a decision on the plan of ``status`` is about, as this machine computes it."""
    wrong = contradiction(status, workflow_id=status.workflow_id)
    if wrong or status.fingerprint is None or status.installation is None or status.namespace is None:
        raise StatusContradicts(
            f"Nothing is signed: {one_line(wrong or 'there is no plan to decide on')}. "
            "Look at the status again."
        )
    audience = Audience(installation=status.installation, namespace=status.namespace)
    return Subject(workflow_id=status.workflow_id, fingerprint=status.fingerprint, audience=audience)


def new_key(name: str, *, with_passphrase: bool, as_json: bool) -> int:
    """Make a key pair for ``name``, and print the public line to paste into the list of people."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    if not identity(name) or one_line(name) != name:
        raise WrongUsage("The name must have visible characters; use the one in the list of people.")
    path = KeyChain(settings, screen).path_of(name)
    passphrase = _new_passphrase(settings, screen) if with_passphrase else None
    try:
        public = public_of(write_new_key(path, passphrase))
        write_over(path.with_suffix(_PUBLIC_SUFFIX), f"{PUBLIC_PREFIX}{public}\n{identity(name)}\n".encode())
    except FileExistsError:
        raise WrongUsage(
            f"There is a key for {name} already: {path}. To replace it, move it away and make the new one. "
            "Keep its public line in the list of people, with `until = …`: what it signed is still examined "
            "by it."
        ) from None
    if screen.is_json:
        screen.print_json(
            {"name": name, "public": PUBLIC_PREFIX + public, "id": key_id(public), "path": str(path)}
        )
        return Exit.DONE
    page = Page()
    page.heading(f"A key for {name}")
    page.copied("private", str(path))
    page.note("It never leaves this machine; the decisions of that name are signed with it from now on.")
    page.note("This line goes into the list of people (PLANGATE_PEOPLE), below that person's name:")
    page.line(f'keys = [{{ public = "{PUBLIC_PREFIX}{public}" }}]')
    page.note("The key counts once this line is in the workers' list of people.")
    screen.show(page)
    return Exit.DONE


def show_seal_key(*, as_json: bool) -> int:
    """Print the public half of the key that seals on this host."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    public = public_half(settings.seal_key)
    if public is None:
        raise SettingsInvalid(
            f"There is no seal key in {settings.seal_key}; a worker makes it when it starts, on its own host."
        )
    if screen.is_json:
        screen.print_json({"public": PUBLIC_PREFIX + public, "id": key_id(public)})
        return Exit.DONE
    page = Page()
    page.heading("The key that seals the trail on this host")
    page.copied("id", key_id(public))
    page.copied("public", PUBLIC_PREFIX + public)
    screen.show(page)
    return Exit.DONE


def list_keys(*, as_json: bool) -> int:
    """Print whose keys are here, with their public lines; no passphrase is asked for."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    paths = sorted(settings.private_keys.glob(f"*{_SUFFIX}"))
    keys = [{"name": _name_of(path), "public": _public_line(path), "path": str(path)} for path in paths]
    if screen.is_json:
        screen.print_json(keys)
    elif not keys:
        words = f"There is no key in {settings.private_keys}; make one: {program()} keys new NAME"
        screen.out.print(Text(words), soft_wrap=True)
    else:
        page = Page()
        for key in keys:
            page.heading(key["name"])
            page.line(f'keys = [{{ public = "{key["public"]}" }}]')
            page.copied("private", key["path"])
        screen.show(page)
    return Exit.DONE


def _stem_of(name: str) -> str:
    """Return the name of a person's file: no longer than a file system takes, and another one for each."""
    stem = quote(name, safe="")
    if len(stem) <= _LONGEST_STEM:
        return stem
    # quote() never lets a = through, so that no other name is written like this.
    return f"{stem[:_BEGIN_OF_STEM]}={hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _name_of(path: Path) -> str:
    """Return whose key a file holds: as the file beside it says, or by the file's own name."""
    try:
        return _public_file(path)[1].strip()
    except (OSError, ValueError, IndexError):
        return unquote(path.stem)


def _public_file(path: Path) -> list[str]:
    return path.with_suffix(_PUBLIC_SUFFIX).read_text(encoding="utf-8").splitlines()


def _public_line(path: Path) -> str:
    """Return the public half of a key: from the file beside it, or from the key if it has no passphrase."""
    try:
        return _public_file(path)[0].strip()
    except (OSError, ValueError, IndexError):
        public = public_half(path)
        return PUBLIC_PREFIX + public if public else "(it has a passphrase; its public line is not here)"


def _new_passphrase(settings: Settings, screen: Screen) -> bytes:
    if settings.key_passphrase is not None:
        return settings.key_passphrase.get_secret_value().encode()
    if not screen.can_ask:
        raise WrongUsage("A passphrase is asked for on a terminal only; or set PLANGATE_KEY_PASSPHRASE.")
    first, second = (getpass.getpass(f"{word}: ", sys.stderr) for word in ("Passphrase", "Once more"))
    if not first or first != second:
        raise WrongUsage("The two passphrases differ, or are empty; try again.")
    return first.encode()
