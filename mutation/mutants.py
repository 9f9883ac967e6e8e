"""Small faults that can be put into a Python source: what a tired person might have typed instead.  Pure."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

COMPARISONS: Final = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"), ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}  # fmt: skip
ARITHMETIC: Final = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*")}
JUNCTIONS: Final = {ast.And: ("and", "or"), ast.Or: ("or", "and")}
NAMES: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: characters `start` to `end` of a file become `text`."""

    path: str
    line: int
    start: int
    end: int
    text: str
    what: str  # for people: "< became <="

    def applied(self, source: str) -> str:
        """The faulty source."""
        return source[: self.start] + self.text + source[self.end :]


def mutants(path: str, source: str) -> list[Mutant]:
    """Every fault that can be put into `source`, in the order of the text."""
    return sorted(_Finder(path, source).found(), key=lambda mutant: (mutant.start, mutant.text))


class _Finder:
    """Walks one syntax tree; texts, annotations and imports are left alone."""

    def __init__(self, path: str, source: str) -> None:
        self._path, self._source = path, source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._lines = source.splitlines()

    def found(self) -> Iterator[Mutant]:
        """All mutants, in no order."""
        yield from self._walk(ast.parse(self._source))

    def _walk(self, node: ast.AST) -> Iterator[Mutant]:
        yield from self._of(node)
        for name, field in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            for child in field if isinstance(field, list) else [field]:
                if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom):
                    yield from self._walk(child)

    def _of(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                yield from self._between(left, right, COMPARISONS.get(type(op)))
            case ast.BinOp(left=left, op=op, right=right):
                yield from self._between(left, right, ARITHMETIC.get(type(op)))
            case ast.BoolOp(op=op, values=[first, second, *_]):
                yield from self._between(first, second, JUNCTIONS[type(op)])
            case ast.UnaryOp(op=ast.Not()):
                yield self._mutant(node.lineno, self._at(node), self._at(node) + len("not"), "", "not went")
            case ast.Constant(value=bool() as value):
                yield self._replaced(node, str(not value))
            case ast.Constant(value=int() | float() as value):
                yield self._replaced(node, repr(value + 1 if isinstance(value, int) else value * 1.25 + 0.01))
            case ast.Call(func=ast.Name(id=name) as called) if name in NAMES:
                yield self._replaced(called, NAMES[name])
            case ast.If(test=test) | ast.IfExp(test=test):
                segment = self._source[self._at(test) : self._end(test)]
                yield self._replaced(test, f"not ({segment})")
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield self._mutant(node.lineno, self._at(value), self._end(value), "None", "returns None")

    def _between(self, left: ast.expr, right: ast.expr, words: tuple[str, str] | None) -> Iterator[Mutant]:
        """The operator between two expressions, where nothing else stands there (brackets, comments)."""
        start, end = self._end(left), self._at(right)
        gap = self._source[start:end]
        if words is not None and gap.strip(" ()\n") == words[0]:
            at = start + gap.index(words[0])
            yield self._mutant(left.end_lineno or 0, at, at + len(words[0]), words[1], f"{words[0]} became {words[1]}")

    def _replaced(self, node: ast.expr, text: str) -> Mutant:
        start, end = self._at(node), self._end(node)
        return self._mutant(node.lineno, start, end, text, f"{self._source[start:end]} became {text}")

    def _mutant(self, line: int, start: int, end: int, text: str, what: str) -> Mutant:
        return Mutant(self._path, line, start, end, text, " ".join(what.split()))

    def _at(self, node: ast.expr) -> int:
        return self._offset(node.lineno, node.col_offset)

    def _end(self, node: ast.expr) -> int:
        return self._offset(node.end_lineno or 0, node.end_col_offset or 0)

    def _offset(self, line: int, column: int) -> int:
        """Characters from the start; the syntax tree counts columns in UTF-8 bytes."""
        text = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(text)
