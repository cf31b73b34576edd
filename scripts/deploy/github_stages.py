"""Print which stages the nightly workflow may look at, as outputs of its job: `make github-stages`.

Those are the stages of terraform/stages whose roles are among the repository's variables (`<STAGE>_PLAN_ROLE`,
`<STAGE>_RECONCILE_ROLE`), which the workflow passes as JSON in VARIABLES. Standard library only, as for packages.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

_STAGES = Path(__file__).resolve().parents[2] / "terraform" / "stages"
_ROLES = {"drift": "PLAN_ROLE", "reconcile": "RECONCILE_ROLE"}


def matrices(stages: Iterable[str], variables: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """The stages that each job has a role for: their names, and what the names of their variables begin with."""
    found = [{"name": stage, "variable": stage.upper().replace("-", "_")} for stage in sorted(stages)]
    return {
        job: [each for each in found if variables.get(f"{each['variable']}_{role}")] for job, role in _ROLES.items()
    }


def main() -> None:
    """Print `<job>=<JSON>` for each job."""
    stages = (file.stem for file in _STAGES.glob("*.tfvars") if file.stem != "local")
    for job, found in matrices(stages, json.loads(os.environ.get("VARIABLES") or "{}")).items():
        print(f"{job}={json.dumps(found)}")


if __name__ == "__main__":
    main()
