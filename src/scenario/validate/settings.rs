//! The sections that are no objects: simulation, node groups, market, faults, changes, clocks, sweep and tune.

use super::context::{At, Context, listed};
use super::formulas;
use super::pods::{check_label, check_taints};
use super::queues::{after_the_end, number_within};
use super::triggers::SERIES;
use crate::api::decode::{Problems, closest};
use crate::api::hpa::{MetricKind, MetricSpec};
use crate::api::keda::Trigger;
use crate::api::meta::ObjectMeta;
use crate::api::tree::{Node, Span};
use crate::scenario::arrivals::TextFile;
use crate::scenario::faults::Fault;
use crate::scenario::kind::Kind;
use crate::scenario::lint::Rule;
use crate::scenario::market::OfferingSelector;
use crate::scenario::series::{SeriesSpec, evaluate};
use crate::scenario::{Scenario, files, path};
use crate::time::Duration;
use crate::units::Resources;

/// Longest run.
const MAX_DURATION: Duration = Duration::from_hours(366 * 24);

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    simulation(cx, problems);
    node_groups(cx, problems);
    priorities(cx, problems);
    market(cx, problems);
    for (fault, at) in cx.elements("faults", &cx.scenario.faults) {
        check_fault(fault, at, cx, problems);
    }
    changes(cx, problems);
    applied(cx, problems);
    series(cx, problems);
    missing_series(cx, problems);
    for section in ["sweep", "tune"] {
        axes(section, cx, problems);
    }
    let latencies = cx.section("latencies");
    if let Some(at) = latencies {
        number_within(at, "slowNodeProbability", cx.scenario.latencies.slow_node_probability, 0.0, 1.0, problems);
        number_within(at, "clusterFactorSigma", cx.scenario.latencies.cluster_factor_sigma, 0.0, 2.0, problems);
    }
}

fn simulation(cx: &Context<'_>, problems: &mut Problems) {
    let settings = &cx.scenario.simulation;
    let Some(at) = cx.section("simulation") else { return };
    if settings.duration <= Duration::ZERO || settings.duration > MAX_DURATION {
        problems.error(
            at.span(&["duration"]),
            format!("a run of {} is not possible", settings.duration),
            "must be above 0 and at most 366 days",
        );
    }
    if settings.warm_up >= settings.duration {
        problems.error(
            at.span(&["warmUp"]),
            "the warm-up leaves nothing of the run",
            format!("the run ends at {}", settings.duration),
        );
    }
    let Some(known) = cx.known else { return };
    let regions: Vec<&str> = known.regions.iter().map(String::as_str).collect();
    if !regions.contains(&settings.region.as_str()) {
        let help = closest(&settings.region, regions.iter().copied())
            .map_or_else(|| format!("known: {}", listed(&regions)), |near| format!("did you mean `{near}`?"));
        problems.error_with_help(
            at.span(&["region"]),
            format!("unknown region `{}`", settings.region),
            "no prices for it",
            help,
        );
        return;
    }
    for (index, zone) in settings.zones.iter().enumerate() {
        known_zone(zone, at.span(&["zones", &index.to_string()]), cx, problems);
    }
}

pub(super) fn known_zone(zone: &str, span: Span, cx: &Context<'_>, problems: &mut Problems) {
    let Some(known) = cx.known.filter(|known| !known.zones.is_empty()) else { return };
    let zones: Vec<&str> = known.zones.iter().map(String::as_str).collect();
    if !zones.contains(&zone) {
        let help = closest(zone, zones.iter().copied())
            .map_or_else(|| format!("there is {}", listed(&zones)), |near| format!("did you mean `{near}`?"));
        problems.error_with_help(
            span,
            format!("unknown zone `{zone}`"),
            format!("not in {}", cx.scenario.simulation.region),
            help,
        );
    }
}

fn node_groups(cx: &Context<'_>, problems: &mut Problems) {
    for (group, at) in cx.elements("nodeGroups", &cx.scenario.node_groups) {
        match (&group.instance_type, group.capacity == Resources::ZERO) {
            (None, true) => {
                let help =
                    "instanceType = \"m5.large\", or capacity = { cpu = \"2000\", memory = \"8000Gi\", pods = 10000 }";
                problems.error_with_help(
                    at.span(&[]),
                    format!("node group `{}` has no size", group.name),
                    "needs `instanceType` or `capacity`",
                    help,
                );
            }
            (Some(_), false) => problems.error(
                at.key(&["capacity"]),
                "a node group has one of `instanceType` and `capacity`",
                "both are given",
            ),
            (Some(name), true) => known_type(name, at.span(&["instanceType"]), cx, problems),
            (None, false) => {}
        }
        let (min, max) = (group.min.unwrap_or(group.count), group.max.unwrap_or(group.count));
        if min > group.count {
            problems.error(
                at.span(&["min"]),
                format!("min {min} is above count {}", group.count),
                "more than there are at the beginning",
            );
        }
        if max < group.count {
            problems.error(
                at.span(&["max"]),
                format!("max {max} is below count {}", group.count),
                "fewer than there are at the beginning",
            );
        }
        for (index, zone) in group.zones.iter().enumerate() {
            known_zone(zone, at.span(&["zones", &index.to_string()]), cx, problems);
        }
        for (key, value) in &group.labels {
            check_label(key, value, at, &["labels", key], problems);
        }
        check_taints(&group.taints, at.into(&["taints"]), problems);
    }
}

/// Patterns that no group's name matches.
fn priorities(cx: &Context<'_>, problems: &mut Problems) {
    let Some(at) = cx.section("clusterAutoscaler") else { return };
    let Some(priorities) = &cx.scenario.cluster_autoscaler.priorities else { return };
    let names: Vec<&str> = cx.scenario.node_groups.iter().map(|group| group.name.as_str()).collect();
    for pattern in priorities.idle(&names) {
        let message = format!("no node group matches `{pattern}`");
        Rule::SelectsNothing.report(problems, at.span(&["priorities"]), message, "a pattern in here", None);
    }
}

pub(super) fn known_type(name: &str, span: Span, cx: &Context<'_>, problems: &mut Problems) {
    let Some(known) = cx.known.filter(|known| !known.types.is_empty()) else { return };
    if !known.types.iter().any(|known| known.name == name) {
        let help = closest(name, known.types.iter().map(|known| known.name.as_str()))
            .map_or_else(|| "`forescale catalog` lists them".to_owned(), |near| format!("did you mean `{near}`?"));
        problems.error_with_help(
            span,
            format!("unknown instance type `{name}`"),
            format!("not in {}", cx.scenario.simulation.region),
            help,
        );
    }
}

fn market(cx: &Context<'_>, problems: &mut Problems) {
    let market = &cx.scenario.market;
    let Some(at) = cx.section("market") else { return };
    for (field, value) in [
        ("noticeLostProbability", Some(market.notice_lost_probability)),
        ("spotUnavailable", market.spot_unavailable),
        ("onDemandUnavailable", Some(market.on_demand_unavailable)),
    ] {
        number_within(at, field, value.unwrap_or(0.0), 0.0, 1.0, problems);
    }
    number_within(at, "interruptionsPerHour", market.interruptions_per_hour.unwrap_or(0.0), 0.0, 1000.0, problems);
    number_within(at, "spotPriceShare", market.spot_price_share.unwrap_or(1.0), 0.001, 10.0, problems);
    number_within(at, "launchesPerSecond", market.launches_per_second, 0.001, 1e6, problems);
    for zone in market.spot_zone_factors.keys() {
        known_zone(zone, at.key(&["spotZoneFactors", zone]), cx, problems);
    }
    for (index, outage) in market.outages.iter().enumerate() {
        let at = at.into(&["outages", &index.to_string()]);
        after_the_end(outage.at, at.span(&["at"]), cx, problems);
        check_selector(&outage.offerings, at.into(&["offerings"]), cx, problems);
    }
    for (index, change) in market.prices.iter().enumerate() {
        let at = at.into(&["prices", &index.to_string()]);
        if change.per_hour.is_none() == change.factor.is_none() {
            problems.error(at.span(&[]), "a price change has one of `perHour` and `factor`", "both or none are given");
        }
        number_within(at, "factor", change.factor.unwrap_or(1.0), 0.0, 1e6, problems);
        check_selector(&change.offerings, at.into(&["offerings"]), cx, problems);
    }
}

fn check_selector(selector: &OfferingSelector, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    for (index, zone) in selector.zones.iter().enumerate().filter(|(_, zone)| !zone.contains('*')) {
        known_zone(zone, at.span(&["zones", &index.to_string()]), cx, problems);
    }
    let Some(known) = cx.known.filter(|known| !known.types.is_empty()) else { return };
    for (index, pattern) in selector.instance_types.iter().enumerate() {
        let span = at.span(&["instanceTypes", &index.to_string()]);
        if !pattern.contains('*') {
            known_type(pattern, span, cx, problems);
        } else if !known.types.iter().any(|known| files::name_matches(pattern, &known.name)) {
            Rule::SelectsNothing.report(
                problems,
                span,
                format!("no instance type matches `{pattern}`"),
                "selects nothing",
                None,
            );
        }
    }
}

fn check_fault(fault: &Fault, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    after_the_end(fault.at, at.span(&["at"]), cx, problems);
    number_within(at, "share", fault.share, 0.0, 1.0, problems);
    if fault.share < 1.0 && !fault.kind.has_share() {
        let message = format!("`{}` has no share", fault.kind.as_str());
        problems.error(at.span(&["share"]), message, "all of it is down, or nothing");
    }
    if let Some(queue) = &fault.queue {
        let names: Vec<&str> = cx.scenario.queues.iter().map(|queue| queue.name.as_str()).collect();
        cx.must_exist("queue", queue, &names, at.span(&["queue"]), problems);
    }
    if let Some(deployment) = &fault.deployment {
        cx.must_exist("Deployment", deployment, &cx.names(Kind::Deployment), at.span(&["deployment"]), problems);
    }
    if let Some(nodes) = &fault.nodes {
        let mut names = cx.names(Kind::NodePool);
        names.extend(cx.scenario.node_groups.iter().map(|group| group.name.as_str()));
        cx.must_exist("NodePool or node group", nodes, &names, at.span(&["nodes"]), problems);
    }
    if let Some(zone) = &fault.zone {
        known_zone(zone, at.span(&["zone"]), cx, problems);
    }
}

fn changes(cx: &Context<'_>, problems: &mut Problems) {
    for (change, at) in cx.elements("changes", &cx.scenario.changes) {
        after_the_end(change.at, at.span(&["at"]), cx, problems);
        let is_empty = change.patch.values.is_empty()
            && change.scale.is_empty()
            && change.create.is_empty()
            && change.delete.is_empty()
            && change.new_amis.is_empty()
            && change.withdraw.is_empty();
        if is_empty {
            problems.error(
                at.span(&[]),
                "this change changes nothing",
                "needs `patch`, `scale`, `create`, `delete`, `newAmis` or `withdraw`",
            );
        }
        for (index, class) in change.new_amis.iter().enumerate() {
            let span = at.span(&["newAmis", &index.to_string()]);
            cx.must_exist("EC2NodeClass", class, &cx.names(Kind::Ec2NodeClass), span, problems);
        }
        for (index, selector) in change.withdraw.iter().enumerate() {
            check_selector(selector, at.into(&["withdraw", &index.to_string()]), cx, problems);
        }
        for deployment in change.scale.keys() {
            cx.must_exist(
                "Deployment",
                deployment,
                &cx.names(Kind::Deployment),
                at.key(&["scale", deployment]),
                problems,
            );
        }
        for (field, list) in [("create", &change.create), ("delete", &change.delete)] {
            for (index, object) in list.iter().enumerate() {
                object_exists(object, at.span(&[field, &index.to_string()]), cx, problems);
            }
        }
    }
}

/// `Kind/name` of an object of the scenario.
fn object_exists(text: &str, span: Span, cx: &Context<'_>, problems: &mut Problems) {
    let Some((kind, name)) = text.split_once('/') else {
        problems.error_with_help(
            span,
            format!("`{text}` is not an object"),
            "no `/`",
            "write kind and name: \"ScaledObject/orders\"",
        );
        return;
    };
    let Some(known) = Kind::parse(kind) else {
        let help =
            closest(kind, Kind::ALL.iter().map(|kind| kind.name())).map(|near| format!("did you mean `{near}`?"));
        problems.add(crate::api::decode::Severity::Error, span, format!("unknown kind `{kind}`"), "no such kind", help);
        return;
    };
    cx.must_exist(kind, name, &cx.names(known), span, problems);
}

fn applied(cx: &Context<'_>, problems: &mut Problems) {
    let Some(at) = cx.section("clocks") else { return };
    for (object, time) in &cx.scenario.clocks.applied {
        object_exists(object, at.key(&["applied", object]), cx, problems);
        after_the_end(*time, at.span(&["applied", object]), cx, problems);
    }
}

fn series(cx: &Context<'_>, problems: &mut Problems) {
    for (series, at) in cx.elements("series", &cx.scenario.series) {
        reader(series, at, cx, problems);
        if series.partitions == 0 {
            problems.error(at.span(&["partitions"]), "`partitions` must be at least 1", "is 0");
        }
        if let Some(file) = &series.file {
            series_of_file(series, file, at, cx, problems);
            continue;
        }
        match &series.expression {
            Some(expression) => {
                let span = at.span(&["expression"]);
                formulas::check(expression, |text| evaluate(text, 0.0), span, problems);
                if !series.times.is_empty() || !series.values.is_empty() {
                    let label = "beside `times` and `values`";
                    problems.error(at.key(&["expression"]), "a series is an expression or a list of values", label);
                }
            }
            None if series.times.is_empty() => {
                problems.error(
                    at.span(&[]),
                    "a series needs values",
                    "neither `times` and `values` nor `expression` nor `file`",
                );
            }
            None => {}
        }
        if series.times.len() != series.values.len() {
            let label = format!("{} values for {} times", series.values.len(), series.times.len());
            problems.error(at.key(&["values"]), "`times` and `values` must be equally many", label);
        }
        if let Some(index) = series.times.windows(2).position(|pair| pair[1] <= pair[0]) {
            let span = at.span(&["times", &(index + 1).to_string()]);
            problems.error(span, "times must be in order", "not after the one before");
        }
    }
}

/// A series from a file, which stands alone.
fn series_of_file(series: &SeriesSpec, file: &TextFile, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    for other in ["times", "values", "expression"] {
        if at.has(&[other]) {
            problems.error(at.key(&[other]), "a series is a file, an expression or a list of values", "beside `file`");
        }
    }
    number_within(at, "scale", series.scale, -1e9, 1e9, problems);
    number_within(at, "stretch", series.stretch, 1e-6, 1e6, problems);
    if !cx.unreadable.contains(&file.span) && series.times.len() < 2 {
        problems.error(at.span(&["offset"]), "nothing of the file is left", "beyond its end");
    }
}

/// Whose trigger or metric reads a series.
fn reader(series: &SeriesSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let named = |metadata: &ObjectMeta, name: &String| metadata.name.as_ref() == Some(name);
    let mut exists = |kind: Kind, name: &str, field: &str| {
        cx.must_exist(kind.name(), name, &cx.names(kind), at.span(&[field]), problems)
    };
    let triggers = match (&series.scaled_object, &series.scaled_job, &series.hpa) {
        (Some(name), None, None) => {
            if !exists(Kind::ScaledObject, name, "scaledObject") {
                return;
            }
            let object = cx.scenario.scaled_objects.iter().find(|object| named(&object.metadata, name));
            object.map_or(0, |object| object.spec.triggers.len())
        }
        (None, Some(name), None) => {
            if !exists(Kind::ScaledJob, name, "scaledJob") {
                return;
            }
            let job = cx.scenario.scaled_jobs.iter().find(|job| named(&job.metadata, name));
            job.map_or(0, |job| job.spec.triggers.len())
        }
        (None, None, Some(name)) => {
            if exists(Kind::HorizontalPodAutoscaler, name, "hpa") {
                let hpa = cx.scenario.hpas.iter().find(|hpa| named(&hpa.metadata, name));
                let metrics: Vec<&str> =
                    hpa.iter().flat_map(|hpa| &hpa.spec.metrics).filter_map(series_metric).collect();
                match &series.metric {
                    Some(metric) => _ = cx.must_exist("metric", metric, &metrics, at.span(&["metric"]), problems),
                    None => problems.error(at.key(&["hpa"]), "a series of an HPA needs `metric`", "which one?"),
                }
            }
            return;
        }
        _ => {
            let message = "a series has one of `scaledObject`, `scaledJob` and `hpa`";
            problems.error(at.span(&[]), message, "whose trigger or metric reads it?");
            return;
        }
    };
    if series.trigger >= triggers {
        let label = format!("number of triggers: {triggers}");
        problems.error(at.span(&["trigger"]), format!("there is no trigger {}", series.trigger), label);
    }
}

/// The name of a metric whose values a series gives.
fn series_metric(metric: &MetricSpec) -> Option<&str> {
    let name = match metric.kind {
        MetricKind::External => metric.external.as_ref().map(|source| &source.metric.name),
        MetricKind::Object => metric.object.as_ref().map(|source| &source.metric.name),
        MetricKind::Pods => metric.pods.as_ref().map(|source| &source.metric.name),
        MetricKind::Resource | MetricKind::ContainerResource => None,
    };
    name.map(String::as_str)
}

/// Triggers and metrics whose source is a series need one.
fn missing_series(cx: &Context<'_>, problems: &mut Problems) {
    let series = &cx.scenario.series;
    for (object, at) in cx.elements("scaledObjects", &cx.scenario.scaled_objects) {
        let own = series.iter().filter(|series| series.scaled_object == object.metadata.name);
        without_series(&object.spec.triggers, own.collect(), at, problems);
    }
    for (job, at) in cx.elements("scaledJobs", &cx.scenario.scaled_jobs) {
        let own = series.iter().filter(|series| series.scaled_job == job.metadata.name);
        without_series(&job.spec.triggers, own.collect(), at, problems);
    }
    for (hpa, at) in cx.elements("horizontalPodAutoscalers", &cx.scenario.hpas) {
        let own: Vec<&str> = series
            .iter()
            .filter(|series| series.hpa.is_some() && series.hpa == hpa.metadata.name)
            .filter_map(|series| series.metric.as_deref())
            .collect();
        for (index, metric) in hpa.spec.metrics.iter().enumerate() {
            if series_metric(metric).is_some_and(|name| !own.contains(&name)) {
                let span = at.span(&["spec", "metrics", &index.to_string(), "type"]);
                let message = format!("nothing says what this metric of type `{}` is", metric.kind.as_str());
                let help = "[[series]] with `hpa` and `metric` gives its values over time";
                Rule::MetricWithoutData.report(problems, span, message, "it has no data", Some(help.to_owned()));
            }
        }
    }
}

fn without_series(triggers: &[Trigger], series: Vec<&SeriesSpec>, at: At<'_>, problems: &mut Problems) {
    for (index, trigger) in triggers.iter().enumerate().filter(|(_, trigger)| SERIES.contains(&trigger.kind.as_str())) {
        if !series.iter().any(|series| series.trigger == index) {
            let help = "[[series]] gives its values over time";
            let span = at.span(&["spec", "triggers", &index.to_string(), "type"]);
            let message = format!("nothing says what this `{}` trigger reads", trigger.kind);
            Rule::MetricWithoutData.report(problems, span, message, "it has no data", Some(help.to_owned()));
        }
    }
}

/// Each path of a sweep must lead somewhere, and each of its values must be one that the setting can have.
fn axes(section: &str, cx: &Context<'_>, problems: &mut Problems) {
    let axes = if section == "sweep" { &cx.scenario.sweep.axes } else { &cx.scenario.tune.axes };
    for axis in axes {
        let steps = match path::resolve(cx.root, &axis.path) {
            Ok(steps) => steps,
            Err(error) => {
                crate::scenario::document::report(axis.span, error, problems);
                continue;
            }
        };
        for value in &axis.values {
            try_value(&steps, value, cx, problems);
        }
    }
}

/// Decodes the part of the scenario that the steps lead into with a value in place.
fn try_value(steps: &[path::Step], value: &Node, cx: &Context<'_>, problems: &mut Problems) {
    use crate::api::decode::Decode;
    let mut root = path::skeleton(cx.root, steps);
    path::set(&mut root, steps, value.clone());
    let mut found = Problems::default();
    let _ = Scenario::decode(&root, &mut found);
    problems.list.extend(found.list.into_iter().filter(|problem| problem.span == value.span));
}
