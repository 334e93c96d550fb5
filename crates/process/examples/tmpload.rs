//! tmp
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use axum::{Router, routing::{get, post}};
use process::{body::*, server::*, metrics::Metrics, problem::*};
async fn load(addr: std::net::SocketAddr, conns: usize, req: Vec<u8>, secs: u64) -> (u64, f64) {
    let end = Instant::now() + Duration::from_secs(secs);
    let mut hs = vec![];
    for _ in 0..conns {
        let req = req.clone();
        hs.push(tokio::spawn(async move {
            let mut s = TcpStream::connect(addr).await.unwrap(); s.set_nodelay(true).unwrap();
            let mut b = [0u8; 4096]; let mut n = 0u64;
            while Instant::now() < end { s.write_all(&req).await.unwrap(); let k = s.read(&mut b).await.unwrap(); assert!(k > 0 && &b[9..12] == b"200", "{}", String::from_utf8_lossy(&b[..k])); n += 1; }
            n
        }));
    }
    let t = Instant::now(); let mut n = 0; for h in hs { n += h.await.unwrap(); }
    (n, n as f64 / t.elapsed().as_secs_f64())
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mode = a[1].clone();
    // server on own single-thread runtime, client on another
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        rt.block_on(async move {
            let budget = BodyBudget::new(256 << 20);
            let m = Metrics::new("x");
            let mut app: Router = Router::new().route("/", get(async || "hello")).route("/len", post(async move |h: http::HeaderMap, body: axum::body::Body| -> Result<String, Problem> {
                Ok(budget.read(body, h.get("content-encoding"), BodyLimits::default()).await?.len().to_string())
            })).route("/ax", post(async |b: axum::body::Bytes| b.len().to_string())).layer(axum::extract::DefaultBodyLimit::disable());
            if mode.contains('L') { app = app.layer(catch_panic()).layer(m.http_layer()); }
            if mode.contains('A') {
                let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tx.send(l.local_addr().unwrap()).unwrap();
                use axum::serve::ListenerExt;
                axum::serve(l.tap_io(|s| { let _ = s.set_nodelay(true); }), app).await.unwrap();
            } else {
                let s = Server::bind("127.0.0.1:0".parse().unwrap(), Limits::default()).unwrap();
                tx.send(s.local_addr()).unwrap();
                s.serve(app, Default::default()).await;
            }
        });
    });
    let addr = rx.recv().unwrap();
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let post = |path: &str, enc: &str, body: &[u8]| { let mut r = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\ncontent-encoding: {enc}\r\n\r\n", body.len()).into_bytes(); r.extend_from_slice(body); r };
    let ev = |n: usize| { let mut s = String::from("["); for i in 0..n { if i > 0 { s.push(','); } s += &format!("{{\"message\":\"request {} took {} ms for user {}\",\"service\":\"api\",\"level\":\"INFO\",\"traceId\":\"{:032x}\"}}", i, i * 7919 % 997, i * 104729 % 65537, (i as u128).wrapping_mul(0x9E3779B97F4A7C15)); } s.push(']'); s.into_bytes() };
    for (name, req) in [
        ("GET", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        ("200B", post("/len", "identity", &ev(1))),
        ("200B axum Bytes", post("/ax", "identity", &ev(1))),
        ("15K", post("/len", "identity", &ev(100))),
        ("1.5M", post("/len", "identity", &ev(10000))),
        ("1.5M axum Bytes", post("/ax", "identity", &ev(10000))),
        ("200B zstd", post("/len", "zstd", &zstd::encode_all(&ev(1)[..], 3).unwrap())),
        ("15K gz", post("/len", "gzip", &{ use std::io::Write; let mut e = flate2::write::GzEncoder::new(vec![], flate2::Compression::default()); e.write_all(&ev(100)).unwrap(); e.finish().unwrap() })),
        ("15K zstd", post("/len", "zstd", &zstd::encode_all(&ev(100)[..], 3).unwrap())),
        ("1.5M gz", post("/len", "gzip", &{ use std::io::Write; let mut e = flate2::write::GzEncoder::new(vec![], flate2::Compression::default()); e.write_all(&ev(10000)).unwrap(); e.finish().unwrap() })),
        ("1.5M zstd", post("/len", "zstd", &zstd::encode_all(&ev(10000)[..], 3).unwrap())),
    ] {
        let (_, r) = rt.block_on(load(addr, 32, req.clone(), 2));
        println!("{} {name:18} {:>9.0} req/s  {:>8.1} MB/s wire", a[1], r, r * req.len() as f64 / 1e6);
    }
}
