//! nginx as a proxy that checks nothing: the yardstick.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use sekisho_e2e::gateway::free_address;
use sekisho_e2e::peers;
use sekisho_e2e::process::Running;
use tempfile::TempDir;

use super::{Certificate, Upstream};

/// An nginx that runs until this value is dropped.
#[derive(Debug)]
pub struct Nginx {
    // Before the folder: the process ends before its files go.
    process: Running,
    folder: TempDir,
    address: SocketAddr,
}

impl Nginx {
    /// Starts it with one worker in front of `upstream`; with a certificate it speaks TLS 1.3 and nothing else.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(upstream: &Upstream, certificate: Option<&Certificate>) -> anyhow::Result<Self> {
        let folder = folder()?;
        let address = free_address()?;
        let tls = match certificate {
            Some(certificate) => tls(certificate, folder.path())?,
            None => String::new(),
        };
        Self::launch(folder, address, &configuration(address, upstream.address(), &tls))
    }

    /// Starts it with a whole configuration that listens on `address`. What it names relative to itself lies in a folder of its own, where
    /// the certificate is `certificate.pem` and `key.pem`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn configured(address: SocketAddr, configuration: &str, certificate: &Certificate) -> anyhow::Result<Self> {
        let folder = folder()?;
        certificate.write(folder.path())?;
        Self::launch(folder, address, configuration)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process; the worker is a child of it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it said so far.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        format!("nginx said:\n{}", String::from_utf8_lossy(&log))
    }

    fn launch(folder: TempDir, address: SocketAddr, configuration: &str) -> anyhow::Result<Self> {
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration)?;
        let log = File::create(folder.path().join("log"))?;
        let mut command = peers::nginx()?;
        command.arg("-p").arg(folder.path()).arg("-c").arg(&file).args(["-e", "stderr"]);
        let process = Running::start(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))?;
        Ok(Self { process, folder, address })
    }
}

fn folder() -> anyhow::Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("sekisho-bench-nginx-").tempdir()?)
}

fn tls(certificate: &Certificate, folder: &Path) -> anyhow::Result<String> {
    let (certificate, key) = certificate.write(folder)?;
    Ok(format!(
        "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3; ssl_session_tickets off; ssl_session_cache off;",
        certificate.display(),
        key.display()
    ))
}

/// Connections are kept on both sides, no log is written, and nothing touches the disk: as fast as it gets.
fn configuration(address: SocketAddr, upstream: SocketAddr, tls: &str) -> String {
    let ssl = if tls.is_empty() { "" } else { " ssl" };
    format!(
        r#"worker_processes 1;
daemon off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_body_buffer_size 256k;
  client_max_body_size 8m;
  client_body_temp_path body;
  proxy_temp_path proxy;
  proxy_max_temp_file_size 0;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream bench {{ server {upstream}; keepalive 1024; keepalive_requests 100000000; keepalive_timeout 300s; }}
  server {{
    listen {address}{ssl};
    {tls}
    location / {{
      proxy_pass http://bench;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffer_size 16k;
      proxy_buffers 16 32k;
      proxy_busy_buffers_size 128k;
    }}
  }}
}}
"#
    )
}
