"""docs/page.md shows what its commands give."""

from pathlib import Path

import pytest

from tests.integration.test_readme import blocks, run
from tests.support.entry_points import LocalServer

BLOCKS = blocks(Path("docs/page.md").read_text(), "console")


@pytest.mark.parametrize("block", BLOCKS)
def test_its_commands_give_the_output_that_is_shown(block: str, local_server: LocalServer) -> None:
    """Of the shipped model."""
    assert run(block, local_server) == block
