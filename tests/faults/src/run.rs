//! A run: parts, services and clients are started, things break for a while, everything is made whole, and all is
//! counted.

use crate::{
    fault::{CONSUMERS, Fault, Lane, PRODUCERS, Plan},
    load::{Clients, Load},
    parts::Parts,
    proxy::Mode,
    service::Service,
    verdict::{self, Verdict},
};
use anyhow::Result;
use std::{
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{task::JoinHandle, time::sleep};
use topic::NewRecord;

/// Longest time until all is settled after the last fault is over.
const SETTLED_WITHIN: Duration = Duration::from_secs(180);

/// The running system.
pub struct System {
    /// What it stands on.
    pub parts: Parts,
    /// Its producers.
    pub producers: Vec<Service>,
    /// Its consumers.
    pub consumers: Vec<Service>,
    /// Addresses of the producers.
    pub urls: Vec<String>,
    /// Records that are no events and were acknowledged by Kafka.
    pub garbage: Mutex<Vec<String>>,
}

impl System {
    /// Starts everything, with all consumers.
    ///
    /// # Errors
    /// When a part or a program cannot be started.
    pub async fn start(brokers: u8) -> Result<System> {
        let parts = Parts::start(brokers).await?;
        let ports = free_ports(PRODUCERS)?;
        let producers = ports.iter().map(|port| Service::producer(&parts, *port)).collect::<Result<_>>()?;
        let consumers = (0..CONSUMERS).zip(0..).map(|(_, number)| Service::consumer(&parts, number));
        let consumers = consumers.collect::<Result<_>>()?;
        let urls = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        Ok(System { parts, producers, consumers, urls, garbage: Mutex::default() })
    }

    /// Breaks something, and mends it when its time is over.
    ///
    /// # Errors
    /// When it cannot be broken or mended.
    pub async fn suffer(&self, fault: Fault) -> Result<()> {
        let Parts { proxy, .. } = &self.parts;
        match fault {
            Fault::KillConsumer(number) => self.consumers[number].kill(),
            Fault::KillProducer(number) => self.producers[number].kill(),
            Fault::FreezeConsumer(number, time) => {
                self.consumers[number].signal("STOP");
                sleep(time).await;
                self.consumers[number].signal("CONT");
            }
            Fault::Scale(count) => {
                self.consumers[..count].iter().for_each(Service::want);
                self.consumers[count..].iter().for_each(Service::terminate);
            }
            Fault::Garbage(count) => self.put_garbage(count).await?,
            Fault::StopDatabase(time) => {
                self.parts.database("kill").await?;
                sleep(time).await;
                self.parts.database("up").await?;
            }
            Fault::FreezeDatabase(time) => {
                self.parts.database("stop").await?;
                sleep(time).await;
                self.parts.database("cont").await?;
            }
            Fault::CutDatabase(time) => self.pass_after(proxy, Mode::Cut, time).await,
            Fault::SwallowDatabase(time) => self.pass_after(proxy, Mode::Swallow, time).await,
            Fault::LockPositions(time) => self.lock_positions(time).await,
            Fault::KillBroker(number, time) => {
                self.parts.broker("kill", number).await?;
                sleep(time).await;
                self.parts.broker("start", number).await?;
            }
            Fault::FreezeBroker(number, time) => {
                self.parts.broker("stop", number).await?;
                sleep(time).await;
                self.parts.broker("cont", number).await?;
            }
        }
        Ok(())
    }

    async fn pass_after(&self, proxy: &crate::proxy::Proxy, mode: Mode, time: Duration) {
        proxy.set(mode);
        sleep(time).await;
        proxy.set(Mode::Pass);
    }

    /// Takes the rows of the positions in the opposite order, one after the other: a deadlock for whoever holds one.
    async fn lock_positions(&self, time: Duration) {
        let seconds = time.as_secs_f64() / 6.0;
        let lock = (0..6).rev().map(|partition| {
            format!("UPDATE consumer_offsets SET lost = lost WHERE partition = {partition}; SELECT pg_sleep({seconds});")
        });
        let all: String = lock.collect();
        // It may itself be the one that the database gives up.
        let _ = self.parts.sql(&format!("BEGIN; {all} COMMIT")).await;
    }

    async fn put_garbage(&self, count: usize) -> Result<()> {
        let writer = verdict::topic(&self.parts, self.parts.topic())?.writer()?;
        let payloads: Vec<String> =
            (0..count).map(|n| format!("{{garbage {n} of {}", uuid::Uuid::now_v7())).collect();
        let record = |payload: &String| NewRecord {
            key: bytes::Bytes::from_static(b"org-0000"),
            payload: payload.clone().into(),
            headers: Vec::new(),
        };
        let failures = writer.append(payloads.iter().map(record).collect()).await;
        let failed: Vec<usize> = failures.iter().map(|failure| failure.index).collect();
        let acknowledged = payloads.into_iter().enumerate().filter(|(index, _)| !failed.contains(index));
        let mut garbage = self.garbage.lock().unwrap_or_else(PoisonError::into_inner);
        garbage.extend(acknowledged.map(|(_, payload)| payload));
        Ok(())
    }

    /// Makes everything whole.
    ///
    /// # Errors
    /// When a part cannot be started again.
    pub async fn mend(&self) -> Result<()> {
        self.parts.proxy.set(Mode::Pass);
        self.parts.database("cont").await?;
        self.parts.database("up").await?;
        for broker in 1..=self.parts.brokers {
            self.parts.broker("cont", broker).await?;
            self.parts.broker("start", broker).await?;
        }
        self.consumers.iter().for_each(|consumer| consumer.signal("CONT"));
        self.consumers.iter().for_each(Service::want);
        Ok(())
    }

    /// Waits until all is settled and counts.
    ///
    /// # Errors
    /// When it is not settled in time.
    pub async fn verdict(&self, acknowledged: &crate::load::Acknowledged) -> Result<Verdict> {
        verdict::settled(&self.parts, SETTLED_WITHIN).await?;
        let garbage = self.garbage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut verdict = verdict::count(&self.parts, acknowledged, &garbage).await?;
        for service in self.producers.iter().chain(&self.consumers) {
            for end in service.ended_by_itself() {
                verdict.wrong.push(format!("{} ended by itself: {end}", service.name));
            }
        }
        Ok(verdict)
    }
}

/// Lets a seed break things for a while and counts what became of every event. `say` hears what happens.
///
/// # Errors
/// When the run itself fails; what is wrong with the events is in the verdict.
pub async fn chaos(
    system: Arc<System>,
    seed: u64,
    run_for: Duration,
    load: &Load,
    say: fn(String),
) -> Result<Verdict> {
    let until = Instant::now() + run_for;
    let clients = Clients::start(load, &system.urls);
    let lanes = [Lane::Services, Lane::Parts].map(|lane| {
        let plan = Plan::new(seed, lane, system.parts.brokers);
        tokio::spawn(break_things(Arc::clone(&system), plan, until, say))
    });
    let watch: JoinHandle<usize> = tokio::spawn(watch_gaps(Arc::clone(&system), until));
    for lane in lanes {
        lane.await??;
    }
    system.mend().await?;
    say("everything is whole again; waiting until all is settled".into());
    let acknowledged = clients.stop().await;
    let gaps = watch.await?;
    let mut verdict = system.verdict(&acknowledged).await?;
    verdict.out_of_order += gaps;
    Ok(verdict)
}

async fn break_things(system: Arc<System>, plan: Plan, until: Instant, say: fn(String)) -> Result<()> {
    let begun = Instant::now();
    for (wait, fault) in plan {
        if Instant::now() + wait > until {
            break;
        }
        sleep(wait).await;
        say(format!("{:5.1} s {fault:?}", begun.elapsed().as_secs_f64()));
        system.suffer(fault).await?;
    }
    Ok(())
}

/// Organisations that were seen with a gap. A database that does not answer is asked again.
async fn watch_gaps(system: Arc<System>, until: Instant) -> usize {
    let mut gaps = 0;
    while Instant::now() < until {
        sleep(Duration::from_secs(2)).await;
        let asked = tokio::time::timeout(Duration::from_secs(5), verdict::gaps(&system.parts)).await;
        gaps += asked.map_or(0, |answer| answer.unwrap_or(0));
    }
    gaps
}

/// Ports that were free a moment ago.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
