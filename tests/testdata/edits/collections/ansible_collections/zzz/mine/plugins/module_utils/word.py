WORD = "w100"
