from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.looking import look


def main():
    module = AnsibleModule({"paths": {"type": "list", "elements": "str", "required": True}})
    module.exit_json(seen=look(module.params["paths"]))


if __name__ == "__main__":
    main()
