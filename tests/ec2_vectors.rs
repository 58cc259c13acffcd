//! Allocatable resources against what Karpenter's AWS provider publishes, and variants of node class settings.

use std::path::PathBuf;

use forescale::api::decode::{Decode, Problems};
use forescale::api::karpenter::{AmiFamily, Ec2NodeClassSpec};
use forescale::api::tree::{Key, Node, Span, Value};
use forescale::ec2::capacity::NodeSettings;
use forescale::ec2::data::{TypeRow, instance_type, parse_type};
use forescale::units::{Resource, Resources};

struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    fn check(&mut self, id: &str, problems: &[String]) {
        if problems.is_empty() {
            self.passed += 1;
            return;
        }
        self.failed += 1;
        println!("FAILED {id}: {}", problems.join("; "));
    }
}

fn difference(resource: Resource, expected: Option<i64>, actual: &Resources) -> Option<String> {
    let expected = expected?;
    let actual = actual.get(resource);
    (expected != actual).then(|| format!("{} is {actual}, expected {expected}", resource.name()))
}

fn main() {
    let folder = std::env::var("FORESCALE_EC2_VECTORS")
        .map_or_else(|_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/ec2"), PathBuf::from);
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let unpriced: &'static str = Box::leak(read("unpriced_types.csv").into_boxed_str());
    let unpriced: Vec<TypeRow> = unpriced.lines().skip(1).filter_map(parse_type).collect();
    let find = |name: &str| instance_type(name).or_else(|| unpriced.iter().find(|row| row.name == name));
    let mut tally = Tally { passed: 0, failed: 0 };
    published(&read("allocatable_vectors.csv"), find, &mut tally);
    variants(&read("variants.json"), find, &mut tally);
    println!("{} passed, {} failed", tally.passed, tally.failed);
    println!("ec2_vectors: passed {} of {}", tally.passed, tally.passed + tally.failed);
    if tally.failed > 0 || tally.passed == 0 {
        std::process::exit(1);
    }
}

fn published<'a>(csv: &str, find: impl Fn(&str) -> Option<&'a TypeRow>, tally: &mut Tally) {
    let settings = NodeSettings::of_family(AmiFamily::Al2023);
    for line in csv.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |i: usize| fields[i].parse::<i64>().ok();
        let Some(row) = find(fields[0]) else {
            tally.check(fields[0], &["unknown instance type".to_owned()]);
            continue;
        };
        let actual = settings.allocatable(row);
        let problems: Vec<String> = [(Resource::Cpu, 1), (Resource::Memory, 2), (Resource::Pods, 3)]
            .into_iter()
            .filter_map(|(resource, column)| difference(resource, number(column), &actual))
            .collect();
        tally.check(fields[0], &problems);
    }
}

fn variants<'a>(json: &str, find: impl Fn(&str) -> Option<&'a TypeRow>, tally: &mut Tally) {
    let cases: Vec<serde_json::Value> = serde_json::from_str(json).expect("a list of variants");
    for case in cases {
        let id = case["id"].as_str().expect("an id");
        let row = find(case["type"].as_str().expect("a type")).expect("a known type");
        let mut problems = Problems::default();
        let spec = Ec2NodeClassSpec::decode(&tree(&case["spec"]), &mut problems).expect("a node class spec");
        assert!(!problems.has_errors(), "{id}: {problems:?}");
        let mut settings = NodeSettings::of_class(&spec).expect("usable settings");
        if let Some(enis) = case["reservedEnis"].as_i64() {
            settings.reserved_enis = enis;
        }
        if let Some(part) = case["vmMemoryOverhead"].as_f64() {
            settings.vm_memory_overhead = part;
        }
        let actual = match case["discoveredMemoryMi"].as_i64() {
            Some(mib) => settings.allocatable_with_memory(row, mib << 20),
            None => settings.allocatable(row),
        };
        let expected = [
            (Resource::Pods, "pods"),
            (Resource::Memory, "memory"),
            (Resource::Cpu, "cpu"),
            (Resource::EphemeralStorage, "ephemeralStorage"),
        ];
        let problems: Vec<String> = expected
            .into_iter()
            .filter_map(|(resource, key)| difference(resource, case[key].as_i64(), &actual))
            .collect();
        tally.check(id, &problems);
    }
}

/// JSON as the tree that objects are decoded from.
fn tree(json: &serde_json::Value) -> Node {
    use serde_json::Value as Json;
    let span = Span::default();
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        Json::String(text) => Value::Str(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(tree).collect()),
        Json::Object(entries) => {
            Value::Map(entries.iter().map(|(name, value)| (Key { name: name.clone(), span }, tree(value))).collect())
        }
    };
    Node { value, span }
}
