"""Found by workers of a run, whose PYTHONPATH begins here."""

import sys

if "nexau.worker" in sys.orig_argv:
    from tests.chaos.seams import install_from_environment

    install_from_environment()
