"""Disagreements between the texts of a plan and its steps: all are marked, without false positives."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.plans.plan import Plan, Step
from plangate.presentation.amounts import written
from plangate.presentation.disagreements import DisagreementKind, disagreements


def plan(summary: str, *steps: Step) -> Plan:
    return Plan(summary=summary or "Do it", steps=steps or (mail("Hello"),))


def mail(body: str, to: str = "ann@example.org") -> Step:
    return Step(tool="send_email", arguments={"to": [to], "subject": "Hi", "body": body})


def refund(amount: object, currency: str = "EUR") -> Step:
    return Step(tool="refund_payment", arguments={"payment": "pi_1", "amount": amount, "currency": currency})


def kinds(one: Plan, tools: tuple[str, ...] = ()) -> list[str]:
    return [found.kind.value for found in disagreements(one, tools)]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (plan("Refund 42.50 EUR", refund(42.5), mail("You get 425.00 EUR back.")), "text_amount"),
        (plan("", refund(42.5), mail("Wir erstatten 425,00 €.")), "text_amount"),
        (plan("", refund("42.50", "USD"), mail("You get $425 back")), "text_amount"),
        (plan("", refund(42.5), mail("You get 42.50 USD back")), "text_amount"),
        (plan("Tell Ann about 42.50 EUR", mail("It is EUR 4,250.00")), "text_amount"),
        (plan("Refund 425.00 EUR", refund(42.5)), "summary_amount"),
        (plan("Refund 42.50 EUR", mail("Hello")), "summary_amount"),
        (plan("Mail bob@example.org", mail("Hello")), "summary_address"),
        (plan("Post to https://api.example.org/x", mail("Hello")), "summary_address"),
    ],
)
def test_disagreements_are_marked(one: Plan, expected: str) -> None:
    assert kinds(one) == [expected]


def test_a_tool_named_only_in_the_summary_is_marked_if_it_exists() -> None:
    assert kinds(plan("Uses create_payment"), ("create_payment",)) == ["summary_tool"]
    assert kinds(plan("Sets user_id"), ("create_payment",)) == []
    assert kinds(plan("Uses send_email"), ("send_email",)) == []


@pytest.mark.parametrize(
    "one",
    [
        plan("Refund 42.50 EUR", refund(42.5), mail("You get 42,50 € of the 100 EUR that you paid.")),
        plan("Refund 1.234,50 EUR", refund(1234.5), mail("EUR 1,234.50 and US$ 3")),
        plan("Refund two payments, 30 EUR in all", refund(10), refund(20), mail("10 EUR and 20 EUR")),
        plan("Refund 42.50 EUR", refund(4250)),  # in cents
        plan("Mail Ann", mail("About 425 EUR"), mail("About 99 EUR", "bob@example.org")),
        plan("It costs 5 million EUR or EUR 5k", mail("EUR 5 million")),
        plan("Mail ann@example.org.", mail("Hello", "Ann@Example.org")),
        plan("ALL 3 items, TOP 5, TRY 2", mail("TRY 2 ALL 3")),
        plan("Up to 10-20 EUR, 3% and +5 EUR, #77 EUR", refund(42.5)),
    ],
)
def test_matching_or_uncertain_texts_are_not_marked(one: Plan) -> None:
    assert kinds(one) == []


def test_an_amount_from_an_earlier_step_is_unknown() -> None:
    later = Step(tool="pay", arguments={"amount": {"from_step": 1, "field": "due"}, "currency": "EUR"})
    assert kinds(plan("Pay 3 EUR", mail("Hello"), later)) == []


AMOUNTS = st.decimals(min_value=1, max_value=99_999, places=2)
WRITTEN = st.sampled_from(["{0:,.2f} EUR", "EUR {0:,.2f}", "{0:.2f}€", "€{0:.2f}", "{1} EUR", "{1} €"])
NUMBERS = st.one_of(
    st.dates().map(str),
    st.dates().map(lambda day: f"{day:%d.%m.%Y}"),
    st.times().map(lambda time: f"{time:%H:%M}"),
    st.integers(0, 10**12).map(lambda number: f"INV-{number}"),
    st.integers(0, 10**12).map(lambda number: f"#{number}"),
    st.integers(0, 10**12).map(str),
    st.uuids().map(str),
    st.from_regex(r"\+49 [0-9]{3} [0-9]{6}", fullmatch=True),
    st.from_regex(r"DE[0-9]{20}", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True),
    st.from_regex(r"v[0-9]\.[0-9]{1,2}", fullmatch=True),
    st.from_regex(r"[0-9]{1,2}(\.[0-9])? %", fullmatch=True),
    st.from_regex(r"(pi|re|cus)_[A-Za-z0-9]{8,20}", fullmatch=True),
)
PROSE = st.text(alphabet=st.characters(exclude_characters="€£¥$@_", codec="utf-8"), max_size=30)


def german(amount: Decimal) -> str:
    return f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))


@given(st.lists(NUMBERS, max_size=6), st.lists(NUMBERS, max_size=6), AMOUNTS)
def test_dates_ids_and_reference_numbers_are_not_amounts(
    summary: list[str], body: list[str], amount: Decimal
) -> None:
    assert kinds(plan(", ".join(summary), refund(float(amount)), mail("; ".join(body)))) == []


@given(AMOUNTS, WRITTEN, WRITTEN, st.lists(NUMBERS, max_size=3), PROSE)
def test_one_amount_in_different_notations_agrees(
    amount: Decimal, summary: str, body: str, numbers: list[str], prose: str
) -> None:
    in_summary, in_body = (form.format(amount, german(amount)) for form in (summary, body))
    text = f"{' '.join(numbers)}\n{in_body}\n{prose}"
    assert kinds(plan(f"Refund {in_summary}.", refund(float(amount)), mail(text))) == []
    assert kinds(plan(f"Refund {in_summary}.", mail(text))) == []


@given(AMOUNTS, WRITTEN, st.lists(NUMBERS, max_size=3), st.sampled_from([10, 100]))
def test_an_amount_ten_times_as_high_is_always_marked(
    amount: Decimal, form: str, numbers: list[str], times: int
) -> None:
    written_amount = form.format(amount * times, german(amount * times))
    found = disagreements(
        plan("Refund it", refund(float(amount)), mail(f"{' '.join(numbers)}\n{written_amount} is yours"))
    )
    assert [(one.kind, one.step) for one in found] == [(DisagreementKind.TEXT_AMOUNT, 2)]


@given(PROSE, PROSE, st.text(max_size=60))
def test_any_text_can_be_parsed(summary: str, body: str, wild: str) -> None:
    assert kinds(plan(summary, mail(body))) == []
    disagreements(plan(wild, refund(wild), mail(wild)), (wild,))


@pytest.mark.parametrize(
    ("text", "currencies"),
    [("7.00 USD", {"USD"}), ("USD 7.00", {"USD"}), ("7.00 EUR", {"EUR"}), ("US$7.00", {"USD", "AUD"})],
)
def test_an_amount_has_the_currency_written_next_to_it(text: str, currencies: set[str]) -> None:
    (found,) = written(text)
    assert currencies <= found.currencies <= (currencies if len(currencies) == 1 else found.currencies)
