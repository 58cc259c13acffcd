//! Durations as Go writes them, and as scenarios do.
#![no_main]

use forescale::api::scalar::{parse_go_duration, parse_scenario_duration};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let scenario = parse_scenario_duration(text);
    if let Ok(go) = parse_go_duration(text) {
        assert!(!go.to_string().is_empty());
        // What Go understands, scenarios do too.
        assert_eq!(scenario, Ok(go), "{text}");
    }
});
