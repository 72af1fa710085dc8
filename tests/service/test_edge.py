"""What stands before every route: guard, token, size, tenant, policy (contract 1 and 8)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from math import log
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from somabrain.caller import tenant_of
from somabrain.edge import body_of, replayed
from somabrain.errors import Refused
from somabrain.guard import check_token, check_utility, confidence, utility
from somabrain.policy import NoAnswer, Policy, allows, question
from somabrain.wire import loads
from starlette.requests import Request
from starlette.types import Message

GUARDED = ("/context/evaluate", "/context/feedback")


@given(st.floats())
def test_only_a_confidence_of_one_or_more_passes_the_guard(told: float) -> None:
    sure = told >= 1 and told != float("inf")
    for path in GUARDED:
        if sure:
            check_utility(path, {"x-model-confidence": repr(told)})
        else:
            with pytest.raises(Refused, match="Rejected by utility guard"):
                check_utility(path, {"x-model-confidence": repr(told)})
    check_utility("/recall", {"x-model-confidence": repr(told)})


@pytest.mark.parametrize("header", [None, "", "high", "nan", "inf", "-inf", "1e999", "0x10", "1,5"])
def test_an_unreadable_confidence_is_none(header: str | None) -> None:
    assert confidence(header) == 0.0
    assert utility(0.0) == utility(-7.0) == log(1e-12)


def refused(headers: dict[str, str], *wanted: str | None) -> tuple[int, str] | None:
    try:
        check_token(headers, *wanted)
    except Refused as error:
        return error.status, error.detail
    return None


MISSING, INVALID = (401, "missing bearer token"), (403, "invalid token")


@pytest.mark.parametrize(
    ("header", "wanted", "answer"),
    [
        ("Bearer right", "right", None),
        ("bearer  right ", "right", None),
        ("Bearer wrong", "right", INVALID),
        ("Bearer größe", "right", INVALID),
        ("Bearer right", None, INVALID),
        ("Bearer ", "right", MISSING),
        ("Bearer", "right", MISSING),
        ("Basic right", "right", MISSING),
        ("right", "right", MISSING),
        ("", "right", MISSING),
    ],
)
def test_the_bearer_of_the_token_passes(header: str, wanted: str | None, answer: tuple[int, str] | None) -> None:
    assert refused({"authorization": header}, wanted) == answer
    assert refused({}, wanted) == MISSING


@pytest.mark.parametrize(
    ("token", "answer"),
    [("right", None), ("admin", None), ("wrong", INVALID), ("None", INVALID), ("rightadmin", INVALID)],
)
def test_the_bearer_of_one_of_several_tokens_passes(token: str, answer: tuple[int, str] | None) -> None:
    assert refused({"authorization": f"Bearer {token}"}, "right", "admin") == answer
    assert refused({"authorization": f"Bearer {token}"}, None, None) == INVALID
    assert refused({}, "right", "admin") == MISSING


names = st.none() | st.text(min_size=1, max_size=128).filter(lambda name: "\x00" not in name)


@given(names, names)
def test_the_body_names_the_tenant_else_the_header_else_the_default(named: str | None, header: str | None) -> None:
    assert tenant_of(named, header, "default") == (named or header or "default")


@pytest.mark.parametrize("named", ["", "a" * 129, "a\x00", 5, True, [], {}])
def test_a_name_that_is_none_is_refused(named: Any) -> None:
    with pytest.raises(Refused, match="invalid tenant"):
        tenant_of(named, "header", "default")
    with pytest.raises(Refused, match="invalid tenant"):
        tenant_of(None, "", "default")


def channel(parts: list[bytes], taken: list[bytes]) -> Callable[[], Awaitable[Message]]:
    """What a client sends, part by part; `taken` tells how much of it was asked for."""

    async def receive() -> Message:
        part = parts[len(taken)]
        taken.append(part)
        return {"type": "http.request", "body": part, "more_body": len(taken) < len(parts)}

    return receive


def read(parts: list[bytes], limit: int, length: int | None = None) -> tuple[bytes | int, list[bytes]]:
    """The body or the status of the refusal, and the parts that were asked for."""
    taken: list[bytes] = []
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers}, channel(parts, taken))
    try:
        return asyncio.run(body_of(request, limit)), taken
    except Refused as error:
        return error.status, taken


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=10), st.integers(0, 100))
def test_a_body_is_read_up_to_its_limit_and_no_further(parts: list[bytes], limit: int) -> None:
    found, taken = read(parts, limit)
    whole = b"".join(parts)
    if len(whole) <= limit:
        assert found == whole
    else:
        assert found == 413
        assert len(b"".join(taken[:-1])) <= limit


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    assert read([b"x" * 11], 10, length=11) == (413, [])


@given(st.binary())
def test_the_route_gets_the_same_bytes(body: bytes) -> None:
    async def again() -> list[Message]:
        receive = replayed(body, channel([b"later"], []))
        return [await receive(), await receive()]

    first, then = asyncio.run(again())
    assert (first["body"], first["more_body"]) == (body, False)
    assert then["body"] == b"later"


values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.text(), values)
def test_a_question_holds_the_request_as_it_is(name: str, body: Any) -> None:
    sent = json.dumps(body).encode()
    asked = {"method": "POST", "path": f"/{name}", "tenant": name}
    assert json.loads(question("POST", f"/{name}", name, sent)) == {"input": {**asked, "json": body}}
    assert json.loads(question("POST", f"/{name}", name, None)) == {"input": asked}


@pytest.mark.parametrize(
    ("result", "allowed"),
    [(True, True), ({"allow": True}, True), (False, False), ({"allow": False}, False), ({}, False), ("yes", False)],
)
def test_only_true_allows(result: Any, allowed: bool) -> None:
    assert allows({"result": result}) is allowed


@pytest.mark.parametrize("answer", [{}, [], None, {"decision_id": "x"}])
def test_no_result_is_no_answer(answer: Any) -> None:
    with pytest.raises(NoAnswer):
        allows(answer)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"NaN", b"[Infinity]", b"{'a':1}", b'"\\ud800"', b'"\xff"', b"[" * 100_000, b"{} {}", b"01"]
)
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)


@pytest.mark.parametrize(("broken", "known"), [(0, True), (1, True), (4, True), (5, False)])
def test_a_connection_to_opa_that_breaks_is_no_answer_only_if_others_break_too(broken: int, known: bool) -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"result":true}'

    async def scenario() -> bool:
        left = broken

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal left
            await reader.read(1)
            if left == 0:
                writer.write(answer)
            left = max(0, left - 1)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            policy = Policy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", True, 5.0)
            try:
                return await policy.ask(question("GET", "/", "t", None), 5.0)
            finally:
                await policy.close()

    if known:
        assert asyncio.run(scenario()) is True
    else:
        with pytest.raises(NoAnswer):
            asyncio.run(scenario())
