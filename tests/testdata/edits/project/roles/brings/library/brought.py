from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.brought_words import WORD


def main():
    AnsibleModule({}).exit_json(word="w100", util=WORD)


if __name__ == "__main__":
    main()
