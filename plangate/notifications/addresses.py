"""Find the addresses for a person's or a role's notices."""

from plangate.domain.people.people import ROLE, People


def addresses_of(people: People | None, person_or_role: str) -> tuple[str, ...]:
    """Return a person's addresses, by default their email, or those of a role (``role:NAME``).

    A person who is not on the list, or no longer active, has no addresses. Secrets are not filled in.
    """
    if people is None:
        return ()
    if person_or_role.startswith(ROLE):
        name = person_or_role.removeprefix(ROLE)
        own = next((role.notify for role in people.described_roles if role.name == name), ())
        return tuple(dict.fromkeys(own))
    person = people.find(person_or_role)
    if person is None or not person.active:
        return ()
    by_mail = (f"mailto:{person.mail}",) if person.mail else ()
    return tuple(dict.fromkeys(person.notify or by_mail))
