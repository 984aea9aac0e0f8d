//! Variants of a component: the same behaviour under another digest, and broken ones.

use std::path::{Path, PathBuf};

use crate::machine::component;
use crate::{System, unique};

/// The component with a custom section at its end: another digest, the same behaviour.
pub fn marked(component: &[u8], mark: u32) -> Vec<u8> {
    const NAME: &[u8] = b"ward-test";
    let mut variant = component.to_vec();
    let size = 1 + NAME.len() + 4;
    variant.extend([0, size as u8, NAME.len() as u8]);
    variant.extend(NAME);
    variant.extend(mark.to_le_bytes());
    variant
}

/// A service's component, marked, as a file in the folder of the system.
pub fn variant(system: &System, service: &str, mark: u32) -> PathBuf {
    let bytes = std::fs::read(component(service)).unwrap();
    write(system.folder(), &format!("{service}-{mark}"), &marked(&bytes, mark))
}

/// The component with a text replaced by one of the same length, wherever it stands.
pub fn renamed(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut variant = component.to_vec();
    let places: Vec<usize> = variant
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from.as_bytes())
        .map(|(i, _)| i)
        .collect();
    assert!(!places.is_empty(), "{from} is not in the component");
    for place in places {
        variant[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    variant
}

/// The component of `tests/hostile` with another behaviour, six letters long.
pub fn behaving(hostile: &[u8], mode: &str) -> Vec<u8> {
    const NORMAL: &str = "ward-hostile-mode:normal";
    renamed(hostile, NORMAL, &NORMAL.replace("normal", mode))
}

/// The same, as a file in the folder of the system.
pub fn hostile(system: &System, mode: &str) -> PathBuf {
    let bytes = std::fs::read(component("hostile")).unwrap();
    write(system.folder(), &unique(mode.trim_end_matches('!')), &behaving(&bytes, mode))
}

/// The component of `tests/hostile` with another second migration, six letters long.
pub fn migrating(hostile: &[u8], next: &str) -> Vec<u8> {
    const NORMAL: &str = "ward-hostile-next:normal";
    renamed(hostile, NORMAL, &NORMAL.replace("normal", next))
}

/// Ways in which an artifact can be no good.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Not WebAssembly at all.
    Garbage,
    /// The end is missing, as after an upload that broke off.
    Truncated,
    /// A good component, of another service.
    OtherService,
}

impl Fault {
    pub const ALL: [Self; 3] = [Self::Garbage, Self::Truncated, Self::OtherService];

    /// `component` with the fault; `other` is a component of another service.
    pub fn apply(self, component: &[u8], other: &[u8], mark: u32) -> Vec<u8> {
        match self {
            Self::Garbage => format!("not a component, number {mark}").into_bytes(),
            Self::Truncated => {
                let mut variant = marked(component, mark);
                variant.truncate(component.len() / 2 + mark as usize % 1000);
                variant
            }
            Self::OtherService => marked(other, mark),
        }
    }
}

pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(format!("{name}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}
