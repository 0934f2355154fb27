/* Where a server may not get to, and the sockets that it may have. Arguments: the port and path that somebody listens at outside, the name
   of a socket without one, a folder of its own. */
#include "probe.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

static int port;
static const char *outside, *abstract, *own;

static int opened(int family, int type, int protocol) { return socket(family, type | SOCK_CLOEXEC, protocol); }

static int to_address(const char *address, int at, int type, int protocol) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)at)};
    inet_pton(AF_INET, address, &there.sin_addr);
    int made = opened(AF_INET, type, protocol);
    struct timeval limit = {1, 0};
    setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (made < 0) {
        return -1;
    }
    if (type == SOCK_STREAM) {
        return connect(made, (struct sockaddr *)&there, sizeof there);
    }
    return (int)sendto(made, "probe", 5, 0, (struct sockaddr *)&there, sizeof there);
}
static int stream_to_the_host(void) { return to_address("127.0.0.1", port, SOCK_STREAM, 0); }
static int datagram_to_the_host(void) { return to_address("127.0.0.1", port, SOCK_DGRAM, 0); }
static int multipath_to_the_host(void) { return to_address("127.0.0.1", port, SOCK_STREAM, 262); }
static int stream_to_metadata(void) { return to_address("169.254.169.254", 80, SOCK_STREAM, 0); }
static int datagram_to_metadata(void) { return to_address("169.254.169.254", 53, SOCK_DGRAM, 0); }
static int datagram_to_everybody(void) { return to_address("224.0.0.251", 5353, SOCK_DGRAM, 0); }
static int stream_to_any(void) { return to_address("0.0.0.0", port, SOCK_STREAM, 0); }
static int stream_to_the_way_out(void) { return to_address("127.0.0.1", 3128, SOCK_STREAM, 0); }
static int stream_to_the_host_by_six(void) {
    struct sockaddr_in6 there = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &there.sin6_addr);
    int made = opened(AF_INET6, SOCK_STREAM, 0);
    return made < 0 ? -1 : connect(made, (struct sockaddr *)&there, sizeof there);
}
static int listen_at_a_port(void) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int made = opened(AF_INET, SOCK_STREAM, 0);
    return made < 0 || bind(made, (struct sockaddr *)&here, sizeof here) < 0 ? -1 : listen(made, 1);
}

static socklen_t name_of(struct sockaddr_un *there, const char *path, int hidden) {
    memset(there, 0, sizeof *there);
    there->sun_family = AF_UNIX;
    strncpy(there->sun_path + hidden, path, sizeof there->sun_path - 2);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)hidden + strlen(path));
}
static int to_name(const char *path, int hidden, int type) {
    struct sockaddr_un there;
    socklen_t length = name_of(&there, path, hidden);
    int made = opened(AF_UNIX, type, 0);
    return made < 0 ? -1 : connect(made, (struct sockaddr *)&there, length);
}
static int name_of_the_host(void) { return to_name(outside, 0, SOCK_STREAM); }
static int name_without_a_path(void) { return to_name(abstract, 1, SOCK_STREAM); }
static char letters[108];
static int listen_at_a_name(void) {
    struct sockaddr_un here;
    snprintf(letters, sizeof letters, "%s/s%d", own, (int)getpid() % 1000);
    socklen_t length = name_of(&here, letters, 0);
    int made = opened(AF_UNIX, SOCK_STREAM, 0);
    int got = made < 0 || bind(made, (struct sockaddr *)&here, length) < 0 ? -1 : listen(made, 1);
    unlink(letters);
    return got;
}

static int pair(int type) {
    int both[2];
    return socketpair(AF_UNIX, type, 0, both);
}
static int pair_of_streams(void) { return pair(SOCK_STREAM); }
static int pair_of_packets(void) { return pair(SOCK_SEQPACKET); }
/* What is sent over a pair of datagrams may be sent to anybody. */
static int pair_that_writes_elsewhere(int type) {
    int both[2];
    struct sockaddr_un there;
    struct iovec bytes = {"probe", 5};
    struct msghdr message = {.msg_name = &there, .msg_iov = &bytes, .msg_iovlen = 1};
    char path[120];
    snprintf(path, sizeof path, "%s.datagrams", outside);
    message.msg_namelen = name_of(&there, path, 0);
    return socketpair(AF_UNIX, type, 0, both) < 0 ? -1 : (int)sendmsg(both[0], &message, 0);
}
static int datagram_by_a_pair(void) { return pair_that_writes_elsewhere(SOCK_DGRAM); }
static int datagram_by_a_raw_pair(void) { return pair_that_writes_elsewhere(SOCK_RAW); }

static int routes(void) { return opened(AF_NETLINK, SOCK_DGRAM, 0); }
static int packets(void) { return opened(AF_PACKET, SOCK_DGRAM, 0); }
static int machines(void) { return opened(40 /* AF_VSOCK */, SOCK_STREAM, 0); }
static int ciphers(void) { return opened(38 /* AF_ALG */, SOCK_SEQPACKET, 0); }
static int radios(void) { return opened(31 /* AF_BLUETOOTH */, SOCK_SEQPACKET, 0); }
static int express(void) { return opened(44 /* AF_XDP */, SOCK_RAW, 0); }
static int raw(void) { return opened(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static int raw_six(void) { return opened(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6); }
static int raw_name(void) { return opened(AF_UNIX, SOCK_RAW, 0); }
static int pair_of_the_network(void) {
    int both[2];
    return socketpair(AF_INET, SOCK_STREAM, 0, both);
}

static const struct probe probes[] = {
    {"stream_to_the_host", stream_to_the_host}, {"datagram_to_the_host", datagram_to_the_host},
    {"multipath_to_the_host", multipath_to_the_host}, {"stream_to_metadata", stream_to_metadata},
    {"datagram_to_metadata", datagram_to_metadata}, {"datagram_to_everybody", datagram_to_everybody},
    {"stream_to_any", stream_to_any}, {"stream_to_the_host_by_six", stream_to_the_host_by_six},
    {"stream_to_the_way_out", stream_to_the_way_out}, {"listen_at_a_port", listen_at_a_port},
    {"name_of_the_host", name_of_the_host}, {"name_without_a_path", name_without_a_path},
    {"listen_at_a_name", listen_at_a_name}, {"pair_of_streams", pair_of_streams}, {"pair_of_packets", pair_of_packets},
    {"datagram_by_a_pair", datagram_by_a_pair}, {"datagram_by_a_raw_pair", datagram_by_a_raw_pair},
    {"routes", routes}, {"packets", packets}, {"machines", machines}, {"ciphers", ciphers}, {"radios", radios},
    {"express", express}, {"raw", raw}, {"raw_six", raw_six}, {"raw_name", raw_name},
    {"pair_of_the_network", pair_of_the_network},
};

int main(int argc, char **argv) {
    if (argc < 5) {
        return 2;
    }
    port = atoi(argv[1]);
    outside = argv[2];
    abstract = argv[3];
    own = argv[4];
    /* In place of the program's name. */
    return PROBES(probes, argc - 4, argv + 4);
}
