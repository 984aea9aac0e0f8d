//! docs/adding-a-component.md, word for word: its commands run, and print what stands under them.

use std::path::{Path, PathBuf};
use std::process::Command;

use ward_tests::System;
use ward_tests::machine::repository;

/// Commands, and what is shown under them.
#[derive(Debug, Default)]
struct Step {
    commands: String,
    shown: String,
}

/// The blocks ```sh and ```text of a page, in pairs.
fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut open): (Vec<Step>, Option<&str>) = (Vec::new(), None);
    for line in page.lines() {
        match (open, line) {
            (None, "```sh") => {
                steps.push(Step::default());
                open = Some("sh");
            }
            (None, "```text") => open = Some("text"),
            (None, other) if other.starts_with("```") => open = Some("other"),
            (Some(_), "```") => open = None,
            (Some("sh"), line) => steps.last_mut().unwrap().commands.push_str(&format!("{line}\n")),
            (Some("text"), line) => steps.last_mut().unwrap().shown.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    steps
}

/// What differs from run to run has a name instead.
fn masked(line: &str) -> String {
    line.split_inclusive(['"', ' ', ',', '/']).map(mask).collect()
}

fn mask(word: &str) -> String {
    let text = word.trim_end_matches(['"', ' ', ',', '/']);
    let end = &word[text.len()..];
    let is_id = text.len() == 36 && text.matches('-').count() == 4;
    let is_instant = text.len() == 27 && text.ends_with('Z') && text.contains('T');
    match (is_id, is_instant) {
        (true, _) => format!("ID{end}"),
        (_, true) => format!("TIME{end}"),
        _ => word.to_owned(),
    }
}

/// A copy of the sources, since what a test does writes into them; with the target directory, so that little is built again.
fn workspace(name: &str) -> PathBuf {
    let folder = repository().join("target").join(name);
    let _ = std::fs::remove_file(folder.join("target"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let files = ["Cargo.toml", "Cargo.lock", ".cargo", "rustfmt.toml", "clippy.toml"];
    let folders = ["components", "deploy", "host", "bridge", "proto", "telemetry", "tests", "wit"];
    let mut copy = Command::new("cp");
    copy.arg("-r").args(files).args(folders).arg(&folder).current_dir(repository());
    assert!(copy.status().unwrap().success());
    std::os::unix::fs::symlink(repository().join("target"), folder.join("target")).unwrap();
    folder
}

fn script(steps: &[Step]) -> String {
    steps.iter().map(|step| format!("{}echo '@@@@'\n", step.commands)).collect()
}

async fn run(system: &System, folder: &Path, steps: &[Step]) -> Vec<String> {
    let output = system.shell(&script(steps), folder).await;
    let said = ward_tests::ward::said(&output);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<String> = printed.split("@@@@\n").map(str::to_owned).collect();
    assert_eq!(printed.len(), steps.len() + 1, "{said}");
    printed
}

#[tokio::test]
async fn the_tutorial_does_what_it_says() {
    let page = std::fs::read_to_string(repository().join("docs/adding-a-component.md")).unwrap();
    let steps = steps(&page);
    assert!(steps.len() > 5, "{steps:?}");
    let folder = workspace("tutorial");
    let include = format!("[{:?}]", folder.join("components/*/service.toml"));
    let system = System::with().set("WARD_DEVELOPMENT_INCLUDE", include).start().await;
    for (step, printed) in steps.iter().zip(run(&system, &folder, &steps).await) {
        let printed: Vec<String> = printed.lines().map(masked).collect();
        for line in step.shown.lines().map(masked) {
            let commands = &step.commands;
            assert!(printed.contains(&line), "{commands}\nshall print\n{line}\nand prints\n{}", printed.join("\n"));
        }
    }
    system.end().await;
}

/// The tutorial shows the one with everything.
#[tokio::test]
async fn a_new_component_of_each_kind_builds_and_passes_its_own_tests() {
    let folder = workspace("new");
    let system = System::with().services(&["auth"]).start().await;
    let script = "
        ward new only-http --with http
        ward new only-events --with events
        ward new usual
        ward build only-http only-events usual
        cargo test -q -p only-http -p only-events -p usual
        ! ward new usual
        ! ward new nothing --with sql
    ";
    let output = system.shell(script, &folder).await;
    let said = ward_tests::ward::said(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("is there already; nothing was written"), "{said}");
    assert!(said.contains("add http or events to --with"), "{said}");
    // Three domains, three components in the engine.
    assert_eq!(
        said.matches("test result: ok. 1 passed").count() + said.matches("test result: ok. 2 passed").count(),
        6,
        "{said}"
    );
    system.end().await;
}

#[test]
fn what_differs_is_masked_and_nothing_else() {
    let line = r#"{"id":"01a2050a-1c87-7672-b389-783e7b30fa16","at":"2026-11-22T20:54:38.472306Z","text":"A knee."}"#;
    assert_eq!(masked(line), r#"{"id":"ID","at":"TIME","text":"A knee."}"#);
}
