"""Log lines: keys for machines, a sentence for readers, and no secrets or control characters."""

import asyncio
import io
import json
import logging
import re
import warnings
from types import SimpleNamespace

import pytest
import structlog
from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from plangate.domain.errors import ToolRefused
from plangate.logs.later import log_later
from plangate.logs.redaction import redact, redact_text
from plangate.logs.setup import _CORE, _OURS, _PlangateHandler, configure_logs, warn_of_unknown_variables
from plangate.settings import Settings

log = structlog.stdlib.get_logger("plangate.test")


class Lines(io.StringIO):
    """The logged lines, in this test's format."""

    is_terminal = False

    def isatty(self) -> bool:
        return self.is_terminal

    @property
    def last(self) -> dict[str, object]:
        line: dict[str, object] = json.loads(self.getvalue().splitlines()[-1])
        return line


class Terminal(Lines):
    is_terminal = True


@pytest.fixture
def configure():
    """Configure the logs for one test, and restore them afterwards."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)

    def configured(stream: Lines, log_format: str = "auto", log_level: str = "info") -> Lines:
        configure_logs(Settings(log_format=log_format, log_level=log_level), stream)
        return stream

    yield configured
    root.handlers = handlers
    root.setLevel(level)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.getLogger(_CORE).filters = []
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def lines(configure):
    return configure(Lines())


@pytest.fixture
def terminal(configure):
    return configure(Lines(), log_format="console")


def test_machines_get_one_json_object_per_line_with_the_keys_first(lines):
    log.info(
        "The step is done.", step=2, action="done", workflow_id="plan-1", fingerprint="3f9a12bc", tries=1
    )

    assert list(lines.last)[:7] == [
        *("timestamp", "level", "message", "action", "workflow_id", "fingerprint", "step"),
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(lines.last["timestamp"]))
    assert lines.last | {"timestamp": ""} == {
        "timestamp": "",
        "level": "info",
        "message": "The step is done.",
        "action": "done",
        "workflow_id": "plan-1",
        "fingerprint": "3f9a12bc",
        "step": 2,
        "tries": 1,
        "logger": "plangate.test",
    }


@pytest.mark.parametrize(
    ("log_format", "stream", "is_json"),
    [
        ("auto", Lines(), True),
        ("auto", Terminal(), False),
        ("json", Terminal(), True),
        ("console", Lines(), False),
    ],
)
def test_the_format_follows_the_setting_or_else_the_terminal(configure, log_format, stream, is_json):
    configure(stream, log_format=log_format)
    log.info("Hello.")

    assert stream.getvalue().startswith("{") is is_json


def test_only_a_terminal_gets_colours(configure):
    log_lines, terminal = configure(Lines(), log_format="console"), Terminal()
    log.info("Hello.")
    configure(terminal, log_format="console")
    log.info("Hello.")

    assert "\x1b[" not in log_lines.getvalue()
    assert "\x1b[" in terminal.getvalue()


def test_configuring_again_does_not_duplicate_lines(configure):
    configure(Lines())
    stream = configure(Lines())
    log.info("Once.")

    assert len(stream.getvalue().splitlines()) == 1
    assert len([each for each in logging.getLogger().handlers if isinstance(each, _PlangateHandler)]) == 1


@pytest.mark.parametrize(
    "hostile", ["a\nforged line", "\x1b[2K\rgone", "\u202edesrever", "zero\u200bwidth", "\x9b31m"]
)
def test_no_text_breaks_out_of_its_console_line(terminal, hostile):
    log.info(hostile, comment=hostile, inner={"deep": [hostile]}, **{f"key{hostile}": 1})
    logging.getLogger("somewhere").warning("said %s", hostile, extra={"by": hostile})

    written = terminal.getvalue()
    assert len(written.splitlines()) == 2
    assert all(char.isprintable() or char == "\n" for char in written)


def test_a_value_cannot_imitate_another_key(terminal):
    log.info("A decision.", by="dana action=approved")

    assert "by='dana action=approved'" in terminal.getvalue()


def test_fields_added_by_temporal_become_keys_and_leave_the_message_unchanged(lines):
    details = {
        "workflow_id": "plan-1",
        "run_id": "r",
        "attempt": 3,
        "namespace": "default",
        "task_queue": "q",
    }
    logging.getLogger("temporalio.workflow").info(
        "Waiting.", extra={"temporal_workflow": details | {"update_name": "decide"}, "action": "waiting"}
    )

    assert lines.last["message"] == "Waiting."
    assert (
        lines.last.items()
        >= {"workflow_id": "plan-1", "run_id": "r", "attempt": 3, "update": "decide"}.items()
    )
    assert "temporal_workflow" not in lines.last
    assert "namespace" not in lines.last
    assert not workflow.logger.workflow_info_on_message


async def test_a_line_from_an_activity_contains_its_name(lines):
    @activity.defn
    async def log_twice() -> None:
        log.info("From structlog.", step=1)
        activity.logger.info("From Temporal's own logger.")

    await ActivityEnvironment().run(log_twice)

    ours, theirs = (json.loads(line) for line in lines.getvalue().splitlines())
    assert ours["workflow_id"] == theirs["workflow_id"] == "test"
    assert ours["activity_type"] == theirs["activity_type"] == "unknown"
    assert theirs["message"] == "From Temporal's own logger."


def test_an_expected_failure_is_one_sentence(lines):
    failure = ApplicationError("The host refused.", type="ToolRefused")
    failure.__cause__ = ToolRefused("The host refused.")
    logging.getLogger("temporalio.activity").warning("Completing activity as failed", exc_info=failure)

    assert lines.last["error"] == "ToolRefused: The host refused."
    assert "exception" not in lines.last


def test_any_other_failure_has_its_traceback(terminal):
    try:
        int("odd\x1b[2K")
    except ValueError:
        log.exception("It failed.")

    assert "Traceback (most recent call last):\n  File " in terminal.getvalue()
    assert terminal.getvalue().replace("\n", "").isprintable()


def test_an_unexpected_failure_keeps_its_traceback_when_temporal_wraps_it(lines):
    failure = ApplicationError("An unexpected failure.")
    failure.__cause__ = ZeroDivisionError("division by zero")
    log.error("It failed.", exc_info=failure)

    assert "ZeroDivisionError: division by zero" in str(lines.last["exception"])


def test_libraries_log_only_warnings_and_errors_regardless_of_the_level(configure):
    stream = configure(Lines(), log_level="debug")
    for name in ("httpx", "openai", "autogen_core.events", "alembic.runtime", "an.unknown.library"):
        logging.getLogger(name).info("the whole prompt")
    logging.getLogger("temporalio.worker").info("the whole payload")
    assert stream.getvalue() == ""

    log.debug("ours")
    logging.getLogger("httpx").warning("theirs")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["ours", "theirs"]


def test_the_level_applies_to_plangates_loggers(configure):
    stream = configure(Lines(), log_level="error")
    log.warning("no")
    logging.getLogger("httpx").warning("no")
    log.error("yes")

    assert len(stream.getvalue().splitlines()) == 1


def core_record(message: str, **fields: str) -> logging.LogRecord:
    logger = logging.getLogger("temporalio.core")
    extra = {"temporal_log": SimpleNamespace(fields=fields)}
    return logger.makeRecord(logger.name, logging.WARNING, "", 0, message, (), None, extra=extra)


def test_an_unavailable_server_is_logged_once_and_not_at_each_poll(lines):
    error = 'Status { message: "tcp connect error", source: Some(Os { message: "Connection refused" }) }'
    for poll in ("workflow", "activity"):
        for count in range(6, 9):
            text = f"gRPC call poll_{poll}_task_queue retried {count} times"
            logging.getLogger("temporalio.core").handle(core_record(text, error=error))

    assert len(lines.getvalue().splitlines()) == 1
    assert lines.last["message"] == "The Temporal server is not responding; this process keeps trying."
    assert lines.last["error"] == "Connection refused"


def test_a_failed_workflow_task_is_logged_once(lines):
    logging.getLogger("temporalio.core").handle(core_record("Failing workflow task", failure="all of it"))

    assert lines.getvalue() == ""


def test_an_unreadable_signal_is_one_line_without_a_traceback(lines):
    failure = RuntimeError("Failed decoding arguments")
    logging.getLogger("temporalio.worker._workflow_instance").error(
        "Failed deserializing signal input for approve", exc_info=failure
    )

    assert lines.last["error"] == "RuntimeError: Failed decoding arguments"
    assert "exception" not in lines.last


def test_other_lines_of_the_core_keep_their_fields(lines):
    logging.getLogger("temporalio.core").handle(core_record("Task not found", run_id="r"))

    assert lines.last.items() >= {"message": "Task not found", "run_id": "r"}.items()


def test_a_python_warning_is_a_line_like_any_other(lines):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)

    assert lines.last["level"] == "warning"
    assert "UserWarning: careful" in str(lines.last["message"])


def test_secrets_are_not_written(lines):
    log.info(
        "Connecting to postgresql://gate:p@ss@db/x with Bearer abc.def-123456",
        api_key="k",
        headers={"Authorization": "Basic Zm9vOmJhcg=="},
        signature="s",
        arguments={"to": ["dana@example.org"]},
        tokens=12,
    )

    assert (
        lines.last.items()
        >= {
            "message": "Connecting to postgresql://[redacted]@db/x with Bearer [redacted]",
            "api_key": "[redacted]",
            "headers": {"Authorization": "[redacted]"},
            "signature": "[redacted]",
            "arguments": "[redacted]",
            "tokens": 12,
        }.items()
    )


def test_secrets_are_not_written_in_a_traceback(lines):
    failure = ValueError("input_value={'signature': 'eyJhbGciOiJFZERTQSJ9.eyJwbGFuIjoiMyJ9.c2ln'}")
    log.error("It failed.", exc_info=failure)

    assert "eyJ" not in lines.getvalue()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("smtp://user:pw@mail:25", "smtp://[redacted]@mail:25"),
        ("https://h/x?access_token=abc&page=2", "https://h/x?access_token=[redacted]&page=2"),
        (
            "[type=int_parsing, input_value='dana', input_type=str]",
            "[type=int_parsing, input_value=[redacted], input_type=str]",
        ),
        ("key sk-proj-abcdefghijklmnop.", "key [redacted]."),
        ("mail dana@example.org about https://h/x?page=2", "mail dana@example.org about https://h/x?page=2"),
        ("the plan 3f9a12bc4d5e was approved", "the plan 3f9a12bc4d5e was approved"),
    ],
)
def test_a_secret_in_a_text_is_recognized_by_its_pattern(text, written):
    assert redact_text(text) == written


@pytest.mark.parametrize(
    "name", ["password", "SMTP_PASSWORD", "x-api-key", "apiKey", "Set-Cookie", "id_token", "prompt"]
)
def test_a_secret_is_recognized_by_its_name(name):
    assert redact(name, "value") == "[redacted]"
    assert redact("outer", {name: "value"}) == {name: "[redacted]"}


@pytest.mark.parametrize(
    "name", ["action", "fingerprint", "idempotency_key", "step", "message", "task_queue"]
)
def test_ordinary_text_is_kept(name):
    assert redact(name, "value") == "value"


def test_a_long_text_is_logged_without_its_middle(lines):
    text = "It failed " + "x" * 3_000_000 + " here."
    log.error(text, error="a" * 3_000_000 + "b")

    assert len(lines.getvalue()) < 100_000
    assert lines.last["message"].endswith(" here.")
    assert lines.last["error"].endswith("ab")
    assert "characters omitted" in lines.last["error"]


async def test_a_deferred_line_is_written_after_the_result_and_states_its_activity(configure) -> None:
    lines, written = configure(Lines()), asyncio.Event()

    def write() -> None:
        log.info("The step is done.")
        written.set()

    async def act() -> str:
        log_later(write)
        so_far: str = lines.getvalue()
        return so_far

    assert await ActivityEnvironment().run(act) == ""
    await written.wait()
    assert lines.last["activity_type"] == "unknown"


def test_an_unknown_variable_is_logged_when_a_program_starts(configure, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLANGATE_METRICS_PORT", "9090")
    lines = configure(Lines())
    warn_of_unknown_variables()
    assert lines.last["action"] == "settings"
    assert "There is no setting PLANGATE_METRICS_PORT" in str(lines.last["message"])
