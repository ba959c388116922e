#!/opt/reconcile-runner/venv/bin/python -P
"""Start the operator under the name of upstream's: `ansible-operator run --watches-file=./watches.yaml`.

In the image this is `/usr/local/bin/ansible-operator`. The working directory is not on Python's path (`-P`): it holds
the user's files, whatever their names.
"""

import sys

sys.path.insert(0, "/opt/reconcile-runner")

from runner.cli import main

main(sys.argv[1:])
