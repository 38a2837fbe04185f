"""The way to the Temporal server: where it is, who we are to it, and one plain sentence when it is not there.

Address, namespace, TLS and API key come from the variables and the profile file of Temporal's own tools, read
by Temporal's own library, so that what works for the ``temporal`` command line works here. Where they name no
address, the embedded server of this ``var`` directory is used if there ever was one, else localhost.
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
from plangate.temporal import dev_server as embedded_server
from plangate.temporal.payloads import InlineDataConverter, TolerantPayloadConverter

# The one place that says how payloads are written; a codec that encrypts them belongs here.
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

# What Temporal's library says at a failed connection, what that means, and what to do. First match wins.
# A server that is there and does not take us is another matter than one that is away: waiting does not help.
_CAUSES: Final[tuple[tuple[str, type[TemporalUnreachable], str, str], ...]] = (
    ("ConnectionRefused", TemporalUnreachable, "nothing listens there", _START_IT),
    ("dns error", TemporalUnreachable, "no such host is known", _CHECK_ADDRESS),
    ("Unauthenticated", TemporalDenied, "it does not accept who we are", _CHECK_KEY),
    ("PermissionDenied", TemporalDenied, "it does not allow us in", _CHECK_KEY),
    ("InvalidContentType", TemporalDenied, "it does not speak TLS", _CHECK_TLS),
    ("InvalidCertificate", TemporalDenied, "its TLS certificate is not trusted", _CHECK_TLS),
    ("CertificateRequired", TemporalDenied, "it wants a client certificate", _CHECK_TLS),
    ("ParseError", TemporalDenied, "the client certificate or its key cannot be read", _CHECK_TLS),
    ("handshake", TemporalDenied, "the TLS handshake failed", _CHECK_TLS),
    ("unreachable", TemporalUnreachable, "no network leads there", _CHECK_ADDRESS),
    ("Unavailable", TemporalUnreachable, "it is not ready", "wait until it is"),
    ("", TemporalUnreachable, "what answers there is no Temporal server, or expects TLS", _CHECK_TLS),
)


async def connect(
    settings: Settings, *, identity: str | None = None, runtime: Runtime | None = None, lazy: bool = False
) -> Client:
    """Connect to the Temporal server and make sure that it has our namespace, within five seconds.

    Args:
        settings: says where the embedded server's files are.
        identity: who the server's records say we are; the library's process@host where none is given.
        runtime: the library's runtime, if not the process's own (`plangate.logs.setup.temporal_runtime`).
        lazy: connect at the first call and check nothing. Such a client cannot carry a worker.

    Raises:
        SettingsInvalid: the profile file, or a certificate that it names, cannot be used.
        TemporalDenied: the server does not let us in, or has no such namespace.
        TemporalUnreachable: there is no server, or it does not answer.
    """
    config = _config(settings)
    address = config["target_host"]
    try:
        async with asyncio.timeout(_SECONDS):
            client = await Client.connect(
                **config,
                data_converter=DATA_CONVERTER,
                identity=identity,
                # Never the library's own default, which writes its log lines to the standard output.
                runtime=runtime or temporal_runtime(settings),
                lazy=lazy,
            )
            if not lazy:
                await _check_namespace(client, address)
            return client
    except TimeoutError:
        why = f"it did not answer in {_SECONDS:g} s"
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
    """Return the flags that a ``temporal`` command needs to reach the same server from a bare environment.

    It is typed where people are; where they reach the server under another address than this process does (in
    a container), the settings name it.

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


def _config(settings: Settings) -> ClientConnectConfig:
    """Return what to connect with; ``target_host`` is always there."""
    try:
        config = ClientConfig.load_client_connect_config()
    except OSError as error:
        raise SettingsInvalid(
            f"The TLS file {error.filename} of the Temporal settings cannot be read: {error.strerror}."
        ) from error
    except RuntimeError as error:  # the library's ConfigError has no public name
        raise SettingsInvalid(
            f"The Temporal profile cannot be used: {_first_and_last(str(error))}; "
            "mend the profile file, or TEMPORAL_PROFILE."
        ) from error
    if "target_host" not in config:
        # Also while it is down: whoever else listens at the default address is not the server of these runs.
        config["target_host"] = embedded_server.known_address(settings.var_dir) or _DEFAULT_ADDRESS
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
                why = "it does not accept who we are"
                raise _unusable(TemporalDenied, address, why, _CHECK_KEY) from error
            case RPCStatusCode.PERMISSION_DENIED:
                why = f"we may not use its namespace {name}"
                raise _unusable(TemporalDenied, address, why, _CHECK_KEY) from error
            case RPCStatusCode.UNIMPLEMENTED:
                return  # a proxy that lets only a worker's own calls through
            case _:
                why = f"it is not ready ({cut(one_line(error.message), _LONGEST_CAUSE)})"
                raise _unusable(TemporalUnreachable, address, why, _START_IT) from error


def _explained(address: str, error: str) -> TemporalUnreachable:
    return next(_unusable(kind, address, why, remedy) for sign, kind, why, remedy in _CAUSES if sign in error)


def _unusable(kind: type[TemporalUnreachable], address: str, why: str, remedy: str) -> TemporalUnreachable:
    return kind(f"The Temporal server at {address} cannot be used: {why}; {remedy}.")


def _first_and_last(text: str) -> str:
    """Make one line of the library's drawing of the place in the file: where, and what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if len(lines) < 2 else f"{lines[0]}: {lines[-1]}"  # noqa: PLR2004
