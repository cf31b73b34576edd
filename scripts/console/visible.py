"""JSON for reading: on indented lines, with every number as it was written."""

import json
import re

_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_INDENT = 2
_EMPTY = ("{}", "[]")


def indented(text: str) -> str:
    """Return JSON text on indented lines. No number is rounded, since the parts of the text are only moved.

    Empty objects and lists stay on their line. Text that is not JSON, or nested too deeply, is returned as it is.
    """
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    parts = _PART.findall(text)
    lines: list[str] = []
    depth = 0
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        if part in ("{", "["):
            depth += 1
            lines.append(part if part + following in _EMPTY else part + _line(depth))
        elif part in ("}", "]"):
            depth -= 1
            lines.append(part if lines[-1] in ("{", "[") else _line(depth) + part)
        elif part == ",":
            lines.append(part + _line(depth))
        else:
            lines.append(": " if part == ":" else part)
    return "".join(lines)


def _line(depth: int) -> str:
    return "\n" + " " * (_INDENT * depth)
