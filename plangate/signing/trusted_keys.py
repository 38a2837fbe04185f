"""The public keys that the settings trust: of workers that seal the trail, and of web servers."""

from collections.abc import Sequence

from plangate.domain.errors import SettingsInvalid
from plangate.settings import Settings, variable_of
from plangate.signing.jws import PUBLIC_PREFIX, checked_public


def trusted_sealers(settings: Settings) -> frozenset[str]:
    """Return the keys whose seals are trusted, without their prefix.

    Raises:
        SettingsInvalid: an entry of PLANGATE_SEALERS is not a public key.
    """
    return _keys("sealers", settings.sealers, "keys seal")


def trusted_web_keys(settings: Settings) -> frozenset[str]:
    """Return the keys of the web servers that may attest logins, without their prefix.

    Raises:
        SettingsInvalid: an entry of PLANGATE_WEB_KEYS is not a public key.
    """
    return _keys("web_keys", settings.web_keys, "keys web")


def check_trusted_keys(settings: Settings) -> None:
    """Check both when a program starts, because some are used only weeks later.

    Raises:
        SettingsInvalid: as the functions above.
    """
    trusted_sealers(settings)
    trusted_web_keys(settings)


def _keys(name: str, typed: Sequence[str], command: str) -> frozenset[str]:
    found = set()
    for number, one in enumerate(typed, start=1):
        try:
            found.add(checked_public(one))
        except ValueError:
            raise SettingsInvalid(  # without the entry, which may be a private key
                f"The setting {variable_of(name)} cannot be used: entry {number} of {len(typed)} is not an "
                f"Ed25519 public key; write the line that `{command}` prints, {PUBLIC_PREFIX}…, and separate "
                "several with commas."
            ) from None
    return frozenset(found)
