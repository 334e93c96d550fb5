//! The web page, out of the binary.

use axum::{
    extract::Path,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use process::problem::Problem;

macro_rules! files {
    ($($name:literal),+ $(,)?) => { [$(($name, include_str!(concat!("../ui/", $name)))),+] };
}

/// All of `ui/`; a test fails when one is missing here.
const FILES: &[(&str, &str)] = &files![
    "api.js",
    "detail.js",
    "dom.js",
    "empty.js",
    "feed.js",
    "filters.js",
    "freshness.js",
    "guards-view.js",
    "guards.css",
    "histogram.js",
    "icon.svg",
    "index.html",
    "json.js",
    "keys.js",
    "limits.js",
    "list.css",
    "list.js",
    "live.js",
    "main.js",
    "notices.js",
    "organisation.js",
    "panels.css",
    "pipeline-view.js",
    "pipeline.css",
    "pipeline.js",
    "results.js",
    "row.js",
    "scale.js",
    "session.js",
    "sign-in.js",
    "sse.js",
    "stale-view.js",
    "stats.js",
    "style.css",
    "theme.js",
    "time.js",
    "view.js"
];

const HEADERS: [(HeaderName, &str); 5] = [
    // Nothing from elsewhere, nothing inline: log text that smuggles in a script has nowhere to run.
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // A new binary has a new page.
    (header::CACHE_CONTROL, "no-cache"),
];

pub(crate) async fn index() -> Response {
    serve("index.html")
}

pub(crate) async fn file(Path(name): Path<String>) -> Response {
    serve(&name)
}

fn serve(name: &str) -> Response {
    let Some((name, text)) = FILES.iter().find(|(known, _)| *known == name) else {
        return Problem::new(StatusCode::NOT_FOUND, format!("the page has no part named {name}"))
            .into_response();
    };
    let content_type = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let mut response = ([(header::CONTENT_TYPE, content_type)], *text).into_response();
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/ui");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        assert_eq!(FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), there);
        assert_eq!(serve("index.html").status(), StatusCode::OK);
        assert_eq!(serve("../Cargo.toml").status(), StatusCode::NOT_FOUND);
    }
}
