//! Breaks things, and mends them when their time is over.

use crate::{
    fault::Fault,
    parts::PARTITIONS,
    proxy::{Mode, Proxy},
    run::System,
    service::Service,
    verdict,
};
use anyhow::Result;
use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use topic::NewRecord;

impl System {
    /// Breaks something, and mends it when its time is over.
    ///
    /// # Errors
    /// When it cannot be broken or mended.
    pub async fn suffer(&self, fault: Fault) -> Result<()> {
        let database = std::slice::from_ref(&self.parts.database_proxy);
        let brokers = &self.parts.broker_proxies;
        let broker = |number: u8| &brokers[usize::from(number - 1)..usize::from(number)];
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
            Fault::StopDatabase(time) => self.database("kill", "up", time).await?,
            Fault::FreezeDatabase(time) => self.database("stop", "cont", time).await?,
            Fault::CutDatabase(time) => break_network(database, Mode::Cut, time).await,
            Fault::SwallowDatabase(time) => break_network(database, Mode::Swallow, time).await,
            Fault::LockPositions(time) => self.lock_positions(time).await,
            Fault::Deadlock(time) => self.deadlock(time).await,
            Fault::FailSerialization(time) => self.fail_serialization(time).await?,
            Fault::CutKafka(time) => break_network(brokers, Mode::Cut, time).await,
            Fault::SwallowKafka(time) => break_network(brokers, Mode::Swallow, time).await,
            Fault::CutBroker(number, time) => break_network(broker(number), Mode::Cut, time).await,
            Fault::SwallowBroker(number, time) => break_network(broker(number), Mode::Swallow, time).await,
            Fault::KillBroker(number, time) => self.broker(number, "kill", "start", time).await?,
            Fault::FreezeBroker(number, time) => self.broker(number, "stop", "cont", time).await?,
        }
        Ok(())
    }

    async fn database(&self, breaks: &str, mends: &str, time: Duration) -> Result<()> {
        self.parts.database(breaks).await?;
        sleep(time).await;
        self.parts.database(mends).await
    }

    async fn broker(&self, number: u8, breaks: &str, mends: &str, time: Duration) -> Result<()> {
        self.parts.broker(breaks, number).await?;
        sleep(time).await;
        self.parts.broker(mends, number).await
    }

    /// One transaction takes all positions, one after the other, and keeps them.
    async fn lock_positions(&self, time: Duration) {
        let seconds = time.as_secs_f64() / f64::from(PARTITIONS);
        let lock = (0..PARTITIONS).map(|partition| {
            format!("UPDATE consumer_offsets SET lost = lost WHERE partition = {partition}; SELECT pg_sleep({seconds});")
        });
        let all: String = lock.collect();
        // Before the tables are made there is nothing to lock.
        let _ = self.parts.sql(&format!("BEGIN; {all} COMMIT")).await;
    }

    /// A flush takes its position and then the rows' table; these transactions take the table and then the position. The
    /// flush waits first, so it is the one that finds the deadlock and is ended.
    async fn deadlock(&self, time: Duration) {
        let end = Instant::now() + time;
        for partition in (0..PARTITIONS).cycle().take_while(|_| Instant::now() < end) {
            let opposite = format!(
                "BEGIN; LOCK TABLE ONLY logs IN SHARE MODE; SELECT pg_sleep(0.5);
                 UPDATE consumer_offsets SET lost = lost WHERE partition = {partition}; COMMIT"
            );
            // It may itself be the one that the database ends.
            let _ = self.parts.sql(&opposite).await;
        }
    }

    /// A serializable transaction that waits for a row is ended when the row has changed meanwhile. The consumers' are made
    /// serializable by the database's default, which new connections have.
    async fn fail_serialization(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        self.parts.default_isolation("SET default_transaction_isolation = 'serializable'").await?;
        while Instant::now() < end {
            let change = "BEGIN ISOLATION LEVEL READ COMMITTED; UPDATE consumer_offsets SET lost = lost;
                 SELECT pg_sleep(0.3); COMMIT";
            // A flush that came first may make it wait in vain.
            let _ = self.parts.sql(change).await;
            sleep(Duration::from_millis(300)).await;
        }
        self.parts.default_isolation("RESET default_transaction_isolation").await
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
}

async fn break_network(proxies: &[Proxy], mode: Mode, time: Duration) {
    proxies.iter().for_each(|proxy| proxy.set(mode));
    sleep(time).await;
    proxies.iter().for_each(|proxy| proxy.set(Mode::Pass));
}
