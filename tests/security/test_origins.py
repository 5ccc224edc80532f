"""Which hosts and origins are those of this machine, and which the options add."""

from __future__ import annotations

import pytest

from dapr_state.security.origins import AllowedOrigins, Origins

LOCAL = ("127.0.0.1",)


def code(origins: Origins, **headers: str) -> str:
    problem = origins.problem({name.replace("_", "-"): value for name, value in headers.items()})
    return problem.row.code if problem else ""


OURS = [
    *("", "localhost", "localhost:3500", "LOCALHOST:1", "localhost.", "a.localhost", "127.0.0.1:3500", "127.8.9.10"),
    *("[::1]", "[::1]:3500", "[0:0:0:0:0:0:0:1]:3500", "[::ffff:127.0.0.1]"),
]
FOREIGN = [
    *("evil.example", "evil.example:3500", "localhost.evil.example", "evillocalhost", "127.0.0.1.evil.example"),
    *("128.0.0.1", "0.0.0.0", "10.0.0.1:3500", "[::2]", "[::1].evil.example", "127.1", "localhost@evil.example"),
]


@pytest.mark.parametrize("host", OURS)
def test_names_of_loopback_are_ours(host: str) -> None:
    """With or without a port, in any letters; who names no host has no browser."""
    origins = Origins(LOCAL)

    assert code(origins, host=host) == ""
    assert code(origins, host=host) == ""  # remembered
    if host:
        assert code(origins, host="localhost", origin=f"http://{host}") == ""


@pytest.mark.parametrize("host", FOREIGN)
def test_other_names_are_not(host: str) -> None:
    """Neither as the host that a request is for, nor as the one that a page is from."""
    origins = Origins(LOCAL)

    assert code(origins, host=host) == "ERR_FOREIGN_HOST"
    assert code(origins, host="localhost", origin=f"https://{host}") == "ERR_FOREIGN_ORIGIN"


@pytest.mark.parametrize(
    ("origins", "refused"),
    [
        (Origins(LOCAL), True),
        (Origins(("localhost", "127.0.0.2", "[::1]")), True),
        (Origins(("0.0.0.0",)), False),
        (Origins(("127.0.0.1", "10.0.0.1")), False),
        (Origins(LOCAL, has_token=True), False),
        (Origins(()), False),  # socket files
        (Origins(LOCAL, allowed_hosts="sidecar.example, x"), False),
        (Origins(LOCAL, allowed_hosts="*.example"), False),
        (Origins(LOCAL, allowed_hosts="*"), False),
        (Origins(LOCAL, allowed_hosts="example,*.sidecar.example"), True),
    ],
)
def test_the_host_counts_on_loopback_without_a_token(origins: Origins, refused: bool) -> None:
    """Whoever is reached from elsewhere, or asks for a token, cannot know its names; options add some."""
    assert code(origins, host="sidecar.example:3500") == ("ERR_FOREIGN_HOST" if refused else "")


@pytest.mark.parametrize("options", [{"listen": ("0.0.0.0",)}, {"listen": LOCAL, "has_token": True}])
def test_pages_of_other_sites_are_refused_wherever_it_listens(options: dict[str, object]) -> None:
    """Those of the same host are not: there is no telling what serves them."""
    origins = Origins(**options)  # type: ignore[arg-type]

    assert code(origins, host="sidecar:3500", origin="http://sidecar:8080") == ""
    assert code(origins, host="sidecar:3500", origin="http://evil.example") == "ERR_FOREIGN_ORIGIN"
    assert code(origins, host="sidecar:3500", sec_fetch_site="cross-site") == "ERR_FOREIGN_ORIGIN"


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"sec_fetch_mode": "cors"}, False),  # Node's fetch
        ({"sec_fetch_site": "same-origin", "origin": "http://localhost:3500"}, False),
        ({"sec_fetch_site": "same-site", "origin": "http://localhost:8080"}, False),
        ({"sec_fetch_site": "none"}, False),  # typed by the user
        ({"sec_fetch_site": "cross-site"}, True),  # an image, a link, a form that says GET
        ({"sec_fetch_site": "Cross-Site", "origin": "http://localhost:8080"}, True),
        ({"origin": "null"}, True),
        ({"origin": "file://"}, True),
        ({"origin": "http://["}, True),
        ({"origin": ""}, False),
    ],
)
def test_what_browsers_say_of_a_page(headers: dict[str, str], refused: bool) -> None:
    """A page of this machine may call; one that is not, or does not say, may not."""
    assert code(Origins(LOCAL), host="localhost", **headers) == ("ERR_FOREIGN_ORIGIN" if refused else "")


def test_origins_are_allowed_by_name() -> None:
    """By full name, with one star, or all of them; then also from another site."""
    some = Origins(LOCAL, allowed_origins="https://a.com,https://*.b.com")
    every = Origins(LOCAL, allowed_origins="*")

    assert code(some, host="localhost", origin="https://a.com", sec_fetch_site="cross-site") == ""
    assert code(some, host="localhost", origin="https://x.B.com", sec_fetch_site="cross-site") == ""
    assert code(some, host="localhost", origin="http://a.com") == "ERR_FOREIGN_ORIGIN"
    assert code(some, host="localhost", sec_fetch_site="cross-site") == "ERR_FOREIGN_ORIGIN"
    assert code(every, host="localhost", origin="null", sec_fetch_site="cross-site") == ""
    assert code(every, host="localhost", sec_fetch_site="cross-site") == ""
    assert code(every, host="evil.example") == "ERR_FOREIGN_HOST"


def test_an_empty_list_turns_cors_off() -> None:
    """Blanks and commas are no entries."""
    assert not AllowedOrigins(" , ")
    assert AllowedOrigins("*")
    assert AllowedOrigins("https://a.com")
