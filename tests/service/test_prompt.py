"""The prompt: its length, its parts, and which one wins (contract 4 and 6.6)."""

from hypothesis import given
from hypothesis import strategies as st
from somabrain.learning import Weights
from somabrain.prompt import LIMIT, Entry, best, compose, score

entries = st.lists(st.builds(Entry, st.text(max_size=200), st.text(max_size=6000)), max_size=20)
queries = st.text(min_size=1, max_size=LIMIT)


@given(queries, entries)
def test_a_prompt_fits_and_never_shortens_the_query(query: str, given_entries: list[Entry]) -> None:
    shares = [1 / len(given_entries) for _ in given_entries]
    for prompt in (compose(query, given_entries), best(Weights(), query, given_entries, shares)):
        assert 1 <= len(prompt) <= LIMIT
        assert prompt.endswith(query)


@given(queries)
def test_without_memories_the_prompt_is_the_query(query: str) -> None:
    assert best(Weights(), query, [], []) == query


def test_each_memory_is_a_block_with_a_title_and_a_text() -> None:
    prompt = compose("what now?", [Entry("kettle", "made of copper"), Entry("ladder", "made of wood")])
    assert prompt == "[kettle]\nmade of copper\n\n[ladder]\nmade of wood\n\nwhat now?"


def test_long_memories_share_the_room() -> None:
    prompt = compose("q", [Entry(str(i), "x" * 9000) for i in range(4)])
    blocks = prompt.split("\n\n")
    assert len(blocks) == 5
    assert max(map(len, blocks[:4])) - min(map(len, blocks[:4])) <= 4
    assert LIMIT - 8 <= len(prompt) <= LIMIT


def test_the_full_prompt_wins_when_context_is_dear() -> None:
    memories = [Entry("a", "one"), Entry("b", "two")]
    assert best(Weights(), "q", memories, [0.6, 0.4]) == compose("q", memories)


def test_one_memory_alone_wins_when_length_is_dear() -> None:
    memories = [Entry("a", "x" * 900), Entry("b", "y")]
    chosen = best(Weights(lambda_=0.1, mu=5.0), "q", memories, [0.2, 0.8])
    assert chosen == compose("q", [memories[1]])


def test_a_score_is_the_promised_sum() -> None:
    weights = Weights(lambda_=2.0, mu=0.5, nu=0.25)
    assert score(weights, 0.5, 1.0, 2048, 3) == 2.0 * 0.5 - 0.5 * 2 - 0.25 * 0.3


prices = st.floats(0, 5)
shared = st.lists(
    st.tuples(st.builds(Entry, st.text(max_size=20), st.text(max_size=900)), st.floats(0.01, 1)), min_size=1, max_size=6
)


@given(st.builds(Weights, lambda_=prices, mu=prices, nu=prices), st.text(min_size=1, max_size=200), shared)
def test_the_highest_score_wins_and_the_full_prompt_on_ties(
    weights: Weights, query: str, given_shares: list[tuple[Entry, float]]
) -> None:
    """The candidates and their scores, written out once more."""
    given_entries = [entry for entry, _ in given_shares]
    total = sum(raw for _, raw in given_shares)
    shares = [raw / total for _, raw in given_shares]

    def worth(prompt: str, e: float, n: int) -> float:
        return weights.lambda_ * e * sum(shares) - weights.mu * len(prompt) / 1024 - weights.nu * n / 10

    full = compose(query, given_entries)
    alone = [compose(query, [entry]) for entry in given_entries]
    chosen = best(weights, query, given_entries, shares)
    scores = [worth(full, 1.0, len(alone)), *(worth(p, w, 1) for p, w in zip(alone, shares, strict=True))]
    assert chosen in [p for p, found in zip([full, *alone], scores, strict=True) if found == max(scores)]
    if scores[0] == max(scores):
        assert chosen == full


def test_where_nothing_counts_the_full_prompt_wins() -> None:
    memories = [Entry("a", "one"), Entry("b", "two")]
    free = Weights(lambda_=0.0, mu=0.0, nu=0.0)
    assert best(free, "q", memories, [0.9, 0.1]) == compose("q", memories)
