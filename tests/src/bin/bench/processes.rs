//! What processes cost: time of the processor, and memory.

use std::collections::BTreeMap;

/// A process by a name for the tables. PostgreSQL is all its processes together.
#[derive(Debug, Clone)]
pub struct Process {
    pub name: &'static str,
    pub id: u32,
}

/// The kernel counts in hundredths of a second.
const TICK_US: f64 = 10_000.0;

impl Process {
    /// Only PostgreSQL works in many processes. The bench is everybody's parent, which is another matter.
    fn has_workers(&self) -> bool {
        self.name == "postgres"
    }
}

/// Microseconds of the processor so far, by name.
pub fn cpu_us(processes: &[Process]) -> BTreeMap<&'static str, f64> {
    let all = children();
    let workers = |process: &Process| -> u64 {
        // Those that have ended are in the parent's sum.
        let ended = stat(process.id).map_or(0, |stat| stat.ended_children);
        let running = all.get(&process.id).into_iter().flatten();
        ended + running.filter_map(|id| stat(*id)).map(|stat| stat.own).sum::<u64>()
    };
    let ticks = |process: &Process| {
        let own = stat(process.id).map_or(0, |stat| stat.own);
        if process.has_workers() { own + workers(process) } else { own }
    };
    processes.iter().map(|process| (process.name, ticks(process) as f64 * TICK_US)).collect()
}

/// MB that the process would give back if it ended: what several share is counted in shares.
pub fn memory_mb(process: &Process) -> f64 {
    let children = children().remove(&process.id).unwrap_or_default();
    [process.id].iter().chain(&children).map(|id| proportional_kb(*id)).sum::<f64>() / 1024.0
}

fn proportional_kb(id: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// The resident set as `ps` shows it, in MB.
pub fn resident_mb(id: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

struct Stat {
    parent: u32,
    own: u64,
    ended_children: u64,
}

/// None for a process that has ended.
fn stat(id: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        own: number(11)? + number(12)?,
        ended_children: number(13)? + number(14)?,
    })
}

fn children() -> BTreeMap<u32, Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some((id, stat)) = id.and_then(|id| Some((id, stat(id)?))) {
            children.entry(stat.parent).or_default().push(id);
        }
    }
    children
}
