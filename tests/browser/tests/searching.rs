//! Finding events: what is shown, and what each filter leaves.

use std::time::Duration;

use anyhow::Result;
use browser_tests::{Page, event, event_at, with_page};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_hours(1);

fn shop() -> Vec<Value> {
    let mut paid = event_at(Duration::from_secs(5), "payments", "INFO", "captured 84.20 EUR");
    paid["attributes"] = json!({ "order": 8842, "provider": { "name": "acquirer-seven" } });
    vec![
        event_at(
            Duration::from_secs(3),
            "checkout",
            "ERROR",
            "basket is closed\n\tat Basket.add(Basket.java:112)",
        ),
        event_at(Duration::from_secs(4), "checkout", "WARN", "slow query took 1203 ms"),
        paid,
        event_at(HOUR * 30, "checkout", "INFO", "a basket of yesterday"),
    ]
}

async fn shown(page: &Page, query: &str, count: usize) -> Result<Vec<String>> {
    page.reopen(query).await?;
    page.wait_for_events(count).await?;
    page.messages().await
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_sent_events_newest_first() -> Result<()> {
    with_page(async |page| {
        page.send(&shop()).await?;
        let messages = shown(&page, "", 3).await?;
        assert_eq!(messages, ["basket is closed", "slow query took 1203 ms", "captured 84.20 EUR"]);
        let row = page.text("document.querySelector('.row[data-level=ERROR]').innerText").await?;
        for part in ["ERROR", "checkout", "+1 line"] {
            assert!(row.contains(part), "{part:?} is missing in {row:?}");
        }
        assert!(page.text("document.title").await?.contains("logpipeline"));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn text_level_service_and_time_narrow_the_list() -> Result<()> {
    with_page(async |page| {
        page.send(&shop()).await?;
        assert_eq!(
            shown(&page, "?range=7d", 4).await?.last().map(String::as_str),
            Some("a basket of yesterday")
        );
        assert_eq!(shown(&page, "?q=BASKET+closed", 1).await?, ["basket is closed"]);
        assert_eq!(
            shown(&page, "?q=acquirer-seven", 1).await?,
            ["captured 84.20 EUR"],
            "attributes are searched"
        );
        assert_eq!(shown(&page, "?level=WARN", 1).await?, ["slow query took 1203 ms"]);
        assert_eq!(shown(&page, "?level=WARN,ERROR", 2).await?.len(), 2);
        assert_eq!(shown(&page, "?service=payments", 1).await?, ["captured 84.20 EUR"]);
        assert_eq!(shown(&page, "?service=checkout&range=all&q=basket", 2).await?.len(), 2);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controls_change_the_address_and_back_undoes_it() -> Result<()> {
    with_page(async |page| {
        page.send(&shop()).await?;
        shown(&page, "", 3).await?;
        page.click("[data-level=ERROR].chip").await?;
        page.wait_until("only the error is left", "document.querySelectorAll('.row').length === 1").await?;
        assert_eq!(page.text("location.search").await?, "?level=ERROR");
        page.click("[data-range=all]").await?;
        page.click("#q").await?;
        page.press("closed").await?;
        page.wait_until(
            "the address has all filters",
            "location.search === '?q=closed&range=all&level=ERROR' \
            || location.search === '?q=closed&level=ERROR&range=all'",
        )
        .await?;
        page.wait_until(
            "the word is marked",
            "document.querySelector('.row mark')?.textContent === 'closed'",
        )
        .await?;
        page.back().await?;
        page.back().await?;
        page.wait_until("one filter is left", "location.search === '?level=ERROR'").await?;
        page.wait_until("the field is empty again", "document.getElementById('q').value === ''").await?;
        page.back().await?;
        page.wait_for_events(3).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_found_offers_what_there_is() -> Result<()> {
    with_page(async |page| {
        page.wait_until("help for the first event", "document.querySelector('.empty .command')").await?;
        let command = page.text("document.querySelector('.command').textContent").await?;
        assert!(command.starts_with("curl http") && command.contains("/api/v1/logs"), "{command}");
        assert!(!command.contains(page.token()), "the token is not shown");
        page.send(&[event_at(HOUR * 50, "batch", "INFO", "long ago")]).await?;
        page.reopen("").await?;
        page.wait_until("a way to all time", "document.querySelector('.empty .primary')").await?;
        page.click(".empty .primary").await?;
        page.wait_for_events(1).await?;
        assert_eq!(page.messages().await?, ["long ago"]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_opens_with_all_its_fields_and_has_an_address() -> Result<()> {
    with_page(async |page| {
        page.send(&shop()).await?;
        shown(&page, "", 3).await?;
        page.click(".row[data-level=INFO]").await?;
        page.wait_until("the panel", "document.querySelector('.detail .json')").await?;
        let panel = page.text("document.getElementById('detail').innerText").await?;
        for part in ["captured 84.20 EUR", "payments", "8842", "acquirer-seven", "UTC"] {
            assert!(panel.contains(part), "{part:?} is missing in {panel}");
        }
        let query = page.text("location.search").await?;
        assert!(query.starts_with("?id="), "{query}");
        page.open(&format!("/{query}")).await?;
        page.wait_until(
            "the same event",
            "document.querySelector('.message-text')?.textContent === 'captured 84.20 EUR'",
        )
        .await?;
        page.click(".detail .actions button").await?;
        page.wait_until("the filter by its service", "location.search.includes('service=payments')").await?;
        page.wait_for_events(1).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_histogram_is_drawn_and_zooms() -> Result<()> {
    with_page(async |page| {
        let minute = Duration::from_mins(1);
        let mut events: Vec<_> = (0..30).map(|_| event_at(minute * 50, "batch", "INFO", "early")).collect();
        events.extend((0..3).map(|_| event("batch", "ERROR", "late")));
        page.send(&events).await?;
        page.reopen("").await?;
        page.wait_until("bars", "document.querySelector('.bar.INFO').getAttribute('d') && document.querySelector('.bar.ERROR').getAttribute('d')").await?;
        let summary = page.text("document.querySelector('.plot').getAttribute('aria-valuetext')").await?;
        assert!(summary.starts_with("33 events") && summary.contains("3 errors"), "{summary}");
        let place = page.value("(({x, y, width, height}) => [x, y, width, height])(document.querySelector('.plot').getBoundingClientRect())").await?;
        let [x, y, width, height] = [0, 1, 2, 3].map(|index| place[index].as_f64().unwrap());
        let middle = y + height / 2.0;
        page.drag((x + 1.0, middle), (x + width / 2.0, middle)).await?;
        page.wait_until("the address has the range", "/from=.*&to=/.test(location.search)").await?;
        page.wait_for_events(30).await?;
        assert!(page.messages().await?.iter().all(|message| message == "early"));
        page.click(".zoom-out").await?;
        page.wait_for_events(33).await
    })
    .await
}
