from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zzz.mine.plugins.module_utils.deep.er.word import WORD as DEEP
from ansible_collections.zzz.mine.plugins.module_utils.word import WORD


def main():
    AnsibleModule({}).exit_json(word="w100", util=WORD, deep=DEEP)


if __name__ == "__main__":
    main()
