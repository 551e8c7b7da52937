//! What it costs to read what the kernel says. Run with `cargo bench -p jouled-core --bench parse`.

use std::fmt::Write as _;

use divan::{Bencher, black_box};
use jouled_core::cgroup::owner_of;
use jouled_core::parse::{pid_cgroup, pid_stat, stat};

fn main() {
    divan::main();
}

const PID_STAT: &[u8] =
    b"800 (nginx: worker) S 1 800 800 0 -1 4194560 2719 196 10 0 73 41 0 0 20 0 \
    9 0 3214 2512547840 5120 18446744073709551615 1 1 0 0 0 0 0 4096 81923 0 0 0 17 1 0 0 0 0 0 0 \
    0 0 0 0 0 0 0\n";

const PID_CGROUP: &[u8] = b"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-\
    podd0511cd2_29d2_4215_be0f_f77bc0609d99.slice/cri-containerd-\
    f93ee491b8ed2680d5a909eb098b14a9430173b57ca1c4efedd8768566d67e8e.scope\n";

#[divan::bench]
fn one_pid_stat() -> bool {
    pid_stat::parse(black_box(PID_STAT)).is_ok()
}

#[divan::bench(args = [2, 16, 256])]
fn one_stat(bencher: Bencher, cpus: u32) {
    let mut text = "cpu  10132153 290696 3084719 46828483 16683 0 25195 0 175628 0\n".to_owned();
    for cpu in 0..cpus {
        let columns = "1393280 32966 572056 13343292 6130 0 17875 0 23933 0";
        // Writing to a string cannot fail.
        let _ = writeln!(text, "cpu{cpu} {columns}");
    }
    let _ = writeln!(text, "intr 1462898{}", " 0".repeat(4096));
    bencher.bench(|| stat::parse(black_box(text.as_bytes()), 100).is_ok());
}

#[divan::bench]
fn the_owner_of_one_pid_cgroup() -> usize {
    pid_cgroup::lines(black_box(PID_CGROUP))
        .filter(|line| owner_of(line.path).container.is_some())
        .count()
}
