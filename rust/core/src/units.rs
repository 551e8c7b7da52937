//! Units as types: what cannot be added must not be added.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

/// Energy in joules.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Joules(pub f64);

/// Power in watts.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Watts(pub f64);

/// A span or an instant of a monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Whole seconds as nanoseconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * 1_000_000_000)
    }

    /// The span in seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The span since `earlier`, zero where the clock seems to have gone backwards.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl Joules {
    /// Energy from a kernel counter's microjoules.
    pub fn from_microjoules(microjoules: u64) -> Self {
        Self(microjoules as f64 / 1e6)
    }

    /// The mean power of this energy over `span`; `None` for an empty span.
    pub fn over(self, span: Nanos) -> Option<Watts> {
        (span.0 > 0).then(|| Watts(self.0 / span.seconds()))
    }
}

impl Watts {
    /// The energy of this power held for `span`.
    pub fn during(self, span: Nanos) -> Joules {
        Joules(self.0 * span.seconds())
    }
}

macro_rules! arithmetic {
    ($unit:ident) => {
        impl Add for $unit {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl Sub for $unit {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }
        impl AddAssign for $unit {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }
        impl Mul<f64> for $unit {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }
        impl Sum for $unit {
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                all.fold(Self::default(), Add::add)
            }
        }
    };
}

arithmetic!(Joules);
arithmetic!(Watts);
