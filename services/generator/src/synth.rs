//! Made-up load that looks like the logs of a small web shop. Cheap: templates are compiled once, an event is a few
//! copies and numbers.

mod catalog;
mod clock;
mod organisations;
mod template;

pub(crate) use organisations::Organisations;

use crate::{batch::Batch, ids::Ids, rng::Rng};
use clock::Clock;
use record::Level;
use template::Template;

/// Of 4096 events so many are TRACE, DEBUG, … FATAL when all is well.
const CALM: [u64; 6] = [20, 390, 3_300, 290, 94, 2];
/// … and during an incident, for the service that has it.
const INCIDENT: [u64; 6] = [10, 290, 1_700, 1_060, 1_000, 36];
/// Incidents: in each window of so many events, the first part belongs to one service's incident.
const WINDOW_EVENTS: u64 = 12_000;
const INCIDENT_EVENTS: u64 = 1_500;

/// Made-up events. The same seed gives the same services, levels, texts and organisations in the same order; ids and
/// timestamps are new in each run.
pub(crate) struct Synth {
    rng: Rng,
    ids: Ids,
    clock: Clock,
    organisations: Organisations,
    services: Vec<Service>,
    /// Each service as often as its weight says.
    draw: Vec<usize>,
    made: u64,
}

/// Templates of one service, by level.
struct Service {
    by_level: [Vec<Template>; 6],
}

impl Synth {
    pub(crate) fn new(seed: u64, organisations: Organisations) -> Synth {
        let services: Vec<Service> = catalog::SERVICES.iter().map(Service::compile).collect();
        let draw = (0..services.len())
            .flat_map(|index| std::iter::repeat_n(index, catalog::SERVICES[index].weight))
            .collect();
        Synth {
            rng: Rng::seeded(seed),
            ids: Ids::new(Rng::from_entropy()),
            clock: Clock::new(),
            organisations,
            services,
            draw,
            made: 0,
        }
    }

    /// The next events, at most `events` and about `bytes`, at least one; their timestamps lie between the last call
    /// and now.
    pub(crate) fn batch(&mut self, events: usize, bytes: usize) -> Batch {
        let mut batch = Batch::with_capacity(bytes.min(events * 384), events);
        self.clock.advance(events);
        while batch.len() < events && (batch.is_empty() || batch.bytes() + 1_024 < bytes) {
            self.push_event(&mut batch);
        }
        batch
    }

    fn push_event(&mut self, batch: &mut Batch) {
        let service = self.draw[self.rng.index(self.draw.len())];
        let level = self.level(service);
        let timestamp = self.clock.next();
        let id = self.ids.next(timestamp.millis);
        let templates = &self.services[service].by_level[level.number() as usize];
        let template = &templates[self.rng.index(templates.len())];
        let rng = &mut self.rng;
        let organisation = self.organisations.pick(rng);
        batch.push(id, |body| {
            body.extend_from_slice(b"{\"id\":\"");
            let mut text = [0; 36];
            body.extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
            body.extend_from_slice(b"\",\"timestamp\":\"");
            body.extend_from_slice(timestamp.text);
            if let Some(name) = organisation {
                body.extend_from_slice(b"\",\"organizationId\":\"");
                body.extend_from_slice(name.as_bytes());
            }
            body.push(b'"');
            template.write(body, rng);
        });
        self.made += 1;
    }

    fn level(&mut self, service: usize) -> Level {
        let window = self.made / WINDOW_EVENTS;
        let troubled = usize::try_from(window).unwrap_or(0).wrapping_mul(7) % self.services.len();
        let incident = self.made % WINDOW_EVENTS < INCIDENT_EVENTS && window > 0 && troubled == service;
        let mut left = self.rng.below(4_096);
        for (level, share) in Level::ALL.into_iter().zip(if incident { INCIDENT } else { CALM }) {
            if left < share {
                return level;
            }
            left -= share;
        }
        Level::Info
    }
}

impl Service {
    fn compile(source: &catalog::Service) -> Service {
        let by_level = Level::ALL.map(|level| {
            let own = source.messages.iter().chain(catalog::COMMON).filter(|message| message.level == level);
            own.map(|message| Template::compile(level, source.name, message)).collect()
        });
        Service { by_level }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::LogRecord;
    use std::collections::{BTreeMap, HashSet};

    fn records(seed: u64, events: usize) -> Vec<LogRecord> {
        let mut synth = Synth::new(seed, Organisations::spread(20, 1.0));
        let batch = synth.batch(events, usize::MAX);
        assert_eq!(batch.len(), events);
        let lines = batch.body().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| LogRecord::from_json(line).expect("a made event is a record")).collect()
    }

    #[test]
    fn every_made_event_is_a_valid_record_with_its_own_id() {
        let records = records(1, 20_000);
        let ids: HashSet<_> = records.iter().map(|record| record.id).collect();
        assert_eq!(ids.len(), 20_000);
        let now = record::Timestamp::now().as_nanos();
        for pair in records.windows(2) {
            assert!(pair[0].timestamp <= pair[1].timestamp && pair[0].id < pair[1].id);
        }
        let newest = records.last().unwrap().timestamp.as_nanos();
        assert!(newest <= now && newest > now - 60_000_000_000, "{newest} is not about now, {now}");
    }

    #[test]
    fn the_load_has_several_services_all_levels_and_varied_lengths() {
        let records = records(2, 40_000);
        let mut levels = BTreeMap::new();
        for record in &records {
            *levels.entry(record.level).or_insert(0_usize) += 1;
        }
        assert_eq!(levels.len(), 6, "{levels:?}");
        assert!(levels[&Level::Info] > 30_000 && levels[&Level::Error] > 600, "{levels:?}");
        let services: HashSet<_> = records.iter().map(|record| record.service.as_str()).collect();
        assert!(services.len() >= 8, "{services:?}");
        let lengths: HashSet<_> = records.iter().map(|record| record.message.len()).collect();
        assert!(lengths.len() > 50, "{} lengths", lengths.len());
        assert!(records.iter().filter(|record| record.trace_id.is_some()).count() > 4_000);
    }

    #[test]
    fn a_seed_reproduces_all_but_ids_and_times() {
        let shown = |seed| {
            let records = records(seed, 500).into_iter();
            records.map(|r| (r.organization_id, r.service, r.level, r.message)).collect::<Vec<_>>()
        };
        assert_eq!(shown(5), shown(5));
        assert_ne!(shown(5), shown(6));
    }

    #[test]
    fn a_batch_stays_below_its_bytes() {
        let mut synth = Synth::new(1, Organisations::from_token());
        let batch = synth.batch(10_000, 100_000);
        assert!(batch.bytes() <= 100_000 && batch.len() > 100, "{} events", batch.len());
        assert_eq!(synth.batch(10_000, 1).len(), 1);
    }
}
