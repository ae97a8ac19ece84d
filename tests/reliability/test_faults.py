"""The battery's faults are still there to be made."""

from pathlib import Path

import pytest

from tests.reliability.faults import CHECKS, Checks


@pytest.mark.parametrize("checks", CHECKS.values(), ids=CHECKS)
def test_what_a_fault_replaces_is_there(checks: Checks) -> None:
    """Once, and not in this very form."""
    text = Path(checks.path).read_text()

    assert text.count(checks.sound) == 1
    assert checks.faulty != checks.sound
