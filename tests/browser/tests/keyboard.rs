//! The page without a mouse.

use anyhow::Result;
use browser_tests::{Page, event, with_page};
use fantoccini::key::Key;

async fn press(page: &Page, key: Key) -> Result<()> {
    page.press(&char::from(key).to_string()).await
}

const SELECTED: &str = "document.querySelector('.row[aria-selected=true] .text')?.textContent";

#[tokio::test(flavor = "multi_thread")]
async fn search_move_open_and_close_by_keys() -> Result<()> {
    with_page(async |page| {
        for number in 1..=5 {
            page.send(&[event("shop", "INFO", &format!("event {number} of five"))]).await?;
        }
        page.reopen("").await?;
        page.wait_for_events(5).await?;
        page.press("/").await?;
        assert_eq!(page.text("document.activeElement.id").await?, "q");
        page.press("jk five").await?;
        page.wait_until("letters go into the field", "document.getElementById('q').value === 'jk five'").await?;
        page.run("document.getElementById('q').value = ''", vec![]).await?;
        page.press("five").await?;
        press(&page, Key::Enter).await?;
        page.wait_until("the search", "location.search === '?q=five'").await?;
        page.wait_for_events(5).await?;
        page.press("jjj").await?;
        page.wait_until("the third is selected", &format!("{SELECTED} === 'event 3 of five'")).await?;
        page.press("k").await?;
        press(&page, Key::Up).await?;
        press(&page, Key::Enter).await?;
        page.wait_until("the panel", "document.querySelector('.message-text')?.textContent === 'event 5 of five'").await?;
        page.press("j").await?;
        page.wait_until("the panel follows", "document.querySelector('.message-text')?.textContent === 'event 4 of five'").await?;
        let active = "document.getElementById(document.getElementById('list').getAttribute('aria-activedescendant')).textContent";
        assert!(page.text(active).await?.contains("event 4 of five"), "screen readers hear the selected row");
        press(&page, Key::Escape).await?;
        page.wait_until("the panel is gone", "document.getElementById('detail').hidden && !location.search.includes('id=')").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn help_live_and_zone_have_keys() -> Result<()> {
    with_page(async |page| {
        page.press("?").await?;
        page.wait_until("the help", "document.getElementById('help').open").await?;
        page.press("l").await?;
        press(&page, Key::Escape).await?;
        page.wait_until("no help", "!document.getElementById('help').open").await?;
        assert_eq!(
            page.text("document.getElementById('live').ariaPressed").await?,
            "false",
            "the dialog keeps its keys"
        );
        page.press("l").await?;
        page.wait_until("the tail is open", "document.getElementById('live').dataset.state === 'open'")
            .await?;
        page.press("l").await?;
        page.wait_until("the tail is closed", "document.getElementById('live').ariaPressed === 'false'")
            .await?;
        let before = page.text("document.getElementById('zone').textContent").await?;
        page.press("u").await?;
        assert_ne!(page.text("document.getElementById('zone').textContent").await?, before);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_focus_can_be_seen_on_every_control() -> Result<()> {
    with_page(async |page| {
        page.send(&[event("shop", "INFO", "hello")]).await?;
        page.reopen("").await?;
        page.wait_for_events(1).await?;
        let mut seen = Vec::new();
        for _ in 0..26 {
            press(&page, Key::Tab).await?;
            let outlined = "(() => { const at = document.activeElement; const own = getComputedStyle(at);
                const around = [at, at.closest('.search, .service')].filter(Boolean).map((one) => getComputedStyle(one));
                const frame = getComputedStyle(document.getElementById('results'), '::after');
                const visible = around.some((style) => style.outlineStyle !== 'none' || style.boxShadow !== 'none')
                  || (at.id === 'list' && frame.borderTopStyle === 'solid');
                return [at.id || at.className, visible || at === document.body, own.outlineStyle]; })()";
            let state = page.value(outlined).await?;
            assert_eq!(state[1], true, "no visible focus: {state}");
            seen.push(state[0].as_str().unwrap_or_default().to_owned());
        }
        for id in ["q", "live", "theme", "refresh", "list", "plot"] {
            assert!(seen.iter().any(|name| name == id), "{id} is not reached by Tab: {seen:?}");
        }
        Ok(())
    })
    .await
}
