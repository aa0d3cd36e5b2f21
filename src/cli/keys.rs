//! `sallyport keys`: makes and shows the keys that sign access tokens.

use super::{KeysCommand, print};
use crate::app::Error;
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::Keys;

pub(super) fn run(command: KeysCommand, config: &Config) -> Result<(), Error> {
    let now = Clock::system().now();
    match command {
        KeysCommand::Generate { file } => {
            let file = file.unwrap_or_else(|| config.keys_file.clone());
            Keys::generate(&file, now).map_err(Error::keys(&file))?;
            print(&format!(
                "Wrote {}. Keep a copy in a safe place: without it no session and no sealed secret can be read.\n",
                file.display()
            ));
        }
        KeysCommand::List { file } => {
            let file = file.unwrap_or_else(|| config.keys_file.clone());
            let keys = Keys::load(&file).map_err(Error::keys(&file))?;
            print(&format!("{keys}\n"));
        }
    }
    Ok(())
}
