//! The meter for hosts without a sensor: a model of power, linear in the CPU load.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jouled_core::parse::cpuinfo::{self, CpuInfo};
use jouled_core::units::{Nanos, Watts};
use jouled_core::zone::{Source, Zone, ZoneReading, ZoneValue};

use crate::cpu_power::CpuPower;
use crate::error::Unsupported;
use crate::meter::Meter;
use crate::sensor_file::timed;

/// Said unless both figures are the operator's.
const ADVICE: &str =
    "not a measurement: set estimate.idle and estimate.max per CPU if you know better";

/// The model of this host: watts per logical CPU, idle and busy, times the CPUs that are online.
#[derive(Debug)]
pub struct Estimate {
    cpuinfo: PathBuf,
    cpu: CpuInfo,
    idle_w: f64,
    max_w: f64,
    /// Where the figures come from, in words.
    basis: String,
    zone: Arc<Zone>,
}

impl Estimate {
    /// The model for the processor of `<proc>/cpuinfo`, with the operator's own figures where
    /// given.
    pub fn open(
        proc: &Path,
        idle_w_per_cpu: Option<f64>,
        max_w_per_cpu: Option<f64>,
    ) -> Result<Self, Unsupported> {
        let unsupported = |reason| Unsupported {
            meter: "estimate",
            reason,
        };
        let cpuinfo = proc.join("cpuinfo");
        let cpu = match read_cpu(proc) {
            Err(error) if idle_w_per_cpu.is_none() || max_w_per_cpu.is_none() => {
                let path = cpuinfo.display();
                return Err(unsupported(format!(
                    "read {path}: {error}; set both estimate.idle and estimate.max, watts per CPU"
                )));
            }
            result => result.unwrap_or_default(),
        };
        let table = CpuPower::of(&cpu);
        // One figure given: the other gives way where the two would cross.
        let idle_w = idle_w_per_cpu
            .unwrap_or_else(|| table.idle_w.min(max_w_per_cpu.unwrap_or(f64::INFINITY)));
        let max_w = max_w_per_cpu.unwrap_or(table.max_w.max(idle_w));
        let is_sound = idle_w.is_finite()
            && max_w.is_finite()
            && 0.0 <= idle_w
            && idle_w <= max_w
            && max_w > 0.0;
        if !is_sound {
            let figures = format!("{idle_w} W idle and {max_w} W max per CPU");
            return Err(unsupported(format!(
                "{figures}: idle must not be below 0 or above max; correct the two"
            )));
        }
        let basis = match (idle_w_per_cpu, max_w_per_cpu) {
            (Some(_), Some(_)) => "the figures set for it, not a measurement".to_owned(),
            (None, None) => format!("the figures of {}, {ADVICE}", table.architecture),
            _ => format!(
                "the figure set for it and one of {}, {ADVICE}",
                table.architecture
            ),
        };
        let zone = Zone {
            class: "package".into(),
            index: "0".into(),
            source: Source::Estimate,
            path: cpuinfo.display().to_string(),
            ceiling: Watts((4.0 * max_w * f64::from(cpu.cpus)).max(1000.0)),
        };
        Ok(Self {
            cpuinfo,
            cpu,
            idle_w,
            max_w,
            basis,
            zone: Arc::new(zone),
        })
    }

    /// The warning to say once at start: these are no measurements.
    pub fn description(&self) -> String {
        let cpus = self.cpus();
        let name = if self.cpu.name.is_empty() {
            "an unknown processor"
        } else {
            &self.cpu.name
        };
        format!(
            "no power sensor: estimating {:.1}–{:.1} W from CPU load for {name} ({cpus:.0} CPUs); \
             this is a model from {}",
            self.idle_w * cpus,
            self.max_w * cpus,
            self.basis
        )
    }

    fn cpus(&self) -> f64 {
        f64::from(self.cpu.cpus.max(1))
    }
}

/// The processor and how many CPUs are online; not every architecture's cpuinfo can be counted.
fn read_cpu(proc: &Path) -> std::io::Result<CpuInfo> {
    let mut cpu = cpuinfo::parse(&std::fs::read(proc.join("cpuinfo"))?);
    if cpu.cpus == 0 {
        let stat = std::fs::read_to_string(proc.join("stat")).unwrap_or_default();
        let cpus = stat
            .lines()
            .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "))
            .count();
        cpu.cpus = u32::try_from(cpus).unwrap_or(1);
    }
    Ok(cpu)
}

impl Meter for Estimate {
    fn source(&self) -> Source {
        Source::Estimate
    }

    fn read(
        &mut self,
        now: &dyn Fn() -> Nanos,
        readings: &mut Vec<ZoneReading>,
        _problems: &mut Vec<String>,
    ) {
        let cpus = self.cpus();
        let ((), at, spread) = timed(now, || ());
        let value = ZoneValue::Modelled {
            idle: Watts(self.idle_w * cpus),
            max: Watts(self.max_w * cpus),
        };
        readings.push(ZoneReading {
            zone: Arc::clone(&self.zone),
            at,
            spread,
            value,
        });
    }

    /// CPUs that were plugged in or out change the sum; their kind stays.
    fn rediscover(&mut self) {
        if let Some(cpu) = self.cpuinfo.parent().and_then(|proc| read_cpu(proc).ok()) {
            self.cpu.cpus = cpu.cpus;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeSys, read_at};

    fn xeon(cpus: u32) -> String {
        let block = |cpu| {
            format!(
                "processor\t: {cpu}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n\
                 model name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz\n\n"
            )
        };
        (0..cpus).map(block).collect()
    }

    fn modelled(meter: &mut Estimate) -> (f64, f64) {
        let (readings, problems) = read_at(meter, 0);
        assert_eq!(problems, [""; 0]);
        assert_eq!(
            (readings.len(), readings[0].zone.class.as_str()),
            (1, "package")
        );
        match readings[0].value {
            ZoneValue::Modelled {
                idle: Watts(idle),
                max: Watts(max),
            } => (idle, max),
            value => panic!("{value:?}"),
        }
    }

    #[test]
    fn the_model_is_the_processors_figures_times_its_cpus() {
        let proc = FakeSys::new().write("cpuinfo", &xeon(4));
        let mut meter = Estimate::open(proc.path(), None, None).unwrap();
        assert_eq!(modelled(&mut meter), (0.61 * 4.0, 4.10 * 4.0));
        assert_eq!(
            meter.description(),
            "no power sensor: estimating 2.4–16.4 W from CPU load for Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz \
             (4 CPUs); this is a model from the figures of Skylake, not a measurement: set \
             estimate.idle and estimate.max per CPU if you know better"
        );
    }

    #[test]
    fn own_figures_come_first_and_one_may_be_enough() {
        let proc = FakeSys::new().write("cpuinfo", &xeon(2));
        let open = |idle, max| Estimate::open(proc.path(), idle, max).unwrap();
        assert_eq!(modelled(&mut open(Some(2.0), Some(5.0))), (4.0, 10.0));
        assert_eq!(modelled(&mut open(Some(5.0), None)), (10.0, 10.0));
        assert_eq!(modelled(&mut open(None, Some(0.5))), (1.0, 1.0));
        assert!(
            open(Some(2.0), Some(5.0))
                .description()
                .contains("the figures set for it")
        );
    }

    #[test]
    fn cpus_that_come_and_go_change_the_sum() {
        let proc = FakeSys::new().write("cpuinfo", &xeon(2));
        let mut meter = Estimate::open(proc.path(), Some(1.0), Some(3.0)).unwrap();
        proc.put("cpuinfo", &xeon(8));
        meter.rediscover();
        assert_eq!(modelled(&mut meter), (8.0, 24.0));
    }

    #[test]
    fn without_a_processor_the_figures_must_be_given() {
        let proc = FakeSys::new();
        let error = Estimate::open(proc.path(), Some(1.0), None).unwrap_err();
        let path = proc.at("cpuinfo");
        let expected = format!(
            "estimate: read {}: No such file or directory (os error 2); set both estimate.idle and estimate.max, watts per CPU",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(
            modelled(&mut Estimate::open(proc.path(), Some(1.0), Some(2.0)).unwrap()),
            (1.0, 2.0)
        );
    }

    #[test]
    fn a_cpuinfo_that_cannot_be_counted_is_counted_in_stat() {
        let proc = FakeSys::new()
            .write("cpuinfo", "system type\t: MT7621\n")
            .write("stat", "cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n");
        let mut meter = Estimate::open(proc.path(), None, None).unwrap();
        assert_eq!(modelled(&mut meter), (1.48, 7.0));
        assert!(
            meter
                .description()
                .contains("an unknown processor (2 CPUs)"),
            "{}",
            meter.description()
        );
    }

    #[test]
    fn figures_that_make_no_sense_are_refused() {
        let proc = FakeSys::new().write("cpuinfo", &xeon(2));
        for (idle, max) in [
            (5.0, 1.0),
            (-1.0, 1.0),
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
            (0.0, 0.0),
        ] {
            let reason = Estimate::open(proc.path(), Some(idle), Some(max))
                .unwrap_err()
                .reason;
            assert!(
                reason.ends_with("idle must not be below 0 or above max; correct the two"),
                "{reason}"
            );
        }
    }
}
