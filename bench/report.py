"""docs/performance.md, whose tables are made of what was found; the words around them are written by hand."""

import json
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from bench import costs
from bench.measuring import Findings, Row
from scripts.stage import ROOT

DOCUMENT = ROOT / "docs/performance.md"
PICTURES = ROOT / "docs/performance"
_KEPT = PICTURES / "results.json"


def keep(found: Mapping[str, Findings]) -> dict[str, Findings]:
    """Add what was found to what earlier runs have found, each with its time and machine; all there is."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = json.loads(_KEPT.read_text()) if _KEPT.exists() else {}
    kept |= {name: {**findings.as_json(), "where": where()} for name, findings in found.items()}
    _KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return {name: Findings.from_json(each) for name, each in kept.items()}


def write(found: Mapping[str, Findings]) -> None:
    """Replace each table in the document whose figures are there."""
    blocks = {"figures": _figures([row for findings in found.values() for row in findings.rows]), "runs": _runs()}
    if "verdicts" in found:
        blocks["verdicts"] = _verdicts(found["verdicts"].data["verdicts"])
    if {"counts", "rates", "verdicts"} <= found.keys():
        blocks["costs"] = _costs(found)
    text = DOCUMENT.read_text()
    for name, block in blocks.items():
        text, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)",
            partial(_refilled, block),
            text,
            flags=re.DOTALL,
        )
        if count != 1:
            raise SystemExit(f"{DOCUMENT.name} has no place for {name}")
    DOCUMENT.write_text(text)


def _refilled(block: str, place: "re.Match[str]") -> str:
    return f"{place[1]}{block}\n{place[2]}"


def where() -> dict[str, str]:
    """Machine, date and versions."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "machine": f"{psutil.cpu_count()} cores, {_processor()}, load {psutil.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("boto3", "aws-lambda-powertools", "ministack")},
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _runs() -> str:
    runs: dict[str, list[str]] = {}
    for name, each in json.loads(_KEPT.read_text()).items():
        place = each["where"]
        versions = ", ".join(f"{key} {place[key]}" for key in ("python", "boto3", "aws-lambda-powertools", "ministack"))
        runs.setdefault(f"{place['date'][:10]}, {place['machine'].rpartition(',')[0]}, {versions}", []).append(
            f"{name} ({place['machine'].rpartition(', ')[2]})"
        )
    return "\n".join(f"- {run}: {', '.join(names)}" for run, names in runs.items())


def _figures(rows: list[Row]) -> str:
    return _table(
        ["metric", "here", "compared with", "ratio", "bar", ""],
        [
            [
                row.metric,
                row.ours,
                row.other,
                f"{row.ratio:.2f}",
                "" if row.bar is None else f"{'>=' if row.at_least else '<='} {row.bar:g}",
                row.verdict,
            ]
            for row in rows
        ],
    )


def _verdicts(verdicts: Mapping[str, Mapping[str, str]]) -> str:
    names = list(verdicts)
    scenarios = list(next(iter(verdicts.values())))
    return _table(["", *names], [[each, *(verdicts[name][each] for name in names)] for each in scenarios])


def _costs(found: Mapping[str, Findings]) -> str:
    units, rates = found["counts"].data["units"], found["rates"].data
    lines = []
    for name in units:
        parts = costs.per_million(units[name]["write_units"], rates["rates"][name], rates["cpu_seconds"][name])
        exact = sum(verdict == "exact" for verdict in found["verdicts"].data["verdicts"][name].values())
        of = len(found["verdicts"].data["verdicts"][name])
        lines.append(
            [
                name,
                f"{units[name]['requests']:.4f}",
                f"{units[name]['write_units']:.3f}",
                f"{rates['rates'][name]:,.0f}/s",
                *(f"{dollars:.3f}" for dollars in parts.values()),
                f"**{sum(parts.values()):.2f}**",
                f"{exact} of {of}",
            ]
        )
    head = ["", "requests a record", "write units a record", "speed", "DynamoDB writes, $", "Lambda duration, $"]
    return _table([*head, "Lambda requests, $", "a million records, $", "scenarios exact"], lines)


def _table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *lines])
