//! How it looks: dark and light, wide and narrow.

use anyhow::Result;
use browser_tests::{ColourScheme, Page, event, with_page};
use serde_json::Value;

const GROUND: &str = "getComputedStyle(document.body).backgroundColor";
const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

async fn with_an_event_a_level(page: &Page) -> Result<()> {
    for level in LEVELS {
        let mut one = event("shop", level, &format!("an event of level {level}\nwith a second line"));
        one["attributes"] = serde_json::json!({ "number": 1, "text": "x", "flag": true, "none": null });
        page.send(&[one]).await?;
    }
    page.reopen("").await?;
    page.wait_for_events(LEVELS.len()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn dark_and_light_differ_and_are_readable() -> Result<()> {
    with_page(async |page| {
        with_an_event_a_level(&page).await?;
        page.click(".row[data-level=FATAL]").await?;
        page.wait_until("the panel", "document.querySelector('.detail .json')").await?;
        page.click(".expand").await?;
        let mut grounds = Vec::new();
        for scheme in [ColourScheme::Light, ColourScheme::Dark] {
            page.prefer(scheme).await?;
            grounds.push(page.text(GROUND).await?);
        }
        assert_ne!(grounds[0], grounds[1]);
        let looked_at = page.check_contrast().await?;
        assert!(looked_at > 80, "only {looked_at} texts were looked at");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chosen_theme_wins_over_the_system_and_is_kept() -> Result<()> {
    with_page(async |page| {
        page.prefer(ColourScheme::Light).await?;
        let light = page.text(GROUND).await?;
        page.click("#theme").await?;
        page.click("#theme").await?;
        let dark = page.text(GROUND).await?;
        assert_ne!(light, dark);
        page.reopen("").await?;
        assert_eq!(page.text(GROUND).await?, dark, "kept after loading the page again");
        page.click("#theme").await?;
        assert_eq!(page.text(GROUND).await?, light, "auto again");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_window_shows_everything_without_scrolling_sideways() -> Result<()> {
    with_page(async |page| {
        page.resize(400, 800).await?;
        with_an_event_a_level(&page).await?;
        assert_eq!(page.value("document.documentElement.scrollWidth <= 400").await?, true);
        let outside = "[...document.querySelectorAll('#q, #live, #theme, .part, .chip, .row, .plot')]
            .filter((one) => one.getBoundingClientRect().right > 400 || !one.checkVisibility()).map((one) => one.className || one.id)";
        assert_eq!(page.value(outside).await?, Value::Array(vec![]));
        page.click(".row[data-level=WARN]").await?;
        page.wait_until("the panel covers the page", "document.getElementById('detail').offsetWidth === 400").await?;
        page.click(".detail [aria-label=Close]").await?;
        page.wait_until("the list again", "document.getElementById('detail').hidden").await?;
        Ok(())
    })
    .await
}
