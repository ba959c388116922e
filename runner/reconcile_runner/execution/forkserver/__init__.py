"""The fork server: runs start as forks of a process that has Ansible loaded.

``engine`` gives ansible-runner a small program (``client``) in place of ``ansible-playbook``. The client sends its
arguments, directory, environment and terminal to the ``server``, which has one ``zygote`` for each environment that
Ansible reads: a process with Ansible loaded (``priming``) that forks a ``supervisor`` for each run, which forks the
``play``. Modules run in forks of the supervisor (``modules``). If anything is not as expected, ``ansible-playbook`` is
started instead.

See docs/reference/engines.md.
"""
