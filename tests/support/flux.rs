//! Reads the health of a resource by CEL expressions as Flux does: a status of an older generation is in
//! progress, then the first expression that holds decides, and when none does it is in progress. In: a
//! Kustomization and a resource; out: one word.

use anyhow::{Context, Result, anyhow, bail};
use cel::{Context as Variables, Program, Value as Answer};
use serde_json::Value;

/// The expressions in Flux's order, and what each decides.
const ORDER: [(&str, &str); 3] =
    [("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")];

/// `InProgress`, `Failed` or `Current`; an expression that cannot be evaluated is an error, as in Flux.
pub(crate) fn health(kustomization: &Value, resource: &Value) -> Result<&'static str> {
    let checks = kustomization["spec"]["healthCheckExprs"].as_array();
    let of_kind = |check: &&Value| {
        check["kind"] == resource["kind"] && check["apiVersion"] == resource["apiVersion"]
    };
    let check = checks.into_iter().flatten().find(of_kind).context("no check of this kind")?;
    let observed = resource["status"]["observedGeneration"].as_i64();
    if observed.is_some() && observed != resource["metadata"]["generation"].as_i64() {
        return Ok("InProgress");
    }
    for (name, word) in ORDER {
        if let Some(expression) = check[name].as_str()
            && holds(expression, resource).with_context(|| format!("{name}: {expression}"))?
        {
            return Ok(word);
        }
    }
    Ok("InProgress")
}

/// The variables are the resource's fields.
fn holds(expression: &str, resource: &Value) -> Result<bool> {
    let program = Program::compile(expression).map_err(|error| anyhow!("{error}"))?;
    let mut variables = Variables::default();
    for (name, value) in resource.as_object().context("a resource is a map")? {
        variables.add_variable(name.as_str(), value).map_err(|error| anyhow!("{error}"))?;
    }
    match program.execute(&variables) {
        Ok(Answer::Bool(answer)) => Ok(answer),
        Ok(other) => bail!("it is no truth value but {other:?}"),
        Err(error) => bail!("{error}"),
    }
}
