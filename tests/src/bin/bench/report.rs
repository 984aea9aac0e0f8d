//! What was found out: tables for people, and the same as JSON.

use serde::Serialize;
use serde_json::{Value, json};

/// A table, and the numbers behind it.
#[derive(Debug, Serialize)]
pub struct Section {
    pub title: String,
    /// How to read it.
    pub note: String,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
    pub data: Vec<Value>,
}

impl Section {
    pub fn new(title: &str, note: &str, columns: &[&'static str]) -> Self {
        Self {
            title: title.to_owned(),
            note: note.to_owned(),
            columns: columns.to_vec(),
            rows: Vec::new(),
            data: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: &[String], data: Value) {
        self.rows.push(cells.to_vec());
        self.data.push(data);
        eprintln!("  {}", cells.join("  "));
    }

    /// As it stands in docs/performance.md.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("### {}\n\n", self.title);
        text += &line(self.columns.clone());
        text += &line(vec!["---"; self.columns.len()]);
        for row in &self.rows {
            text += &line(row.iter().map(String::as_str).collect());
        }
        text + "\n" + &self.note + "\n"
    }
}

/// What it was measured on, and when.
pub fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    json!({
        "date": super::native_now().date().to_string(),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_before": read("/proc/loadavg").trim(),
    })
}

/// Writes target/bench.json and target/bench.md.
pub fn write(machine: &Value, sections: &[Section]) {
    let folder = ward_tests::machine::repository().join("target");
    let json = json!({ "machine": machine, "sections": sections });
    std::fs::write(folder.join("bench.json"), serde_json::to_string_pretty(&json).unwrap()).unwrap();
    let tables: Vec<String> = sections.iter().map(Section::markdown).collect();
    let tables = tables.join("\n");
    std::fs::write(folder.join("bench.md"), &tables).unwrap();
    println!("{tables}\nAlso in target/bench.md, and with all numbers in target/bench.json.");
}

pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Median, and in brackets the least and the most.
pub fn range(values: &[f64]) -> String {
    let sorted = sorted(values);
    match (sorted.first(), sorted.last()) {
        (Some(least), Some(most)) if values.len() > 1 => {
            format!("{} ({}-{})", number(median(values)), number(*least), number(*most))
        }
        (Some(only), _) => number(*only),
        _ => "-".to_owned(),
    }
}

pub fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(range(&[3.0, 1.0, 2.0]), "2.00 (1.00-3.00)");
    }
}
