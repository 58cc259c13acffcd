//! `forescale catalog`: instance types of a region, with prices and what pods may use of them.

use std::io::{self, Write};

use anyhow::bail;
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::api::karpenter::AmiFamily;
use crate::ec2::capacity::NodeSettings;
use crate::ec2::data::{self, InterruptionBand, RegionalType};
use crate::report::numbers::round;
use crate::units::{parse_quantity, parse_quantity_milli};

use super::End;

/// Arguments of `catalog`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Region of prices and availability
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Only this architecture
    #[arg(long, value_parser = ["amd64", "arm64"])]
    arch: Option<String>,
    /// Only these categories, such as c,m,r
    #[arg(long, value_delimiter = ',')]
    category: Vec<String>,
    /// Only these families, such as c7g,m5
    #[arg(long, value_delimiter = ',')]
    family: Vec<String>,
    /// At least so many CPUs allocatable to pods, such as 4 or 3500m
    #[arg(long, value_parser = cpu, value_name = "QUANTITY")]
    min_cpu: Option<i64>,
    /// At most so many vCPUs
    #[arg(long, value_parser = cpu, value_name = "QUANTITY")]
    max_cpu: Option<i64>,
    /// At least so much memory allocatable to pods, such as 16Gi
    #[arg(long, value_parser = memory, value_name = "QUANTITY")]
    min_memory: Option<i64>,
    /// At most so much memory
    #[arg(long, value_parser = memory, value_name = "QUANTITY")]
    max_memory: Option<i64>,
    /// Only types offered as Spot
    #[arg(long)]
    spot: bool,
    /// Whole machines and types with GPUs or accelerators too
    #[arg(long)]
    all: bool,
    /// Order
    #[arg(long, value_enum, default_value_t = Sort::Price)]
    sort: Sort,
    /// Most types shown
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// On-demand price
    Price,
    /// Spot price, types without last
    SpotPrice,
    /// On-demand price per vCPU
    PricePerCpu,
    /// vCPUs
    Cpu,
    /// Memory
    Memory,
    /// Name
    Name,
}

/// One type, as JSON shows it.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: &'static str,
    arch: &'static str,
    vcpu: i64,
    memory_mib: i64,
    allocatable_cpu_milli: i64,
    allocatable_memory_bytes: i64,
    allocatable_pods: i64,
    on_demand_usd_per_h: f64,
    spot_usd_per_h: Option<f64>,
    spot_saving_percent: Option<f64>,
    spot_interruption: Option<&'static str>,
}

fn cpu(text: &str) -> Result<i64, String> {
    parse_quantity_milli(text).map_err(|error| error.to_string())
}

fn memory(text: &str) -> Result<i64, String> {
    parse_quantity(text).map_err(|error| error.to_string())
}

/// Prints the types.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<End> {
    let regional = data::types_of(&arguments.region);
    if regional.is_empty() {
        bail!("no prices are known for region `{}`; known: {}", arguments.region, data::regions().join(", "));
    }
    let settings = NodeSettings::of_family(AmiFamily::Al2023);
    let mut rows: Vec<Row> = regional
        .iter()
        .filter(|regional| is_wanted(arguments, regional))
        .map(|regional| row(regional, &settings))
        .filter(|row| arguments.min_cpu.is_none_or(|least| row.allocatable_cpu_milli >= least))
        .filter(|row| arguments.min_memory.is_none_or(|least| row.allocatable_memory_bytes >= least))
        .collect();
    sort(&mut rows, arguments.sort);
    rows.truncate(arguments.limit.unwrap_or(usize::MAX));
    let text = if arguments.json { serde_json::to_string_pretty(&rows)? } else { table(&rows, &arguments.region) };
    writeln!(io::stdout(), "{text}")?;
    Ok(End::Fine)
}

fn is_wanted(arguments: &Arguments, regional: &RegionalType) -> bool {
    let row = regional.row;
    let listed = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|item| item == value);
    let plain = !row.bare_metal && row.gpu_count == 0 && row.accelerator_count == 0;
    arguments.arch.as_deref().is_none_or(|arch| arch == row.arch)
        && listed(&arguments.category, row.category)
        && listed(&arguments.family, row.family)
        && arguments.max_cpu.is_none_or(|most| row.vcpu * 1000 <= most)
        && arguments.max_memory.is_none_or(|most| row.memory_mib << 20 <= most)
        && (!arguments.spot || regional.spot.is_some())
        && (plain || arguments.all)
}

fn row(regional: &RegionalType, settings: &NodeSettings) -> Row {
    let row = regional.row;
    let allocatable = settings.allocatable(row);
    let spot = regional.spot.map(|advice| round(regional.on_demand * (100.0 - advice.savings_percent) / 100.0, 6));
    Row {
        name: row.name,
        arch: row.arch,
        vcpu: row.vcpu,
        memory_mib: row.memory_mib,
        allocatable_cpu_milli: allocatable.cpu().milli(),
        allocatable_memory_bytes: allocatable.memory().bytes(),
        allocatable_pods: allocatable.pods(),
        on_demand_usd_per_h: regional.on_demand,
        spot_usd_per_h: spot,
        spot_saving_percent: regional.spot.map(|advice| advice.savings_percent),
        spot_interruption: regional.spot.map(|advice| band(advice.band)),
    }
}

fn band(band: InterruptionBand) -> &'static str {
    match band {
        InterruptionBand::Below5 => "<5%",
        InterruptionBand::To10 => "5-10%",
        InterruptionBand::To15 => "10-15%",
        InterruptionBand::To20 => "15-20%",
        InterruptionBand::Above20 => ">20%",
    }
}

/// Rows come in the order of names, and stay so where they are equal.
fn sort(rows: &mut [Row], by: Sort) {
    let per_cpu = |row: &Row| row.on_demand_usd_per_h / row.vcpu.max(1) as f64;
    match by {
        Sort::Name => {}
        Sort::Price => rows.sort_by(|a, b| a.on_demand_usd_per_h.total_cmp(&b.on_demand_usd_per_h)),
        Sort::SpotPrice => {
            let price = |row: &Row| row.spot_usd_per_h.unwrap_or(f64::INFINITY);
            rows.sort_by(|a, b| price(a).total_cmp(&price(b)));
        }
        Sort::PricePerCpu => rows.sort_by(|a, b| per_cpu(a).total_cmp(&per_cpu(b))),
        Sort::Cpu => rows.sort_by_key(|row| row.vcpu),
        Sort::Memory => rows.sort_by_key(|row| row.memory_mib),
    }
}

fn table(rows: &[Row], region: &str) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header([
        "type",
        "arch",
        "vCPU",
        "GiB",
        "allocatable CPU",
        "allocatable GiB",
        "pods",
        "on-demand $/h",
        "Spot $/h",
        "saving",
        "interrupted",
    ]);
    for row in rows {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            row.name.to_owned(),
            row.arch.to_owned(),
            row.vcpu.to_string(),
            round(row.memory_mib as f64 / 1024.0, 2).to_string(),
            format!("{:.2}", row.allocatable_cpu_milli as f64 / 1000.0),
            format!("{:.2}", row.allocatable_memory_bytes as f64 / f64::from(1 << 30)),
            row.allocatable_pods.to_string(),
            format!("{:.4}", row.on_demand_usd_per_h),
            or_dash(row.spot_usd_per_h.map(|price| format!("{price:.4}"))),
            or_dash(row.spot_saving_percent.map(|saving| format!("{saving:.0} %"))),
            or_dash(row.spot_interruption.map(str::to_owned)),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let lines: Vec<_> = table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    let plural = if rows.len() == 1 { "type" } else { "types" };
    format!("{}\n{} {plural} in {region}; Spot prices are means of the last month", lines.join("\n"), rows.len())
}
