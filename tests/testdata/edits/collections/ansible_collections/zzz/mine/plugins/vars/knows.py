from ansible.plugins.vars import BaseVarsPlugin

DOCUMENTATION = """
name: knows
short_description: tells a word
extends_documentation_fragment: [vars_plugin_staging]
"""


class VarsModule(BaseVarsPlugin):
    REQUIRES_ENABLED = True

    def get_vars(self, loader, path, entities):
        super().get_vars(loader, path, entities)
        return {"of_vars_plugin": "w100"}
