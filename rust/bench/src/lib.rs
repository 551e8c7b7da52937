//! What the programs of the bench share: two readers to compare with, and a stopwatch.

pub mod floor;
pub mod naive;
pub mod stopwatch;
