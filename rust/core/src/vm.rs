//! Virtual machines, told from the process that runs them.
