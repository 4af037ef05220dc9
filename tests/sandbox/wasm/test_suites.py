"""The programs' own test suites: exactly what is listed here fails, each with its reason, and nothing else.

"natively too" was looked at with Debian's binaries of the same versions on the same files.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.wasm.suites import Laboratory, ash_tests, bash_tests, busybox_tests, calculator_tests

NO_READLINE = "our bash has no line editing and so no programmable completion nor history expansion"
LOCALES = "tests locales other than UTF-8, which musl does not have"

ASH = {
    "ash-heredoc/heredoc_backslash1.tests": "fails natively too",
    "ash-heredoc/heredoc_bkslash_newline2.tests": "fails natively too",
    "ash-quoting/quoted_punct.tests": "musl's fnmatch and an escaped bracket; Alpine differs the same way",
}
_TENTH = "gives another process a tenth of a second"
ASH_RACES = {
    "ash-misc/exitcode_trap2.tests": "a signal from a background process, before or after the next fork",
    "ash-misc/exitcode_trap6.tests": "a signal from a background process, before or after the next fork",
    "ash-parsing/and_or_and_backgrounding.tests": _TENTH,
    "ash-signals/signal1.tests": _TENTH,
    "ash-signals/signal2.tests": _TENTH,
    "ash-signals/signal3.tests": _TENTH,
    "ash-psubst/bash_procsub.tests": "looks for a file that a process substitution has just been started to make",
}
BUSYBOX = {
    "cpio: cpio lists hardlinks": "fails natively too",
    "pidof: pidof this": "fails natively too: a subshell has the script's name as well",
    "sed: sed NUL in command": "fails natively too",
    "sed: sed embedded NUL": "fails natively too",
    "sed: sed nonexistent label": "fails natively too",
    "start-stop-daemon: start-stop-daemon with both -x and -a": "/bin/false is an applet here, chosen by its name",
    "taskset: taskset (set_aff, needs CAP_SYS_NICE)": "processors cannot be chosen: EPERM",
    "unzip: unzip (subdir only)": "needs a zip program to make its input",
}
BASH = {
    "complete": NO_READLINE,
    "cond": "musl's regular expressions know no equivalence classes nor collating symbols",
    "coproc": "fails natively too",
    "exp": "busybox sed has no command l",
    "func": NO_READLINE,
    "glob": LOCALES,
    "heredoc": "compares with the messages of GNU cat and cmp and with bash's build folder",
    "herestr": NO_READLINE,
    "history": NO_READLINE,
    "intl": LOCALES,
    "new-exp": "fails natively too; prompts' \\[ \\] are kept without line editing",
    "printf": "musl's time zones; fails natively too",
    "shopt": NO_READLINE,
    "test": "fails natively too: root, and no terminal",
    "vredir": "fails natively too: no terminal",
}
BASH_RACES = {
    "nameref": "looks at a variable of a coprocess that may have ended",
    "read": "reads with timeouts of a tenth of a millisecond",
    "trap": "the traces of two processes of a pipe, in either order",
}
"""Like ASH_RACES, tests whose outcome is luck: they run, and are not judged."""


def _failures(results: dict[str, bool]) -> set[str]:
    return {name for name, good in results.items() if not good}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_busyboxs_shell(tmp_path: Path) -> None:
    results = ash_tests(Laboratory("busybox-ash", tmp_path))
    assert (_failures(results) - set(ASH_RACES), len(results)) == (set(ASH), 333)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_busyboxs_applets(tmp_path: Path) -> None:
    results = busybox_tests(Laboratory("busybox", tmp_path))
    assert (_failures(results), len(results)) == (set(BUSYBOX), 613)


@pytest.mark.slow
def test_busyboxs_calculator(tmp_path: Path) -> None:
    results = calculator_tests(tmp_path)
    assert (_failures(results), len(results)) == (set(), 69)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_bash(tmp_path: Path) -> None:
    results = bash_tests(Laboratory("bash", tmp_path))
    assert (_failures(results) - set(BASH_RACES), len(results)) == (set(BASH), 79)
