"""Where messages may go, and as whom."""

import json

import pytest

from rivta.testing.targets import TargetRefused, check_host, hosts_of, of_pair, of_url, read_endpoints

ENDPOINTS = {
    "identities": {
        "npo": {"hsa_id": "SE1-NPO", "cert": "/c/npo.pem", "key": "/c/npo.key"},
        "journal": {"hsa_id": "SE1-J", "cert": "/c/j.pem", "key": "/c/j.key"},
    },
    "platforms": {"national": {"https": "https://n.test:1/vp"}, "regional": {"https": "https://localhost:2/vp"}},
    "ca": "/c/ca.pem",
}


@pytest.mark.parametrize(
    "url", ["https://localhost/vp", "https://127.9.9.9:1/", "http://[::1]:8/vp", "https://LOCALHOST/"]
)
def test_this_machine_may_always_be_sent_to(url) -> None:
    check_host(url, ())


@pytest.mark.parametrize(
    "url",
    [
        "https://vp.example.se/vp",
        "https://localhost.example.se/vp",
        "https://10.0.0.1/vp",
        "https://0.0.0.0/vp",
        "https://[::ffff:10.0.0.1]/vp",
        "https://127.0.0.1.example.se/",
    ],
)
def test_no_other_host_is_unless_it_is_named(url) -> None:
    with pytest.raises(TargetRefused, match="--allow-host"):
        check_host(url, ())
    with pytest.raises(TargetRefused, match="--allow-host"):
        check_host(url, ("other.example.se",))


def test_a_named_host_may_be_sent_to() -> None:
    check_host("https://VP.example.se:443/vp", ("vp.Example.se",))
    check_host("https://n.test:1/vp", hosts_of(ENDPOINTS))


@pytest.mark.parametrize(
    "url", ["ftp://localhost/", "localhost", "https://", "https://a b/", "https://localhost:x/", "https://[::1/vp"]
)
def test_what_is_no_url_is_refused(url) -> None:
    with pytest.raises(TargetRefused, match="no URL"):
        check_host(url, ())


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(TargetRefused) as refused:
        check_host("https://user:secret@localhost/vp", ())
    assert "secret" not in str(refused.value)


def test_a_case_is_sent_by_its_identity_else_by_its_sender_else_by_the_first() -> None:
    targets = of_pair(ENDPOINTS)
    assert targets.sender("journal", "SE1-NPO").name == "journal"
    assert targets.sender(None, "se1-j").name == "journal"
    assert targets.sender(None, None).name == "npo"
    assert (targets.url(None), targets.url("regional")) == ("https://n.test:1/vp", "https://localhost:2/vp")


def test_a_sender_that_nobody_can_be_is_refused() -> None:
    with pytest.raises(TargetRefused, match="nobody here can send as SE1-X"):
        of_pair(ENDPOINTS).sender(None, "SE1-X")
    with pytest.raises(TargetRefused, match="identity 'x' is not one of npo, journal"):
        of_pair(ENDPOINTS).sender("x", None)


def test_one_identity_and_platform_for_everything_overrule_cases() -> None:
    targets = of_pair(ENDPOINTS, via="regional", identity="journal")
    assert targets.sender("npo", "SE1-X").name == "journal"
    assert targets.url("national") == "https://localhost:2/vp"


def test_a_url_needs_a_certificate_with_its_key_and_somebody_to_trust(tmp_path) -> None:
    file = tmp_path / "x.pem"
    file.touch()
    with pytest.raises(TargetRefused, match="go together"):
        of_url("https://localhost/", certificate=file, key=None, trusted=(file,))
    with pytest.raises(TargetRefused, match="--ca"):
        of_url("https://localhost/", certificate=None, key=None, trusted=())
    with pytest.raises(TargetRefused, match="no such file"):
        of_url("https://localhost/", certificate=None, key=None, trusted=(tmp_path / "none.pem",))
    assert (
        of_url("https://localhost/x", certificate=None, key=None, trusted=(file,)).url("regional")
        == "https://localhost/x"
    )


def test_a_home_without_a_pair_says_how_to_start_one(tmp_path) -> None:
    with pytest.raises(TargetRefused, match="rivta up"):
        read_endpoints(tmp_path)
    (tmp_path / "endpoints.json").write_text("[")
    with pytest.raises(TargetRefused, match="cannot be read"):
        read_endpoints(tmp_path)
    (tmp_path / "endpoints.json").write_text(json.dumps({"identities": {}}))
    with pytest.raises(TargetRefused, match="has no"):
        of_pair(read_endpoints(tmp_path))
