from ansible.plugins.inventory import BaseInventoryPlugin

DOCUMENTATION = """
name: hosts
short_description: tells a word
options:
  plugin:
    description: its name
    required: true
"""


class InventoryModule(BaseInventoryPlugin):
    NAME = "zzz.mine.hosts"

    def verify_file(self, path):
        return path.endswith("hosts.told.yml")

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        inventory.add_host("other")
        inventory.set_variable("other", "of_inventory", "w100")
