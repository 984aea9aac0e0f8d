//! The commands as people and scripts use them.

use std::process::{Command, Output};

use serde_json::{Value, json};
use ward_tests::System;
use ward_tests::artifact::{behaving, marked, write};
use ward_tests::clinic::{JOHN, NOBODY};
use ward_tests::machine::{component, program, repository};
use ward_tests::nats::Nats;
use ward_tests::ward::said;

fn ward(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program("ward"));
    command.args(arguments).envs(environment.iter().copied()).current_dir(std::env::temp_dir()).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a server does not answer is given up, and not waited for.
#[tokio::test]
async fn a_cluster_without_a_leader_is_code_3() {
    let nats = Nats::leaderless().await;
    let output = ward(&["history", "patient"], &[("WARD_NATS_URL", &nats.url())]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("timed out"), "{}", said(&output));
}

/// Each caller gets the version of a contract that it knows.
#[tokio::test]
async fn two_versions_of_a_contract_are_offered_side_by_side() {
    let system = System::with().services(&[]).hostile().start().await;
    let call = async |function: &str, parameters: &str| {
        system.command(&["call", "hostile", function, parameters]).await.trim().to_owned()
    };
    assert_eq!(call("name@0.1.0", "{}").await, r#""hostile""#);
    let both: Value = serde_json::from_str(&call("names.name", r#"{"of": "a"}"#).await).unwrap();
    assert_eq!(both, json!(["a", "hostile"]), "the newest, without a word");
    let client = system.nats.client().await;
    for (contract, parameters, answer) in [
        ("clinic:hostile/names@0.1.7", "{}", r#"{"ok":"hostile"}"#),
        ("clinic:hostile/names@0.2.0", r#"{"of": "b"}"#, r#"{"ok":["b","hostile"]}"#),
    ] {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Ward-Contract", contract);
        let subject = "ward.call.hostile.names.name";
        let reply = client.request_with_headers(subject, headers, parameters.to_owned().into()).await.unwrap();
        assert_eq!(reply.payload, answer, "{contract}");
    }
    system.end_broken();
}

fn of_patient(id: &str) -> String {
    json!({ "patient-id": id }).to_string()
}

#[tokio::test]
async fn ward_call_answers_json_and_lists_what_there_is() {
    let system = System::shared().await;
    let listed = system.command(&["call", "billing"]).await;
    assert!(listed.contains("accounts.open") && listed.contains("patient-id: string"), "{listed}");
    let known: Value = serde_json::from_str(&system.command(&["call", "--json"]).await).unwrap();
    let services: Vec<&str> = known.as_array().unwrap().iter().map(|one| one["service"].as_str().unwrap()).collect();
    assert!(services.contains(&"auth") && services.contains(&"billing"), "{services:?}");

    let holder = json!({"holder": {"patient-id": JOHN, "name": "John Doe", "email": "john@example.com"}}).to_string();
    let opened: Value = serde_json::from_str(&system.command(&["call", "billing", "open", &holder]).await).unwrap();
    assert_eq!(opened["patient-id"], JOHN);
    let read = system.command_with_input(&["call", "billing", "accounts.open", "-", "--json"], &holder).await;
    let read: Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!(read["ok"]["id"], opened["id"]);
    let way = system.command(&["trace", read["call"].as_str().unwrap()]).await;
    assert!(way.contains("billing.accounts.open"), "{way}");
}

#[tokio::test]
async fn ward_call_says_what_is_wrong_and_ends_with_a_code_for_it() {
    let system = System::shared().await;
    for (arguments, code, parts) in [
        (vec!["call", "biling", "open", "{}"], 2, vec!["did you mean billing?"]),
        (vec!["call", "billing", "oppen", "{}"], 2, vec!["did you mean open?"]),
        (vec!["call", "billing", "open", "{"], 2, vec!["no JSON", "holder: record"]),
        (
            vec!["call", "billing", "open", r#"{"holder": {"patient-id": 7}}"#],
            2,
            vec!["holder.patient-id", "expected a string"],
        ),
        (vec!["call", "billing", "open", "{}"], 2, vec!["the field holder is missing"]),
    ] {
        let output = system.try_command(&arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        for part in parts {
            assert!(said(&output).contains(part), "{part}: {}", said(&output));
        }
    }
}

#[tokio::test]
async fn an_error_that_a_service_answers_is_code_1_and_a_crash_code_6() {
    let system = System::with().hostile().start().await;
    let refused = system.try_command(&["call", "billing", "get", &of_patient(NOBODY)]).await;
    assert_eq!((refused.status.code(), out(&refused).trim()), (Some(1), "\"not-found\""), "{}", said(&refused));
    let crashed = system.try_command(&["call", "hostile", "perform", r#"{"act": "panic"}"#]).await;
    assert_eq!(crashed.status.code(), Some(6), "{}", said(&crashed));
    assert!(said(&crashed).contains("ward logs --call"), "{}", said(&crashed));
    let slow = system.try_command(&["call", "hostile", "perform", r#"{"act": "spin"}"#, "--deadline", "200"]).await;
    assert_eq!(slow.status.code(), Some(4), "{}", said(&slow));
    system.end_broken();
}

#[tokio::test]
async fn what_prepares_ward_answers_json_and_tells_no_secret() {
    let system = System::with().services(&["auth"]).start().await;
    let again = parsed(&system.command(&["provision", "--json"]).await);
    assert_eq!((&again["services"], &again["made_key"]), (&json!(["auth"]), &Value::Null), "{again}");
    let first = system.shell("WARD_TOKENS_KEY_DIR=$PWD/first ward provision --json", system.folder()).await;
    let first = parsed(&out(&first));
    let key = system.folder().join(format!("first/{}.pem", first["made_key"].as_str().unwrap()));
    assert!(key.exists() && first["made_secret"] == false, "{first}");

    let rotated = parsed(&system.command(&["keys", "rotate", "--json"]).await);
    let file = format!("{}/{}.pem", rotated["directory"].as_str().unwrap(), rotated["kid"].as_str().unwrap());
    assert!(std::fs::exists(file).unwrap() && rotated["signs_in_s"] == 60, "{rotated}");

    let file = system.folder().join("release.pem").to_str().unwrap().to_owned();
    let made = parsed(&system.command(&["keys", "artifact", "new", &file, "--json"]).await);
    let read = parsed(&system.command(&["keys", "artifact", "public", &file, "--json"]).await);
    assert_eq!((&made, &read["file"]), (&read, &json!(file)));
    let public = system.command(&["keys", "artifact", "public", &file]).await;
    assert_eq!(Some(public.trim()), made["public"].as_str());

    let sdk = repository().join("components/sdk");
    let new = format!("ward new notes --with http --sdk {} --json", sdk.display());
    let new = parsed(&out(&system.shell(&new, system.folder()).await));
    let folder = system.folder().canonicalize().unwrap().join("notes");
    assert_eq!((&new["folder"], &new["next"][2]), (&json!(folder), &json!("ward provision")), "{new}");
    let written = new["files"].as_array().unwrap().iter().all(|file| folder.join(file.as_str().unwrap()).exists());
    assert!(written, "{new}");

    let arguments = ["user", "add", "ann@test.com", "--role", "READER", "--json"];
    let added = system.command_with_input(&arguments, "a-long-password\n").await;
    let user = parsed(&out(&added));
    assert!(user["id"].as_str().is_some_and(|id| id.len() == 36), "{user}");
    assert_eq!((&user["email"], &user["role"]), (&json!("ann@test.com"), &json!("READER")), "{user}");
    assert!(!said(&added).contains("a-long-password"), "{}", said(&added));
    let twice = system.command_with_input(&arguments, "a-long-password\n").await;
    assert_eq!((twice.status.code(), out(&twice).as_str()), (Some(1), ""), "{}", said(&twice));
    system.end().await;
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_server_that_is_away_is_code_3_and_a_wrong_option_code_2() {
    let away = [("WARD_NATS_URL", "nats://127.0.0.1:1")];
    let output = ward(&["ps"], &away);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(!said(&output).contains('\u{1b}'), "{}", said(&output));
    assert_eq!(ward(&["ps", "--nonsense"], &away).status.code(), Some(2));
    assert_eq!(ward(&["--config", "/nowhere.toml", "ps"], &[]).status.code(), Some(2));
    assert_eq!(ward(&["history", "No-Name"], &away).status.code(), Some(2));
}

#[tokio::test]
async fn an_order_says_what_became_of_it_and_each_end_has_its_code() {
    let system = System::with().hostile().start().await;
    let good = std::fs::read(component("hostile")).unwrap();
    let file = |name: &str, bytes: &[u8]| write(system.folder(), name, bytes).to_str().unwrap().to_owned();
    let (next, last) = (file("next", &marked(&good, 1)), file("last", &marked(&good, 2)));
    let unwell = file("unwell", &behaving(&good, "unwell"));
    let order = async |arguments: &[&str]| {
        let output = system.try_command(arguments).await;
        (output.status.code(), out(&output))
    };
    let (code, text) = order(&["deploy", "hostile", &next, "--json"]).await;
    let outcome = parsed(&text);
    assert_eq!((code, &outcome["hosts"][0]["percent"], &outcome["refused"]), (Some(0), &json!(100), &json!(null)));
    assert_eq!(outcome["stable"]["generation"], 2, "{outcome}");
    let (code, text) = order(&["deploy", "hostile", &unwell, "--json"]).await;
    let refused = parsed(&text)["refused"].as_str().unwrap().to_owned();
    assert!(code == Some(1) && refused.contains("it does not feel well"), "{code:?} {refused}");
    assert_eq!(order(&["deploy", "hostile", &last, "--timeout", "0"]).await.0, Some(4), "nobody is done at once");
    for unknown in [
        &["deploy", "nobody", &last][..],
        &["rollback", "nobody"],
        &["history", "nobody"],
        &["logs", "nobody"],
        &["events", "dead", "nobody"],
    ] {
        assert_eq!(order(unknown).await.0, Some(2), "{unknown:?}");
    }
    assert_eq!(order(&["events", "replay", "hostile", "--sequence", "9"]).await.0, Some(2), "there is none");
    system.end_broken();
}

/// What bash offers at the end of a line.
async fn offered(system: &System, line: &str) -> Vec<String> {
    let script = format!(
        "source <(ward completion bash)
        read -ra COMP_WORDS <<< '{line}'; [[ '{line}' != *' ' ]] || COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_TYPE=9
        _clap_complete_ward ward \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"
        printf '%s\n' \"${{COMPREPLY[@]}}\""
    );
    let output = system.shell(&script, system.folder()).await;
    assert!(output.status.success(), "{}", said(&output));
    out(&output).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_shell_completes_functions_that_are_served_now() {
    let system = System::shared().await;
    for (line, names) in [
        ("ward call billing acc", vec!["accounts.get", "accounts.open"]),
        ("ward call billing accounts.o", vec!["accounts.open"]),
        ("ward call billing op", vec!["open"]),
        ("ward call --deadline 100 billing accounts.o", vec!["accounts.open"]),
        ("ward call bil", vec!["billing"]),
        ("ward deploy bil", vec!["billing"]),
        ("ward rollback bil", vec!["billing"]),
        ("ward history bil", vec!["billing"]),
        ("ward call nobody acc", vec![]),
    ] {
        let offered = offered(system, line).await;
        assert_eq!(offered.iter().filter(|name| !name.is_empty()).collect::<Vec<_>>(), names, "{line}");
    }
    let all = offered(system, "ward call billing ").await;
    assert!(all.contains(&"accounts.open".to_owned()) && all.contains(&"--json".to_owned()), "{all:?}");
}

#[test]
fn each_shell_gets_a_script_that_asks_for_names() {
    for shell in ["bash", "zsh", "fish"] {
        let output = ward(&["completion", shell], &[]);
        assert!(output.status.success() && out(&output).contains("COMPLETE"), "{}", said(&output));
    }
    let complete = |words: &[&str]| {
        let words: Vec<&str> = ["--", "ward"].iter().chain(words).copied().collect();
        let index = (words.len() - 2).to_string();
        let environment = [("COMPLETE", "bash"), ("_CLAP_IFS", "\n"), ("_CLAP_COMPLETE_INDEX", &index)];
        out(&ward(&words, &environment))
    };
    let commands = complete(&["tra"]);
    assert_eq!(commands.trim(), "trace", "{commands}");
}
