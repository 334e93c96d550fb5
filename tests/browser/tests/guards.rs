//! What the page shows of circuit breakers and of a store that is out: the store is broken for real.

use anyhow::{Context, Result};
use browser_tests::{Page, Pipeline, event, event_at, with_pipeline};
use serde_json::json;
use std::time::Duration;

const STALE: &str = "document.querySelector('#stale:not([hidden]) span')?.textContent";

fn breaker(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.breaker')]\
         .find((one) => one.querySelector('.dependency').textContent === '{name}')"
    )
}

fn is(name: &str, words: &str) -> String {
    format!("{}?.querySelector('.state').textContent === '{words}'", breaker(name))
}

/// The store as another process can break it: its table of events has another name until this is mended.
struct Broken(rusqlite::Connection);

impl Broken {
    fn new(pipeline: &Pipeline) -> Result<Broken> {
        let store = rusqlite::Connection::open(pipeline.data_dir().join("store.db"))?;
        store.busy_timeout(Duration::from_secs(10))?;
        for table in TABLES {
            store.execute_batch(&format!("ALTER TABLE {table} RENAME TO hidden_{table}"))?;
        }
        Ok(Broken(store))
    }

    fn mend(self) -> Result<()> {
        for table in TABLES {
            self.0.execute_batch(&format!("ALTER TABLE hidden_{table} RENAME TO {table}"))?;
        }
        Ok(())
    }
}

/// What searches, counts and the ledger are read from.
const TABLES: [&str; 3] = ["logs", "minutes", "positions"];

/// Asks until the breaker before reads is open.
async fn open_the_breaker(page: &Page) -> Result<()> {
    for _ in 0..200 {
        page.api("/api/v1/ledger", None).await?;
        let (_, overview) = page.api("/api/v1/overview", None).await?;
        let breakers = overview["breakers"].as_array().context("no breakers")?;
        if breakers.iter().any(|one| one["dependency"] == "store-reads" && one["state"] == "open") {
            return Ok(());
        }
    }
    anyhow::bail!("the breaker before the store stays closed")
}

#[tokio::test(flavor = "multi_thread")]
async fn breakers_are_shown_by_name_and_state() -> Result<()> {
    with_pipeline(None, async |page, _| {
        for name in ["store-reads", "store-writes", "topic"] {
            page.wait_until(&format!("{name} is closed"), &is(name, "closed")).await?;
        }
        assert_eq!(page.value("document.querySelectorAll('.breaker .because').length").await?, 0);
        assert_eq!(
            page.value("document.querySelector('.limits').hidden").await?,
            true,
            "there are no limits"
        );
        Ok(())
    })
    .await
}

/// Half open lasts for moments and nothing here forces a breaker: the page's own part is given all states.
#[tokio::test(flavor = "multi_thread")]
async fn each_state_has_its_word_and_its_mark() -> Result<()> {
    let drawn = "return import('/ui/guards-view.js').then(({ GuardsView }) => {
        const root = document.querySelector('.guards').appendChild(document.createElement('div'));
        const view = new GuardsView(root);
        const states = ['closed', 'half_open', 'open', 'forced_closed', 'forced_open'];
        const breakers = states.map((state) => ({ dependency: state, state, because: `because of ${state}` }));
        const more = [1, 2, 3].map((n) => ({ dependency: `more-${n}`, state: 'closed', because: '' }));
        view.updateBreakers([...breakers, ...more]);
        const few = root.innerText;
        view.showAll(true);
        const shown = [...root.querySelectorAll('.breaker')].map((one) => {
          const { backgroundColor, backgroundImage, borderRadius } = getComputedStyle(one.querySelector('.mark'));
          const filled = backgroundImage !== 'none' ? 'half' : backgroundColor === 'rgba(0, 0, 0, 0)' ? 'empty' : 'full';
          return [one.innerText, `${filled} ${borderRadius === '0px' ? 'square' : 'round'}`];
        });
        root.remove();
        return [few, shown];
      })";
    with_pipeline(None, async |page, _| {
        let drawn = page.run(drawn, vec![]).await?;
        let few = drawn[0].as_str().unwrap_or_default();
        assert!(few.contains("and 2 more") && !few.contains("more-2"), "{few}");
        let expected = json!([
            ["half_open half open – because of half_open", "half round"],
            ["open open – because of open", "empty round"],
            ["forced_closed forced closed – because of forced_closed", "full square"],
            ["forced_open forced open – because of forced_open", "empty square"],
            ["closed closed", "full round"],
            ["more-1 closed", "full round"],
            ["more-2 closed", "full round"],
            ["more-3 closed", "full round"],
        ]);
        assert_eq!(drawn[1], expected);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_out_is_told_and_what_is_shown_is_marked_as_old() -> Result<()> {
    with_pipeline(None, async |page, pipeline| {
        page.expect_console_error("503");
        page.send(&[event("shop", "INFO", "before the outage")]).await?;
        page.reopen("?range=all").await?;
        page.wait_for_events(1).await?;

        let broken = Broken::new(pipeline)?;
        open_the_breaker(&page).await?;
        page.wait_until("the breaker is shown as open", &is("store-reads", "open")).await?;
        let because = format!("{}.querySelector('.because').textContent", breaker("store-reads"));
        assert!(page.text(&because).await?.contains("failed"), "{}", page.text(&because).await?);
        let first = page.text("document.querySelector('.breaker .dependency').textContent").await?;
        assert_eq!(first, "store-reads", "what is not closed comes first");

        // Loaded anew, the page has nothing but what the gateway kept.
        page.reopen("?range=all").await?;
        page.wait_for_events(1).await?;
        assert_eq!(page.messages().await?, ["before the outage"]);
        let all = format!("['vents', 'counts', 'ledger'].every((part) => {STALE}?.includes(part))");
        page.wait_until("all three are marked as old", &all).await?;
        page.wait_until("the age grows", &format!("/as of \\d+ s ago: the store is out\\.$/.test({STALE})")).await?;
        page.check_contrast().await?;
        page.resize(400, 800).await?;
        page.wait_until("the window is narrow", "innerWidth === 400").await?;
        assert_eq!(page.value("document.documentElement.scrollWidth <= 400").await?, true);
        let list = "(({ bottom, height }) => bottom <= 800 && height > 100)(document.getElementById('list').getBoundingClientRect())";
        page.wait_until("there is room for events", list).await?;

        broken.mend()?;
        page.wait_until("nothing is marked any more", "document.getElementById('stale').hidden").await?;
        page.wait_until("the breaker is closed", &is("store-reads", "closed")).await?;
        page.send(&[event("shop", "INFO", "after it")]).await?;
        page.click("#refresh").await?;
        page.wait_for_events(2).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_any_organisation_lets_one_choose() -> Result<()> {
    with_pipeline(None, async |page, pipeline| {
        let mut other = event_at(Duration::from_secs(1), "till", "INFO", "an event of acme");
        other["organizationId"] = json!("acme");
        let any = page.with_token(pipeline.token_for("*").await?);
        let (status, answer) = any.api("/api/v1/logs", Some(&json!([other]))).await?;
        assert_eq!(status, 202, "{answer}");
        any.open_signed_in("").await?;
        any.wait_until("it is stored", "document.querySelector('.part.store strong')?.textContent === '1'")
            .await?;
        any.wait_until(
            "a field with the first organisation",
            "document.querySelector('#organisation input')?.value === 'demo'",
        )
        .await?;
        any.wait_until("nothing of demo", "document.querySelector('.empty')").await?;
        any.run("document.querySelector('#organisation input').select()", vec![]).await?;
        any.press("acme").await?;
        any.press(&char::from(fantoccini::key::Key::Enter).to_string()).await?;
        any.wait_for_events(1).await?;
        assert_eq!(any.messages().await?, ["an event of acme"]);
        assert!(any.text("document.title").await?.starts_with("acme"));
        Ok(())
    })
    .await
}
