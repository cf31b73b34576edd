"""Make a function's zip file: `python3 -m scripts.develop.package <function> build/<function>.zip`.

The same sources make the same bytes on every machine: sorted names, one date, one mode, and no compression,
since zlib's output differs between its versions (and the packages are a few kilobytes).
Standard library only, so that packaging needs no virtual environment.
"""

import argparse
import re
import sys
import zipfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "src"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file can hold
_UNIX = 3
_MODE = 0o100644 << 16


def functions(sources: Path = SOURCES) -> list[str]:
    """The functions that there is code of, by name: ProcessKinesisRecords is handlers/process_kinesis_records."""
    packages = sorted(file.parent.name for file in sources.glob("handlers/*/handler.py"))
    return ["".join(word.capitalize() for word in name.split("_")) for name in packages]


def package_name(function: str) -> str:
    """The name of a function's own package under handlers/."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", function).lower()


def package(function: str, destination: Path, sources: Path = SOURCES) -> None:
    """Write the zip of a function: its own package under handlers/, and handlers/shared.

    Raises FileNotFoundError when there is no such function.
    """
    own = package_name(function)
    handlers = sources / "handlers"
    if not (handlers / own / "handler.py").is_file():
        raise FileNotFoundError(
            f"There is no function {function}: {handlers / own / 'handler.py'} is missing. "
            f"There are {', '.join(functions(sources))}."
        )
    files = [handlers / "__init__.py", *(handlers / "shared").rglob("*.py"), *(handlers / own).rglob("*.py")]
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_suffix(".partial")  # an interrupt must not leave half a package behind
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, file in sorted((file.relative_to(sources).as_posix(), file) for file in files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = _UNIX
            entry.external_attr = _MODE
            archive.writestr(entry, file.read_bytes())
    partial.replace(destination)


def _main() -> int:
    """Command line: the function's name and the zip file to write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("function", help="name of the function: ProcessKinesisRecords")
    parser.add_argument("destination", type=Path, help="zip file to write")
    arguments = parser.parse_args()
    try:
        package(arguments.function, arguments.destination)
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
