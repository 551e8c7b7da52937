//! What the table of processes says of real ones whose end falls between listing and reading.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::cpu_clock::Clocks;
use crate::file;

#[test]
fn one_that_was_reaped_after_it_was_listed_has_vanished_and_nobody_has_its_pid() {
    let proc = file::open_dir(Path::new("/proc")).unwrap();
    let mut cgroups = Cgroups::new(Path::new("/sys"));
    let watch = ExitWatch::new().ok();
    let mut processes = Processes::new(Reader::default(), Box::new(Clocks), watch);
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let pids = [child.id()];
    let mut scan = |readings: &mut Vec<ProcessReading>| {
        readings.clear();
        processes.read(proc.as_fd(), &pids, &mut cgroups, readings);
        processes.troubles
    };
    let mut readings = Vec::new();
    assert_eq!(scan(&mut readings), ProcessTroubles::default());
    assert_eq!(readings.len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let troubles = scan(&mut readings);
    assert!(readings.is_empty());
    assert_eq!((troubles.vanished, troubles.reused), (1, 0));
}
