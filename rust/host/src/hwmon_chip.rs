//! Which channels of a sensor chip tell power or energy (Documentation/hwmon/sysfs-interface).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::sensor_file::{names_in, word};
use crate::zone_filter::ZoneFilter;

/// Chips that measure something that is no part of what CPU time explains. Their power, summed
/// with the host's, would be given to processes by CPU time: they are read only where the filter
/// names them.
const APART: [&str; 16] = [
    "amdgpu", "radeon", "nouveau", "i915", "xe", "nvme", "mlx4", "mlx5", "bnxt_en", "ixgbe",
    "i40e", "ice", "iwlwifi", "mt7921", "sfp", "ath10k",
];

/// One channel, or a pair of channels that make power together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Channel {
    /// The label in lower case without spaces, else chip and channel.
    pub(crate) class: String,
    /// Where the chip is, the same after a restart: `0000:00:18.3`.
    pub(crate) place: String,
    /// The chip's directory name, not the same after a restart: `hwmon3`.
    pub(crate) chip: String,
    /// The channel within the chip: `power1`.
    pub(crate) name: String,
    /// The files.
    pub(crate) quantity: Quantity,
}

/// What a channel's files hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Quantity {
    /// A counter of microjoules.
    Energy(PathBuf),
    /// Microwatts, averaged by the chip.
    AveragePower(PathBuf),
    /// Microwatts of this instant.
    Power(PathBuf),
    /// Millivolts and milliamperes: their product is microwatts.
    Product {
        /// The voltage.
        millivolts: PathBuf,
        /// The current.
        milliamperes: PathBuf,
    },
}

/// All wanted channels of all chips below `<sys>/class/hwmon`, by the chip's number.
pub(crate) fn channels(sys: &Path, filter: &ZoneFilter) -> std::io::Result<Vec<Channel>> {
    let directory = sys.join("class/hwmon");
    let mut chips = names_in(&directory)?;
    chips.sort_by_key(|chip| (number_after(chip, "hwmon"), chip.clone()));
    let chips = chips
        .iter()
        .filter_map(|chip| Chip::open(sys, &directory, chip));
    Ok(chips.flat_map(|chip| chip.channels(filter)).collect())
}

/// A directory of the hwmon class.
struct Chip {
    path: PathBuf,
    directory: String,
    place: String,
    name: String,
    files: BTreeSet<String>,
}

impl Chip {
    /// The chip; `None` for one that is no part of the host's consumption: batteries have a meter
    /// of their own and adapters feed them.
    fn open(sys: &Path, class_directory: &Path, directory: &str) -> Option<Self> {
        let path = class_directory.join(directory);
        let name = word(&path.join("name"))?;
        let device = std::fs::read_link(path.join("device")).ok();
        let place = device
            .as_deref()
            .and_then(Path::file_name)
            .map(|place| place.to_string_lossy().into_owned());
        let place = place.unwrap_or_else(|| directory.to_owned());
        let supplies = ["BAT", "ADP", "AC", "ucsi"];
        if supplies.iter().any(|supply| name.starts_with(supply))
            || sys.join("class/power_supply").join(&place).exists()
        {
            return None;
        }
        let files = names_in(&path).ok()?.into_iter().collect();
        Some(Self {
            path,
            directory: directory.to_owned(),
            place,
            name,
            files,
        })
    }

    fn channels(&self, filter: &ZoneFilter) -> Vec<Channel> {
        let mut channels = self.first_tier();
        let is_apart = APART
            .iter()
            .any(|chip| self.name == *chip || self.name.starts_with(&format!("{chip}_")));
        let is_chip_named = filter.names(&self.name);
        channels.retain(|channel| {
            // amd_energy shows each core beside its socket: a hundred classes for one sum.
            let is_core = self.name == "amd_energy" && channel.class.starts_with("ecore");
            let is_named = is_chip_named || filter.names(&channel.class);
            is_named || (filter.admits(&channel.class) && !is_apart && !is_core)
        });
        channels
    }

    /// The channels of the best kind that the chip has: a counter misses nothing, an average
    /// little, and a product of two instants most. The kinds tell of the same rails: one counts.
    fn first_tier(&self) -> Vec<Channel> {
        let energy = self.numbers("energy", "_input").map(|number| {
            let quantity = Quantity::Energy(self.file("energy", number, "_input"));
            self.channel("energy", number, self.label("energy", number), quantity)
        });
        let energy: Vec<Channel> = energy.collect();
        if !energy.is_empty() {
            return energy;
        }
        let power = self.power();
        if power.is_empty() {
            self.products()
        } else {
            power
        }
    }

    fn power(&self) -> Vec<Channel> {
        let averages: BTreeSet<u32> = self.numbers("power", "_average").collect();
        let numbers: BTreeSet<u32> = self
            .numbers("power", "_input")
            .chain(averages.iter().copied())
            .collect();
        let channel = |number: u32| {
            let quantity = if averages.contains(&number) {
                Quantity::AveragePower(self.file("power", number, "_average"))
            } else {
                Quantity::Power(self.file("power", number, "_input"))
            };
            self.channel("power", number, self.label("power", number), quantity)
        };
        numbers.into_iter().map(channel).collect()
    }

    /// Currents with the voltage of the same label, else of the same number.
    fn products(&self) -> Vec<Channel> {
        let voltages: Vec<(u32, Option<String>)> = self
            .numbers("in", "_input")
            .map(|number| (number, self.label("in", number)))
            .collect();
        let product = |number: u32| {
            let label = self.label("curr", number);
            let by_label = voltages
                .iter()
                .find(|(_, voltage)| label.is_some() && *voltage == label);
            let (voltage, voltage_label) =
                by_label.or_else(|| voltages.iter().find(|(other, _)| *other == number))?;
            let quantity = Quantity::Product {
                millivolts: self.file("in", *voltage, "_input"),
                milliamperes: self.file("curr", number, "_input"),
            };
            Some(self.channel(
                "curr",
                number,
                label.or_else(|| voltage_label.clone()),
                quantity,
            ))
        };
        self.numbers("curr", "_input").filter_map(product).collect()
    }

    fn channel(
        &self,
        kind: &str,
        number: u32,
        label: Option<String>,
        quantity: Quantity,
    ) -> Channel {
        Channel {
            class: label
                .unwrap_or_else(|| format!("{}_{kind}{number}", self.name))
                .to_lowercase()
                .replace(' ', "_"),
            place: self.place.clone(),
            chip: self.directory.clone(),
            name: format!("{kind}{number}"),
            quantity,
        }
    }

    /// The numbers of the enabled channels of a kind that have a file of this ending.
    fn numbers<'a>(&'a self, kind: &'a str, ending: &'a str) -> impl Iterator<Item = u32> + 'a {
        let numbers = self
            .files
            .iter()
            .filter_map(move |file| number_after(file.strip_suffix(ending)?, kind));
        let numbers: BTreeSet<u32> = numbers.collect();
        numbers.into_iter().filter(move |number| {
            word(&self.file(kind, *number, "_enable")).is_none_or(|enabled| enabled != "0")
        })
    }

    fn label(&self, kind: &str, number: u32) -> Option<String> {
        word(&self.file(kind, number, "_label")).filter(|label| !label.is_empty())
    }

    fn file(&self, kind: &str, number: u32, ending: &str) -> PathBuf {
        self.path.join(format!("{kind}{number}{ending}"))
    }
}

/// `7` of `hwmon7` after `hwmon`.
fn number_after(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.parse().ok()
}
