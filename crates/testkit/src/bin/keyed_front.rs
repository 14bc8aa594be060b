//! Gives each request to a gateway its key, for suites that bring none: `keyed_front ADDRESS GATEWAY KEY_FILE` serves until
//! it is killed.

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use toolgate_testkit::front::{Eras, Front};

#[tokio::main]
async fn main() -> Result<()> {
    let usage = "usage: keyed_front ADDRESS GATEWAY KEY_FILE";
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context(usage);
    let (address, gateway, file) = (next()?, next()?, next()?);
    let key = std::fs::read_to_string(&file).with_context(|| file.clone())?.trim().to_owned();
    let listener = TcpListener::bind(&address).await?;
    Front { key: Some(key), eras: Eras::Both }.serve(listener, gateway.parse()?).await
}
