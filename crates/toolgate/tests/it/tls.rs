//! The command line and a gateway that speaks TLS: it believes the certificate of its own configuration and no other.

use crate::BINARY;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::{Path, PathBuf};
use std::process::Output;
use toolgate_testkit::TestGate;

const CALL: [&str; 4] = ["call", "omnipotent", "get_env_var", r#"{"name": "LANG"}"#];

// A certificate that signs itself, as `openssl req -x509` makes it: for a name, and an authority as well.
fn self_signed(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(["gateway.example".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let (cert_file, key_file) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    (cert_file, key_file)
}

fn config((cert, key): &(PathBuf, PathBuf), more: &str) -> String {
    format!("http: {{ tls: {{ cert: {}, key: {}{more} }} }}", cert.display(), key.display())
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_certificate_is_believed_and_another_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (real, other) = (self_signed(folder.path(), "real"), self_signed(folder.path(), "other"));
    let gate = TestGate::builder(BINARY).config(&config(&real, "")).tls(None).start().await.unwrap();
    for (arguments, part) in [(&CALL[..], "C.UTF-8"), (&["tools", "omnipotent"], "get_env_var")] {
        let output = gate.run(arguments).unwrap();
        assert!(output.status.success() && told(&output).contains(part), "{arguments:?}: {}", told(&output));
    }
    let load = ["load", "constant", "--rps", "5", "--duration", "1s", "--connections", "2", "--json"];
    let output = gate.run(&[&load[..], &["--timeout", "60s", "--max-p95", "60s"]].concat()).unwrap();
    assert!(output.status.success() && told(&output).contains("\"succeeded\":5"), "{}", told(&output));
    // What the gateway says of the machine is another matter: on a full one it is not ready.
    let looked = told(&gate.run(&["doctor"]).unwrap());
    let line = looked.lines().find(|line| line.contains(&gate.url(""))).unwrap_or(&looked);
    assert!(line.contains(" answers"), "{line}");

    // The same port and data directory, another certificate expected.
    let elsewhere = gate.home().join("elsewhere.yaml");
    std::fs::write(&elsewhere, format!("version: 1\n{}\n", config(&other, ""))).unwrap();
    let records = || gate.json(&["audit", "search", "--json"]).unwrap().as_array().map(Vec::len);
    let before = records();
    let mut refused = CALL.to_vec();
    refused.extend(["--config", elsewhere.to_str().unwrap()]);
    let output = gate.run(&refused).unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["another certificate", "no key was sent", other.0.to_str().unwrap(), "--config", "try again"]
    {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    let output = gate.run(&[&load[..], &["--config", elsewhere.to_str().unwrap()]].concat()).unwrap();
    assert!(!output.status.success() && told(&output).contains("another certificate"), "{}", told(&output));
    let output = gate.run(&["doctor", "--config", elsewhere.to_str().unwrap()]).unwrap();
    assert!(!output.status.success() && told(&output).contains("another certificate"), "{}", told(&output));

    // Without a word on TLS in its configuration it asks the authorities of the system, which do not know the gateway.
    std::fs::write(&elsewhere, "version: 1\n").unwrap();
    let mut refused = CALL.to_vec();
    refused.extend(["--config", elsewhere.to_str().unwrap()]);
    let output = gate.run(&refused).unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", told(&output));
    assert!(told(&output).contains("no http.tls: name the gateway's own with --config"), "{}", told(&output));
    assert_eq!(records(), before, "a refused command left a record: it reached the gateway");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_given_or_named_as_missing() {
    let folder = tempfile::tempdir().unwrap();
    let real = self_signed(folder.path(), "real");
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(["laptop".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let file = folder.path().join(format!("{name}.pem"));
        std::fs::write(&file, format!("{}{}", own.pem(), key.serialize_pem())).unwrap();
        (issuer.pem(), file)
    };
    let ((ca, known), (_, stranger)) = (authority("known"), authority("stranger"));
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ca).unwrap();
    let identity = reqwest::Identity::from_pem(&std::fs::read(&known).unwrap()).unwrap();
    let gate = TestGate::builder(BINARY)
        .config(&config(&real, &format!(", client_ca: {}", ca_file.display())))
        .tls(Some(identity))
        .start()
        .await
        .unwrap();
    let with = |file: &str| {
        let mut arguments = CALL.to_vec();
        arguments.extend(["--client-cert", file]);
        gate.run(&arguments).unwrap()
    };
    let output = with(known.to_str().unwrap());
    assert!(output.status.success() && told(&output).contains("C.UTF-8"), "{}", told(&output));
    let output = gate.command(&CALL).env("TOOLGATE_CLIENT_CERT", &known).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));

    let output = gate.run(&CALL).unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    for part in ["http.tls.client_ca", "--client-cert FILE", "TOOLGATE_CLIENT_CERT"] {
        assert!(told(&output).contains(part), "{}", told(&output));
    }
    let output = with(stranger.to_str().unwrap());
    assert_eq!(output.status.code(), Some(69), "{}", told(&output));
    assert!(told(&output).contains("authority in http.tls.client_ca"), "{}", told(&output));
    let output = with(real.0.to_str().unwrap());
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("no private key"), "{}", told(&output));
    // Not given one, doctor cannot look; that is nothing wrong with the set-up.
    let output = gate.run(&["doctor"]).unwrap();
    assert!(told(&output).contains("warning gateway"), "{}", told(&output));
    assert!(told(&output).contains("--client-cert FILE"), "{}", told(&output));
}
