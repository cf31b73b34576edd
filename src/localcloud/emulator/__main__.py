"""Run the repaired ministack: `python src/localcloud/emulator`, with its port in GATEWAY_PORT.

With `--fingerprints`, write the fingerprints of the installed ministack instead, after the repairs were looked at.

Run by path, and not with PYTHONPATH: functions inherit the environment, and what is missing from a function's package
must be missing here too.
"""

import json
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Repair ministack and run it until killed."""
    # Python puts this folder first, in which modules are named after services.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from localcloud.emulator import patching
    from localcloud.emulator.repairs import REPAIRS

    modules = patching.load(REPAIRS)
    if arguments == ["--fingerprints"]:
        known = patching.fingerprints(REPAIRS, modules)
        patching.FINGERPRINTS.write_text(json.dumps(known, indent=2) + "\n")
        return
    patching.check(REPAIRS, modules)
    for repair in REPAIRS:
        repair(*(modules[name] for name in repair.modules))
    from ministack import app

    app.main()


if __name__ == "__main__":
    main(sys.argv[1:])
