//! The bucket in Redis does what the bucket in Rust does.

use crate::support::{connected, name, shared};
use gateway::limits::{Act, Kind, Shared};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use resilience::{Bucket, Limit};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => prop_oneof![0..30_u32, any::<u32>()].prop_map(Act::Take),
        2 => prop_oneof![-40..40_i64, any::<i64>()].prop_map(Act::Settle),
        1 => Just(Act::Look),
    ]
}

fn limit() -> impl Strategy<Value = Limit> {
    let number = || prop_oneof![1..40_u32, 1..=Limit::MOST];
    (number(), number()).prop_map(|(rate, burst)| Limit::new(rate, burst).unwrap())
}

#[test]
fn rust_and_lua_agree_to_the_millionth_of_a_token() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let buckets = runtime.block_on(async { Shared::new(connected(&shared()).await) });
    // A microsecond of today: sums are as large as they ever are.
    let begin = 1_780_000_000_000_000_u64;
    let steps = vec((0..3_000_000_u64, 0..20_u8, prop::option::weighted(0.1, limit()), act()), 1..60);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() });
    let agreed = runner.run(&(limit(), steps), |(mut limit, steps)| {
        let name = name(&format!("arithmetic-{}", rand::random::<u64>()));
        let (mut now, mut bucket) = (begin, Bucket::full(limit, begin));
        for (passed, back, new, act) in steps {
            now = if back == 0 { now - passed } else { now + passed };
            if let Some(new) = new {
                // A key that is not there is full whatever the limit, so both begin with it at the same level.
                bucket.settle(limit, now, 0);
                let settled = buckets.act((&name, Kind::Write), limit, Act::Settle(1), PATIENCE, Some(now));
                runtime.block_on(settled).unwrap();
                bucket.settle(limit, now, 1);
                limit = new;
            }
            let taken = match act {
                Act::Take(cost) => bucket.take(limit, now, cost),
                Act::Settle(more) => {
                    bucket.settle(limit, now, more);
                    true
                }
                Act::Look => true,
            };
            let there = buckets.act((&name, Kind::Write), limit, act, PATIENCE, Some(now));
            prop_assert_eq!(runtime.block_on(there).unwrap(), (taken, bucket.level(limit, now)));
        }
        Ok(())
    });
    agreed.unwrap();
}

/// A key goes when its bucket is full, and a bucket in debt is kept.
#[tokio::test]
async fn a_full_bucket_needs_no_key() {
    let redis = connected(&shared()).await;
    let (buckets, name) = (Shared::new(redis.clone()), name(&format!("expiry-{}", rand::random::<u64>())));
    let limit = Limit::new(100, 50).unwrap();
    let (taken, level) =
        buckets.act((&name, Kind::Read), limit, Act::Take(70), PATIENCE, None).await.unwrap();
    assert_eq!((taken, level.0), (true, -20_000_000));
    let key = format!("logpipeline:limit:{{{}}}:read", name.as_str());
    let left: i64 = redis
        .call(PATIENCE, async |mut connection| {
            redis::cmd("PTTL").arg(&key).query_async(&mut connection).await
        })
        .await
        .unwrap();
    assert!((500..=702).contains(&left), "70 tokens at 100 a second are there in 700 ms, not in {left} ms");
}
