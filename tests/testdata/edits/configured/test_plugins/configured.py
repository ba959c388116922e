class TestModule:
    def tests(self):
        return {"configured_test": lambda value: value == "w100"}
