//! What all sources of energy readings have in common.

use jouled_core::units::Nanos;
use jouled_core::zone::{Source, ZoneReading};

/// A source of zone readings. One bad zone is a reading with [`ZoneValue::Failed`], never an
/// error of the whole, and never hides another.
///
/// [`ZoneValue::Failed`]: jouled_core::zone::ZoneValue::Failed
pub trait Meter: Send {
    /// What the readings are labelled with.
    fn source(&self) -> Source;

    /// Reads every zone, appending one reading each to `readings`, and a line to `problems` for
    /// each that failed: `read PATH: REASON; FIX`, the same words each time so that it can be
    /// said once. `now` is the clock, taken around each read.
    fn read(
        &mut self,
        now: &dyn Fn() -> Nanos,
        readings: &mut Vec<ZoneReading>,
        problems: &mut Vec<String>,
    );

    /// Looks again for zones that appeared or vanished. Kept zones keep their open files.
    fn rediscover(&mut self);
}
