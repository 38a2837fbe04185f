"""The result of an inspection without findings depends on whether the seals are trusted."""

import pytest

from plangate.audit.inspection import Inspection
from plangate.presentation.audit_pages import inspection_page
from tests.unit.test_run_page import printed


@pytest.mark.parametrize("is_trusted", [True, False])
def test_records_that_anyone_may_have_resealed_are_consistent_but_not_verified(*, is_trusted: bool) -> None:
    found = Inspection(installation="i", runs=1, entries=5, unsealed=0, checkpoints=1)
    page = printed(inspection_page(found, is_trusted=is_trusted))
    assert ("Verified: nothing was changed." in page) is is_trusted
    assert ("Who sealed the records is not verified yet." in page) is not is_trusted
