//! Speed of placement: pods of mixed sizes on many nodes, with and without default spreading.
//!
//! `cargo bench --bench kube_scheduler` prints milliseconds for 7,064 pods of 200 sizes over 1,200 nodes.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the wall clock")]

use std::time::Instant;

#[path = "support/parse.rs"]
mod parse;
#[path = "support/placement.rs"]
mod placement;

use placement::{Placement, SIZES};

const NODES: usize = 1200;
const PODS: u32 = 7064;

fn main() {
    for (what, spreading) in [("plain pods", false), ("pods of Deployments (default spreading)", true)] {
        let mut fastest = f64::INFINITY;
        let mut placed = 0;
        for _ in 0..5 {
            let mut placement = Placement::new(PODS, NODES, spreading);
            let start = Instant::now();
            placed = placement.place();
            fastest = fastest.min(start.elapsed().as_secs_f64());
        }
        println!("{what}: {placed} of {PODS} pods of {SIZES} sizes on {NODES} nodes in {:.1} ms", fastest * 1e3);
    }
}
