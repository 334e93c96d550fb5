use super::*;
use crate::{Bucket, Words};
use proptest::prelude::*;
use std::collections::BTreeMap;

const SECOND: i64 = 1_000_000_000;

fn random_event() -> impl Strategy<Value = LogRecord> {
    // Few different values, so that ties, shared minutes and misses are common.
    let time = (0..5_i64, 0..4_i64).prop_map(|(minute, second)| (minute * 60 + second * 20) * SECOND);
    (time, 0..6_u8, 0..3_u8, 0..4_u8, any::<bool>()).prop_map(|(nanos, level, service, text, attributes)| {
        LogRecord {
            level: Level::from_number(level).unwrap(),
            service: format!("service-{service}"),
            attributes: attributes.then(|| {
                serde_json::value::RawValue::from_string(format!("{{\"note\":\"Extra {text}\"}}")).unwrap()
            }),
            ..event(["acme", "other"][usize::from(text == 3)], nanos, &format!("Order {text} paid"))
        }
    })
}

fn random_filter() -> impl Strategy<Value = Filter> {
    let time =
        || proptest::option::of((0..320_i64).prop_map(|second| Timestamp::from_nanos(second * SECOND)));
    let levels = proptest::collection::vec((0..6_u8).prop_map(|n| Level::from_number(n).unwrap()), 0..3);
    let service = proptest::option::of((0..4_u8).prop_map(|n| format!("service-{n}")));
    let words = proptest::collection::vec("(order|PAID|1|extra|nowhere)", 0..3);
    (time(), time(), levels, service, words).prop_map(|(from, to, levels, service, words)| Filter {
        from: from.flatten(),
        to: to.flatten(),
        levels,
        service,
        words,
        ..everything("acme")
    })
}

async fn filled(dir: &tempfile::TempDir, events: &[LogRecord]) -> Store {
    let store = open(dir);
    begin(&store, 1).await;
    store.flush(rows(0, 0, events.to_vec())).await.unwrap();
    store
}

/// What the filter means, in the order of a search, by the plain way.
fn expected<'a>(events: &'a [LogRecord], filter: &Filter) -> Vec<&'a LogRecord> {
    let words = Words::new(&filter.words);
    let mut meant: Vec<_> = events.iter().filter(|event| filter.matches(event, &words)).collect();
    meant.reverse();
    meant.sort_by_key(|event| std::cmp::Reverse(event.timestamp));
    meant
}

async fn search_all(store: &Store, filter: &Filter, limit: usize, budget: Duration) -> Vec<LogRecord> {
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..10_000 {
        let question = SearchQuestion { filter: filter.clone(), limit, after, budget };
        let page = store.search(question).await.unwrap();
        assert!(page.logs.len() <= limit);
        found.extend(page.logs);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
    panic!("the cursor does not move on");
}

fn json(events: impl IntoIterator<Item = impl std::borrow::Borrow<LogRecord>>) -> Vec<String> {
    let text = |event: &LogRecord| String::from_utf8(event.to_json()).unwrap();
    events.into_iter().map(|event| text(event.borrow())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pages_put_together_are_what_the_plain_way_finds(
        events in proptest::collection::vec(random_event(), 0..60),
        filters in proptest::collection::vec(random_filter(), 4),
        limit in 1..12_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = filled(&dir, &events).await;
            for filter in filters {
                let expected = expected(&events, &filter);
                let found = search_all(&store, &filter, limit, BUDGET).await;
                assert_eq!(json(found), json(expected.iter().copied()), "{filter:?}");

                let filter = Filter { words: vec![], ..filter };
                let words = Words::new(&[]);
                let times = || {
                    events.iter().filter(|event| filter.matches(event, &words)).map(|event| event.timestamp)
                };
                let span = store.span(&filter).await.unwrap();
                assert_eq!(span, times().min().zip(times().max()), "{filter:?}");
            }
        });
    }

    #[test]
    fn counts_are_those_of_the_plain_way(
        events in proptest::collection::vec(random_event(), 0..60),
        filters in proptest::collection::vec(random_filter(), 4),
        seconds in prop_oneof![Just(1_u64), Just(30), Just(60), Just(90), Just(120), Just(86_400)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = filled(&dir, &events).await;
            for filter in filters {
                let interval = Duration::from_secs(seconds);
                let mut buckets: BTreeMap<Timestamp, BTreeMap<Level, u64>> = BTreeMap::new();
                for event in expected(&events, &filter) {
                    let nanos = event.timestamp.as_nanos();
                    let start = nanos - nanos % (seconds as i64 * SECOND);
                    let bucket = buckets.entry(Timestamp::from_nanos(start).unwrap()).or_default();
                    *bucket.entry(event.level).or_default() += 1;
                }
                let expected: Vec<_> =
                    buckets.into_iter().map(|(start, by_level)| Bucket { start, by_level }).collect();
                let question = StatsQuestion { filter: filter.clone(), interval, budget: BUDGET };
                let answer = store.stats(question).await.unwrap();
                assert_eq!(answer, StatsAnswer { buckets: expected, partial: false }, "{filter:?}");
            }
        });
    }
}

#[tokio::test]
async fn a_search_without_time_still_moves_on_and_finds_all_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let events: Vec<_> = (0..3_000).map(|n| event("acme", n / 700, &format!("event {n}"))).collect();
    let store = filled(&dir, &events).await;
    let filter = Filter { words: vec!["99".into()], ..everything("acme") };
    let found = search_all(&store, &filter, 100, Duration::ZERO).await;
    assert_eq!(json(found), json(expected(&events, &filter)));
    let question = StatsQuestion { filter, interval: Duration::from_secs(60), budget: Duration::ZERO };
    assert!(store.stats(question).await.unwrap().partial);
}

#[tokio::test]
async fn an_event_is_found_by_id_in_its_own_organisation_only() {
    let dir = tempfile::tempdir().unwrap();
    let ours = event("acme", 5, "ours");
    let twice = LogRecord { message: "sent again".into(), ..ours.clone() };
    let store = filled(&dir, &[ours.clone(), event("other", 5, "theirs"), twice]).await;
    let get = async |name: &str, id| store.get(&name.parse().unwrap(), id).await.unwrap();
    assert_eq!(get("acme", ours.id).await.unwrap().message, "ours");
    assert!(get("other", ours.id).await.is_none());
    assert!(get("nobody", ours.id).await.is_none());
    assert!(get("acme", Uuid::nil()).await.is_none());
}

#[tokio::test]
async fn queries_beyond_those_that_may_wait_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(&dir, Config { readers: 1, waiting_queries: 1, ..Config::default() });
    let (go, held) = std::sync::mpsc::channel::<()>();
    let (began, begun) = tokio::sync::oneshot::channel();
    let hold = store.readers.ask(move |_| {
        began.send(()).unwrap();
        let _: () = held.recv().unwrap();
        Ok(())
    });
    let others = async {
        begun.await.unwrap();
        let waiting = store.ledger();
        let refused = async {
            let refused = store.ledger().await;
            go.send(()).unwrap();
            refused
        };
        tokio::join!(waiting, refused)
    };
    let (hold, (waiting, refused)) = tokio::join!(hold, others);
    hold.unwrap();
    assert!(waiting.is_ok());
    assert!(matches!(refused, Err(QueryError::Busy)), "{refused:?}");
}
