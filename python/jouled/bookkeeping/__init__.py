"""What is done in one transaction: the books' rules over the store's tables.

Each function takes the connection of a transaction, and the time where it matters; it raises a
BooksError where the books say no.
"""
