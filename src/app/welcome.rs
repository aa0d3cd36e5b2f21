//! Text that `sallyport dev` prints: addresses, warnings, and commands to paste.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use crate::config::Config;

/// Prints the text to standard output.
pub(super) fn print(config: &Config, folder: &Path) {
    let _ = std::io::stdout().write_all(text(config, folder).as_bytes());
}

fn text(config: &Config, folder: &Path) -> String {
    let scheme = if config.http.tls_cert.is_some() {
        "https"
    } else {
        "http"
    };
    let public = format!("{scheme}://{}", config.http.listen());
    let api = format!("{public}{}", config.http.base_path);
    let admin = format!("http://{}", config.http.admin);
    let mut text = String::new();
    let _ = write!(
        text,
        "
Sallyport in dev mode

  API       {api}        shown at {public}/docs
  outbox    {public}/dev/outbox            SMS and mail that have no provider
  internal  {admin}            /health /metrics
  data      {}
",
        folder.display()
    );
    text.push_str(&warnings(config));
    text.push_str(&commands_to_paste(
        &public,
        &api,
        &admin,
        &folder.join("cookies"),
    ));
    text
}

fn warnings(config: &Config) -> String {
    let mut text = String::from(
        "
Not for production: keys and data lie unencrypted in that folder, one machine holds both stores, and
whoever may use this machine's loopback may call the internal listener.
",
    );
    if config.http.tls_cert.is_none() {
        text.push_str("Plain HTTP: cookies are not marked Secure.\n");
    }
    if !config.limits.enabled {
        text.push_str("RATE_LIMITS=off: passwords can be guessed without bound.\n");
    }
    text
}

/// Commands in an order in which each works, on the first run and on every other.
fn commands_to_paste(public: &str, api: &str, admin: &str, cookies: &Path) -> String {
    let jar = cookies.display();
    let program = std::env::current_exe().unwrap_or_else(|_| "sallyport".into());
    let program = program.display();
    let json = "-H 'Content-Type: application/json'";
    format!(
        r#"
Lines to paste, in this order (on a later run register answers 409: the account is there already):

  curl -i {api}/auth/register {json} -d '{{"email":"alice@example.com","username":"alice","password":"SecurePass123!"}}'
  TOKEN=$(curl -s -c '{jar}' {api}/auth/login {json} -d '{{"emailOrUsername":"alice","password":"SecurePass123!"}}' | tee /dev/stderr | sed -n 's/.*"accessToken":"\([^"]*\)".*/\1/p')
  curl -i {api}/auth/me -H "Authorization: Bearer $TOKEN"

An authenticator app (`sallyport totp` stands in for one; each of its codes counts once, so a backup code logs in):

  SECRET=$(curl -s -X POST {api}/2fa/totp/setup -H "Authorization: Bearer $TOKEN" | sed -n 's/.*"secret":"\([^"]*\)".*/\1/p')
  BACKUP=$(curl -s {api}/2fa/totp/verify-setup -H "Authorization: Bearer $TOKEN" {json} -d "{{\"code\":\"$('{program}' totp "$SECRET")\"}}" | tee /dev/stderr | sed -n 's/.*"backupCodes":\["\([^"]*\)".*/\1/p')
  TEMP=$(curl -s {api}/auth/login {json} -d '{{"emailOrUsername":"alice","password":"SecurePass123!"}}' | tee /dev/stderr | sed -n 's/.*"tempToken":"\([^"]*\)".*/\1/p')
  TOKEN=$(curl -s -c '{jar}' {api}/2fa/verify-backup-code {json} -d "{{\"tempToken\":\"$TEMP\",\"code\":\"$BACKUP\"}}" | tee /dev/stderr | sed -n 's/.*"accessToken":"\([^"]*\)".*/\1/p')
  curl -i -X DELETE {api}/2fa/totp -H "Authorization: Bearer $TOKEN"

Sessions and the inside:

  curl -i -X POST -b '{jar}' -c '{jar}' {api}/auth/refresh -H 'Origin: {public}'
  curl -i -X POST -b '{jar}' -c '{jar}' {api}/auth/logout -H 'Origin: {public}'
  curl -i {public}/health
  curl -s {admin}/metrics | grep ^sallyport

Ctrl-C ends it.

"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsafe_is_said() {
        let mut config = Config::default();
        assert!(!text(&config, Path::new("/d")).contains("RATE_LIMITS"));
        config.limits.enabled = false;
        let text = text(&config, Path::new("/d"));
        assert!(text.contains("RATE_LIMITS=off"));
        assert!(text.contains("Not for production"));
    }

    #[test]
    fn lines_use_the_configured_addresses() {
        let mut config = Config::default();
        config.http.port = 4001;
        config.http.admin = "127.0.0.1:4002".parse().unwrap();
        config.http.base_path = "/v1".to_owned();
        let text = text(&config, Path::new("/d"));
        assert!(text.contains("curl -i http://127.0.0.1:4001/v1/auth/register"));
        assert!(text.contains("http://127.0.0.1:4002/metrics"));
        assert!(text.contains("http://127.0.0.1:4001/dev/outbox"));
        assert!(text.contains("http://127.0.0.1:4001/v1/2fa/totp/setup"));
        assert!(!text.contains("3001"));
    }
}
