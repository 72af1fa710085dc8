"""How long a request may take."""

from time import monotonic

import pytest
from somabrain.deadline import LONGEST_S, left_s, until
from somabrain.errors import Refused


@pytest.mark.parametrize(
    ("header", "within_s"),
    [
        ("250", 0.25),
        ("1.5", 0.0015),
        ("29999", 29.999),
        *((text, LONGEST_S) for text in ("30001", "1764072000000", None, "", "soon", "0", "-5", "nan", "inf", "1e999")),
    ],
)
def test_a_deadline_is_a_positive_number_of_milliseconds_and_no_request_is_without(
    header: str | None, within_s: float
) -> None:
    assert until(header, 10.0) == pytest.approx(10.0 + within_s)


def test_what_is_left_ends_with_a_refusal() -> None:
    assert left_s(None) is None
    assert 50 < (left_s(monotonic() + 60) or 0) <= 60
    with pytest.raises(Refused, match="deadline exceeded") as raised:
        left_s(monotonic())
    assert raised.value.status == 503
