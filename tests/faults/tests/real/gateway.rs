//! What clients of the gateway see while what is behind it is out.

use crate::support::{KeepLogs, TURN, end, wait_for};
use fault_tests::{
    client::{Answer, Client},
    parts::Shape,
    run::{System, free_ports},
    service::Service,
};
use std::time::Duration;

const RECOVERS_WITHIN: Duration = Duration::from_secs(60);
/// An answer that nobody has to be asked for.
const AT_ONCE: Duration = Duration::from_millis(100);
/// Somewhat longer than the gateway asks a silent store while it has an answer kept.
const PATIENCE: Duration = Duration::from_millis(1500);

async fn gateway(system: &System) -> (Service, Client) {
    let port = free_ports(1).unwrap()[0];
    let service = Service::gateway(&system.parts, port, &system.urls[0], &[]).unwrap();
    let client = Client::new(&format!("http://127.0.0.1:{port}"), "acme");
    let open = wait_for("the gateway takes events", RECOVERS_WITHIN, async || {
        let answer = client.post(r#"{"message":"first"}"#.into()).await;
        (answer.status == 202).then_some(answer)
    });
    assert_eq!(open.await.body["accepted"], 1);
    (service, client)
}

async fn finds_again(client: &Client, path: &str) -> Answer {
    wait_for(&format!("{path} is answered by the store"), RECOVERS_WITHIN, async || {
        let answer = client.get(path).await;
        (answer.status == 200 && answer.cache.contains("miss")).then_some(answer)
    })
    .await
}

/// Stopped at once, then frozen, which keeps connections open and answers nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_out_leaves_kept_answers_and_quick_refusals() {
    let _turn = TURN.lock().await;
    let system = System::start(Shape::of(3)).await.unwrap();
    let _logs = KeepLogs::of(&system);
    let (gateway, client) = gateway(&system).await;
    let known = "/api/v1/logs?limit=10";
    wait_for("the event is found", RECOVERS_WITHIN, async || {
        (client.get(known).await.body["logs"].as_array()?.len() == 1).then_some(())
    })
    .await;
    let id = client.get(known).await.body["logs"][0]["id"].as_str().unwrap().to_owned();
    for (round, (out, back)) in [("kill", "up"), ("stop", "cont")].into_iter().enumerate() {
        println!("{out}");
        finds_again(&client, known).await;
        system.parts.database(out).await.unwrap();
        // Asked again and again until the breaker has opened: each is a question that nobody asked before.
        let mut asked = 0;
        let refused = wait_for("what is not known is refused at once", RECOVERS_WITHIN, async || {
            asked += 1;
            let answer = client.get(&format!("/api/v1/logs?limit={}", 100 + round * 400 + asked)).await;
            assert_eq!(answer.status, 503, "{answer:?}");
            (answer.took < AT_ONCE && answer.body["detail"].as_str()?.contains("left alone"))
                .then_some(answer)
        });
        assert!(refused.await.retry_after);
        wait_for("what is known is marked as stale", RECOVERS_WITHIN, async || {
            let kept = client.get(known).await;
            assert_eq!((kept.status, kept.body["logs"].as_array()?.len()), (200, 1 + round), "{kept:?}");
            assert!(kept.took < PATIENCE, "{kept:?}");
            kept.cache.contains("ttl=-").then_some(())
        })
        .await;
        assert_eq!(
            client.get(&format!("/api/v1/logs/{id}")).await.status,
            if round == 0 { 503 } else { 200 }
        );
        let overview = client.get("/api/v1/overview").await;
        assert_eq!((overview.status, &overview.body["partial"]), (200, &true.into()));
        assert_eq!(overview.body["parts"]["store"]["status"], "unavailable");
        let written = client.post(format!(r#"{{"message":"while it is out, {out}"}}"#)).await;
        assert_eq!(written.status, 202, "writes go on: {written:?}");
        system.parts.database(back).await.unwrap();
        wait_for("all that was written is found", RECOVERS_WITHIN, async || {
            let answer = finds_again(&client, "/api/v1/logs?limit=20").await;
            (answer.body["logs"].as_array()?.len() == 2 + round).then_some(())
        })
        .await;
        assert_eq!(client.get(&format!("/api/v1/logs/{id}")).await.status, 200);
    }
    drop(gateway);
    end(system).await;
}
