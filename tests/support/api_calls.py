"""Generate valid and invalid calls of the HTTP API from its OpenAPI document."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

# Data that fits its schema may still be refused: a plan may use an unknown tool, or a run have no such plan.
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]


@dataclass
class Calls:
    """The calls and their responses."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def made(self) -> int:
        return self.answers.total()


def call_all(
    document: dict[str, Any],
    client: httpx.Client,
    *,
    examples: int,
    ids: Iterable[str],
    seeded: int = 1,
    at_once: int = 1,
) -> Calls:
    """Call every operation with valid and invalid input, and check each response against the document.

    Args:
        document: the OpenAPI document.
        client: a signed-in visitor.
        examples: how many valid calls, and how many invalid calls, each operation gets.
        ids: workflow ids that exist; every second valid call uses one of them.
        seeded: the seed of the generator.
        at_once: how many calls are made at the same time.
    """
    calls, known = Calls(), list(ids)
    operations = [_operation(one) for one in schemathesis.openapi.from_dict(document).get_all_operations()]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)

    cases = []
    generated = (
        (kind, case)
        for operation, kind in product(operations, modes)
        for case in _generated(operation, kind, examples, seeded)
    )
    for number, (kind, case) in enumerate(generated):
        is_valid = kind is GenerationMode.POSITIVE  # a deliberately wrong id is kept
        if known and number % 2 and is_valid and "workflow_id" in (case.path_parameters or {}):
            case.path_parameters["workflow_id"] = known[number // 2 % len(known)]
        if str((case.query or {}).get("wait", "")).isdigit():
            case.query["wait"] = 0  # there are many calls
        cases.append(case)
    with ThreadPoolExecutor(at_once) as threads:
        list(threads.map(lambda case: _check(case, client, calls), cases))
    return calls


def _operation(found: Any) -> Any:
    """Return an operation of the document; raise an error if its schema is invalid."""
    return found.ok()


def _generated(
    operation: Any, mode: GenerationMode, examples: int, seeded: int
) -> list[schemathesis.Case[Any]]:
    cases: list[schemathesis.Case[Any]] = []

    @seed(seeded)
    @hypothesis_settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def keep(case: schemathesis.Case[Any]) -> None:
        cases.append(case)

    with suppress(Unsatisfiable):  # no input of this operation can be wrong
        keep()
    return cases


def _check(case: schemathesis.Case[Any], client: httpx.Client, calls: Calls) -> None:
    sent = case.as_transport_kwargs(base_url=str(client.base_url).rstrip("/"))
    sent = {name: sent[name] for name in ("method", "url", "params", "json", "headers") if name in sent} | (
        {"content": sent["data"]} if isinstance(sent.get("data"), bytes | str) else {}
    )
    try:
        answered = client.request(**sent)
    except (httpx.InvalidURL, httpx.LocalProtocolError, UnicodeError, ValueError):
        return  # it cannot be sent
    calls.answers[case.operation.label, answered.status_code] += 1
    try:
        case.validate_response(Response.from_httpx(answered, verify=False), checks=CHECKS)
    except BaseException as error:  # a group of failures is not an Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        words = " | ".join(str(one) for one in getattr(error, "exceptions", (error,)))
        calls.findings.append(f"{case.operation.label}: {words[:1500]}\n{sent}"[:3_000])
