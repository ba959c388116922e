"""What Ansible itself says of arguments and files, asked in a process of its own before anything is run.

``inspector`` starts ``program``, which alone imports Ansible; ``arguments`` asks about ``--ansible-args``, ``files``
about all that watches run.
"""
