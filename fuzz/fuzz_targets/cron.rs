//! Cron schedules and their next instants.
#![no_main]

use forescale::engine::Schedule;
use jiff::Timestamp;
use jiff::tz::TimeZone;

libfuzzer_sys::fuzz_target!(|input: (u32, &str)| {
    let (start, text) = input;
    let Ok(schedule) = Schedule::parse(text, TimeZone::UTC) else { return };
    let mut at = Timestamp::from_second(i64::from(start)).expect("a time of this or the next century");
    for _ in 0..4 {
        let Some(next) = schedule.next(at) else { return };
        assert!(next > at, "{text}: {next} is not after {at}");
        at = next;
    }
});
