"""What the acceptance tests saw: a verdict for each line of the parity report, and the raw samples behind it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scripts.develop.parity import SEMANTICS
from tests.simulation.cases import CASES
from tests.sources import Documented, Recorded, Sources, each

LINES: Mapping[str, Sources] = {
    **{semantic.what: semantic.sources for semantic in SEMANTICS},
    **{case.name: case.sources for case in CASES},
}
"""Every line of the parity report, and how we know it."""

DIFFERS, NOT_OBSERVED = "differs", "not observed"


@dataclass(frozen=True, slots=True)
class Sample:
    """Something that the stage answered or wrote, as it is."""

    kind: str
    test: str
    sample: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a test ended."""

    test: str
    lines: Sequence[str]
    """The lines of the parity report that it observes."""
    outcome: str
    """passed, failed or skipped."""
    why: str = ""


@dataclass(slots=True)
class Record:
    """All that a run has seen."""

    samples: list[Sample] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def verdicts(self) -> dict[str, tuple[str, Sequence[Outcome]]]:
        """Return the verdict on each line of the parity report, with the tests that observed it.

        A line is as its first label says when a test observed it and none failed; it differs when one failed. It is
        not observed when no test of it ran to its end, and nothing is then known of it.
        """
        return {line: self._verdict(line, sources) for line, sources in LINES.items()}

    def _verdict(self, line: str, sources: Sources) -> tuple[str, Sequence[Outcome]]:
        seen = [outcome for outcome in self.outcomes if line in outcome.lines]
        outcomes = {outcome.outcome for outcome in seen}
        if "failed" in outcomes:
            return DIFFERS, seen
        if "passed" not in outcomes:
            return NOT_OBSERVED, seen
        match each(sources)[0]:
            case Documented():
                return "as documented", seen
            case Recorded():
                return "as recorded", seen
            case _:
                return "as we chose", seen


@dataclass(frozen=True, slots=True)
class Evidence:
    """Keeps what a test sees."""

    record: Record
    test: str

    def keep(self, kind: str, sample: Any) -> None:
        """Keep something raw for the report: an invocation record, a stream event, a REPORT line, a mapping reply."""
        self.record.samples.append(Sample(kind, self.test, sample))


def write(record: Record, where: Mapping[str, str], folder: Path) -> None:
    """Write report.md and report.json. `where` says what was tested: stage, account, region, endpoint, time."""
    verdicts = record.verdicts()
    document = {
        **where,
        "verdicts": [
            {
                "line": line,
                "how we know": [str(source) for source in each(LINES[line])],
                "verdict": verdict,
                "tests": [asdict(outcome) for outcome in seen],
            }
            for line, (verdict, seen) in verdicts.items()
        ],
        "tests": [asdict(outcome) for outcome in record.outcomes],
        "samples": [asdict(sample) for sample in record.samples],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")
    (folder / "report.md").write_text("\n".join(_markdown(record, verdicts, where)))


def _markdown(
    record: Record, verdicts: Mapping[str, tuple[str, Sequence[Outcome]]], where: Mapping[str, str]
) -> Sequence[str]:
    counts = Counter(verdict for verdict, _ in verdicts.values())
    ended = Counter(outcome.outcome for outcome in record.outcomes)
    failed = [outcome for outcome in record.outcomes if outcome.outcome == "failed"]
    on_aws = where["endpoint"] == "AWS"
    return [
        f"# Acceptance of stage {where['stage']}",
        "",
        *(f"- {name}: {value}" for name, value in where.items()),
        f"- tests: {', '.join(f'{number} {outcome}' for outcome, number in sorted(ended.items()))}",
        f"- lines of the parity report: {', '.join(f'{number} {verdict}' for verdict, number in counts.most_common())}",
        "",
        (
            "This is what AWS did. A line that differs is a fact to put into the parity report and the local cloud."
            if on_aws
            else "This is what the local cloud did. It says nothing of AWS: `make acceptance STAGE=dev` does."
        ),
        "A line that is not observed is not known: no test here can tell it, or none ran to its end.",
        "The samples hold account ids and names. Remove them before you publish this.",
        "",
        *(["## Failed", "", *(f"- {outcome.test}: {outcome.why}" for outcome in failed), ""] if failed else []),
        "## The lines of the parity report",
        "",
        "| Line | How we know | Verdict | Observed by |",
        "| --- | --- | --- | --- |",
        *(
            f"| {line} | {'; '.join(str(source) for source in each(LINES[line]))} | {verdict} "
            f"| {', '.join(_short(outcome.test) for outcome in seen)} |"
            for line, (verdict, seen) in verdicts.items()
        ),
        "",
        "## Samples",
        "",
        *(text for sample in record.samples for text in _sample(sample)),
    ]


def _sample(sample: Sample) -> Sequence[str]:
    is_text = isinstance(sample.sample, str)
    text = sample.sample if is_text else json.dumps(sample.sample, indent=2, default=str, ensure_ascii=False)
    fence = f"```{'text' if is_text else 'json'}"
    return [f"### {sample.kind}", "", f"By {_short(sample.test)}.", "", fence, text, "```", ""]


def _short(test: str) -> str:
    return test.rpartition("::")[2].partition("[")[0]
