"""Builds that ours and dockerd carry out alike: what each prints is compared word for word."""

from __future__ import annotations

from tests.clients.builds.case import Case, archive

BUILD = ("build", "-t", "case", ".")
FORCED = ("build", "--force-rm", "-t", "case", ".")
CONFIG = ("inspect", "--format", "{{json .Config}}", "case")
HISTORY = ("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Size}}|{{.Comment}}", "case")
_STAT = 'sort | while read f; do stat -c "%n %F %a %u %g" $f; done'


def shell(text: str) -> tuple[str, ...]:
    """A command in the image that was built."""
    return ("run", "--rm", "case", "sh", "-c", text)


def look(*paths: str) -> tuple[str, ...]:
    """What is below some paths of the image: kind, mode, owner."""
    return shell(f"cd / && find {' '.join(paths)} | {_STAT}")


CASES = [
    Case(
        "basic",
        "FROM sockerless/base\n"
        "ARG V=1\n"
        "ENV A=b$V \\\n"
        "  C='x y'\n"
        "RUN echo hello $A; echo x > /made\n"
        "COPY f /dst/\n"
        "WORKDIR /w/x\n"
        'CMD ["cat", "/dst/f"]\n',
        (BUILD, BUILD, CONFIG, HISTORY, look("/dst", "/w", "/made")),
        {"f": "hi\n"},
    ),
    Case(
        "fail",
        "FROM sockerless/base\nRUN exit 3\n",
        (
            BUILD,
            ("ps", "-aq", "--filter", "status=exited"),
        ),
    ),
    Case("failforce", "FROM sockerless/base\nRUN exit 3\n", (FORCED,)),
    Case("notfound", 'FROM sockerless/base\nRUN ["/nonexistent"]\n', (FORCED,)),
    Case("unknown", "FROM sockerless/base\n\nFOO bar\n", (BUILD,)),
    Case("empty", "", (BUILD,)),
    Case("onlycomment", "# x\n", (BUILD,)),
    Case("nofrom", "RUN x\n", (BUILD,)),
    Case("envbad", "FROM scratch\nENV x\n", (BUILD,)),
    Case("envbad2", "FROM scratch\nENV a=b c\n", (BUILD,)),
    Case("onlyarg", "ARG a\n", (BUILD,)),
    Case("scratch", "FROM scratch\nCOPY f /\nENV x=1\n", (BUILD, HISTORY, CONFIG), {"f": "hi"}),
    Case("scratchonly", "FROM scratch\n", (BUILD,)),
    Case("copymissing", "FROM sockerless/base\nCOPY nope /x\n", (BUILD,)),
    Case("copymissing2", "FROM sockerless/base\nCOPY nope* /x\n", (BUILD,)),
    Case("copyout", "FROM sockerless/base\nCOPY ../x /x\n", (BUILD,)),
    Case("copymulti", "FROM sockerless/base\nCOPY a b /x\n", (BUILD,), {"a": "1", "b": "2"}),
    Case(
        "copies",
        "FROM sockerless/base\n"
        "WORKDIR /w\n"
        "COPY a r\n"
        "COPY a b r2/\n"
        "COPY *.t* g/\n"
        "COPY d d2\n"
        "COPY d /existing/\n"
        "COPY d/ /w/e\n"
        "COPY d/s*/? q/\n"
        "COPY --chown=1:2 d /own\n"
        "COPY --chown=root a /own2\n"
        "COPY link l/\n"
        "COPY dlink dl\n"
        "COPY . /all\n"
        "ADD a /w/added\n",
        (BUILD, HISTORY, look("/w", "/existing", "/own", "/own2", "/all")),
        {
            "a": "1",
            "b": ("2", 0o755),
            "x.txt": "t",
            "y.tar": "no tar",
            "d/s1/f": ("3", 0o600),
            "d/s1/link": "-> f",
            "d/s2/g": "4",
            "link": "-> a",
            "dlink": "-> d",
            "d/empty": None,
        },
    ),
    Case("chownbad", "FROM sockerless/base\nCOPY --chown=nobodyhere a /x\n", (BUILD,), {"a": "1"}),
    Case(
        "copyfilefile",
        "FROM sockerless/base\n"
        "RUN mkdir /dir && echo x > /file && ln -s /dir /ldir && ln -s /file /lfile && ln -s /none /broken\n"
        "COPY a /dir\n"
        "COPY b /ldir\n"
        "COPY a /lfile\n"
        "COPY a /broken\n"
        "COPY d /ldir\n",
        (BUILD, look("/dir", "/file", "/ldir", "/lfile", "/broken", "/none")),
        {"a": "1", "b": "2", "d/x": "4"},
    ),
    Case("copydirtofile", "FROM sockerless/base\nRUN echo x > /file\nCOPY d /file\n", (FORCED,), {"d/x": "4"}),
    Case(
        "copyoverdir",
        "FROM sockerless/base\nRUN mkdir -p /d/x/y && ln -s /tmp /d/l\nCOPY d /d\n",
        (FORCED, look("/d")),
        {"d/x": "4", "d/l/z": "4"},
    ),
    Case(
        "addtar",
        "FROM sockerless/base\n"
        "ADD a.tar /t\n"
        "ADD b.tgz /t/\n"
        "ADD --chown=3:4 a.tar /t3\n"
        "ADD a.tar b.tgz /t4/\n"
        "COPY a.tar /c/\n"
        "ADD fake.tar /f/\n",
        (BUILD, look("/t", "/t3", "/t4", "/c", "/f")),
        {
            "a.tar": archive({"p/q": "1", "r": "2"}, uid=7),
            "b.tgz": archive({"s": "3"}, "w:gz", 9),
            "fake.tar": "not a tar",
        },
    ),
    Case(
        "addtarover",
        "FROM sockerless/base\n"
        "RUN mkdir -p /t/usr/lib /t/d /t/x && chmod 700 /t/d && chown 5:6 /t/d && cd /t && "
        "ln -s usr/lib lib && ln -s d ld && ln -s /x abs && ln -s ../../x up && echo > f\n"
        "ADD a.tar /t/\n",
        (BUILD, look("/t")),
        {"a.tar": archive({"lib/a": "1", "d/b": "2", "ld/n/c": "3", "abs/d": "4", "up/e": "5", "new/g": "6"})},
    ),
    Case(
        "addtarbroken",
        "FROM sockerless/base\nRUN mkdir /t && ln -s nowhere /t/l\nADD a.tar /t/\n",
        (FORCED,),
        {"a.tar": archive({"l/a": "1"})},
    ),
    Case(
        "setid",
        "FROM sockerless/base AS a\n"
        "RUN echo 1 > /q && chmod 6755 /q\n"
        "FROM sockerless/base\n"
        "COPY f g h s /c/\n"
        "COPY --chown=5:6 f /own\n"
        "COPY --from=a /q /kept\n"
        "COPY --from=a --chown=0:0 /q /given\n",
        (BUILD, look("/c", "/own", "/kept", "/given")),
        {"f": ("1", 0o6755), "g": ("1", 0o2644), "h": ("1", 0o4644), "s/x": ("1", 0o1600)},
    ),
    Case("addurl", "FROM sockerless/base\nCOPY http://localhost/x /x\n", (BUILD,)),
    Case(
        "multistage",
        "ARG T=base\n"
        "FROM sockerless/base AS build\n"
        "RUN mkdir /o && echo out > /o/f && chown 5:6 /o/f\n"
        "FROM sockerless/${T}\n"
        "ARG T\n"
        "COPY --from=build /o /got\n"
        "COPY --from=0 /o/f /f\n"
        "COPY --from=build --chown=1:1 /o/f /own\n"
        "RUN echo T=$T\n",
        (
            BUILD,
            look("/got", "/f", "/own"),
            ("build", "--target", "build", "."),
            ("build", "--target", "0", "."),
            ("build", "--target", "none", "."),
        ),
    ),
    Case(
        "stagefrom",
        'FROM sockerless/base AS a\nENV X=1\nFROM a AS b\nRUN echo $X\nFROM b\nCMD ["x"]\n',
        (BUILD, CONFIG),
    ),
    Case("fromself", "FROM sockerless/base\nCOPY --from=0 /x /y\n", (BUILD,)),
    Case("from5", "FROM sockerless/base\nCOPY --from=5 /x /y\n", (BUILD,)),
    Case("fromimage", "FROM scratch\nCOPY --from=sockerless/base /etc/passwd /p\n", (BUILD,)),
    Case("fromnone", "FROM sockerless/base\nCOPY --from=sockerless/base /nope /p\n", (BUILD,)),
    Case("dupstage", "FROM sockerless/base AS a\nFROM sockerless/base AS a\n", (BUILD,)),
    Case("badstage", "FROM sockerless/base AS 1a\n", (BUILD,)),
    Case("frombad", "FROM sockerless/base x\n", (BUILD,)),
    Case(
        "args",
        "FROM sockerless/base\n"
        "ARG A\n"
        "ARG B=def\n"
        "ARG C=${B}x\n"
        "RUN echo [$A] [$B] [$C] [$HTTP_PROXY]\n"
        "ENV B=env\n"
        "RUN echo [$B]\n",
        (
            ("build", "--build-arg", "A=1", "--build-arg", "HTTP_PROXY=p", "--build-arg", "Z=9", "-t", "case", "."),
            HISTORY,
            ("build", "--build-arg", "A=2", "--build-arg", "HTTP_PROXY=q", "."),
            ("build", "--build-arg", "A=1", "--build-arg", "HTTP_PROXY=zz", "."),
        ),
    ),
    Case(
        "config",
        "FROM sockerless/base\n"
        "MAINTAINER me <a@b>\n"
        'LABEL a=b "c d"="e f" g=\'h\'\n'
        "EXPOSE 80 443/udp 8000-8002\n"
        "VOLUME /v1 /v2\n"
        'VOLUME ["/v3"]\n'
        "USER 1000:1000\n"
        "STOPSIGNAL SIGINT\n"
        "HEALTHCHECK --interval=30s --timeout=1m30s --retries=3 CMD curl -f x || exit 1\n"
        'ENTRYPOINT ["/e", "x y"]\n'
        "CMD a b\n"
        'SHELL ["/bin/bash", "-c"]\n'
        "CMD c d\n"
        "ONBUILD RUN echo triggered\n"
        "HEALTHCHECK NONE\n",
        (BUILD, CONFIG, ("inspect", "--format", "{{.Author}}", "case"), HISTORY),
    ),
    Case(
        "onbuild",
        "FROM sockerless/base\nONBUILD RUN echo one > /one\nONBUILD COPY f /\n",
        (
            BUILD,
            ("build", "-t", "case2", "-f", "D2", "."),
            ("inspect", "--format", "{{json .Config.OnBuild}}", "case2"),
        ),
        {"D2": "FROM case\nRUN cat /one /f\n", "f": "F\n"},
    ),
    Case(
        "onbuild1",
        "FROM sockerless/base\nONBUILD RUN echo one > /one\n",
        (BUILD, ("build", "-t", "case2", "-f", "D2", ".")),
        {"D2": "FROM case\n"},
    ),
    Case("onbuildbad", "FROM sockerless/base\nONBUILD FROM x\n", (BUILD,)),
    Case("onbuildbad2", "FROM sockerless/base\nONBUILD ONBUILD RUN x\n", (BUILD,)),
    Case("entrycmd", 'FROM sockerless/base\nCMD ["a"]\nENTRYPOINT ["b"]\n', (BUILD, CONFIG)),
    Case("entrycmd2", 'FROM sockerless/base\nENTRYPOINT ["b"]\nCMD ["a"]\nENTRYPOINT []\n', (BUILD, CONFIG)),
    Case("health2", 'FROM sockerless/base\nHEALTHCHECK CMD a\nHEALTHCHECK CMD ["b"]\n', (BUILD, CONFIG)),
    Case("healthbad", "FROM sockerless/base\nHEALTHCHECK --interval=1 CMD a\n", (BUILD,)),
    Case("healthbad2", "FROM sockerless/base\nHEALTHCHECK FOO a\n", (BUILD,)),
    Case("exposebad", "FROM sockerless/base\nEXPOSE 99999\n", (BUILD,)),
    Case("exposebad2", "FROM sockerless/base\nEXPOSE foo\n", (BUILD,)),
    Case("exposebad3", "FROM sockerless/base\nEXPOSE 80/foo\n", (BUILD,)),
    Case("exposebad4", "FROM sockerless/base\nEXPOSE a:80\n", (BUILD,)),
    Case("expose", "FROM sockerless/base\nEXPOSE 80/ 1:81 127.0.0.1::82/UDP 3-5:83 1-2:90-91\n", (BUILD, CONFIG)),
    Case(
        "runempty",
        'FROM sockerless/base\nCMD ["sh", "-c", "echo own"]\nRUN []\nENTRYPOINT exit 4\nRUN []\n',
        (FORCED,),
    ),
    Case("runempty2", "FROM scratch\nRUN []\n", (FORCED,)),
    Case("workdirfile", "FROM sockerless/base\nRUN echo > /f\nWORKDIR /f\n", (FORCED,)),
    Case(
        "cachefrom",
        "FROM sockerless/base\nENV A=1\n",
        (BUILD, ("build", "--cache-from", "nosuch:1", "-t", "case", ".")),
    ),
    Case("longline", f"FROM sockerless/base\nENV A={'x' * 65_530}\n", (BUILD,)),
    Case("signalbad", "FROM sockerless/base\nSTOPSIGNAL FOO\n", (BUILD,)),
    Case("flagbad", "FROM sockerless/base\nCOPY --foo=x a b\n", (BUILD,), {"a": "1"}),
    Case(
        "volumes",
        "FROM sockerless/base\nRUN mkdir /v && echo keep > /v/k\nVOLUME /v\nRUN echo lost > /v/l\n",
        (BUILD, look("/v")),
    ),
    Case(
        "user",
        "FROM sockerless/base\nUSER 1000\nWORKDIR /home/x\nRUN id -u; touch /tmp/f\nCOPY a .\n",
        (BUILD, look("/home/x", "/tmp/f")),
        {"a": "1"},
    ),
    Case(
        "shellform",
        'FROM sockerless/base\nSHELL ["/bin/bash","-o","pipefail","-c"]\nRUN echo ${BASH_VERSION%%.*}; false | true\n',
        (FORCED,),
    ),
    Case(
        "ignore",
        "FROM sockerless/base\nCOPY . /all\n",
        (BUILD, shell("find /all | sort")),
        {
            ".dockerignore": "# c\n*.md\n!keep.md\nsub/*/tmp\n**/deep\nDockerfile\n.dockerignore\n",
            "a.md": "1",
            "keep.md": "2",
            "b": "3",
            "sub/x/tmp": "4",
            "sub/y": "5",
            "q/r/deep/s": "6",
            "q/r/t": "7",
        },
    ),
    Case(
        "labels",
        "FROM sockerless/base\nENV A=1\n",
        (("build", "-t", "case", "--label", "z=1", "--label", "a=$A b", "."), CONFIG, HISTORY),
    ),
    Case("quiet", "FROM sockerless/base\nENV A=1\n", (("build", "-q", "."),)),
    Case("quietfail", "FROM sockerless/base\nRUN exit 4\n", (("build", "-q", "--force-rm", "."),)),
    Case("tags", "FROM sockerless/base\nENV A=1\n", (("build", "-t", "case", "-t", "other/x:2", "."),)),
    Case("tagbad", "FROM sockerless/base\nENV A=1\n", (("build", "-t", "Bad", "."),)),
    Case("stdin", "", (("build", "-"),), {}, "FROM sockerless/base\nENV A=1\n"),
    Case(
        "stdinf",
        "",
        (("build", "-f", "-", "-t", "case", "."), shell("cat /f")),
        {"f": "yes\n"},
        "FROM sockerless/base\nCOPY f /f\n",
    ),
    Case("filemissing", "FROM sockerless/base\n", (("build", "-f", "x/none", "."),)),
    Case(
        "continuation",
        "FROM sockerless/base\nRUN echo a && \\\n# comment\n\n   echo b && \\\n   # indented\n   echo c\n",
        (BUILD,),
    ),
    Case("continuationend", "FROM sockerless/base\nENV A=1 \\\n", (BUILD,)),
    Case("continuationend2", "FROM sockerless/base\nENV A=1 \\\n\n", (BUILD,)),
    Case("escape", "# escape=`\nFROM sockerless/base\nRUN echo a `\n b\nENV P=c:\\x\nRUN echo $P\n", (BUILD,)),
    Case("badescape", "# escape=x\nFROM sockerless/base\n", (BUILD,)),
    Case(
        "expand",
        "FROM sockerless/base\n"
        "ENV A=1 E=\n"
        'ENV B=${A:-x} C=${N:-y} D=${A:+z} F=${N:+z} G="$A" H=\'$A\' I=\\$A J=${E:-em} K=a\\ b L="q\\"r"\n'
        'RUN echo $B $C $D $F $G $H $I $J "$K" $L\n'
        "LABEL l=$A\n"
        "USER ${A}\n"
        "WORKDIR /w$A\n"
        "VOLUME /v$A\n"
        "EXPOSE ${A}0\n"
        "STOPSIGNAL $A\n"
        "COPY $N f$A /c$A/\n",
        (BUILD, CONFIG),
        {"f1": "x"},
    ),
    Case("expandbad", "FROM sockerless/base\nENV A=${x\n", (BUILD,)),
    Case("jsonbad", 'FROM sockerless/base\nCMD ["a", 1]\n', (BUILD,)),
    Case(
        "jsonshell",
        "FROM sockerless/base\nRUN ['echo', 'x'] 2>/dev/null || echo shell\nCMD [ \"a\", 'b' ]\n",
        (BUILD, CONFIG),
    ),
    Case(
        "workdir",
        "FROM sockerless/base\nWORKDIR /a\nWORKDIR b\nWORKDIR ../c\nWORKDIR /etc\nRUN pwd\n",
        (BUILD, HISTORY, CONFIG, look("/a")),
    ),
    Case("onefile", "from sockerless/base\nrun echo lower\nCopy f /f\n", (BUILD,), {"f": "1"}),
    Case("cachecopy", "FROM sockerless/base\nCOPY f /f\nRUN echo after\n", (BUILD, BUILD), {"f": "1"}),
    Case("nocache", "FROM sockerless/base\nRUN echo x\n", (BUILD, ("build", "--no-cache", "."))),
    Case("norm", "FROM sockerless/base\nRUN echo x\n", (("build", "--rm=false", "."),)),
    Case(
        "netnone",
        "FROM sockerless/base\nRUN ip addr show dev eth0 2>/dev/null || echo no net\n",
        (("build", "--network", "none", "."),),
    ),
    Case(
        "addhost",
        "FROM sockerless/base\nRUN grep myhost /etc/hosts\n",
        (("build", "--add-host", "myhost:1.2.3.4", "."),),
    ),
    Case(
        "deleted",
        "FROM sockerless/base\nRUN mkdir /d && touch /d/a /d/b\nRUN rm /d/a\nRUN rm -r /d && mkdir /d && touch /d/c\n",
        (BUILD, HISTORY, look("/d")),
    ),
    Case(
        "commit",
        'FROM sockerless/base\nRUN mkdir /d && echo a > /d/a && echo b > /d/b\nENV A=1\nCMD ["sleep","1000"]\n',
        (
            BUILD,
            ("run", "-d", "--name", "cc", "-e", "RUNE=2", "case"),
            ("exec", "cc", "sh", "-c", "rm /d/a; echo n > /d/n; chmod 600 /d/b; ln -s b /d/l"),
            (
                "commit",
                "-m",
                "msg",
                "-a",
                "me",
                "-c",
                "ENV X=y Z=w",
                "-c",
                'CMD ["a"]',
                "-c",
                "LABEL l=1",
                "-c",
                "EXPOSE 80",
                "-c",
                "WORKDIR /d",
                "-c",
                "USER 5",
                "-c",
                "VOLUME /vv",
                "-c",
                "ENTRYPOINT e",
                "-c",
                "ONBUILD RUN q",
                "cc",
                "case:c",
            ),
            ("inspect", "--format", "{{.Comment}}|{{.Author}}|{{json .Config}}", "case:c"),
            (
                "run",
                "--rm",
                "--entrypoint",
                "",
                "-u",
                "0",
                "case:c",
                "sh",
                "-c",
                "find /d | sort; stat -c %a /d/b; pwd; env | grep -v HOSTNAME | sort",
            ),
            ("commit", "-c", "FOO x", "cc"),
            ("commit", "-c", "RUN x", "cc"),
            ("commit", "nosuch"),
            ("rm", "-f", "cc"),
        ),
    ),
    Case(
        "commitexited",
        "FROM sockerless/base\n",
        (
            ("run", "--name", "ce", "sockerless/base", "sh", "-c", "echo x > /x"),
            ("commit", "ce", "case"),
            shell("cat /x"),
            HISTORY,
            ("rm", "ce"),
            ("create", "--name", "cr", "sockerless/base"),
            ("commit", "cr", "case"),
            ("rm", "cr"),
        ),
    ),
]
