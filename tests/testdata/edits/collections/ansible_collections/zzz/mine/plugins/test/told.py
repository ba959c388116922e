class TestModule:
    def tests(self):
        return {"told": lambda value: value == "w100"}
