"""Ask for known vulnerabilities of what the operator is installed with, for every supported Python: `make audit`.

It fails where there is one, and where it could not look at each package. With `--unreachable=warn` it says so and
passes where nothing at all could be looked at, as on a machine without a database within reach.
"""

from __future__ import annotations

import sys
from typing import Final

from tools.environment import REQUIREMENTS, StepFailedError, fail, locked_environment, tell
from tools.vulnerabilities import Audited, UnreachableError, ask, found, in_words, unknown

WARN: Final = "--unreachable=warn"


def main(arguments: list[str]) -> int:
    """Audit; return the exit code."""
    audited: list[Audited] = []
    try:
        programs = locked_environment("report") / "bin"
        for lock in sorted(REQUIREMENTS.glob("runtime-*.txt")):  # one by one: pip-audit takes a package once
            audited += [one for one in ask(programs, lock) if one not in audited]
    except StepFailedError as error:
        fail(str(error))
    except UnreachableError as error:
        if arguments != [WARN] or audited:
            fail(f"no audit: {error}")
        tell(f"no audit: {error}")
        return 0
    tell(in_words(audited))
    return 1 if found(audited) or unknown(audited) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
