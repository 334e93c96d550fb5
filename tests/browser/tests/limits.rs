//! What the page shows of the organisation's limits, and that it keeps to them.

use anyhow::Result;
use browser_tests::{event, with_pipeline};
use serde_json::json;

const LIMITS: &str = r#"{ "default": { "write": { "perSecond": 10, "burst": 5000 }, "read": { "perSecond": 1, "burst": 30 } } }"#;
const PAUSE: &str =
    "document.querySelector('.limits')?.textContent.match(/reading pauses and goes on in \\d+ s/)?.[0]";

fn limit(kind: &str) -> String {
    format!("document.querySelector('.limit[data-kind={kind}]')?.textContent")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_shown() -> Result<()> {
    with_pipeline(Some(LIMITS), async |page, _| {
        page.wait_until(
            "all of the writes",
            &format!("{} === 'write 5,000 of 5,000 events left, 10/s'", limit("write")),
        )
        .await?;
        page.wait_until(
            "a part of the reads",
            &format!("/^read \\d+ of 30 requests left, 1\\/s$/.test({})", limit("read")),
        )
        .await?;
        let (status, answer) =
            page.api("/api/v1/logs", Some(&json!(vec![event("shop", "INFO", "one of many"); 1000]))).await?;
        assert_eq!(status, 202, "{answer}");
        page.wait_until(
            "the events are taken off",
            &format!("/^write 4,0\\d\\d of/.test({})", limit("write")),
        )
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_used_up_is_told_kindly_and_kept() -> Result<()> {
    with_pipeline(Some(LIMITS), async |page, _| {
        page.expect_console_error("429");
        page.wait_until(
            "asking too often is told where the events are",
            "document.querySelector('.problem[data-tone=warn]')?.textContent.includes('used up what it may read') \
             || (document.getElementById('refresh').click(), false)",
        )
        .await?;
        page.wait_until("and below the pipeline, with when it goes on", PAUSE).await?;
        page.check_contrast().await?;
        assert_eq!(
            page.value("[...document.querySelectorAll('.part')].every((one) => one.dataset.tone === 'good')").await?,
            true,
            "the pipeline itself is well"
        );
        // While it pauses nothing is sent, whatever is clicked; then it goes on by itself.
        page.run("performance.clearResourceTimings()", vec![]).await?;
        page.run("for (let n = 0; n < 20; n += 1) document.getElementById('refresh').click()", vec![]).await?;
        page.wait_until("it goes on by itself", &format!("!{PAUSE} && document.querySelector('.empty')")).await?;
        let reads = page
            .value("performance.getEntriesByType('resource').filter((one) => /api.v1.(logs|stats|overview|ledger)/.test(one.name)).length")
            .await?
            .as_u64()
            .unwrap_or_default();
        assert!(reads < 20, "{reads} reads after the limit was used up");
        Ok(())
    })
    .await
}
