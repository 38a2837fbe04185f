"""Define the Stripe account in the settings, and check what is missing before it can be used."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from activities.tools.stripe.failures import BASE_SETTING, KEY_SETTING
from plangate.domain.errors import SettingsInvalid, ToolUnavailable
from plangate.host_names import THIS_MACHINE
from plangate.settings import Settings

if TYPE_CHECKING:
    from activities.tools.stripe.client import StripeApi

_LIBRARIES: Final = ("stripe", "httpx")
_SECRET_KEYS: Final = ("sk_", "rk_")


class Account:
    """Access to Stripe, as configured in the settings."""

    def __init__(self, api: "StripeApi | None", lack: str | None = None) -> None:
        self._api = api
        self.lack = lack

    @classmethod
    def from_settings(cls, settings: Settings) -> "Account":
        """Return the account, which cannot be used without a key or without the SDK.

        Raises:
            SettingsInvalid: with this address, the key would be sent unencrypted over the network.
        """
        if settings.stripe_api_key is None:
            return cls(None, f"there is no key for Stripe; set {KEY_SETTING}")
        key = settings.stripe_api_key.get_secret_value()
        if not key.startswith(_SECRET_KEYS):
            kinds = "a restricted key (rk_…) or a secret one (sk_…)"
            return cls(None, f"{KEY_SETTING} is not a key that can make payments; set {kinds}")
        if any(find_spec(name) is None for name in _LIBRARIES):
            return cls(
                None,
                "Stripe's library is not installed; install it with: pip install 'plangate[stripe]' "
                "(in a checkout: make tools)",
            )
        # The command line lists tools without loading the vendor's library.
        from activities.tools.stripe.client import PUBLIC_BASE, StripeApi  # noqa: PLC0415

        return cls(StripeApi(key, _safe(settings.stripe_api_base) or PUBLIC_BASE))

    @property
    def api(self) -> "StripeApi":
        """The API.

        Raises:
            ToolUnavailable: the key or the SDK is missing.
        """
        if self._api is None:
            raise ToolUnavailable(f"Stripe is not set up on this worker: {self.lack}.")
        return self._api


def _safe(base: str | None) -> str | None:
    """Return an address of the API.

    Raises:
        SettingsInvalid: it is not a URL, or it is neither encrypted nor on this machine.
    """
    if base is None:
        return None
    parts = urlsplit(base)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in THIS_MACHINE)
    if not is_safe or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise SettingsInvalid(
            f"The setting {BASE_SETTING} cannot be used: use a URL such as https://api.stripe.com; "
            "http:// is allowed for this machine only."
        )
    return base.rstrip("/")
