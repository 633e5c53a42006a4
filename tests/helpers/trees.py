"""Strategies of hypothesis: conditions of rules, as the parser gives them."""

from hypothesis import strategies as st

from enqueuer.policy.tree import Node, Quantifier, Test, all_of, any_of, negation
from enqueuer.policy.vocabulary import DATA, OPERATIONS, Datum

__all__ = ["conditions", "nodes"]

TEXT = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32, exclude_characters="\x7f"), max_size=12)
PICTURES = st.one_of(
    TEXT,
    st.text('\\"*,# a', max_size=8),
    st.sampled_from(["#partners", "10K", "5", "17:30", "a@b", "Sat", "24 Dec 2026 18:00", "10.0.0.0/8", "::1", "ok", "\\*", '"', "\\"]),
)
ANY_OR_EACH: list[Quantifier] = ["any", "each"]
ALONE: list[Quantifier] = [""]
ARGUMENTS = st.one_of(st.just("X-Spam"), TEXT.map(lambda text: text.strip().replace("(", "").replace(")", "")).filter(bool))


def conditions(data: tuple[Datum, ...] = DATA) -> st.SearchStrategy[Node]:
    """Return conditions that make sense; the parameters are any text."""
    return st.sampled_from(data).flatmap(_test)


def _test(datum: Datum) -> st.SearchStrategy[Node]:
    argument = st.just("") if not datum.argument else st.one_of(st.just(""), ARGUMENTS) if datum.word == "header" else ARGUMENTS
    quantifier = st.sampled_from(ANY_OR_EACH if datum.quantified else ALONE)
    operation = st.sampled_from(OPERATIONS[datum.kind])
    return operation.flatmap(
        lambda chosen: st.builds(Test, st.just(datum.word), st.just(chosen), PICTURES if chosen else st.just(""), argument, quantifier)
    )


def nodes() -> st.SearchStrategy[Node]:
    """Return trees in their normal form."""
    return st.recursive(
        conditions(),
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=4).map(all_of), st.lists(inner, min_size=2, max_size=4).map(any_of), inner.map(negation)
        ),
        max_leaves=12,
    )
