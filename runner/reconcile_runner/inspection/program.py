"""Answers questions about arguments with Ansible's own parsers. The program that ``inspector`` starts.

Each line of standard input is a request, each line of standard output its answer, both JSON. It imports Ansible and
the standard library alone, so that any environment with an ansible-core from 2.16 on can run it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

# First, as it wants to be.
from ansible.cli.playbook import PlaybookCLI  # isort: skip
from ansible.errors import AnsibleError

_PLAYBOOK: Final = "the-playbook"
"""Stands where a run's playbook stands: after the arguments."""
_IDLE: Final = {
    "check": "asks for check mode",
    "syntax": "asks for a syntax check alone",
    "listtasks": "asks for a list of tasks alone",
    "listtags": "asks for a list of tags alone",
    "listhosts": "asks for a list of hosts alone",
    "step": "asks before each task, and nobody can answer",
}
"""Options with which a run does nothing, by their names in Ansible's parser."""
_SKIPS_ALL: Final = "all"


class _UsageError(Exception):
    """The parser refuses the arguments. The message is its own."""


class _PrintsAndEndsError(Exception):
    """An argument has Ansible print something and end."""


def refusal(request: Mapping[str, Any]) -> str:
    """Return why a run with these ``arguments`` would do nothing, or could not begin; else nothing."""
    cli = PlaybookCLI(["ansible-playbook", *request["arguments"], _PLAYBOOK])
    cli.init_parser()
    cli.parser.error = _raise_usage_error
    cli.parser.exit = _raise_end
    try:
        options = cli.post_process_args(cli.parser.parse_args(cli.args[1:]))
    except (_UsageError, AnsibleError) as error:
        return f"expected arguments of ansible-playbook: {_one_line(str(error))}"
    except _PrintsAndEndsError:
        return _idle("has Ansible print something and end")
    for option, what in _IDLE.items():
        if getattr(options, option):
            return _idle(what)
    return _idle("skips every task") if _SKIPS_ALL in options.skip_tags else ""


def _idle(what: str) -> str:
    return (
        f"which {what}: a run would do nothing and count as a success all the same; expected arguments with which a "
        "run does its work"
    )


def _raise_usage_error(message: str) -> NoReturn:
    raise _UsageError(message)


def _raise_end(*_status_and_message: object) -> NoReturn:
    raise _PrintsAndEndsError


def _one_line(text: str) -> str:
    """Return the first paragraph of a message: older cores say the place in further ones."""
    return " ".join(text.strip().partition("\n\n")[0].split())


_ANSWERS: Final[Mapping[str, Callable[[Mapping[str, Any]], object]]] = {
    "refusal": refusal,
}


def main() -> None:
    """Answer until there are no more requests."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Ansible's own output is no answer
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(_ANSWERS[request["question"]](request)), file=answers, flush=True)


if __name__ == "__main__":
    main()
