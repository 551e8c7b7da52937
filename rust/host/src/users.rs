//! The names of users, from the host's `/etc/passwd`.

use std::path::PathBuf;
use std::sync::Arc;

use jouled_core::parse::{self, passwd};
use jouled_core::sample::UserNames;
use rustix::fs::Stat;

use crate::file;

/// More entries than this and the rest go by number: a directory dump is no label set.
const MOST: usize = 65_536;

/// User names, read again when the file has changed. What is not in the file (network
/// directories, container users) goes by its number.
#[derive(Debug)]
pub(crate) struct Users {
    path: PathBuf,
    version: Option<(u64, i64, i64)>,
    names: Arc<UserNames>,
}

impl Users {
    pub(crate) fn new(path: PathBuf) -> Self {
        let mut users = Self {
            path,
            version: None,
            names: Arc::default(),
        };
        users.refresh();
        users
    }

    pub(crate) fn names(&self) -> Arc<UserNames> {
        Arc::clone(&self.names)
    }

    /// Reads the file again if it is another one than before; an unreadable one changes nothing.
    pub(crate) fn refresh(&mut self) {
        let version = rustix::fs::stat(&self.path)
            .ok()
            .map(|stat: Stat| (stat.st_ino, stat.st_mtime, stat.st_size));
        if version.is_none() || version == self.version {
            return;
        }
        let mut buffer = Vec::new();
        if let Ok(text) = file::read(&self.path, &mut buffer) {
            let names = passwd::users(text)
                .take(MOST)
                .map(|(uid, name)| (uid, parse::name(name)));
            // The first name of a uid is the one that ps and getpwuid show.
            let mut known = UserNames::default();
            for (uid, name) in names {
                known.entry(uid).or_insert(name);
            }
            self.names = Arc::new(known);
            self.version = version;
        }
    }
}
