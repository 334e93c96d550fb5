//! The way of a write to the producers, over real connections: they die, hang, come back, and are several.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(test)]
mod h2c;
#[cfg(test)]
mod support;

use axum::{body::Body, http::StatusCode};
use gateway::{Protocol, WriteLimits};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use support::{Counting, Door, Two, loopback, two_producers, until};

/// Calls that a half-open breaker lets through.
const TRIALS: usize = 3;

/// The same promises whatever the producers speak.
macro_rules! over_both_protocols {
    ($($name:ident),+ $(,)?) => {
        mod over_http1 {
            $(#[tokio::test] async fn $name() { super::$name(gateway::Protocol::Http1).await; })+
        }
        mod over_h2c {
            $(#[tokio::test] async fn $name() { super::$name(gateway::Protocol::H2c).await; })+
        }
    };
}

over_both_protocols! {
    producers_that_are_gone_are_told_at_once_and_found_when_they_are_back,
    a_half_open_breaker_lets_exactly_the_permitted_calls_through,
    writes_spread_over_all_producers_and_go_on_when_one_is_gone,
    what_is_too_much_at_one_time_is_refused_at_once,
    a_body_that_the_client_breaks_off_is_not_the_producers_fault,
}

async fn producers_that_are_gone_are_told_at_once_and_found_when_they_are_back(protocol: Protocol) {
    let counting = Counting::new(1_000_000);
    let server = counting.serve(loopback(0));
    let address = server.address;
    let door = Door::new(&server.url(), protocol, WriteLimits::default());
    assert_eq!(door.status().await, StatusCode::ACCEPTED);
    server.end().await;
    until("the breaker opens", async || {
        assert_eq!(door.status().await, StatusCode::SERVICE_UNAVAILABLE);
        door.states()[0].1 == "open"
    })
    .await;
    let begun = Instant::now();
    let refused = door.send(Body::from("{}")).await;
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let _server = counting.serve(address);
    until("the producer is found again", async || door.status().await == StatusCode::ACCEPTED).await;
}

async fn a_half_open_breaker_lets_exactly_the_permitted_calls_through(protocol: Protocol) {
    let counting = Counting::new(5);
    let server = counting.serve(loopback(0));
    let address = server.address;
    let door = Arc::new(Door::new(&server.url(), protocol, WriteLimits::default()));
    assert_eq!(door.status().await, StatusCode::ACCEPTED);
    server.end().await;
    until("the breaker opens", async || {
        door.status().await;
        door.states()[0].1 == "open"
    })
    .await;
    // Back, but it answers nobody yet.
    counting.answers.forget_permits(usize::MAX);
    let _server = counting.serve(address);
    let before = counting.reached();
    until("the breaker is half-open", async || door.states()[0].1 == "half_open").await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let door = door.clone();
            tokio::spawn(async move { door.status().await })
        })
        .collect();
    until("all but the trial calls are refused", async || {
        calls.iter().filter(|call| call.is_finished()).count() == 50 - TRIALS
    })
    .await;
    until("the trial calls are there", async || counting.reached() - before == TRIALS).await;
    counting.answers.add_permits(1000);
    let mut accepted = 0;
    for call in calls {
        accepted += usize::from(call.await.unwrap() == StatusCode::ACCEPTED);
    }
    assert_eq!((accepted, counting.reached() - before), (TRIALS, TRIALS));
    assert_eq!(door.states()[0].1, "closed");
    assert_eq!(door.status().await, StatusCode::ACCEPTED);
}

async fn writes_spread_over_all_producers_and_go_on_when_one_is_gone(protocol: Protocol) {
    let Some(Two { one, _other, url, first, second }) = two_producers().await else { return };
    let door = Door::new(&url, protocol, WriteLimits::default());
    for _ in 0..200 {
        assert_eq!(door.status().await, StatusCode::ACCEPTED);
    }
    assert_eq!(first.reached() + second.reached(), 200);
    assert!((60..=140).contains(&first.reached()), "{} of 200 at one of two producers", first.reached());
    one.end().await;
    for _ in 0..200 {
        assert_eq!(door.status().await, StatusCode::ACCEPTED, "another producer takes it");
    }
    assert_eq!(first.reached() + second.reached(), 400);
}

async fn what_is_too_much_at_one_time_is_refused_at_once(protocol: Protocol) {
    let counting = Counting::new(0);
    let server = counting.serve(loopback(0));
    let door = Arc::new(Door::new(&server.url(), protocol, WriteLimits { all: 10, each: 4 }));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let door = door.clone();
            tokio::spawn(async move { door.status().await })
        })
        .collect();
    until("four are under way and sixteen refused", async || {
        counting.reached() == 4 && calls.iter().filter(|call| call.is_finished()).count() == 16
    })
    .await;
    counting.answers.add_permits(100);
    let mut accepted = 0;
    for call in calls {
        accepted += usize::from(call.await.unwrap() == StatusCode::ACCEPTED);
    }
    assert_eq!(accepted, 4);
    assert_eq!(door.status().await, StatusCode::ACCEPTED, "places are given back");
}

async fn a_body_that_the_client_breaks_off_is_not_the_producers_fault(protocol: Protocol) {
    let counting = Counting::new(1_000_000);
    let server = counting.serve(loopback(0));
    let door = Door::new(&server.url(), protocol, WriteLimits::default());
    for _ in 0..20 {
        let broken = futures::stream::iter([Ok("{\"message\""), Err(std::io::Error::other("gone"))]);
        assert_eq!(door.send(Body::from_stream(broken)).await.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(door.states()[0].1, "closed");
    assert_eq!(door.status().await, StatusCode::ACCEPTED);
}
