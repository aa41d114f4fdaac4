"""What URLs hold that nobody is to read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exod.errors import ExodError, without_credentials

SECRET = "xsecretx"
names = st.text("abcdefgh0123456789-.", min_size=1, max_size=8)
odd = st.text("ab1@:%+!$,~_-", max_size=6)
parameters = st.sampled_from(
    [
        "token",
        "sig",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "AWSAccessKeyId",
        "api_key",
        "password",
    ]
)


@given(st.sampled_from(["tcp", "tls", "https", "s3"]), names, odd, names)
def test_passwords_of_hosts(scheme, user, password, host):
    url = f"{scheme}://{user}:{password}{SECRET}@h{host}:8786/path"
    said = without_credentials(f"no answer from {url}; try again")
    assert said == f"no answer from {scheme}://h{host}:8786/path; try again"
    assert SECRET not in str(ExodError(url))


@given(parameters, names, st.booleans())
def test_parameters_that_sign_a_request(name, value, first):
    query = f"{name}={value}{SECRET}"
    url = f"https://host/a.fits?{query}&page=2" if first else f"https://host/a.fits?page=2&{query}"
    said = without_credentials(f"{url} cannot be read")
    assert SECRET not in said
    assert "page=2" in said
    assert said.endswith(" cannot be read")


@given(st.text())
def test_texts_without_urls_stay(text):
    if "@" not in text and "=" not in text:
        assert without_credentials(text) == text


def test_ordinary_urls_stay():
    for text in (
        "https://host:80/nxsa-sl/servlet/data-action-aio?obsno=0001730201&level=PPS",
        "s3://bucket/xmm/0001730201",
        "write to me@host.org: it helps",
        "tcp://127.0.0.1:8786",
    ):
        assert without_credentials(text) == text
