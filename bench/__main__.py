"""Measure: `make bench [ONLY=<benchmark,...>]`, `make bench-quick`."""

import sys
import time
from collections.abc import Callable

import typer

from bench import cold_start, deploying, engine, ingesting, plots, records, report, scaling, updating, verdicts, writing
from bench.measuring import Findings, Row
from scripts.cli import UserError, run

BENCHMARKS: dict[str, Callable[[], Findings]] = {
    "cold-start": cold_start.measure,
    "parsing": records.parsing,
    "logging": records.logging_,
    "effort": records.counts,
    "counts": writing.counts,
    "rates": writing.rates,
    "updating": updating.measure,
    "ingesting": ingesting.measure,
    "memory": records.memory,
    "verdicts": verdicts.measure,
    "scaling": scaling.measure,
    "engine": engine.measure,
    "deploy": deploying.measure,
}
QUICK: dict[str, Callable[[], Findings]] = {
    "cold-start": cold_start.counts,
    "effort": records.counts,
    "counts": writing.counts,
    "updating": updating.counts,
    "ingesting": ingesting.counts,
}


def main(
    quick: bool = typer.Option(
        False, help="only counts, which no noise changes; writes nothing, fails where one misses its bar"
    ),
    only: str = typer.Option("", help=f"some of {', '.join(BENCHMARKS)}, separated by commas"),
) -> None:
    """Measure, print both sides, and bring docs/performance.md up to date."""
    benchmarks = QUICK if quick else BENCHMARKS
    chosen = only.split(",") if only else list(benchmarks)
    if unknown := set(chosen) - benchmarks.keys():
        raise UserError(f"There is no {', '.join(sorted(unknown))} among {', '.join(benchmarks)}")
    found = {name: _measured(name, benchmarks[name]) for name in chosen}
    if quick:
        missed = [row for findings in found.values() for row in findings.rows if row.is_count and not row.is_met]
        if missed:
            raise UserError("Missed: " + "; ".join(_line(row) for row in missed))
        return
    everything = report.keep(found)
    report.write(everything)
    plots.draw(everything, report.PICTURES)
    typer.echo(f"Wrote {report.DOCUMENT}")


def _measured(name: str, benchmark: Callable[[], Findings]) -> Findings:
    begun = time.monotonic()
    findings = benchmark()
    typer.echo(f"{name} ({time.monotonic() - begun:.0f} s)")
    for row in findings.rows:
        typer.echo(f"  {_line(row)} {row.verdict}")
    return findings


def _line(row: Row) -> str:
    bar = "" if row.bar is None else f", bar {'>=' if row.at_least else '<='} {row.bar:g}"
    return f"{row.metric}: {row.ours}; {row.other}; ratio {row.ratio:.2f}{bar}"


if __name__ == "__main__":
    run(main, "python -m bench", sys.argv[1:])
