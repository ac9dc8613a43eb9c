//! The sink under clients that want too much.

use sandbox::Net;

use super::{have, record, sink, spec};

#[test]
fn many_connections_and_questions_are_all_counted() {
    if !have(&["perl"]) {
        return;
    }
    let seen = sink(
        r#"perl -MIO::Socket::INET -e '
            for my $n (1..400) {
                my $s = IO::Socket::INET->new(PeerAddr => "192.0.2.1:" . (1000 + $n)) or die $@;
                print $s "n$n\n"; close $s; }
            my $u = IO::Socket::INET->new(Proto => "udp", PeerAddr => "10.0.2.3:53") or die;
            for my $n (1..2000) {
                my $name = sprintf("\x06n%05d\x07example\x00", $n);
                $u->send("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00$name\x00\x01\x00\x01");
                $u->recv(my $answer, 512); }
            print "done\n";'"#,
    );
    assert_eq!(seen.output(), "done\n", "{}", seen.errors());
    let count = |protocol| -> u64 {
        let all = seen.requests();
        all.iter().filter(|a| a.protocol == protocol).map(|a| a.event.count).sum()
    };
    assert_eq!((count("tcp"), count("dns")), (400, 2000));
}

#[test]
fn too_many_connections_at_once_are_reset_and_make_the_record_incomplete() {
    if !have(&["perl"]) {
        return;
    }
    let script = r#"perl -MIO::Socket::INET -e '
        my @all = map { IO::Socket::INET->new(PeerAddr => "192.0.2.1:80", Timeout => 5) } 1..300;
        print scalar(grep { defined } @all), "\n";'"#;
    let recording = record(&spec(script, Net::Sink)).unwrap();
    assert_eq!(recording.output.unwrap().stdout.to_lossy(), "256\n");
    assert!(
        recording.faults.iter().any(|fault| fault.contains("44 connections")),
        "{:?}",
        recording.faults
    );
}

#[test]
fn garbage_on_every_kind_of_port_breaks_nothing() {
    if !have(&["perl"]) {
        return;
    }
    let seen = sink(
        r#"perl -MIO::Socket::INET -e '
            srand(7);
            for my $port (21, 22, 25, 53, 80, 110, 143, 443, 465, 8443, 9999) { for my $first (0x16, 0, 0x47) {
                my $s = IO::Socket::INET->new(PeerAddr => "192.0.2.1:$port", Timeout => 5) or die;
                print $s chr($first), map { chr(rand(256)) } 1..3000; close $s; } }
            my $u = IO::Socket::INET->new(Proto => "udp", PeerAddr => "10.0.2.3:53") or die;
            for my $n (1..200) { $u->send(join "", map { chr(rand(256)) } 1..$n); }
            my $b = IO::Socket::INET->new(Proto => "udp", PeerAddr => "192.0.2.1:9") or die;
            $b->send("x" x 9000);
            my $s = IO::Socket::INET->new(PeerAddr => "192.0.2.2:80", Timeout => 5) or die;
            print $s "GET / HTTP/1.1\r\nHost: still.example\r\n\r\n"; print scalar <$s>;'"#,
    );
    assert_eq!(seen.output(), "HTTP/1.1 200 OK\r\n", "{}", seen.errors());
    seen.one("the last", |asked| asked.host == "still.example");
    let large = seen.one("a datagram in fragments", |asked| asked.peer == "192.0.2.1:9");
    assert_eq!(large.sent, 9000);
}

#[test]
fn the_sandbox_cannot_change_its_network() {
    if !have(&["perl", "curl"]) {
        return;
    }
    let seen = sink(
        r#"ip link set eth0 down 2>/dev/null && echo changed
        ip route add 192.0.2.0/24 dev lo 2>/dev/null && echo changed
        ls /dev/net 2>/dev/null && echo changed
        perl -e 'use Socket; for (AF_PACKET(), 40) { socket(my $s, $_, SOCK_RAW, 0) and print "changed\n"; }
            socket(my $r, PF_INET, SOCK_RAW, 1) and print "changed\n"' 2>/dev/null
        curl -s http://a.example/"#,
    );
    assert_eq!(seen.output(), "OK\n", "{}", seen.errors());
}
