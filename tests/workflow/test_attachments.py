"""A mail contains the bytes that were approved, even if the files change."""

import hashlib
import json
import os
from collections.abc import Iterator
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import text

from activities.tools.email.message import SendEmailArguments
from activities.tools.email.tool import SendEmail
from plangate.audit.attachments import attachment_digests
from plangate.audit.evidence import Bundle, bundle_findings, bundle_of, read_bundle
from plangate.audit.inspection import inspect_run
from plangate.audit.trust_anchors import Trust
from plangate.domain.errors import ToolRefused
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import Status
from plangate.records.attachments import contents_of
from plangate.records.checkpoints import newest_seal
from plangate.records.trail import read_trail
from plangate.settings import Settings
from plangate.tool import tool
from tests.support.gate import Gate


class Case(BaseModel):
    key: str


INVOICE = b"%PDF-1.7 the invoice \x00\xff"


@pytest.fixture
def folder(idle_gate: Gate, tmp_path: Path) -> Path:
    """The operator's attachments folder, which contains one file; the test instance has the tool."""
    made = tmp_path / "attachments"
    (made / "invoices").mkdir(parents=True)
    (made / "invoices" / "4711.pdf").write_bytes(INVOICE)
    idle_gate.tools["send_email"] = SendEmail.from_settings(Settings(var_dir=tmp_path, attachments_dir=made))
    return made


def mail(*attachments: str) -> dict[str, Any]:
    arguments = {
        "to": ["ana@example.org"],
        "subject": "Your invoice",
        "body": "Here.",
        "attachments": [*attachments],
    }
    return {"summary": "Send the invoice", "steps": [{"tool": "send_email", "arguments": arguments}]}


async def in_review(gate: Gate, plan: dict[str, Any]) -> Status:
    return await gate.until("in_review", await gate.api.submit(PlanRequest(requester="rita", plan=plan)))


def sent(outbox: Path) -> list[Any]:
    return [BytesParser(policy=policy.default).parsebytes(path.read_bytes()) for path in outbox.glob("*.eml")]


def bundle(gate: Gate, workflow_id: str) -> Bundle:
    with gate.database.read() as connection:
        entries = read_trail(connection, workflow_id)
        seal = newest_seal(connection, workflow_id)
        files = contents_of(connection, attachment_digests(entries))
        return bundle_of(workflow_id, entries, [seal] if seal else [], (), files)


@pytest.mark.parametrize("change", ["edited", "removed", "replaced by a link"])
async def test_the_bytes_of_the_draft_are_sent_even_if_the_file_changed(
    idle_gate: Gate, folder: Path, tmp_path: Path, change: str
) -> None:
    async with idle_gate.worker():
        status = await in_review(idle_gate, mail("invoices/4711.pdf"))
        assert status.plan is not None
        (step,) = status.plan.steps
        assert step.preview == (
            'Email 1 recipient: ana@example.org, subject "Your invoice", 1 line, 1 attachment: '
            "invoices/4711.pdf (23 bytes)"
        )
        digest = hashlib.sha256(INVOICE).hexdigest()
        assert step.observation == {
            "attachments": [
                {
                    "name": "invoices/4711.pdf",
                    "sha256": digest,
                    "bytes": 23,
                    "media_type": "application/pdf",
                }
            ]
        }
        path = folder / "invoices" / "4711.pdf"
        path.unlink()
        if change == "edited":
            path.write_bytes(b"something else")
        elif change == "replaced by a link":
            path.symlink_to("/etc/passwd")
        await idle_gate.decide(status)
        result = await idle_gate.result(status.workflow_id)

    assert result.outcome == "executed"
    (content,) = sent(tmp_path / "outbox")
    (part,) = content.iter_attachments()
    assert part.get_filename() == "4711.pdf"
    assert part.get_content_type() == "application/pdf"
    assert part.get_payload(decode=True) == INVOICE


@tool
def open_case(subject: str) -> Case:
    """Open a case, and return its key."""
    return Case(key=f"CASE-{len(subject)}")


async def test_a_mail_that_cites_an_earlier_step_has_its_attachments_too(
    idle_gate: Gate, folder: Path, tmp_path: Path
) -> None:
    idle_gate.tools["open_case"] = open_case.from_settings()
    plan = mail("invoices/4711.pdf")
    plan["steps"][0]["arguments"]["cites"] = {"from_step": 1, "field": "key"}
    plan["steps"].insert(0, {"tool": "open_case", "arguments": {"subject": "invoice"}})
    async with idle_gate.worker():
        status = await in_review(idle_gate, plan)
        assert status.plan is not None
        assert "invoices/4711.pdf (23 bytes)" in status.plan.steps[1].preview
        (folder / "invoices" / "4711.pdf").write_bytes(b"something else")
        await idle_gate.decide(status)
        result = await idle_gate.result(status.workflow_id)

    assert result.outcome == "executed", result.reason
    (content,) = sent(tmp_path / "outbox")
    assert content["Subject"] == "Your invoice [CASE-7]"
    assert [part.get_payload(decode=True) for part in content.iter_attachments()] == [INVOICE]


@pytest.mark.usefixtures("folder")
async def test_a_bundle_contains_the_bytes_and_its_verification_detects_any_change(
    idle_gate: Gate,
) -> None:
    async with idle_gate.worker():
        status = await in_review(idle_gate, mail("invoices/4711.pdf"))
        await idle_gate.decide(status)
        await idle_gate.result(status.workflow_id)

    valid = bundle(idle_gate, status.workflow_id)
    assert list(wrong(valid)) == []
    assert list(wrong(read_bundle(valid.model_dump_json()))) == []
    (one,) = valid.attachments
    for attachments, said in (
        ((), "is missing"),
        ((one.model_copy(update={"content": "YWJj"}),), "has been changed"),
        ((one.model_copy(update={"content": one.content[:-4] + "/x=="}),), "has been changed"),
        ((one, one.model_copy(update={"sha256": "ab" * 32})), "no plan refers to"),
        ((one, one), "occurs twice"),
    ):
        found = wrong(valid.model_copy(update={"attachments": [*attachments]}))
        assert any(said in what for what in found), said


def wrong(of: Bundle) -> Iterator[str]:
    found = bundle_findings(of, trusted=frozenset(), people=None)
    return (finding.what for finding in found if not finding.is_unsealed)


@pytest.mark.usefixtures("folder")
async def test_bytes_missing_from_the_records_hold_the_run_and_are_detected(
    idle_gate: Gate,
    tmp_path: Path,
) -> None:
    async with idle_gate.worker():
        status = await in_review(idle_gate, mail("invoices/4711.pdf"))
        with idle_gate.database.write() as connection:
            connection.execute(text("DROP TRIGGER attachments_no_update"))
            connection.execute(text("UPDATE attachments SET content = 'forged'"))
        await idle_gate.decide(status)
        held = await idle_gate.held(status.workflow_id)

    assert held.held is not None
    assert "4711.pdf" in held.held.why
    assert "has changed" in held.held.why
    assert sent(tmp_path / "outbox") == []
    with idle_gate.database.read() as connection:
        found = [one.what for one in inspect_run(connection, status.workflow_id, Trust()).findings]
    assert any("4711.pdf" in what and "has been changed" in what for what in found)


async def refused(gate: Gate, *attachments: str) -> str:
    """Propose a mail with these attachments; return why no plan was made."""
    async with gate.worker():
        workflow_id = await gate.api.submit(PlanRequest(requester="rita", plan=mail(*attachments)))
        result = await gate.result(workflow_id)
    assert result.outcome == "failed"
    return result.reason


async def test_only_a_regular_file_of_the_folder_can_be_attached(
    idle_gate: Gate, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "way").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    (folder / "large").write_bytes(b"x" * (10 * 1024 * 1024 + 1))

    assert "there is no such file" in await refused(idle_gate, "missing")
    assert "symbolic link" in await refused(idle_gate, "link")
    assert "symbolic link" in await refused(idle_gate, "way/secret")
    assert "not a plain file" in await refused(idle_gate, "pipe")
    assert "not a plain file" in await refused(idle_gate, "invoices")
    assert "too large" in await refused(idle_gate, "large")
    for name in (
        "../secret",
        "/etc/passwd",
        "invoices/../4711.pdf",
        ".env",
        "a//b",
        "a\\b",
        "",
        "fdp\u202e.exe",
    ):
        assert "step 1, attachments[0]: " in json.dumps(await refused(idle_gate, name)), name
    assert sent(tmp_path / "outbox") == []


async def test_without_the_folder_a_mail_with_attachments_is_refused_with_the_name_of_the_setting(
    idle_gate: Gate, tmp_path: Path
) -> None:
    idle_gate.tools["send_email"] = SendEmail.from_settings(Settings(var_dir=tmp_path))

    assert "PLANGATE_ATTACHMENTS_DIR" in await refused(idle_gate, "a.pdf")


class ChangedContents:
    """Records that return other bytes for a digest than those that were stored."""

    async def keep(self, content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()

    async def read(self, digest: str) -> bytes | None:
        del digest
        return INVOICE + b" of another person"


async def test_only_the_bytes_of_the_digest_are_sent(tmp_path: Path) -> None:
    (tmp_path / "4711.pdf").write_bytes(INVOICE)
    settings = Settings(var_dir=tmp_path, attachments_dir=tmp_path)
    mailing = SendEmail.from_settings(settings).with_blobs(ChangedContents())
    (step,) = mail("4711.pdf")["steps"]
    arguments = SendEmailArguments.model_validate_json(json.dumps(step["arguments"]))
    seen = await mailing.observe(arguments)
    with pytest.raises(ToolRefused, match="is no longer in the records; nothing was sent"):
        await mailing.having_observed(seen).act(arguments, "key")
    assert not list(tmp_path.rglob("*.eml"))
