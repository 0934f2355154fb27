//! Which certificates are taken, and what is said of the others.

use rcgen::{CertificateParams, KeyPair};

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    /// A folder with a certificate that is good from 2020 to 2030, its key, and another key.
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["mcp.example.com".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        place.write("cert.pem", &params.self_signed(&key).unwrap().pem());
        place.write("key.pem", &key.serialize_pem());
        place.write("other.pem", &KeyPair::generate().unwrap().serialize_pem());
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn config(&self, certificate: &str, key: &str, authorities: Option<&str>) -> TlsConfig {
        TlsConfig {
            certificate_file: certificate.into(),
            key_file: key.into(),
            client_ca_file: authorities.map(PathBuf::from),
            client_certificates: None,
        }
    }

    /// What is wrong, each with the name of its file.
    fn problems(&self, config: &TlsConfig) -> Vec<(String, TlsError)> {
        let named = |error: TlsError| (error.path().file_name().unwrap().to_string_lossy().into_owned(), error);
        config.problems(self.0.path()).into_iter().map(named).collect()
    }
}

fn year(year: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600 + 86_400)
}

#[test]
fn a_certificate_with_its_key_is_taken_and_one_with_anothers_key_is_not() {
    let place = Place::new();
    let good = place.config("cert.pem", "key.pem", Some("cert.pem"));
    assert!(place.problems(&good).is_empty());
    assert!(load(&good.rooted(place.0.path())).is_ok());
    let wrong = place.problems(&place.config("cert.pem", "other.pem", None));
    assert!(matches!(wrong.as_slice(), [(file, TlsError::Mismatch { .. })] if file == "other.pem"), "{wrong:?}");
}

#[test]
fn each_file_that_is_missing_or_no_pem_is_named_at_once() {
    let place = Place::new();
    place.write("text.pem", "no certificate");
    let wrong = place.problems(&place.config("text.pem", "none.pem", Some("key.pem")));
    let told: Vec<&str> = wrong.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(told, ["text.pem", "none.pem", "key.pem"]);
    assert!(matches!(wrong[0].1, TlsError::Empty { what: "certificate", .. }), "{wrong:?}");
    assert!(matches!(wrong[1].1, TlsError::Read { .. }), "{wrong:?}");
    assert!(matches!(wrong[2].1, TlsError::Empty { what: "certificate", .. }), "{wrong:?}");
    let swapped = place.problems(&place.config("key.pem", "cert.pem", None));
    assert!(matches!(swapped[1].1, TlsError::Empty { what: "private key", .. }), "{swapped:?}");
}

#[test]
fn pem_around_something_else_is_no_certificate() {
    let place = Place::new();
    let certificate = fs::read_to_string(place.0.path().join("cert.pem")).unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    place.write("broken.pem", broken);
    place.write("chain.pem", &(certificate + broken));
    place.write("key-broken.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    for file in ["broken.pem", "chain.pem"] {
        let wrong = place.problems(&place.config(file, "key.pem", None));
        assert!(matches!(wrong.as_slice(), [(_, TlsError::Certificate { .. })]), "{file}: {wrong:?}");
    }
    let wrong = place.problems(&place.config("cert.pem", "key-broken.pem", None));
    assert!(matches!(wrong.as_slice(), [(file, TlsError::Key { .. })] if file == "key-broken.pem"), "{wrong:?}");
}

#[test]
fn a_certificate_is_good_between_its_dates_and_not_outside() {
    let place = Place::new();
    let config = place.config("cert.pem", "key.pem", None);
    let told = |now| config.out_of_date(place.0.path(), now);
    assert!(told(year(2026)).is_empty());
    assert!(matches!(told(year(2031)).as_slice(), [TlsError::Expired { until, .. }] if *until < year(2031)));
    assert!(matches!(told(year(2019)).as_slice(), [TlsError::NotYetValid { from, .. }] if *from > year(2019)));
    assert!(place.config("none.pem", "key.pem", None).out_of_date(place.0.path(), year(2031)).is_empty());
}
