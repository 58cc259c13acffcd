//! Trace files, with and without counts, and the arrivals that they mean.
#![no_main]

use std::collections::BTreeMap;

use forescale::consumer::DataPlane;
use forescale::engine::Streams;
use forescale::scenario::Options;
use forescale::scenario::load::load_texts;
use forescale::time::{Duration, Time};

const START: &str = "[simulation]\nmaxMessages = 1_000_000_000\n[[queues]]\nname = \"work\"\n[[queues.arrivals]]\npattern = \"trace\"\nfile = \"trace.csv\"\n";

libfuzzer_sys::fuzz_target!(|input: (u8, &str)| {
    let (choice, text) = input;
    let mut scenario = START.to_owned();
    for (bit, line) in ["countColumn = \"2\"\n", "repeat = true\n", "stretch = 0.01\n", "workPer = { \"3\" = \"1s\" }\n"]
        .into_iter()
        .enumerate()
    {
        if choice & (1 << bit) != 0 {
            scenario.push_str(line);
        }
    }
    let texts =
        BTreeMap::from([("scenario.toml".to_owned(), scenario), ("trace.csv".to_owned(), text.to_owned())]);
    let Ok(loaded) = load_texts("scenario.toml", texts, &Options::default()) else { return };
    let mut plane = DataPlane::new(&loaded.scenario.queues, &[], &Streams::new(1, 0));
    // A few messages: a trace may mean very many.
    for _ in 0..100 {
        let Some(at) = plane.next_arrival().filter(|at| *at < Time::ZERO + Duration::from_hours(24)) else { return };
        plane.advance(at);
        if plane.events_made() > 100_000 {
            return;
        }
    }
});
