//! Many events: the list stays small and quick however many there are.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use browser_tests::{Page, event, with_page};
use jiff::Timestamp;
use serde_json::Value;

const EVENTS: u32 = 20_000;
const MAX_ELEMENTS: u64 = 1_500;
const MAX_ROWS: u64 = 120;
/// Far above what is felt, so that a busy machine does not matter; drawing every row would take longer.
const LONGEST_TASK_MS: f64 = 1_000.0;

/// Events a tenth of a second apart; event 0 is the newest.
fn numbered(now: Timestamp, numbers: Range<u32>) -> Vec<Value> {
    let numbered = |number| {
        let mut one = event("load", "INFO", &format!("event {number}"));
        one["timestamp"] = (now - Duration::from_millis(100 * u64::from(number))).to_string().into();
        one
    };
    numbers.map(numbered).collect()
}

/// Scrolls to a share of the list; returns the number of elements and of rows in the document.
async fn scroll_to(page: &Page, share: f64) -> Result<(u64, u64)> {
    let counts = page
        .run(
            "const list = document.getElementById('list');
             list.scrollTop = arguments[0] * list.scrollHeight;
             return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
               done([document.querySelectorAll('*').length, document.querySelectorAll('.row').length]))));",
            vec![share.into()],
        )
        .await?;
    Ok(serde_json::from_value(counts)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_events_scroll_with_few_elements() -> Result<()> {
    with_page(async |page| {
        let now = Timestamp::now();
        page.send(&numbered(now, 0..EVENTS / 2)).await?;
        page.send(&numbered(now, EVENTS / 2..EVENTS)).await?;
        page.reopen("?range=all").await?;
        page.run(
            "window.longTasks = [];
             new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((one) => one.duration)))
               .observe({ type: 'longtask' });",
            vec![],
        )
        .await?;
        // Down to the end: each time the end is reached, the next page is fetched.
        let end = "document.querySelector('.list-foot').textContent.startsWith('20,000 events.')";
        let mut loaded = 0;
        while page.value(end).await? != true {
            let (elements, rows) = scroll_to(&page, 1.0).await?;
            assert!(elements < MAX_ELEMENTS && rows < MAX_ROWS, "{elements} elements, {rows} rows after {loaded} events");
            let more = format!("{end} || Number(document.getElementById('list').ariaRowCount) > {loaded}");
            page.wait_until("the next page", &more).await?;
            loaded = page.text("document.getElementById('list').ariaRowCount").await?.parse()?;
        }
        for share in [0.9, 0.5, 0.1, 0.0, 0.77] {
            let (elements, rows) = scroll_to(&page, share).await?;
            assert!(elements < MAX_ELEMENTS && (10..MAX_ROWS).contains(&rows), "{elements} elements, {rows} rows");
            check_order(&page).await?;
        }
        let longest = page.value("Math.max(0, ...longTasks)").await?.as_f64().unwrap();
        assert!(longest < LONGEST_TASK_MS, "a task of {longest} ms");
        Ok(())
    })
    .await
}

/// Every line in sight shows the event that belongs at its place.
async fn check_order(page: &Page) -> Result<()> {
    let wrong = page
        .value(
            "[...document.querySelectorAll('.row')].filter((row) => {
               const top = new DOMMatrix(getComputedStyle(row).transform).f;
               const index = Math.round(top / row.offsetHeight);
               return row.querySelector('.text').textContent !== `event ${index}` || Number(row.ariaRowIndex) !== index + 1;
             }).map((row) => row.innerText)",
        )
        .await?;
    assert_eq!(wrong, Value::Array(vec![]), "lines at a wrong place");
    Ok(())
}
