"""The API over the books: Litestar, imported only where there is a store."""
