//! A sick Redis costs a call its deadline at most, and is found again by itself.

use crate::support::{Server, connected, shared, until};
use gateway::redis::{Connection, Redis, Unavailable};
use process::cores::Cores;
use redis::RedisResult;
use resilience::State;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_millis(5);

async fn ping(mut connection: Connection) -> RedisResult<String> {
    redis::cmd("PING").query_async(&mut connection).await
}

async fn works(redis: &Redis) -> bool {
    redis.call(Duration::from_millis(100), ping).await.is_ok()
}

#[tokio::test]
async fn an_error_of_a_command_does_not_open_the_breaker() {
    let redis = connected(&shared()).await;
    for _ in 0..100 {
        let wrong = redis
            .call(Duration::from_secs(1), async |mut connection| {
                redis::cmd("NOSUCHCOMMAND").exec_async(&mut connection).await
            })
            .await;
        assert!(matches!(wrong, Err(Unavailable::Failed(_))), "{wrong:?}");
    }
    assert_eq!(redis.breaker().snapshot().state, State::Closed);
    assert!(works(&redis).await);
}

#[tokio::test]
async fn no_redis_costs_nothing_and_one_that_comes_is_found() {
    let server = Server::start().await;
    server.hack("kill");
    let redis = Redis::open(
        &server.url.parse().unwrap(),
        &Cores::none(),
        &Default::default(),
        &mut Default::default(),
    );
    let begun = Instant::now();
    for _ in 0..1000 {
        let answer = redis.call(DEADLINE, ping).await;
        assert!(matches!(answer, Err(Unavailable::Absent | Unavailable::Refused)), "{answer:?}");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(500), "1000 calls took {took:?}");
    server.hack("start");
    until("it works after the server came", || works(&redis)).await;
}

#[tokio::test]
async fn a_frozen_redis_costs_a_call_its_deadline_and_then_nothing() {
    let server = Server::start().await;
    let redis = connected(&server.url).await;
    server.hack("stop");
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    for _ in 0..2000 {
        let asked = Instant::now();
        assert!(redis.call(DEADLINE, ping).await.is_err());
        longest = longest.max(asked.elapsed());
    }
    let took = begun.elapsed();
    println!("2000 calls to a frozen Redis: {took:?}, the longest {longest:?}");
    assert!(longest < Duration::from_millis(100), "a call took {longest:?}");
    assert!(took < Duration::from_secs(2), "2000 calls took {took:?}: the breaker did not spare them");
    server.hack("cont");
    until("it works after the server goes on", || works(&redis)).await;
}

#[tokio::test]
async fn a_redis_that_died_and_came_back_is_found() {
    let server = Server::start().await;
    let redis = connected(&server.url).await;
    assert!(works(&redis).await);
    server.hack("kill");
    until("a call fails after the server died", async || !works(&redis).await).await;
    server.hack("start");
    until("it works after the server came back", || works(&redis)).await;
}
