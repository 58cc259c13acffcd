//! What must hold for every HPA and every ScaledObject, whatever the input.

use forescale::api::decode::{Decode, Problems, defaults};
use forescale::api::hpa::{ScalingPolicyType, SelectPolicy};
use forescale::api::keda::ScaledObjectSpec;
use forescale::api::tree::{Key, Node, Span, Value};
use forescale::hpa::history::History;
use forescale::hpa::metrics::{Metric, Reading, Target};
use forescale::hpa::normalize::{Policy, Rules, ScalingRules};
use forescale::hpa::reconcile::{Autoscaler, Observed, Rule, Selector, reconcile, record_scale};
use forescale::hpa::replica_calculator::Counts;
use forescale::hpa::settings::Settings;
use forescale::hpa::status::Status;
use forescale::keda::annotations::Annotations;
use forescale::keda::executor::{Row, ScaleRequest, request_scale};
use forescale::time::{Duration, Time};
use proptest::prelude::*;

fn rules() -> impl Strategy<Value = ScalingRules> {
    let policy = (any::<bool>(), 1..200_i32, 1..1800_i64).prop_map(|(pods, value, period)| Policy {
        kind: if pods { ScalingPolicyType::Pods } else { ScalingPolicyType::Percent },
        value,
        period: Duration::from_secs(period),
    });
    let select = prop_oneof![Just(SelectPolicy::Max), Just(SelectPolicy::Min), Just(SelectPolicy::Disabled)];
    let window = proptest::option::of(0..3600_i64);
    (window, select, proptest::collection::vec(policy, 1..4), proptest::option::of(0.0..1.0)).prop_map(
        |(window, select, policies, tolerance)| ScalingRules {
            stabilization_window: window.map(Duration::from_secs),
            select,
            policies,
            tolerance,
        },
    )
}

/// One pass: milliseconds since the last, value (or failure), what others set the count to, ready share.
fn passes() -> impl Strategy<Value = Vec<(i64, Option<i64>, Option<u16>, f64)>> {
    let value = proptest::option::weighted(0.9, prop_oneof![0..200_000_i64, -5000..0_i64, Just(i64::MAX)]);
    let foreign = proptest::option::weighted(0.1, 0..300_u16);
    proptest::collection::vec((15_000..20_000_i64, value, foreign, 0.0..1.0), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// A count that an HPA writes lies within its bounds, a disabled HPA leaves zero alone, without a valid metric nothing moves
    /// within the bounds, and the legacy path never more than doubles (from 4 up).
    #[test]
    fn an_hpa_stays_within_its_bounds(
        bounds in (1..50_i32, 0..200_i32),
        target in 1..50_000_i64,
        total in any::<bool>(),
        behavior in proptest::option::of((rules(), rules())),
        minor in 28..38_u32,
        passes in passes(),
    ) {
        let (min, max) = (bounds.0, bounds.0 + bounds.1);
        let target = if total { Target::Value(target) } else { Target::AverageValue(target) };
        let autoscaler = Autoscaler {
            min,
            max,
            metrics: vec![Metric::External { name: "metric".to_owned(), target }],
            rules: behavior.map(|(scale_up, scale_down)| Rules { scale_up, scale_down }),
        };
        let settings = Settings::of_kubernetes(minor);
        let (mut history, mut status) = (History::default(), Status::default());
        let (mut now, mut replicas) = (Time::ZERO, min);
        for (wait, value, foreign, ready) in passes {
            now += Duration::from_millis(wait);
            replicas = foreign.map_or(replicas, i32::from);
            let reading = value.map_or_else(|| Reading::Failed("failed".to_owned()), |v| Reading::Series(vec![v]));
            let ready = (f64::from(replicas) * ready) as i32;
            let counts = Counts { spec: replicas, status: replicas, pods: replicas, ready };
            let observed = Observed { counts, selector: Selector::Valid, readings: vec![reading] };
            let decision = reconcile(&autoscaler, &settings, &mut history, &mut status, &observed, now);
            let desired = decision.desired;
            if replicas == 0 {
                prop_assert_eq!((desired, decision.rule), (0, Rule::Disabled));
                continue;
            }
            prop_assert!((min..=max).contains(&desired), "{} not in {}..={}", desired, min, max);
            if (min..=max).contains(&replicas) {
                prop_assert!(value.is_some() || desired == replicas);
                if autoscaler.rules.is_none() {
                    prop_assert!(desired <= (2 * replicas).max(4));
                }
                let disabled = |rules: &ScalingRules| rules.select == SelectPolicy::Disabled;
                if let Some(rules) = &autoscaler.rules {
                    prop_assert!(!disabled(&rules.scale_up) || desired <= replicas);
                    prop_assert!(!disabled(&rules.scale_down) || desired >= replicas);
                }
            }
            if decision.rescale() {
                record_scale(&autoscaler, &settings, &mut history, &mut status, &decision, now);
                prop_assert_eq!(status.desired_replicas, desired);
            }
            replicas = desired;
        }
    }

    /// The executor writes nothing but zero, idle or the minimum, each only where its table allows it.
    #[test]
    fn the_executor_makes_only_the_moves_of_its_table(
        counts in (proptest::option::of(0..10_u32), proptest::option::of(0..5_u32), 0..20_u32),
        fallback in proptest::option::of(0..3_i64),
        flags in any::<[bool; 6]>(),
        seconds in (proptest::option::of(0..1000_i64), 0..1000_i64, 0..400_i64, 0..400_i64),
    ) {
        let (minimum, idle, replicas) = counts;
        // The webhook refuses any other idle count (`CheckReplicaCountBoundsAreValid`).
        prop_assume!(idle.is_none_or(|idle| minimum.is_some_and(|minimum| idle < minimum.max(1))));
        let [active, error, scale_in, scale_out, force, paused] = flags;
        let (last_active, created, cooldown, initial) = seconds;
        let spec = spec(minimum, idle, fallback, cooldown, initial);
        let now = Time::from_micros(1_000_500_000);
        let request = ScaleRequest {
            spec: &spec,
            annotations: Annotations {
                paused,
                paused_replicas: None,
                paused_scale_in: scale_in,
                paused_scale_out: scale_out,
                force_activation: force,
            },
            active,
            error,
            replicas,
            last_active: last_active.map(|ago| Time::from_micros(((1000 - ago) * 1_000_000) as u64)),
            created: Time::from_micros(((1000 - created) * 1_000_000) as u64),
            initial_cooldown: true,
            zero_from_one_only: false,
            now,
        };
        let result = request_scale(&request);
        let on = active || force;
        let minimum = minimum.unwrap_or(0);
        let cooled = last_active.map_or(created >= initial, |ago| ago >= cooldown);
        match result.scale_to {
            None => prop_assert!(!result.refresh_last_active || (on && !error && result.row == Row::Active)),
            Some(to) => {
                prop_assert!(!paused && to != replicas);
                if on {
                    prop_assert_eq!(to, minimum.max(1));
                    prop_assert!(!scale_out && to > replicas && (replicas == 0 || idle.is_some()));
                } else if to > replicas {
                    prop_assert!(idle.is_none() && to == minimum);
                } else {
                    prop_assert_eq!(to, idle.unwrap_or(0));
                    prop_assert!(cooled && !scale_in && (idle.is_some() || minimum == 0));
                    prop_assert!(!error || fallback == Some(0));
                }
            }
        }
        if !on && error && fallback != Some(0) {
            prop_assert_eq!(result.scale_to, None);
        }
    }
}

fn spec(
    minimum: Option<u32>,
    idle: Option<u32>,
    fallback: Option<i64>,
    cooldown: i64,
    initial: i64,
) -> ScaledObjectSpec {
    let node = |value| Node { value, span: Span::default() };
    let map = |fields: Vec<(&str, Value)>| {
        let entry = |(name, value): (&str, Value)| (Key { name: name.to_owned(), span: Span::default() }, node(value));
        Value::Map(fields.into_iter().map(entry).collect())
    };
    let mut fields = vec![
        ("scaleTargetRef", map(vec![("name", Value::Str("target".to_owned()))])),
        ("cooldownPeriod", Value::Int(cooldown)),
        ("initialCooldownPeriod", Value::Int(initial)),
    ];
    fields.extend(minimum.map(|count| ("minReplicaCount", Value::Int(i64::from(count)))));
    fields.extend(idle.map(|count| ("idleReplicaCount", Value::Int(i64::from(count)))));
    fields
        .extend(fallback.map(|count| {
            ("fallback", map(vec![("failureThreshold", Value::Int(3)), ("replicas", Value::Int(count))]))
        }));
    let mut problems = Problems::default();
    ScaledObjectSpec::decode(&node(map(fields)), &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list))
}

/// The default scenario has the clocks that these properties assume.
#[test]
fn periods_default_to_upstreams() {
    let scenario: forescale::scenario::Scenario = defaults();
    assert_eq!(scenario.clocks.hpa_sync_period, Duration::from_secs(15));
}
