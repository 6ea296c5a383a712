"""Cases that are one test are all run, and those that fail are named."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

TESTS = """
    import pytest

    ran = []

    @pytest.mark.together("number", range(250))
    @pytest.mark.together(("letter", "code"), [pytest.param("a", 1, id="first"), ("b", 2)])
    def test_all_run(number, letter, code):
        ran.append((number, letter, code))

    def test_that_all_have_run():
        assert sorted(ran) == sorted((n, *pair) for n in range(250) for pair in (("a", 1), ("b", 2)))

    @pytest.mark.together("number", [1, 2, 3, 4, 5], ids=lambda number: f"n{number}")
    def test_some(number, tmp_path):
        if number == 2:
            pytest.skip("two")
        if number == 4:
            with pytest.raises(ValueError):
                pass
        assert number != 3
        ran.append("some")

    @pytest.mark.together("number", [1, 2])
    def test_left_out(number):
        if number == 2:
            pytest.skip("two")

    def test_those_after_one_that_fails_run_too():
        assert ran.count("some") == 2
"""


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(TESTS)
    return pytester


def test_a_hundred_cases_are_a_test(folder: pytest.Pytester) -> None:
    found = folder.runpytest_inprocess("-p", "tests.together")
    found.assert_outcomes(passed=5 + 2, failed=1, skipped=1)
    found.stdout.fnmatch_lines(
        ["*2 of 5 cases failed: n3, n4*", "*assert 3 != 3*", "*test_some?n3?*", "*DID NOT RAISE*"]
    )


def test_where_tests_are_chosen_each_case_is_one(folder: pytest.Pytester) -> None:
    found = folder.runpytest_inprocess("-p", "tests.together", "-k", "test_some")
    found.assert_outcomes(passed=2, failed=2, skipped=1, deselected=500 + 2 + 2)
