"""What is changed in Ansible so that a forked play starts quickly and behaves as a new interpreter's."""
