"""What no input may do: a property for each parser, which the tests and the guided fuzzing hold it to alike.

`targets` names them all, `rows` and `answers` have those of files and of servers. `guided` looks for inputs that break
one for hours; what it found once lies in `seeds/TARGET/`, and each test run tries it again.
"""
