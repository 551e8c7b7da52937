//! One attribute of a sensor: kept open, read again from its start, opened again after an error.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jouled_core::parse;
use jouled_core::units::Nanos;
use jouled_core::zone::{Zone, ZoneReading, ZoneValue};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

/// Longer than any number or label the kernel writes; what is longer is cut.
const LONGEST_TEXT: usize = 128;

/// A file that holds one number.
#[derive(Debug)]
pub(crate) struct SensorFile {
    path: PathBuf,
    descriptor: Option<OwnedFd>,
}

/// Why a sensor gave no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The kernel's answer.
    Refused(Errno),
    /// The kernel gave this text.
    NotANumber(String),
}

impl SensorFile {
    /// The attribute at `path`; it is opened by the first read.
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self {
            path,
            descriptor: None,
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a number that cannot be negative.
    pub(crate) fn unsigned(&mut self) -> Result<u64, Trouble> {
        let (buffer, length) = self.bytes()?;
        let text = &buffer[..length];
        parse::number(text).ok_or_else(|| self.not_a_number(text))
    }

    /// Reads a number that may be negative.
    pub(crate) fn signed(&mut self) -> Result<i64, Trouble> {
        let (buffer, length) = self.bytes()?;
        let text = &buffer[..length];
        let magnitude = parse::number(text.strip_prefix(b"-").unwrap_or(text));
        let magnitude = magnitude.and_then(|number| i64::try_from(number).ok());
        match magnitude {
            Some(magnitude) if text.first() == Some(&b'-') => Ok(-magnitude),
            Some(magnitude) => Ok(magnitude),
            None => Err(self.not_a_number(text)),
        }
    }

    /// Reads the text, without the white space around it.
    pub(crate) fn word(&mut self) -> Result<String, Trouble> {
        let (buffer, length) = self.bytes()?;
        Ok(String::from_utf8_lossy(&buffer[..length]).trim().to_owned())
    }

    /// Closes the file if another one is at its path now: a driver that was loaded again, whose
    /// old attributes answer no more.
    pub(crate) fn close_if_replaced(&mut self) {
        let Some(descriptor) = &self.descriptor else {
            return;
        };
        let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        let kept = rustix::fs::fstat(descriptor).map(identity);
        if kept != rustix::fs::stat(&self.path).map(identity) {
            self.descriptor = None;
        }
    }

    /// A read at offset 0 makes the kernel write the attribute anew: no seek, no second open.
    fn bytes(&mut self) -> Result<([u8; LONGEST_TEXT], usize), Trouble> {
        let mut buffer = [0; LONGEST_TEXT];
        let length = self.pread(&mut buffer).map_err(|errno| {
            // An attribute of a removed device never answers again on the same descriptor.
            self.descriptor = None;
            Trouble::Refused(errno)
        })?;
        Ok((buffer, length))
    }

    fn pread(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        if self.descriptor.is_none() {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let opened = retry_on_intr(|| rustix::fs::open(&self.path, flags, Mode::empty()))?;
            self.descriptor = Some(opened);
        }
        let descriptor = self.descriptor.as_ref().ok_or(Errno::BADF)?;
        retry_on_intr(|| rustix::io::pread(descriptor, &mut *buffer, 0))
    }

    fn not_a_number(&mut self, text: &[u8]) -> Trouble {
        self.descriptor = None;
        Trouble::NotANumber(String::from_utf8_lossy(text).trim().to_owned())
    }
}

impl Trouble {
    /// Whether the device behind the file went away.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Refused(Errno::NODEV | Errno::NOENT | Errno::NXIO)
        )
    }

    /// Whether only the right to read it is missing.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Self::Refused(Errno::ACCESS | Errno::PERM))
    }

    /// `read PATH: REASON; FIX`, the same words each time.
    pub(crate) fn line(&self, path: &Path) -> String {
        format!("read {}: {}; {}", path.display(), self.reason(), self.fix())
    }

    /// The kernel's words.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Refused(errno) => std::io::Error::from(*errno).to_string(),
            Self::NotANumber(text) => format!("{text:?} is no number"),
        }
    }

    fn fix(&self) -> &'static str {
        if self.is_denied() {
            "run as root or let group jouled read it"
        } else if self.is_gone() {
            "the zone went away: it is looked for again"
        } else {
            "the zone is left out until it reads again: see the kernel log for its driver"
        }
    }
}

/// Does `read` with the clock before and after it: the result, the middle, and the distance.
pub(crate) fn timed<T>(now: &dyn Fn() -> Nanos, read: impl FnOnce() -> T) -> (T, Nanos, Nanos) {
    let before = now();
    let result = read();
    let spread = now().since(before);
    (result, Nanos(before.0 + spread.0 / 2), spread)
}

/// What could not be read, and why.
pub(crate) type Failure = (Trouble, PathBuf);

/// Reads a zone with the clock around it; a failure is a reading too, and a line in `problems`.
/// Returns beside it whether the device behind the zone went away.
pub(crate) fn zone_reading(
    zone: Arc<Zone>,
    now: &dyn Fn() -> Nanos,
    problems: &mut Vec<String>,
    read: impl FnOnce() -> Result<ZoneValue, Failure>,
) -> (ZoneReading, bool) {
    let (result, at, spread) = timed(now, read);
    let mut is_gone = false;
    let value = result.unwrap_or_else(|(trouble, path)| {
        is_gone = trouble.is_gone();
        problems.push(trouble.line(&path));
        ZoneValue::Failed
    });
    let reading = ZoneReading {
        zone,
        at,
        spread,
        value,
    };
    (reading, is_gone)
}

/// The text of an attribute that is read once, at discovery; `None` where it cannot be read.
pub(crate) fn word(path: &Path) -> Option<String> {
    SensorFile::at(path.to_owned()).word().ok()
}

/// The names in a directory, sorted.
pub(crate) fn names_in(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeSys;

    #[test]
    fn reads_the_present_text_on_one_descriptor() {
        let sys = FakeSys::new().write("a", "41\n");
        let mut file = SensorFile::at(sys.at("a"));
        assert_eq!(file.unsigned(), Ok(41));
        let sys = sys.write("a", "-7\n");
        assert_eq!(file.signed(), Ok(-7));
        drop(sys);
    }

    #[test]
    fn a_replaced_file_is_read_only_after_it_was_noticed() {
        let sys = FakeSys::new().write("a", "1");
        let mut file = SensorFile::at(sys.at("a"));
        assert_eq!(file.unsigned(), Ok(1));
        std::fs::rename(sys.at("a"), sys.at("old")).unwrap();
        let sys = sys.write("a", "2");
        assert_eq!(file.unsigned(), Ok(1));
        file.close_if_replaced();
        assert_eq!(file.unsigned(), Ok(2));
        drop(sys);
    }

    #[test]
    fn every_trouble_names_its_file_and_its_fix() {
        let path = Path::new("/sys/z/energy_uj");
        assert_eq!(
            Trouble::Refused(Errno::ACCESS).line(path),
            "read /sys/z/energy_uj: Permission denied (os error 13); run as root or let group jouled read it"
        );
        assert_eq!(
            Trouble::Refused(Errno::NODEV).line(path),
            "read /sys/z/energy_uj: No such device (os error 19); the zone went away: it is looked for again"
        );
        assert_eq!(
            Trouble::NotANumber("<unsupported>".into()).line(path),
            "read /sys/z/energy_uj: \"<unsupported>\" is no number; \
             the zone is left out until it reads again: see the kernel log for its driver"
        );
    }

    #[test]
    fn an_empty_or_negative_counter_is_no_number() {
        let sys = FakeSys::new().write("empty", "").write("negative", "-5\n");
        assert_eq!(
            SensorFile::at(sys.at("empty")).unsigned(),
            Err(Trouble::NotANumber(String::new()))
        );
        assert_eq!(
            SensorFile::at(sys.at("negative")).unsigned(),
            Err(Trouble::NotANumber("-5".into()))
        );
    }

    #[test]
    fn the_time_of_a_read_is_the_middle_and_its_error_the_distance() {
        let ticks = std::cell::Cell::new(100);
        let now = || Nanos(ticks.replace(ticks.get() + 40));
        assert_eq!(timed(&now, || 7), (7, Nanos(120), Nanos(40)));
    }
}
