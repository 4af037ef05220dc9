"""Where our builder means to differ from Debian's dockerd 20.10, by regular expression, each with its reason."""

from __future__ import annotations

import re

EVERYWHERE = (
    (r"dockerfile parse error line (\d+)", r"dockerfile parse error on line \1", "newer engines' words"),
    (r"failed to create shim task:", "failed to create task for container: failed to create shim task:", "newer words"),
    (r"Unknown flag: (\w+)", r"unknown flag: --\1", "newer words"),
    (r"Invalid (containerPort|hostPort|proto|signal):", r"invalid \1:", "newer words"),
    ("No command specified", "no command specified", "newer words"),
    (r"No build stage in current context", "no build stage in current context", "newer words"),
    (r"(HEALTHCHECK &\{\[.*\] \"\w+\" \"\w+\" \"\w+\") '", r"""\1 "0s" '""", "StartInterval came with API 1.44"),
)
BY_CASE = {
    "onlyarg": (r"(?s)Step 1/1.*unexpected EOF", "! Error response from daemon: dockerfile contains no stages to build",
                "dockerd panics"),
    "config": (r'\["NONE"\],"Interval":30000000000,"Timeout":90000000000,"Retries":3', '["NONE"]',
               "no check has no intervals"),
    "copydirtofile": (r"failed to copy directory: mkdir .*/file: not", "/file: not", "there is no such path to tell"),
    "expandbad": (r"missing ':' in substitution", "syntax error: missing '}'", "newer words"),
    "addtar": (r"(?m)^/t3(\S*) (.*) \d \d$", r"/t3\1 \2 3 4", "--chown is for archives too, as in BuildKit"),
    "multistage": (r"(?s)(\$ docker build --target 0 \.\n).*?\n\[1\]",
                   r"\1Step 1/3 : ARG T=base\nStep 2/3 : FROM sockerless/base AS build\n ---> <1>\n"
                   r"Step 3/3 : RUN mkdir /o && echo out > /o/f && chown 5:6 /o/f\n ---> Using cache\n ---> <3>\n"
                   r"Successfully built <3>\n[0]", "a stage's number is a target too, as in BuildKit"),
}  # fmt: skip


def expected(name: str, recorded: str) -> str:
    """What ours is to print where dockerd printed ``recorded``."""
    for pattern, replacement, _ in EVERYWHERE:
        recorded = re.sub(pattern, replacement, recorded)
    if name in BY_CASE:
        pattern, replacement, _ = BY_CASE[name]
        recorded, count = re.subn(pattern, replacement, recorded)
        assert count, f"the declared difference of {name} is none any more"
    return recorded
