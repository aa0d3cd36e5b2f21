//! Finds the service's binary beside the suite's own, and has it built first: figures of an older service
//! than the sources would be worse than none.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::progress::Progress;

/// The package of the service, as it was when the suite was compiled.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The binary, as new as the sources, compiled as the suite was.
///
/// # Errors
/// The service does not compile, or there is neither a binary nor sources.
pub(crate) fn fresh_binary(progress: Progress) -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map_err(Error::io("finding the suite's own binary"))?;
    let folder = own.parent().unwrap_or(Path::new("."));
    let binary = folder.join("sallyport");
    let manifest = Path::new(ROOT).join("Cargo.toml");
    match (build_command(folder, &manifest), binary.is_file()) {
        (Some(command), _) if manifest.is_file() => build(command, progress)?,
        (_, true) => progress.say("no sources here: using the binary as it is"),
        (_, false) => {
            return Err(Error::Target(format!(
                "there is no service to start: neither {} nor its sources; give --url",
                binary.display()
            )));
        }
    }
    Ok(binary)
}

/// `cargo build` into the folder that the suite's binary stands in: `…/<target folder>/<profile's folder>`.
fn build_command(folder: &Path, manifest: &Path) -> Option<Command> {
    let profile = match folder.file_name()?.to_str()? {
        "debug" => "dev",
        named => named,
    };
    let mut command = Command::new("cargo");
    command
        .args([
            "build",
            "--quiet",
            "--package",
            "sallyport",
            "--bin",
            "sallyport",
        ])
        .args(["--profile", profile])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(folder.parent()?)
        .stdin(Stdio::null());
    Some(command)
}

fn build(mut command: Command, progress: Progress) -> Result<(), Error> {
    progress.say("building the service, where it is not as new as its sources");
    let status = command.status().map_err(Error::io("starting cargo"))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Target("the service does not compile".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_is_built_into_the_folder_and_with_the_profile_of_the_suite() {
        let words = |folder: &str| -> Vec<String> {
            let command = build_command(Path::new(folder), Path::new("Cargo.toml")).unwrap();
            let words = command
                .get_args()
                .map(|word| word.to_str().unwrap().to_owned());
            words.collect()
        };
        let debug = words("/t/debug");
        assert!(debug.windows(2).any(|pair| pair == ["--profile", "dev"]));
        assert!(debug.windows(2).any(|pair| pair == ["--target-dir", "/t"]));
        let release = words("/t/release");
        assert!(
            release
                .windows(2)
                .any(|pair| pair == ["--profile", "release"])
        );
    }
}
