//! Nodes: pools, groups, volumes, reservations, what the cloud has of them.

use super::Frame;
use super::choices::Choices;
use super::events::while_there;

/// Types of the capacity reservations: some that pools of any kind take.
const RESERVED_TYPES: [&str; 4] = ["m5.xlarge", "m6g.xlarge", "t3.xlarge", "t4g.xlarge"];

/// Capacity reservations, Fargate and volumes, drawn apart from all else.
pub(super) fn nodes_of_other_kinds(c: &mut Choices, frame: &Frame, parts: &mut Vec<String>) {
    if frame.pools > 0 && c.once_in(3) {
        let regions = ["eu-west-1", "us-west-2"].into_iter().find(|region| parts[0].contains(region));
        let zone = format!("{}a", regions.unwrap_or("us-east-1"));
        for index in 0..RESERVED_TYPES.len() {
            parts.push(reservation(c, frame, index, &zone));
        }
        let terms =
            c.one(&["[{ id = \"cr-0\" }]", "[{ instanceMatchCriteria = \"open\" }, { tags = { soak = \"*\" } }]"]);
        for part in parts.iter_mut() {
            *part = part
                .replace(
                    "alias = \"al2023@latest\" }]",
                    &format!("alias = \"al2023@latest\" }}], capacityReservationSelectorTerms = {terms}"),
                )
                .replace("values = [\"spot\", \"on-demand\"]", "values = [\"reserved\", \"spot\", \"on-demand\"]")
                .replace("values = [\"on-demand\"]", "values = [\"reserved\", \"on-demand\"]");
        }
        if c.once_in(3) {
            parts.push("[[changes]]\nat = \"2m\"\npatch = { \"EC2NodeClass/default.capacityReservationSelectorTerms\" = [{ id = \"cr-1\" }] }\n".to_owned());
        }
    }
    if c.once_in(5) {
        let text = "[[fargateProfiles]]\nname = \"some\"\nselectors = [{ namespace = \"default\", labels = { app = \"w0\" } }]\n";
        parts.push(text.to_owned());
    }
    if c.once_in(4) {
        let volumes = "spec = { volumes = [{ name = \"v\", ephemeral = {} }], containers = [";
        parts.iter_mut().for_each(|part| *part = part.replace("spec = { containers = [", volumes));
    }
}

/// Claims, volumes and classes of storage, and pods that mount them, drawn apart from all else.
pub(super) fn storage(c: &mut Choices, parts: &mut Vec<String>) {
    if !c.once_in(4) {
        return;
    }
    let region = ["eu-west-1", "us-west-2"].into_iter().find(|region| parts[0].contains(region)).unwrap_or("us-east-1");
    let mode = c.one(&["WaitForFirstConsumer", "WaitForFirstConsumer", "Immediate"]);
    let provisioner = c.one(&["ebs.csi.aws.com", "ebs.csi.aws.com", "efs.csi.aws.com", "kubernetes.io/no-provisioner"]);
    let mut text = format!(
        "[[storageClasses]]\nmetadata = {{ name = \"soak\" }}\nprovisioner = \"{provisioner}\"\nvolumeBindingMode = \"{mode}\"\n"
    );
    if c.once_in(3) {
        let zone = |zone| {
            format!(
                "{{ matchLabelExpressions = [{{ key = \"topology.ebs.csi.aws.com/zone\", values = [\"{region}{zone}\"] }}] }}"
            )
        };
        text += &format!("allowedTopologies = [{}, {}]\n", zone("a"), zone("b"));
    }
    for number in 0..2 {
        text += &format!(
            "[[persistentVolumeClaims]]\nmetadata = {{ name = \"claim-{number}\" }}\nspec = {{ storageClassName = \"soak\" }}\n"
        );
    }
    if c.once_in(2) {
        text += &format!(
            "[[persistentVolumes]]\nmetadata = {{ name = \"volume\" }}\nspec = {{ storageClassName = \"soak\", nodeAffinity = {{ required = {{ nodeSelectorTerms = \
             [{{ matchExpressions = [{{ key = \"topology.kubernetes.io/zone\", operator = \"In\", values = [\"{region}a\"] }}] }}] }} }} }}\n"
        );
    }
    parts.push(text);
    let claim = |name: &str| format!("{{ name = \"{name}\", persistentVolumeClaim = {{ claimName = \"{name}\" }} }}");
    let own = "{ name = \"own\", ephemeral = { volumeClaimTemplate = { spec = { storageClassName = \"soak\" } } } }"
        .to_owned();
    let (first, second) = (claim("claim-0"), claim("claim-1"));
    for part in parts.iter_mut() {
        let mounted = match c.number(0, 5) {
            0 => first.clone(),
            1 => format!("{first}, {second}"),
            2 => format!("{own}, {second}"),
            3 => own.clone(),
            4 if c.once_in(4) => claim("no-claim"),
            _ => continue,
        };
        *part = part
            .replace("volumes = [{ name = \"v\", ephemeral = {} }], ", "")
            .replace("spec = { containers = [", &format!("spec = {{ volumes = [{mounted}], containers = ["));
    }
}

pub(super) fn reservation(c: &mut Choices, frame: &Frame, index: usize, zone: &str) -> String {
    let instance_type = RESERVED_TYPES[index];
    let mut text = format!(
        "[[capacityReservations]]\nid = \"cr-{index}\"\ninstanceType = \"{instance_type}\"\nzone = \"{zone}\"\ninstanceCount = {}\n",
        c.number(1, 4)
    );
    text += &c.maybe_text(3, "from", &["1m", "5m"]);
    text += &c.maybe(4, "perHour", &["0", "1.5"]);
    text += &c.maybe_text(3, "instanceMatchCriteria", &["targeted"]);
    let until = c.number(6, frame.minutes + 45);
    match c.number(0, 3) {
        0 => text += &format!("until = \"{until}m\"\n"),
        1 => text += &format!("until = \"{until}m\"\nreservationType = \"capacity-block\"\n"),
        _ => {}
    }
    text + "tags = { soak = \"yes\" }\n"
}

/// AMIs, subnets and security groups that come and go, drawn apart from all else.
pub(super) fn what_selectors_find(c: &mut Choices, frame: &Frame, parts: &mut Vec<String>) {
    if frame.pools == 0 || !c.once_in(3) {
        return;
    }
    let region = ["eu-west-1", "us-west-2"].into_iter().find(|region| parts[0].contains(region)).unwrap_or("us-east-1");
    let mut terms = String::new();
    if c.once_in(2) {
        terms += "subnetSelectorTerms = [{ tags = { soak = \"*\" } }], ";
        for (index, zone) in ["a", "b", "b"].iter().enumerate() {
            let place = format!("id = \"subnet-{index}\"\nzone = \"{region}{zone}\"\n");
            parts.push(format!("[[subnets]]\n{place}{}", while_there(c, frame)));
        }
    }
    if c.once_in(2) {
        terms += "securityGroupSelectorTerms = [{ name = \"web\" }, { tags = { soak = \"*\" } }], ";
        for index in 0..2 {
            parts.push(format!("[[securityGroups]]\nid = \"sg-{index}\"\n{}", while_there(c, frame)));
        }
    }
    parts.push(format!("[[amis]]\nalias = \"al2023@v2\"\nfrom = \"{}s\"\n", c.number(0, frame.minutes * 60)));
    parts.push(format!("[clocks]\namiAliasLookup = \"{}m\"\n", c.number(0, frame.minutes)));
    let own = c.once_in(2);
    if own {
        for (index, architecture) in ["x86_64", "x86_64", "arm64"].iter().enumerate() {
            let image = format!("id = \"ami-{index}\"\narchitecture = \"{architecture}\"\n");
            parts.push(format!("[[amis]]\n{image}{}", while_there(c, frame)));
        }
    }
    for part in parts.iter_mut() {
        *part = part.replace("amiSelectorTerms = [", &format!("{terms}amiSelectorTerms = ["));
        if own {
            *part = part.replace("{ alias = \"al2023@latest\" }", "{ tags = { soak = \"*\" } }");
        }
    }
}

pub(super) fn node_pool(c: &mut Choices, index: usize) -> String {
    let mut requirements = Vec::new();
    if c.once_in(2) {
        let values = c.one(&["[\"spot\"]", "[\"on-demand\"]", "[\"spot\", \"on-demand\"]"]);
        requirements.push(format!("{{ key = \"karpenter.sh/capacity-type\", operator = \"In\", values = {values} }}"));
    }
    if c.once_in(2) {
        let values = c.one(&["[\"c\", \"m\", \"r\"]", "[\"m\"]", "[\"t\"]"]);
        requirements
            .push(format!("{{ key = \"karpenter.k8s.aws/instance-category\", operator = \"In\", values = {values} }}"));
    }
    if c.once_in(3) {
        let values = c.one(&["[\"amd64\"]", "[\"arm64\"]", "[\"amd64\", \"arm64\"]"]);
        requirements.push(format!("{{ key = \"kubernetes.io/arch\", operator = \"In\", values = {values} }}"));
    }
    if c.once_in(4) {
        requirements
            .push("{ key = \"karpenter.k8s.aws/instance-cpu\", operator = \"Lt\", values = [\"9\"] }".to_owned());
    }
    let mut text = format!("[[nodePools]]\nmetadata = {{ name = \"pool{index}\" }}\n[nodePools.spec]\n");
    text += &c.maybe(4, "weight", &["1", "50"]);
    text +=
        &c.maybe(4, "limits", &["{ cpu = \"0\" }", "{ cpu = \"8\" }", "{ memory = \"40Gi\" }", "{ cpu = \"100\" }"]);
    text += "[nodePools.spec.disruption]\n";
    text += &c.maybe_text(2, "consolidationPolicy", &["WhenEmpty", "WhenEmptyOrUnderutilized"]);
    text += &c.maybe_text(2, "consolidateAfter", &["0s", "30s", "5m", "Never"]);
    text += &c.maybe(
        3,
        "budgets",
        &["[{ nodes = \"0\" }]", "[{ nodes = \"100%\" }]", "[{ nodes = \"1\", reasons = [\"Empty\"] }]"],
    );
    text += "[nodePools.spec.template.spec]\n";
    text += &format!("requirements = [{}]\n", requirements.join(", "));
    text += "nodeClassRef = { group = \"karpenter.k8s.aws\", kind = \"EC2NodeClass\", name = \"default\" }\n";
    text += &c.maybe_text(3, "expireAfter", &["5m", "30m", "Never"]);
    text += &c.maybe_text(4, "terminationGracePeriod", &["1s", "30s", "10m"]);
    text += &c.maybe(6, "taints", &["[{ key = \"team\", value = \"a\", effect = \"NoSchedule\" }]"]);
    text += &c.maybe(8, "startupTaints", &["[{ key = \"cni\", effect = \"NoExecute\" }]"]);
    text
}

pub(super) fn node_group(c: &mut Choices, index: usize) -> String {
    let size = if c.once_in(2) {
        format!("instanceType = \"{}\"", c.one(&["m5.large", "c5.4xlarge", "m6g.xlarge"]))
    } else {
        format!("capacity = {{ cpu = \"{}\", memory = \"64Gi\", pods = 110 }}", c.number(2, 32))
    };
    let mut text = format!("[[nodeGroups]]\nname = \"group{index}\"\n{size}\ncount = {}\n", c.number(0, 4));
    text += &c.maybe(3, "max", &["4", "10"]);
    text += &c.maybe(6, "min", &["0"]);
    text += &c.maybe_text(4, "capacityType", &["spot"]);
    text += &c.maybe(6, "taints", &["[{ key = \"team\", value = \"a\", effect = \"NoSchedule\" }]"]);
    text
}

pub(super) fn market(c: &mut Choices, frame: &Frame) -> String {
    let mut text = "[market]\n".to_owned();
    text += &c.maybe_text(2, "interruptions", &["never", "normal", "tight", "hostile"]);
    text += &c.maybe(3, "interruptionsPerHour", &["0.5", "10.0"]);
    text += &c.maybe(3, "correlated", &["true", "false"]);
    text += &c.maybe(4, "noticeLostProbability", &["0.5", "1.0"]);
    text += &c.maybe(3, "onDemandUnavailable", &["0.0", "0.5", "1.0"]);
    text += &c.maybe(3, "spotUnavailable", &["0.0", "0.5", "1.0"]);
    text += &c.maybe(5, "onDemandVcpus", &["8", "64"]);
    text += &c.maybe(5, "spotVcpus", &["0", "32"]);
    text += &c.maybe_text(5, "spotPriceStep", &["1m"]);
    text += &c.maybe(6, "launchBurst", &["1"]);
    if c.once_in(4) {
        let at = c.number(0, frame.minutes * 60);
        text += &format!("[[market.outages]]\nat = \"{at}s\"\nduration = \"{}s\"\n", c.number(30, 600));
    }
    if c.once_in(4) {
        let at = c.number(0, frame.minutes * 60);
        text += &format!("[[market.prices]]\nat = \"{at}s\"\nfactor = {}\n", c.one(&["0.5", "3.0"]));
    }
    text
}
