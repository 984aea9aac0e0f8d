//! A new version beside the old one, for a share of the calls; and who may change what serves.

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::Value;
use ward_tests::artifact::{hostile, renamed, variant, write};
use ward_tests::clinic::JOHN;
use ward_tests::load::Load;
use ward_tests::machine::component;
use ward_tests::rest::Rest;
use ward_tests::ward::said;
use ward_tests::{System, eventually};

fn john() -> String {
    format!("/api/patients/{JOHN}")
}

/// How many of so many requests each generation answered: the first, and the second.
async fn shares(rest: &Rest, requests: usize) -> (usize, usize) {
    let mut answered = (0, 0);
    for _ in 0..requests {
        match rest.get(&john()).await.expect(200).header("ward-generation") {
            Some("1") => answered.0 += 1,
            Some("2") => answered.1 += 1,
            other => panic!("answered by generation {other:?}"),
        }
    }
    answered
}

async fn history(system: &System, service: &str) -> Vec<Value> {
    serde_json::from_str(&system.command(&["history", service, "--json"]).await).unwrap()
}

#[tokio::test]
async fn a_canary_gets_its_share_grows_and_takes_over() {
    let system = System::with().hosts(2).set("WARD_HTTP_PIN_GENERATION", true).start().await;
    let rest = system.admin().await;
    assert_eq!(shares(&rest, 20).await, (20, 0));
    let next = variant(&system, "patient", 1);
    let next = next.to_str().unwrap();
    system.command(&["deploy", "patient", next, "--canary", "20", "--reason", "try it"]).await;
    let (old, new) = shares(&rest, 200).await;
    // Exact on each host; how the calls fall to the hosts is chance.
    assert!((30..=50).contains(&new), "{old} and {new}");

    for (generation, status) in [("1", 200), ("2", 200), ("3", 422), ("next", 400)] {
        let answer = rest.request(reqwest::Method::GET, &john()).header("ward-generation", generation).send().await;
        assert_eq!(answer.status, status, "{generation}: {}", answer.text());
        if status == 200 {
            assert_eq!(answer.header("ward-generation"), Some(generation));
        }
    }
    let output = system.try_command(&["deploy", "patient", variant(&system, "patient", 2).to_str().unwrap()]).await;
    assert!(!output.status.success() && said(&output).contains("a canary is under way"), "{}", said(&output));

    system.command(&["promote", "patient", "--percent", "90"]).await;
    let (old, new) = shares(&rest, 100).await;
    assert!((80..=98).contains(&new), "{old} and {new}");
    system.command(&["promote", "patient"]).await;
    eventually("it has all calls", async || (shares(&rest, 20).await == (0, 20)).then_some(())).await;
    system.command(&["rollback", "patient", "1", "--reason", "second thoughts"]).await;
    eventually("it has none", async || (shares(&rest, 20).await == (20, 0)).then_some(())).await;

    let history = history(&system, "patient").await;
    let changes: Vec<&str> = history.iter().map(|entry| entry["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["rolled-back", "promoted", "promoted", "canary", "deployed"]);
    assert_eq!(history[0]["reason"], "second thoughts");
    assert!(history[0]["by"].as_str().unwrap().contains('@'), "{}", history[0]);
    assert_eq!(history[1]["ended"], "second thoughts (rolled back)");
    assert_eq!(history[3]["canary"]["percent"], 20);
    system.end().await;
}

#[tokio::test]
async fn nobody_chooses_a_generation_where_it_is_not_allowed() {
    let system = System::shared().await;
    let rest = system.admin().await;
    rest.request(reqwest::Method::GET, &john()).header("ward-generation", "1").send().await.expect_problem(400);
    assert_eq!(rest.get(&john()).await.expect(200).header("ward-generation"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_fails_ends_unseen_and_says_why() {
    // Slow, and never late.
    let plan = System::with().hostile().limits("hostile", "cpu_ms = 8000\nmemory_mb = 16");
    let plan = plan.set("WARD_SWAP_WATCH_SLOW_MS", 50).set("WARD_SWAP_WATCH_PATIENCE_MS", 5000);
    let system = plan.start().await;
    let rest = system.rest();
    let mut notices = system.nats.client().await.subscribe("ward.notice.hostile").await.unwrap();
    for (generation, behaviour) in [(2, "traps!"), (3, "errors"), (4, "slowly")] {
        let load = Load::gets(4, &rest, "/hostile/read/nothing", 200);
        load.goes_on_for(100).await;
        let bad = hostile(&system, behaviour);
        system.command(&["deploy", "hostile", bad.to_str().unwrap(), "--canary", "50", "--no-wait"]).await;
        let ended = eventually("the canary ends", async || {
            let latest = history(&system, "hostile").await.remove(0);
            (latest["change"] == "went-back").then_some(latest)
        })
        .await;
        let reason = ended["reason"].as_str().unwrap();
        let expected = if behaviour == "slowly" { "nine of ten calls took" } else { "calls failed that" };
        assert!(reason.starts_with(&format!("generation {generation}: ")) && reason.contains(expected), "{reason}");
        assert_eq!((&ended["generation"], &ended["canary"]), (&Value::from(1), &Value::Null));
        let (_, failures) = load.end().await;
        assert_eq!(failures, Vec::<String>::new(), "{behaviour}");
        let mut heard = Vec::new();
        while !heard.contains(&"went-back".to_owned()) {
            let notice = notices.next().await.unwrap();
            let notice: Value = serde_json::from_slice(&notice.payload).unwrap();
            heard.push(notice["what"].as_str().unwrap().to_owned());
        }
        assert_eq!(heard, ["canary", "went-back"]);
    }
    system.end_broken();
}

#[tokio::test]
async fn of_two_operators_at_the_same_time_one_is_told_to_look_again() {
    let system = System::start().await;
    let deployments = (1..=5).map(|mark| {
        let artifact = variant(&system, "billing", mark);
        let system = &system;
        async move { system.try_command(&["deploy", "billing", artifact.to_str().unwrap(), "--no-wait"]).await }
    });
    let outputs = join_all(deployments).await;
    let (done, told): (Vec<_>, Vec<_>) = outputs.iter().partition(|output| output.status.success());
    for output in told {
        assert!(said(output).contains("at the same time"), "{}", said(output));
    }
    // The one that the system began with, and those that were accepted.
    assert_eq!(history(&system, "billing").await.len(), 1 + done.len());
    system.end().await;
}

#[tokio::test]
async fn a_broken_contract_is_refused_unless_it_is_forced() {
    let system = System::start().await;
    let billing = std::fs::read(component("billing")).unwrap();
    // A field of an answer that patient reads has another name.
    let broken = write(system.folder(), "broken", &renamed(&billing, "opened-at", "opened-on"));
    let broken = broken.to_str().unwrap();
    let output = system.try_command(&["deploy", "billing", broken]).await;
    let refusal = said(&output);
    assert!(!output.status.success(), "{refusal}");
    for named in ["patient", "clinic:billing/accounts@0.1.0/", "opened-at (missing)"] {
        assert!(refusal.contains(named), "{named} is not in: {refusal}");
    }
    let output = system.try_command(&["deploy", "billing", broken, "--force"]).await;
    assert!(said(&output).contains("--reason"), "{}", said(&output));
    // A caller that reads that field, which what it calls does not have.
    let patient = std::fs::read(component("patient")).unwrap();
    let caller = write(system.folder(), "caller", &renamed(&patient, "opened-at", "opened-on"));
    let output = system.try_command(&["deploy", "patient", caller.to_str().unwrap()]).await;
    let refusal = said(&output);
    assert!(!output.status.success() && refusal.contains("billing"), "{refusal}");
    assert!(refusal.contains("opened-on (missing)"), "{refusal}");
    system.command(&["deploy", "billing", broken, "--force", "--reason", "patient follows at once"]).await;
    assert_eq!(history(&system, "billing").await[0]["forced"], "patient follows at once");
    system.command(&["deploy", "patient", caller.to_str().unwrap()]).await;
    system.end_broken();
}

#[tokio::test]
async fn a_canary_that_lets_fewer_in_does_not_answer_the_others() {
    let system = System::with().hostile().set("WARD_HTTP_PIN_GENERATION", true).start().await;
    let strict = hostile(&system, "strict");
    system.command(&["deploy", "hostile", strict.to_str().unwrap(), "--canary", "50"]).await;
    let (rest, path) = (system.rest(), "/hostile/read/nothing");
    for _ in 0..20 {
        let answer = rest.get(path).await.expect(200);
        assert_eq!(answer.header("ward-generation"), Some("1"), "it is public there only");
    }
    let pinned = rest.request(reqwest::Method::GET, path).header("ward-generation", "2").send().await;
    pinned.expect_problem(422);
    system.command(&["promote", "hostile"]).await;
    eventually("the routes are the new version's", async || (rest.get(path).await.status == 401).then_some(())).await;
    system.admin().await.get(path).await.expect(200);
    system.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_waits_until_what_it_is_held_against_has_proven_itself() {
    let system = System::with().services(&[]).hostile().start().await;
    let version = |mark: u32| variant(&system, "hostile", mark);
    system.deploy("hostile", version(2)).await;
    let canary = version(3);
    let order = ["deploy", "hostile", canary.to_str().unwrap(), "--canary", "50"];
    let deploying = system.command(&order);
    let proving = async {
        eventually("it waits, and says why", async || {
            let status = system.status("hostile").await;
            let is_why = status["reason"].as_str().unwrap().contains("what serves is under watch itself");
            (status["state"] == "waiting" && is_why).then_some(())
        })
        .await;
        assert_eq!(system.status("hostile").await["canary"], Value::Null);
        let load = Load::gets(1, &system.rest(), "/hostile/read/nothing", 200);
        eventually("the canary has its share", async || {
            (system.status("hostile").await["canary"]["generation"] == 3).then_some(())
        })
        .await;
        assert_eq!(load.end().await.1, Vec::<String>::new());
    };
    tokio::join!(deploying, proving);
    system.end_broken();
}
