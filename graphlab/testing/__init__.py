"""What every reader has to keep, as checks to run over sample files: for graphlab's own readers and for plugins'.

In a plugin's tests::

    import pytest
    from graphlab.testing import reader_checks

    @pytest.mark.parametrize(("check", "path"), reader_checks("samples/small.myformat", "samples/loop.myformat"))
    def test_the_readers_contract(check, path):
        check(path)

A check raises AssertionError that says what was broken. ``python -m graphlab.testing.fuzz FILE`` tries mutated copies.
"""

from graphlab.testing.checks import CHECKS as CHECKS, check_reader as check_reader, reader_checks as reader_checks
from graphlab.testing.mutate import mutated as mutated

__all__ = ["CHECKS", "check_reader", "mutated", "reader_checks"]
