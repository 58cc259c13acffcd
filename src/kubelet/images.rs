//! Images of one node: cache, pull queue, registry limit, shared bandwidth
//! (`pkg/kubelet/images/{image_manager,puller}.go`, `pkg/kubelet/apis/config/v1beta1/defaults.go`).

use crate::engine::TokenBucket;
use crate::time::{Duration, Time};

/// What is fixed about pulls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PullConfig {
    /// One pull at a time (`serializeImagePulls`). Upstream default true, EKS AL2023 false.
    pub serialize: bool,
    /// `registryPullQPS`. Default 5.
    pub registry_per_second: u32,
    /// `registryBurst`. Default 10.
    pub registry_burst: u32,
    /// First and longest wait after a failed pull of a pod's image. Defaults 10 s and 300 s.
    pub backoff: (Duration, Duration),
    /// Bytes per second that all pulls of the node share. Default 125 MB/s, the baseline of a gp3 volume.
    pub node_bytes_per_second: f64,
}

impl Default for PullConfig {
    fn default() -> Self {
        PullConfig {
            serialize: false,
            registry_per_second: 5,
            registry_burst: 10,
            backoff: (Duration::from_secs(10), Duration::from_secs(300)),
            node_bytes_per_second: 125e6,
        }
    }
}

/// One image on its way.
#[derive(Clone, Debug, PartialEq)]
struct Pull {
    image: u32,
    /// Seconds of fixed work that are left.
    fixed: f64,
    /// Bytes that are left.
    bytes: f64,
    /// Bytes per second when nothing shares the node's bandwidth.
    rate: f64,
    pods: Vec<u32>,
}

/// A request to have an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PullRequest {
    /// Who needs it.
    pub pod: u32,
    /// Number of the image.
    pub image: u32,
    /// Compressed size in bytes.
    pub bytes: f64,
    /// Fixed part of the pull.
    pub base: Duration,
    /// Bytes per second when nothing shares the node's bandwidth.
    pub rate: f64,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullAnswer {
    /// The image is there.
    Present,
    /// It comes; [`NodeImages::finished`] will name the pod.
    Pulling,
    /// The registry limit is exceeded (`ErrImagePull: pull QPS exceeded`): ask again then.
    RetryAt(Time),
}

/// Images and pulls of one node.
#[derive(Clone, Debug)]
pub struct NodeImages {
    config: PullConfig,
    registry: TokenBucket,
    present: Vec<u32>,
    running: Vec<Pull>,
    waiting: Vec<Pull>,
    failures: Vec<(u32, u32, u32)>,
    advanced: Time,
}

impl NodeImages {
    /// A node without images.
    #[must_use]
    pub fn new(config: PullConfig) -> NodeImages {
        NodeImages {
            config,
            registry: TokenBucket::new(config.registry_per_second.max(1), config.registry_burst.max(1)),
            present: Vec::new(),
            running: Vec::new(),
            waiting: Vec::new(),
            failures: Vec::new(),
            advanced: Time::ZERO,
        }
    }

    /// Images that are there.
    #[must_use]
    pub fn present(&self) -> &[u32] {
        &self.present
    }

    /// Puts an image there, as one that comes with the machine image.
    pub fn add(&mut self, image: u32) {
        if !self.present.contains(&image) {
            self.present.push(image);
        }
    }

    /// Asks for an image (`EnsureImageExists`). Two pods that need the same image share its download.
    pub fn request(&mut self, now: Time, request: PullRequest) -> PullAnswer {
        if self.present.contains(&request.image) {
            self.failures.retain(|(pod, image, _)| (*pod, *image) != (request.pod, request.image));
            return PullAnswer::Present;
        }
        if !self.registry.try_take(now) {
            return PullAnswer::RetryAt(now + self.next_backoff(request.pod, request.image));
        }
        self.advance(now);
        let same = self.running.iter_mut().chain(&mut self.waiting).find(|pull| pull.image == request.image);
        if let Some(pull) = same {
            pull.pods.push(request.pod);
            return PullAnswer::Pulling;
        }
        let pull = Pull {
            image: request.image,
            fixed: request.base.as_secs_f64(),
            bytes: request.bytes,
            rate: request.rate.max(1.0),
            pods: vec![request.pod],
        };
        if self.config.serialize && !self.running.is_empty() {
            self.waiting.push(pull);
        } else {
            self.running.push(pull);
        }
        PullAnswer::Pulling
    }

    /// When the next pull ends if nothing else happens before.
    #[must_use]
    pub fn next_end(&self) -> Option<Time> {
        let scale = self.scale();
        let seconds = self.running.iter().map(|pull| pull.left(scale)).min_by(f64::total_cmp)?;
        Some(self.advanced + Duration::from_micros((seconds * 1e6).ceil() as i64))
    }

    /// Lets time pass; gives the pods whose image is there now.
    pub fn finished(&mut self, now: Time) -> Vec<u32> {
        self.advance(now);
        let mut pods = Vec::new();
        let mut ended = Vec::new();
        self.running.retain_mut(|pull| {
            // Less than a microsecond is left by rounding only.
            let over = pull.left(1.0) < 1e-6;
            if over {
                ended.push(pull.image);
                pods.append(&mut pull.pods);
            }
            !over
        });
        ended.into_iter().for_each(|image| self.add(image));
        if self.running.is_empty() && !self.waiting.is_empty() {
            let next = self.waiting.remove(0);
            self.running.push(next);
        }
        pods
    }

    /// Share of its own rate that each pull gets.
    fn scale(&self) -> f64 {
        let wanted: f64 = self.running.iter().map(|pull| if pull.fixed > 0.0 { 0.0 } else { pull.rate }).sum();
        if wanted > self.config.node_bytes_per_second { self.config.node_bytes_per_second / wanted } else { 1.0 }
    }

    /// Pulls work off their fixed part first; whoever then downloads shares the bandwidth.
    fn advance(&mut self, now: Time) {
        let mut left = now.since(self.advanced).max_zero().as_secs_f64();
        self.advanced = self.advanced.max(now);
        while left > 0.0 && !self.running.is_empty() {
            let scale = self.scale();
            let fixed = self.running.iter().map(|pull| pull.fixed).filter(|fixed| *fixed > 0.0);
            let step = fixed.min_by(f64::total_cmp).map_or(left, |fixed| fixed.min(left));
            for pull in &mut self.running {
                if pull.fixed > 0.0 {
                    pull.fixed = if pull.fixed <= step { 0.0 } else { pull.fixed - step };
                } else {
                    pull.bytes = (pull.bytes - pull.rate * scale * step).max(0.0);
                }
            }
            left -= step;
        }
    }

    fn next_backoff(&mut self, pod: u32, image: u32) -> Duration {
        let known = self.failures.iter_mut().find(|(p, i, _)| (*p, *i) == (pod, image));
        let count = match known {
            Some((.., count)) => {
                *count += 1;
                *count
            }
            None => {
                self.failures.push((pod, image, 0));
                0
            }
        };
        (self.config.backoff.0 * (1 << count.min(10))).min(self.config.backoff.1)
    }
}

impl Pull {
    fn left(&self, scale: f64) -> f64 {
        self.fixed + self.bytes / (self.rate * scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    fn request(pod: u32, image: u32, seconds: f64) -> PullRequest {
        PullRequest { pod, image, bytes: seconds * 10e6, base: Duration::ZERO, rate: 10e6 }
    }

    fn run(images: &mut NodeImages) -> Vec<(u32, f64)> {
        let mut ends = Vec::new();
        while let Some(end) = images.next_end() {
            ends.extend(images.finished(end).into_iter().map(|pod| (pod, end.as_secs_f64())));
        }
        ends
    }

    #[test]
    fn serialized_pulls_queue_and_parallel_ones_do_not() {
        for (serialize, second) in [(true, 40.0), (false, 20.0)] {
            let mut images = NodeImages::new(PullConfig { serialize, ..PullConfig::default() });
            assert_eq!(images.request(at(0.0), request(1, 1, 20.0)), PullAnswer::Pulling);
            assert_eq!(images.request(at(0.0), request(2, 2, 20.0)), PullAnswer::Pulling);
            assert_eq!(run(&mut images), [(1, 20.0), (2, second)]);
            assert_eq!(images.request(at(50.0), request(3, 1, 20.0)), PullAnswer::Present);
        }
    }

    #[test]
    fn the_eleventh_pull_at_once_fails_and_backs_off() {
        let mut images = NodeImages::new(PullConfig::default());
        for pod in 0..10 {
            assert_eq!(images.request(at(0.0), request(pod, pod, 20.0)), PullAnswer::Pulling);
        }
        assert_eq!(images.request(at(0.0), request(10, 10, 20.0)), PullAnswer::RetryAt(at(10.0)));
        assert_eq!(images.request(at(0.0), request(10, 10, 20.0)), PullAnswer::RetryAt(at(20.0)));
    }

    #[test]
    fn pulls_share_the_bandwidth_of_the_node() {
        let config = PullConfig { node_bytes_per_second: 10e6, ..PullConfig::default() };
        let mut images = NodeImages::new(config);
        images.request(at(0.0), request(1, 1, 10.0));
        images.request(at(0.0), request(2, 2, 20.0));
        let ends = run(&mut images);
        assert!((ends[0].1 - 20.0).abs() < 1e-3 && (ends[1].1 - 30.0).abs() < 1e-3, "{ends:?}");
    }
}
