"""`python -m tests.checkers`: build the checkers before the tests need them."""

from tests.checkers import main

if __name__ == "__main__":
    main()
