"""A plan whose amounts or addresses differ from its request or texts is marked; ordinary requests are not."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.plans.plan import Plan, Step
from plangate.presentation.disagreements import disagreements

ORDINARY: list[tuple[str, list[float], str]] = [
    # the request, the refunded amounts, the recipients of mails
    ("Refund 22.86 EUR to ida@mail.example", [22.86], "ida@mail.example"),
    ("Please refund €35.50 for order 4711.", [35.5], "ida@mail.example"),
    ("Refund EUR 1,234.50 to Ida, she paid twice on 2026-05-03.", [1234.5], "ida@mail.example"),
    ("Bitte 1.234,50 EUR an Ida zurückzahlen, Rechnung 2026-0815.", [1234.5], "ida@mail.example"),
    ("Erstatte 35,50 € für Bestellung 12345.", [35.5], "ida@mail.example"),
    ("Erstatte Ida die Hälfte von 71,00 €.", [35.5], "ida@mail.example"),
    ("Refund half of the 71 EUR.", [35.5], "ida@mail.example"),
    ("She paid 120 EUR and returned a lamp for 35.50 EUR; refund the lamp.", [35.5], "ida@mail.example"),
    ("Order of 120.00 EUR arrived broken. Refund all of it.", [120], "ida@mail.example"),
    ("Refund 10 % of 120 EUR.", [12], "ida@mail.example"),
    ("Give 5% off: she paid 80 EUR.", [4], "ida@mail.example"),
    ("Sie zahlte 80 EUR; erstatte 25 Prozent.", [20], "ida@mail.example"),
    ("She paid 120 EUR, the price was 100 EUR. Refund the difference.", [20], "ida@mail.example"),
    ("Er hat 120,00 € statt 99,90 € gezahlt, den Rest erstatten.", [20.1], "ida@mail.example"),
    ("Refund 30 EUR each to Ida and Bo.", [30, 30], "ida@mail.example"),
    ("Refund 60 EUR in all, 30 EUR for each lamp.", [30, 30], "ida@mail.example"),
    ("Refund 60 EUR, split over both payments.", [25, 35], "ida@mail.example"),
    ("Refund three lamps at 12.50 EUR.", [37.5], "ida@mail.example"),
    ("Refund 3 lamps at 12.50 EUR.", [37.5], "ida@mail.example"),
    ("Drei Lampen zu je 12,50 € erstatten.", [37.5], "ida@mail.example"),
    ("Refund 12.50 EUR and the shipping of 4.90 EUR.", [12.5, 4.9], "ida@mail.example"),
    ("Refund 12.50 EUR and the shipping of 4.90 EUR.", [17.4], "ida@mail.example"),
    ("Refund 42.50 to Ida.", [42.5], "ida@mail.example"),
    ("Refund 20 to Ida; she had paid 35 EUR.", [20], "ida@mail.example"),
    ("Refund order 20260815 from 15.08.2026 by 18:30.", [35.5], "ida@mail.example"),
    ("Refund ticket #77 (INV-2026-0099), 3 items, rated 4.5 of 5.", [35.5], "ida@mail.example"),
    ("Refund the parcel of 12.50 kg that was lost.", [35.5], "ida@mail.example"),
    ("Refund the plan v2.10 that she did not use.", [35.5], "ida@mail.example"),
    ("Am 24.12 bitte erstatten, Kundin 88231.", [35.5], "ida@mail.example"),
    ("Refund the lamp.", [35.5], "ida@mail.example"),
    ("Kundin 4711 möchte ihr Geld zurück.", [35.5], "ida@mail.example"),
    ("Customer +49 170 1234567 wants the refund.", [35.5], "ida@mail.example"),
    ("Refund up to 50 EUR if the lamp is broken; the lamp was 35.50 EUR.", [35.5], "ida@mail.example"),
    ("IBAN DE89370400440532013000: erstatten Sie 35,50 EUR.", [35.5], "ida@mail.example"),
    ("Refund $35.50.", [35.5], "ida@mail.example"),
    ("Refund 1 234,50 EUR.", [1234.5], "ida@mail.example"),
    ("Refund 1'234.50 EUR.", [1234.5], "ida@mail.example"),
    ("Refund 1,234.50.", [1234.5], "ida@mail.example"),
    ("Refund it and mail Ida <ida@mail.example>, copy to boss@shop.example.", [35.5], "ida@mail.example"),
    ("Ida (IDA@Mail.Example) wrote; refund 35.50 EUR.", [35.5], "ida@mail.example"),
    ("Refund 35.50 EUR, see https://shop.example/orders/4711.", [35.5], "ida@mail.example"),
    ("Refund order 4711: EUR 35.50.", [35.5], "ida@mail.example"),
    ("Betrag: 35,50 EUR. Grund: Lampe defekt.", [35.5], "ida@mail.example"),
    ("Refund 35.5 EUR, please before 2026-06-01.", [35.5], "ida@mail.example"),
    ("Refund twice the 12 EUR that we took too often.", [24], "ida@mail.example"),
    ("She paid 119 EUR with 19 % VAT; refund the net price.", [100], "ida@mail.example"),
]


def refund(amount: object, currency: str = "EUR") -> Step:
    return Step(tool="refund_payment", arguments={"payment": "pi_1", "amount": amount, "currency": currency})


def mail(body: str, to: str = "ida@mail.example", subject: str = "Your refund") -> Step:
    return Step(tool="send_email", arguments={"to": [to], "subject": subject, "body": body})


def kinds(request: str, *steps: Step, summary: str = "Do it") -> list[str]:
    return [one.kind.value for one in disagreements(Plan(summary=summary, steps=steps), (), request)]


def said(request: str, *steps: Step, summary: str = "Do it") -> list[tuple[str, ...]]:
    return [one.said + one.plan for one in disagreements(Plan(summary=summary, steps=steps), (), request)]


@pytest.mark.parametrize(("request_text", "amounts", "to"), ORDINARY)
def test_an_ordinary_request_is_not_marked(request_text: str, amounts: list[float], to: str) -> None:
    currency = "USD" if "$" in request_text else "EUR"
    steps = [refund(amount, currency) for amount in amounts]
    assert kinds(request_text, *steps, mail("Hello Ida", to)) == []
    words = f"Refund {sum(amounts):,.2f} {currency}"
    assert kinds(request_text, *steps, mail(f"{words} for you", to), summary=words) == []
    assert kinds(request_text, mail("Hello Ida, it is done.", to)) == []


@pytest.mark.parametrize(
    ("request_text", "amounts"),
    [
        ("Refund 22.86 EUR to Ida", [228.6]),
        ("Bitte 22,86 € erstatten", [2286.0]),
        ("Refund 1.234,50 EUR", [12345.0]),
        ("Refund 22.86 EUR to Ida and 10 EUR to Bo", [228.6, 10]),
        ("Refund 22.86 to Ida", [228.6]),
        ("She paid 120 EUR, refund 22.86 EUR", [228.6]),
    ],
)
def test_an_amount_missing_from_the_request_is_marked(request_text: str, amounts: list[float]) -> None:
    assert kinds(request_text, *map(refund, amounts)) == ["request_amount"]


def test_an_amount_in_a_mail_is_compared_with_the_request() -> None:
    assert kinds("Tell Ida that she gets 22.86 EUR", mail("You get 228.60 EUR")) == ["request_amount"]
    assert kinds("Tell Ida that she gets 22.86 EUR", mail("You get 22,86 € of 100 €")) == []


def test_an_amount_without_a_currency_is_compared_with_the_request() -> None:
    step = Step(tool="pay", arguments={"amount": 228.6, "to": "Ida"})
    (found,) = said("Pay Ida 22.86 EUR", step)
    assert found == ("22.86 EUR", "228.6")
    assert kinds("Pay Ida 228.60 EUR", step) == []
    assert kinds("Pay Ida 22.86 EUR", Step(tool="pay", arguments={"amount": "228.60 EUR"})) == [
        "request_amount"
    ]


@pytest.mark.parametrize(
    ("mentioned", "used"),
    [
        ("ida@mail.example", "ida@mail-example.example"),
        ("ida@mail.example", "bo@other.example"),
        ("https://api.shop.example/x", "https://evil.example/x"),
    ],
)
def test_an_address_in_the_request_that_no_step_has_is_marked(mentioned: str, used: str) -> None:
    step = mail("Hello", used) if "@" in used else Step(tool="call", arguments={"url": used})
    assert kinds(f"Write to {mentioned}.", step) == ["request_address"]
    assert kinds(f"Write to {mentioned}.", Step(tool="note", arguments={"text": "Hello"})) == []


def test_a_recipient_that_resembles_one_in_the_request_is_marked() -> None:
    request = "Write to ida@mail.example and bo@shop.example"
    steps = mail("Hi", "ida@mail-example.example"), mail("Ida is ida@mail.example", "bo@shop.example")
    assert said(request, *steps) == [("ida@mail.example", "ida@mail-example.example")]


AMOUNTS = st.decimals(min_value=1, max_value=9_999, places=2).filter(lambda one: one % 1 != 0)
WRITTEN = st.sampled_from(["{0:,.2f} EUR", "EUR {0:,.2f}", "{0:.2f}€", "€{0:.2f}", "{1} EUR", "{1} €"])


def spelled(form: str, amount: Decimal) -> str:
    german = f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))
    return form.format(amount, german)


@given(AMOUNTS, WRITTEN, WRITTEN, WRITTEN, st.sampled_from([10, 100, Decimal("0.1")]))
def test_an_amount_that_no_text_mentions_is_always_marked(
    amount: Decimal, summary: str, subject: str, body: str, times: Decimal
) -> None:
    """The summary, the mail and the ticket agree with each other, but none of them confirms the step."""
    step = refund(float(amount * times))
    ticket = Step(tool="create_ticket", arguments={"title": f"Refund {spelled(subject, amount)}"})
    letter = mail(f"You get {spelled(body, amount)} back.", subject=f"Refund of {spelled(subject, amount)}")
    words = f"Refund {spelled(summary, amount)} to Ida"
    assert kinds("", step, ticket, letter, summary=words) == ["step_amount"]
    assert kinds("", refund(float(amount)), ticket, letter, summary=words) == []


@pytest.mark.parametrize(("edited", "mentioned"), [(15.0, "15.50 EUR"), (130, "129 EUR"), (355.0, "35,50 €")])
def test_an_edit_that_left_the_old_amount_in_the_text_is_marked(edited: float, mentioned: str) -> None:
    letter = mail(f"You get {mentioned} back.", subject=f"{mentioned} for you")
    (found,) = said("", refund(edited), letter, summary=f"Refund {mentioned}")
    assert (mentioned in found, len(found)) == (True, 2)


def test_one_of_several_amounts_that_no_text_mentions_is_marked() -> None:
    words = "Refund 10 EUR and 35.50 EUR"
    (found,) = said("", refund(10), refund(355.0), mail(words), summary=words)
    assert found == ("35.50 EUR", "355.00 EUR")


@given(AMOUNTS, WRITTEN, st.sampled_from([10, 100]))
def test_an_amount_ten_times_that_of_the_request_is_always_marked(
    amount: Decimal, form: str, times: int
) -> None:
    request = f"Please refund {spelled(form, amount)} to Ida, she sent the lamp back."
    assert kinds(request, refund(float(amount * times))) == ["request_amount"]
    assert kinds(request, refund(float(amount))) == []


def test_a_count_next_to_an_amount_is_not_mistaken_for_money() -> None:
    step = Step(tool="pay", arguments={"amount": 35.5, "count": 3, "order": "4711", "currency": "EUR"})
    assert kinds("Pay the 35.50 EUR of the order of 120 EUR", step) == []


@given(st.text(max_size=80), st.text(max_size=40), st.floats(allow_nan=False, allow_infinity=False))
def test_any_request_can_be_parsed(request_text: str, body: str, amount: float) -> None:
    disagreements(Plan(summary="Do it", steps=(refund(amount), mail(body, request_text))), (), request_text)
