//! nginx as a plain reverse proxy: what moving the bytes costs without knowing what they say.
//!
//! Set up as its documentation recommends for upstreams that keep connections (`keepalive`, `proxy_http_version 1.1`, no
//! `Connection` header), with buffers that hold the largest body and without an access log: as cheap as it can be.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Nginx {
    child: Child,
    pub address: String,
    pub version: String,
    _directory: tempfile::TempDir,
}

impl Nginx {
    /// None when it is not installed.
    pub fn start(upstream: &str) -> Result<Option<Self>> {
        let places = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
        let Some(program) = places.iter().find(|p| Path::new(p).exists()) else { return Ok(None) };
        let version = Command::new(program).arg("-v").output()?;
        let version = String::from_utf8_lossy(&version.stderr).trim().replace("nginx version: ", "");
        let directory = tempfile::tempdir()?;
        let address =
            format!("127.0.0.1:{}", std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let config = directory.path().join("nginx.conf");
        std::fs::write(&config, text(&directory.path().display().to_string(), &address, upstream))?;
        let child = Command::new(program)
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&config)
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start nginx")?;
        let nginx = Self { child, address, version, _directory: directory };
        let begin = Instant::now();
        while std::net::TcpStream::connect(&nginx.address).is_err() {
            if begin.elapsed() > Duration::from_secs(10) {
                bail!("nginx does not listen");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(nginx))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers; killed at once it would leave them behind.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn text(directory: &str, address: &str, upstream: &str) -> String {
    // Workers of another user could not enter the directory.
    let user = if directory_is_of_root(directory) { "user root;\n" } else { "" };
    format!(
        "daemon off;\n{user}worker_processes auto;\npid {directory}/pid;\nevents {{ worker_connections 4096; }}\nhttp {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  client_max_body_size 16m;
  client_body_buffer_size 2m;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  upstream echo {{
    server {upstream};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://echo;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffer_size 16k;
      proxy_buffers 16 128k;
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"
    )
}

fn directory_is_of_root(directory: &str) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(directory).is_ok_and(|m| m.uid() == 0)
}
