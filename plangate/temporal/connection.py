"""Connect to the Temporal server, and explain a failed connection in one sentence.

Address, namespace, TLS and API key come from the environment variables and the profile file of Temporal's own
tools. The SDK reads them, so settings of the ``temporal`` command line work here too. Without an address, the
embedded server of this ``var`` directory is used if one was ever started, else localhost.
"""

import asyncio
import re
from datetime import timedelta
from typing import Final

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from plangate.domain.errors import SettingsInvalid, TemporalDenied, TemporalUnreachable
from plangate.domain.escaping import cut, one_line
from plangate.logs.setup import temporal_runtime
from plangate.settings import Settings
from plangate.temporal import dev_server
from plangate.temporal.payloads import InlineDataConverter, TolerantPayloadConverter

# The only data converter; add a codec that encrypts payloads here.
DATA_CONVERTER = InlineDataConverter(payload_converter_class=TolerantPayloadConverter)

_DEFAULT_ADDRESS = "localhost:7233"
_DEFAULT_NAMESPACE = "default"
_CLI_DEFAULTS = (_DEFAULT_ADDRESS, "127.0.0.1:7233")
_SECONDS = 5.0
_LONGEST_CAUSE = 300
_ADDRESS = re.compile(r"[^\s/]+:\d{1,5}")

_START_IT = "start one with make worker, or set TEMPORAL_ADDRESS"
_CHECK_ADDRESS = "check TEMPORAL_ADDRESS and the network"
_CHECK_TLS = "check TEMPORAL_ADDRESS and the TEMPORAL_TLS settings"
_CHECK_KEY = "check TEMPORAL_API_KEY, TEMPORAL_NAMESPACE and the client certificate"

# A part of the SDK's error, the error to raise, its cause, and what to do. The first match is used.
# TemporalDenied is separate from TemporalUnreachable because waiting does not help.
_CAUSES: Final[tuple[tuple[str, type[TemporalUnreachable], str, str], ...]] = (
    ("ConnectionRefused", TemporalUnreachable, "nothing is listening there", _START_IT),
    ("dns error", TemporalUnreachable, "the host is unknown", _CHECK_ADDRESS),
    ("Unauthenticated", TemporalDenied, "it rejects the credentials", _CHECK_KEY),
    ("PermissionDenied", TemporalDenied, "it denies access", _CHECK_KEY),
    ("InvalidContentType", TemporalDenied, "it does not use TLS", _CHECK_TLS),
    ("InvalidCertificate", TemporalDenied, "its TLS certificate is not trusted", _CHECK_TLS),
    ("CertificateRequired", TemporalDenied, "it requires a client certificate", _CHECK_TLS),
    ("ParseError", TemporalDenied, "the client certificate or its key cannot be read", _CHECK_TLS),
    ("handshake", TemporalDenied, "the TLS handshake failed", _CHECK_TLS),
    ("unreachable", TemporalUnreachable, "its network is unreachable", _CHECK_ADDRESS),
    ("Unavailable", TemporalUnreachable, "it is not ready", "wait and try again"),
    ("", TemporalUnreachable, "it is not a Temporal server, or it expects TLS", _CHECK_TLS),
)


async def connect(
    settings: Settings, *, identity: str | None = None, runtime: Runtime | None = None, lazy: bool = False
) -> Client:
    """Connect to the Temporal server and check that the namespace exists, within five seconds.

    Args:
        settings: the settings of this process; they locate the embedded server's files.
        identity: this client's identity on the server; by default the SDK's process@host.
        runtime: the SDK's runtime; by default `plangate.logs.setup.temporal_runtime`.
        lazy: connect at the first call, without a check. A worker cannot use such a client.

    Raises:
        SettingsInvalid: the profile file, or a certificate that it refers to, cannot be used.
        TemporalDenied: the server denies access, or has no such namespace.
        TemporalUnreachable: there is no server, or it does not respond.
    """
    config = _config(settings, to_connect=True)
    address = config["target_host"]
    try:
        async with asyncio.timeout(_SECONDS):
            client = await Client.connect(
                **config,
                data_converter=DATA_CONVERTER,
                identity=identity,
                # Not the SDK's default runtime, which logs to standard output.
                runtime=runtime or temporal_runtime(settings),
                lazy=lazy,
            )
            if not lazy:
                await _check_namespace(client, address)
            return client
    except TimeoutError:
        why = f"it did not respond within {_SECONDS:g} s"
        raise _unusable(TemporalUnreachable, address, why, _START_IT) from None
    except (RuntimeError, ValueError) as error:
        raise _explained(address, str(error)) from error


def address_of(settings: Settings) -> str:
    """Return the address that `connect` would use.

    Raises:
        SettingsInvalid: the profile file cannot be used.
    """
    return _config(settings)["target_host"]


def cli_flags(settings: Settings) -> tuple[str, ...]:
    """Return the flags that connect ``temporal`` to the same server without any environment variables.

    In a container, people and this process may need different addresses; the settings contain the address for
    people.

    Raises:
        SettingsInvalid: the profile file cannot be used.
    """
    config = _config(settings)
    address = settings.public_temporal_address or config["target_host"]
    namespace = config.get("namespace", _DEFAULT_NAMESPACE)
    flags: tuple[str, ...] = ()
    if address not in _CLI_DEFAULTS:
        flags += ("--address", address)
    if namespace != _DEFAULT_NAMESPACE:
        flags += ("--namespace", namespace)
    return flags


def _config(settings: Settings, *, to_connect: bool = False) -> ClientConnectConfig:
    """Return the configuration of the connection; ``target_host`` is always set."""
    try:
        config = ClientConfig.load_client_connect_config()
    except OSError as error:
        raise SettingsInvalid(
            f"The TLS file {error.filename} of the Temporal settings cannot be read: {error.strerror}."
        ) from error
    except RuntimeError as error:  # the library's ConfigError has no public name
        raise SettingsInvalid(
            f"The Temporal profile cannot be used: {_first_and_last(str(error))}; "
            "fix the profile file, or TEMPORAL_PROFILE."
        ) from error
    if "target_host" not in config:
        # Even if it is not running: another server at the default address does not have these runs.
        known = dev_server.known_address(settings.var_dir)
        if known and to_connect and dev_server.running(settings.var_dir) is None:
            # The embedded server of another directory may use the address now.
            raise _unusable(TemporalUnreachable, known, "it is not running", _START_IT)
        config["target_host"] = known or _DEFAULT_ADDRESS
    if not _ADDRESS.fullmatch(config["target_host"]):
        raise SettingsInvalid(
            f"The Temporal address {config['target_host']} cannot be used; "
            "write TEMPORAL_ADDRESS as HOST:PORT."
        )
    return config


async def _check_namespace(client: Client, address: str) -> None:
    name = client.namespace
    request = DescribeNamespaceRequest(namespace=name)
    try:
        await client.workflow_service.describe_namespace(
            request, retry=True, timeout=timedelta(seconds=_SECONDS)
        )
    except RPCError as error:
        match error.status:
            case RPCStatusCode.NOT_FOUND:
                raise TemporalDenied(
                    f"The Temporal server at {address} has no namespace {name}; set TEMPORAL_NAMESPACE, "
                    f"or create it with temporal operator namespace create --namespace {name}."
                ) from error
            case RPCStatusCode.UNAUTHENTICATED:
                why = "it rejects the credentials"
                raise _unusable(TemporalDenied, address, why, _CHECK_KEY) from error
            case RPCStatusCode.PERMISSION_DENIED:
                why = f"it denies access to the namespace {name}"
                raise _unusable(TemporalDenied, address, why, _CHECK_KEY) from error
            case RPCStatusCode.UNIMPLEMENTED:
                return  # a proxy that allows only a worker's own calls
            case _:
                why = f"it is not ready ({cut(one_line(error.message), _LONGEST_CAUSE)})"
                raise _unusable(TemporalUnreachable, address, why, _START_IT) from error


def _explained(address: str, error: str) -> TemporalUnreachable:
    return next(_unusable(kind, address, why, remedy) for sign, kind, why, remedy in _CAUSES if sign in error)


def _unusable(kind: type[TemporalUnreachable], address: str, why: str, remedy: str) -> TemporalUnreachable:
    return kind(f"The Temporal server at {address} cannot be used: {why}; {remedy}.")


def _first_and_last(text: str) -> str:
    """Return the first and last line of a TOML error: the location and the problem."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if len(lines) < 2 else f"{lines[0]}: {lines[-1]}"  # noqa: PLR2004
