"""The line that says what a plan runs includes all recipients' hosts, all methods and all called hosts."""

import json
import re
from decimal import Decimal
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.what_runs import what_runs
from plangate.tool import Amount, tool
from plangate.web.language import languages

HOSTS = st.text("abc.-", min_size=1, max_size=8)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
ODD = st.text("ab.@:/\\?#[]é\u202e \n1", min_size=1, max_size=30)


def plan_of(*steps: tuple[str, dict[str, Any]]) -> Plan:
    return Plan(summary="s", steps=tuple(Step(tool=tool, arguments=arguments) for tool, arguments in steps))


def mail(*to: str, cc: tuple[str, ...] = ()) -> tuple[str, dict[str, Any]]:
    return "send_email", {"to": list(to), "cc": list(cc), "subject": "s", "body": "b"}


def call(method: str, url: str) -> tuple[str, dict[str, Any]]:
    return "http_request", {"method": method, "url": url}


def test_rare_mails_and_calls_of_a_long_plan_are_listed_with_their_step() -> None:
    mails = [mail(f"{number}@example.org") for number in range(29)]
    steps = (*mails[:22], mail("eve@evil.example"), *mails[22:], call("DELETE", "https://api.example/x?y"))
    assert what_runs(plan_of(*steps)) == (
        "30 mails: 29 to example.org, 1 to evil.example (step 23); 1 DELETE on api.example/x?… (step 31)"
    )


def test_a_mail_to_many_counts_each_recipient() -> None:
    plan = plan_of(mail("a@example.org", "b@example.org", cc=("eve@evil.example",)))
    assert what_runs(plan) == "1 mail (3 recipients): 2 to example.org, 1 to evil.example (step 1)"


def test_an_unknown_tool_is_counted_by_its_name_recipients_and_calls() -> None:
    note = ("note", {"text": "hi"})
    fax = ("fax", {"to": "ann@example.org", "url": "http://fax.example:81/"})
    assert what_runs(plan_of(note, note, fax)) == (
        "2 note; 1 fax: 1 to example.org (step 3), 1 call on fax.example:81 (step 3)"
    )


def test_amounts_of_money_are_summed_for_each_currency() -> None:
    steps = [("refund", {"amount": 10.5, "currency": "EUR"}), ("refund", {"amount": 4, "currency": "EUR"})]
    assert what_runs(plan_of(*steps)) == "2 refund: amount 14.50 EUR"
    other = ("refund", {"amount": 3, "currency": "USD"})
    assert what_runs(plan_of(*steps, other)) == "3 refund: amount 14.50 EUR and 3 USD"
    assert what_runs(plan_of(*steps, ("refund", {"amount": 3}))) == "3 refund: amount 17.50"


def test_amounts_of_a_custom_tool_with_one_currency_are_summed_in_that_currency() -> None:
    @tool
    def refund(payment: str, amount: Amount, currency: Literal["EUR"] = "EUR") -> None:
        """Refund it."""

    arguments = refund.declaration.arguments.model_validate({"payment": "P-1", "amount": Decimal("42.50")})
    step = ("refund", arguments.model_dump(mode="json"))
    assert what_runs(plan_of(step)) == "1 refund: amount 42.50 EUR"
    assert what_runs(plan_of(step, step)) == "2 refund: amount 85.00 EUR"


def test_a_host_is_shown_only_if_every_parser_agrees_on_it() -> None:
    odd = "https://evil.example\\@api.example/"
    assert what_runs(plan_of(call("GET", odd))) == f"1 GET on {json.dumps(odd)} (step 1)"


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("mail"), st.lists(HOSTS, min_size=1, max_size=3), HOSTS),
            st.tuples(st.just("call"), METHODS, HOSTS),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_host_of_a_recipient_and_every_call_is_included(kinds: list[Any]) -> None:
    steps, wanted = [], set()
    for kind, first, last in kinds:
        if kind == "mail":
            steps.append(mail(*(f"x@{host}" for host in first), cc=(f"y@{last}",)))
            wanted |= {f" to {host}" for host in (*first, last)}
        else:
            steps.append(call(first, f"https://{last}/p"))
            wanted.add(f" {first} on {last}")
    text = what_runs(plan_of(*steps)) + ","
    for what in wanted:
        ends = (",", ";", " (step", "/p (step")
        assert any(f"{what}{end}" in text for end in ends), (what, text)


def test_a_single_call_is_listed_with_its_unambiguous_path() -> None:
    odd = "https://a.example/x%20(step 9); 9 mails"
    assert what_runs(plan_of(call("PUT", "https://a.example/tickets/5"), call("GET", odd))) == (
        '1 PUT on a.example/tickets/5 (step 1), 1 GET on a.example"/x%20(step 9); 9 mails" (step 2)'
    )
    long = f"https://a.example/{'x' * 200}/purge?all=1"
    (text,) = [what_runs(plan_of(call("GET", long)))]
    assert text == f"1 GET on a.example/…{'x' * 54}/purge?… (step 1)"
    assert what_runs(plan_of(call("GET", "https://a.example/"))) == "1 GET on a.example (step 1)"


@given(st.lists(st.tuples(st.sampled_from(["to", "url", "cc"]), ODD), min_size=1, max_size=5))
def test_no_argument_is_omitted_or_can_imitate_the_line(
    arguments: list[tuple[str, str]],
) -> None:
    text = what_runs(plan_of(*(("odd", {name: value}) for name, value in arguments)))
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "…", text)
    assert re.fullmatch(r"[A-Za-z0-9 .,:;()\[\]_…-]+", outside), text
    for _, value in arguments:
        assert json.dumps(value, ensure_ascii=False) in text or value.rpartition("@")[2].lower() in text


def of(tool: str, *arguments: dict[str, Any]) -> str:
    return what_runs(Plan(summary="s", steps=tuple(Step(tool=tool, arguments=one) for one in arguments)))


def test_numbers_that_are_not_amounts_are_given_as_a_range() -> None:
    """The sum of the days of two grants is not a number of days that anyone gets."""
    assert of("grant", {"days": 1}, {"days": 365}) == "2 grant: days 1 to 365"
    assert of("grant", {"days": 30}, {"days": 30}) == "2 grant: days 30 each"
    assert of("grant", {"days": 30}) == "1 grant: days 30"
    assert of("move", {"by": -0.5}, {"by": 1200}, {"by": 3}) == "3 move: by -0.50 to 1,200"
    assert of("book", {"total_amount": 2, "days": 3}, {"total_amount": 5, "days": 3}) == (
        "2 book: total_amount 7, days 3 each"
    )


def test_a_german_page_says_in_german_what_runs() -> None:
    steps: list[Any] = [("refund", {"amount": 1234.5, "currency": "EUR"})]
    steps += [("pay", {"amount": 1250, "weeks": 2})]
    steps += [("grant", {"days": days}) for days in (1, 1365)] + [mail("a@b.example"), ("pin", {"code": 1.5})]
    assert languages()["de"].said(what_runs(plan_of(*steps))) == (
        "1 refund: amount 1.234,50 EUR; 1 pay: amount 1.250, weeks 2; 2 grant: days 1 bis 1.365; "
        "1 Mail: 1 an b.example (Schritt 5); 1 pin: code 1,50"
    )
    assert languages()["de"].said(of("grant", {"days": 30}, {"days": 30})) == "2 grant: days je 30"


def test_the_amounts_of_a_tool_are_summed() -> None:
    assert of("refund", {"amount": 42.5, "to": None}, {"amount": 37.5}) == "2 refund: amount 80.00"
    assert of("refund", {"amount": 0.1}, {"amount": 0.2}) == "2 refund: amount 0.30"
    assert of("refund", {"cents": 4250}) == "1 refund: cents 4,250"
    assert of("refund", {"amount": 1e22}, {"amount": 1}) == "2 refund: amount 10,000,000,000,000,000,000,001"
    assert of("refund", {"amount": 0.001}) == "1 refund: amount 0.001"
    assert of("refund", {"amount": -1.5}, {"amount": 1.5}) == "2 refund: amount 0.00"
    assert of("refund", {"amount": 1.7e308}, {"amount": 5e-324}).startswith("2 refund: amount 170,000")


def test_values_that_are_not_amounts_are_not_summed() -> None:
    for arguments in (
        ({"amount": 1}, {"amount": "2"}),
        ({"amount": 1}, {}),
        ({"amount": True}, {"amount": False}),
        ({"payment_id": 4711}, {"payment_id": 4712}),
        ({"amount": {"from_step": 1, "field": "n"}}, {"amount": 2}),
    ):
        assert of("refund", *arguments) == "2 refund"
