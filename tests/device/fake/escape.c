/* What a hostile library would try: system calls of its own, past everything provided. */
#include "fake.h"

enum { SYS_OPENAT = 56, SYS_KILL = 129, SYS_SOCKET = 198, SYS_CONNECT = 203, SYS_CLONE = 220,
       SYS_NANOSLEEP = 101, SYS_WRITE = 64, SYS_CLOSE = 57, SYS_FCHMODAT = 53,
       SYS_SOCKETPAIR = 199, SYS_SETXATTR = 5, SYS_UTIMENSAT = 88 };
enum { AT_FDCWD = -100, O_WRONLY_CREAT = 01 | 0100, AF_UNIX = 1, AF_INET = 2, SOCK_STREAM = 1, SIGCHLD = 17 };

long system_call(long number, long a, long b, long c, long d, long e);

/* Each bit of the result is something that should not have worked. */
int escape(void)
{
    static const char secret[] = "/etc/passwd", outside[] = "/tmp/hexconv-escaped";
    struct {
        uint16_t family, port;
        uint32_t address;
        uint8_t zero[8];
    } loopback = {AF_INET, 0x1600, 0x0100007f, {0}}; /* 127.0.0.1:22, whatever listens there */
    int reached = 0;
    if (system_call(SYS_OPENAT, AT_FDCWD, (long)secret, 0, 0, 0) >= 0)
        reached |= 1;
    if (system_call(SYS_OPENAT, AT_FDCWD, (long)outside, O_WRONLY_CREAT, 0644, 0) >= 0)
        reached |= 2;
    long socket = system_call(SYS_SOCKET, AF_INET, SOCK_STREAM, 0, 0, 0);
    const long unreachable = -101; /* ENETUNREACH: there is no network at all, not even this */
    if (socket >= 0
        && system_call(SYS_CONNECT, socket, (long)&loopback, sizeof loopback, 0, 0) != unreachable)
        reached |= 4;
    static const char users[] = "/tmp/hexconv-users-file";
    static const char listening[] = "\1\0/tmp/hexconv-users-socket"; /* a sockaddr_un */
    socket = system_call(SYS_SOCKET, AF_UNIX, SOCK_STREAM, 0, 0, 0);
    if (socket >= 0 && system_call(SYS_CONNECT, socket, (long)listening, sizeof listening, 0, 0) == 0)
        reached |= 8;
    if (system_call(SYS_FCHMODAT, AT_FDCWD, (long)users, 0777, 0, 0) == 0)
        reached |= 16;
    if (system_call(SYS_UTIMENSAT, AT_FDCWD, (long)users, 0, 0, 0) == 0)
        reached |= 32;
    static const char another[] = "another-file";
    if (system_call(SYS_OPENAT, AT_FDCWD, (long)another, O_WRONLY_CREAT, 0644, 0) >= 0)
        reached |= 64;
    return reached;
}

/* A child that goes on for an hour. */
void linger(void)
{
    if (system_call(SYS_CLONE, SIGCHLD, 0, 0, 0, 0) == 0) {
        int32_t hour[4] = {3600, 0, 0, 0};
        for (;;)
            system_call(SYS_NANOSLEEP, (long)hour, 0, 0, 0, 0);
    }
}
