"""A notice states the required action, the tools and the deadline, and contains no hidden text."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plangate.notifications.inert_text import inert
from plangate.notifications.notice import Facts, Notice, NoticeKind, Sending
from plangate.notifications.reader_times import brief, distance, whole
from plangate.notifications.texts import CHAT, written
from plangate.presentation.durations import duration_in_words
from tests.support.notice_texts import INBOX, NOW, shape_of_text

BERLIN = "Europe/Berlin"
FACTS = Facts(
    workflow_id="refund-4711",
    revision=1,
    tools=(("refund_payment", 1), ("create_ticket", 1), ("send_email", 1)),
    requester="rita",
    deadline=NOW + timedelta(hours=4),
    link=f"{INBOX}/runs/refund-4711",
)


def notice(kind: NoticeKind = NoticeKind.NEEDED, **facts: object) -> Notice:
    return Notice(
        person="dana", kind=kind, event=f"{kind}:1", due_at=NOW, facts=FACTS.model_copy(update=facts)
    )


def to_dana(*notices: Notice, **more: object) -> Sending:
    return Sending(address="mailto:d@example.org", person="dana", notices=notices, zone=BERLIN, **more)


def test_a_reminder_of_a_held_run_differs_from_its_first_notice():
    first = notice(NoticeKind.HELD)
    second = first.model_copy(update={"event": "reminded:hold1:20261127T140000:3600"})
    subjects = [written(to_dana(one), NOW, INBOX).subject for one in (first, second)]
    assert subjects == [
        f"{begin} is held: refund-4711, to be resolved by 14:00 CET: {STEPS}"
        for begin in ("A run", "Reminder: a run")
    ]


def test_the_first_notice_explains_what_to_do():
    message = written(to_dana(notice()), NOW, INBOX)

    assert message.subject == (
        "Your approval is needed for refund-4711, by 14:00 CET: "
        "3 steps (refund_payment, create_ticket, send_email)"
    )
    assert message.text == (
        "Your approval is needed for refund-4711: 3 steps (refund_payment, create_ticket, send_email).\n\n"
        "Asked by: rita\n"
        "Decide by: Thursday, 26 November 2026, 14:00 CET (in 4 hours)\n\n"
        "Review and decide:\n"
        "https://gate.example.org/runs/refund-4711\n\n"
        "You decide on the page, after you sign in. Without a decision nothing is approved.\n"
    )


def test_a_name_creates_no_link_or_mention_in_any_field():
    facts = notice().facts.model_copy(update={"requester": "@channel evil.example", "by": "<@U1> x.example"})
    message = written(to_dana(notice().model_copy(update={"facts": facts})), NOW, INBOX)
    for text in (message.text, message.markdown, message.html):
        assert not [one for one in ("@channel", "evil.example", "<@U1>", "x.example") if one in text]


STEPS = "3 steps (refund_payment, create_ticket, send_email)"


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (NoticeKind.NEEDED, f"Your approval is needed for refund-4711, by 14:00 CET: {STEPS}"),
        (NoticeKind.REMINDER, f"Reminder: your approval is needed for refund-4711, by 14:00 CET: {STEPS}"),
        (
            NoticeKind.ESCALATED,
            f"Escalated to you: your approval is needed for refund-4711, by 14:00 CET: {STEPS}",
        ),
        (NoticeKind.CHANGED, f"The plan changed, please review again: refund-4711, by 14:00 CET: {STEPS}"),
        (NoticeKind.VOIDED, f"Your approval of refund-4711 is no longer valid; no action is needed: {STEPS}"),
        (NoticeKind.RELIEVED, f"Nothing more to do for refund-4711: {STEPS}"),
        (NoticeKind.HELD, f"A run is held: refund-4711, to be resolved by 14:00 CET: {STEPS}"),
        (NoticeKind.OUTCOME, "Your request refund-4711 has ended: 2 of 3 steps done"),
        (NoticeKind.STUCK, f"Cannot be approved now: refund-4711, {STEPS}"),
        (NoticeKind.UNSTUCK, f"Can be approved again: refund-4711, {STEPS}"),
        (NoticeKind.TROUBLE, "Plangate needs an operator"),
        (NoticeKind.TEST, "A test of your notices"),
    ],
)
def test_the_subject_of_each_kind_states_its_purpose(kind, subject):
    message = written(to_dana(notice(kind, done=("step 1: a", "step 2: b"))), NOW, INBOX)
    assert message.subject == subject
    asks = kind in (NoticeKind.NEEDED, NoticeKind.REMINDER, NoticeKind.ESCALATED, NoticeKind.CHANGED)
    assert ("You decide on the page" in message.text) is asks
    assert ("by 14:00 CET" in message.subject) is (asks or kind is NoticeKind.HELD)


def test_an_outcome_lists_what_was_done_and_what_was_not():
    ended = notice(
        NoticeKind.OUTCOME, happened="it failed", done=("step 1: refund_payment",), not_done=("step 2: x",)
    )
    text = written(to_dana(ended), NOW, INBOX).text
    assert "What happened: it failed\n" in text
    assert "Done:\n• step 1: refund_payment\n\nNot done:\n• step 2: x\n" in text
    nothing = written(to_dana(notice(NoticeKind.OUTCOME)), NOW, INBOX)
    assert nothing.subject == "Your request refund-4711 has ended: 0 of 3 steps done"


def test_an_unknown_result_is_neither_done_nor_not_done():
    ended = notice(
        NoticeKind.OUTCOME,
        done=("step 1: refund_payment",),
        not_known=("step 2: create_ticket (in doubt)",),
        not_done=("step 3: send_email (not begun)",),
    )
    message = written(to_dana(ended), NOW, INBOX)
    assert message.subject == "Your request refund-4711 has ended: 1 of 3 steps done, 1 not known"
    assert "Not known:\n• step 2: create_ticket (in doubt)\n\nNot done:\n• step 3" in message.text
    assert "<li><bdi>step 2: create_ticket (in doubt)</bdi></li>" in message.html


SKIPPED = {"skipped": ("step 2, Refund 42.50 EUR",), "skipped_tools": ("step 2: pay",)}


def test_the_subject_of_an_outcome_lists_skipped_steps_and_counts_undone_steps():
    ended = notice(NoticeKind.OUTCOME, done=("step 1: a",), undone=("step 3: b",), **SKIPPED)
    subject = written(to_dana(ended), NOW, INBOX).subject
    assert subject.endswith(" has ended: 1 of 3 steps done, 1 skipped (step 2: pay), 1 undone")
    assert "42.50" not in subject
    only = notice(NoticeKind.OUTCOME, not_known=("step 1: a (in doubt)",))
    assert ": 0 of 3 steps done, 1 not known" in written(to_dana(only), NOW, INBOX).subject


def test_a_notice_about_a_hold_explains_what_happens_if_it_is_not_resolved():
    held = notice(NoticeKind.HELD, not_known=("step 2: create_ticket (in doubt)",), needs_signature=True)
    text = written(to_dana(held), NOW, INBOX).text
    assert (
        "If no one does: the run is aborted: no further steps run, and completed steps are not undone\n"
        in text
    )
    assert text.endswith("\n\nYou resolve it on the page, after you sign in, and sign with your passkey.\n")
    assert "nothing is approved" not in text


def test_a_notice_to_decide_states_a_required_passkey_and_the_earliest_start():
    asked = notice(needs_signature=True, begins=NOW + timedelta(days=5))
    text = written(to_dana(asked), NOW, INBOX).text
    assert "Runs no earlier than: Tuesday, 1 December 2026, 10:00 CET (in 5 days)\n" in text
    assert "You decide on the page, after you sign in, and sign with your passkey. Without a" in text


@pytest.mark.parametrize(
    ("kind", "facts", "subject"),
    [
        (NoticeKind.NEEDED, {"lacks_key": True}, "You need a passkey to approve refund-4711, by 14:00 CET: "),
        (NoticeKind.HELD, {"lacks_key": True}, "You need a passkey to resolve refund-4711, by 14:00 CET: "),
        (
            NoticeKind.NEEDED,
            {"instead_of": ("kim",)},
            "For kim, who is away: approval needed for refund-4711, by 14:00 CET: ",
        ),
        (
            NoticeKind.REMINDER,
            {"instead_of": ("kim", "head")},
            "Reminder for kim and head, who are away: approval needed for refund-4711, by 14:00 CET: ",
        ),
        (
            NoticeKind.HELD,
            {"instead_of": ("kim",)},
            "For kim, who is away: a run is held: refund-4711, by 14:00 CET: ",
        ),
    ],
)
def test_no_message_asks_a_person_for_an_approval_that_they_cannot_give(kind, facts, subject):
    message = written(to_dana(notice(kind, **facts)), NOW, INBOX)
    assert message.subject == subject + STEPS
    for text in (message.text, message.html, message.markdown):
        assert "Review and decide" not in text
        assert "You decide" not in text
        assert "Your approval" not in text
    digest = written(to_dana(of_run("a"), of_run("b", kind, **facts)), NOW, INBOX)
    assert digest.subject == "1 run needs your decision, by 14:00 CET: a, and 1 other notice"


def test_a_substitute_is_told_from_when_they_may_approve():
    redirected = notice(instead_of=("kim",), may_from=NOW + timedelta(hours=2))
    text = written(to_dana(redirected), NOW, INBOX).text
    assert "You may approve it from: Thursday, 26 November 2026, 12:00 CET (in 2 hours)\n" in text


def test_an_absent_person_is_told_who_gets_their_messages_and_is_not_relieved():
    message = written(to_dana(notice(NoticeKind.RELIEVED, goes_to=("fred", "kim"))), NOW, INBOX)
    assert message.subject == f"Your messages about refund-4711 go to fred and kim: {STEPS}"
    assert "While you are away, fred and kim will get your messages about refund-4711" in message.text
    assert "othing more" not in message.subject + message.text


def test_an_absence_is_reported_in_the_readers_time_with_a_link_to_their_page():
    absence = Facts(goes_to=("fred",), away_until=NOW + timedelta(days=1), link=f"{INBOX}/me")
    told = Notice(person="dana", kind=NoticeKind.AWAY, event="away:1", due_at=NOW, facts=absence)
    message = written(to_dana(told), NOW, INBOX)
    assert message.subject == "Your messages go to fred"
    assert message.text == (
        "Your messages go to fred until Friday, 27 November 2026, 10:00 CET.\n\n"
        f"Open your page:\n{INBOX}/me\n"
    )


def test_utc_times_in_rules_are_shown_in_the_readers_zone():
    why = "only kim can, and kim is away until Mon 2026-11-30 09:00 UTC; from 2026-11-31 09:00 UTC, two can"
    text = written(to_dana(notice(NoticeKind.STUCK, happened=why)), NOW, INBOX).text
    assert "until Monday, 30 November 2026, 10:00 CET; from 2026-11-31 09:00 UTC, two can\n" in text


def test_a_notice_that_no_one_can_approve_explains_what_the_reader_can_do():
    text = written(
        to_dana(notice(NoticeKind.STUCK, happened="1 approval by finance: no one can")), NOW, INBOX
    ).text
    assert (
        "What is missing: 1 approval by finance: no one can\n"
        "What you can do: wait, have the list of people changed, or withdraw the request\n"
    ) in text


def test_an_unresolvable_held_run_does_not_appear_to_wait_for_an_approval():
    message = written(to_dana(notice(NoticeKind.STUCK, is_held=True)), NOW, INBOX)
    assert message.subject.startswith("Cannot be resolved now: refund-4711")
    assert "approved" not in message.text


def test_a_digest_mentions_a_required_passkey():
    one, other = of_run("a", needs_signature=True), of_run("b")
    closings = {
        written(to_dana(*both), NOW, INBOX).text.splitlines()[-1].partition(". ")[0]
        for both in ((one, other), (one, of_run("c", needs_signature=True)), (other, of_run("d")))
    }
    where = "You decide on the page, after you sign in"
    signed = f"{where}, and sign with your passkey"
    assert closings == {where, signed, f"{signed} if a decision must be signed"}


def test_a_digest_explains_why_a_plan_cannot_be_approved_or_a_run_is_held():
    why = "2 approvals by finance: only dana and kim can, and kim is away"
    stuck = of_run("a", NoticeKind.STUCK, happened=why)
    held = of_run("b", NoticeKind.HELD, happened="step 2, pay, is in doubt")
    text = written(to_dana(stuck, held), NOW, INBOX).text
    assert f"• Cannot be approved now: a, {STEPS}. {why}.\n" in text
    assert f"{STEPS}. Step 2, pay, is in doubt.\n" in text


def test_details_are_shown_only_if_the_facts_contain_them():
    detail = "Refund 42.50 EUR of pi_17 to ana@example.org"
    text = written(to_dana(notice(details=(detail,))), NOW, INBOX).text
    assert "Steps:\n• Refund 42.50 EUR of pi_17 to ana@ example․org\n" in text  # noqa: RUF001
    assert "Steps:" not in written(to_dana(notice()), NOW, INBOX).text


def test_a_subject_lists_five_tools_and_counts_the_others() -> None:
    tools = tuple((f"tool_{number}", number) for number in range(1, 8))
    subject = written(to_dana(notice(tools=tools)), NOW, INBOX).subject
    assert subject.endswith(
        "28 steps (tool_1, 2 \u00d7 tool_2, 3 \u00d7 tool_3, 4 \u00d7 tool_4, 5 \u00d7 tool_5, 2 more tools)"
    )


def test_a_repeat_is_marked_in_subject_and_text():
    message = written(to_dana(notice(), is_repeat=True), NOW, INBOX)
    assert message.subject.startswith("(sent again) Your approval is needed")
    assert "You may already have this message" in message.text
    assert "You may already have this message" in message.html


def of_run(name: str, kind: NoticeKind = NoticeKind.NEEDED, **facts: object) -> Notice:
    return notice(kind, workflow_id=name, link=f"{INBOX}/runs/{name}", **facts)


def test_a_digest_has_one_line_for_each_run_with_its_tools_deadline_and_link():
    asked = [of_run(f"run-{number}", deadline=NOW + timedelta(hours=9 - number)) for number in range(7)]
    reminded = [
        of_run(f"run-{number}", NoticeKind.REMINDER, deadline=NOW + timedelta(hours=9 - number))
        for number in (2, 4)
    ]
    text = written(to_dana(*asked, *reminded), NOW, INBOX).text
    lines = [line for line in text.splitlines() if line.startswith("• ")]
    assert [line.partition(",")[0].rpartition(" ")[2] for line in lines] == [
        f"run-{number}" for number in reversed(range(7))
    ]
    assert lines[2] == f"• Reminder: your approval is needed for run-4, by 15:00 CET: {STEPS}."
    assert text.count(STEPS) == 7
    for number in range(7):
        assert text.splitlines().count(f"{INBOX}/runs/run-{number}") == 1


WITHOUT_RUN = (NoticeKind.TROUBLE, NoticeKind.AWAY, NoticeKind.TEST)


@given(
    st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=5, unique_by=lambda one: inert(one, 40)),
    st.sampled_from([one for one in NoticeKind if one not in WITHOUT_RUN]),
)
def test_no_two_runs_have_the_same_subject(names, kind):
    subjects = {written(to_dana(of_run(name, kind)), NOW, INBOX).subject for name in names}
    assert len(subjects) == len(names)


@pytest.mark.parametrize(
    ("verdict", "by", "subject"),
    [
        ("approved", "dana", "Approved by dana; nothing more to do for refund-4711"),
        ("rejected", "dana", "Rejected by dana; nothing more to do for refund-4711"),
        ("expired without a decision", "", "Expired without a decision; nothing more to do for refund-4711"),
        ("", "", "Nothing more to do for refund-4711"),
    ],
)
def test_a_relieved_person_gets_the_result(verdict, by, subject):
    message = written(to_dana(notice(NoticeKind.RELIEVED, verdict=verdict, by=by)), NOW, INBOX)
    assert message.subject == f"{subject}: {STEPS}"
    assert message.text.count("dana") == bool(by)


def test_the_subject_tells_the_requester_who_rejected_the_plan():
    message = written(to_dana(notice(NoticeKind.OUTCOME, verdict="rejected", by="dana")), NOW, INBOX)
    assert message.subject == ("Your request refund-4711 has ended: rejected by dana; no step ran")
    assert message.text.count("rejected") == message.text.count("dana") == 1


def test_steps_with_details_are_listed_only_under_their_result():
    details = ("step 1: Refund 60.00 EUR", "step 2: Email 1 recipient")
    done, not_done = ("step 1, Refund 60.00 EUR",), ("step 2, Email 1 recipient (not begun)",)
    for kind in (NoticeKind.OUTCOME, NoticeKind.HELD):
        text = written(to_dana(notice(kind, details=details, done=done, not_done=not_done)), NOW, INBOX).text
        assert "Steps:" not in text
        assert text.count("Refund 60.00 EUR") == text.count("Email 1 recipient") == 1


def test_the_requester_is_not_told_who_asked():
    to_rita = notice(NoticeKind.OUTCOME).model_copy(update={"person": "Rita"})
    assert "Asked by" not in written(Sending(address="", person="Rita", notices=(to_rita,)), NOW, INBOX).text


@pytest.mark.parametrize(
    ("kind", "facts", "action"),
    [
        (NoticeKind.HELD, {}, "Resolve"),
        (NoticeKind.HELD, {"lacks_key": True}, "View details"),
        (NoticeKind.HELD, {"instead_of": ("kim",)}, "View details"),
        (NoticeKind.TEST, {}, "Open the inbox"),
    ],
)
def test_the_button_describes_what_the_reader_can_do(kind, facts, action):
    message = written(to_dana(notice(kind, **facts)), NOW, INBOX)
    assert f"\n\n{action}:\nhttps://gate" in message.text


def test_a_request_to_review_again_mentions_once_that_the_approval_no_longer_counts():
    why = "kim requested changes, and the plan was drafted again"
    text = written(to_dana(notice(NoticeKind.CHANGED, happened=why)), NOW, INBOX).text
    assert text.startswith(
        "The plan of refund-4711 changed, and your approval is no longer valid. "
        f"Please review it again: {STEPS}.\n\nWhat happened: {why}\n"
    )
    reopened = notice(NoticeKind.CHANGED, is_reopened=True, happened="dana's approval is too old")
    message = written(to_dana(reopened), NOW, INBOX)
    assert "changed" not in message.subject + message.text
    assert message.text.startswith(
        "Your approval of refund-4711 is no longer valid. Please review it again: "
    )


def test_a_notice_that_a_run_can_be_approved_again_requests_no_action():
    text = written(to_dana(notice(NoticeKind.UNSTUCK)), NOW, INBOX).text
    assert text.startswith(
        f"This run can be approved again: refund-4711: {STEPS}. You do not need to do anything.\n"
    )


def test_a_digest_shows_the_previews_that_the_rules_allow():
    amounts = [f"Refund {amount}.00 EUR" for amount in (60, 70, 80)]
    asked = [of_run(amount[7:9], details=(amount,)) for amount in amounts]
    message = written(to_dana(*asked, of_run("plain")), NOW, INBOX)
    for amount in amounts:
        assert (
            f"• Your approval is needed for {amount[7:9]}, by 14:00 CET: {STEPS}. {amount}.\n" in message.text
        )
    assert f"• Your approval is needed for plain, by 14:00 CET: {STEPS}.\n" in message.text
    assert "Refund" not in message.subject


def test_a_digest_marks_each_notice_that_it_counts():
    trouble = Notice(
        person="dana",
        kind=NoticeKind.TROUBLE,
        event="trouble:1",
        due_at=NOW,
        facts=Facts(happened="no disk."),
    )
    message = written(
        to_dana(trouble, of_run("a", NoticeKind.OUTCOME), of_run("b", NoticeKind.VOIDED)), NOW, INBOX
    )
    assert message.text.startswith("3 notices.\n")
    assert message.text.count("\n• ") == 3
    assert "• There is a problem that only an operator can fix. No disk.\n" in message.text


def test_a_digest_explains_once_that_a_passkey_is_needed_and_how_to_get_one():
    keyless = [of_run(f"run-{number}", lacks_key=True, happened="x") for number in range(5)]
    message = written(to_dana(*keyless, of_run("done", NoticeKind.OUTCOME)), NOW, INBOX)
    line = "You need a passkey to decide on 5 runs: run-0, run-1, run-2 and 2 more"
    assert message.text.startswith("2 notices.\n")
    assert message.text.count("\n• ") == 2
    assert f"• {line}. Add one on “My page” and have it confirmed.\n{INBOX}/me\n" in message.text
    alone = written(to_dana(*keyless), NOW, INBOX)
    assert alone.subject == line
    asked = written(to_dana(*keyless, of_run("asked")), NOW, INBOX)
    assert asked.subject == "1 run needs your decision, by 14:00 CET: asked, and 1 other notice"


def test_several_steps_of_a_tool_are_counted_alike_in_subject_and_text():
    message = written(to_dana(notice(tools=(("send_email", 2), ("note", 1)))), NOW, INBOX)
    assert "3 steps (2 \u00d7 send_email, note)" in message.subject
    assert "3 steps (2 \u00d7 send_email, note)" in message.text


def test_no_message_describes_a_future_time_as_past():
    texts = [written(to_dana(notice(kind)), NOW, INBOX) for kind in NoticeKind]
    for message in texts:
        assert "any more" not in message.subject + message.text
        assert "in time" not in message.text


def test_a_digest_begins_with_the_most_urgent_decision():
    later = of_run("later", deadline=NOW + timedelta(days=1))
    soon = of_run("soon", NoticeKind.REMINDER)
    done = of_run("done", NoticeKind.OUTCOME)
    message = written(to_dana(done, later, soon), NOW, INBOX)

    assert message.subject == "2 runs need your decision, the first by 14:00 CET: soon, and 1 other notice"
    places = [message.text.index(f"/runs/{name}") for name in ("soon", "later", "done")]
    assert places == sorted(places)
    assert f"Open the inbox:\n{INBOX}\n" in message.text


def test_a_long_summary_states_how_many_notices_it_does_not_list():
    message = written(to_dana(*[of_run(f"run-{number}") for number in range(500)]), NOW, INBOX)
    assert message.subject == "500 runs need your decision, the first by 14:00 CET: run-0"
    assert message.text.count("/runs/run-") == 25
    assert "475 more notices: see the inbox." in message.text


@given(
    st.integers(1, 40),
    st.lists(st.text(max_size=300), max_size=20).map(tuple),
    st.text(max_size=600),
    st.sampled_from(NoticeKind),
)
def test_a_chat_message_fits_the_shortest_limit_of_the_services(count, lines, text, kind):
    listed = ("done", "not_done", "not_known", "skipped", "undone", "details", "instead_of", "goes_to")
    facts = {"requester": text, "happened": text, **dict.fromkeys(listed, lines)}
    notices = [notice(kind, workflow_id=f"{number} {text}", **facts) for number in range(count)]
    message = written(to_dana(*notices), NOW, INBOX, CHAT)
    assert len(message.subject + message.text) <= 2_000
    assert "\n" not in message.subject


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        (BERLIN, "Thursday, 26 November 2026, 14:00 CET (in 4 hours)"),
        ("UTC", "Thursday, 26 November 2026, 13:00 UTC (in 4 hours)"),
        ("America/Los_Angeles", "Thursday, 26 November 2026, 05:00 PST (in 4 hours)"),
        ("Asia/Kathmandu", "Thursday, 26 November 2026, 18:45 UTC+05:45 (in 4 hours)"),
        ("Pacific/Kiritimati", "Friday, 27 November 2026, 03:00 UTC+14:00 (in 4 hours)"),
        ("No/Where", "Thursday, 26 November 2026, 13:00 UTC (in 4 hours)"),
        ("../../etc/passwd", "Thursday, 26 November 2026, 13:00 UTC (in 4 hours)"),
        ("", "Thursday, 26 November 2026, 13:00 UTC (in 4 hours)"),
    ],
)
def test_a_deadline_is_in_the_readers_zone(zone, said):
    assert whole(NOW + timedelta(hours=4), zone, NOW) == said


@pytest.mark.parametrize(
    ("now", "when", "said"),
    [
        (NOW, NOW + timedelta(hours=4), "14:00 CET"),
        (NOW, NOW + timedelta(hours=15), "Fri 27 Nov, 01:00 CET"),
        (NOW, NOW + timedelta(days=60), "Mon 25 Jan 2027, 10:00 CET"),
        # The night with a repeated hour: 02:30 in summer time, then 02:30 in winter time.
        (datetime(2026, 10, 25, 0, 0, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "02:30 CEST"),
        (datetime(2026, 10, 25, 0, 0, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "02:30 CET"),
    ],
)
def test_a_subject_has_the_date_only_on_another_day(now, when, said):
    assert brief(when, BERLIN, now) == said


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(seconds=-1), "over"),
        (timedelta(seconds=20), "in less than a minute"),
        (timedelta(minutes=61), "in 1 hour 1 minute"),
        (timedelta(hours=2, minutes=59, seconds=58), "in 2 hours 59 minutes"),
        (timedelta(hours=20), "in 20 hours"),
        (timedelta(hours=47, minutes=59), "in 47 hours 59 minutes"),
        (timedelta(hours=48, minutes=1), "in 2 days"),
        (timedelta(hours=61, minutes=49), "in 2 days 13 hours"),
        (timedelta(days=3, hours=23, minutes=59), "in 3 days 23 hours"),
    ],
)
def test_the_time_from_now_is_given_in_words(left, said):
    assert distance(NOW + left, NOW) == said


@given(st.timedeltas(timedelta(minutes=1), timedelta(days=99)))
def test_the_time_left_is_rounded_down_as_on_the_command_line(left):
    said = distance(NOW + left, NOW)
    short = {" hours": " h", " hour": " h", " minutes": " min", " minute": " min"}
    for long, unit in short.items():
        said = said.replace(long, unit)
    assert said.removeprefix("in ").replace("day ", "days ") == duration_in_words(
        left - left % timedelta(minutes=1)
    )


def test_a_repeated_hour_is_shown_with_its_utc_offset():
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
    assert "02:30 CEST" in whole(first, BERLIN, first)
    assert "02:30 CET" in whole(second, BERLIN, first)


@pytest.mark.parametrize("deadline", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_the_last_date_of_the_calendar_causes_no_error(deadline):
    for zone in (BERLIN, "Pacific/Kiritimati", "America/Los_Angeles"):
        written(Sending(address="", person="", notices=(notice(deadline=deadline),), zone=zone), NOW, INBOX)


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "", "//x", "gate.example.org", "https://" + "x" * 3000]
)
def test_an_invalid_page_address_is_not_a_link(link):
    message = written(to_dana(notice(link=link)), NOW, INBOX)
    assert "Review and decide" not in message.text
    assert "<a " not in message.html


@given(st.text(max_size=400))
@example("A0:0")
@example("A.0:0")
def test_inert_text_is_short_on_one_line_and_interpreted_by_no_client(text):
    shown = inert(text, 100)
    shape = shape_of_text(f"Asked by: {shown}")  # inert text never begins a line
    assert shape.interpreted == ()
    assert shape.links == 0
    assert shown.strip() == shown != ""
    assert "\n" not in shown


@pytest.mark.parametrize(
    "text",
    [
        *("@here", "<!channel>", "*b*", "evil.example", "http://evil", "_i_", ":fire:", "&lt;", "mailto:e"),
        *(
            "# h",
            "a|b",
            "~x",
            "x\\y",
            "[a](b)",
            "evil\u3002com",
            "evil\uff0ecom/x",
            "evil\uff61com",
            "1.2.3.4/pay",
        ),
    ],
)
def test_the_test_tokenizer_finds_text_that_is_not_inert(text):
    try:
        found = shape_of_text(text).interpreted
    except AssertionError:  # a link that leads elsewhere
        return
    assert found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("evil.com", "evil\u2024com"),
        ("evil\u3002com", "evil\u3002 com"),
        ("evil\uff0ecom/x", "evil\uff0e com/x"),
        ("a.b\uff61evil", "a\u2024b\uff61 evil"),
        ("1.2.3.4/pay", "1.2.3\u20244/pay"),
        ("127.0.0.1:8088", "127.0.0\u20241: 8088"),
        ("999.1.2.3.4.5.6.7", "999.1.2.3\u20244.5.6\u20247"),
        ("1\uff0e2\u30023\uff614/pay", "1\uff0e2\u30023\u20244/pay"),
        ("\uff11\uff12\uff17.0.0.\uff11/pay", "\uff11\uff12\uff17.0.0\u2024\uff11/pay"),
    ],
)
def test_a_host_or_an_ipv4_address_with_any_dots_is_split_or_has_another_dot(text, shown):
    assert inert(text) == shown
    assert inert(shown) == shown


@pytest.mark.parametrize(
    "name",
    [
        *("rita", "J. Smith", "Dana (Finance)", "O'Brien", "Zoë", "王芳", "a_b", "42.50 EUR", "12:30"),
        *("1.234.567.890 EUR", "27.11.2026", "version 3.11.2", "\uff11\uff12\uff0e\uff15", "付款\u3002"),
    ],
)
def test_ordinary_text_is_unchanged(name):
    assert inert(name) == name
