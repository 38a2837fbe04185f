"""Check that the parts of a status agree, before a person sees or signs it.

A status may come from an untrusted worker or database. The machine that shows it computes the fingerprint
itself, from exactly the values that it shows, before it shows or signs them. The client and the records pass
every status through `checked`.
"""

from pydantic import JsonValue

from plangate.domain.errors import StatusContradicts
from plangate.domain.escaping import one_line
from plangate.domain.plan import SHORT_LENGTH, Audience, canonical_json, fingerprint_of, short
from plangate.domain.status import Status


def checked(
    status: Status, *, workflow_id: str, namespace: str | None = None, objection: str | None = None
) -> Status:
    """Return ``status`` if its parts agree, and the caller has no ``objection`` of its own.

    Raises:
        StatusContradicts: they do not agree; the message says which, and what to do.
    """
    wrong = contradiction(status, workflow_id=workflow_id, namespace=namespace) or objection
    if wrong is None:
        return status
    raise StatusContradicts(
        f"The status of {one_line(workflow_id)} is not shown, because its parts contradict each other: "
        f"{one_line(wrong)}. Do not decide on it; have an operator run `starter.py audit verify`, and look "
        "at which workers take work from this task queue."
    )


def contradiction(status: Status, *, workflow_id: str, namespace: str | None = None) -> str | None:
    """Return why ``status`` cannot be shown as that of ``workflow_id``, or None if its parts agree.

    Args:
        status: as received.
        workflow_id: the requested run.
        namespace: the Temporal namespace it was requested in; None without a server.
    """
    if status.workflow_id != workflow_id:
        return f"it is the status of another run, {status.workflow_id}"
    if status.plan is None:
        has_parts = status.fingerprint or status.short_fingerprint or status.steps
        return "it names a fingerprint or steps, and no plan" if has_parts else None
    return _other_fingerprint(status) or _other_namespace(status, namespace) or _other_steps(status)


def _other_fingerprint(status: Status) -> str | None:
    assert status.plan is not None
    if status.installation is None or status.namespace is None:
        return "it does not say for which installation the plan was made"
    audience = Audience(installation=status.installation, namespace=status.namespace)
    try:
        actual = fingerprint_of(status.plan, status.revision, status.workflow_id, audience)
    except ValueError:
        return "its plan cannot have a fingerprint"
    if status.fingerprint != actual:
        claimed = short(status.fingerprint or "none")
        return f"the plan shown has the fingerprint {short(actual)}, and the status claims {claimed}"
    if status.short_fingerprint != actual[:SHORT_LENGTH]:
        return "its short fingerprint is not the beginning of its fingerprint"
    return None


def _other_namespace(status: Status, namespace: str | None) -> str | None:
    if namespace is None or status.namespace == namespace:
        return None
    return f"its plan was made for the namespace {status.namespace}, not for {namespace}"


def _other_steps(status: Status) -> str | None:
    assert status.plan is not None
    if len(status.steps) != len(status.plan.steps):
        return f"it lists {len(status.steps)} steps, and its plan has {len(status.plan.steps)}"
    for number, (shown, step) in enumerate(zip(status.steps, status.plan.steps, strict=True), start=1):
        listed: JsonValue = [shown.number, shown.tool, shown.arguments, shown.why]
        if _canonical(listed) != _canonical([number, step.tool, step.arguments, step.reason]):
            return f"it lists another step {number} than its plan has"
    return None


def _canonical(value: JsonValue) -> bytes | None:
    try:
        return canonical_json(value)
    except ValueError:
        return None
