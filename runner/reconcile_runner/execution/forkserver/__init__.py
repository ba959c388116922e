"""The fork server: a run starts as a fork of a process that holds Ansible already, instead of as a new interpreter.

``engine`` gives ansible-runner a small program (``client``) in place of ``ansible-playbook``. It hands its arguments,
directory, environment and terminal to the ``server``, which keeps one ``zygote`` for each environment that Ansible
reads: a process with Ansible loaded (``priming``) that forks a ``supervisor`` for each run, which forks the ``play``.
Modules run in forks of the play's workers (``modules``). Whatever is not as expected goes the ordinary way.

See docs/reference/engines.md.
"""
