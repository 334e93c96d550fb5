//! A run: parts, services and clients are started, things break for a while, everything is made whole, and all is
//! counted.

use crate::{
    fault::{CONSUMERS, Lane, PRODUCERS, Plan},
    ledger::Ledger,
    load::{Clients, Load},
    parts::{Parts, Shape},
    service::Service,
    verdict::{self, Verdict},
};
use anyhow::{Result, bail};
use std::{
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{task::JoinHandle, time::sleep};

/// Longest time until all is settled after the last fault is over.
const SETTLED_WITHIN: Duration = Duration::from_secs(180);
/// Longest time until events flow from end to end again after a fault is over.
const FLOWS_WITHIN: Duration = Duration::from_secs(45);

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
    pub async fn start(shape: Shape) -> Result<System> {
        let parts = Parts::start(shape).await?;
        let ports = free_ports(PRODUCERS)?;
        let producers = ports.iter().map(|port| Service::producer(&parts, *port)).collect::<Result<_>>()?;
        let consumers = (0..CONSUMERS).zip(0..).map(|(_, number)| Service::consumer(&parts, number));
        let consumers = consumers.collect::<Result<_>>()?;
        let urls = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        Ok(System { parts, producers, consumers, urls, garbage: Mutex::default() })
    }

    /// Makes everything whole.
    ///
    /// # Errors
    /// When a part cannot be started again.
    pub async fn mend(&self) -> Result<()> {
        self.parts.reconnect();
        self.parts.database("cont").await?;
        self.parts.database("up").await?;
        for broker in 1..=self.parts.shape.brokers {
            self.parts.broker("cont", broker).await?;
            self.parts.broker("start", broker).await?;
        }
        self.consumers.iter().for_each(|consumer| consumer.signal("CONT"));
        self.consumers.iter().for_each(Service::want);
        Ok(())
    }

    /// Waits until something new is acknowledged and something new is stored.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn flows(&self, clients: &Clients) -> Result<()> {
        let begun = Instant::now();
        let acknowledged = clients.acknowledged();
        let mut stored = None;
        while begun.elapsed() < FLOWS_WITHIN {
            if let Ok(ledger) = Ledger::read(&self.parts).await {
                let before = *stored.get_or_insert(ledger.stored);
                if ledger.stored > before && clients.acknowledged() > acknowledged {
                    return Ok(());
                }
            }
            sleep(Duration::from_millis(200)).await;
        }
        let new = clients.acknowledged() - acknowledged;
        bail!(
            "{FLOWS_WITHIN:?} after a fault was over {new} new events are acknowledged, and {stored:?} was stored all the time"
        )
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
        let plan = Plan::new(seed, lane, system.parts.shape.brokers);
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
/// Ports that nobody listens at now.
///
/// # Errors
/// When there are none.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
