//! Events encoded for one request: newline-delimited JSON, with the place and the id of each event.

use record::Uuid;
use std::ops::Range;

/// Encoded events in order. Each line ends in `\n`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    body: Vec<u8>,
    /// Where each event ends in `body`, its `\n` included.
    ends: Vec<usize>,
    ids: Vec<Uuid>,
}

impl Batch {
    pub(crate) fn with_capacity(bytes: usize, events: usize) -> Batch {
        Batch {
            body: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(events),
            ids: Vec::with_capacity(events),
        }
    }

    /// Appends the event that `write` writes: one JSON object without line breaks.
    pub(crate) fn push(&mut self, id: Uuid, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.body);
        self.body.push(b'\n');
        self.ends.push(self.body.len());
        self.ids.push(id);
    }

    /// Events.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Bytes of the body.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len()
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn ids(&self) -> &[Uuid] {
        &self.ids
    }

    fn line(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.body[start..self.ends[index]]
    }

    /// The events at `indexes`, in that order. Indexes outside are passed over.
    pub(crate) fn select(&self, indexes: impl IntoIterator<Item = usize>) -> Batch {
        let mut selected = Batch::default();
        for index in indexes.into_iter().filter(|index| *index < self.len()) {
            selected.body.extend_from_slice(self.line(index));
            selected.ends.push(selected.body.len());
            selected.ids.push(self.ids[index]);
        }
        selected
    }

    /// A copy of a run of events.
    pub(crate) fn slice(&self, range: Range<usize>) -> Batch {
        let mut copy = Batch::default();
        copy.append_slice(self, range);
        copy
    }

    /// Appends a run of another batch's events.
    pub(crate) fn append_slice(&mut self, other: &Batch, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let start = if range.start == 0 { 0 } else { other.ends[range.start - 1] };
        let offset = self.body.len();
        self.body.extend_from_slice(&other.body[start..other.ends[range.end - 1]]);
        self.ends.extend(other.ends[range.clone()].iter().map(|end| end - start + offset));
        self.ids.extend_from_slice(&other.ids[range]);
    }

    /// How many events from `first` on fit in `bytes`, at least one, at most `events`.
    pub(crate) fn fitting(&self, first: usize, events: usize, bytes: usize) -> usize {
        let start = if first == 0 { 0 } else { self.ends[first - 1] };
        let last = self.len().min(first.saturating_add(events));
        let fitting = self.ends[first..last].partition_point(|end| end - start <= bytes);
        fitting.max(1).min(last - first)
    }

    /// Both halves, for a server that takes less at once.
    pub(crate) fn halves(&self) -> (Batch, Batch) {
        let middle = self.len() / 2;
        (self.slice(0..middle), self.slice(middle..self.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(texts: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for (number, text) in (1_u128..).zip(texts) {
            batch.push(Uuid::from_u128(number), |body| body.extend_from_slice(text.as_bytes()));
        }
        batch
    }

    fn shown(batch: &Batch) -> (String, Vec<u128>) {
        let text = String::from_utf8(batch.body().to_vec()).unwrap();
        (text, batch.ids().iter().map(|id| id.as_u128()).collect())
    }

    #[test]
    fn a_selection_keeps_lines_and_ids_together() {
        let batch = batch(&["a", "bb", "", "dddd"]);
        assert_eq!(shown(&batch.select([3, 1, 9])), ("dddd\nbb\n".into(), vec![4, 2]));
        assert_eq!(shown(&batch.slice(1..3)), ("bb\n\n".into(), vec![2, 3]));
        let (left, right) = batch.halves();
        assert_eq!(shown(&left), ("a\nbb\n".into(), vec![1, 2]));
        assert_eq!(shown(&right.select([1])), ("dddd\n".into(), vec![4]));
    }

    #[test]
    fn appended_events_can_be_selected_again() {
        let mut whole = batch(&["a"]);
        whole.append_slice(&batch(&["x", "yy", "z"]), 1..3);
        assert_eq!(shown(&whole), ("a\nyy\nz\n".into(), vec![1, 2, 3]));
        assert_eq!(shown(&whole.select([2])), ("z\n".into(), vec![3]));
    }

    #[test]
    fn what_fits_is_at_least_one_event() {
        let batch = batch(&["a", "bb", "ccc"]);
        assert_eq!(batch.fitting(0, 9, 5), 2);
        assert_eq!(batch.fitting(0, 1, 5), 1);
        assert_eq!(batch.fitting(1, 9, 1), 1);
        assert_eq!(batch.fitting(2, 9, 99), 1);
    }
}
