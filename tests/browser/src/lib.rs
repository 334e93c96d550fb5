//! Helpers of the browser tests: the real `logpipeline` binary, a real Chromium, and the page between them.
//!
//! The tests need `chromedriver` and `chromium` on the path (or in `CHROMEDRIVER` and `CHROMIUM`) and a built `logpipeline`
//! (`cargo build -p standalone`, or its path in `LOGPIPELINE_BIN`).

mod browser;
mod events;
mod page;
mod pipeline;

use std::panic::{AssertUnwindSafe, resume_unwind};

use anyhow::Result;
use futures::FutureExt;

pub use browser::{Browser, ColourScheme};
pub use events::{event, event_at};
pub use page::Page;
pub use pipeline::Pipeline;

/// Runs a test on a page of its own: a fresh pipeline, a fresh browser profile, signed in by the printed address.
///
/// Afterwards nothing may have been logged to the console as an error and no request may have left the page's origin.
/// The processes are ended when the test fails or panics too.
///
/// # Errors
/// What the test returns, or what kept the page from being opened.
pub async fn with_page(test: impl AsyncFnOnce(Page) -> Result<()>) -> Result<()> {
    with_pipeline(None, async |page, _| test(page).await).await
}

/// As [`with_page`], with the text of a file of limits if there is one; the test also gets the pipeline, to break it.
///
/// # Errors
/// As [`with_page`].
pub async fn with_pipeline(
    limits: Option<&str>,
    test: impl AsyncFnOnce(Page, &Pipeline) -> Result<()>,
) -> Result<()> {
    let pipeline = Pipeline::start(limits).await?;
    let browser = Browser::start().await?;
    let page = Page::new(browser.client(), &pipeline);
    let outcome = AssertUnwindSafe(run(page.clone(), &pipeline, test)).catch_unwind().await;
    if !matches!(outcome, Ok(Ok(()))) {
        page.save_screenshot().await;
    }
    browser.stop().await;
    pipeline.stop().await;
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

async fn run(
    page: Page,
    pipeline: &Pipeline,
    test: impl AsyncFnOnce(Page, &Pipeline) -> Result<()>,
) -> Result<()> {
    page.open_signed_in("").await?;
    test(page.clone(), pipeline).await?;
    page.check_console().await?;
    page.check_requests().await
}
