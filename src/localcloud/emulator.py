"""The emulator's own process: `python emulator.py`, with its settings in the environment.

It is run by path, not as a module, so that nothing of this repository is on the path of the functions, which
inherit this environment: what is missing from a function's package must be missing here too.
"""

from http import HTTPStatus
from typing import Any

from ministack import app
from ministack.services import kinesis


def keep_tags_of_new_streams() -> None:
    """CreateStream takes tags, and the emulator drops them: each plan would then put them back."""
    create_stream = kinesis._create_stream

    def create_stream_with_tags(request: dict[str, Any]) -> Any:
        response = create_stream(request)
        if response[0] == HTTPStatus.OK:
            kinesis._streams[request["StreamName"]]["tags"].update(request.get("Tags", {}))
        return response

    kinesis._create_stream = create_stream_with_tags


if __name__ == "__main__":
    keep_tags_of_new_streams()
    app.main()
