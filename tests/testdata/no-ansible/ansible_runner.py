raise ImportError("a unit test loads Ansible in a process that it starts")
