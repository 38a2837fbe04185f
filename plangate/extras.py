"""Report which extra of Plangate installs a package that cannot be imported."""

from typing import Final

_PACKAGES_OF_EXTRA: Final = {
    "web": (
        "authlib", "fastapi", "httpx", "httpx2", "itsdangerous", "jinja2", "joserfc", "multipart", "segno",
        "starlette", "uvicorn",
    ),
    "worker": (
        "aiosmtplib", "alembic", "apprise", "autogen_agentchat", "autogen_core", "autogen_ext", "holidays",
        "httpcore", "idna", "openai", "uvloop",
    ),
}  # fmt: skip
"""The modules that other extras install; the extra `client` installs all remaining ones."""


def missing_extra(error: ModuleNotFoundError, what: str) -> str | None:
    """Return how to install the package that ``what`` needs; None if it is a part of Plangate."""
    name = (error.name or "plangate").partition(".")[0]
    if name == "plangate":
        return None
    extra = next((extra for extra, names in _PACKAGES_OF_EXTRA.items() if name in names), "client")
    return (
        f"{what} needs the extra '{extra}' of Plangate ({name} is not installed); install it from the "
        f"same source as Plangate, for example with pip install '.[{extra}]' in its folder, and try again."
    )
