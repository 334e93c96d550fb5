//! The picture of the pipeline: its numbers are the pipeline's.

use anyhow::Result;
use browser_tests::{event, with_page};
use serde_json::Value;

fn part(name: &str, inside: &str) -> String {
    format!("document.querySelector('.part.{name} {inside}')?.textContent")
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_ledger_are_shown_and_keep_up() -> Result<()> {
    with_page(async |page| {
        for sent in [12, 30] {
            let events: Vec<Value> =
                (0..sent).map(|number| event("shop", "INFO", &format!("event {number}"))).collect();
            page.send(&events).await?;
            let total = if sent == 12 { 12 } else { 42 };
            let shows = |name| format!("{} === '{total}'", part(name, "strong"));
            page.wait_until("the producer's count", &shows("producer")).await?;
            page.wait_until("the consumer's count", &shows("consumer")).await?;
            page.wait_until("the store's count", &shows("store")).await?;
        }
        page.wait_until("no lag", &format!("{} === '0'", part("topic", "strong"))).await?;
        assert_eq!(page.text(&part("ledger", ".status")).await?, "balanced");
        assert_eq!(page.value("document.querySelectorAll('.lag-bars i').length").await?, 6);
        let tones =
            page.value("[...document.querySelectorAll('.part')].map((one) => one.dataset.tone)").await?;
        assert_eq!(tones, serde_json::json!(["good", "good", "good", "good", "good"]));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_partitions_add_up() -> Result<()> {
    with_page(async |page| {
        page.send(&[event("shop", "INFO", "one"), event("shop", "INFO", "two")]).await?;
        page.click(".expand").await?;
        let cells = "[...document.querySelectorAll('.partitions tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))";
        let stored = format!("{cells}.reduce((sum, row) => sum + Number(row[5]), 0) === 2");
        page.wait_until("two stored events in the table", &stored).await?;
        let rows = page.value(cells).await?;
        assert_eq!(rows.as_array().map(Vec::len), Some(6));
        for row in rows.as_array().into_iter().flatten() {
            let number = |column: usize| row[column].as_str().unwrap().replace(',', "").parse::<i64>().unwrap();
            assert_eq!(number(2) - number(1), number(5) + number(7) + number(8) + number(9), "{row}");
            assert_eq!(row[10], "yes");
        }
        Ok(())
    })
    .await
}
