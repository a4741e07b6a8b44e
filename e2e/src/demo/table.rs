//! `kubectl get routermodels`, as the API server prints it.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use super::NAMESPACE;
use crate::cluster::Fleet;

const ACCEPT: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// The lines that were shown last, without their age.
#[derive(Default)]
pub(super) struct Shown {
    lines: BTreeMap<String, Vec<String>>,
    header: bool,
}

impl Shown {
    /// Prints the lines that differ from the last ones in more than their age.
    pub(super) async fn print_changes(&mut self, fleet: &Fleet) -> Result<()> {
        let table = table(fleet).await?;
        let columns: Vec<_> = columns(&table);
        if !self.header {
            println!("{}", line(&columns.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>()));
            self.header = true;
        }
        for cells in rows(&table) {
            let name = cells.first().cloned().unwrap_or_default();
            let age = columns.iter().position(|column| column == "Age");
            let settled: Vec<_> = cells
                .iter()
                .enumerate()
                .filter(|(index, _)| Some(*index) != age)
                .map(|(_, cell)| cell.clone())
                .collect();
            if self.lines.get(&name) != Some(&settled) {
                println!("{}", line(&cells));
                self.lines.insert(name, settled);
            }
        }
        Ok(())
    }
}

async fn table(fleet: &Fleet) -> Result<Value> {
    let uri = format!("/apis/routing.tinydancer.dev/v1alpha1/namespaces/{NAMESPACE}/routermodels");
    let request = http::Request::get(uri).header("accept", ACCEPT).body(Vec::new())?;
    Ok(fleet.cluster.client.request(request).await?)
}

/// Names of the columns that kubectl shows without `-o wide`, with their places.
fn shown_columns(table: &Value) -> Vec<(usize, String)> {
    let definitions = table["columnDefinitions"].as_array().into_iter().flatten();
    let shown = definitions.enumerate().filter(|(_, column)| column["priority"].as_i64() == Some(0));
    shown.map(|(index, column)| (index, column["name"].as_str().unwrap_or_default().to_owned())).collect()
}

fn columns(table: &Value) -> Vec<String> {
    shown_columns(table).into_iter().map(|(_, name)| name).collect()
}

fn rows(table: &Value) -> Vec<Vec<String>> {
    let shown = shown_columns(table);
    let rows = table["rows"].as_array().into_iter().flatten();
    rows.map(|row| shown.iter().map(|(index, _)| cell(&row["cells"][*index])).collect()).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn line(cells: &[String]) -> String {
    const WIDTHS: [usize; 10] = [12, 9, 12, 9, 6, 8, 14, 13, 7, 6];
    let padded = cells.iter().enumerate().map(|(index, cell)| {
        let width = WIDTHS.get(index).copied().unwrap_or(10);
        format!("{cell:<width$}")
    });
    padded.collect::<String>().trim_end().to_owned()
}
