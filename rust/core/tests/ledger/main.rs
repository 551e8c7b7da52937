//! The ledger through its public face: hosts made up, their histories told, the books audited.

mod audit;
mod book_of;
mod divide;
mod ended;
mod fake_host;
mod fake_zones;
mod golden;
mod history;
mod identity;
mod kepler;
mod moves;
mod page;
mod top;
mod zones;
