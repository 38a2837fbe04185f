"""Choose the tracker that the settings specify, or report the missing setting.

A vendor's library is imported only if its tracker is chosen, so the application starts without it.
"""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from activities.tools.tickets.ticket import Tracker
from plangate.domain.errors import SettingsInvalid
from plangate.host_names import THIS_MACHINE
from plangate.settings import Settings

PUBLIC_API: Final = "https://api.github.com"
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/(?!\.{1,2}\Z)[A-Za-z0-9._-]+")
_PROJECT: Final = re.compile(r"[A-Z][A-Z0-9_]+")
_TOKEN: Final = re.compile(r"[!-~]+")
_CLOUD: Final = (".atlassian.net", ".jira.com")


@dataclass(frozen=True, slots=True)
class Missing:
    """The reason why there is no tracker and what to do about it, in one sentence."""

    sentence: str


def tracker_of(settings: Settings) -> Tracker | Missing:
    """Return the tracker that the settings specify.

    Raises:
        SettingsInvalid: a setting cannot be used.
    """
    has_github = settings.github_token is not None
    has_jira = settings.jira_token is not None or bool(settings.jira_url)
    chosen = settings.tickets
    if chosen is None and has_github and has_jira:
        return Missing("both GitHub and Jira are configured; set PLANGATE_TICKETS to github or jira")
    if chosen == "github" or (chosen is None and has_github):
        return _github(settings)
    if chosen == "jira" or has_jira:
        return _jira(settings)
    return Missing(
        "no tracker is configured; set PLANGATE_GITHUB_TOKEN and PLANGATE_GITHUB_REPOS, or "
        "PLANGATE_JIRA_URL, PLANGATE_JIRA_TOKEN and PLANGATE_JIRA_PROJECTS"
    )


def _github(settings: Settings) -> Tracker | Missing:
    if settings.github_token is None or not settings.github_repos:
        return _unset(
            PLANGATE_GITHUB_TOKEN=settings.github_token is not None,
            PLANGATE_GITHUB_REPOS=bool(settings.github_repos),
        )
    url = _address("PLANGATE_GITHUB_API_URL", settings.github_api_url)
    _check_token("PLANGATE_GITHUB_TOKEN", settings.github_token)
    if not all(map(_REPOSITORY.fullmatch, settings.github_repos)):
        raise _invalid("PLANGATE_GITHUB_REPOS", "write repositories such as acme/support")
    if find_spec("githubkit") is None:
        return _not_installed("githubkit", "github")
    from activities.tools.tickets.github import GitHubTracker  # noqa: PLC0415

    name = "GitHub" if url == PUBLIC_API else f"GitHub at {urlsplit(url).netloc}"
    return GitHubTracker(name, url, settings.github_token, settings.github_repos)


def _jira(settings: Settings) -> Tracker | Missing:
    if settings.jira_token is None or not settings.jira_url or not settings.jira_projects:
        return _unset(
            PLANGATE_JIRA_URL=bool(settings.jira_url),
            PLANGATE_JIRA_TOKEN=settings.jira_token is not None,
            PLANGATE_JIRA_PROJECTS=bool(settings.jira_projects),
        )
    url = _address("PLANGATE_JIRA_URL", settings.jira_url)
    _check_token("PLANGATE_JIRA_TOKEN", settings.jira_token)
    if not all(map(_PROJECT.fullmatch, settings.jira_projects)):
        raise _invalid("PLANGATE_JIRA_PROJECTS", "write keys such as OPS")
    host = urlsplit(url).hostname or ""
    is_cloud = host.endswith(_CLOUD)
    if is_cloud and not settings.jira_user:
        return _unset(PLANGATE_JIRA_USER=False)
    if find_spec("atlassian") is None:
        return _not_installed("atlassian-python-api", "jira")
    from activities.tools.tickets.jira import JiraTracker  # noqa: PLC0415

    return JiraTracker(
        f"Jira at {urlsplit(url).netloc}",
        url,
        settings.jira_token,
        settings.jira_projects,
        user=settings.jira_user or "",
        kind=settings.jira_issue_type,
        is_cloud=is_cloud,
    )


def _unset(**has: bool) -> Missing:
    names = [name for name, is_set in has.items() if not is_set]
    return Missing(f"set {' and '.join(names)}")


def _not_installed(library: str, extra: str) -> Missing:
    return Missing(
        f"{library} is not installed; install it with: pip install 'plangate[{extra}]' (in a checkout: make "
        "tools)"
    )


def _check_token(setting: str, token: SecretStr) -> None:
    """Refuse a token that cannot be sent in a header; the error does not show it.

    Raises:
        SettingsInvalid: it has a space, a line break or a letter that is not ASCII.
    """
    if not _TOKEN.fullmatch(token.get_secret_value()):
        raise _invalid(setting, "write the token alone, without spaces")


def _invalid(setting: str, advice: str) -> SettingsInvalid:
    return SettingsInvalid(f"The setting {setting} cannot be used: {advice}.")


def _address(setting: str, url: str) -> str:
    """Return the address of a vendor's API, without a trailing slash.

    Raises:
        SettingsInvalid: it is not an address, or would send the token unencrypted.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or parts.query or parts.fragment or parts.username is not None or not url.isascii():
        raise _invalid(setting, "write it as https://HOST/PATH")
    if parts.scheme == "http" and parts.hostname not in THIS_MACHINE:
        raise _invalid(setting, "use https://, because a token is never sent unencrypted")
    return url.rstrip("/")
