"""Conditions on rolling totals: their values, unclear values, and errors."""

import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from activities.tools.registry import declarations
from plangate.domain.errors import FileInvalid
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.policies.rolling_totals import (
    Limit,
    RecentSum,
    UnknownSum,
    amount_of,
    recent_sum,
    scope_of,
    sums_wanted,
    window_start,
    written,
)
from plangate.policy.cel.parser import parse
from plangate.policy.policy_file import FilePolicy, checked_policy, read_policy
from plangate.policy.recent_calls import calls_in
from plangate.settings import PROJECT
from tests.support.refund_tool import RefundArguments, Refunds, refund_plan

ALL = Limit(tool="refund", argument="amount", window="24h")


def policy(when: str) -> FilePolicy:
    text = f"[[rule]]\nname = 'much'\nneeds = [{{ role = 'anyone' }}]\nwhen = '''{when}'''\n"
    text += "[default]\nneeds = []\n"
    return checked_policy(text, {"refund": Refunds(Path("nowhere")).declaration}, None)


def faults(when: str) -> str:
    with pytest.raises(FileInvalid) as raised:
        policy(when)
    return "\n".join(map(str, raised.value.faults))


def needs_approval(when: str, plan: Plan, *others: str) -> bool:
    """Return whether the rule requires an approval, if other plans had these amounts for each sum."""
    rules = policy(when)
    wanted = sums_wanted(rules.limits, plan, ["rita"])
    sums = [one.model_copy(update={"others": other}) for one, other in zip(wanted, others, strict=True)]
    return bool(rules.requirement_for(plan, request="", requester="rita", recent=sums).needs)


def test_the_sum_includes_other_plans_and_the_whole_plan() -> None:
    when = "recent('refund', 'amount', '24h') > 500"
    assert not needs_approval(when, refund_plan("200", "100"), "200")
    assert needs_approval(when, refund_plan("200", "100.01"), "200")


def test_sums_are_exact() -> None:
    when = "recent('refund', 'amount', '24h') > 0.3"
    assert not needs_approval(when, refund_plan("0.1"), "0.2")
    assert needs_approval(when, refund_plan("0.1"), "0.2000000001")


def test_a_sum_counts_one_currency_and_one_value_of_its_grouping_argument() -> None:
    plan = Plan(
        summary="s",
        steps=(*refund_plan("300").steps, *refund_plan("300", currency="USD").steps,
               *refund_plan("300", recipient="lee").steps),
    )  # fmt: skip
    by_recipient = sums_wanted([ALL.model_copy(update={"by": "recipient"})], plan, ["rita"])
    assert [(one.of, one.currency, one.own) for one in by_recipient] == [
        ('"kim"', "EUR", "300"), ('"kim"', "USD", "300"), ('"lee"', "EUR", "300"),
    ]  # fmt: skip
    assert [(one.currency, one.own) for one in sums_wanted([ALL], plan, ["rita"])] == [
        ("EUR", "600"), ("USD", "300"),
    ]  # fmt: skip


def test_two_spellings_of_a_text_count_as_one_value() -> None:
    """Conditions treat them as equal; otherwise a second spelling would evade a limit for each recipient."""
    plan = Plan(summary="s", steps=(*refund_plan("300", recipient="J\u00fcrgen").steps,
                                    *refund_plan("300", recipient="Ju\u0308rgen").steps))  # fmt: skip
    by_recipient = sums_wanted([ALL.model_copy(update={"by": "recipient"})], plan, ["rita"])
    assert [one.own for one in by_recipient] == ["600"]
    assert needs_approval("recent('refund', 'amount', '24h', 'recipient') > 500", plan, "0")
    spelled = ("EUR", "eur", "EUR ", "\uff25\uff35\uff32")
    plan = Plan(summary="s", steps=tuple(refund_plan("300", currency=one).steps[0] for one in spelled))
    assert [(one.currency, one.own) for one in sums_wanted([ALL], plan, ["rita"])] == [("EUR", "1200")]


INVISIBLE = ["", "\u200b", "\u00ad", "\u2060", "\ufeff", "\u200e", "\u034f", "\ufe0f", "\u3164", "\U000e0041"]
WORDS = st.lists(st.text("acemnzßAİ東é", min_size=1, max_size=6), min_size=1, max_size=3)


@given(WORDS, st.data(), st.sampled_from([1, 400]))
def test_invisibly_different_spellings_count_as_one_value(
    words: list[str], data: st.DataObject, times: int
) -> None:
    """Case, width, decomposition, whitespace and invisible characters do not matter, at any length."""
    words *= times

    def spelled() -> str:
        words_now = [data.draw(st.sampled_from([one, one.lower(), one.casefold()])) for one in words[:3]]
        hidden = data.draw(st.sampled_from(INVISIBLE))
        blank = data.draw(st.sampled_from([" ", "  ", "\u00a0", "\u2003"]))
        text = blank.join(hidden.join(word) for word in (*words_now, *words[3:]))
        is_decomposed = times == 1 and data.draw(st.booleans())
        return blank + (unicodedata.normalize("NFD", text) if is_decomposed else text) + hidden

    by = Limit(tool="refund", argument="amount", by="to", window="24h")
    scopes = [scope_of(by, {"amount": 1, "to": spelled(), "currency": "EUR"}, "") for _ in range(3)]
    assert len(set(scopes)) == 1
    assert scope_of(by, {"amount": 1, "to": f"{spelled()}x", "currency": "EUR"}, "") not in scopes
    currencies = ["EUR", "eur ", "E\u200bUR", "\uff25UR"]
    assert len({scope_of(ALL, {"amount": 1, "currency": one}, "") for one in currencies}) == 1


@pytest.mark.parametrize("currency", ["", " ", "\u200b", None])
def test_an_empty_currency_makes_a_rule_that_requires_approval_match(currency: JsonValue) -> None:
    step = Step(tool="refund", arguments={"payment": "P", "amount": 1, "currency": currency})
    plan = Plan(summary="x", steps=(step,))
    assert needs_approval("recent('refund', 'amount', '24h') > 500.0", plan, "0")


def test_an_edited_plan_is_summed_for_its_requester_and_for_its_author() -> None:
    sums = sums_wanted([ALL.model_copy(update={"by": "requester"})], refund_plan("1"), ["rita", "erik"])
    assert [one.of for one in sums] == ["rita", "erik"]


def test_a_step_of_another_tool_gets_the_largest_sum_of_the_plan() -> None:
    note = refund_plan("1").steps[0].model_copy(update={"tool": "note"})
    plan = Plan(summary="s", steps=(note, *refund_plan("400").steps, *refund_plan("1", currency="USD").steps))
    sums = sums_wanted([ALL], plan, ["rita"])
    found = [recent_sum(ALL, plan=plan, number=number, person="rita", sums=sums) for number in (1, 2, 3)]
    assert found == [400.0, 400.0, 1.0]
    alone = plan.model_copy(update={"steps": (note,)})
    assert recent_sum(ALL, plan=alone, number=1, person="rita", sums=()) == 0.0


@pytest.mark.parametrize(
    ("plan", "others"),
    [
        (refund_plan("1"), None),  # the other plan's amount is unknown
        (refund_plan("0.001"), "99999999999999.99"),  # a double would round it
    ],
)
def test_an_unknown_sum_makes_a_rule_that_requires_approval_match(plan: Plan, others: str) -> None:
    when = "recent('refund', 'amount', '24h') > 99999999999999999.0"
    assert needs_approval(when, plan, others)
    assert not needs_approval(when, refund_plan("1"), "0")


def test_a_sum_without_its_records_is_unknown() -> None:
    rules = policy("recent('refund', 'amount', '24h') > 500")
    explained = rules.explain(refund_plan("1"), request="", requester="rita")
    assert [one.reason for one in explained.steps[0].unclear] == [
        "recent('refund', 'amount', '24h') is not recorded"
    ]


def test_a_reference_in_the_grouping_argument_makes_the_sum_unknown() -> None:
    step = refund_plan("1").steps[0]
    of_step = {"from_step": 1, "field": "text"}
    second = step.model_copy(update={"arguments": {**step.arguments, "recipient": of_step}})
    plan = Plan(summary="s", steps=(step, second))
    limit = ALL.model_copy(update={"by": "recipient"})
    sums = sums_wanted([limit], plan, ["rita"])
    assert [one.own for one in sums] == ["2"]  # it may be the same recipient
    with pytest.raises(UnknownSum, match="not known before the step runs"):
        recent_sum(limit, plan=plan, number=2, person="rita", sums=sums)


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        ("recent('refnd', 'amount', '24h') > 1", "there is no tool called refnd; the tools are: refund"),
        ("recent('refund', 'currency', '24h') > 1", "refund has no numeric argument currency"),
        (
            "recent('refund', 'amount', '24') > 1",
            "the window '24' is not a valid duration; use a form such as 72h",
        ),
        ("recent('refund', 'amount', '9999d') > 1", "is not between 1 second and 365 days"),
        ("recent('refund', 'amount', 'day Europe/Berln') > 1", "unknown time zone Europe/Berln"),
        ("recent('refund', 'amount', 'day ../etc') > 1", "the window 'day ../etc' is not a valid duration"),
        (
            "recent('refund', 'amount', '24h', 'customer') > 1",
            "arguments: amount, currency, recipient",
        ),
        ("recent(step.tool, 'amount', '24h') > 1", "cannot be checked; write recent("),
        ("recent('refund', 'amount') > 1", "cannot be checked"),
        ("'refund'.recent('amount', '24h') > 1", "cannot be checked"),
        ("['24h'].exists(w, recent('refund', 'amount', w) > 1)", "cannot be checked"),
        ("recent > 1", "there is no variable called recent"),
    ],
)
def test_a_call_that_can_never_yield_a_sum_causes_an_error_with_its_location(when: str, fault: str) -> None:
    assert fault in faults(when)
    assert faults(when).startswith("rule 'much' (line 1).when")


@pytest.mark.parametrize(
    "when",
    [
        "recent('refund', 'amount', '7d', 'requester') > 1",
        'recent( "refund" , "amount" , "1h30m" , "recipient" ) > 1',
        "recent('refund', 'amount', 'day') > 1 || recent('refund', 'amount', 'day America/New_York') > 1",
        "'recent(1)' != '' // recent(2)\n && recent('refund', 'amount', '24h') > 1",
        "has(step.arguments.recent)",
    ],
)
def test_every_other_call_is_valid(when: str) -> None:
    if "has(" in when:
        assert calls_in(parse(when)) == ((), True)
    else:
        assert policy(when).limits


def test_a_call_is_found_once_and_never_in_strings_and_comments() -> None:
    tree = parse(
        "recent('a', 'b', '24h') > 1 || recent('a', 'b', '24h') > 2 // recent('c', 'd', '1h')\n"
        '|| \'recent("e", "f", "1h")\' == \'\''
    )
    found, is_plain = calls_in(tree)
    assert (found, is_plain) == ((Limit(tool="a", argument="b", window="24h"),), True)


@given(st.decimals(min_value=0, max_value=10**11, places=3, allow_nan=False))
def test_an_amount_is_the_exact_decimal(amount: Decimal) -> None:
    argument = RefundArguments(amount=amount).model_dump(mode="json")["amount"]
    assert amount_of(argument) == amount
    assert Decimal(written(amount)) == amount


@pytest.mark.parametrize("value", [None, True, "much", "nan", "1e999", "٤", "1_000", [1], {"from_step": 1}])
def test_a_value_that_is_not_a_number_is_not_an_amount(value: object) -> None:
    assert amount_of(value) is None  # type: ignore[arg-type]


def test_a_negative_amount_does_not_offset_others() -> None:
    assert amount_of(-400) == 0
    (one,) = sums_wanted([ALL], refund_plan("-400", "499"), ["rita"])
    assert one.own == "499"


@pytest.mark.parametrize(
    ("window", "now", "start"),
    [
        ("24h", "2026-03-29T12:00+02:00", "2026-03-28T11:00+01:00"),
        ("day", "2026-03-29T01:30+02:00", "2026-03-28T00:00+00:00"),
        ("day Europe/Berlin", "2026-03-29T12:00+02:00", "2026-03-29T00:00+01:00"),  # a day of 23 hours
        ("day Europe/Berlin", "2026-10-25T23:59+01:00", "2026-10-25T00:00+02:00"),  # a day of 25 hours
        ("day Europe/Berlin", "2026-10-25T22:30+00:00", "2026-10-25T00:00+02:00"),
        ("day America/Havana", "2026-11-01T00:30-05:00", "2026-11-01T00:00-04:00"),  # midnight occurs twice
        ("day Africa/Cairo", "2026-04-24T01:30+03:00", "2026-04-24T01:00+03:00"),  # midnight does not occur
    ],
)
def test_a_window_is_a_duration_or_a_date_in_a_time_zone(window: str, now: str, start: str) -> None:
    assert window_start(window, datetime.fromisoformat(now)) == datetime.fromisoformat(start)


@given(
    st.integers(0, 10 * 365 * 24 * 60),
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Africa/Cairo", "Australia/Lord_Howe"]
    ),
    st.timedeltas(timedelta(0), timedelta(hours=30)),
)
def test_a_day_begins_with_its_first_instant(minutes: int, zone: str, before: timedelta) -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    then = now - before
    is_today = then.astimezone(ZoneInfo(zone)).date() == now.astimezone(ZoneInfo(zone)).date()
    assert (then >= window_start(f"day {zone}", now)) is is_today


def test_a_recorded_sum_can_be_read_again() -> None:
    (one,) = sums_wanted([ALL], refund_plan("1"), ["rita"])
    assert RecentSum.model_validate_json(one.model_dump_json()) == one
    assert one.total == 1


@pytest.mark.parametrize(("others", "needed"), [("0", 0), ("400", 0), ("401", 1), ("4901", 2)])
def test_the_example_of_limits_works(others: str, needed: int) -> None:
    rules = read_policy(PROJECT / "examples" / "policies" / "limits.toml", declarations(), None)
    refund = Step(tool="refund_payment", arguments={"payment": "pi_1", "amount": 100, "currency": "EUR"})
    plan = Plan(summary="s", steps=(refund,))
    sums = [one.model_copy(update={"others": others}) for one in sums_wanted(rules.limits, plan, ["rita"])]
    requirement = rules.requirement_for(plan, request="", requester="rita", recent=sums)
    assert sum(need.count for need in requirement.needs) == needed
