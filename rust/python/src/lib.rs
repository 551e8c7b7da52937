//! The only crate that names PyO3: exports and nothing else.
