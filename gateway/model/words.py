"""Words for people, where a name is none of those there are."""

from collections.abc import Iterable


def meant(word: str, known: Iterable[str], otherwise: str, *, likeness: float = 0.6) -> str:
    """`did you mean ...?` with the one of `known` that `word` is most like; `otherwise` where it is like none."""
    from difflib import get_close_matches  # a mistake is rare, and what runs makes none

    near = get_close_matches(word, list(known), n=1, cutoff=likeness)
    return f"did you mean {near[0]}?" if near else otherwise
