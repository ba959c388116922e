from ansible.module_utils.basic import AnsibleModule


def main():
    AnsibleModule({}).exit_json(word="w100")


if __name__ == "__main__":
    main()
