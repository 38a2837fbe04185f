"""Mails are sent once and completely, or known to be unsent, with a real folder and real mail servers."""

import asyncio
import errno
import inspect
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr, ValidationError

from activities.effect_once import EarlierState, act_once
from activities.tools.email import outbox
from activities.tools.email.message import SendEmailArguments
from activities.tools.email.outbox import Outbox
from activities.tools.email.smtp import SmtpDelivery
from activities.tools.email.tool import SendEmail
from plangate.domain.errors import EffectUnknown, SettingsInvalid, ToolRefused, ToolUnavailable
from plangate.domain.plans.drafting import complete
from plangate.domain.plans.tool import Receipt
from plangate.files import durable_file
from plangate.mail import smtp as smtp_delivery
from plangate.mail.smtp import MEANINGS, SmtpServer, error_for
from plangate.settings import Settings
from plangate.tool import DidNotHappen, Happened, Unknown, arguments_for
from tests.integration.certificates import certificate_for

KEY = "plan-1:3f9a12bc4d5e:1"
SENDER = "gate@example.org"
MAIL = SendEmailArguments(
    to=("dana@example.org", "erin@example.org"), cc=("carol@example.org",), subject="Grüße", body=".\nHello\n"
)


class Postbox:
    """Stores the mails that the mail server accepts. Subclasses change one of its replies."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []
        self.authenticated: list[bool] = []
        self.tls: list[bool] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        self.mails.append(envelope)
        self.authenticated.append(bool(session.authenticated))
        self.tls.append(session.ssl is not None)
        return "250 queued as 4711"


@asynccontextmanager
async def mail_server(handler: object, host: str = "127.0.0.1", **options: Any) -> AsyncIterator[int]:
    """Run a real aiosmtpd server; yield its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname="mail.test", **options), host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def scripted_server(
    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Run a server with replies that no correct server sends; yield its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def tool(port: int, **options: Any) -> SendEmail:
    return SendEmail(SmtpDelivery(SmtpServer("127.0.0.1", port, **options)), SENDER)


def read(content: object) -> EmailMessage:
    assert isinstance(content, bytes)
    return BytesParser(policy=policy.default).parsebytes(content)


# The outbox


async def test_a_cited_item_is_at_the_end_of_the_subject_in_the_preview_and_in_the_mail(tmp_path):
    sending = SendEmail.from_settings(Settings(var_dir=tmp_path))
    fields = {"to": ["dana@example.org"], "subject": "Your refund", "body": "It is on its way."}
    referring = {**fields, "cites": {"from_step": 2, "field": "key"}}

    planned = SendEmailArguments.model_validate_json(json.dumps(referring))
    resolved = SendEmailArguments.model_validate_json(json.dumps({**fields, "cites": "acme/support#17"}))
    await sending.act(resolved, KEY)

    assert 'subject "Your refund [the key of step 2]"' in sending.preview(planned, None)
    (path,) = (tmp_path / "outbox").glob("*.eml")
    assert read(path.read_bytes())["Subject"] == "Your refund [acme/support#17]"
    assert "cites" not in complete(arguments_for(SendEmail.declaration, fields))


@pytest.mark.parametrize("cited", ["one\nBcc: eve@example.org", "17] [18", " 17", "1" * 101])
def test_a_cited_item_is_one_short_line_without_brackets(cited):
    fields = {"to": ["dana@example.org"], "subject": "Your refund", "body": "", "cites": cited}
    with pytest.raises(ValidationError):
        arguments_for(SendEmail.declaration, fields)


async def test_without_a_server_a_mail_becomes_a_file_that_mail_programs_read(tmp_path):
    sending = SendEmail.from_settings(Settings(var_dir=tmp_path))

    receipt = await sending.act(MAIL, KEY)

    (path,) = (tmp_path / "outbox").glob("*.eml")
    content = read(path.read_bytes())
    assert content["Subject"] == "Grüße"
    assert content.get_content().replace("\r\n", "\n") == ".\nHello\n"
    assert receipt.details == {
        "message_id": content["Message-ID"].strip(),
        "to": ["dana@example.org", "erin@example.org"],
        "cc": ["carol@example.org"],
        "subject": "Grüße",
        "file": str(path),
    }


async def test_ten_concurrent_attempts_under_one_key_leave_one_file_and_one_receipt(tmp_path):
    sending = SendEmail(Outbox(tmp_path), SENDER)

    receipts = await asyncio.gather(*(sending.act(MAIL, KEY) for _ in range(10)))

    assert len(list(tmp_path.iterdir())) == 1
    assert all(receipt == receipts[0] for receipt in receipts)


async def test_a_second_call_under_a_key_leaves_the_first_file_unchanged(tmp_path):
    sending = SendEmail(Outbox(tmp_path), SENDER)
    await sending.act(MAIL, KEY)
    (path,) = tmp_path.iterdir()
    before = path.stat().st_ino, path.read_bytes()

    await sending.act(MAIL.model_copy(update={"subject": "Another"}), KEY)

    assert (path.stat().st_ino, path.read_bytes()) == before


async def test_different_keys_make_different_mails(tmp_path):
    sending = SendEmail(Outbox(tmp_path), SENDER)

    await sending.act(MAIL, KEY)
    await sending.act(MAIL, "plan-1:3f9a12bc4d5e:2")

    assert len(list(tmp_path.glob("*.eml"))) == 2


class Killed(BaseException):
    """A simulated kill of the worker's process."""


async def kill_at(call: str, sending: SendEmail, *, after: bool = False) -> None:
    """Kill a worker at, or right after, one file system call as it writes the mail."""
    real = getattr(outbox, call)

    def die(*arguments: object) -> None:
        if after:
            real(*arguments)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, call, die)
        with pytest.raises(Killed):
            await sending.act(MAIL, KEY)


async def test_after_a_crash_the_file_proves_that_it_happened(tmp_path):
    sending = SendEmail(Outbox(tmp_path / "outbox"), SENDER)
    await kill_at("move", sending, after=True)

    finding = await sending.find_out(MAIL, KEY)

    assert isinstance(finding, Happened)
    assert await sending.act(MAIL, KEY) == finding.receipt
    assert len(list((tmp_path / "outbox").iterdir())) == 1


@pytest.mark.parametrize(("call", "after"), [("write_over", True), ("move", False)])
async def test_an_unfinished_mail_in_this_outbox_is_sent_by_the_next_attempt(tmp_path, call, after):
    sending = SendEmail(Outbox(tmp_path), SENDER)
    await kill_at(call, sending, after=after)
    assert list(tmp_path.glob("*.eml")) == []

    await next_attempts(sending)

    (path,) = tmp_path.iterdir()
    assert read(path.read_bytes())["Subject"] == "Grüße"


async def next_attempts(sending: SendEmail) -> None:
    """Look the mail up, and start again because it was not sent."""
    with pytest.raises(ToolUnavailable, match="starts over"):
        await act_once(sending, MAIL, KEY, earlier=EarlierState.BEGUN)
    await act_once(sending, MAIL, KEY, earlier=EarlierState.NOTHING)


async def test_the_lookup_removes_the_draft_of_an_unsent_mail(tmp_path):
    sending = SendEmail(Outbox(tmp_path), SENDER)
    await kill_at("move", sending)

    assert await sending.find_out(MAIL, KEY) == DidNotHappen()
    assert list(tmp_path.iterdir()) == []


async def test_an_attempt_that_was_presumed_dead_no_longer_writes_a_mail(tmp_path, monkeypatch):
    late, newer, real = (
        SendEmail(Outbox(tmp_path), SENDER),
        SendEmail(Outbox(tmp_path), SENDER),
        durable_file.move,
    )

    def move_after_delay(draft: Path, path: Path) -> None:
        monkeypatch.setattr(outbox, "move", real)
        asyncio.run(next_attempts(newer))
        path.rename(tmp_path / "archived")
        real(draft, path)

    monkeypatch.setattr(outbox, "move", move_after_delay)
    with pytest.raises(EffectUnknown, match="Look for the Message-ID"):
        await act_once(late, MAIL, KEY, earlier=EarlierState.NOTHING)

    assert [path.name for path in tmp_path.iterdir()] == ["archived"]


async def test_another_workers_outbox_does_not_show_the_result_and_writes_no_second_mail(tmp_path):
    one, other = (SendEmail(Outbox(tmp_path / host), SENDER) for host in ("one", "other"))
    await one.act(MAIL, KEY)  # and its worker dies before the receipt is stored

    with pytest.raises(EffectUnknown, match="outboxes of other workers"):
        await act_once(other, MAIL, KEY, earlier=EarlierState.BEGUN)

    assert len(list(tmp_path.rglob("*.eml"))) == 1


async def test_a_mail_moved_before_its_receipt_was_stored_is_not_written_again(tmp_path):
    sending = SendEmail(Outbox(tmp_path / "outbox"), SENDER)
    await sending.act(MAIL, KEY)
    for path in (tmp_path / "outbox").glob("*.eml"):
        path.rename(tmp_path / "sent.eml")

    with pytest.raises(EffectUnknown, match="archived"):
        await act_once(sending, MAIL, KEY, earlier=EarlierState.BEGUN)

    assert [path.name for path in tmp_path.rglob("*.eml")] == ["sent.eml"]


async def test_the_outbox_does_not_show_what_a_previously_configured_mail_server_did(tmp_path):
    before = SendEmail.from_settings(Settings(var_dir=tmp_path, smtp_url=SecretStr("smtp://127.0.0.1:1")))
    after = SendEmail.from_settings(Settings(var_dir=tmp_path))
    with pytest.raises(ToolUnavailable):
        await before.act(MAIL, KEY)  # the outbox does not show whether it began there

    with pytest.raises(EffectUnknown, match="mail server that was configured before"):
        await act_once(after, MAIL, KEY, earlier=EarlierState.BEGUN)

    assert list(tmp_path.rglob("*.eml")) == []


async def test_a_partial_file_of_a_killed_worker_is_not_a_mail_and_proves_nothing(tmp_path):
    (tmp_path / ".killed.part").write_bytes(b"From: gate@exam")
    sending = SendEmail(Outbox(tmp_path), SENDER)

    assert isinstance(await sending.find_out(MAIL, KEY), Unknown)
    await sending.act(MAIL, KEY)

    assert len(list(tmp_path.glob("*.eml"))) == 1


async def test_a_mail_that_could_not_be_started_leaves_no_trace_of_a_start(tmp_path, monkeypatch):
    sending, real = SendEmail(Outbox(tmp_path), SENDER), durable_file.write_over

    def fail_after_write(path: Path, content: bytes) -> None:
        real(path, content)
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(outbox, "write_over", fail_after_write)
    with pytest.raises(ToolUnavailable):
        await act_once(sending, MAIL, KEY, earlier=EarlierState.NOTHING)

    assert list(tmp_path.iterdir()) == []


async def test_an_unwritable_outbox_is_retried_later(tmp_path):
    (tmp_path / "outbox").write_text("a file where the folder should be")
    sending = SendEmail(Outbox(tmp_path / "outbox"), SENDER)

    with pytest.raises(ToolUnavailable, match="outbox"):
        await sending.act(MAIL, KEY)
    with pytest.raises(ToolUnavailable, match="outbox"):
        await sending.find_out(MAIL, KEY)


# A mail server that works


async def test_a_mail_reaches_every_recipient_with_the_message_id_of_its_key():
    postbox = Postbox()
    async with mail_server(postbox) as port:
        receipt = await tool(port).act(MAIL, KEY)
        await tool(port).act(MAIL, KEY)

    first, second = postbox.mails
    assert first.mail_from == SENDER
    assert first.rcpt_tos == ["dana@example.org", "erin@example.org", "carol@example.org"]
    content, again = read(first.content), read(second.content)
    assert content["Message-ID"] == again["Message-ID"] == receipt.details["message_id"]
    assert content.get_content().replace("\r\n", "\n") == ".\nHello\n"
    assert receipt.details["reply"] == "250 queued as 4711"


async def test_a_mail_passed_to_a_server_must_be_looked_up_by_a_person():
    finding = await tool(25).find_out(MAIL, KEY)

    assert isinstance(finding, Unknown)
    assert "Message-ID <" in finding.reason
    assert "log of 127.0.0.1:25" in finding.reason


async def test_a_mail_is_sent_if_the_server_hangs_up_after_accepting_it():
    class HangsUp(Postbox):
        async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "221 bye"

    postbox = HangsUp()
    async with mail_server(postbox) as port:
        await tool(port).act(MAIL, KEY)

    assert len(postbox.mails) == 1


async def test_starttls_is_used_if_offered(tmp_path):
    certificate = certificate_for("localhost", tmp_path)
    postbox = Postbox()
    async with mail_server(postbox, tls_context=certificate.server) as port:
        await SendEmail(SmtpDelivery(SmtpServer("localhost", port, trust=certificate.client)), SENDER).act(
            MAIL, KEY
        )

    assert postbox.tls == [True]


async def test_a_server_with_an_untrusted_certificate_gets_nothing(tmp_path):
    certificate = certificate_for("localhost", tmp_path)
    postbox = Postbox()
    async with mail_server(postbox, tls_context=certificate.server) as port:
        with pytest.raises(ToolUnavailable, match="certificate"):
            await SendEmail(SmtpDelivery(SmtpServer("localhost", port)), SENDER).act(MAIL, KEY)

    assert postbox.mails == []


def only_dana(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:  # noqa: ARG001
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"dana", b"p@ss:word")
    return AuthResult(success=good, handled=good)


async def test_the_user_and_password_in_the_url_may_contain_special_characters(tmp_path):
    postbox = Postbox()
    async with mail_server(postbox, authenticator=only_dana, auth_require_tls=False) as port:
        url = SecretStr(f"smtp://dana:p%40ss%3Aword@127.0.0.1:{port}")
        sending = SendEmail.from_settings(Settings(smtp_url=url, mail_from=SENDER, var_dir=tmp_path))
        await sending.act(MAIL, KEY)

    assert postbox.authenticated == [True]
    assert not list(tmp_path.iterdir())


async def test_a_wrong_password_fails_permanently_and_is_never_shown():
    postbox = Postbox()
    async with mail_server(postbox, authenticator=only_dana, auth_require_tls=False) as port:
        with pytest.raises(ToolRefused, match="535") as caught:
            await tool(port, username="dana", password="hunter2").act(MAIL, KEY)

    assert "hunter2" not in str(caught.value)
    assert postbox.mails == []


async def test_a_password_is_not_sent_unencrypted_to_another_machine():
    postbox = Postbox()
    try:
        async with mail_server(
            postbox, host="127.0.0.2", authenticator=only_dana, auth_require_tls=False
        ) as port:
            with pytest.raises(ToolRefused, match="STARTTLS"):
                await SendEmail(
                    SmtpDelivery(SmtpServer("127.0.0.2", port, username="dana", password="x")), SENDER
                ).act(MAIL, KEY)
    except OSError:
        pytest.skip("this machine has no second loopback address")

    assert postbox.mails == []


# Only the approved bytes are sent


@pytest.mark.parametrize(
    ("where", "name", "change"),
    [
        (aiosmtplib.smtp, "quote_address", lambda _: "<eve@evil.example>"),
        (aiosmtplib.protocol, "normalize_message_line_endings", lambda mail: mail.replace(b"Hello", b"Helo")),
        (
            aiosmtplib.protocol,
            "normalize_message_line_endings",
            lambda mail: b"Bcc: eve@evil.example\r\n" + mail,
        ),
    ],
    ids=["envelope", "body", "header"],
)
async def test_a_library_that_changes_the_mail_sends_nothing(monkeypatch, where, name, change):
    kept = getattr(where, name)
    monkeypatch.setattr(where, name, lambda given: change(kept(given) if isinstance(given, bytes) else given))
    postbox = Postbox()
    async with mail_server(postbox) as port:
        with pytest.raises(ToolRefused, match="differs from the one that was approved"):
            await tool(port).act(MAIL, KEY)

    assert postbox.mails == []


async def test_a_long_subject_keeps_its_spaces_in_the_mail_and_the_receipt():
    subject = "Просим подтвердить перевод на сумму 12 000 рублей по договору поставки оборудования от 1 мая"
    postbox = Postbox()
    async with mail_server(postbox) as port:
        receipt = await tool(port).act(MAIL.model_copy(update={"subject": subject}), KEY)

    assert read(postbox.mails[0].content)["Subject"] == receipt.details["subject"] == subject


# A mail server that fails


async def test_an_unavailable_server_is_retried_later():
    async with mail_server(Postbox()) as port:
        pass

    with pytest.raises(ToolUnavailable, match="nothing was sent"):
        await tool(port).act(MAIL, KEY)


class RefusingRecipients(Postbox):
    """A mail server that refuses some recipients with given replies, and accepts all others."""

    def __init__(self, **replies: str) -> None:
        super().__init__()
        self.replies = {f"{name}@example.org": reply for name, reply in replies.items()}

    async def handle_RCPT(  # noqa: N802
        self,
        server: SMTP,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        envelope: Envelope,
        address: str,
        options: list[str],  # noqa: ARG002
    ) -> str:
        if address in self.replies:
            return self.replies[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"


async def test_a_permanently_refused_recipient_is_listed_and_the_others_get_the_mail():
    postbox = RefusingRecipients(erin="550 no such user")
    async with mail_server(postbox) as port:
        receipt = await tool(port).act(MAIL, KEY)

    (mail,) = postbox.mails
    assert mail.rcpt_tos == ["dana@example.org", "carol@example.org"]
    assert receipt.summary == (
        f"accepted by the mail server 127.0.0.1:{port} for 2 of 3 recipients; it refused erin@example.org "
        "(550 no such user)"
    )
    assert receipt.details["to"] == ["dana@example.org"]
    assert receipt.details["cc"] == ["carol@example.org"]
    assert receipt.details["refused"] == {"erin@example.org": "550 no such user"}


async def test_a_mail_without_any_accepted_recipient_fails_permanently():
    postbox = RefusingRecipients(dana="550 gone", erin="551 moved", carol="553 never was")
    async with mail_server(postbox) as port:
        with pytest.raises(ToolRefused, match=r"dana@.*550 gone.*erin@.*carol@.*nothing was sent"):
            await tool(port).act(MAIL, KEY)

    assert postbox.mails == []


@pytest.mark.parametrize("carol", ["250 OK", "550 no such user"])
async def test_a_temporarily_refused_recipient_causes_a_retry_for_all(carol):
    postbox = RefusingRecipients(
        erin="451 come back in five minutes", **({} if carol == "250 OK" else {"carol": carol})
    )
    async with mail_server(postbox) as port:
        with pytest.raises(ToolUnavailable, match=r"erin@example.*nothing was sent to any"):
            await tool(port).act(MAIL, KEY)

    assert postbox.mails == []


STAGES = ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "end"]


def server_that_fails_at(
    stage: str, reply: str
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return a server that accepts every stage but one, and disconnects if the reply is ``-``."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def answer(now: str, usual: str) -> bool:
            said = reply if now == stage else usual
            writer.write(f"{said}\r\n".encode() if said != "-" else b"")
            return said != "-"

        if not answer("greeting", "220 mail.test"):
            return
        while line := await reader.readline():
            word = line.decode().strip().split(" ")[0].upper().replace("HELO", "EHLO")
            usual = {"EHLO": "250-mail.test\r\n250 AUTH PLAIN", "DATA": "354 go on", "AUTH": "235 hello"}
            if not answer(word, usual.get(word, "250 OK")):
                return
            if word == "DATA" and stage != "DATA":
                await reader.readuntil(b"\r\n.\r\n")
                if not answer("end", "250 queued"):
                    return

    return script


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("reply", "error"), [("451 not now", ToolUnavailable), ("550 never", ToolRefused), ("-", None)]
)
async def test_temporary_and_permanent_refusals_and_timeouts_are_distinguished_at_every_stage(
    stage, reply, error
):
    async with scripted_server(server_that_fails_at(stage, reply)) as port:
        in_doubt = EffectUnknown if stage == "end" else ToolUnavailable
        if stage == "DATA" and reply == "-":
            in_doubt = EffectUnknown  # the command was sent
        with pytest.raises(error or in_doubt) as caught:
            await tool(port, username="dana", password="x").act(MAIL, KEY)

    assert ("nothing was sent" in str(caught.value)) == (caught.type is not EffectUnknown)


async def test_a_mail_over_smtps_is_sent_if_the_certificate_is_trusted(tmp_path, monkeypatch):
    certificate = certificate_for("localhost", tmp_path)
    postbox = Postbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(postbox, hostname="mail.test"), "127.0.0.1", 0, ssl=certificate.server
    )
    port = server.sockets[0].getsockname()[1]
    async with server:
        options: dict[str, Any] = {"implicit_tls": True, "trust": certificate.client}
        await SendEmail(SmtpDelivery(SmtpServer("localhost", port, **options)), SENDER).act(MAIL, KEY)
        with pytest.raises(ToolUnavailable, match="certificate"):
            await SendEmail(SmtpDelivery(SmtpServer("127.0.0.1", port, **options)), SENDER).act(MAIL, KEY)
        with pytest.raises(ToolUnavailable, match="certificate"):
            await SendEmail(SmtpDelivery(SmtpServer("localhost", port, implicit_tls=True)), SENDER).act(
                MAIL, KEY
            )
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        url = SecretStr(f"smtps://localhost:{port}")
        await SendEmail(SmtpDelivery.from_url(url), SENDER).act(MAIL, KEY)

    assert len(postbox.mails) == 2


async def test_starttls_in_the_url_is_also_required_without_a_login():
    postbox = Postbox()
    async with mail_server(postbox) as port:
        url = SecretStr(f"smtp+starttls://127.0.0.1:{port}")
        with pytest.raises(ToolRefused, match="STARTTLS"):
            await SendEmail(SmtpDelivery.from_url(url), SENDER).act(MAIL, KEY)

    assert postbox.mails == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [("552 too big", ToolRefused), ("451 not now", ToolUnavailable), ("299 what", EffectUnknown)],
)
async def test_the_final_reply_determines_whether_the_mail_was_accepted(reply, error):
    class Replying(Postbox):
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
            return str(reply)

    async with mail_server(Replying()) as port:
        with pytest.raises(error, match=reply):
            await tool(port).act(MAIL, KEY)


async def test_a_connection_that_drops_after_the_data_leaves_the_mail_in_doubt():
    class Dropping(Postbox):
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
            await super().handle_DATA(server, session, envelope)
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "250 never heard"

    postbox = Dropping()
    async with mail_server(postbox) as port:
        with pytest.raises(EffectUnknown):
            await tool(port).act(MAIL, KEY)

    assert len(postbox.mails) == 1


async def test_a_server_that_does_not_reply_after_the_data_leaves_the_mail_in_doubt():
    left = asyncio.Event()

    class Silent(Postbox):
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
            await left.wait()
            return "250 too late"

    async with mail_server(Silent()) as port:
        with pytest.raises(EffectUnknown):
            await tool(port, reply_seconds=0.2).act(MAIL, KEY)
        left.set()


@pytest.mark.parametrize(("minutes", "end"), [(9, Receipt), (11, EffectUnknown)])
async def test_a_server_that_scans_the_mail_for_minutes_is_awaited(minutes, end, monkeypatch):
    received, scanned, passed = asyncio.Event(), asyncio.Event(), 0.0

    class SlowScanner(Postbox):
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
            received.set()
            await scanned.wait()
            return await super().handle_DATA(server, session, envelope)

    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: time.monotonic() + passed)
    async with mail_server(SlowScanner(), timeout=3_600) as port:
        acting = asyncio.create_task(act_once(tool(port), MAIL, KEY, earlier=EarlierState.NOTHING))
        await received.wait()
        passed = minutes * 60.0
        await asyncio.sleep(0.01)
        scanned.set()
        (ended,) = await asyncio.gather(acting, return_exceptions=True)
    assert isinstance(ended, end)


def test_the_timeout_of_the_tool_exceeds_the_sum_of_its_waits():
    waits_for = 2 * smtp_delivery.ENVELOPE_SECONDS + smtp_delivery.REPLY_SECONDS
    assert SendEmail.declaration.seconds > waits_for + smtp_delivery.QUIT_SECONDS


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"554 no mail service here\r\n", ToolRefused),
        (b"421 too busy\r\n", ToolUnavailable),
        (b"SSH-2.0-OpenSSH_9.6\r\n", ToolUnavailable),
        (b"", ToolUnavailable),
    ],
)
async def test_a_refusing_greeting_means_that_nothing_was_sent(greeting, error):
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        writer.write(greeting)
        await writer.drain()

    async with scripted_server(script) as port:
        with pytest.raises(error, match="nothing was sent"):
            await tool(port).act(MAIL, KEY)


async def test_a_nonsensical_final_reply_leaves_the_mail_in_doubt():
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test\r\n")
        while line := await reader.readline():
            if line == b"DATA\r\n":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"what was that?\r\n")
                return
            writer.write(b"250 OK\r\n")

    async with scripted_server(script) as port:
        with pytest.raises(EffectUnknown):
            await tool(port).act(MAIL, KEY)


async def test_a_servers_reply_is_shown_on_one_line_with_nothing_hidden():
    class EscapeSequence(Postbox):
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
            return "550-\x1b[2Jyour mail\r\n550 was sent"

    async with mail_server(EscapeSequence()) as port:
        with pytest.raises(ToolRefused, match="⟨U\\+001B⟩") as caught:
            await tool(port).act(MAIL, KEY)

    assert "\n" not in str(caught.value)


# The table of failures, and the address of the server


def exceptions_of_the_library() -> list[type[Exception]]:
    return [
        value
        for value in vars(aiosmtplib.errors).values()
        if inspect.isclass(value) and issubclass(value, aiosmtplib.SMTPException)
    ]


def test_every_error_of_the_library_is_classified():
    assert len(exceptions_of_the_library()) >= 15
    assert set(exceptions_of_the_library()) <= set(MEANINGS)


@pytest.mark.parametrize("kind", MEANINGS)
@pytest.mark.parametrize("code", [-1, 250, 421, 550])
def test_a_mail_is_in_doubt_only_between_the_data_and_the_reply(kind, code):
    error = kind.__new__(kind)
    error.code, error.message, error.recipient = code, "said", "dana@example.org"
    has_reply = issubclass(kind, aiosmtplib.SMTPResponseException)

    before = error_for(error, "mail.test", data_begun=False)
    after = error_for(error, "mail.test", data_begun=True)

    assert not isinstance(before, EffectUnknown)
    if has_reply:
        assert isinstance(before, ToolRefused) == (code == 550)
    if kind in (aiosmtplib.SMTPDataError, aiosmtplib.SMTPResponseException) and code in (421, 550):
        assert isinstance(after, ToolRefused if code == 550 else ToolUnavailable)
    else:
        assert isinstance(after, EffectUnknown)


def parts_of(url: str) -> tuple[object, ...]:
    """Return host, port, implicit TLS, user and password; the last two are private."""
    server = SmtpServer.from_url(SecretStr(url))
    secret = server._username, server._password  # noqa: SLF001
    return (server._host, server._port, server._implicit_tls, *secret)  # noqa: SLF001


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtp://mail.example.org", "mail.example.org", 25, False),
        ("smtp://dana:pw@mail.example.org", "mail.example.org", 587, False),
        ("smtps://dana:pw@mail.example.org", "mail.example.org", 465, True),
        ("smtp+starttls://mail.example.org", "mail.example.org", 587, False),
        ("smtp://[::1]:1025/", "::1", 1025, False),
        ("SMTP://Mail.Example.ORG:2525", "mail.example.org", 2525, False),
        ("smtps://post.bücher.example", "post.bücher.example", 465, True),
    ],
)
def test_a_server_without_a_port_has_the_default_port(url, host, port, tls):
    assert parts_of(url)[:3] == (host, port, tls)


@pytest.mark.parametrize("password", ["12#x", "a?b/c", "p@ss", "a:b", "100%", "#", "//x@y:25/"])
def test_a_password_may_contain_url_delimiters(password):
    url = f"smtp://dana:{password}@mail.example.org:2525"

    assert parts_of(url) == ("mail.example.org", 2525, False, "dana", password)


@pytest.mark.parametrize(
    "url",
    [
        "smtp://mail.example.org/a@b",
        "smtp://mail.example.org:0",
        "smtp://mail.example.org:70000",
        "smtp://mail.example.org#a@b",
        "mail.example.org:25",
        "http://mail.example.org",
        "smtp://",
        "smtp://dana:hunter2@h:port",
        "smtp://h/x?y=z",
    ],
)
def test_an_invalid_server_address_is_refused_without_showing_the_password(url):
    with pytest.raises(SettingsInvalid, match="PLANGATE_SMTP_URL") as caught:
        SendEmail.from_settings(Settings(smtp_url=SecretStr(url)))

    assert "hunter2" not in str(caught.value)


def test_the_declaration_promises_only_what_is_true_with_every_setting(tmp_path: Path):
    folder = SendEmail.from_settings(Settings(var_dir=tmp_path))
    server = SendEmail.from_settings(Settings(var_dir=tmp_path, smtp_url=SecretStr("smtp://127.0.0.1:25")))

    assert folder.declaration is server.declaration is SendEmail.declaration
    assert "in doubt" in SendEmail.declaration.retry_safety
