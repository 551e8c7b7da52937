//! What a processor draws per logical CPU, idle and busy, where no sensor tells.
//!
//! The figures are the coefficients of the Cloud Carbon Footprint project (its repository
//! `ccf-coefficients`, file `output/coefficients-aws-use.csv` of 2026, rounded to 10 mW): for each
//! microarchitecture the mean of the servers in the `SPECpower_ssj2008` results, at idle and at full
//! load, divided by their hardware threads. They are of whole servers, so memory, fans and the
//! power supply's losses are inside.

use jouled_core::parse::cpuinfo::CpuInfo;

/// The power of one logical CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CpuPower {
    /// The microarchitecture that the figures were measured on.
    pub(crate) architecture: &'static str,
    /// With nothing to do.
    pub(crate) idle_w: f64,
    /// Busy all the time.
    pub(crate) max_w: f64,
}

const fn power(architecture: &'static str, idle_w: f64, max_w: f64) -> CpuPower {
    CpuPower {
        architecture,
        idle_w,
        max_w,
    }
}

const SANDY_BRIDGE: CpuPower = power("Sandy Bridge", 2.21, 8.63);
const IVY_BRIDGE: CpuPower = power("Ivy Bridge", 1.71, 5.56);
const HASWELL: CpuPower = power("Haswell", 1.86, 5.60);
const BROADWELL: CpuPower = power("Broadwell", 0.71, 3.69);
const SKYLAKE: CpuPower = power("Skylake", 0.61, 4.10);
const COFFEE_LAKE: CpuPower = power("Coffee Lake", 1.14, 5.42);
const ICE_LAKE: CpuPower = power("Ice Lake", 0.77, 3.76);
const SAPPHIRE_RAPIDS: CpuPower = power("Sapphire Rapids", 1.04, 4.16);
const EMERALD_RAPIDS: CpuPower = power("Emerald Rapids", 0.81, 4.48);
const GRANITE_RAPIDS: CpuPower = power("Granite Rapids", 0.58, 2.53);
const EPYC_1: CpuPower = power("EPYC 1st Gen", 0.85, 2.60);
const EPYC_2: CpuPower = power("EPYC 2nd Gen", 0.47, 1.69);
const EPYC_3: CpuPower = power("EPYC 3rd Gen", 0.46, 1.96);
const EPYC_4: CpuPower = power("EPYC 4th Gen", 0.74, 2.28);
/// The source takes its figures for all Gravitons from EPYC 2nd Gen.
const ARM_SERVER: CpuPower = power("ARM server", 0.47, 1.69);
/// The medians of the figures of one vendor.
const INTEL: CpuPower = power("the median Intel server", 0.81, 4.16);
const AMD: CpuPower = power("the median EPYC", 0.61, 2.12);
/// The source's means over one provider's machines.
const UNKNOWN: CpuPower = power("the mean server", 0.74, 3.50);

impl CpuPower {
    /// The figures for a processor, the vendor's default where its model is not known.
    pub(crate) fn of(cpu: &CpuInfo) -> Self {
        match (cpu.vendor.as_str(), cpu.family) {
            ("GenuineIntel", 6) => intel(cpu.model),
            ("GenuineIntel", _) => INTEL,
            // Hygon's Dhyana is a Zen 1.
            ("HygonGenuine", _) => EPYC_1,
            ("AuthenticAMD", family) => amd(family, cpu.model),
            ("ARM", _) => ARM_SERVER,
            _ => UNKNOWN,
        }
    }
}

/// Models of family 6 (arch/x86/include/asm/intel-family.h).
const fn intel(model: u32) -> CpuPower {
    match model {
        42 | 45 => SANDY_BRIDGE,
        58 | 62 => IVY_BRIDGE,
        60 | 63 | 69 | 70 => HASWELL,
        61 | 71 | 79 | 86 => BROADWELL,
        // Cascade Lake has the same model number; its figures are 0.69 and 4.06.
        85 => SKYLAKE,
        // The client chips from Skylake to Comet Lake, which are nearer to Coffee Lake.
        78 | 94 | 142 | 158 | 165 | 166 => COFFEE_LAKE,
        106 | 108 => ICE_LAKE,
        143 => SAPPHIRE_RAPIDS,
        207 => EMERALD_RAPIDS,
        173 | 174 => GRANITE_RAPIDS,
        _ => INTEL,
    }
}

const fn amd(family: u32, model: u32) -> CpuPower {
    match (family, model) {
        (0x17, 0x00..=0x2f) => EPYC_1,
        (0x17, _) => EPYC_2,
        // The source's figures for EPYC 5th Gen (3.68 and 8.96) rest on few small machines and are
        // four times those of its neighbours: its predecessor is nearer to the truth.
        (0x19, 0x10..=0x1f | 0x60..=0x7f | 0xa0..=0xaf) | (0x1a, _) => EPYC_4,
        (0x19, _) => EPYC_3,
        _ => AMD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(vendor: &str, family: u32, model: u32) -> &'static str {
        let cpu = CpuInfo {
            vendor: vendor.into(),
            family,
            model,
            ..CpuInfo::default()
        };
        CpuPower::of(&cpu).architecture
    }

    #[test]
    fn processors_are_known_by_vendor_family_and_model() {
        assert_eq!(of("GenuineIntel", 6, 85), "Skylake");
        assert_eq!(of("GenuineIntel", 6, 143), "Sapphire Rapids");
        assert_eq!(of("GenuineIntel", 6, 158), "Coffee Lake");
        assert_eq!(of("AuthenticAMD", 23, 1), "EPYC 1st Gen");
        assert_eq!(of("AuthenticAMD", 23, 49), "EPYC 2nd Gen");
        assert_eq!(of("AuthenticAMD", 25, 1), "EPYC 3rd Gen");
        assert_eq!(of("AuthenticAMD", 25, 17), "EPYC 4th Gen");
        assert_eq!(of("AuthenticAMD", 26, 2), "EPYC 4th Gen");
        assert_eq!(of("ARM", 0x41, 0xd0c), "ARM server");
    }

    #[test]
    fn what_is_not_known_gets_its_vendors_default() {
        assert_eq!(of("GenuineIntel", 6, 9999), "the median Intel server");
        assert_eq!(of("GenuineIntel", 15, 4), "the median Intel server");
        assert_eq!(of("AuthenticAMD", 16, 2), "the median EPYC");
        assert_eq!(of("HygonGenuine", 24, 1), "EPYC 1st Gen");
        assert_eq!(of("", 0, 0), "the mean server");
    }
}
