"""Roles and playbooks, read as files: their tasks, variables and templates. Nothing is run and nothing rendered.

``tasks`` walks through them; ``filesearch`` finds their files, ``variables`` resolves what files define, ``yamlfiles``
reads YAML. What cannot be known goes to ``unknowns``.
"""
