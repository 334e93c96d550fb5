//! What a hostile event or a wrong token can do: nothing. That no request leaves the origin is checked after every test.

use anyhow::Result;
use browser_tests::{event, with_page};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn markup_in_an_event_is_text() -> Result<()> {
    with_page(async |page| {
        let attack = r#"<img src=x onerror="window.hacked = true"><script>window.hacked = true</script>"#;
        let mut hostile = event("<b>evil</b>", "ERROR", attack);
        hostile["attributes"] = json!({ attack: attack, "link": "javascript:window.hacked=true" });
        page.send(&[hostile]).await?;
        page.reopen("?q=onerror&live=1").await?;
        page.wait_for_events(1).await?;
        assert_eq!(page.messages().await?, [attack]);
        page.click(".row").await?;
        page.wait_until("the panel", "document.querySelector('.detail .json')").await?;
        assert_eq!(page.text("document.querySelector('.message-text').textContent").await?, attack);
        page.send(&[event("live", "INFO", &format!("{attack} live"))]).await?;
        page.wait_until("the live one", "document.querySelectorAll('.row').length === 2").await?;
        assert_eq!(page.value("window.hacked ?? null").await?, json!(null));
        let foreign = "document.querySelectorAll('img:not([src=\"ui/icon.svg\"]), script:not([src]), .row b, .detail b, a[href^=javascript]').length";
        assert_eq!(page.value(foreign).await?, 0);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn inline_script_is_refused_by_the_policy() -> Result<()> {
    with_page(async |page| {
        page.expect_console_error("Content Security Policy");
        page.run(
            "const script = document.createElement('script'); script.textContent = 'window.ran = true'; document.body.append(script);",
            vec![],
        )
        .await?;
        assert_eq!(page.value("window.ran ?? null").await?, json!(null));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_leaves_the_address() -> Result<()> {
    with_page(async |page| {
        page.open_signed_in("?range=24h").await?;
        assert_eq!(page.text("location.hash").await?, "");
        page.click("[data-range='7d']").await?;
        let address = page.text("location.href").await?;
        assert!(address.ends_with("/?range=7d") && !address.contains("token"), "{address}");
        assert_eq!(
            page.value("Object.values({ ...localStorage }).some((value) => value.startsWith('eyJ'))").await?,
            false
        );
        page.reopen("").await?;
        page.wait_until("still signed in", "document.querySelector('.part.ledger strong')").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_asks_for_another() -> Result<()> {
    with_page(async |page| {
        page.expect_console_error("401");
        page.open("/?x#token=eyJhbGciOiJIUzI1NiJ9.e30.wrong").await?;
        page.wait_until(
            "the sign-in panel with a reason",
            "document.querySelector('#sign-in [role=alert]')?.textContent",
        )
        .await?;
        let panel = page.text("document.getElementById('sign-in').innerText").await?;
        assert!(panel.contains("logpipeline token --data-dir DIR --organisation ORG"), "{panel}");
        assert_eq!(page.value("document.getElementById('app').hidden").await?, true);
        page.click("#token").await?;
        page.press(page.token()).await?;
        page.click("#sign-in [type=submit]").await?;
        page.wait_until(
            "the page",
            "!document.getElementById('app').hidden && document.querySelector('.part.ledger strong')",
        )
        .await?;
        Ok(())
    })
    .await
}
