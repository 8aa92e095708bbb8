"""The one redactor: what it shows, and that nothing of what does not parse is shown."""

from __future__ import annotations

import doctest
import string

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from tieline import redact

SECRET = "s3cretW0rd"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("host=db", "host=db"),
        ("host=db port=5432 dbname=orders", "host=db port=5432 dbname=orders"),
        ("host=/run/pg user=app", "host=/run/pg user=***"),
        ("hostaddr=10.0.3.7,::1 port=1,2", "hostaddr=10.0.3.7,::1 port=1,2"),
        (f"host=db password='{SECRET} x' sslmode=require", "host=db password=*** sslmode=***"),
        (f"postgresql://app:{SECRET}@db/orders", "postgresql://***@db/orders"),
        (f"postgres://app:{SECRET}@db:1,[::1]:2/", "postgres://***@db:1,[::1]:2"),
        (f"postgresql://a:b?{SECRET}@db/o", "postgresql://***@db/o"),
        (f"postgresql:///o?password={SECRET}&host=db", "postgresql:///o?password=***&host=***"),
    ],
)
def test_conninfo(text: str, shown: str) -> None:
    """Where it leads and the names of parameters are shown, everything else is masked."""
    assert redact.conninfo(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"host=db password=a {SECRET}",
        f"host=db {SECRET}=a",
        f"host=db passwort={SECRET}",
        f"host= password={SECRET}",
        f"host=db port={SECRET}",
        f"host=db dbname='password={SECRET}'",
        f"password='{SECRET}",
        f"postgresql://app:x/{SECRET}@db/app",
        f"postgresql://{SECRET}/rest@db/app",
        f"postgresql://app:x@{SECRET}@db/app",
        f"postgresql://app:{SECRET}%zz@db/app",
        f"postgresql://db/app?{SECRET}",
        f"postgresql://db/app?passwort={SECRET}",
        f"postgresql://db/app?password=a={SECRET}",
        f"postgresql://[{SECRET}",
        f"postgresql://[::1]{SECRET}/app",
        f"postgresql://db:{SECRET}/app",
    ],
)
def test_unreadable_conninfo(text: str) -> None:
    """Where a password may have spilled into another place, nothing at all is shown."""
    assert redact.conninfo(text) == redact.HIDDEN
    assert redact.url(text) == redact.HIDDEN


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://api.example", "https://api.example"),
        ("https://api.example:8443/v1/x", "https://api.example:8443/v1/x"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        (f"https://app:{SECRET}@api.example/", "https://***@api.example/"),
        (f"https://{SECRET}@api.example/", "https://***@api.example/"),
        (f"https://a:{SECRET}@b@api.example/", "https://***@api.example/"),
        (f"wss://t/feed?token={SECRET}&{SECRET}&a=", "wss://t/feed?token=***&***&a=***"),
        (f"https://h/x#{SECRET}", "https://h/x"),
        (f"postgresql://app:{SECRET}@db/orders", "postgresql://***@db/orders"),
    ],
)
def test_url(text: str, shown: str) -> None:
    """Userinfo, values and fragment are no part of what is shown; keys and the path are."""
    assert redact.url(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET,
        f"/path?{SECRET}",
        f"https:{SECRET}",
        f"https://u:{SECRET}/x@host/",
        f"https://u:12/{SECRET}@host/",
        f"https://host:{SECRET}/",
        f"https://u:12?{SECRET}@host/",
        f"https://u:12/?{SECRET}=x@host/",
        f"https://{SECRET}#@host/",
        f"https://ho st/{SECRET}",
        f"https://host/\n{SECRET}",
        f"https://[{SECRET}]/",
        f"https://u:p@{SECRET}=/",
        f"https:///{SECRET}",
        f"{SECRET}@://host/",
    ],
)
def test_unreadable_url(text: str) -> None:
    """What is no absolute URL, or an ambiguous one, is not shown."""
    assert redact.url(text) == redact.HIDDEN


WORDS = st.text("host=db pw'\\\t,:/@%?&123[]", max_size=20)
URLS = st.builds("postgresql://{}".format, st.text("hostdb:/@?=&,%41[]'", max_size=20))


@given(WORDS | URLS)
def test_read_as_libpq_reads_it(text: str) -> None:
    """What libpq understands we understand alike, and what we refuse it refuses."""
    try:
        theirs = conninfo_to_dict(text)
    except (psycopg.ProgrammingError, UnicodeError):
        return  # it knows the parameters' names, too, and older ones are stricter
    assert redact.conninfo_parameters(text) == theirs


PIECES = st.text(
    string.ascii_letters + string.digits + "!$&*()_+-={}[]:;'\"<>,.?~ /@#%\\", max_size=9
)
TEMPLATES = [
    "host=db password='{}'",
    "host=db password={}",
    "postgresql://app:{}@db/app",
    "postgresql://db/app?password={}",
    "https://app:{}@host/path",
    "https://{}@host/path",
    "https://host/path?token={}",
    "https://host/path#{}",
    "wss://host/?a=b&token={}&c=d",
]


@given(template=st.sampled_from(TEMPLATES), before=PIECES, after=PIECES)
def test_no_secret_is_shown(template: str, before: str, after: str) -> None:
    """Whatever stands before and behind it, quoted rightly or not: the secret is not shown."""
    text = template.format(f"{before}{SECRET}{after}")
    assert SECRET not in redact.conninfo(text)
    if "&" not in before or "?" not in text:
        # Else it makes a key of what follows, which is how keys begin.
        assert SECRET not in redact.url(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/p?token=abc&page=2", "/p?token=***&page=***"),
        ("/p?secret", "/p?***"),
        ("/plain", "/plain"),
        ("/p#access_token=1", "/p"),
        ("http://user:pw@h:80/p?q=1", "http://***@h:80/p?q=***"),
        ("//user:pw@h/p", redact.HIDDEN),
        ("/p?to=me@home", redact.HIDDEN),
        ("p?x=1", redact.HIDDEN),
        ("", redact.HIDDEN),
    ],
)
def test_reference(text: str, shown: str) -> None:
    """What an HTTP request has for a URL may be the part behind the host alone."""
    assert redact.reference(text) == shown


def test_examples() -> None:
    """The examples in the documentation are what comes out."""
    assert doctest.testmod(redact).failed == 0
