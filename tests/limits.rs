//! Inputs that are made to be too much: each gets an error that names the limit, quickly, and none ends the program.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use forescale::scenario::Options;
use forescale::scenario::load::load_texts;

const START: &str = "[simulation]\nduration = \"1m\"\n";

/// What a user is told about a scenario file and the manifest `all.yaml` that it names, if there is one.
fn told(toml: &str, yaml: &str) -> String {
    let texts =
        BTreeMap::from([("scenario.toml".to_owned(), toml.to_owned()), ("all.yaml".to_owned(), yaml.to_owned())]);
    match load_texts("scenario.toml", texts, &Options::default()) {
        Ok(_) => "valid".to_owned(),
        Err(invalid) => invalid.to_string(),
    }
}

fn assert_told(toml: &str, yaml: &str, expected: &str) {
    let told = told(toml, yaml);
    assert!(told.contains(expected), "expected `{expected}` for `{}...`, got\n{told}", &toml[..toml.len().min(200)]);
}

fn in_yaml(yaml: &str, expected: &str) {
    assert_told(&format!("{START}manifests = [\"*.yaml\"]\n"), yaml, expected);
}

#[test]
fn nesting_of_toml_is_limited() {
    let many = 100_000;
    let keys = vec!["a"; many].join(".");
    for text in [
        format!("{keys} = 1\n"),
        format!("[{keys}]\nb = 1\n"),
        format!("[[{keys}]]\nb = 1\n"),
        format!("x = {{ {keys} = 1 }}\n"),
    ] {
        assert_told(&format!("{START}{text}"), "", "recursion limit");
    }
    let arrays = format!("{START}x = {}{}\n", "[".repeat(many), "]".repeat(many));
    assert_told(&arrays, "", "nested too deeply");
    let tables = format!("{START}x = {}1{}\n", "{a=".repeat(many), "}".repeat(many));
    assert_told(&tables, "", "nested too deeply");
}

#[test]
fn nesting_and_repetition_of_yaml_are_limited() {
    let many = 200_000;
    in_yaml(&format!("a: {}", "[".repeat(many)), "this is not valid YAML");
    in_yaml(&format!("a: {}", "{a: ".repeat(many)), "nested too deeply");
    in_yaml(&format!("{}a\n", "- ".repeat(many)), "nested too deeply");
    in_yaml(&"[".repeat(60).replace('[', "- "), "expected a Kubernetes object");
    let block = (0..2000).fold(String::new(), |mut text, depth| {
        let _ = writeln!(text, "{}a:", " ".repeat(depth));
        text
    });
    in_yaml(&block, "nested too deeply");
    // Each anchor keeps all that is within it.
    let opened = (0..60).fold(String::new(), |mut text, number| {
        let _ = write!(text, "&a{number} [");
        text
    });
    in_yaml(&format!("a: {opened}{}{}\nb: 1\n", "1,".repeat(100_000), "]".repeat(60)), "too many values in one file");
    let merges = (0..600).fold("a: &a {x: 1}\n".to_owned(), |mut text, number| {
        let _ = writeln!(text, "b{number}: {{<<: [{}]}}", vec!["*a"; 1000].join(","));
        text
    });
    in_yaml(&merges, "too many values in one file");
}

#[test]
fn numbers_of_objects_are_limited() {
    let queues = (0..1001).fold(START.to_owned(), |mut text, number| {
        let _ = writeln!(text, "[[queues]]\nname = \"q{number}\"");
        text
    });
    assert_told(&queues, "", "too many queues");
    let fault = "[[faults]]\nat = \"1s\"\nkind = \"kedaDown\"\nduration = \"1s\"\n";
    let queue = "[[queues]]\nname = \"work\"\n";
    assert_told(&format!("{START}{queue}{}", fault.repeat(10_001)), "", "too many faults");
    let object = "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: a}\nvalue: 1\n";
    in_yaml(&object.repeat(10_001), "too many objects");
}

#[test]
fn traces_are_limited_in_length() {
    let load = |last: &str, more: &str| {
        let toml = format!(
            "{START}[[queues]]\nname = \"work\"\n[[queues.arrivals]]\npattern = \"trace\"\nfile = \"t.csv\"\ncountColumn = \"n\"\nrepeat = true\n"
        );
        let csv = format!("t,n\n0,{more}\n0,0\n5,{more}\n{last},0\n");
        let texts = BTreeMap::from([("scenario.toml".to_owned(), toml), ("t.csv".to_owned(), csv)]);
        load_texts("scenario.toml", texts, &Options::default()).map(|loaded| loaded.scenario)
    };
    let told = load("5e30", "7").map_err(|invalid| invalid.to_string()).expect_err("too long");
    assert!(told.contains("row 4: more than ten years after the first"), "{told}");
    let told = load("10", "1e-300").map_err(|invalid| invalid.to_string()).expect_err("too few");
    assert!(told.contains("less than one message in all"), "{told}");
    // One of ten years is played at once.
    let scenario = load("3e8", "700").unwrap_or_else(|invalid| panic!("{invalid}"));
    let streams = forescale::engine::Streams::new(1, 0);
    let plane = forescale::consumer::DataPlane::new(&scenario.queues, &[], &streams);
    assert!(plane.next_arrival().is_some());
}

fn formula(text: &str) -> String {
    format!("{START}{}formula = \"{text}\"\n", include_str!("data/limits/formula.toml"))
}

fn expression(text: &str) -> String {
    format!("{}\n[[series]]\nscaledObject = \"worker\"\nexpression = \"{text}\"\n", formula("t"))
}

#[test]
fn formulas_are_limited() {
    let nested = |depth: usize, open: &str, close: &str| format!("{}t{}", open.repeat(depth), close.repeat(depth));
    let too_long = [
        nested(20_000, "(", ")"),
        nested(110, "(", ")"),
        nested(2000, "abs(", ")"),
        nested(20_000, "[", "]"),
        nested(5000, "true ? ", " : t"),
        vec!["t"; 20_000].join("+"),
        "a".repeat(5001),
    ];
    for text in too_long {
        assert_told(&formula(&text), "", "this formula is too long");
        assert_told(&expression(&text), "", "this formula is too long");
    }
    assert_told(&formula("len(map(1..100000000, # * 2))"), "", "ranges (`..`) are not simulated");
    for text in ["{a: t}", "len({ 'a' : {b: t} })", "count([t], {/* */b // x\\n: 1})"] {
        assert_told(&formula(text), "", "maps (`{key: value}`) are not simulated");
    }
    assert_eq!(told(&formula("count([t, 1], {# > (t > 2 ? 1 : 0)}) + 0.5"), ""), "valid");
    assert_eq!(told(&formula("max([t * 1.5, t / 2]) + (t > 3 ? 1 : 0)"), ""), "valid");
    // The most that is allowed is read and run on the small stack of a thread.
    for text in [nested(99, "(", ")"), nested(49, "abs(", ")"), vec!["t"; 100].join("+")] {
        let scenario = std::thread::spawn(move || {
            let texts = BTreeMap::from([("scenario.toml".to_owned(), formula(&text))]);
            let loaded = load_texts("scenario.toml", texts, &Options::default()).expect("a valid scenario");
            forescale::simulation::run(&loaded.scenario, forescale::simulation::Options::replication(0)).is_ok()
        });
        assert!(scenario.join().expect("no overflow"));
    }
}

/// Each level multiplies what the parser tries: without a limit these take minutes to hours.
#[test]
fn formulas_that_nest_brackets_are_told_at_once() {
    let nested = |depth: usize, open: &str, close: &str| format!("{}t{}", open.repeat(depth), close.repeat(depth));
    for text in ["t[".repeat(30), nested(16, "t[", "]"), "f[t[(if[".repeat(8)] {
        for scenario in [formula(&text), expression(&text)] {
            assert_told(&scenario, "", "the formula nests too many brackets to be read");
        }
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "holds 25 million messages: seconds and gigabytes, for `--release`")]
fn a_run_that_fills_the_queues_without_end_is_cut_off() {
    let text = "[simulation]\nduration = \"10h\"\n[[queues]]\nname = \"work\"\n[[queues.arrivals]]\npattern = \"poisson\"\nrate = \"900k/s\"\nend = \"18m\"\n";
    let texts = BTreeMap::from([("scenario.toml".to_owned(), text.to_owned())]);
    let loaded = load_texts("scenario.toml", texts, &Options::default()).unwrap_or_else(|invalid| panic!("{invalid}"));
    let options =
        forescale::simulation::Options { check_invariants: false, ..forescale::simulation::Options::replication(0) };
    let outcome = forescale::simulation::run(&loaded.scenario, options).expect("an outcome");
    assert_eq!(outcome.ended.key(), "too_many_at_once");
    assert!(outcome.end < forescale::time::Time::ZERO + forescale::time::Duration::from_mins(2));
}

#[test]
fn places_of_volumes_are_limited() {
    let term = "{matchLabelExpressions: [{key: topology.kubernetes.io/zone, values: [a]}]}";
    let class = |terms: usize| {
        let terms = vec![term; terms].join(", ");
        format!(
            "{{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {{name: c}}, provisioner: x, allowedTopologies: [{terms}]}}\n"
        )
    };
    in_yaml(&class(101), "at most 100");
    let volume = |name: usize| {
        format!("{{name: v{name}, ephemeral: {{volumeClaimTemplate: {{spec: {{storageClassName: c}}}}}}}}")
    };
    let volumes = (0..11).map(volume).collect::<Vec<_>>().join(", ");
    let deployment = format!(
        "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{selector: {{matchLabels: {{a: b}}}}, template: {{metadata: \
         {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: x}}], volumes: [{volumes}]}}}}}}}}\n"
    );
    in_yaml(&format!("{}{deployment}", class(2)), "at most 1000 ways");
}
