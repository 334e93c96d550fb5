//! Attempts to read.

use crate::{
    door::Answer,
    neighbours::{MARK, Neighbours, OURS, THEIRS},
};
use axum::{body::Body, http::Request};

fn assert_tells_nothing(what: &str, answer: &Answer) {
    assert!(!answer.status.is_server_error(), "{what}: {answer:?}");
    let told = format!("{:?} {}", answer.headers, answer.body);
    assert!(!told.contains(MARK) && !told.contains(THEIRS), "{what}: {answer:?}");
}

/// Paths, and what `acme` is answered: its own events, or nothing.
#[tokio::test]
async fn parameters_lead_to_nobody_elses_events() {
    let neighbours = Neighbours::new().await;
    let table = [
        ("organization=other", 403),
        ("organization=OTHER", 403),
        ("organization=%6fther", 403),
        ("organization=%6Fther", 403),
        ("organization=other%20", 400),
        ("organization=%20other", 400),
        ("organization=other%00", 400),
        ("organization=acme%00other", 400),
        ("organization=acme,other", 400),
        ("organization=acme%0aother", 400),
        // A Cyrillic о, a full-width ｏ, and a soft hyphen.
        ("organization=%D0%BEther", 400),
        ("organization=%EF%BD%8Fther", 400),
        ("organization=%C2%ADother", 400),
        ("organization=*", 400),
        ("organization=%2a", 400),
        ("organization=%25", 400),
        ("organization=_", 403),
        ("organization=.", 403),
        ("organization=../other", 403),
        ("organization=%2e%2e%2fother", 403),
        ("organization=acme/../other", 403),
        ("organization=acme'%20OR%201=1--", 400),
        ("organization=", 400),
        ("organization=acme&organization=other", 400),
        ("organization=other&organization=acme", 400),
        ("organization[]=other", 400),
        ("organizationId=other", 400),
        ("Organization=other", 400),
        ("%6frganization=other", 403),
        ("organization=acme", 200),
        ("q=organizationId", 200),
        ("service=%25", 200),
        ("service=unser-service'%20OR%20organization='other", 200),
        ("level=ERROR", 200),
    ];
    for (query, status) in table {
        for path in ["/api/v1/logs", "/api/v1/stats"] {
            let answer = neighbours.door.get(&format!("{path}?{query}"), &neighbours.acme).await;
            assert_eq!(answer.status, status, "{path}?{query}: {answer:?}");
            assert_tells_nothing(query, &answer);
        }
    }
}

/// What is asked for may be in the question's own words, but no count and no event answers it.
#[tokio::test]
async fn filters_find_and_count_own_events_only() {
    let neighbours = Neighbours::new().await;
    for filter in [format!("q={MARK}"), format!("service={MARK}-service"), format!("q={MARK}&level=ERROR")] {
        let found = neighbours.door.get(&format!("/api/v1/logs?{filter}"), &neighbours.acme).await;
        assert_eq!(found.json()["logs"], serde_json::json!([]), "{filter}: {found:?}");
        let counted = neighbours.door.get(&format!("/api/v1/stats?{filter}"), &neighbours.acme).await;
        assert_eq!(counted.json()["total"], 0, "{filter}: {counted:?}");
    }
    let all = neighbours.door.get("/api/v1/stats", &neighbours.acme).await;
    assert_eq!(all.json()["total"], 3, "{all:?}");
}

#[tokio::test]
async fn headers_change_nothing() {
    let neighbours = Neighbours::new().await;
    for (name, value) in [
        ("logpipeline-organization", "other"),
        ("Logpipeline-Organization", "*"),
        ("x-organization", "other"),
        ("x-forwarded-user", "other"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "other"),
        ("x-forwarded-prefix", "/api/v1/logs?organization=other"),
        ("x-original-url", "/api/v1/logs?organization=other"),
        ("x-rewrite-url", "/api/v1/logs?organization=other"),
        ("x-http-method-override", "POST"),
        ("forwarded", "for=127.0.0.1;host=other"),
        ("host", "other"),
        ("cookie", "organization=other"),
    ] {
        for path in ["/api/v1/logs", "/api/v1/stats", "/api/v1/overview"] {
            let request = Request::get(path)
                .header("authorization", format!("Bearer {}", neighbours.acme))
                .header(name, value)
                .header(name, value);
            let answer = neighbours.door.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, 200, "{name} {path}: {answer:?}");
            assert_tells_nothing(name, &answer);
            if path == "/api/v1/logs" {
                assert_eq!(answer.json()["logs"].as_array().unwrap().len(), 3, "{name}: {answer:?}");
            }
        }
    }
}

/// The same answer whether an event is another's or nobody's, in whatever form its id is written.
#[tokio::test]
async fn ids_are_no_oracle() {
    let neighbours = Neighbours::new().await;
    let nobodys = "0198c7f2-5b7e-7c3a-9d1e-2f4a6b8c0d99";
    let forms = |id: &str| {
        let simple = id.replace('-', "");
        [
            id.to_owned(),
            id.to_uppercase(),
            simple,
            format!("%7B{id}%7D"),
            format!("urn:uuid:{id}"),
            id.replace('-', "%2d"),
            format!("{id}%00"),
            format!("{OURS}%2F..%2F{id}"),
            format!("{OURS},{id}"),
            format!("{id}%20"),
        ]
    };
    for (theirs, nobodys) in forms(THEIRS).iter().zip(&forms(nobodys)) {
        let of = async |id: &str| neighbours.door.get(&format!("/api/v1/logs/{id}"), &neighbours.acme).await;
        let (theirs, nobodys) = (of(theirs).await, of(nobodys).await);
        assert!([400, 404].contains(&theirs.status.as_u16()), "{theirs:?}");
        assert_eq!(theirs.status, nobodys.status);
        let same = theirs.body.to_lowercase().replace("0d11", "0d99") == nobodys.body.to_lowercase();
        assert!(same, "{theirs:?} {nobodys:?}");
    }
    for query in ["organization=other", "organization=acme&organization=other", "organization=*"] {
        let answer = neighbours.door.get(&format!("/api/v1/logs/{THEIRS}?{query}"), &neighbours.acme).await;
        assert!([400, 403].contains(&answer.status.as_u16()), "{query}: {answer:?}");
    }
}

/// A cursor is a place in an order, not a right: one of another's page goes on among one's own events.
#[tokio::test]
async fn anothers_cursor_leads_to_own_events() {
    let neighbours = Neighbours::new().await;
    let first = neighbours.door.get("/api/v1/logs?limit=1", &neighbours.other).await;
    let cursor = first.json()["nextCursor"].as_str().unwrap().to_owned();
    let with = async |cursor: &str| {
        neighbours.door.get(&format!("/api/v1/logs?cursor={cursor}"), &neighbours.acme).await
    };
    let answer = with(&cursor).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_tells_nothing("a cursor", &answer);
    assert!(answer.json()["logs"].as_array().unwrap().iter().all(|log| log["organizationId"] == "acme"));
    let any = format!("{}{}", "7".repeat(16), "f".repeat(16));
    for made_up in [&*"0".repeat(32), &*any, "other", "%2e%2e", &format!("{cursor}&organization=other")] {
        let answer = with(made_up).await;
        assert!([200, 400, 403].contains(&answer.status.as_u16()), "{made_up}: {answer:?}");
        assert_tells_nothing(made_up, &answer);
    }
}

#[tokio::test]
async fn a_token_for_any_organisation_reads_the_one_that_it_names() {
    let neighbours = Neighbours::new().await;
    for path in ["/api/v1/logs", "/api/v1/stats", "/api/v1/tail", &format!("/api/v1/logs/{THEIRS}")] {
        let answer = neighbours.door.get(path, &neighbours.any).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert_tells_nothing(path, &answer);
    }
    let ours = neighbours.door.get("/api/v1/logs?organization=acme", &neighbours.any).await;
    assert_eq!(ours.json()["logs"].as_array().unwrap().len(), 3);
    assert_tells_nothing("acme by any", &ours);
}
