//! `/proc/P/cgroup`: where a process is in each hierarchy (kernel/cgroup/cgroup.c,
//! `proc_cgroup_show`).

use super::{cut, digits_u32, lines as text_lines};

/// One line: `hierarchy:controllers:path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The hierarchy's number, 0 for cgroup v2.
    pub hierarchy: u32,
    /// The controllers with commas between them, or `name=` of a hierarchy without any.
    pub controllers: &'a [u8],
    /// The path below the root of the cgroup namespace, without the ` (deleted)`.
    pub path: &'a [u8],
    /// Whether the cgroup has been removed under its last process, a zombie.
    pub is_deleted: bool,
}

impl Line<'_> {
    /// Whether this is the cgroup v2 line, which v2 and hybrid hosts have.
    pub const fn is_unified(&self) -> bool {
        self.hierarchy == 0 && self.controllers.is_empty()
    }

    /// Whether a controller of v1 is mounted there: `cpuacct`.
    pub fn has_controller(&self, name: &[u8]) -> bool {
        !name.is_empty()
            && self
                .controllers
                .split(|byte| *byte == b',')
                .any(|controller| controller == name)
    }

    /// Whether systemd keeps its units there on v1 and hybrid hosts.
    pub fn is_named_systemd(&self) -> bool {
        self.controllers == b"name=systemd"
    }
}

/// The lines in the kernel's order; what is no such line is left out.
pub fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    text_lines(text).filter_map(line)
}

/// A path may hold colons, so only the first two divide. It holds no newline: the kernel refuses
/// to make such a cgroup.
fn line(text: &[u8]) -> Option<Line<'_>> {
    let (hierarchy, rest) = cut(text, b':')?;
    let (controllers, path) = cut(rest, b':')?;
    let alive = path.strip_suffix(b" (deleted)");
    Some(Line {
        hierarchy: digits_u32(hierarchy)?,
        controllers,
        path: alive.unwrap_or(path),
        is_deleted: alive.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    fn all(text: &[u8]) -> Vec<Line<'_>> {
        lines(text).collect()
    }

    #[test]
    fn a_unified_host() {
        let expected = Line {
            hierarchy: 0,
            controllers: b"",
            path: b"/system.slice/nginx.service",
            is_deleted: false,
        };
        assert_eq!(all(b"0::/system.slice/nginx.service\n"), [expected]);
        assert!(expected.is_unified());
        assert!(!expected.has_controller(b""));
        assert!(!expected.is_named_systemd());
    }

    #[test]
    fn a_hybrid_host() {
        let text = b"4:cpu,cpuacct:/system.slice/nginx.service\n\
            1:name=systemd:/system.slice/nginx.service\n0::/system.slice/nginx.service\n";
        let lines = all(text);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].has_controller(b"cpuacct") && lines[0].has_controller(b"cpu"));
        assert!(!lines[0].has_controller(b"acct") && !lines[0].is_unified());
        assert!(lines[1].is_named_systemd() && !lines[1].is_unified());
        assert!(lines[2].is_unified());
    }

    #[test]
    fn a_path_may_hold_anything() {
        let text = b"13:memory:/system.slice/x.slice:cri-containerd:01fd \xff\n";
        assert_eq!(
            all(text)[0].path,
            b"/system.slice/x.slice:cri-containerd:01fd \xff"
        );
        assert_eq!(all(b"0::/../docker-1.scope")[0].path, b"/../docker-1.scope");
    }

    #[test]
    fn a_removed_cgroup() {
        let line = all(b"0::/system.slice/nginx.service (deleted)\n")[0];
        assert_eq!(line.path, b"/system.slice/nginx.service");
        assert!(line.is_deleted);
    }

    #[test]
    fn what_is_no_line_is_left_out() {
        assert_eq!(all(b""), []);
        assert_eq!(all(b"\n0:\nx::/\n:::\n99999999999::/\n"), []);
        assert_eq!(all(b"broken\n0::/\n").len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes(text in hostile::text(&["0::/", ":", "\n", "name=systemd", " (deleted)"])) {
            for line in lines(&text) {
                prop_assert!(!line.path.contains(&b'\n'));
                let _ = (line.is_unified(), line.has_controller(b"cpu"));
            }
        }
    }
}
