"""The verbs of the command line, each a thin face on one function of the library, in the order they are needed."""
