"""Configure logging.

Each line has a message for people, and the machine-readable keys ``action``, ``workflow_id``, ``fingerprint``
and ``step``. One handler on stderr formats all lines, Plangate's and the libraries': console on a terminal,
JSON lines otherwise. Libraries log only WARNING and above, because some of them log prompts and payloads at
lower levels. Fields that Temporal attaches become keys, its Rust core logs through the same handler, secrets
are redacted, and line breaks in values are escaped. An expected failure is logged as one sentence, any other
failure with its traceback.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from time import monotonic
from typing import Any, TextIO

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import EventRenamer, JSONRenderer
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger
from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from plangate.domain.errors import PlangateError
from plangate.domain.escaping import many_lines, one_line
from plangate.logs.redaction import redact, redact_text
from plangate.settings import Settings, unknown_variables

_OURS = (
    *("plangate", "workflows", "activities", "worker", "starter", "__main__"),
    *("temporalio.workflow", "temporalio.activity"),  # the loggers of workflows and activities
)
_CORE = "temporalio.core"
_REPEAT_SECONDS = 30.0
_LONGEST_TEXT = 20_000

# The keys that Temporal attaches to a record, and their names in Plangate's lines.
_TEMPORAL_KEYS = {
    "workflow_id": "workflow_id",
    "run_id": "run_id",
    "workflow_run_id": "run_id",
    "activity_type": "activity_type",
    "attempt": "attempt",
    "update_name": "update",
}
_FOR_MACHINES_ONLY = ("run_id",)
_SET_HERE = ("timestamp", "level", "logger")  # _add_origin replaces the caller's values
_BAD_SIGNAL = "Failed deserializing signal input"  # limited, because anyone can send thousands of these
_CORE_RETRIES = re.compile(r"gRPC call \w+ retried \d+ times")
_CORE_ECHO = "Failing workflow task"
_CORE_CAUSE = re.compile(r'message: "([^"]+)"')


def configure_logs(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all log lines of this process to stderr (or ``stream``), replacing an earlier configuration."""
    target = stream or sys.stderr
    is_console = settings.log_format == "console" or (settings.log_format == "auto" and target.isatty())
    handler = _PlangateHandler(target)
    handler.setFormatter(_formatter(is_console=is_console, colours=is_console and target.isatty()))
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _PlangateHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    _set_levels(settings)
    logging.captureWarnings(capture=True)
    workflow.logger.workflow_info_on_message = False  # the fields are added as keys
    activity.logger.activity_info_on_message = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _add_activity,
            structlog.stdlib.PositionalArgumentsFormatter(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def warn_of_unknown_variables() -> None:
    """Log the variables that look like settings."""
    if unknown := unknown_variables():
        structlog.get_logger(__name__).warning(
            f"There is no setting {', '.join(unknown)}: correct or remove a variable that you set yourself.",
            action="settings",
        )


def leave_logs_to_the_application() -> None:
    """Pass log lines to `logging`, if the application has not configured structlog.

    Without configuration, structlog prints them to standard output.
    """
    if not structlog.is_configured():
        structlog.configure(
            processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )


def temporal_runtime(settings: Settings) -> Runtime:
    """Return this process's Temporal runtime, which logs through Plangate's handler, as the new default.

    As the default, it is also used by clients without an explicit runtime. A second runtime would write raw
    lines to the terminal.
    """
    runtime = _runtime("ERROR" if settings.log_level == "error" else "WARN")
    Runtime.set_default(runtime, error_if_already_set=False)
    return runtime


@cache
def _runtime(core_level: str) -> Runtime:
    forwarding = LogForwardingConfig(
        logger=logging.getLogger(_CORE),
        append_target_to_name=False,
        prepend_target_on_message=False,
        append_log_fields_to_message=False,  # the fields are added as keys
    )
    levels = TelemetryFilter(core_level=core_level, other_level="ERROR")
    return Runtime(
        telemetry=TelemetryConfig(logging=LoggingConfig(filter=levels, forwarding=forwarding)),
    )


class _PlangateHandler(logging.StreamHandler[TextIO]):
    """Plangate's handler, distinguishable from the handlers of a test runner or an embedding program."""


class _CoreFilter(logging.Filter):
    """Discards duplicate lines: without a server, every poller repeats the same line forever."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = _CORE_RETRIES.sub("retried", record.getMessage())
        if kind == _CORE_ECHO:
            return False
        now = monotonic()
        if now - self._last.get(kind, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
            return False
        self._last[kind] = now
        return True


def _set_levels(settings: Settings) -> None:
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.getLogger().setLevel(max(level, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    logging.getLogger(_CORE).filters = [_CoreFilter()]


def _formatter(*, is_console: bool, colours: bool) -> ProcessorFormatter:
    rendering: list[Processor]
    if is_console:
        console = ConsoleRenderer(
            colors=colours,
            exception_formatter=plain_traceback,
            event_key="message",
            pad_event_to=0,
            sort_keys=False,
        )
        rendering = [_drop_machine_fields, _keep_in_line, console]
    else:
        rendering = [JSONRenderer(sort_keys=False)]
    return ProcessorFormatter(
        foreign_pre_chain=[ExtraAdder()],
        processors=[
            _add_origin,
            _flatten_temporal,
            _describe_exception,
            ProcessorFormatter.remove_processors_meta,
            _redact,
            EventRenamer("message"),
            _order,
            *rendering,
        ],
    )


# --- processors ---


def _add_activity(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the activity and its run, unless the caller has added them."""
    if activity.in_activity():
        info = activity.info()
        event.setdefault("workflow_id", info.workflow_id)
        event.setdefault("activity_type", info.activity_type)
    return event


def _add_origin(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    when = datetime.fromtimestamp(record.created, UTC)  # records of the core have their own time
    event["timestamp"] = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event["level"] = record.levelname.lower()
    event["logger"] = record.name
    return event


def _flatten_temporal(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Turn the fields that Temporal's SDK attaches into keys; a key passed by the caller takes precedence."""
    for attached in ("temporal_workflow", "temporal_activity"):
        details = event.pop(attached, None)
        if isinstance(details, Mapping):
            for theirs, ours in _TEMPORAL_KEYS.items():
                if theirs in details:
                    event.setdefault(ours, details[theirs])
    for unwanted in ("__temporal_error_identifier", "workflow_info", "activity_info"):
        event.pop(unwanted, None)
    from_core = event.pop("temporal_log", None)
    if from_core is not None:
        _add_core_fields(event, from_core.fields)
    return event


def _add_core_fields(event: EventDict, fields: Mapping[str, Any]) -> None:
    error = str(fields.get("error", ""))
    if _CORE_RETRIES.fullmatch(event["event"]):
        event["event"] = "The Temporal server is not responding; this process keeps trying."
        causes = _CORE_CAUSE.findall(error)
        error = causes[-1] if causes else error
    if error:
        event["error"] = error
    for name, value in fields.items():
        event.setdefault(name, value)


def _describe_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Turn an expected failure into one sentence, and any other into the text of its traceback."""
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if not isinstance(error, BaseException):
        return event
    if _is_expected(error) or event["event"].startswith(_BAD_SIGNAL):
        kind = error.type if isinstance(error, ApplicationError) and error.type else type(error).__name__
        message = error.message if isinstance(error, FailureError) else str(error)
        event.setdefault("error", f"{kind}: {message}")
    else:
        event["exception"] = "".join(traceback.format_exception(error)).rstrip()
    return event


def _is_expected(error: BaseException) -> bool:
    if isinstance(error, PlangateError):
        return True
    return isinstance(error, FailureError) and (error.__cause__ is None or _is_expected(error.__cause__))


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    safe = {
        name: value if name in _SET_HERE else redact(name, _shortened(value))
        for name, value in event.items()
        if name != "event"
    }
    return {"event": redact_text(_shortened(str(event.get("event", "")))), **safe}


def _shortened(value: Any) -> Any:
    """Return a long text without its middle, because the end of a traceback is the most important part."""
    if not isinstance(value, str) or len(value) <= _LONGEST_TEXT:
        return value
    half = _LONGEST_TEXT // 2
    return f"{value[:half]} … ({len(value) - 2 * half} characters omitted) … {value[-half:]}"


def _order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = ("timestamp", "level", "message", "action", "workflow_id", "fingerprint", "step")
    ordered = {name: event[name] for name in first if name in event}
    return {**ordered, **event}


def _drop_machine_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: value for name, value in event.items() if name not in _FOR_MACHINES_ONLY}


def _keep_in_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters; only tracebacks keep their line breaks."""
    return {one_line(name): _in_line(name, value) for name, value in event.items()}


def _in_line(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return many_lines(str(value)) if name == "exception" else one_line(str(value))
