"""Make mutants: copies of a module, each with one fault.

mutmut's operators make most of them, as they are. Its runner is not used: it leaves out decorated functions and all
code outside of functions, which is where this project composes its functions, reads numbers and names what failed.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import libcst as cst
import libcst.matchers as m
from libcst.metadata import CodeRange, MetadataWrapper, WhitespaceInclusivePositionProvider
from mutmut.mutation.mutators import OPERATORS_TYPE, mutation_operators, operator_if_exp, operator_string

_UNTOUCHED = m.OneOf(
    m.Annotation(),
    m.Import(),
    m.ImportFrom(),
    m.Decorator(),
    # What only a type checker looks at: type variables, aliases, imports of types.
    m.Assign(value=m.Call(func=m.Name("TypeVar") | m.Name("ParamSpec"))),
    m.Assign(
        targets=[m.AssignTarget(m.Name(m.MatchRegex("[A-Z]+[a-z]\\w*")))],
        value=m.Subscript() | m.BinaryOperation(operator=m.BitOr()),
    ),
    m.If(test=m.Name("TYPE_CHECKING")),
    m.Assign(targets=[m.AssignTarget(m.Name("TYPE_CHECKING"))]),
    m.If(test=m.Comparison(left=m.Name("__name__"))),
    # A docstring, and the body of a protocol's method.
    m.Expr(m.SimpleString() | m.ConcatenatedString() | m.Ellipsis()),
    # Whether zip checks what is true of all that it is given.
    m.Arg(keyword=m.Name("strict")),
)


@dataclass(frozen=True)
class Mutant:
    """One fault in one file."""

    file: Path
    """From the repository's root."""
    place: str
    """The function, with its class; "" outside of both; of a mutant made by hand, what it loses."""
    first_line: int
    last_line: int
    """Of the statement that is changed."""
    was: str
    now: str
    """That statement's lines that differ, without indentation, on one line."""
    source: str
    """The whole file, with the fault."""

    @cached_property
    def id(self) -> str:
        """A digest of the file and its faulty contents."""
        return hashlib.sha256(f"{self.file}\n{self.source}".encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.file}:{self.first_line} {self.place}\n    - {self.was}\n    + {self.now}"


def mutants(file: Path, source: str) -> list[Mutant]:
    """Return every mutant of a file, in the order of its lines."""
    wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    visitor = _Mutator(file, source, wrapper)
    wrapper.module.visit(visitor)
    unique = {mutant.id: mutant for mutant in visitor.mutants if mutant.source != source}
    return sorted(unique.values(), key=lambda mutant: mutant.first_line)


def by_hand(file: Path, source: str, lost: str, text: str, instead: str) -> Mutant:
    """Return the mutant that reads `instead` where the file has `text`. Raises ValueError unless that is one place.

    `lost` says what it loses, in place of a function's name.
    """
    if source.count(text) != 1:
        raise ValueError(f"{file} has this {source.count(text)} times, not once: {text}")
    start = source.index(text)
    first, last = (source.count("\n", 0, end) + 1 for end in (start, start + len(text)))
    return _mutant(file, lost, source, source.replace(text, instead), (first, last))


def drop_entry(node: cst.Dict) -> Iterator[cst.Dict]:
    """Leave an entry out of a dictionary, as mutmut leaves an argument out of a call."""
    for i in range(len(node.elements)):
        yield node.with_changes(elements=[*node.elements[:i], *node.elements[i + 1 :]])


def drop_statement(_: cst.BaseSmallStatement) -> Iterator[cst.BaseSmallStatement]:
    """Leave a statement out."""
    yield cst.Pass()


def spoil_string(node: cst.BaseString) -> Iterator[cst.BaseString]:
    """Make only the first of mutmut's variants of a string: the other two, in another case, show no more."""
    yield from islice(operator_string(node), 1)


OPERATORS: OPERATORS_TYPE = (
    *((type_, each) for type_, each in mutation_operators if each is not operator_string),
    (cst.BaseString, spoil_string),
    # What mutmut does to a conditional expression shows as much in a conditional statement.
    (cst.If, operator_if_exp),
    (cst.CompIf, operator_if_exp),
    (cst.Dict, drop_entry),
    (cst.Expr, drop_statement),
    (cst.Return, drop_statement),
    (cst.Raise, drop_statement),
    (cst.AugAssign, drop_statement),
    (cst.Continue, drop_statement),
)


class _Mutator(cst.CSTVisitor):
    """Collects the mutants of a module. Each is its text with one node's text replaced."""

    def __init__(self, file: Path, source: str, wrapper: MetadataWrapper) -> None:
        super().__init__()
        self.mutants: list[Mutant] = []
        self._file = file
        self._source = source
        self._module = wrapper.module
        self._ranges = wrapper.resolve(WhitespaceInclusivePositionProvider)
        self._starts = _line_starts(source)
        self._places: list[str] = []
        self._statement: tuple[int, int] | None = None
        self._depth = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if m.matches(node, _UNTOUCHED):
            return False
        if isinstance(node, cst.SimpleStatementLine):
            self._statement = self._lines(node.body[0], node.body[-1])
        elif isinstance(node, cst.BaseCompoundStatement):
            self._statement = None
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._places.append(node.name.value)
        self._depth += isinstance(node, cst.IndentedBlock)
        for type_, operator in OPERATORS:
            if isinstance(node, type_):
                self._mutate(node, operator(node))
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._depth -= isinstance(original_node, cst.IndentedBlock)
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef) and not m.matches(original_node, _UNTOUCHED):
            self._places.pop()

    def _mutate(self, node: cst.CSTNode, mutated: Iterable[cst.CSTNode]) -> None:
        for each in mutated:
            if _untouched_arguments(node) != _untouched_arguments(each):
                continue
            old, new = node, each
            if isinstance(old, cst.If) and isinstance(new, cst.If):
                old, new = old.test, new.test
            start, end = self._span(old)
            text = self._source[start:end]
            code = next((code for code in (self._indented, self._module.code_for_node) if code(old) == text), None)
            # Only a case has another text. That is slow.
            source = self._source[:start] + code(new) + self._source[end:] if code else self._with_changes(old, new)
            first, last = self._lines(old, old)
            if self._statement:
                first, last = min(first, self._statement[0]), max(last, self._statement[1])
            self.mutants.append(_mutant(self._file, ".".join(self._places), self._source, source, (first, last)))

    def _with_changes(self, old: cst.CSTNode, new: cst.CSTNode) -> str:
        module = self._module.deep_replace(old, new)
        assert isinstance(module, cst.Module)  # noqa: S101  no operator replaces that
        return module.code

    def _indented(self, node: cst.CSTNode) -> str:
        """A node's text with the indentation of the block that it is in, which libcst leaves out."""
        return self._module.code_for_node(node).replace("\n", "\n" + self._module.default_indent * self._depth)

    def _span(self, node: cst.CSTNode) -> tuple[int, int]:
        where = self._range(node)
        return tuple(self._starts[at.line] + at.column for at in (where.start, where.end))  # type: ignore[return-value]

    def _lines(self, first: cst.CSTNode, last: cst.CSTNode) -> tuple[int, int]:
        return self._range(first).start.line, self._range(last).end.line

    def _range(self, node: cst.CSTNode) -> CodeRange:
        where = self._ranges[node]
        assert isinstance(where, CodeRange)  # noqa: S101  what this provider says of every node
        return where


def _untouched_arguments(node: cst.CSTNode) -> list[cst.BaseExpression]:
    return [each.value for each in node.args if m.matches(each, _UNTOUCHED)] if isinstance(node, cst.Call) else []


def _mutant(file: Path, place: str, source: str, mutated: str, lines: tuple[int, int]) -> Mutant:
    before, after = source.splitlines(), mutated.splitlines()
    least = min(len(before), len(after))
    head = next((i for i in range(least) if before[i] != after[i]), least)
    tail = next((i for i in range(least - head) if before[-1 - i] != after[-1 - i]), least - head)
    was, now = (" ".join(" ".join(part[head : len(part) - tail]).split()) for part in (before, after))
    return Mutant(file, place, *lines, was, now, mutated)


def _line_starts(source: str) -> list[int]:
    """Where each line starts; lines count from 1, and the last is followed by another."""
    starts = [0, 0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts
