//! Queries against what the plain way finds.

use crate::support::*;
use proptest::prelude::*;
use record::{Level, LogRecord, Timestamp, Uuid};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use store::{
    Bucket, Filter, PartitionKey, Position, Query, SearchQuestion, Sink, StatsAnswer, StatsQuestion, Words,
    postgres::Store,
};

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
            ..event(["acme", "other"][usize::from(text == 3)], nanos, &format!("Order {text} paid Ärger%"))
        }
    })
}

fn random_filter() -> impl Strategy<Value = Filter> {
    let time =
        || proptest::option::of((0..320_i64).prop_map(|second| Timestamp::from_nanos(second * SECOND)));
    let levels = proptest::collection::vec((0..6_u8).prop_map(|n| Level::from_number(n).unwrap()), 0..3);
    let service = proptest::option::of((0..4_u8).prop_map(|n| format!("service-{n}")));
    let words = proptest::collection::vec("(order|PAID|1|extra|nowhere|äRGER|%|ärger%|a_d|\\PC?)", 0..3);
    (time(), time(), levels, service, words).prop_map(|(from, to, levels, service, words)| Filter {
        from: from.flatten(),
        to: to.flatten(),
        levels,
        service,
        words,
        ..everything("acme")
    })
}

/// Makes the events of a case those of organisations of its own, and stores them.
async fn fill(store: &Store, events: &mut [LogRecord]) -> u32 {
    static CASE: AtomicU32 = AtomicU32::new(0);
    let case = CASE.fetch_add(1, Ordering::Relaxed);
    for event in &mut *events {
        event.organization_id = format!("{}-{case}", event.organization_id).parse().unwrap();
    }
    let of = PartitionKey { topic: Uuid::now_v7(), partition: 0, epoch: 0 };
    store.positions(&[Position { of, next: 0 }]).await.unwrap();
    store.flush(store::Flush { of, ..rows(0, 0, events.to_vec()) }).await.unwrap();
    case
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

#[test]
fn pages_put_together_are_what_the_plain_way_finds() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_database, store) = runtime.block_on(store());
    let events = proptest::collection::vec(random_event(), 0..60);
    let filters = proptest::collection::vec(random_filter(), 4);
    let config = ProptestConfig::with_cases(48);
    proptest!(config, |(mut events in events, filters in filters, limit in 1..12_usize)| {
        runtime.block_on(async {
            let case = fill(&store, &mut events).await;
            for filter in filters {
                let filter = Filter { organization: format!("acme-{case}").parse().unwrap(), ..filter };
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
    });
}

#[test]
fn counts_are_those_of_the_plain_way() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_database, store) = runtime.block_on(store());
    let events = proptest::collection::vec(random_event(), 0..60);
    let filters = proptest::collection::vec(random_filter(), 4);
    let seconds = prop_oneof![Just(1_u64), Just(30), Just(60), Just(90), Just(120), Just(86_400)];
    let config = ProptestConfig::with_cases(48);
    proptest!(config, |(mut events in events, filters in filters, seconds in seconds)| {
        runtime.block_on(async {
            let case = fill(&store, &mut events).await;
            for filter in filters {
                let filter = Filter { organization: format!("acme-{case}").parse().unwrap(), ..filter };
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
    });
}

#[tokio::test]
async fn a_search_without_time_still_moves_on_and_finds_all_in_the_end() {
    let (_database, store) = store().await;
    let mut events: Vec<_> = (0..5_000).map(|n| event("acme", n / 1_700, &format!("event {n}"))).collect();
    let case = fill(&store, &mut events).await;
    for words in [vec!["99".into()], vec!["event".into(), "é".into()], vec![]] {
        let filter = Filter { words, ..everything(&format!("acme-{case}")) };
        let found = search_all(&store, &filter, 100, Duration::ZERO).await;
        assert_eq!(json(found), json(expected(&events, &filter)), "{:?}", filter.words);
    }
}

#[tokio::test]
async fn counting_without_time_answers_the_newest_and_says_that_it_is_partial() {
    let (database, store) = store().await;
    database
        .run(
            "INSERT INTO logs SELECT n, n, gen_random_uuid(), now(), 2, 'acme', 's', 'm'
             FROM generate_series(1, 450000) AS n",
        )
        .await;
    let question =
        |budget| StatsQuestion { filter: everything("acme"), interval: Duration::from_nanos(1_000), budget };
    let counted =
        |answer: &StatsAnswer| answer.buckets.iter().flat_map(|bucket| bucket.by_level.values()).sum::<u64>();
    let newest = store.stats(question(Duration::ZERO)).await.unwrap();
    assert_eq!((counted(&newest), newest.partial), (100_000, true));
    assert_eq!(newest.buckets.last().unwrap().start, at(450_000));
    let all = store.stats(question(BUDGET)).await.unwrap();
    assert_eq!((counted(&all), all.partial), (450_000, false));

    // Of a service that is nowhere, only the ends are looked at: the span is wider than the truth, never narrower.
    let nowhere = Filter { service: Some("nowhere".into()), ..everything("acme") };
    assert_eq!(store.span(&nowhere).await.unwrap(), Some((at(50_001), at(400_000))));
    let by_level = Filter { levels: vec![Level::Info], ..everything("acme") };
    assert_eq!(store.span(&by_level).await.unwrap(), Some((at(1), at(450_000))));
}

#[tokio::test]
async fn a_question_with_a_null_character_finds_nothing_and_harms_nothing() {
    let (_database, store) = store().await;
    let mut events = vec![event("acme", 1, "m")];
    let case = fill(&store, &mut events).await;
    let all = everything(&format!("acme-{case}"));
    for filter in [
        Filter { words: vec!["m\0".into()], ..all.clone() },
        Filter { service: Some("\0".into()), ..all.clone() },
    ] {
        assert!(search_all(&store, &filter, 10, BUDGET).await.is_empty());
        let question =
            StatsQuestion { filter: filter.clone(), interval: Duration::from_secs(1), budget: BUDGET };
        assert_eq!(store.stats(question).await.unwrap(), StatsAnswer { buckets: vec![], partial: false });
        assert_eq!(store.span(&filter).await.unwrap(), None);
    }
    assert_eq!(search_all(&store, &all, 10, BUDGET).await.len(), 1);
}

#[tokio::test]
async fn an_event_is_found_by_id_in_its_own_organisation_only() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    let now = Timestamp::now().as_nanos();
    let ours = event("acme", now, "ours");
    // An id that says nothing of its time, and one that says another.
    let random = LogRecord { id: Uuid::from_u128(u128::MAX / 3), ..event("acme", now, "random") };
    let replayed = event("acme", now - 400 * DAY, "replayed");
    let events = vec![ours.clone(), random.clone(), replayed.clone(), event("other", now, "theirs")];
    store.flush(rows(0, 0, events)).await.unwrap();
    let get = async |name: &str, id| store.get(&name.parse().unwrap(), id).await.unwrap();
    for event in [&ours, &random, &replayed] {
        assert_eq!(get("acme", event.id).await.unwrap().message, event.message);
        assert!(get("other", event.id).await.is_none());
        assert!(get("nobody", event.id).await.is_none());
    }
    assert!(get("acme", Uuid::nil()).await.is_none());
    assert!(get("acme", Uuid::now_v7()).await.is_none());
}
