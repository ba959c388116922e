from ansible.plugins.connection.local import Connection as LocalConnection

DOCUMENTATION = """
name: joins
short_description: tells a word
extends_documentation_fragment: [connection_pipelining]
"""


class Connection(LocalConnection):
    transport = "zzz.mine.joins"

    def exec_command(self, cmd, in_data=None, sudoable=True):
        return 0, b"w100\n", b""
