//! The live tail: new events appear by themselves, and wait while someone reads further down.

use std::time::Duration;

use anyhow::Result;
use browser_tests::{Page, event, event_at, with_page};

const OPEN: &str = "document.getElementById('live').dataset.state === 'open'";

async fn first_message(page: &Page) -> Result<String> {
    Ok(page.messages().await?.into_iter().next().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_event_appears_on_top() -> Result<()> {
    with_page(async |page| {
        page.send(&[event_at(Duration::from_secs(60), "shop", "INFO", "before")]).await?;
        page.reopen("").await?;
        page.wait_for_events(1).await?;
        page.click("#live").await?;
        page.wait_until("the tail is open", OPEN).await?;
        assert_eq!(page.text("location.search").await?, "?live=1");
        page.send(&[event("shop", "WARN", "hot off the press")]).await?;
        page.wait_until("two rows", "document.querySelectorAll('.row').length === 2").await?;
        assert_eq!(page.messages().await?, ["hot off the press", "before"]);
        page.click("#live").await?;
        page.wait_until("the tail is closed", "document.getElementById('live').dataset.state === 'off'")
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tail_keeps_to_the_filters() -> Result<()> {
    with_page(async |page| {
        page.reopen("?live=1&level=ERROR&q=disk").await?;
        page.wait_until("the tail is open", OPEN).await?;
        let other = [event("a", "INFO", "disk is fine"), event("a", "ERROR", "network is down")];
        page.send(&other).await?;
        page.send(&[event("a", "ERROR", "disk is full")]).await?;
        page.wait_until("the event that matches", "document.querySelector('.row')").await?;
        assert_eq!(page.messages().await?, ["disk is full"]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn new_events_wait_while_scrolled_away() -> Result<()> {
    with_page(async |page| {
        let old: Vec<_> = (1..300)
            .map(|number| event_at(Duration::from_secs(number), "shop", "INFO", &format!("old {number}")))
            .collect();
        page.send(&old).await?;
        page.reopen("?live=1").await?;
        page.wait_for_events(299).await?;
        page.wait_until("the tail is open", OPEN).await?;
        page.run("document.getElementById('list').scrollTop = 2600", vec![]).await?;
        page.wait_until("scrolled", "document.querySelector('.row').index > 50").await?;
        page.send(&[event("shop", "INFO", "one more"), event("shop", "INFO", "and another")]).await?;
        page.wait_until(
            "the button with the count",
            "document.getElementById('jump').textContent.includes('2 new')",
        )
        .await?;
        assert_eq!(
            page.text("document.getElementById('list').ariaRowCount").await?,
            "299",
            "nothing moves under the reader"
        );
        page.click("#jump").await?;
        page.wait_until("all are there", "document.getElementById('list').ariaRowCount === '301'").await?;
        let first = first_message(&page).await?;
        assert!(["one more", "and another"].contains(&first.as_str()), "{first}");
        assert_eq!(page.value("document.getElementById('jump').hidden").await?, true);
        Ok(())
    })
    .await
}
