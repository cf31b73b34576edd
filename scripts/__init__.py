"""The commands: one a file, run as `python -m scripts.<command>`, and what they share."""

import signal
import sys

# "-m" while Python looks for the command. Its imports take a second, in which Ctrl-C would print where they were;
# from here on it ends the process without a word, until `command.run` takes it over. Where it is ignored, as in a
# script's background, it stays so.
if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
