"""Found by workers of a run, whose PYTHONPATH begins here."""

import sys

if "nexau.workers.process" in sys.orig_argv:
    from tests.chaos.seams import install_from_environment

    install_from_environment()
