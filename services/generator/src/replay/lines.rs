//! Splits a stream of bytes into lines of bounded memory. Pure.

/// Bytes kept of one line; what is beyond is counted and passed over.
pub(super) const LINE_BYTES: usize = 1_000_000;

/// One line without its line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// At most [`LINE_BYTES`].
    pub(super) bytes: &'a [u8],
    /// Bytes of the line that did not fit.
    pub(super) dropped: u64,
}

/// Collects lines over the pieces in which a file is read. Lines end with `\n` or `\r\n`; the last one may have no
/// end.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The beginning of a line whose end was not seen yet.
    partial: Vec<u8>,
    dropped: u64,
}

impl Splitter {
    /// Takes the next piece; calls `each` for every line that ends in it.
    pub(super) fn feed(&mut self, piece: &[u8], mut each: impl FnMut(Line<'_>)) {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            if self.partial.is_empty() && self.dropped == 0 && end <= LINE_BYTES {
                each(Line { bytes: trimmed(&rest[..end]), dropped: 0 });
            } else {
                self.keep(&rest[..end]);
                self.finish(&mut each);
            }
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    /// The last line, if the stream did not end with a line end.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if !self.partial.is_empty() || self.dropped > 0 {
            let bytes = if self.dropped == 0 { trimmed(&self.partial) } else { &self.partial };
            each(Line { bytes, dropped: self.dropped });
            self.partial.clear();
            self.dropped = 0;
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(LINE_BYTES - self.partial.len());
        self.partial.extend_from_slice(&bytes[..kept]);
        self.dropped += (bytes.len() - kept) as u64;
    }
}

/// Without the carriage returns before a line feed: one as Windows writes, two as a careless conversion leaves.
fn trimmed(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]]) -> Vec<(Vec<u8>, u64)> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        let mut each = |line: Line<'_>| lines.push((line.bytes.to_vec(), line.dropped));
        for piece in pieces {
            splitter.feed(piece, &mut each);
        }
        splitter.finish(&mut each);
        lines
    }

    fn texts(pieces: &[&[u8]]) -> Vec<String> {
        split(pieces).into_iter().map(|(bytes, _)| String::from_utf8(bytes).unwrap()).collect()
    }

    #[test]
    fn line_ends_of_all_kinds() {
        assert_eq!(texts(&[b"a\nb\r\nc\r\r\n\nd"]), ["a", "b", "c", "", "d"]);
        assert_eq!(texts(&[b"a\r", b"\nb\n"]), ["a", "b"]);
        assert_eq!(texts(&[b"a\rb\n"]), ["a\rb"]);
        assert_eq!(texts(&[b"a\r"]), ["a"]);
        assert!(texts(&[b""]).is_empty());
    }

    #[test]
    fn a_long_line_is_cut_and_its_rest_is_counted() {
        let long = vec![b'x'; LINE_BYTES + 7];
        let pieces = [&b"a\n"[..], &long, &long, b"\nb"];
        let lines = split(&pieces);
        assert_eq!(lines.len(), 3);
        assert_eq!((lines[1].0.len(), lines[1].1), (LINE_BYTES, LINE_BYTES as u64 + 14));
        assert_eq!(lines[2], (b"b".to_vec(), 0));
    }

    proptest! {
        #[test]
        fn where_the_pieces_end_does_not_matter(
            bytes in proptest::collection::vec(proptest::sample::select(b"ab\r\n".to_vec()), 0..60), cut in 0..60_usize,
        ) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(split(&[&bytes[..cut], &bytes[cut..]]), split(&[&bytes]));
        }
    }
}
