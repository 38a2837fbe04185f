"""Read ``[stop]`` and ``[go]`` from a policy file: who may stop everything, and who may release a stop."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from plangate.domain.base import Typed
from plangate.domain.faults import Fault
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE
from plangate.domain.policies.requirement import MAX_COUNT, Need
from plangate.domain.runs.stops import StopRules
from plangate.domain.validation import faults_in
from plangate.policy.policy_entries import Proof
from plangate.policy.toml_file import Name

STOP_TABLES: Final = ("stop", "go")
Entry = TypeVar("Entry", bound=Typed)


class _StopEntry(Typed):
    model_config = ConfigDict(strict=True)

    roles: list[Name] = Field(default=[ANYONE], min_length=1)
    assurance: Proof = Assurance.TYPED


class _ReleaseEntry(Typed):
    model_config = ConfigDict(strict=True)

    role: Name
    count: int = Field(default=1, ge=1, le=MAX_COUNT)


class _GoEntry(Typed):
    model_config = ConfigDict(strict=True)

    needs: list[_ReleaseEntry] = Field(min_length=1)
    assurance: Proof | None = None


def read_stop_rules(
    document: Mapping[str, Any],
    default_proof: Assurance,
    known_roles: Collection[str] | None,
    faults: list[Fault],
) -> StopRules:
    """Return the rules in ``document``, or add errors and return the defaults; ``Any`` represents TOML.

    Args:
        document: the policy.
        default_proof: the proof of the policy's ``[default]``; the minimum for a release, unless ``[go]``
            sets it.
        known_roles: the roles that active people have; None if there is no list, or to skip this check.
        faults: the list to which errors are added.
    """
    stop = _entry(_StopEntry, "stop", document, faults) or _StopEntry()
    go = _entry(_GoEntry, "go", document, faults) if "go" in document else None
    needs = tuple(Need(role=need.role, count=need.count) for need in go.needs) if go else None
    named = [("stop", role) for role in stop.roles] + [("go", need.role) for need in needs or ()]
    faults += _unknown_roles(named, known_roles)
    return StopRules(
        roles=tuple(stop.roles),
        assurance=stop.assurance,
        go=needs,
        go_assurance=go.assurance if go and go.assurance is not None else default_proof,
    )


def _entry(kind: type[Entry], name: str, document: Mapping[str, Any], faults: list[Fault]) -> Entry | None:
    try:
        return kind.model_validate(document.get(name, {}))
    except ValidationError as error:
        faults += faults_in(error, (f"[{name}]",))
        return None


def _unknown_roles(named: Collection[tuple[str, str]], known: Collection[str] | None) -> Iterator[Fault]:
    if known is None:
        return
    for table, role in named:
        if role != ANYONE and role not in known:
            there = ", ".join(sorted(known)) or "none"
            what = f"no active person has the role {role}; existing roles: {there}"
            yield Fault((f"[{table}]",), what)
