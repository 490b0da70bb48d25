"""Whatever a server says becomes a Problem and a wait; nothing it says can raise, or bring a credential with it."""

import base64
import json
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from importer.api.problems import TEXT_LIMIT, Problem, ProblemIssue, read_problem, read_retry_after
from importer.redaction import WITHHELD

SECRET = "fake-access-token-1"
NOW = 1_750_000_000.0  # 2025-06-15T15:06:40Z


def read(document: Any, *secrets: str, status: int = 422) -> Problem:
    """The problem in a body that holds this JSON."""
    return read_problem(status, json.dumps(document).encode(), lambda: secrets)


# --- problem documents ---


def test_every_field_of_a_problem_document_is_read() -> None:
    problem = read(
        {
            "type": "about:blank",
            "title": "Unprocessable",
            "status": 422,
            "detail": "The body is not acceptable.",
            "remedy": "Correct it.",
            "requestId": "req-1",
            "retryable": False,
            "issues": [
                {"in": "body", "name": "groupRef", "detail": "It is blank."},
                {"name": "apiKey", "causes": ["too short", "no digits"], "title": "Bad"},
            ],
        }
    )

    assert problem == Problem(
        text="The body is not acceptable.",
        remedy="Correct it.",
        request_id="req-1",
        retryable=False,
        issues=[ProblemIssue("groupRef", "It is blank."), ProblemIssue("apiKey", "too short; no digits")],
    )


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"causes": ["one", "two"], "detail": "detail", "title": "title"}, "one; two"),
        ({"causes": [], "detail": "detail", "title": "title"}, "detail"),
        ({"causes": [7, None], "detail": "", "title": "title"}, "title"),
        ({"detail": " a\n text\tin  pieces "}, "a text in pieces"),
        ({"detail": {"a": 1}, "title": 7}, "HTTP 422"),
        ({}, "HTTP 422"),
        ({"detail": "x" * 5_000}, "x" * TEXT_LIMIT),
    ],
)
def test_the_text_is_causes_else_detail_else_title(document: dict[str, Any], text: str) -> None:
    assert read(document).text == text


@pytest.mark.parametrize(("said", "read_as"), [(True, True), (False, False), ("true", None), (1, None), (None, None)])
def test_retryable_is_read_only_where_it_is_a_boolean(said: Any, read_as: bool | None) -> None:
    assert read({"retryable": said}).retryable is read_as


def test_the_value_of_an_issue_is_never_read() -> None:
    problem = read({"issues": [{"name": "apiKey", "detail": "It is refused.", "value": "an-unknown-fake-secret"}]})

    assert problem.issues == [ProblemIssue("apiKey", "It is refused.")]
    assert "an-unknown-fake-secret" not in repr(problem)


def test_issues_are_read_up_to_twenty() -> None:
    assert len(read({"issues": [{"name": f"field{number}"} for number in range(500)]}).issues) == 20


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "HTTP 502 with an empty body"),
        (b" \r\n", "HTTP 502 with an empty body"),
        (b"<html><h1>502 Bad Gateway</h1></html>", "HTTP 502 with a body that is no problem document"),
        (b'{"detail": "cut o', "HTTP 502 with a body that is no problem document"),
        (b'["detail"]', "HTTP 502 with a body that is no problem document"),
        (b"null", "HTTP 502 with a body that is no problem document"),
        (b'{"detail": "\xff\xfe"}', "HTTP 502 with a body that is no problem document"),
        (b'{"status": ' + b"9" * 10_000 + b"}", "HTTP 502 with a body that is no problem document"),
        (b"[" * 200_000, "HTTP 502 with a body that is no problem document"),
        (b'{"detail":' * 200_000, "HTTP 502 with a body that is no problem document"),
        (b"\x00" * 100, "HTTP 502 with a body that is no problem document"),
    ],
    ids=["empty", "blank", "html", "cut", "array", "null", "not utf-8", "huge int", "deep", "deep objects", "zeros"],
)
def test_what_is_no_problem_document_is_said_without_its_content(content: bytes, text: str) -> None:
    assert read_problem(502, content, lambda: [SECRET]) == Problem(text=text)


# --- credentials ---


def encodings(secret: str) -> list[str]:
    """The ways in which a server may quote a secret."""
    raw = secret.encode()
    wrapped = [base64.b64encode(f"{'x' * shift}{secret}".encode()).decode() for shift in range(3)]
    return [
        secret,
        json.dumps(secret),
        quote(secret, safe=""),
        secret.upper(),
        *wrapped,
        base64.b64encode(raw).decode(),
    ]


@pytest.mark.parametrize("quoted", encodings(SECRET))
@pytest.mark.parametrize("field", ["causes", "detail", "title", "remedy", "requestId", "issues"])
def test_a_text_that_quotes_a_credential_is_withheld_in_every_field(field: str, quoted: str) -> None:
    said = f"The value {quoted} is refused."
    held: Any = {"causes": [said], "issues": [{"name": said, "detail": said, "causes": [said]}]}.get(field, said)

    problem = read({field: held}, SECRET)

    assert WITHHELD in repr(problem)
    assert quoted not in repr(problem)
    assert SECRET.lower() not in repr(problem).lower()


@pytest.mark.parametrize("secret", ["fa\tke\tto\tken", "fake  \n  pem  \n  key  \n  text"])
def test_a_credential_with_white_space_in_it_is_withheld(secret: str) -> None:
    assert read({"detail": f"The value {secret} is refused."}, secret).text == WITHHELD


def test_a_credential_cut_by_the_limit_is_withheld_too() -> None:
    assert read({"detail": f"{'x' * (TEXT_LIMIT - 10)}{SECRET}"}, SECRET).text == WITHHELD


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=8, max_size=60)
KNOWN = ["causes", "detail", "title", "remedy", "requestId", "retryable", "issues", "retryAfter", "name", "value"]
DOCUMENTS = st.dictionaries(st.sampled_from(KNOWN) | st.text(), JSON, max_size=8)
ISSUES = st.fixed_dictionaries({"issues": JSON | st.lists(DOCUMENTS | JSON, max_size=4)})


@given(DOCUMENTS | ISSUES | JSON, st.integers(400, 599))
def test_any_json_is_a_problem(document: Any, status: int) -> None:
    problem = read(document, SECRET, status=status)

    assert isinstance(problem.text, str)
    assert problem.text
    assert all(isinstance(issue, ProblemIssue) for issue in problem.issues)


@given(st.binary(max_size=300), st.integers(400, 599))
def test_any_bytes_are_a_problem(content: bytes, status: int) -> None:
    assert read_problem(status, content, lambda: [SECRET]).text


@given(SECRETS, st.data())
@example("00000000", None)
def test_no_field_ever_holds_a_given_secret(secret: str, data: Any) -> None:
    """Whatever field it stands in, whatever is around it, however it is encoded."""
    quoted = data.draw(st.sampled_from(encodings(secret))) if data else secret
    around = data.draw(st.text(max_size=20)) if data else ""
    said = f"{around}{quoted}{around}"
    document = dict.fromkeys(KNOWN, said) | {
        "causes": [said, said],
        "issues": [{"name": said, "detail": said, "title": said, "causes": [said], "value": said}],
    }

    problem = read(document, secret)

    shown = [problem.text, problem.remedy, problem.request_id, *(t for i in problem.issues for t in (i.name, i.text))]
    assert shown == [WITHHELD] * 5


# --- how long to wait ---


def at(seconds: float) -> str:
    """An HTTP date this many seconds from NOW."""
    return formatdate(NOW + seconds, usegmt=True)


def wait(headers: dict[str, str], body: Any = None) -> float | None:
    """The wait that these headers and this body ask for, on a clock that shows NOW."""
    return read_retry_after(headers, b"" if body is None else json.dumps(body).encode(), NOW)


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, None, None),
        ({"retry-after": "120"}, None, 120.0),
        ({"retry-after": " 120 "}, None, 120.0),
        ({"retry-after": "0"}, None, 0.0),
        ({"retry-after": "1.5"}, None, 1.5),
        ({"retry-after": at(90)}, None, 90.0),
        ({"retry-after": "Sunday, 15-Jun-25 15:08:20 GMT"}, None, 100.0),  # RFC 850, which RFC 9110 keeps alive
        ({"retry-after": at(-90)}, None, 0.0),
        ({"x-amp-retry-after": at(45)}, None, 45.0),
        ({}, {"retryAfter": "2025-06-15T15:07:40Z"}, 60.0),
        ({}, {"retryAfter": "2025-06-15T17:07:40+02:00"}, 60.0),
        ({}, {"retryAfter": "2025-06-15T15:07:40.5Z"}, 60.5),
        ({}, {"retryAfter": "2020-01-01T00:00:00Z"}, 0.0),
        ({}, {"retryAfter": 30}, 30.0),
        # the longest of all
        ({"retry-after": "5", "x-amp-retry-after": at(60)}, {"retryAfter": "2025-06-15T15:06:50Z"}, 60.0),
        ({"retry-after": "500", "x-amp-retry-after": at(60)}, {"retryAfter": "2025-06-15T15:06:50Z"}, 500.0),
        ({"retry-after": "5"}, {"retryAfter": "2025-06-15T15:26:40Z"}, 1_200.0),
        # what cannot be read is no wish, and does no harm to the others
        *[({"retry-after": text}, None, None) for text in ("", "-5", "soon", "1e3", "5 s", "٥", "²", "1.2.3", "inf")],
        ({"retry-after": "-5", "x-amp-retry-after": at(60)}, None, 60.0),
        *[({}, {"retryAfter": value}, None) for value in (None, True, "soon", [30], {"s": 30}, -30, "")],
        ({"retry-after": "7"}, ["retryAfter"], 7.0),
        ({"retry-after": "7"}, {"retryAfter": [[[]]]}, 7.0),
    ],
)
def test_the_wait_is_the_longest_of_the_servers_wishes(
    headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    assert wait(headers, body) == seconds


@pytest.mark.parametrize("off_s", [-7_200.0, 7_200.0])
def test_instants_are_read_against_the_servers_own_clock(off_s: float) -> None:
    """The server's clock and ours differ by two hours: 30 seconds are 30 seconds all the same."""
    date = {"date": at(off_s)}
    instant = {"retryAfter": formatdate(NOW + off_s + 30, usegmt=True)}

    assert wait({**date, "retry-after": at(off_s + 30)}) == 30.0
    assert wait({**date, "x-amp-retry-after": at(off_s + 30)}) == 30.0
    assert wait(date, instant) == 30.0
    assert wait({**date, "retry-after": "30"}) == 30.0


def test_a_date_of_the_server_that_cannot_be_read_leaves_our_own_clock() -> None:
    assert wait({"date": "today", "retry-after": at(30)}) == 30.0


def test_a_body_that_cannot_be_read_leaves_the_header() -> None:
    for content in (b'{"retryAfter": ', b'{"retryAfter":' * 200_000, b'\xff"retryAfter"'):
        assert read_retry_after({"retry-after": "7"}, content, NOW) == 7.0


@given(st.text(max_size=40), st.text(max_size=40), JSON)
@example("0", "0001-01-01T00:00:00+23:59", None)
@example("Mon, 99 Foo 99999999999 99:99:99 +9999", "9999-12-31T23:59:59-23:59", None)
@example("9" * 400, "", None)
def test_no_wish_of_a_server_raises_or_is_negative(header: str, date: str, body: Any) -> None:
    seconds = read_retry_after(
        {"retry-after": header, "x-amp-retry-after": header, "date": date},
        json.dumps({"retryAfter": body}).encode(),
        NOW,
    )

    assert seconds is None or 0 <= seconds < float("inf")
