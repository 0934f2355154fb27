//! What a server sees of the machine's files.

use sekisho_sandbox::Tier;

use crate::support::Yard;

const BOTH: [Tier; 2] = [Tier::Full, Tier::Partial];

#[tokio::test]
async fn nothing_of_the_home_is_there_but_what_was_granted() {
    let yard = Yard::new();
    for tier in BOTH {
        let granted = yard.at("home/project");
        let script = format!(
            "cat {}/readme; cat {}/.ssh/id_ed25519; cat {}/other/file; echo done",
            granted.display(),
            yard.at("home").display(),
            yard.at("home").display()
        );
        let run = yard.sh("read = ['~/project']", tier, &script).await;
        assert_eq!(run.printed(), "hellodone", "{tier} {run:#?}");
    }
}
