class TestModule:
    def tests(self):
        return {"brought_test": lambda value: value == "w100"}
