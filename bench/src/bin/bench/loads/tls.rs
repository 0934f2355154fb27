//! TLS 1.3: handshakes alone, and calls on kept connections.

use std::sync::Arc;

use rustls::ClientConfig;
use sekisho_bench::load::{Groups, Stop, Transport, handshakes, trusting};
use sekisho_bench::row::Row;
use sekisho_bench::site::{Certificate, Shape, Stand, Upstream};

use super::{CONNECTIONS, turns};
use crate::bars::{Bar, CPU, Limit, RPS, pick, ratio};
use crate::compare::{Results, Turn, row};
use crate::options::Options;
use crate::stage::{Stage, shape};

/// Handshakes with the same certificate and the same key exchange, then handshakes as careful clients make them, then calls.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let (upstream, certificate) = (Upstream::start(&[])?, Certificate::new()?);
    let classic = trusting(certificate.pem(), Groups::Classic)?;
    let careful = trusting(certificate.pem(), Groups::PostQuantum)?;
    let transport = Transport::Tls(Arc::clone(&careful));
    let mut stands = vec![stage.nginx_over(&upstream, Some(&certificate), transport.clone())?];
    let secured = |binary: &std::path::Path| Shape { certificate: Some(&certificate), ..shape(binary, &upstream) };
    stands.extend(stage.sekishos_of(secured, &transport)?);
    shake_hands(options, &stands, (CLASSIC, &classic), results)?;
    shake_hands(options, &stands, (CAREFUL, &careful), results)?;
    results.compare(LOAD, options.rounds(), &turns(options, &stands, "calls")?)?;
    Ok(stage.binaries.iter().flat_map(|(name, _)| promises(&results.rows, name)).collect())
}

fn shake_hands(
    options: &Options,
    stands: &[Stand],
    (variant, config): (&str, &Arc<ClientConfig>),
    results: &mut Results,
) -> anyhow::Result<()> {
    for round in 0..options.rounds() {
        let first = usize::try_from(round)?.checked_rem(stands.len()).unwrap_or(0);
        for stand in stands.iter().cycle().skip(first).take(stands.len()) {
            let report = handshakes(&stand.target, config, CONNECTIONS, Stop::After(options.turn()?))?;
            let mut turn = Turn::new(options, stand, variant)?;
            turn.plan.connections = CONNECTIONS;
            let row = row(LOAD, &turn, report);
            results.add(Row { round, method: "handshake", payload: 0, ..row })?;
        }
    }
    Ok(())
}

/// One core of the bench asks and the other answers, and asking costs more. So what a server can do on its core is found in what a
/// handshake costs it; the rate beside it is that of the client.
fn promises(rows: &[Row], name: &str) -> Vec<Bar> {
    let of = |target: &str| pick(rows, |row| row.load == LOAD && row.target == target && row.variant == CLASSIC);
    let (ours, nginx) = (of(name), of("nginx"));
    vec![
        Bar::new(
            &format!("{name}: handshakes per second of its core, x nginx"),
            ratio(&nginx, &ours, CPU),
            Limit::AtLeast(0.7),
        ),
        Bar::new(
            &format!("{name}: handshakes a second as asked, x nginx"),
            ratio(&ours, &nginx, RPS),
            Limit::AtLeast(0.7),
        ),
    ]
}

const LOAD: &str = "tls";
const CLASSIC: &str = "handshakes, X25519";
const CAREFUL: &str = "handshakes, X25519MLKEM768 first";
