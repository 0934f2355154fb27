/* What a server has no business to ask of the kernel, and beside each what it may. No probe harms a machine on which it works. */
#include "probe.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <termios.h>

#define CALL(name, ...) static int name(void) { return (int)syscall(__VA_ARGS__); }

static char bytes[4096];
static struct iovec iov = {bytes, 16};

/* Namespaces. */
CALL(unshare_user, SYS_unshare, CLONE_NEWUSER)
CALL(unshare_files, SYS_unshare, CLONE_FILES)
static int cloned(unsigned long flags) {
    long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        _exit(0);
    }
    return child < 0 ? -1 : 0;
}
static int clone_user(void) { return cloned(CLONE_NEWUSER); }
static int clone_user_and_mounts(void) { return cloned(CLONE_NEWUSER | CLONE_NEWNS); }
static int clone_plain(void) { return cloned(0); }
static int clone3_user(void) {
    uint64_t arguments[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    long child = syscall(SYS_clone3, arguments, 64);
    if (child == 0) {
        _exit(0);
    }
    return child < 0 ? -1 : 0;
}
static int setns_own(void) {
    int own = open("/proc/self/ns/uts", O_RDONLY);
    return own < 0 ? -1 : (int)syscall(SYS_setns, own, 0);
}
static void *nothing(void *given) { return given; }
static int thread(void) {
    pthread_t made;
    errno = pthread_create(&made, 0, nothing, 0);
    return errno == 0 ? pthread_join(made, 0) : -1;
}

/* Mounts: where they work, in a namespace that ends with the probe. */
static void apart(void) {
    int private = 0x4000 | 0x40000; /* MS_REC, MS_PRIVATE */
    if (syscall(SYS_unshare, CLONE_NEWNS) == 0 && syscall(SYS_mount, "none", "/", 0, private, 0) != 0) {
        _exit(255);
    }
}
#define APART(name, ...) static int name(void) { apart(); return (int)syscall(__VA_ARGS__); }
APART(mount_memory, SYS_mount, "none", "/tmp", "tmpfs", 0, 0)
APART(mount_again, SYS_mount, "none", "/proc", 0, 0x1020 /* MS_REMOUNT, MS_BIND */, 0)
APART(unmount, SYS_umount2, "/proc", 2 /* MNT_DETACH */)
APART(pivot, SYS_pivot_root, ".", ".")
CALL(change_root, SYS_chroot, "/tmp")
CALL(open_a_tree, SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */)
CALL(open_a_file_system, SYS_fsopen, "tmpfs", 0)
APART(move_a_mount, SYS_move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/tmp", 0)
APART(set_attributes, SYS_mount_setattr, AT_FDCWD, "/", 0, bytes, 32)
CALL(by_handle, SYS_open_by_handle_at, AT_FDCWD, bytes, O_RDONLY)
static int handle_of(void) {
    unsigned *handle = (unsigned *)bytes;
    handle[0] = 128;
    int mount = 0;
    return (int)syscall(SYS_name_to_handle_at, AT_FDCWD, "/tmp", handle, &mount, 0);
}

/* Devices and nodes. */
static int node(mode_t kind) {
    const char *path = "node-of-a-probe";
    int made = (int)syscall(SYS_mknodat, AT_FDCWD, path, kind | 0600, 0x103);
    unlink(path);
    return made;
}
static int make_a_device(void) { return node(S_IFCHR); }
static int make_a_disk(void) { return node(S_IFBLK); }

/* Other processes. */
CALL(be_traced, SYS_ptrace, PTRACE_TRACEME, 0, 0, 0)
static pid_t sleeper(void) {
    pid_t child = fork();
    if (child == 0) {
        alarm(5);
        pause();
        _exit(0);
    }
    return child;
}
static int ended(pid_t child, int got) {
    int before = errno;
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
    errno = before;
    return got;
}
static int trace(void) {
    pid_t child = sleeper();
    return ended(child, (int)syscall(SYS_ptrace, PTRACE_SEIZE, child, 0, 0));
}
static int read_memory(void) {
    pid_t child = sleeper();
    struct iovec there = {bytes, 16};
    return ended(child, (int)syscall(SYS_process_vm_readv, child, &iov, 1, &there, 1, 0));
}
static int write_memory(void) {
    pid_t child = sleeper();
    struct iovec there = {bytes, 16};
    return ended(child, (int)syscall(SYS_process_vm_writev, child, &iov, 1, &there, 1, 0));
}
static int take_a_descriptor(void) {
    pid_t child = sleeper();
    int handle = (int)syscall(SYS_pidfd_open, child, 0);
    return ended(child, handle < 0 ? -1 : (int)syscall(438 /* pidfd_getfd */, handle, 0, 0));
}
static int handle_of_a_child(void) {
    pid_t child = sleeper();
    return ended(child, (int)syscall(SYS_pidfd_open, child, 0));
}
static int end_a_child(void) {
    pid_t child = sleeper();
    int got = kill(child, SIGTERM);
    return ended(child, got);
}
static int compare(void) {
    pid_t child = sleeper();
    return ended(child, (int)syscall(SYS_kcmp, getpid(), child, 0, 0, 0));
}

/* Parts of the kernel that few programs reach. */
CALL(bpf, SYS_bpf, 0, bytes, 72)
CALL(page_faults, SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */)
CALL(rings, SYS_io_uring_setup, 4, bytes)
CALL(keys, SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3, 1)
CALL(add_a_key, SYS_add_key, "user", "probe", "x", 1, -2 /* KEY_SPEC_PROCESS_KEYRING */)
CALL(ask_for_a_key, SYS_request_key, "user", "no such key of a probe", 0, 0)
static int counters(void) {
    uint32_t attributes[32] = {1 /* PERF_TYPE_SOFTWARE */, 112};
    attributes[10] = 0x60; /* exclude_kernel, exclude_hv */
    return (int)syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0);
}
CALL(watch_files, SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, 0)
CALL(secret_memory, 447 /* memfd_secret */, 0)
CALL(file_in_memory, SYS_memfd_create, "probe", 0)
CALL(kernel_log, SYS_syslog, 3, bytes, 16)
CALL(quota, SYS_quotactl, 0x80000100, 0, 0, 0)
CALL(accounting, SYS_acct, "/no/such/file")

/* The machine's own. Arguments are such that nothing happens where the call is permitted. */
CALL(execute_a_kernel, SYS_kexec_load, 0, 0, 0, 0xffff)
CALL(load_a_module, SYS_init_module, bytes, 0, "")
CALL(load_a_module_file, SYS_finit_module, -1, "", 0)
CALL(unload_a_module, SYS_delete_module, "no_such_module_of_a_probe", O_NONBLOCK)
CALL(reboot_it, SYS_reboot, 0, 0, 0, 0)
CALL(swap_on, SYS_swapon, "/no/such/file", 0)
CALL(swap_off, SYS_swapoff, "/no/such/file")
CALL(host_name, SYS_sethostname, "probe", -1)
CALL(set_the_time, SYS_settimeofday, bytes, (void *)1)
CALL(set_a_clock, SYS_clock_settime, CLOCK_REALTIME, (void *)1)
CALL(execution_domain, SYS_personality, 0x0040000 /* ADDR_NO_RANDOMIZE */)
static int read_the_time(void) { return clock_gettime(CLOCK_REALTIME, (struct timespec *)bytes); }

/* Terminals. */
static int type_into_a_terminal(void) {
    int terminal = open("/dev/tty", O_RDWR);
    int got = ioctl(terminal < 0 ? 0 : terminal, TIOCSTI, "x");
    return got;
}
static int open_the_terminal(void) { return open("/dev/tty", O_RDWR); }
static int bytes_that_wait(void) {
    int pair[2];
    int waiting;
    return pipe(pair) < 0 ? -1 : ioctl(pair[0], FIONREAD, &waiting);
}

/* Who it is. */
CALL(be_somebody_else, SYS_setuid, getuid() == 0 ? 1 : 0)
CALL(be_in_another_group, SYS_setgid, getgid() == 0 ? 1 : 0)
static int be_another(void) { return (int)syscall(SYS_setresuid, 4711, 4711, 4711); }
static int have_groups(void) {
    gid_t groups[1] = {0};
    return (int)syscall(SYS_setgroups, 1, groups);
}
static int have_powers(void) {
    uint32_t head[2] = {0x20080522, 0};
    uint32_t all[6] = {1u << 21, 1u << 21, 0, 0, 0, 0};
    return (int)syscall(SYS_capset, head, all);
}
static int be_oneself(void) { return setresuid(getuid(), getuid(), getuid()); }

/* Modes that others would be executed with. */
static int moded(const char *path, mode_t made, int (*change)(const char *)) {
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, made);
    if (file < 0) {
        return -1;
    }
    int got = change ? change(path) : 0;
    struct stat seen;
    if (got == 0 && stat(path, &seen) == 0 && (made & 06000) && !(seen.st_mode & 06000)) {
        got = -1;
        errno = EPERM;
    }
    int before = errno;
    close(file);
    unlink(path);
    errno = before;
    return got;
}
static int to_set_user(const char *path) { return chmod(path, 04755); }
static int to_set_group(const char *path) { return (int)syscall(SYS_fchmodat, AT_FDCWD, path, 02755); }
static int to_executable(const char *path) { return chmod(path, 0755); }
static int mode_set_user(void) { return moded("mode-of-a-probe-1", 0600, to_set_user); }
static int mode_set_group(void) { return moded("mode-of-a-probe-2", 0600, to_set_group); }
static int mode_executable(void) { return moded("mode-of-a-probe-3", 0600, to_executable); }
static int made_set_user(void) { return moded("mode-of-a-probe-4", 04755, 0); }
static int made_plain(void) { return moded("mode-of-a-probe-5", 0755, 0); }
static int made_by_name(void) {
#ifdef SYS_creat
    const char *path = "mode-of-a-probe-6";
    int file = (int)syscall(SYS_creat, path, 04755);
    int before = errno;
    unlink(path);
    errno = before;
    return file;
#else
    errno = ENOSYS;
    return -1;
#endif
}
static int made_by_a_structure(void) {
    uint64_t how[3] = {O_CREAT | O_WRONLY, 04755, 0};
    const char *path = "mode-of-a-probe-7";
    int file = (int)syscall(SYS_openat2, AT_FDCWD, path, how, sizeof how);
    int before = errno;
    unlink(path);
    errno = before;
    return file;
}
static int made_without_a_name(void) { return open(".", O_TMPFILE | O_WRONLY, 04755); }
static int made_plain_without_a_name(void) { return open(".", O_TMPFILE | O_WRONLY, 0755); }

/* Filters. */
CALL(strict_mode, SYS_seccomp, 3 /* SECCOMP_GET_NOTIF_SIZES */, 0, bytes)
CALL(own_name, SYS_prctl, PR_SET_NAME, "probe", 0, 0, 0)
CALL(own_map, SYS_prctl, 35 /* PR_SET_MM */, 1, bytes, 0, 0)
static int shared_memory(void) {
    int made = (int)syscall(SYS_shmget, 0 /* IPC_PRIVATE */, 4096, 0600);
    if (made >= 0) {
        syscall(SYS_shmctl, made, 0 /* IPC_RMID */, 0);
    }
    return made;
}
#ifdef __x86_64__
CALL(other_numbers, 0x40000000 | SYS_getppid)
/* As programs for 32 bits ask: getpid is 20 there. */
static int older_machine(void) {
    long got;
    __asm__ volatile("int $0x80" : "=a"(got) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    if (got < 0) {
        errno = (int)-got;
        return -1;
    }
    return 0;
}
CALL(port_rights, SYS_iopl, 3)
CALL(segments, SYS_modify_ldt, 0, bytes, 16)
#endif

static const struct probe probes[] = {
    {"unshare_user", unshare_user}, {"unshare_files", unshare_files}, {"clone_user", clone_user},
    {"clone_user_and_mounts", clone_user_and_mounts}, {"clone_plain", clone_plain}, {"clone3_user", clone3_user},
    {"setns_own", setns_own}, {"thread", thread},
    {"mount_memory", mount_memory}, {"mount_again", mount_again}, {"unmount", unmount}, {"pivot", pivot},
    {"change_root", change_root}, {"open_a_tree", open_a_tree}, {"open_a_file_system", open_a_file_system},
    {"move_a_mount", move_a_mount}, {"set_attributes", set_attributes}, {"by_handle", by_handle}, {"handle_of", handle_of},
    {"make_a_device", make_a_device}, {"make_a_disk", make_a_disk},
    {"be_traced", be_traced}, {"trace", trace}, {"read_memory", read_memory}, {"write_memory", write_memory},
    {"take_a_descriptor", take_a_descriptor}, {"handle_of_a_child", handle_of_a_child}, {"end_a_child", end_a_child},
    {"compare", compare},
    {"bpf", bpf}, {"page_faults", page_faults}, {"rings", rings}, {"keys", keys}, {"add_a_key", add_a_key},
    {"ask_for_a_key", ask_for_a_key}, {"counters", counters}, {"watch_files", watch_files},
    {"secret_memory", secret_memory}, {"file_in_memory", file_in_memory}, {"kernel_log", kernel_log}, {"quota", quota},
    {"accounting", accounting},
    {"execute_a_kernel", execute_a_kernel}, {"load_a_module", load_a_module}, {"load_a_module_file", load_a_module_file},
    {"unload_a_module", unload_a_module}, {"reboot_it", reboot_it}, {"swap_on", swap_on}, {"swap_off", swap_off},
    {"host_name", host_name}, {"set_the_time", set_the_time}, {"set_a_clock", set_a_clock}, 
    {"execution_domain", execution_domain}, {"read_the_time", read_the_time},
    {"type_into_a_terminal", type_into_a_terminal}, {"open_the_terminal", open_the_terminal},
    {"bytes_that_wait", bytes_that_wait},
    {"be_somebody_else", be_somebody_else}, {"be_in_another_group", be_in_another_group}, {"be_another", be_another},
    {"have_groups", have_groups}, {"have_powers", have_powers}, {"be_oneself", be_oneself},
    {"mode_set_user", mode_set_user}, {"mode_set_group", mode_set_group}, {"mode_executable", mode_executable},
    {"made_set_user", made_set_user}, {"made_plain", made_plain}, {"made_by_name", made_by_name},
    {"made_by_a_structure", made_by_a_structure}, {"made_without_a_name", made_without_a_name},
    {"made_plain_without_a_name", made_plain_without_a_name},
    {"strict_mode", strict_mode}, {"own_name", own_name}, {"own_map", own_map}, {"shared_memory", shared_memory},
#ifdef __x86_64__
    {"other_numbers", other_numbers}, {"older_machine", older_machine}, {"port_rights", port_rights}, {"segments", segments},
#endif
};

int main(int argc, char **argv) { return PROBES(probes, argc, argv); }
