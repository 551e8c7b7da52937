//! `/proc/cpuinfo`: which processor this is (each architecture has its own text).

use super::{cut, digits_u32, lines, name};

/// The first processor, and how many there are. What the text does not say is empty or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuInfo {
    /// `GenuineIntel`, `AuthenticAMD`, `ARM`.
    pub vendor: String,
    /// The family; of an ARM core its implementer (`0x41`).
    pub family: u32,
    /// The model; of an ARM core its part (`0xd0c`).
    pub model: u32,
    /// `Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz`.
    pub name: String,
    /// How many processors are online.
    pub cpus: u32,
}

/// Reads the blocks of all processors; the first one that says a thing decides.
pub fn parse(text: &[u8]) -> CpuInfo {
    let mut found = CpuInfo::default();
    let mut family = None;
    let mut model = None;
    for (key, value) in lines(text).filter_map(|line| cut(line, b':')) {
        let (key, value) = (key.trim_ascii(), value.trim_ascii());
        match key {
            b"vendor_id" => keep(&mut found.vendor, value),
            b"model name" => keep(&mut found.name, value),
            b"CPU implementer" => {
                keep(&mut found.vendor, b"ARM");
                family = family.or_else(|| number(value));
            }
            b"cpu family" => family = family.or_else(|| number(value)),
            b"model" | b"CPU part" => model = model.or_else(|| number(value)),
            _ if processor_number(key, value).is_some() => {
                found.cpus = found.cpus.saturating_add(1);
            }
            _ => {}
        }
    }
    found.family = family.unwrap_or(0);
    found.model = model.unwrap_or(0);
    found
}

/// One processor, as its own block of the text says; what it does not say is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// Its number among those that are online or not.
    pub number: u32,
    /// `GenuineIntel`, `AuthenticAMD`; ARM has none.
    pub vendor: String,
    /// `Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz`.
    pub name: String,
    /// The socket (`physical id`).
    pub package: String,
    /// The core in its socket (`core id`).
    pub core: String,
}

/// No kernel can be built for more (`NR_CPUS`).
const MOST_PROCESSORS: usize = 8192;

/// Reads every processor. What stands before the first one is said of all.
pub fn processors(text: &[u8]) -> Vec<Processor> {
    let mut all = Processor::default();
    let mut found: Vec<Processor> = Vec::new();
    for (key, value) in lines(text).filter_map(|line| cut(line, b':')) {
        let (key, value) = (key.trim_ascii(), value.trim_ascii());
        if let Some(number) = processor_number(key, value) {
            if found.len() == MOST_PROCESSORS {
                break;
            }
            found.push(Processor {
                number,
                ..all.clone()
            });
            continue;
        }
        let current = found.last_mut().unwrap_or(&mut all);
        match key {
            b"vendor_id" => keep(&mut current.vendor, value),
            b"model name" => keep(&mut current.name, value),
            b"physical id" => keep(&mut current.package, value),
            b"core id" => keep(&mut current.core, value),
            _ => {}
        }
    }
    found
}

fn keep(field: &mut String, value: &[u8]) {
    if field.is_empty() {
        *field = name(value);
    }
}

/// `processor : 0`, and on s390 `processor 0: version = FF`.
fn processor_number(key: &[u8], value: &[u8]) -> Option<u32> {
    let number = match key.strip_prefix(b"processor") {
        Some(b"") => value,
        Some([b' ', number @ ..]) => number,
        _ => return None,
    };
    digits_u32(number)
}

/// ARM writes its numbers as `0xd0c`.
fn number(value: &[u8]) -> Option<u32> {
    match value.strip_prefix(b"0x") {
        None => digits_u32(value),
        Some(hex) => u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    fn expected(vendor: &str, family: u32, model: u32, name: &str, cpus: u32) -> CpuInfo {
        CpuInfo {
            vendor: vendor.to_owned(),
            family,
            model,
            name: name.to_owned(),
            cpus,
        }
    }

    #[test]
    fn an_x86_processor() {
        let one = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n\
            model name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz\nstepping\t: 4\nflags\t\t: fpu\n";
        let text = format!("processor\t: 0\n{one}\nprocessor\t: 1\n{one}\n");
        let name = "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz";
        let xeon = expected("GenuineIntel", 6, 85, name, 2);
        assert_eq!(parse(text.as_bytes()), xeon);
    }

    #[test]
    fn an_arm_processor() {
        let one = "BogoMIPS\t: 50.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n\
            CPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n";
        let text = format!("processor\t: 0\n{one}\nprocessor\t: 1\n{one}\n");
        assert_eq!(parse(text.as_bytes()), expected("ARM", 0x41, 0xd0c, "", 2));
    }

    #[test]
    fn other_processors() {
        let s390 = b"vendor_id       : IBM/S390\n# processors    : 2\n\
            processor 0: version = FF,  identification = 1, machine = 3906\n\
            processor 1: version = FF,  identification = 1, machine = 3906\n";
        assert_eq!(parse(s390), expected("IBM/S390", 0, 0, "", 2));
        let power = b"processor\t: 0\ncpu\t\t: POWER9\n\nmodel\t\t: 8335-GTH\n";
        assert_eq!(parse(power), expected("", 0, 0, "", 1));
        assert_eq!(parse(b""), CpuInfo::default());
    }

    #[test]
    fn each_processor_says_where_it_is() {
        let text = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\nphysical id\t: 0\n\
            core id\t\t: 4\n\nprocessor\t: 3\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\n\
            physical id\t: 1\ncore id\t\t: 0\n";
        let processor = |number, package: &str, core: &str| Processor {
            number,
            vendor: "GenuineIntel".into(),
            name: "Xeon".into(),
            package: package.into(),
            core: core.into(),
        };
        let expected = [processor(0, "0", "4"), processor(3, "1", "0")];
        assert_eq!(processors(text.as_bytes()), expected);
    }

    #[test]
    fn what_stands_before_the_first_processor_is_said_of_all() {
        let s390 = b"vendor_id       : IBM/S390\n# processors    : 2\n\
            processor 0: version = FF,  identification = 1, machine = 3906\n\
            processor 1: version = FF,  identification = 1, machine = 3906\n";
        let processor = |number| Processor {
            number,
            vendor: "IBM/S390".into(),
            ..Processor::default()
        };
        assert_eq!(processors(s390), [processor(0), processor(1)]);
        assert_eq!(processors(b""), []);
    }

    proptest! {
        #[test]
        fn any_bytes(
            text in hostile::text(&["processor", "\t: ", "\n", "model", "CPU part", "0x", "ffff"])
        ) {
            let _ = parse(&text);
            let found = u32::try_from(processors(&text).len());
            prop_assert_eq!(found, Ok(parse(&text).cpus));
        }
    }
}
