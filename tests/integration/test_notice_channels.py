"""Notices reach mail servers, chat services and webhooks, and each failure is classified correctly.

The services are small servers that speak their protocols; a proxy replaces Apprise's own hosts.
"""

import asyncio
import logging
import random
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from email import policy
from email.parser import BytesParser
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from plangate.domain.errors import SettingsInvalid
from plangate.notifications.channels import Channels
from plangate.notifications.notice import Attempted, Delivery, NoticeKind, Sending
from plangate.policy.people_file import people_in
from plangate.settings import Settings
from tests.integration.certificates import certificate_for
from tests.support.faulty_server import Answer, ByteByByte, FaultyServer, Says
from tests.support.notice_faults import (
    MAIL_FAULTS,
    RECIPIENT,
    SHORT,
    Expected,
    MailFault,
    all_checks,
    check,
    mail_server,
    sending_to,
    settings_for,
)
from tests.support.notice_services import ADDRESSES, SECRETS, Running, running_services
from tests.support.notice_texts import NOW, notice_with
from tests.support.notice_trials import CHANNELS, TextTrials, cases

TO_DANA = f"mailto:{RECIPIENT}"
SERVICES = tuple(ADDRESSES)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_services(tmp_path_factory.mktemp("services")) as services:
        yield services


@pytest.fixture
def channels(running: Running, tmp_path: Path) -> Channels:
    running.server.clear_faults()
    running.services.received.clear()
    return Channels(settings_for(tmp_path))


@pytest.mark.parametrize("service", SERVICES)
async def test_a_notice_reaches_the_service_with_subject_text_and_link(running, channels, service):
    attempted = await channels.send(sending_to(running.addresses[service]), NOW)

    (received,) = running.services.received
    assert attempted == Attempted(delivery=Delivery.SENT)
    assert received.service == service
    assert "Your approval is needed" in received.title
    assert "https://gate.example.org/runs/rita" in received.body
    assert "in 4 hours 5 minutes" in received.body


async def test_a_webhook_gets_structured_fields_in_addition_to_the_text(running, channels):
    await channels.send(sending_to(running.addresses["webhook"]), NOW)

    (received,) = running.services.received
    (about,) = received.payload["notices"]
    assert received.payload["id"] == "plangate.1"
    assert about["kind"] == "needed"
    assert about["tools"] == [{"tool": "rita", "steps": 2}, {"tool": "create_ticket", "steps": 1}]
    assert about["deadline"] == "2026-11-26T13:05:00+00:00"


# Every fault

FAULTS = random.Random(18)


async def test_a_sample_of_the_fault_matrix_is_classified_correctly(running, tmp_path):
    checks = all_checks(running, SERVICES, tmp_path)  # `python -m chaos notice-faults` tests all of them
    chosen = FAULTS.sample(
        sorted(name for name in checks if "slow" not in name and "no reply" not in name), 40
    )
    for name in [*chosen, "webhook: slow", "slack hook: slow", "mail: no reply after the mail"]:
        try:
            await checks[name]()
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


async def test_a_service_with_an_untrusted_certificate_gets_nothing(running, channels, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    for service in ("slack hook", "teams"):
        attempted = await channels.send(sending_to(running.addresses[service]), NOW)
        check(attempted, Expected(Delivery.LATER, "certificate that is not trusted"))
    assert running.services.received == []


async def test_a_webhook_with_tls_works_if_its_authority_is_trusted(channels, tmp_path, monkeypatch):
    certificate = certificate_for("localhost", tmp_path)
    asked = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "localhost", 0, ssl=certificate.server)
    monkeypatch.setenv("NOTICE_TOKEN", "s3cret/with space")
    port = server.sockets[0].getsockname()[1]
    address = f"jsons://gate:${{NOTICE_TOKEN}}@localhost:{port}/${{NOTICE_TOKEN}}?-channel=a&+X-Token=${{NOTICE_TOKEN}}"
    check(await channels.send(sending_to(address), NOW), Expected(Delivery.LATER, "not trusted"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    check(await channels.send(sending_to(address), NOW), Expected(Delivery.SENT))
    server.close()
    assert b"POST /s3cret%2Fwith%20space?channel=a HTTP/1.1" in asked
    assert b"X-Token: s3cret/with space" in asked


@pytest.mark.parametrize("address", ["json://{}/in", "ntfy://{}/dana", "ntfy://{}/dana?redirect=yes"])
async def test_no_redirect_is_followed(channels, address):
    with FaultyServer(answer=lambda _: Answer(200, {})) as server:
        server.plan(Says(answer=Answer(302, {}, {"Location": f"{server.url}/elsewhere"})))
        host = server.url.removeprefix("http://")
        check(
            await channels.send(sending_to(address.format(host)), NOW),
            Expected(Delivery.REFUSED, "redirects"),
        )
        assert len(server.requests) == 1


PATHS = st.text(alphabet="abcXYZ0189", min_size=12, max_size=20)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=PATHS,
    scheme=st.sampled_from(["json", "ntfy", "jsons"]),
    status=st.sampled_from([302, 404, 410, 429, 503]),
)
async def test_no_reason_reveals_more_of_an_address_than_its_kind_and_host(channels, path, scheme, status):
    with FaultyServer(answer=lambda _: Answer(status, {}, {"Location": "/hook"})) as server:
        host = server.url.removeprefix("http://")
        attempted = await channels.send(sending_to(f"{scheme}://{host}/{path}"), NOW)
    assert attempted.delivery is not Delivery.SENT
    assert path not in attempted.reason
    gone = await channels.send(sending_to(f"{scheme}://{host}/{path}"), NOW)
    unset = await channels.send(sending_to(f"{scheme}://${{NOTICE_NONE}}/{path}"), NOW)
    wrong = await channels.send(sending_to(f"{scheme}://{host}/{path}/{path}2?x={path}"), NOW)
    assert path not in gone.reason + unset.reason + wrong.reason


async def test_an_unavailable_service_is_retried_later(channels, monkeypatch):
    monkeypatch.delenv("HTTPS_PROXY")
    with FaultyServer() as server:
        port = server.url.rpartition(":")[2]
    for address in (f"json://127.0.0.1:{port}/", f"ntfy://127.0.0.1:{port}/dana"):
        check(
            await channels.send(sending_to(address), NOW), Expected(Delivery.LATER, "refuses the connection")
        )
    lost = "jsons://nowhere.invalid/"
    check(await channels.send(sending_to(lost), NOW), Expected(Delivery.LATER, "cannot be reached"))


@pytest.mark.parametrize(
    ("address", "delivery", "says"),
    [
        ("slack://${NOTICE_NONE}/", Delivery.LATER, "needs the variable NOTICE_NONE, which is not set"),
        ("json://${NOTICE_NONE}/", Delivery.LATER, "needs the variable NOTICE_NONE, which is not set"),
        ("slack://${SLACK_HOOK}/a/b", Delivery.REFUSED, "has 2 recipients; write one address for each"),
        ("ntfy://127.0.0.1/a/b", Delivery.REFUSED, "has 2 recipients"),
        ("slack://${SLACK_BOT}/a?verify=no", Delivery.REFUSED, "turns certificate checks off"),
        ("slak://${SLACK_HOOK}/", Delivery.REFUSED, "not a URL of a service that Apprise supports"),
        ("slack://${HOOK}/", Delivery.REFUSED, "its secret is malformed"),
        ("json://127.0.0.1/?channel=a", Delivery.REFUSED, "neither a header (+Name=value)"),
        ("json://127.0.0.1/?+X=a%0D%0AY: b", Delivery.REFUSED, "json://"),
        ("json:///", Delivery.REFUSED, "not the URL of a webhook"),
        ("mailto:dana@example.org,eve@example.org", Delivery.REFUSED, "is not a plain address"),
        ("mailto:dana", Delivery.REFUSED, "is not a plain address"),
        ("", Delivery.REFUSED, "not a URL"),
    ],
)
async def test_an_invalid_address_is_reported_with_instructions(channels, address, delivery, says):
    check(await channels.send(sending_to(address), NOW), Expected(delivery, says))


async def test_a_url_cannot_turn_a_failure_into_a_success(running, channels):
    running.services.revoked.add("slack bot")
    address = f"{running.addresses['slack bot']}?optional=yes&retry=3&wait=9&rto=99"
    try:
        attempted = await channels.send(sending_to(address), NOW)
    finally:
        running.services.revoked.discard("slack bot")
    check(attempted, Expected(Delivery.REFUSED, "(token_revoked)"))


async def test_no_secret_is_logged(running, channels, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("BAD_HOOK", "T1JJ3T3L2/A1BRTD4JD/not+a+token+of+slack")
    for address in (*running.addresses.values(), "slack://${BAD_HOOK}/", "tgram://${SLACK_HOOK}/1"):
        await channels.send(sending_to(address), NOW)
    running.server.stop()
    try:
        for address in running.addresses.values():
            await channels.send(sending_to(address), NOW)
    finally:
        running.server.start()
    said = caplog.text
    assert not [secret for secret in (*SECRETS, "not+a+token") if secret in said]


async def test_services_that_never_finish_responding_do_not_block_messages(running, tmp_path):
    channels = Channels(settings_for(tmp_path), replace(SHORT, wait=2.0, whole=3.0))
    with FaultyServer(answer=lambda _: Answer(200, "x" * 50)) as slow_server:
        slow_server.plan(ByteByByte(pause=0.2), times=None)
        host = slow_server.url.removeprefix("http://")
        stuck = [sending_to(f"ntfy://{host}/topic{number}") for number in range(40)]
        first = [asyncio.create_task(channels.send(one, NOW)) for one in stuck]
        await asyncio.sleep(0)
        others = await asyncio.gather(
            *(channels.send(sending_to(running.addresses[one]), NOW) for one in SERVICES)
        )
        assert {one.delivery for one in others} == {Delivery.SENT}
        for one in await asyncio.gather(*first):
            check(one, Expected(Delivery.LATER, "may have arrived", is_in_doubt=True))
        for again in stuck:
            check(
                await channels.send(again, NOW), Expected(Delivery.LATER, "has not responded to an earlier")
            )
        assert slow_server.count() == len(stuck)


# Mail


class Postbox:
    """Stores the mails that the mail server accepts."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        self.mails.append(envelope)
        return "250 queued"


async def mails_of(tmp_path: Path, *sendings: Sending) -> list[Envelope]:
    postbox, loop = Postbox(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(postbox, hostname="mail.test"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    channels = Channels(settings_for(tmp_path, f"smtp://127.0.0.1:{port}"))
    for one in sendings:
        assert (await channels.send(one, NOW)).delivery is Delivery.SENT
    server.close()
    return postbox.mails


async def test_a_mail_has_one_recipient_and_is_marked_automatic_with_list_and_thread_headers(tmp_path):
    needed, held = (
        sending_to(TO_DANA).model_copy(
            update={"notices": (notice_with("rita", kind, has_details=False),), "message_id": kind}
        )
        for kind in (NoticeKind.NEEDED, NoticeKind.HELD)
    )
    to_erin = needed.model_copy(update={"address": "mailto:erin@example.org"})
    envelopes = await mails_of(tmp_path, needed, held, needed, to_erin)

    contents = [one.content for one in envelopes if isinstance(one.content, bytes)]
    read = [BytesParser(policy=policy.default).parsebytes(one) for one in contents]
    first, second, again, of_erin = read
    assert [one.rcpt_tos for one in envelopes] == [[RECIPIENT]] * 3 + [["erin@example.org"]]
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["List-Id"] == "Plangate <notices.plangate.example.org>"
    assert first["References"] == first["In-Reply-To"] == second["References"] != of_erin["References"]
    assert first["Message-ID"] == again["Message-ID"] != second["Message-ID"]
    assert [part.get_content_type() for part in first.iter_parts()] == ["text/plain", "text/html"]
    html = str(list(first.iter_parts())[1].get_content())
    assert "<img" not in html
    assert html.count("http") == 2  # the button, and the address below it; nothing is loaded from elsewhere
    assert "http-equiv" not in html


async def test_without_a_server_a_mail_goes_to_the_outbox_and_that_is_reported(channels, tmp_path):
    attempted = await channels.send(sending_to(TO_DANA), NOW)

    assert attempted.delivery is Delivery.SENT
    assert attempted.reason.startswith("only put into the outbox, as ")
    (path,) = (tmp_path / "outbox").glob("*.eml")
    assert path.name in attempted.reason


async def test_an_unwritable_outbox_is_retried(tmp_path):
    (tmp_path / "outbox").write_text("a file")
    attempted = await Channels(settings_for(tmp_path)).send(sending_to(TO_DANA), NOW)
    check(attempted, Expected(Delivery.LATER, "cannot be written to"))


async def test_a_mail_server_with_an_untrusted_certificate_is_retried(tmp_path):
    certificate = certificate_for("localhost", tmp_path)
    async with mail_server(MailFault("", None, Expected(Delivery.SENT)), certificate.server) as port:
        channels = Channels(settings_for(tmp_path, f"smtps://localhost:{port}"), SHORT)
        check(await channels.send(sending_to(TO_DANA), NOW), Expected(Delivery.LATER, "certificate"))


async def test_a_refused_login_is_reported_to_operators_and_the_message_is_kept(tmp_path):
    def refuse(*_: object) -> AuthResult:
        return AuthResult(success=False)

    loop, postbox = asyncio.get_running_loop(), Postbox()
    server = await loop.create_server(
        lambda: SMTP(postbox, authenticator=refuse, auth_require_tls=False, hostname="mail.test"),
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    for user in ("dana:wr0ng@127.0.0.1", "dana:wr0ng@127.0.0.2"):  # the other method needs encryption
        channels = Channels(settings_for(tmp_path, f"smtp://{user}:{port}"), SHORT)
        attempted = await channels.send(sending_to(TO_DANA), NOW)
        check(attempted, Expected(Delivery.LATER))
        assert "wr0ng" not in attempted.reason
    server.close()


def test_invalid_addresses_in_a_list_are_found_before_a_notice_is_sent(channels):
    listed = """
        [[person]]
        name = "dana"
        notify = ["mailto:dana@example.org", "slak://${SLACK_HOOK}/", "json://hooks.example.org/?a=b"]
        [[person]]
        name = "erik"
        mail = "erik at example.org"
        [[role]]
        name = "finance"
        notify = ["slack://${NOTICE_NONE}/", "slack://${SLACK_HOOK}/"]
    """
    found = list(channels.objections(people_in(textwrap.dedent(listed))))
    assert [(name, address) for name, address, _ in found] == [
        ("dana", "slak://${SLACK_HOOK}/"),
        ("dana", "json://hooks.example.org/?a=b"),
        ("erik", "mailto:erik at example.org"),
        ("role:finance", "slack://${NOTICE_NONE}/"),
    ]
    assert [wrong.partition(" ")[0] for _, _, wrong in found] == ["is", "has", "is", "needs"]


@pytest.mark.parametrize("setting", [{"smtp_url": SecretStr("ftp://x")}, {"mail_from": "nobody"}])
def test_an_invalid_setting_is_reported_at_startup(tmp_path, setting):
    with pytest.raises(SettingsInvalid, match="PLANGATE_"):
        Channels(Settings(var_dir=tmp_path, **setting))


def test_the_matrix_has_each_class_at_each_stage_of_a_mail():
    assert {fault.stage for fault in MAIL_FAULTS.values()} >= {"greeting", "MAIL", "RCPT", "."}


# Hostile input


async def test_a_sample_of_hostile_input_stays_text_in_every_channel(tmp_path):
    every = cases(18)
    # Other tests' services may still receive an abandoned request.
    (tmp_path / "services").mkdir()
    with running_services(tmp_path / "services") as own:
        trials = TextTrials(own, tmp_path)
        for case in random.Random(18).sample(every, 40):  # `python -m chaos notice-texts` tries all of them
            try:
                await trials.check(case)
            except AssertionError as error:
                raise AssertionError(f"{case}: {error}") from None
    assert len(every) >= 500
    assert {case.channel for case in every} == set(CHANNELS)
