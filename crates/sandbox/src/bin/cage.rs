//! The launcher alone: what the product executes as itself, for those who use the crate without it, and for its own tests.

fn main() {
    if sekisho_sandbox::is_launcher() {
        sekisho_sandbox::launch();
    }
    eprintln!("this program is started by the crate `sekisho-sandbox`, and by nobody else");
    std::process::exit(2);
}
