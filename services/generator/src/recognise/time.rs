//! Times as log files write them. Each reader takes text that begins with a time and gives the instant and how many
//! bytes it took.

use jiff::{civil, tz::Offset};
use record::Timestamp;

/// Reads digits and separators from the front of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes: text, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Passes over `byte` if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// Passes over one of these and says which.
    fn eat_any(&mut self, bytes: &[u8]) -> Option<u8> {
        let next = self.peek().filter(|next| bytes.contains(next))?;
        self.at += 1;
        Some(next)
    }

    /// A number of exactly `count` digits, at most 9.
    pub(super) fn digits(&mut self, count: usize) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + count)?;
        let mut number = 0;
        for digit in digits {
            number = number * 10 + u32::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
        self.at += count;
        Some(number)
    }

    /// Digits that follow, as many as there are.
    fn run_of_digits(&self) -> usize {
        self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// The fraction of a second as nanoseconds; digits after the ninth are passed over.
    fn fraction(&mut self) -> u32 {
        let count = self.run_of_digits();
        let mut nanos = 0;
        for place in 0..9 {
            let digit = if place < count { self.bytes[self.at + place] - b'0' } else { 0 };
            nanos = nanos * 10 + u32::from(digit);
        }
        self.at += count;
        nanos
    }

    /// `,123` or `.123456` if that is next.
    fn optional_fraction(&mut self) -> u32 {
        let digit_follows = self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit);
        if digit_follows && self.eat_any(b".,").is_some() { self.fraction() } else { 0 }
    }

    /// `12:34:56` and its fraction.
    fn clock(&mut self) -> Option<civil::Time> {
        let hour = self.digits(2)?;
        self.eat(b':')?;
        let minute = self.digits(2)?;
        self.eat(b':')?;
        let second = self.digits(2)?;
        let nanos = self.optional_fraction();
        time(hour, minute, second, nanos)
    }

    /// `12:34` where seconds are left out.
    fn hour_and_minute(&mut self) -> Option<civil::Time> {
        let hour = self.digits(2)?;
        self.eat(b':')?;
        let minute = self.digits(2)?;
        let goes_on = self.peek().is_some_and(|next| next == b':' || next.is_ascii_digit());
        (!goes_on).then(|| time(hour, minute, 0, 0)).flatten()
    }

    /// `Jan` to `Dec`, 1 to 12.
    fn month(&mut self) -> Option<u32> {
        const NAMES: [&[u8; 3]; 12] =
            [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
        let name = self.bytes.get(self.at..self.at + 3)?;
        let month = (1..).zip(NAMES).find(|(_, known)| known.as_slice() == name)?.0;
        self.at += 3;
        Some(month)
    }

    /// A day of one or two digits, `4`, ` 4` or `04`.
    fn day(&mut self) -> Option<u32> {
        let padded = self.eat(b' ').is_some();
        let count = self.run_of_digits();
        if count == 1 || (count == 2 && !padded) { self.digits(count) } else { None }
    }

    /// `Z`, `+02:00`, `+0200`, `+02`, ` UTC`, ` +0200`; seconds east of Greenwich. Without one it is UTC.
    fn optional_offset(&mut self) -> Option<i32> {
        let mut ahead = *self;
        let spaced = ahead.eat(b' ').is_some();
        if ahead.bytes[ahead.at..].starts_with(b"UTC") || ahead.bytes[ahead.at..].starts_with(b"GMT") {
            ahead.at += 3;
            *self = ahead;
            return Some(0);
        }
        if !spaced && ahead.eat_any(b"Zz").is_some() {
            *self = ahead;
            return Some(0);
        }
        let Some(sign) = ahead.eat_any(b"+-") else { return Some(0) };
        let Some(hours) = ahead.digits(2) else { return Some(0) };
        let colon = ahead.eat(b':').is_some();
        let minutes = ahead.digits(2);
        // ` -05 degrees` after a time is text; `-05` right behind it is an offset.
        if minutes.is_none() && (colon || spaced) {
            return Some(0);
        }
        let minutes = minutes.unwrap_or(0);
        if hours > 23 || minutes > 59 {
            return None;
        }
        *self = ahead;
        let seconds = i32::try_from(hours * 3_600 + minutes * 60).ok()?;
        Some(if sign == b'-' { -seconds } else { seconds })
    }
}

fn time(hour: u32, minute: u32, second: u32, nanos: u32) -> Option<civil::Time> {
    // A leap second is taken as the last one before it.
    let second = if second == 60 { 59 } else { second };
    let small = |number: u32| i8::try_from(number).ok();
    civil::Time::new(small(hour)?, small(minute)?, small(second)?, i32::try_from(nanos).ok()?).ok()
}

fn date(year: u32, month: u32, day: u32) -> Option<civil::Date> {
    civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// The instant, if it lies in the years that an event can have.
fn instant(date: civil::Date, time: civil::Time, offset: i32) -> Option<Timestamp> {
    let local = date.to_datetime(time);
    let instant = Offset::from_seconds(offset).ok()?.to_timestamp(local).ok()?;
    i64::try_from(instant.as_nanosecond()).ok().and_then(Timestamp::from_nanos)
}

/// `2026-01-31T12:00:00.123Z`, `2026-01-31 12:00:00,123 +0100`, `2026/01/31 12:00:00`, `20260131T120000Z`.
pub(super) fn iso(text: &[u8]) -> Option<(Timestamp, usize)> {
    let mut cursor = Cursor::new(text);
    let year = cursor.digits(4)?;
    let separator = cursor.eat_any(b"-/");
    let month = cursor.digits(2)?;
    if let Some(separator) = separator {
        cursor.eat(separator)?;
    }
    let day = cursor.digits(2)?;
    let between = cursor.eat_any(if separator.is_some() { &b"Tt _"[..] } else { &b"T"[..] })?;
    let clock = if separator.is_some() {
        let after_date = cursor;
        match cursor.clock() {
            Some(clock) => clock,
            None if between == b'_' => return None,
            None => {
                cursor = after_date;
                cursor.hour_and_minute()?
            }
        }
    } else {
        let clock = (cursor.digits(2)?, cursor.digits(2)?, cursor.digits(2)?);
        time(clock.0, clock.1, clock.2, cursor.optional_fraction())?
    };
    let offset = cursor.optional_offset()?;
    Some((instant(date(year, month, day)?, clock, offset)?, cursor.at))
}

/// `Sun Dec 04 04:47:44 2005` and `Sun Dec 04 04:47:44.123456 2005`: asctime, as Apache writes it.
pub(super) fn asctime(text: &[u8]) -> Option<(Timestamp, usize)> {
    let weekdays: [&[u8]; 7] = [b"Mon ", b"Tue ", b"Wed ", b"Thu ", b"Fri ", b"Sat ", b"Sun "];
    if !weekdays.contains(&text.get(..4)?) {
        return None;
    }
    let mut cursor = Cursor { bytes: text, at: 4 };
    let month = cursor.month()?;
    cursor.eat(b' ')?;
    let day = cursor.day()?;
    cursor.eat(b' ')?;
    let clock = cursor.clock()?;
    cursor.eat(b' ')?;
    let year = cursor.digits(4)?;
    Some((instant(date(year, month, day)?, clock, 0)?, cursor.at))
}

/// `10/Oct/2000:13:55:36 -0700`: access logs.
pub(super) fn access(text: &[u8]) -> Option<(Timestamp, usize)> {
    let mut cursor = Cursor::new(text);
    let day = cursor.digits(2)?;
    cursor.eat(b'/')?;
    let month = cursor.month()?;
    cursor.eat(b'/')?;
    let year = cursor.digits(4)?;
    cursor.eat(b':')?;
    let clock = cursor.clock()?;
    let offset = cursor.optional_offset()?;
    Some((instant(date(year, month, day)?, clock, offset)?, cursor.at))
}

/// `Jun 14 15:16:01` and `Jun 14 2005 15:16:01`: syslog.
pub(super) fn syslog(text: &[u8], now: Timestamp) -> Option<(Timestamp, usize)> {
    let mut cursor = Cursor::new(text);
    let month = cursor.month()?;
    cursor.eat(b' ')?;
    let day = cursor.day()?;
    cursor.eat(b' ')?;
    if cursor.run_of_digits() == 4 {
        let year = cursor.digits(4)?;
        cursor.eat(b' ')?;
        let clock = cursor.clock()?;
        return Some((instant(date(year, month, day)?, clock, 0)?, cursor.at));
    }
    let clock = cursor.clock()?;
    Some((latest_year(month, day, clock, now)?, cursor.at))
}

/// `0613 12:34:56.789012`: what follows the letter of klog and glog.
pub(super) fn klog(text: &[u8], now: Timestamp) -> Option<(Timestamp, usize)> {
    let mut cursor = Cursor::new(text);
    let (month, day) = (cursor.digits(2)?, cursor.digits(2)?);
    cursor.eat(b' ')?;
    let clock = cursor.clock()?;
    Some((latest_year(month, day, clock, now)?, cursor.at))
}

/// The latest year in which that time exists and is at most a day after now.
fn latest_year(month: u32, day: u32, clock: civil::Time, now: Timestamp) -> Option<Timestamp> {
    const DAY_NANOS: i64 = 86_400_000_000_000;
    let limit = now.as_nanos().saturating_add(DAY_NANOS);
    let this_year = jiff::Timestamp::from_nanosecond(i128::from(limit)).ok()?;
    let this_year = u32::try_from(Offset::UTC.to_datetime(this_year).year()).ok()?;
    // 29 February exists every fourth year, but not in 2100 and 2200.
    (this_year.saturating_sub(8)..=this_year)
        .rev()
        .filter_map(|year| instant(date(year, month, day)?, clock, 0))
        .find(|time| time.as_nanos() <= limit)
}

/// `081109 203615`: HDFS. Two digits of the year: 70 to 99 are 19xx.
pub(super) fn hdfs(text: &[u8]) -> Option<(Timestamp, usize)> {
    let mut cursor = Cursor::new(text);
    let (year, month, day) = (cursor.digits(2)?, cursor.digits(2)?, cursor.digits(2)?);
    cursor.eat(b' ')?;
    let clock = time(cursor.digits(2)?, cursor.digits(2)?, cursor.digits(2)?, cursor.optional_fraction())?;
    Some((instant(date(century(year), month, day)?, clock, 0)?, cursor.at))
}

/// `17/06/09 20:10:40`: Spark, year first.
pub(super) fn spark(text: &[u8]) -> Option<(Timestamp, usize)> {
    let mut cursor = Cursor::new(text);
    let year = cursor.digits(2)?;
    cursor.eat(b'/')?;
    let month = cursor.digits(2)?;
    cursor.eat(b'/')?;
    let day = cursor.digits(2)?;
    cursor.eat(b' ')?;
    let clock = cursor.clock()?;
    Some((instant(date(century(year), month, day)?, clock, 0)?, cursor.at))
}

fn century(year: u32) -> u32 {
    if year < 70 { 2_000 + year } else { 1_900 + year }
}

/// `1763991600`, `1763991600.123`, or 13, 16 or 19 digits for milli-, micro- and nanoseconds; from 2001 on.
pub(super) fn epoch(text: &[u8]) -> Option<(Timestamp, usize)> {
    let mut cursor = Cursor::new(text);
    let nanos_per_unit = match cursor.run_of_digits() {
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return None,
    };
    if cursor.peek() == Some(b'0') {
        return None;
    }
    let count = cursor.run_of_digits();
    let number: i64 = std::str::from_utf8(&text[..count]).ok()?.parse().ok()?;
    cursor.at = count;
    let fraction = if count == 10 { i64::from(cursor.optional_fraction()) } else { 0 };
    let ends = cursor.peek().is_none_or(|next| next.is_ascii_whitespace() || b",;|]:\"".contains(&next));
    let nanos = number.checked_mul(nanos_per_unit)?.checked_add(fraction)?;
    ends.then(|| Timestamp::from_nanos(nanos)).flatten().map(|time| (time, cursor.at))
}
