"""`policy` and `people`: whether what people wrote can be used, and what a policy makes of a plan."""

from datetime import timedelta
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from plangate.cli.answer import error_as_json
from plangate.cli.application import declared_tools
from plangate.cli.exits import Exit, WrongUsage
from plangate.cli.moments import moment_of
from plangate.cli.origin import Origin, origin_of
from plangate.cli.plan_file import read_plan_file
from plangate.cli.screen import Screen, open_screen
from plangate.cli.session import opened_records, settings_for_people
from plangate.domain.assurance import Assurance
from plangate.domain.drafting import check_plan
from plangate.domain.errors import FileInvalid, RecordsMissing
from plangate.domain.escaping import many_lines, one_line
from plangate.domain.people import People, in_force, name_for_rules
from plangate.domain.policy import ONE_APPROVAL, Rule
from plangate.policy.people_file import read_people
from plangate.policy.policy_file import Explanation, FilePolicy, read_policy
from plangate.presentation.clock import moment, now
from plangate.presentation.durations import spoken
from plangate.presentation.page import LABEL_WIDTH, Page
from plangate.records.rule_texts import What, in_force_at
from plangate.settings import Settings, operating_system_user


def check_policy(path: Path | None, *, as_json: bool) -> int:
    """Print the rules of a policy, or every fault in it."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    try:
        policy, origin = _policy(settings, path)
    except FileInvalid as error:
        return _faults(screen, error)
    if screen.is_json:
        rules = [{**rule.model_dump(mode="json"), "when": when} for rule, when in policy.rules]
        default = policy.default.model_dump(mode="json")
        screen.print_json(
            {**origin.as_json(), "hash": policy.policy_hash, "rules": rules, "default": default}
        )
        return Exit.DONE
    page = Page()
    count = len(policy.rules)
    page.heading(f"This policy can be used: {count} rule{'' if count == 1 else 's'} and the default.")
    width = max(len(rule.name) for rule in (policy.default, *(rule for rule, _ in policy.rules)))
    for rule, when in policy.rules:
        page.field(rule.name, _asks(rule), width=width)
        page.words("when", when, indent=4)
    page.field("otherwise", _asks(policy.default), width=width)
    _add_origin(page, origin, settings)
    screen.show(page)
    return Exit.DONE


def explain_policy(
    plan_path: Path, *, policy_path: Path | None, request: str, requester: str | None, as_json: bool
) -> int:
    """Print which rule asks for what at each step of a plan, and what the plan needs."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    tools = declared_tools()
    plan = check_plan(read_plan_file(plan_path, tools, settings.max_steps), tools, settings.max_steps)
    if policy_path is None and settings.policy_file is None:
        return _without_policy(screen)
    try:
        policy, origin = _policy(settings, policy_path)
        people = read_people(settings.people_file) if settings.people_file else None
    except FileInvalid as error:
        return _faults(screen, error)
    name = name_for_rules(people, requester or operating_system_user())
    explanation = policy.explain(plan, request=request, requester=name)
    if screen.is_json:
        screen.print_json({**origin.as_json(), **explanation.model_dump(mode="json")})
        return Exit.DONE
    page = _explained(explanation)
    _add_origin(page, origin, settings)
    screen.show(page)
    return Exit.DONE


def check_people(path: Path | None, *, as_json: bool) -> int:
    """Print who is in a list of people, or every fault in it."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    path = path or settings.people_file
    if path is None:
        raise WrongUsage("Name the file, or set PLANGATE_PEOPLE.")
    try:
        people = read_people(path)
    except FileInvalid as error:
        return _faults(screen, error)
    origin = origin_of(settings, "people", path, people.hash)
    if screen.is_json:
        screen.print_json({**origin.as_json(), **people.model_dump(mode="json")})
        return Exit.DONE
    page = _people_page(people)
    page.gap()
    origin.add_to(page)
    screen.show(page)
    return Exit.DONE


def show_as_of(what: What, when: str, *, as_json: bool) -> int:
    """Print the policy or the list of people that workers judged by at a time, from the records."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    at = moment_of(when)
    with opened_records(settings) as database, database.read() as connection:
        found = in_force_at(connection, what, at)
    name = "policy" if what == "policy" else "list of people"
    if found is None:
        raise RecordsMissing(f"On {moment(at)} no worker had recorded a {name} yet.")
    if screen.is_json:
        screen.print_json(found.model_dump(mode="json"))
        return Exit.DONE
    since = f"since {moment(found.since, with_seconds=True)}, by {one_line(found.worker)}"
    if found.text is None:
        screen.err.print(Text(f"No {name} was set {since}."), soft_wrap=True)
        return Exit.DONE
    screen.err.print(Text(f"This {name} was in force {since}; SHA-256 {found.text.hash}."), soft_wrap=True)
    screen.out.print(Text(many_lines(found.text.text)), soft_wrap=True, end="")
    return Exit.DONE


def _without_policy(screen: Screen) -> int:
    if screen.is_json:
        screen.print_json({"steps": [], "requirement": ONE_APPROVAL.model_dump(mode="json")})
    else:
        page = Page()
        page.sentence(f"No policy is set here (PLANGATE_POLICY): every plan needs {ONE_APPROVAL}.")
        page.note("A worker uses the file that PLANGATE_POLICY names where it runs; it may have one.", "", 0)
        screen.show(page)
    return Exit.DONE


def _policy(settings: Settings, path: Path | None) -> tuple[FilePolicy, Origin]:
    path = path or settings.policy_file
    if path is None:
        raise WrongUsage("Name the policy's file, or set PLANGATE_POLICY.")
    roles = read_people(settings.people_file).roles() if settings.people_file else None
    policy = read_policy(path, declared_tools(), roles)
    return policy, origin_of(settings, "policy", path, policy.policy_hash)


def _add_origin(page: Page, origin: Origin, settings: Settings) -> None:
    page.gap()
    if settings.people_file:
        page.copied("roles from", str(settings.people_file.absolute()))
    origin.add_to(page)


def _faults(screen: Screen, error: FileInvalid) -> int:
    if screen.is_json:
        faults = [{"message": fault} for fault in error.faults]
        screen.print_json({"file": error.path, **error_as_json(str(error), Exit.USAGE, faults)})
        return Exit.USAGE
    for fault in error.faults:
        screen.err.print(Text(fault), soft_wrap=True)
    count = "1 fault" if len(error.faults) == 1 else f"{len(error.faults)} faults"
    raise WrongUsage(f"{error.path} cannot be used ({count}); fix it and try again.")


def _asks(rule: Rule) -> str:
    if not rule.needs:
        return "needs no approval"
    parts = [" and ".join(map(str, rule.needs))]
    if rule.assurance is not Assurance.TYPED:
        parts.append(str(rule.assurance))
    if rule.timeout_seconds:
        parts.append(f"within {spoken(timedelta(seconds=rule.timeout_seconds))}")
    if rule.approval_valid_for:
        parts.append(f"an approval counts for {spoken(timedelta(seconds=rule.approval_valid_for))}")
    return ", ".join(parts)


def _explained(explanation: Explanation) -> Page:
    page = Page()
    page.heading(f"By this policy file, the plan needs {explanation.requirement}.")
    for step in explanation.steps:
        page.field(f"step {step.number}", f"{step.tool}: {', '.join(step.rules)}")
        for one in step.unclear:
            effect = "counts as matched" if one.counts else "does not take the need for approval away"
            page.note(f"{one.rule} cannot be judged ({one.reason}), and {effect}", "yellow", indent=4)
    return page


def _people_page(people: People) -> Page:
    page = Page()
    count = len(people.persons)
    page.heading(f"This list can be used: {count} {'person' if count == 1 else 'people'}.")
    at = now()
    width = max(LABEL_WIDTH, *(cell_len(person.name) for person in people.persons))
    for person in people.persons:
        valid = sum(in_force(key, at) for key in person.keys)
        keys = f"{valid} valid key{'' if valid == 1 else 's'}" if person.keys else "no key"
        roles = ", ".join(person.roles) or "no role"
        page.field(person.name, f"{roles}; {keys}" + ("" if person.active else "; not active"), width=width)
        for lent in person.delegates:
            when = "active now" if in_force(lent, at) else "not active now"
            page.note(f"{lent.to} may act as {', '.join(lent.roles)} ({when})", indent=4)
    return page
