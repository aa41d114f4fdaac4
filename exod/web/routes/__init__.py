"""The addresses that the server answers, one module a kind of question."""
