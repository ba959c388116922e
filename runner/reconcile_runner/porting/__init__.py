"""Which tasks ansible-core 2.19 and newer refuse, though 2.18 took them, as far as files tell.

``check.refused_tasks`` walks through what watches run (``content``). ``conditions`` finds each task's conditions and
templates and parses them (``expressions``), ``names`` says what variables hold, ``valuetypes`` which types an
expression can have, and ``refusals`` what core 2.19 has against it. Nothing is run and nothing rendered: what cannot
be known is no finding. For people: docs/migrating.md.
"""
