//! The picture of the pipeline: its numbers are the pipeline's.

use anyhow::Result;
use browser_tests::{event, with_page, with_pipeline};
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

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_the_scope_sees_states_and_is_told_kindly_of_the_rest() -> Result<()> {
    with_pipeline(None, async |page, pipeline| {
        page.send(&[event("shop", "INFO", "an event of demo")]).await?;
        page.wait_until("it is counted", &format!("{} === '1'", part("store", "strong"))).await?;
        let tenant = page.with_token(pipeline.token_of_tenant("acme").await?);
        tenant.open_signed_in("").await?;
        tenant.send(&[event("till", "INFO", "an event of acme")]).await?;
        tenant.reopen("?range=all").await?;
        tenant.wait_for_events(1).await?;

        tenant.wait_until("the ledger is balanced", &format!("{} === 'balanced'", part("ledger", ".status"))).await?;
        tenant.wait_until("no lag", &format!("{} === '0'", part("topic", "strong"))).await?;
        let facts = tenant
            .value("['producer', 'consumer', 'ledger'].map((name) => document.querySelector(`.part.${name} .facts`).innerText.trim())")
            .await?;
        assert_eq!(facts, serde_json::json!(["", "", ""]), "nothing is missing, and nothing is there");
        let store = tenant.text(&part("store", ".facts")).await?;
        assert!(store.ends_with(" ms to answer"), "{store}");
        let tones =
            tenant.value("[...document.querySelectorAll('.part')].map((one) => one.dataset.tone)").await?;
        assert_eq!(tones, serde_json::json!(["good", "good", "good", "good", "good"]));
        let complaints = "document.querySelectorAll('.part-problems li, .notices li, .notices div, .problem, .because').length";
        assert_eq!(tenant.value(complaints).await?, 0);
        tenant.wait_until("the breaker before reads", "[...document.querySelectorAll('.breaker')].some((one) => one.textContent === 'store-reads closed')").await?;

        tenant.click(".expand").await?;
        let told = "document.querySelector('.unseen').checkVisibility() && document.querySelector('.unseen').innerText";
        let told = tenant.wait_until("what is not shown is told", told).await?;
        assert!(told.as_str().is_some_and(|text| text.contains("pipeline:read")), "{told}");
        assert_eq!(tenant.value("document.querySelector('.partitions table').checkVisibility()").await?, false);
        tenant.check_contrast().await?;
        // It does not ask for what it would not get.
        let asked = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/api/v1/ledger')).length";
        assert_eq!(tenant.value(asked).await?, 0);

        // The same tab with the operator's token shows everything again.
        page.open_signed_in("").await?;
        page.wait_until("the store's count", &format!("{} === '2'", part("store", "strong"))).await?;
        page.click(".expand").await?;
        page.wait_until("the partitions", "document.querySelectorAll('.partitions tbody tr').length === 6").await?;
        assert_eq!(page.value("document.querySelector('.unseen').checkVisibility()").await?, false);
        Ok(())
    })
    .await
}
