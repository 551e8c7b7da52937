//! Who belongs to which rows: looked up once per workload and not once per interval.

use std::mem;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::book::{Book, Slot};
use crate::cgroup::Cgroup;
use crate::division::Payee;
use crate::interval::{CgroupChange, CgroupGrowth, Interval};
use crate::kepler;
use crate::labels;
use crate::level::{Level, Reason};
use crate::process::{Process, ProcessKey};
use crate::sample::UserNames;

/// A slot for each book, in the books' order.
pub(crate) type Slots = [Slot; Level::ALL.len()];

/// Every workload holds its rows open as long as it lives: a process its own and those of its
/// VM, its user and its cgroup, from which it may not yet be seen to have moved when that is
/// removed; a cgroup those of unit, container and pod (and the user's that its path
/// names); and a user its own while any process of it lives.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    processes: FxHashMap<ProcessKey, (Arc<Process>, Slots)>,
    cgroups: FxHashMap<u32, (Arc<Cgroup>, Slots)>,
    /// Cgroups that were looked up since the last interval was followed.
    fresh: Vec<u32>,
    users: FxHashMap<u32, Presence>,
    names: Arc<UserNames>,
}

#[derive(Debug, Default)]
struct Presence {
    processes: u32,
    slot: Option<Slot>,
}

const NOWHERE: Slots = [Slot::Residual(Reason::Ungrouped); Level::ALL.len()];

impl Membership {
    /// Where a share goes, at every level.
    pub(crate) fn slots(&mut self, payee: &Payee, books: &mut [Book]) -> Slots {
        match payee {
            Payee::Process(process) => self.process_slots(process, books),
            Payee::Exited(cgroup) => self.cgroup_slots(cgroup, books),
        }
    }

    fn process_slots(&mut self, process: &Arc<Process>, books: &mut [Book]) -> Slots {
        if let Some((known, slots)) = self.processes.get(&process.key) {
            if Arc::ptr_eq(known, process) {
                return *slots;
            }
        }
        let of_cgroup = self.cgroup_slots(&process.cgroup, books);
        let mut slots = NOWHERE;
        for (at, book) in books.iter_mut().enumerate() {
            slots[at] = match (is_of_process(book.level), of_cgroup[at]) {
                (false, Slot::Row(id)) => {
                    book.rejoin(id);
                    Slot::Row(id)
                }
                (false, Slot::Residual(_)) => Slot::Residual(Reason::Ungrouped),
                (true, _) => labels::of_process(book.level, process, &self.names).map_or(
                    Slot::Residual(Reason::Ungrouped),
                    |labels| {
                        let level = book.level;
                        Slot::Row(book.join(labels, || kepler::of_process(level, process)))
                    },
                ),
            };
            if let (Level::User, Some(uid), Slot::Row(id)) = (book.level, process.uid, slots[at]) {
                let presence = self.users.entry(uid).or_default();
                if presence.slot.is_none() {
                    book.rejoin(id);
                    presence.slot = Some(slots[at]);
                }
            }
        }
        let old = self
            .processes
            .insert(process.key, (Arc::clone(process), slots));
        if let Some((_, old)) = old {
            leave_rows(&old, books);
        }
        slots
    }

    fn cgroup_slots(&mut self, cgroup: &Arc<Cgroup>, books: &mut [Book]) -> Slots {
        if let Some((_, slots)) = self.cgroups.get(&cgroup.serial) {
            return *slots;
        }
        let mut slots = NOWHERE;
        for (slot, book) in slots.iter_mut().zip(books) {
            *slot = labels::of_cgroup(book.level, cgroup, &self.names).map_or(
                Slot::Residual(Reason::Exited),
                |labels| {
                    let level = book.level;
                    Slot::Row(book.join(labels, || kepler::of_cgroup(level, cgroup)))
                },
            );
        }
        self.cgroups
            .insert(cgroup.serial, (Arc::clone(cgroup), slots));
        self.fresh.push(cgroup.serial);
        slots
    }

    /// Notes who is there at the first sample.
    pub(crate) fn begin<'a>(
        &mut self,
        processes: impl Iterator<Item = &'a Arc<Process>>,
        names: &Arc<UserNames>,
    ) {
        self.names = Arc::clone(names);
        processes.for_each(|process| self.arrive(process));
    }

    /// Follows births, exits, changes and removed cgroups, after the interval's shares are credited.
    pub(crate) fn follow(
        &mut self,
        interval: &Interval,
        names: &Arc<UserNames>,
        books: &mut [Book],
    ) {
        interval
            .born
            .iter()
            .for_each(|process| self.arrive(process));
        for (before, now) in &interval.changed {
            self.arrive(now);
            if self.is_known(before) {
                // Its rows go over to who it is now, or they would end although it lives.
                self.process_slots(now, books);
            }
            self.depart(before, books);
        }
        for process in &interval.exited {
            self.forget_process(process, books);
            self.depart(process, books);
        }
        for change in &interval.cgroups {
            if change.growth == CgroupGrowth::Vanished {
                self.forget_cgroup(change.cgroup.serial, books);
            }
        }
        // One that had been removed before a process was seen to have left it will not vanish again.
        for serial in mem::take(&mut self.fresh) {
            let of_serial = |change: &CgroupChange| change.cgroup.serial;
            if (interval.cgroups.binary_search_by_key(&serial, of_serial)).is_err() {
                self.forget_cgroup(serial, books);
            }
        }
        if !Arc::ptr_eq(&self.names, names) {
            self.rename(names, books);
        }
    }

    fn arrive(&mut self, process: &Process) {
        if let Some(uid) = process.uid {
            self.users.entry(uid).or_default().processes += 1;
        }
    }

    fn depart(&mut self, process: &Process, books: &mut [Book]) {
        let Some(uid) = process.uid else { return };
        let Some(presence) = self.users.get_mut(&uid) else {
            return;
        };
        presence.processes = presence.processes.saturating_sub(1);
        if presence.processes == 0 {
            if let Some(presence) = self.users.remove(&uid) {
                leave_user_row(&presence, books);
            }
        }
    }

    fn forget_cgroup(&mut self, serial: u32, books: &mut [Book]) {
        if let Some((_, slots)) = self.cgroups.remove(&serial) {
            leave_rows(&slots, books);
        }
    }

    fn forget_process(&mut self, process: &Arc<Process>, books: &mut [Book]) {
        if self.is_known(process) {
            if let Some((_, slots)) = self.processes.remove(&process.key) {
                leave_rows(&slots, books);
            }
        }
    }

    fn is_known(&self, process: &Arc<Process>) -> bool {
        let known = self.processes.get(&process.key);
        known.is_some_and(|(known, _)| Arc::ptr_eq(known, process))
    }

    /// Other names are other label sets of users; the rows of the other levels go on.
    fn rename(&mut self, names: &Arc<UserNames>, books: &mut [Book]) {
        self.names = Arc::clone(names);
        let Some(at) = books.iter().position(|book| book.level == Level::User) else {
            return;
        };
        let of_processes = (self.processes.values_mut())
            .filter_map(|(process, slots)| Some((process.uid?, &mut slots[at])));
        let of_cgroups = (self.cgroups.values_mut())
            .filter_map(|(cgroup, slots)| Some((cgroup.owner.uid?, &mut slots[at])));
        let of_users = (self.users.iter_mut())
            .filter_map(|(uid, presence)| Some((*uid, presence.slot.as_mut()?)));
        for (uid, slot) in of_processes.chain(of_cgroups).chain(of_users) {
            let row = Slot::Row(books[at].join(labels::of_user(uid, names), || None));
            books[at].leave(mem::replace(slot, row));
        }
    }
}

/// Whether the row is told by the process itself and not by its cgroup.
fn is_of_process(level: Level) -> bool {
    matches!(level, Level::Process | Level::Vm | Level::User)
}

fn leave_rows(slots: &Slots, books: &mut [Book]) {
    for (slot, book) in slots.iter().zip(books) {
        book.leave(*slot);
    }
}

fn leave_user_row(presence: &Presence, books: &mut [Book]) {
    let book = books.iter_mut().find(|book| book.level == Level::User);
    if let (Some(slot), Some(book)) = (presence.slot, book) {
        book.leave(slot);
    }
}
