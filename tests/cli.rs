//! The program as a user meets it.

use assert_cmd::Command;

type Checked = Result<(), Box<dyn std::error::Error>>;

fn forescale() -> Result<Command, Box<dyn std::error::Error>> {
    let mut command = Command::cargo_bin("forescale")?;
    command.env_remove("NO_COLOR").env("COLUMNS", "100");
    Ok(command)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A scenario with one queue and nothing else wrong than what `extra` adds.
fn scenario(folder: &std::path::Path, extra: &str) -> std::io::Result<std::path::PathBuf> {
    let path = folder.join("orders.toml");
    let toml = format!(
        "[simulation]\nduration = \"5m\"\n{extra}\n\n[[queues]]\nname = \"orders\"\n\n[[queues.arrivals]]\npattern = \"poisson\"\nrate = \"2/s\"\n"
    );
    std::fs::write(&path, toml)?;
    Ok(path)
}

#[test]
fn a_wrong_key_is_shown_where_it_stands() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = scenario(folder.path(), "sead = 3")?;
    let output = forescale()?.arg("check").arg(&path).output()?;
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("orders.toml:3:1") && error.contains("sead = 3"), "{error}");
    assert!(error.contains("seed"), "no hint in:\n{error}");
    assert_eq!(text(&output.stdout), "");
    Ok(())
}

#[test]
fn a_missing_file_is_bad_input() -> Checked {
    let output = forescale()?.args(["check", "nowhere.toml"]).output()?;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("nowhere.toml"));
    Ok(())
}

#[test]
fn a_good_scenario_is_fine() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = scenario(folder.path(), "")?;
    let output = forescale()?.arg("check").arg(&path).output()?;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("1 queue"));
    Ok(())
}

#[test]
fn wrong_arguments_are_bad_input() -> Checked {
    for arguments in [vec![], vec!["rum"], vec!["check"], vec!["check", "a.toml", "--set", "novalue"]] {
        let output = forescale()?.args(&arguments).output()?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stdout), "");
    }
    assert_eq!(forescale()?.arg("--version").output()?.status.code(), Some(0));
    Ok(())
}

#[test]
fn the_catalog_filters_and_sorts() -> Checked {
    let arguments =
        ["catalog", "--json", "--arch", "arm64", "--category", "c", "--min-cpu", "3", "--max-cpu", "8", "--spot"];
    let output = forescale()?.args(arguments).args(["--sort", "spot-price", "--limit", "5"]).output()?;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)?;
    assert_eq!(rows.len(), 5);
    let mut last = 0.0;
    for row in &rows {
        assert_eq!(row["arch"], "arm64");
        assert!(row["name"].as_str().is_some_and(|name| name.starts_with('c')));
        assert!(row["allocatable_cpu_milli"].as_i64().is_some_and(|cpu| (3000..8000).contains(&cpu)));
        let price = row["spot_usd_per_h"].as_f64().ok_or("no Spot price")?;
        assert!(price >= last);
        last = price;
    }
    Ok(())
}

#[test]
fn an_unknown_region_is_bad_input_and_the_known_ones_are_named() -> Checked {
    let output = forescale()?.args(["catalog", "--region", "us-east-9"]).output()?;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("us-east-1"));
    Ok(())
}

#[test]
fn completions_name_the_subcommands() -> Checked {
    let output = forescale()?.args(["completions", "bash"]).output()?;
    assert!(text(&output.stdout).contains("catalog"));
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_reader_that_stops_early_is_no_error() -> Checked {
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("forescale"))
        .arg("catalog")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    Ok(())
}
