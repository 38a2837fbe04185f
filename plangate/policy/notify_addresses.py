"""Check the addresses for notices in the list of people.

Notices to ``mailto:dana@example.org`` are sent by the mail server in ``PLANGATE_SMTP_URL``. Any other address
is a URL of Apprise, such as ``slack://${SLACK_TOKEN}/#approvals``. The list is stored in the records and
shown to auditors, so it must not contain a secret. ``${NAME}`` is replaced by an environment variable of the
process that sends the notice. This module finds the errors that do not depend on the variables; all others
appear only when a notice is sent.
"""

import re
from ipaddress import IPv6Address, ip_address
from socket import inet_aton
from typing import Annotated, Final

from pydantic import AfterValidator

from plangate.domain.escaping import one_line

MAX_ADDRESSES: Final = 10
LONGEST_ADDRESS: Final = 1_000
_MAIL: Final = "mailto:"
_PLAIN_MAIL: Final = re.compile(r"[A-Za-z0-9_+=&'~#$*/.-]+@[^\s@/?#,;:<>()\[\]\\\"%!]+")
_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>[!-~]+)")
VARIABLE: Final = re.compile(r"\$\{([^{}]*)\}")
_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
# Read by Plangate, its tools and the services around it: such values must never become part of an address.
_OWN: Final = (
    *("PLANGATE_", "TEMPORAL_", "OPENAI_", "ANTHROPIC_", "AWS_", "AZURE_", "GCP_", "GOOGLE_APPLICATION_"),
    *("STRIPE_", "PAYPAL_", "GITHUB_", "GH_", "GITLAB_", "JIRA_", "ATLASSIAN_", "SMTP_", "MAIL_"),
    *("PG", "POSTGRES", "MYSQL_", "REDIS_", "DATABASE_", "DB_", "KUBE", "VAULT_", "DOCKER_", "SSH_"),
    *("XDG_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
)
# Addresses with these schemes may contain only a host and a path.
_OPEN: Final = frozenset({"json", "jsons", "xml", "xmls", "form", "forms", "ntfy", "ntfys"})


def _address(text: str) -> str:
    if len(text) > LONGEST_ADDRESS:
        raise ValueError(f"is longer than {LONGEST_ADDRESS:,} characters")
    for name in VARIABLE.findall(text):
        if not _NAME.fullmatch(name):
            raise ValueError(f"refers to the variable {name!r}; use capitals, digits and _")
        if name.startswith(_OWN):
            raise ValueError(
                f"refers to {name}, a secret that must not be used in addresses; use another variable"
            )
    if "${" in VARIABLE.sub("", text):
        raise ValueError("has '${' without a name and '}'; write a variable as ${NAME}")
    if text.lower().startswith(_MAIL) and not text.lower().startswith(f"{_MAIL}//"):
        if one_line(text) != text or not _PLAIN_MAIL.fullmatch(text[len(_MAIL) :]):
            raise ValueError("is not one plain address; use the form mailto:dana@example.org")
        return _MAIL + text[len(_MAIL) :]
    return _url(text)


def _url(text: str) -> str:
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError("is not an address; write mailto:dana@example.org, or a URL of Apprise")
    scheme, host = found["scheme"], found["rest"].split("/", 1)[0]
    if scheme in ("mailto", "mailtos"):
        raise ValueError("uses another mail server; write mailto:dana@example.org and set PLANGATE_SMTP_URL")
    target = text.partition("?")[0]
    if "," in target or target.count("#") > 1:
        raise ValueError("has several recipients; write one address for each")
    if _is_link_local(host.rpartition("@")[2]):
        raise ValueError("is a link-local address, where cloud providers serve credentials; use another host")
    if "@" in host and not VARIABLE.search(host.rpartition("@")[0]):
        raise ValueError("contains a user or a token; put it in a variable and write ${NAME}")
    if scheme not in _OPEN and not VARIABLE.search(text):
        raise ValueError("contains a secret; put it in an environment variable, and write ${NAME} instead")
    return text


def _is_link_local(place: str) -> bool:
    """Return whether a host, in any spelling, is an IP address such as 169.254.169.254 or fe80::1."""
    host = place.partition("?")[0]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        try:
            address = ip_address(inet_aton(host))  # also 0xa9fea9fe and 169.16689662
        except OSError:
            return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_link_local


NotifyAddress = Annotated[str, AfterValidator(_address)]
"""One address of a person or a role."""


def variables_in(address: str) -> tuple[str, ...]:
    """Return the names of the variables in an address."""
    return tuple(dict.fromkeys(VARIABLE.findall(address)))
