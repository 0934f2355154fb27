//! What a server sees of the machine's files, and what it can change.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use sekisho_sandbox::{Access, Said, Tier};

use crate::support::{BOTH, Run, Yard, is_superuser};

/// Tries each, tells its name, and 0 if it worked.
const TRY: &str = "t() { n=$1; shift; if (\"$@\") >/dev/null 2>&1; then echo \"$n=0\"; else echo \"$n=1\"; fi; }\n";

fn tries(attempts: &[(&str, &str)]) -> String {
    let lines = attempts.iter().map(|(name, attempt)| format!("t {name} sh -c '{attempt}'\n"));
    format!("export Y\n{TRY}{}", lines.collect::<String>())
}

fn worked(run: &Run) -> Vec<&str> {
    run.printed().lines().filter_map(|line| line.strip_suffix("=0")).collect()
}

const FORBIDDEN_READS: [(&str, &str); 19] = [
    ("key", "cat $Y/home/.ssh/id_ed25519"),
    ("key_beside_a_grant", "cat $Y/home/project/../.ssh/id_ed25519"),
    ("key_by_the_root_of_a_process", "cat /proc/self/root$Y/home/.ssh/id_ed25519"),
    ("key_by_a_link", "ln -s $Y/home/.ssh $HOME/l && cat $HOME/l/id_ed25519"),
    ("keys_in_a_list", "ls $Y/home/.ssh/id_ed25519 && cat $Y/home/.ssh/*"),
    ("another_servers_home", "cat $Y/own/another/notes"),
    ("data_of_the_gateway", "cat $Y/home/state/log"),
    ("passwords", "cat /etc/shadow"),
    ("settings_of_the_machine", "cat /etc/fstab /etc/machine-id /etc/hostname.real /etc/debian_version"),
    ("other_users", "ls /home/*"),
    ("logs", "ls /var/log/*"),
    ("devices_of_the_kernel", "cat /sys/kernel/uevent_seqnum"),
    ("environment_of_the_first", "cat /proc/1/environ"),
    ("memory_of_the_first", "dd if=/proc/1/mem bs=1 count=1"),
    ("root_of_the_first", "cd /proc/1/root && ls etc"),
    ("folder_of_the_first", "ls /proc/1/cwd/etc"),
    ("descriptors_of_the_first", "ls /proc/1/fd/0"),
    ("disk", "ls /dev/vda /dev/sda /dev/nvme0n1 /dev/mem /dev/kmsg || dd if=/dev/kmsg count=1"),
    ("sockets_of_services", "ls /run/* /var/run/*"),
];

const PERMITTED_READS: [(&str, &str); 8] = [
    ("granted_file", "test \"$(cat $Y/home/project/readme)\" = hello"),
    ("granted_folder", "test \"$(cat $Y/home/project/src/main)\" = source"),
    ("named_alone", "test \"$(cat $Y/home/other/file)\" = \"of another\""),
    ("programs", "test -x /bin/sh && ls /usr/bin"),
    ("loader", "cat /etc/ld.so.cache"),
    ("own_home", "echo x > $HOME/x && cat $HOME/x"),
    ("random", "test -n \"$(head -c 8 /dev/urandom | od)\""),
    ("temporary", "echo x > $TMPDIR/x && cat $TMPDIR/x"),
];

#[tokio::test]
async fn what_was_granted_can_be_read_and_nothing_else() {
    let yard = Yard::new();
    let script = tries(&[&FORBIDDEN_READS[..], &PERMITTED_READS].concat());
    for tier in BOTH {
        let run = yard.sh("read = ['~/project', '~/other/file']", tier, &script).await;
        assert_eq!(worked(&run), PERMITTED_READS.map(|(name, _)| name), "{tier} {run:#?}");
    }
    // The key can be read by whoever is not confined.
    assert_eq!(yard.text("home/.ssh/id_ed25519"), "PRIVATE KEY");
}

#[tokio::test]
async fn process_sees_itself_and_nobody_else() {
    let yard = Yard::new();
    let run = yard
        .sh("", Tier::Full, "cat /proc/self/status | grep -c Cap; ls /proc | grep -c '^[0-9]'; cat /proc/1/comm")
        .await;
    let lines: Vec<&str> = run.printed().lines().collect();
    assert_eq!(lines[0], "5");
    assert!(lines[1].parse::<u32>().unwrap() <= 5, "the first, the shell, and what it runs: {run:#?}");
    let run = yard.sh("", Tier::Partial, "cat /proc/1/comm /proc/self/environ; ls /proc").await;
    assert!(run.out.is_empty(), "{run:#?}");
}

const FORBIDDEN_WRITES: [(&str, &str); 22] = [
    ("programs", "touch /usr/x"),
    ("programs_of_the_machine", "touch /usr/local/bin/x"),
    ("settings", "touch /etc/x || echo x >> /etc/ld.so.cache"),
    ("root", "touch /x"),
    ("new_beside_a_reading", "touch $Y/home/project/x"),
    ("change", "echo x >> $Y/home/project/readme"),
    ("emptied", ": > $Y/home/project/readme"),
    ("cut", "truncate -s 0 $Y/home/project/readme"),
    ("removed", "rm -f $Y/home/project/readme"),
    ("renamed", "mv $Y/home/project/readme $Y/home/project/x"),
    ("moved_out", "mv $Y/home/project/readme $HOME/x"),
    ("replaced", "echo x > $HOME/r; mv -f $HOME/r $Y/home/project/readme"),
    ("mode_changed", "chmod 777 $Y/home/project/readme"),
    ("time_changed", "touch -d 2001-01-01 $Y/home/project/readme"),
    ("linked_hard", "ln $Y/home/project/readme $HOME/hard && echo x >> $HOME/hard"),
    ("linked_to_the_key", "ln $Y/home/.ssh/id_ed25519 $HOME/hard2 && cat $HOME/hard2"),
    ("folder_made", "mkdir $Y/home/project/folder"),
    ("kernel_set", "echo x > /proc/sys/kernel/core_pattern"),
    ("kernel_named", "echo x > /proc/sys/kernel/hostname"),
    ("kernel_asked", "echo h > /proc/sysrq-trigger"),
    ("terminal", "echo x > /dev/tty"),
    ("key_mode_changed", "chmod 644 $Y/home/.ssh/id_ed25519 && ls $Y/home/.ssh/id_ed25519"),
];

const PERMITTED_WRITES: [(&str, &str); 8] = [
    ("new_where_granted", "echo x > $Y/home/other/new"),
    ("changed_where_granted", "echo x >> $Y/home/other/file"),
    ("folder_where_granted", "mkdir $Y/home/other/folder && mv $Y/home/other/new $Y/home/other/folder/"),
    ("removed_where_granted", "rm -r $Y/home/other/folder"),
    ("linked_where_granted", "ln $Y/home/other/file $Y/home/other/hard"),
    ("own", "echo x > $HOME/mine"),
    ("nothing", "echo x > /dev/null"),
    ("temporary", "mkdir $TMPDIR/d && echo x > $TMPDIR/d/x && mv $TMPDIR/d/x $TMPDIR/y"),
];

#[tokio::test]
async fn what_was_granted_for_writing_can_be_changed_and_nothing_else() {
    for tier in BOTH {
        let yard = Yard::new();
        let script = tries(&[&FORBIDDEN_WRITES[..], &PERMITTED_WRITES].concat());
        let run = yard.sh("read = ['~/project']\nwrite = ['~/other']", tier, &script).await;
        assert_eq!(worked(&run), PERMITTED_WRITES.map(|(name, _)| name), "{tier} {run:#?}");
        assert_eq!(yard.text("home/project/readme"), "hello");
        assert_eq!(fs::metadata(yard.at("home/project/readme")).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(yard.text("home/other/file"), "of anotherx\n");
        assert_eq!(yard.text("own/server/mine"), "x\n");
        assert!(!yard.at("home/mine").exists(), "its home is not the user's");
    }
}

#[tokio::test]
async fn home_of_its_own_stays_and_what_is_temporary_goes() {
    let yard = Yard::new();
    let first = yard.sh("", Tier::Full, "echo kept > ~/kept; echo gone > /tmp/gone; pwd").await;
    assert_eq!(first.printed(), yard.at("home").display().to_string());
    let second = yard.sh("", Tier::Full, "cat ~/kept; ls /tmp/gone /dev/shm /run").await;
    assert!(second.out.starts_with("kept\n") && !second.out.contains("gone\n"), "{second:#?}");
}

#[tokio::test]
async fn link_that_a_server_leaves_in_its_home_leads_nowhere_at_the_next_start() {
    for (what, grant) in [("read", "read = ['~/project']"), ("write", "write = ['~/project/src']")] {
        let yard = Yard::new();
        let _trap = yard.sh("", Tier::Full, "ln -s / ~/project; ln -s ../../.. ~/other").await;
        let run = yard.sh(grant, Tier::Full, "echo started; touch /usr/x /etc/x").await;
        assert!(
            matches!(run.said.last(), Some(Said::Failed { step, .. }) if step == "build the root"),
            "{what} {run:#?}"
        );
        assert_eq!(run.out, "", "it is not started with less than was asked for");
        // Its neighbour, of which there is no link, is started.
        let run = yard.sh("read = ['~/state/..//other/file']", Tier::Full, "cat $Y/home/project/readme").await;
        assert!(matches!(run.said.last(), Some(Said::Failed { .. })), "`other` is a link, too: {run:#?}");
        fs::remove_file(yard.at("own/server/project")).unwrap();
        let run = yard.sh(grant, Tier::Full, "echo started").await;
        assert_eq!(run.printed(), "started");
    }
}

#[tokio::test]
async fn copy_is_changed_for_the_server_alone_and_only_while_it_runs() {
    let yard = Yard::new();
    let copy = |plan: &mut sekisho_sandbox::Plan| {
        plan.views.iter_mut().filter(|view| view.path.ends_with("project")).for_each(|view| view.access = Access::Copy)
    };
    let script = "cd $Y/home/project; echo x >> readme; touch new; rm src/main; cat readme; ls";
    let run = yard.sh_of("read = ['~/project']", Tier::Full, script, copy).await;
    assert_eq!(run.printed(), "hellox\nnew\nreadme\nsrc", "{run:#?}");
    let again = yard.sh_of("read = ['~/project']", Tier::Full, "cd $Y/home/project; cat readme; ls . src", copy).await;
    assert_eq!(again.printed(), "hello.:\nreadme\nsrc\n\nsrc:\nmain");
    assert_eq!(yard.text("home/project/readme"), "hello");
    assert!(yard.at("home/project/src/main").exists());
    // Without namespaces there are no copies.
    let run =
        yard.sh_of("read = ['~/project']", Tier::Partial, "cd $Y/home/project; touch new; cat readme", copy).await;
    assert_eq!((run.printed(), yard.at("home/project/new").exists()), ("hello", false));
}

#[tokio::test]
async fn grants_hold_inside_each_other() {
    let yard = Yard::new();
    let inner_write = tries(&[
        ("inner", "echo x > $Y/home/project/src/x"),
        ("outer", "echo x > $Y/home/project/x"),
        ("seen", "cat $Y/home/project/readme"),
    ]);
    for tier in BOTH {
        let run = yard.sh("read = ['~/project']\nwrite = ['~/project/src']", tier, &inner_write).await;
        assert_eq!(worked(&run), ["inner", "seen"], "{tier} {run:#?}");
    }
    let run = yard.sh("write = ['~/project']\nread = ['~/project/src']", Tier::Full, &inner_write).await;
    assert_eq!(worked(&run), ["outer", "seen"], "{run:#?}");
}

#[tokio::test]
async fn links_and_odd_names_are_shown_as_they_are() {
    let yard = Yard::new();
    let odd = yard.at("home/project").join(std::ffi::OsStr::from_bytes(b"odd-\xff-name"));
    fs::write(&odd, "odd").unwrap();
    std::os::unix::fs::symlink("second", yard.at("home/first")).unwrap();
    std::os::unix::fs::symlink(yard.at("home/project"), yard.at("home/second")).unwrap();
    for tier in BOTH {
        let script = "cat $Y/home/project/odd-*-name; echo; cat $Y/home/first/readme";
        let run = yard.sh("read = ['~/first']", tier, script).await;
        assert_eq!(run.printed(), "odd\nhello", "{tier} {run:#?}");
    }
}

#[tokio::test]
async fn hidden_folder_is_empty_and_stays_where_it_is() {
    let yard = Yard::new();
    for (file, text) in [
        ("home/.local/share/keyrings/login", "SECRET"),
        ("home/.local/share/notes", "plain"),
        ("home/.config/gh/hosts", "TOKEN"),
        ("home/.config/plain", "plain"),
    ] {
        fs::create_dir_all(yard.at(file).parent().unwrap()).unwrap();
        fs::write(yard.at(file), text).unwrap();
    }
    let grant = "write = ['~/.local', '~/.config']";
    let attempts = tries(&[
        ("secret", "cat $Y/home/.local/share/keyrings/login"),
        ("token", "cat $Y/home/.config/gh/hosts"),
        ("put", "touch $Y/home/.local/share/keyrings/x"),
        ("moved", "mv $Y/home/.local/share/keyrings $Y/home/.local/share/k"),
        ("moved_along", "mv $Y/home/.local/share $Y/home/.local/s"),
        ("removed", "rmdir $Y/home/.config/gh"),
        ("beside", "test \"$(cat $Y/home/.local/share/notes $Y/home/.config/plain)\" = plainplain"),
        ("made", "touch $Y/home/.local/share/x $Y/home/.config/x"),
    ]);
    for _start in 0..2 {
        let run = yard.sh(grant, Tier::Full, &attempts).await;
        assert_eq!(worked(&run), ["beside", "made"], "{run:#?}");
    }
    assert_eq!(yard.text("home/.local/share/keyrings/login"), "SECRET");
    // Where nothing can be covered, what lies beside it is shown and nothing else.
    let run = yard.sh("read = ['~/.local', '~/.config']", Tier::Partial, &attempts).await;
    assert_eq!(worked(&run), ["beside"], "{run:#?}");
    // Whoever names it wants it shown.
    for tier in BOTH {
        let run = yard.sh("read = ['~/.local/share/keyrings']", tier, "cat $Y/home/.local/share/keyrings/login").await;
        assert_eq!(run.printed(), "SECRET", "{tier}");
    }
}

#[tokio::test]
async fn program_with_a_set_user_bit_is_run_as_oneself() {
    let yard = Yard::new();
    let program = yard.at("home/project/id");
    fs::copy("/usr/bin/id", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    // Of somebody else, if we may.
    let _given = std::os::unix::fs::chown(&program, Some(1), Some(1));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    if is_superuser() {
        let free = Command::new(&program).arg("-u").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&free.stdout).trim(), "1", "outside, the bit counts");
    }
    let expected = |tier| match tier {
        Tier::Full => "1000".to_owned(),
        Tier::Partial | Tier::None => nix::unistd::Uid::effective().to_string(),
    };
    for tier in BOTH {
        let run = yard.sh("read = ['~/project']", tier, "$Y/home/project/id -u").await;
        assert_eq!(run.printed(), expected(tier), "{run:#?}");
    }
}

#[tokio::test]
async fn what_is_written_where_everybody_writes_is_not_executed() {
    let yard = Yard::new();
    let script = tries(&[
        ("temporary", "cp /bin/true /tmp/x && /tmp/x"),
        ("shared", "cp /bin/true /dev/shm/x && /dev/shm/x"),
        ("own", "cp /bin/true ~/x && ~/x"),
    ]);
    let run = yard.sh("", Tier::Full, &script).await;
    assert_eq!(worked(&run), ["own"], "{run:#?}");
}
