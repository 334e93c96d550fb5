//! Attempts to see another's events as they come in.

use crate::neighbours::{MARK, Neighbours};
use axum::{
    body::{Body, BodyDataStream},
    http::Request,
};
use futures::StreamExt;
use serde_json::json;
use std::time::Duration;

/// Longest wait for an event that was sent.
const SOON: Duration = Duration::from_secs(30);

/// A live tail that has begun.
async fn watch(neighbours: &Neighbours, token: &str, query: &str) -> BodyDataStream {
    let request =
        Request::get(format!("/api/v1/tail?{query}")).header("authorization", format!("Bearer {token}"));
    let response = neighbours.door.respond(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 200, "{query}");
    response.into_body().into_data_stream()
}

/// Reads until `word` comes; answers all that came.
async fn until_told(stream: &mut BodyDataStream, word: &str) -> String {
    let mut told = String::new();
    let read = async {
        while !told.contains(word) {
            let chunk = stream.next().await.expect("the tail goes on").unwrap();
            told.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    assert!(tokio::time::timeout(SOON, read).await.is_ok(), "{word} did not come");
    told
}

#[tokio::test]
async fn filters_of_a_tail_let_no_others_events_through() {
    let neighbours = Neighbours::new().await;
    let refused = [
        "organization=other",
        "organization=*",
        "organization=acme&organization=other",
        "organization=OTHER",
    ];
    for query in refused {
        let answer = neighbours.door.get(&format!("/api/v1/tail?{query}"), &neighbours.acme).await;
        assert!([400, 403].contains(&answer.status.as_u16()), "{query}: {answer:?}");
    }
    let mut tails = Vec::new();
    for query in
        ["", "organization=acme", "q=word", "service=shop", "level=ERROR", "level=ERROR&q=word&service=shop"]
    {
        tails.push((query, watch(&neighbours, &neighbours.acme, query).await));
    }
    tails.push(("organization=acme by any", watch(&neighbours, &neighbours.any, "organization=acme").await));
    let mut theirs = watch(&neighbours, &neighbours.other, "").await;

    // Words first: who asks for another's gets own events that have them, nothing else.
    let event =
        |message: String| json!({"message": message, "service": "shop", "level": "ERROR"}).to_string();
    // A tail begins when its reader knows the end of the topic; until then events are sent again.
    let mut number = 0;
    let told = loop {
        number += 1;
        let secret = event(format!("{MARK} word {number}"));
        assert_eq!(neighbours.post(&neighbours.other, &[], secret).await.status, 202);
        let short = tokio::time::timeout(Duration::from_millis(200), theirs.next()).await;
        if let Ok(Some(Ok(chunk))) = short {
            break String::from_utf8(chunk.to_vec()).unwrap();
        }
        assert!(number < 100, "no event came");
    };
    assert!(told.contains(MARK), "{told}");
    assert_eq!(neighbours.post(&neighbours.acme, &[], event("the end word".into())).await.status, 202);
    for (query, stream) in &mut tails {
        let told = until_told(stream, "the end word").await;
        assert!(!told.contains(MARK), "{query}: {told}");
    }
}
