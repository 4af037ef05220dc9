import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.images.errors import InvalidReference
from sandbox.images.reference import Reference, id_prefix, parse, parse_canonical

HEX = "a" * 64


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/library/busybox:x", "docker.io/library/busybox:x", "busybox:x"),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        ("Host/app", "Host/app:latest", "Host/app:latest"),
        ("ghcr.io/x/y__z-q.w", "ghcr.io/x/y__z-q.w:latest", "ghcr.io/x/y__z-q.w:latest"),
        (f"busybox@sha256:{HEX}", f"docker.io/library/busybox@sha256:{HEX}", f"busybox@sha256:{HEX}"),
        (f"busybox:1@sha256:{HEX}", f"docker.io/library/busybox:1@sha256:{HEX}", f"busybox:1@sha256:{HEX}"),
    ],
)
def test_names_are_completed_and_shortened_as_docker_does(text: str, canonical: str, familiar: str) -> None:
    reference = parse(text).tagged()
    assert (str(reference), reference.familiar) == (canonical, familiar)
    assert parse_canonical(canonical) == reference


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("UPPER", "invalid reference format: repository name (library/UPPER) must be lowercase"),
        ("UPPER case", "invalid reference format: repository name (library/UPPER case) must be lowercase"),
        ("ghcr.io/Up/x:T", "invalid reference format: repository name (Up/x) must be lowercase"),
        ("a:b:c", "invalid reference format"),
        ("a/", "invalid reference format"),
        ("/a", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("a:" + "t" * 129, "invalid reference format"),
        ("a:tag\n", "invalid reference format"),
        (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
        ("a" * 256, "repository name must not be more than 255 characters"),
        ("a@sha256:" + "a" * 63, "invalid checksum digest length"),
        ("a@sha256:" + "A" * 64, "invalid checksum digest format"),
        ("a@md5:" + "a" * 32, "unsupported digest algorithm"),
    ],
)
def test_bad_names_are_refused_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse(text)
    assert caught.value.message == message


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidReference:
        return
    assert parse_canonical(str(reference)) == reference
    assert parse(reference.familiar) == reference


_part = st.from_regex(r"[a-z0-9]+([._-][a-z0-9]+)?", fullmatch=True)


@given(st.lists(_part, min_size=1, max_size=4), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True))
def test_a_familiar_name_means_what_it_was_made_from(parts: list[str], tag: str) -> None:
    reference = Reference("docker.io", "/".join(["x", *parts]), tag)
    assert parse(reference.familiar) == reference


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("abc", "abc"), ("sha256:abc", "abc"), (HEX, HEX), ("xyz", None), ("", None), ("sha256:", None), ("a" * 65, None)],
)
def test_what_may_be_the_start_of_an_id(text: str, prefix: str | None) -> None:
    assert id_prefix(text) == prefix
