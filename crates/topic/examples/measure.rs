//! Measures the embedded topic.
use bytes::Bytes;
use std::time::{Duration, Instant};
use topic::embedded::{Config, Topic};
use topic::{Event, NewRecord};

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let rest = stat.rsplit(')').next().unwrap();
    let f: Vec<&str> = rest.split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
fn wrote() -> f64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let l = io.lines().find(|l| l.starts_with("write_bytes")).unwrap();
    l.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
}
fn record(n: u64) -> NewRecord {
    let key = Bytes::from(format!("organisation-{}", n % 50));
    let mut p = format!("{n:020}").into_bytes();
    p.resize(200, b'x');
    NewRecord { key, payload: Bytes::from(p), headers: vec![] }
}
async fn append(topic: &Topic, tasks: u64, each: usize, secs: f64) -> u64 {
    let until = Instant::now() + Duration::from_secs_f64(secs);
    let hs: Vec<_> = (0..tasks)
        .map(|t| {
            let w = topic.writer();
            tokio::spawn(async move {
                let mut n = 0u64;
                while Instant::now() < until {
                    let b: Vec<_> = (0..each as u64).map(|i| record(t * 1_000_000_000 + n + i)).collect();
                    let f = w.append(b).await;
                    assert!(f.is_empty(), "{f:?}");
                    n += each as u64;
                }
                n
            })
        })
        .collect();
    let mut n = 0;
    for h in hs {
        n += h.await.unwrap();
    }
    n
}
async fn read(topic: &Topic, group: &str, total: u64) {
    let mut r = topic.subscribe(group);
    let mut n = 0u64;
    while n < total {
        match r.next().await.unwrap() {
            Event::Assigned(a) => a.iter().for_each(|a| r.start(a.partition, 0)),
            Event::Records(b) => n += b.records.len() as u64,
            Event::Revoked(_) => {}
        }
    }
    assert_eq!(n, total);
}
#[tokio::main(worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let secs: f64 = args.get(1).map_or(3.0, |s| s.parse().unwrap());
    let runs: usize = args.get(2).map_or(3, |s| s.parse().unwrap());
    let modes = args.get(3).cloned().unwrap_or("ab".into());
    for (name, tasks, each) in [("a", 64, 1), ("b", 8, 500)] {
        if !modes.contains(name) {
            continue;
        }
        let (mut rate, mut cpus, mut rd, mut rcpu, mut wa, mut fo, mut tr) = (vec![], vec![], vec![], vec![], vec![], vec![], vec![]);
        for _ in 0..runs {
            let dir = tempfile::tempdir_in(".").unwrap();
            let path = dir.path().join("topic.db");
            let topic = Topic::open(&path, Config::default()).unwrap();
            let (c, t, w) = (cpu(), Instant::now(), wrote());
            let n = append(&topic, tasks, each, secs).await;
            let el = t.elapsed().as_secs_f64();
            rate.push(n as f64 / el);
            cpus.push((cpu() - c) * 1e6 / n as f64);
            wa.push((wrote() - w) / n as f64);
            if std::env::var("M_APPEND").is_ok() { topic.close().await; continue; }
            // follow
            let (c, t) = (cpu(), Instant::now());
            let ends: i64 = topic.viewer().offsets().await.unwrap().iter().map(|o| o.end).sum();
            assert_eq!(ends as u64, n);
            topic.close().await;
            let topic = Topic::open(&path, Config::default()).unwrap();
            let _ = (c, t);
            let (c, t) = (cpu(), Instant::now());
            read(&topic, "g", n).await;
            rd.push(n as f64 / t.elapsed().as_secs_f64());
            rcpu.push((cpu() - c) * 1e6 / n as f64);
            // steady state: append while a reader follows and trims
            let mut tail = topic.viewer().tail();
            let (c, t) = (cpu(), Instant::now());
            let topic = std::sync::Arc::new(topic);
            let t2 = topic.clone();
            let follower = tokio::spawn(async move {
                let mut last = Instant::now();
                let mut pos = std::collections::HashMap::new();
                loop {
                    match tail.next().await.unwrap() {
                        Event::Assigned(a) => a.iter().for_each(|a| tail.start(a.partition, a.end)),
                        Event::Records(b) => {
                            pos.insert(b.partition, b.records.last().unwrap().offset + 1);
                            if last.elapsed() > Duration::from_secs(1) {
                                for (p, o) in &pos {
                                    t2.trim(*p, *o).await.unwrap();
                                }
                                last = Instant::now();
                            }
                        }
                        Event::Revoked(_) => {}
                    }
                }
            });
            let n = append(&topic, tasks, each, secs).await;
            fo.push(n as f64 / t.elapsed().as_secs_f64());
            tr.push((cpu() - c) * 1e6 / n as f64);
            follower.abort();
            let _ = follower.await;
            let size = std::fs::metadata(&path).unwrap().len() >> 20;
            eprintln!("  file {size} MiB");
            std::sync::Arc::try_unwrap(topic).ok().unwrap().close().await;
        }
        let show = |l: &str, v: &mut Vec<f64>| {
            if v.is_empty() { return; }
            v.sort_by(f64::total_cmp);
            println!("{name} {l:28} {:>10.2} {:>10.2} {:>10.2}", v[0], v[v.len() / 2], v[v.len() - 1]);
        };
        show("appends/s", &mut rate);
        show("cpu s per million", &mut cpus);
        show("bytes written per record", &mut wa);
        show("read back/s", &mut rd);
        show("read cpu s per million", &mut rcpu);
        show("append+follow+trim /s", &mut fo);
        show("same, cpu s per million", &mut tr);
    }
}
