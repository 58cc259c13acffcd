//! What the selectors of an EC2NodeClass find, and nodes when that changes in the account, in small runs.

use forescale::telemetry::{NodeRecord, Outcome};

#[path = "support/small_cluster.rs"]
#[expect(dead_code, reason = "some helpers are not needed here")]
mod small_cluster;
use small_cluster::{deployment, nodes_of, pool, run_for, run_with, running_at};

const ONE_AT_A_TIME: &str =
    "[nodePools.spec.disruption]\nconsolidateAfter = \"Never\"\nbudgets = [{ nodes = \"1\" }]\n";
const TERMS: &str = "amiSelectorTerms = [{ tags = { app = \"web\" } }]\nsubnetSelectorTerms = [{ tags = { app = \"web\" } }]\n\
                     securityGroupSelectorTerms = [{ tags = { app = \"web\" } }]\n";
/// What is there from the beginning: an AMI, two subnets in one zone, a security group.
const BEGINNING: &str = r#"
[[amis]]
id = "ami-1"
tags = { app = "web" }
[[subnets]]
id = "subnet-1"
zone = "us-east-1a"
tags = { app = "web" }
{subnet}
[[subnets]]
id = "subnet-2"
zone = "us-east-1a"
tags = { app = "web" }
[[securityGroups]]
id = "sg-1"
tags = { app = "web" }
{group}
"#;

fn class(terms: &str) -> String {
    format!("[[ec2NodeClasses]]\nmetadata = {{ name = \"default\" }}\n[ec2NodeClasses.spec]\n{terms}\n")
}

/// Pods that each fill an m5.large.
fn web(replicas: u32, terms: &str) -> String {
    let pool = pool("workers", &["m5.large"], &["on-demand"], ONE_AT_A_TIME);
    format!("{pool}{}{}", class(terms), deployment("web", replicas, "1500m"))
}

/// The beginning with `subnet` said of the first subnet and `group` of the security group, and with `more`.
fn account(subnet: &str, group: &str, more: &str) -> String {
    format!("{}{more}\n", BEGINNING.replace("{subnet}", subnet).replace("{group}", group))
}

/// When nodes drifted and why, each once.
fn drifts(outcome: &Outcome) -> Vec<(f64, &'static str)> {
    let drifts = outcome.decisions.iter().filter(|decision| decision.action.as_str() == "drift");
    let mut all: Vec<(f64, &str)> = drifts.map(|decision| (decision.at.as_secs_f64(), decision.rule.name())).collect();
    all.dedup();
    all
}

fn most_running(outcome: &Outcome, seconds: u32) -> usize {
    let nodes = nodes_of(outcome, "workers");
    (0..seconds).map(|second| running_at(&nodes, f64::from(second))).max().unwrap_or(0)
}

fn named(outcome: &Outcome, rule: &str) -> usize {
    outcome.decisions.iter().filter(|decision| decision.rule.name() == rule).count()
}

#[test]
fn what_is_found_anew_drifts_all_nodes_within_a_minute_and_replaces_them_within_the_budget() {
    let later =
        |kind: &str, id: &str| format!("[[{kind}]]\nid = \"{id}\"\ntags = {{ app = \"web\" }}\nfrom = \"5m\"\n");
    let untagged = "[[securityGroups]]\nid = \"sg-2\"\ntags = { app = \"web\" }\nuntil = \"5m\"\n\
                    [[securityGroups]]\nid = \"sg-2\"\nfrom = \"5m\"\n";
    for (account, reason) in [
        (account("", "", &later("amis", "ami-2")), "AMIDrift"),
        (account("", "", &later("securityGroups", "sg-2")), "SecurityGroupDrift"),
        (account("", "", untagged), "SecurityGroupDrift"),
        (account("until = \"5m\"", "", ""), "SubnetDrift"),
    ] {
        let outcome = run_for("12m", &format!("{}{account}", web(3, TERMS)));
        let found = drifts(&outcome);
        assert!(
            matches!(found[..], [(at, why)] if (300.0..360.0).contains(&at) && why == reason),
            "{found:?} {reason}"
        );
        let nodes = nodes_of(&outcome, "workers");
        assert_eq!((nodes.len(), most_running(&outcome, 720)), (6, 4), "{reason}");
        assert_eq!(nodes.iter().filter(|node| node.reason == "Drifted").count(), 3, "{reason}");
    }
}

#[test]
fn what_does_not_concern_a_node_drifts_nothing() {
    let arm = "[[amis]]\nid = \"ami-2\"\narchitecture = \"arm64\"\ntags = { app = \"web\" }\nfrom = \"5m\"\n";
    let other = "[[amis]]\nid = \"ami-2\"\ntags = { app = \"db\" }\nfrom = \"5m\"\n";
    let subnet = "[[subnets]]\nid = \"subnet-3\"\nzone = \"us-east-1b\"\ntags = { app = \"web\" }\nfrom = \"5m\"\n";
    for more in [arm, other, subnet] {
        let outcome = run_for("10m", &format!("{}{}", web(3, TERMS), account("", "", more)));
        assert_eq!((drifts(&outcome), nodes_of(&outcome, "workers").len()), (vec![], 3), "{more}");
    }
}

/// A release of EKS's images: Karpenter remembers for 24 h what `@latest` stands for, unless it restarts.
#[test]
fn a_release_drifts_nodes_when_the_alias_is_looked_up_again() {
    let terms = "amiSelectorTerms = [{ alias = \"al2023@latest\" }]\n";
    let release = "[[amis]]\nalias = \"al2023@v20260801\"\nfrom = \"5m\"\n";
    let restart = "[[faults]]\nkind = \"karpenterDown\"\nat = \"6m\"\nduration = \"90s\"\n";
    let when = |more: &str, lookup: &str| {
        let text = format!("{}{release}{more}", web(1, terms));
        drifts(&run_with("15m", &text, &[("clocks.amiAliasLookup", lookup)]))
    };
    let found = when("", "\"8m\"");
    assert!(matches!(found[..], [(at, "AMIDrift")] if (480.0..540.0).contains(&at)), "{found:?}");
    let found = when("", "\"1m\"");
    assert!(found.is_empty(), "looked up before the release, and for a day after: {found:?}");
    assert_eq!(when(restart, "\"20h\""), [(450.0, "AMIDrift")], "with the restart");
    let pinned = format!("{}{release}", web(1, &terms.replace("latest", "v20260701")));
    assert!(drifts(&run_with("15m", &pinned, &[("clocks.amiAliasLookup", "\"8m\"")])).is_empty());
}

#[test]
fn nodes_are_launched_where_the_class_has_a_subnet() {
    let zones = |nodes: &[&NodeRecord]| {
        let mut zones: Vec<String> = nodes.iter().map(|node| node.info.zone.clone()).collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    };
    let third = "[[subnets]]\nid = \"subnet-3\"\nzone = \"us-east-1c\"\ntags = { app = \"web\" }\n";
    let only_third = TERMS.replace(
        "subnetSelectorTerms = [{ tags = { app = \"web\" } }]",
        "subnetSelectorTerms = [{ id = \"subnet-3\" }]",
    );
    let outcome = run_for("10m", &format!("{}{}", web(6, &only_third), account("", "", third)));
    assert_eq!(zones(&nodes_of(&outcome, "workers")), ["us-east-1c"]);
    // Spread over zones knows those of the subnets alone: two pods each, none for a third.
    let spread = deployment("web", 4, "1500m").replace(
        "containers =",
        "topologySpreadConstraints = [{ maxSkew = 1, topologyKey = \"topology.kubernetes.io/zone\", whenUnsatisfiable = \
         \"DoNotSchedule\", labelSelector = { matchLabels = { app = \"web\" } } }]\ncontainers =",
    );
    let pool = pool("workers", &["m5.large"], &["on-demand"], ONE_AT_A_TIME);
    let outcome = run_for("10m", &format!("{pool}{}{spread}{}", class(TERMS), account("", "", third)));
    let nodes = nodes_of(&outcome, "workers");
    assert_eq!((nodes.len(), zones(&nodes).len()), (4, 2));
}

/// Without subnets the class is not Ready: nodes stay as they are, none is launched, until it finds some again.
#[test]
fn a_class_that_finds_nothing_launches_nothing_and_drifts_nothing() {
    let change = "[[changes]]\nat = \"6m\"\nscale = { web = 3 }\n";
    let gone = account("until = \"5m\"", "", change).replace(
        "id = \"subnet-2\"\nzone = \"us-east-1a\"\n",
        "id = \"subnet-2\"\nzone = \"us-east-1b\"\nfrom = \"10m\"\n",
    );
    let outcome = run_for("16m", &format!("{}{gone}", web(1, TERMS)));
    let nodes = nodes_of(&outcome, "workers");
    let claimed: Vec<f64> = nodes.iter().map(|node| node.claimed.as_secs_f64()).collect();
    assert!(claimed.iter().all(|at| !(300.0..600.0).contains(at)), "{claimed:?}");
    assert_eq!(named(&outcome, "SubnetsReady"), 2, "none, and one again");
    let found = drifts(&outcome);
    assert!(matches!(found[..], [(at, "SubnetDrift")] if (600.0..660.0).contains(&at)), "{found:?}");
    assert_eq!(running_at(&nodes, 950.0), 3);
    let late: Vec<&str> =
        nodes.iter().filter(|node| node.claimed.as_secs_f64() > 600.0).map(|n| n.info.zone.as_str()).collect();
    assert_eq!(late, ["us-east-1b"; 3]);
}

#[test]
fn only_types_that_an_ami_runs_on_are_launched() {
    let cheapest = |terms: &str, account: &str| {
        let pool = pool("workers", &["m7g.large", "m7i.large"], &["on-demand"], ONE_AT_A_TIME);
        let outcome = run_for("5m", &format!("{pool}{}{}{account}", class(terms), deployment("web", 1, "1500m")));
        nodes_of(&outcome, "workers").iter().map(|node| node.info.instance_type.clone()).collect::<Vec<_>>()
    };
    let arm = "[[amis]]\nid = \"ami-2\"\narchitecture = \"arm64\"\ntags = { app = \"web\" }\n";
    assert_eq!(cheapest(TERMS, &account("", "", "")), ["m7i.large"]);
    assert_eq!(cheapest(TERMS, &account("", "", arm)), ["m7g.large"]);
}
