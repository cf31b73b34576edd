"""The console's routes: a module for each panel, one for the pipeline above them, and one for the runbook."""

from scripts.console.views import failures, functions, pipeline, reconcile, runbook, stream, tables

ALL = (pipeline, functions, stream, tables, failures, reconcile, runbook)
"""Modules with `register(app, context)`."""

HARMLESS = {"check_totals"}
"""Routes that are asked by POST and change nothing."""
