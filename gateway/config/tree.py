"""YAML text to plain data that remembers the line of every key; refuses what YAML would quietly misread.

YAML 1.2: `yes` is text, not true.  Beyond the standard, a key given twice, a key without a value and a decimal comma
inside {braces} are mistakes here, because each is a setting that the writer believes to have made and has not.
"""

import re
import warnings
from dataclasses import dataclass, field
from typing import Any, Final, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from gateway.model import Placed

Path = tuple[str | int, ...]

DEEPEST: Final = 30  # levels; a gateway.yaml has six
MOST_NODES: Final = 50_000  # aliases can unfold a small file into a huge one
CORE: Final = "tag:yaml.org,2002:"
SECOND_COLON: Final = "a second ': ' in one line; put text that holds ': ' in quotes"
STRAY_LINE: Final = "indented further than the line above, which is no section; or that line lacks its ': '"
OPEN_QUOTE: Final = "a quote that is opened and never closed"
SYNTAX: Final = (  # what the parser says, what it means to somebody who writes a configuration
    ("mapping values are not allowed", SECOND_COLON),
    ("found character '\\t'", "a tab; indent with spaces"),
    ("found duplicate anchor", "the same &anchor twice"),
    ("undefined alias", "an *alias without its &anchor; text that begins with * belongs in quotes"),
    ("expected a single document", "a second document ('---'); one file holds one configuration"),
    ("could not find expected ':'", "a key without ': ' after it"),
    ("expected <block end>", "wrong indentation; lines of one list or section start in the same column"),
    ("unexpected end of stream", OPEN_QUOTE),
    ("cannot start any token", "a character that means something else to YAML; put the text in quotes"),
    ("expected ',' or", "a [list] or {section} without its comma or closing bracket"),
    ("expected the node content", "a [list] or {section} that is not closed"),
)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake: where, under which key, and what would be right."""

    line: int  # from 1; 0 = about the whole file
    path: Path
    text: str

    def show(self, source: str) -> str:
        """FILE:LINE: key.path: text; what is wrong in another file bears its own place."""
        if isinstance(self.text, Placed):
            return self.text
        place = f"{source}:{self.line}" if self.line else source
        return f"{place}: {dotted(self.path)}: {self.text}" if self.path else f"{place}: {self.text}"


def dotted(path: Path) -> str:
    """batteries[0].port from its parts."""
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown


def within(data: Any, location: Path, *, missing: bool) -> Path:
    """The keys of `location` that exist in `data`; the others name alternatives of a type, not places."""
    path: list[str | int] = []
    for part in location:
        in_section = isinstance(data, dict) and part in data
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if in_section or in_list:
            data = data[part]
            path.append(part)
    if missing and location:
        path.append(location[-1])
    return tuple(path)


@dataclass(slots=True)
class Document:
    """What the text holds, where, and what is wrong with it as YAML."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest section around it that exists."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def add(self, path: Path, text: str) -> None:
        """Note one mistake; the first word about a key stands, but all that is wrong in the file that it names."""
        line = self.line(path)
        if isinstance(text, Placed) or all((known.path, known.line) != (path, line) for known in self.problems):
            self.problems.append(Problem(line, path, text))


def read(text: str) -> Document:
    """The document in `text`; mistakes are in its `problems`, and `data` is what remains without them."""
    document = Document()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        document.problems += _syntax(error, text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.problems.append(Problem(line, (), f"U+{error.character:04X} is no character of a text; delete it"))
    except YAMLError as error:
        document.problems.append(Problem(0, (), f"not YAML: {str(error).splitlines()[0]}"))
    except RecursionError:
        document.problems.append(Problem(0, (), f"nested too deeply, expected at most {DEEPEST} levels"))
    except (ValueError, OverflowError, AttributeError, IndexError, AssertionError, TypeError) as error:
        document.problems.append(Problem(0, (), f"not YAML: {error}"))  # the parser trips over some malformed texts
    else:
        if root is not None:
            document.data = _build(root, (), document)
    if any(problem.path == () for problem in document.problems):
        document.data = None  # what is left of it would only give further, misleading mistakes
    return document


def _syntax(error: MarkedYAMLError, text: str) -> list[Problem]:
    """One sentence a syntax error; every line that is indented with a tab, as these come in numbers."""
    mark = error.problem_mark or error.context_mark
    said = f"{error.context or ''} {error.problem or ''}"
    meaning = next((words for sign, words in SYNTAX if sign in said), (error.problem or "not YAML").strip())
    if meaning == OPEN_QUOTE:
        mark = error.context_mark or mark
    if meaning == SECOND_COLON and mark and len(re.findall(r":(?=\s|$)", text.splitlines()[mark.line])) == 1:
        meaning = STRAY_LINE
    if "tab;" in meaning:
        tabs = [n for n, line in enumerate(text.splitlines(), 1) if "\t" in line[: len(line) - len(line.lstrip())]]
        if tabs:
            return [Problem(line, (), meaning) for line in tabs]
    return [Problem(mark.line + 1 if mark else 0, (), meaning)]


def _build(node: Node, path: Path, document: Document) -> Any:
    """Plain data of one node; notes lines and mistakes in `document`."""
    document.lines.setdefault(path, node.start_mark.line + 1)
    document.nodes += 1
    if len(path) > DEEPEST or document.nodes > MOST_NODES:
        document.add((), f"too large: at most {DEEPEST} levels and {MOST_NODES} values")
        return None
    if isinstance(node, MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, SequenceNode):
        return [_build(item, (*path, index), document) for index, item in enumerate(node.value)]
    return _scalar(cast(ScalarNode, node), path, document)


def _mapping(node: MappingNode, path: Path, document: Document) -> dict[str, Any]:
    """A section; keys are text whatever they look like."""
    built: dict[str, Any] = {}
    seen: dict[str, int] = {}
    last: tuple[str, Node] | None = None
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode):
            document.problems.append(Problem(line, path, "a key that is a list or section, expected a word"))
            continue
        key = key_node.value
        if last and _is_decimal_comma(last[1], key, value_node):
            document.add((*path, last[0]), f"decimal comma, write {last[1].value}.{key}")
            continue
        if key in seen:
            document.problems.append(
                Problem(line, (*path, key), f"given twice, first in line {seen[key]}; keep one of them")
            )
            continue
        seen[key], last = line, (key, value_node)
        document.lines[*path, key] = value_node.start_mark.line + 1 if _is_text(value_node) else line
        built[key] = _build(value_node, (*path, key), document)
    return built


def _is_decimal_comma(before: Node, key: str, value: Node) -> bool:
    """Is this pair the second half of `{max: 3,45}`, which YAML reads as max: 3 and a key 45?"""
    return (
        isinstance(before, ScalarNode)
        and re.fullmatch(r"[-+]?\d+", before.value) is not None
        and key.isdecimal()
        and isinstance(value, ScalarNode)
        and value.value == ""
    )


def _is_text(node: Node) -> bool:
    """Is it a value that is written somewhere, not a section, list or nothing?"""
    return isinstance(node, ScalarNode) and node.value != ""


NOTHING: Final = object()
"""Stands where a key has nothing behind it, unlike one with an explicit null."""


def _scalar(node: ScalarNode, path: Path, document: Document) -> Any:
    """The value of one word, by its YAML 1.2 type."""
    kind, word = str(node.tag).removeprefix(CORE), node.value
    if str(node.tag)[:1] == "!":
        document.add(path, f"tag {node.tag}, expected a plain value")
        return None
    if kind == "null":
        return NOTHING if word == "" else None
    if kind == "bool":
        return word.lower() in ("true", "yes", "on", "y")
    if kind in ("int", "float"):
        return _number(word, path, document)
    if not _is_unicode(word):
        document.add(path, "holds half a character (a lone surrogate)")
        return None
    return word


def _number(word: str, path: Path, document: Document) -> Any:
    """The number that `word` is, else the word itself: 1_000 is text here, as people mean different things by it."""
    try:
        if re.fullmatch(r"[-+]?0[xob][0-9a-fA-F]+", word):
            return int(word, 0)
        if re.fullmatch(r"[-+]?[0-9]{1,30}", word):
            return int(word)
        value = float(word.lower().replace(".inf", "inf").replace(".nan", "nan")) if "_" not in word else None
    except ValueError:
        return word
    if value is None:
        return word
    if value != value or value in (float("inf"), float("-inf")):
        document.add(path, f"{word} is no number to work with, expected a finite one")
        return None
    return value


def _is_unicode(word: str) -> bool:
    """False for text with a lone surrogate, which no other program could read back."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
